/// A Swift type that stands for a type of the language in a native's signature.
///
/// `typeName` is what the `extern func` must say. `bridge` answers nil when the value is of another type, which only a
/// wrong `extern` or a bug of the compiler can bring about.
package protocol Bridged {
  static var typeName: String { get }
  static func bridge(_ value: Value) -> Self?
  var bridged: Value { get }
}

extension Int: Bridged {
  package static var typeName: String { "int" }
  package static func bridge(_ value: Value) -> Int? { value.asInt }
  package var bridged: Value { .int(self) }
}

extension Double: Bridged {
  package static var typeName: String { "float" }
  package static func bridge(_ value: Value) -> Double? { value.asFloat }
  package var bridged: Value { .float(self) }
}

extension Bool: Bridged {
  package static var typeName: String { "bool" }
  package static func bridge(_ value: Value) -> Bool? { value.asBool }
  package var bridged: Value { .bool(self) }
}

extension String: Bridged {
  package static var typeName: String { "string" }
  package static func bridge(_ value: Value) -> String? { value.asString }
  package var bridged: Value { .string(self) }
}

/// `unit`: a native's closure returns `Unit()`.
package struct Unit: Bridged, Equatable {
  package init() {}
  package static var typeName: String { "unit" }
  package static func bridge(_ value: Value) -> Unit? { if case .unit = value { Unit() } else { nil } }
  package var bridged: Value { .unit }
}

/// `bytes`, apart from `[int]`.
package struct Bytes: Bridged, Equatable {
  package var array: [UInt8]
  package init(_ array: [UInt8]) { self.array = array }
  package static var typeName: String { "bytes" }
  package static func bridge(_ value: Value) -> Bytes? { value.asBytes.map(Bytes.init) }
  package var bridged: Value { .bytes(array) }
}

extension Array: Bridged where Element: Bridged {
  package static var typeName: String { "[\(Element.typeName)]" }
  package static func bridge(_ value: Value) -> [Element]? {
    guard case .list(let list) = value else { return nil }
    var items: [Element] = []
    items.reserveCapacity(list.count)
    for index in 0..<list.count {
      guard let item = Element.bridge(list[index]) else { return nil }
      items.append(item)
    }
    return items
  }
  package var bridged: Value { .list(List(map(\.bridged))) }
}

extension Optional: Bridged where Wrapped: Bridged {
  package static var typeName: String { "Option[\(Wrapped.typeName)]" }
  package static func bridge(_ value: Value) -> Wrapped?? {
    switch value {
    case .tag(let tag) where tag.index == 1: .some(nil)
    case .variant(let tag, let fields) where tag.index == 0: Wrapped.bridge(fields[0]).map { .some($0) }
    default: nil
    }
  }
  package var bridged: Value { map { Value.some($0.bridged) } ?? Value.none }
}

/// `Result[T, E]`; E need not be an `Error` in the language, so this is not Swift's `Result`.
package enum Outcome<Success: Bridged, Failure: Bridged>: Bridged {
  case ok(Success)
  case err(Failure)
  package static var typeName: String { "Result[\(Success.typeName), \(Failure.typeName)]" }
  package static func bridge(_ value: Value) -> Outcome? {
    guard case .variant(let tag, let fields) = value else { return nil }
    return tag.index == 0 ? Success.bridge(fields[0]).map { .ok($0) } : Failure.bridge(fields[0]).map { .err($0) }
  }
  package var bridged: Value {
    switch self {
    case .ok(let value): .ok(value.bridged)
    case .err(let failure): .err(failure.bridged)
    }
  }
}

/// A native resource under its own type name: `extension Connection: BridgedHandle { static var typeName … }`.
package protocol BridgedHandle: Handle, Bridged {}

extension BridgedHandle {
  package static func bridge(_ value: Value) -> Self? { value.asHandle as? Self }
  package var bridged: Value { .handle(self) }
}
