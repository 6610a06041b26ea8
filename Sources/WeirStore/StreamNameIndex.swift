/// The names of a store in order, for listing by prefix and page.
///
/// Runs make and delete streams all the time and people list them now and then, so changes are noted in O(1) and
/// sorted in when somebody asks.
package struct StreamNameIndex {
  private var sorted: [StreamName] = []
  private var added: Set<StreamName> = []
  private var removed: Set<StreamName> = []

  package init() {}

  /// The name must not be there.
  package mutating func insert(_ name: StreamName) {
    if removed.remove(name) == nil { added.insert(name) }
  }

  /// The name must be there.
  package mutating func remove(_ name: StreamName) {
    if added.remove(name) == nil { removed.insert(name) }
  }

  /// Names that start with `prefix`, in order, after `after`, at most `limit`.
  package mutating func names(prefix: String, after: StreamName?, limit: Int) -> ArraySlice<StreamName> {
    merge()
    var start = firstIndex { !$0.path.utf8.lexicographicallyPrecedes(prefix.utf8) }
    if let after { start = max(start, firstIndex { $0 > after }) }
    var end = start
    while end < sorted.count, end - start < limit, sorted[end].starts(with: prefix) { end += 1 }
    return sorted[start..<end]
  }

  private mutating func merge() {
    if !removed.isEmpty {
      sorted.removeAll { removed.contains($0) }
      removed = []
    }
    if added.isEmpty { return }
    let new = added.sorted()
    added = []
    guard let last = sorted.last, let first = new.first, last >= first else {
      sorted += new
      return
    }
    var merged: [StreamName] = []
    merged.reserveCapacity(sorted.count + new.count)
    var (i, j) = (0, 0)
    while i < sorted.count, j < new.count {
      if sorted[i] < new[j] {
        merged.append(sorted[i])
        i += 1
      } else {
        merged.append(new[j])
        j += 1
      }
    }
    merged += sorted[i...]
    merged += new[j...]
    sorted = merged
  }

  /// The first place where `isReached` holds; it must hold for all after it.
  private func firstIndex(_ isReached: (StreamName) -> Bool) -> Int {
    var (low, high) = (0, sorted.count)
    while low < high {
      let middle = (low + high) / 2
      if isReached(sorted[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}
