/// Finds the name somebody probably meant: for "did you mean …?".
///
/// Optimal string alignment distance (insert, delete, replace, swap of neighbours), bounded: names further away than a
/// third of their length are no help. Knows nothing of keywords or scopes; the caller brings the candidates.
package enum Spelling {
  /// Longer names are not compared: the distance is quadratic and nobody misspells them by accident.
  package static let lengthLimit = 64

  /// The nearest candidate within a third of the name's length (at least 1), or nil. The first of equals wins.
  package static func nearest(to name: String, among candidates: some Sequence<String>) -> String? {
    let typed = Array(name.utf8)
    guard !typed.isEmpty, typed.count <= lengthLimit else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates where candidate != name {
      let bytes = Array(candidate.utf8)
      let allowed = max(1, max(typed.count, bytes.count) / 3)
      guard bytes.count <= lengthLimit, abs(bytes.count - typed.count) <= allowed else { continue }
      let distance = distance(typed, bytes)
      if distance <= allowed, distance < min(typed.count, bytes.count), distance < best?.distance ?? .max {
        best = (candidate, distance)
      }
    }
    return best?.name
  }

  package static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var beforeLast = [Int](repeating: 0, count: b.count + 1)
    var last = Array(0...b.count)
    for i in 0..<a.count {
      var row = [i + 1] + [Int](repeating: 0, count: b.count)
      for j in 0..<b.count {
        row[j + 1] = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { row[j + 1] = min(row[j + 1], beforeLast[j - 1] + 1) }
      }
      beforeLast = last
      last = row
    }
    return last[b.count]
  }
}
