/// What a register holds. Types are erased: the checker has proved them, so a case that does not fit its instruction is
/// a bug of the compiler or of a native, and traps.
///
/// 17 bytes, stride 24, counted by ARC. `String` and `[UInt8]` are inline so that natives are ordinary Swift and small
/// strings never allocate. Whatever can hold other values holds them in one `Fields`, the only class that must know how
/// to let go of deep nesting without recursion.
///
/// Invariant: a value stays on the loop that made it (the front and end of a `List` may grow in place, cells change).
package enum Value {
  case unit
  case bool(Bool)
  case int(Int)
  case float(Double)
  /// A constructor without payload.
  case tag(ConstructorTag)
  case string(String)
  case bytes([UInt8])
  case list(List)
  /// The layout says the fields' names, for `show` and JSON; 0 is a tuple. Fields are in sorted order.
  case record(LayoutID, Fields)
  case variant(ConstructorTag, Fields)
  /// Code and the values it captured.
  case function(FunctionRef, Fields)
  /// An ordered, persistent map; reached through `Map`.
  case map(Fields)
  /// The box of a captured `var`: one field that changes.
  case cell(Fields)
  case handle(Handle)
}

package typealias LayoutID = UInt32

/// Which constructor, of which type: the low 16 bits are its place in the type (what `match` looks at), the high ones the
/// type's id (what `show` and JSON look at).
package struct ConstructorTag: Equatable {
  package var bits: UInt32
  package init(bits: UInt32) { self.bits = bits }
  package init(type: Int, index: Int) {
    bits = UInt32(truncatingIfNeeded: type) << 16 | UInt32(UInt16(truncatingIfNeeded: index))
  }
  package var type: Int { Int(bits >> 16) }
  package var index: Int { Int(bits & 0xFFFF) }
}

/// Base class of native resources: connections, processes, streams. Dropped with the last value that names it, so
/// `deinit` is the place to close what it owns.
open class Handle {
  /// For `show`: `<StreamConn>`.
  package let kind: String
  public init(kind: String) { self.kind = kind }
}

extension Value {
  /// Owns nothing, so it may be overwritten without being released. Checked before every register store.
  @inline(__always)
  var isScalar: Bool {
    switch self {
    case .unit, .bool, .int, .float, .tag: true
    default: false
    }
  }

  /// What this value owns that may own other values.
  @inline(__always)
  var ownedFields: Unmanaged<Fields>? {
    switch self {
    case .record(_, let f), .variant(_, let f), .function(_, let f), .map(let f), .cell(let f): .passUnretained(f)
    case .list(let list): .passUnretained(list.buffer)
    default: nil
    }
  }

  // Well-known shapes, for natives.
  package static var none: Value { .tag(TypeTag.option[1]) }
  package static func some(_ value: Value) -> Value { .variant(TypeTag.option[0], Fields.of(value)) }
  package static func ok(_ value: Value) -> Value { .variant(TypeTag.result[0], Fields.of(value)) }
  package static func err(_ value: Value) -> Value { .variant(TypeTag.result[1], Fields.of(value)) }
  package static func tuple(_ values: Value...) -> Value { .record(0, Fields.of(values)) }

  /// A constructor with payload, or its bare tag when there is none.
  package static func constructor(_ tag: ConstructorTag, _ payload: [Value] = []) -> Value {
    payload.isEmpty ? .tag(tag) : .variant(tag, Fields.of(payload))
  }

  /// The constructor's place in its type and its payload; nil for anything but a variant.
  package var asVariant: (index: Int, payload: [Value])? {
    switch self {
    case .tag(let tag): (tag.index, [])
    case .variant(let tag, let fields): (tag.index, fields.array)
    default: nil
    }
  }
  package var asInt: Int? { if case .int(let i) = self { i } else { nil } }
  package var asBool: Bool? { if case .bool(let b) = self { b } else { nil } }
  package var asString: String? { if case .string(let s) = self { s } else { nil } }
  package var asBytes: [UInt8]? { if case .bytes(let b) = self { b } else { nil } }
  package var asList: List? { if case .list(let l) = self { l } else { nil } }
  package var asMap: Map? { if case .map(let f) = self { Map(root: f) } else { nil } }
  package var asHandle: Handle? { if case .handle(let h) = self { h } else { nil } }
  package var asFields: Fields? { if case .record(_, let f) = self { f } else { nil } }
  /// JSON's numbers keep exact integers as ints behind a float's type, so a float may be read from either.
  package var asFloat: Double? {
    switch self {
    case .float(let d): d
    case .int(let i): Double(i)
    default: nil
    }
  }
}
