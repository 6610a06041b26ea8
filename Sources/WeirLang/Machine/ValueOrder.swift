/// Equality and order of values by structure, with a stack of their own instead of recursion: a script's values nest as
/// deep as its author likes.
///
/// Strings compare by their bytes, not by Unicode's canonical equivalence: that is what `==` on data from a wire should
/// mean, and it is the order of code points. Functions, cells and handles are equal only to themselves.
extension Value {
  package static func areEqual(_ a: Value, _ b: Value) -> Bool {
    switch (a, b) {
    case (.int(let x), .int(let y)): x == y
    case (.string(let x), .string(let y)): x.hasSameBytes(as: y)
    case (.bool(let x), .bool(let y)): x == y
    case (.tag(let x), .tag(let y)): x.index == y.index
    case (.tag, .variant), (.variant, .tag): false
    case (.unit, .unit): true
    case (.float(let x), .float(let y)): x == y
    default: order(a, b) == 0
    }
  }

  /// Negative, 0, positive; nil when there is no order (NaN, functions, handles that differ). Lists and fields compare item
  /// by item, then by length; variants by constructor first; maps by their entries in order of insertion for `<`, and for
  /// equality without regard to it.
  package static func order(_ a: Value, _ b: Value) -> Int? {
    var pending: [(Value, Value)] = [(a, b)]
    while let (a, b) = pending.popLast() {
      switch (a, b) {
      case (.unit, .unit): continue
      case (.int(let x), .int(let y)): if x != y { return x < y ? -1 : 1 }
      case (.float, .float), (.int, .float), (.float, .int):
        guard let x = a.asFloat, let y = b.asFloat, !x.isNaN, !y.isNaN else { return nil }
        if x != y { return x < y ? -1 : 1 }
      case (.bool(let x), .bool(let y)): if x != y { return x ? 1 : -1 }
      case (.string(let x), .string(let y)):
        if x.hasSameBytes(as: y) { continue }
        return x.utf8.lexicographicallyPrecedes(y.utf8) ? -1 : 1
      case (.bytes(let x), .bytes(let y)):
        if x == y { continue }
        return x.lexicographicallyPrecedes(y) ? -1 : 1
      case (.tag(let x), .tag(let y)): if x.index != y.index { return x.index < y.index ? -1 : 1 }
      case (.tag(let x), .variant(let y, _)): return x.index < y.index ? -1 : 1
      case (.variant(let x, _), .tag(let y)): return x.index < y.index ? -1 : 1
      case (.variant(let x, let fields), .variant(let y, let others)):
        if x.index != y.index { return x.index < y.index ? -1 : 1 }
        push(fields, others, &pending)
      case (.record(_, let fields), .record(_, let others)): push(fields, others, &pending)
      case (.list(let x), .list(let y)):
        // The lengths decide when all common items are equal, so they are looked at last.
        let common = Swift.min(x.count, y.count)
        if x.count != y.count { pending.append((.int(x.count), .int(y.count))) }
        for place in stride(from: common - 1, through: 0, by: -1) { pending.append((x[place], y[place])) }
      case (.map(let x), .map(let y)):
        let left = Map(root: x)
        let right = Map(root: y)
        if left.count != right.count { return left.count < right.count ? -1 : 1 }
        var sameKeys = true
        left.visit { key, value in
          guard sameKeys, let other = right[key] else {
            sameKeys = false
            return
          }
          pending.append((value, other))
        }
        if !sameKeys { return order(.list(List(left.keys)), .list(List(right.keys))) ?? 1 }
      case (.handle(let x), .handle(let y)): if x !== y { return nil }
      case (.function(let x, let captures), .function(let y, let others)):
        if x != y || (captures !== others && captures.count + others.count > 0) { return nil }
      case (.cell(let x), .cell(let y)): if x !== y { return nil }
      default: return nil
      }
    }
    return 0
  }

  private static func push(_ fields: Fields, _ others: Fields, _ pending: inout [(Value, Value)]) {
    if fields === others { return }
    for place in stride(from: fields.count - 1, through: 0, by: -1) where place < others.count {
      pending.append((fields[place], others[place]))
    }
  }
}

extension String {
  /// The two words of a short string are the string, and those of a long one its address: alike means equal.
  func hasSameBytes(as other: String) -> Bool {
    let (a, b) = (unsafeBitCast(self, to: (UInt64, UInt64).self), unsafeBitCast(other, to: (UInt64, UInt64).self))
    if a == b { return true }
    return utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
  }
}
