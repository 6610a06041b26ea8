/// A map value: persistent, ordered by first insertion, keys by structural equality.
///
/// Up to `flatLimit` entries it is one flat run of keys and values (most JSON objects); beyond that two balanced trees,
/// key → sequence number and sequence number → entry, so that every change is O(log n) and shares the rest. All nodes are
/// `Fields`, which makes dropping a deep map safe like everything else.
///
///     flat:   [false, key, value, key, value …]
///     trees:  [true, count, next sequence number, tree of keys, tree of entries]
package struct Map {
  package let root: Fields

  /// Entries found by looking at each: measured against a tree, about where the tree starts to win.
  static let flatLimit = 8

  package init(root: Fields) { self.root = root }
  package init() { root = Fields.of(.bool(false)) }
  package init(_ entries: [(key: Value, value: Value)]) {
    var map = Map()
    for entry in entries { map = map.setting(entry.key, entry.value) }
    self = map
  }

  private var isFlat: Bool { if case .bool(false) = root[0] { true } else { false } }

  package var count: Int { isFlat ? (root.count - 1) / 2 : root[1].asInt ?? 0 }

  package subscript(_ key: Value) -> Value? {
    if isFlat { return flatPlace(key).map { root[$0 + 1] } }
    guard let sequence = MapTree.find(root[3], key) else { return nil }
    return MapTree.find(root[4], sequence.a)?.b
  }
  package subscript(_ key: String) -> Value? { self[.string(key)] }

  package func setting(_ key: Value, _ value: Value) -> Map {
    if isFlat {
      if let place = flatPlace(key) { return Map(root: root.replacing(place + 1, value)) }
      if count < Map.flatLimit { return Map(root: Fields.of(root.array + [key, value])) }
      return asTrees.setting(key, value)
    }
    let next = root[2].asInt ?? 0
    if let found = MapTree.find(root[3], key) {
      let entries = MapTree.insert(root[4], found.a, key, value)
      return Map(root: root.replacing(4, entries))
    }
    let keys = MapTree.insert(root[3], key, .int(next), .unit)
    let entries = MapTree.insert(root[4], .int(next), key, value)
    return Map(root: Fields.of(.bool(true), .int(count + 1), .int(next + 1), keys, entries))
  }

  package func removing(_ key: Value) -> Map {
    if isFlat {
      guard let place = flatPlace(key) else { return self }
      var items = root.array
      items.removeSubrange(place...place + 1)
      return Map(root: Fields.of(items))
    }
    guard let found = MapTree.find(root[3], key) else { return self }
    let keys = MapTree.remove(root[3], key)
    let entries = MapTree.remove(root[4], found.a)
    return Map(root: Fields.of(.bool(true), .int(count - 1), root[2], keys, entries))
  }

  /// In order of insertion.
  package func visit<E: Error>(_ body: (Value, Value) throws(E) -> Void) throws(E) {
    if isFlat {
      for place in stride(from: 1, to: root.count, by: 2) { try body(root[place], root[place + 1]) }
    } else {
      try MapTree.walk(root[4], body)
    }
  }

  package var keys: [Value] {
    var keys: [Value] = []
    keys.reserveCapacity(count)
    visit { key, _ in keys.append(key) }
    return keys
  }

  package var entries: [(key: Value, value: Value)] {
    var entries: [(key: Value, value: Value)] = []
    entries.reserveCapacity(count)
    visit { key, value in entries.append((key, value)) }
    return entries
  }

  private func flatPlace(_ key: Value) -> Int? {
    let slots = root.slots
    for place in stride(from: 1, to: root.count, by: 2) where Value.areEqual(slots[place], key) { return place }
    return nil
  }

  private var asTrees: Map {
    var keys = Value.unit
    var entries = Value.unit
    var next = 0
    visit { key, value in
      keys = MapTree.insert(keys, key, .int(next), .unit)
      entries = MapTree.insert(entries, .int(next), key, value)
      next += 1
    }
    return Map(root: Fields.of(.bool(true), .int(next), .int(next), keys, entries))
  }
}

/// A persistent AVL tree of values: `.unit`, or a record of left, right, height, key, a, b.
private enum MapTree {
  static func find(_ tree: Value, _ key: Value) -> (a: Value, b: Value)? {
    var tree = tree
    while case .record(_, let node) = tree {
      let order = Value.order(key, node[3]) ?? 0
      if order == 0 { return (node[4], node[5]) }
      tree = order < 0 ? node[0] : node[1]
    }
    return nil
  }

  static func insert(_ tree: Value, _ key: Value, _ a: Value, _ b: Value) -> Value {
    guard case .record(_, let node) = tree else { return .record(0, Fields.of(.unit, .unit, .int(1), key, a, b)) }
    let order = Value.order(key, node[3]) ?? 0
    if order == 0 { return .record(0, Fields.of(node[0], node[1], node[2], node[3], a, b)) }
    return order < 0
      ? balanced(insert(node[0], key, a, b), node[1], node) : balanced(node[0], insert(node[1], key, a, b), node)
  }

  static func remove(_ tree: Value, _ key: Value) -> Value {
    guard case .record(_, let node) = tree else { return tree }
    let order = Value.order(key, node[3]) ?? 0
    if order < 0 { return balanced(remove(node[0], key), node[1], node) }
    if order > 0 { return balanced(node[0], remove(node[1], key), node) }
    guard case .record(_, var least) = node[1] else { return node[0] }
    while case .record(_, let lower) = least[0] { least = lower }
    return balanced(node[0], remove(node[1], least[3]), least)
  }

  static func walk<E: Error>(_ tree: Value, _ body: (Value, Value) throws(E) -> Void) throws(E) {
    guard case .record(_, let node) = tree else { return }
    try walk(node[0], body)
    try body(node[4], node[5])
    try walk(node[1], body)
  }

  private static func height(_ tree: Value) -> Int {
    guard case .record(_, let node) = tree, case .int(let height) = node[2] else { return 0 }
    return height
  }

  private static func node(_ left: Value, _ right: Value, _ entry: Fields) -> Value {
    let height = 1 + max(height(left), height(right))
    return .record(0, Fields.of(left, right, .int(height), entry[3], entry[4], entry[5]))
  }

  /// A node of these children, rotated where one is two higher than the other.
  private static func balanced(_ left: Value, _ right: Value, _ entry: Fields) -> Value {
    let lean = height(left) - height(right)
    if lean > 1, case .record(_, let l) = left {
      if height(l[0]) >= height(l[1]) { return node(l[0], node(l[1], right, entry), l) }
      guard case .record(_, let middle) = l[1] else { return node(left, right, entry) }
      return node(node(l[0], middle[0], l), node(middle[1], right, entry), middle)
    }
    if lean < -1, case .record(_, let r) = right {
      if height(r[1]) >= height(r[0]) { return node(node(left, r[0], entry), r[1], r) }
      guard case .record(_, let middle) = r[0] else { return node(left, right, entry) }
      return node(node(left, middle[0], entry), node(middle[1], r[1], r), middle)
    }
    return node(left, right, entry)
  }
}
