/// "Did you mean …?": the known name that a mistyped one is closest to.
package enum NearestName {
  /// Longer names than this are not compared: the work is the product of the lengths, and no name of ours is near it.
  package static let lengthLimit = 64

  /// The candidate with the smallest edit distance (insert, delete, replace, swap neighbours), if that is at most a
  /// third of the longer name's length and at least plausible; the first of equals.
  package static func of(_ name: String, in candidates: some Sequence<String>) -> String? {
    let wanted = Array(name.lowercased().utf8)
    guard !wanted.isEmpty, wanted.count <= lengthLimit else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let known = Array(candidate.lowercased().utf8)
      guard known.count <= lengthLimit else { continue }
      let distance = Self.distance(wanted, known)
      guard distance <= max(1, max(wanted.count, known.count) / 3) else { continue }
      if best.map({ distance < $0.distance }) ?? true { best = (candidate, distance) }
    }
    return best?.name
  }

  static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var before: [Int] = []
    var above = Array(0...b.count)
    for i in a.indices {
      var row = [i + 1]
      row.reserveCapacity(b.count + 1)
      for j in b.indices {
        var cost = min(above[j + 1] + 1, row[j] + 1, above[j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, before[j - 1] + 1) }
        row.append(cost)
      }
      before = above
      above = row
    }
    return above[b.count]
  }
}
