import WeirLang

/// Reads a record of the language by field name; optional fields that are absent read as nil.
struct RecordReader {
  private let names: [String]
  private let fields: Fields

  init(_ value: Value, _ context: NativeContext) throws {
    guard case .record(let layout, let fields) = value, let names = context.names.layouts[layout] else {
      throw Trap("BadArgument", "expected a record")
    }
    self.names = names
    self.fields = fields
  }

  /// The value of a field, taken out of its `Some`.
  func value(_ name: String) throws -> Value? {
    guard let index = names.firstIndex(of: name) else { return nil }
    return Self.unwrapped(fields[index])
  }

  func string(_ name: String) throws -> String? { try value(name)?.asString }
  func int(_ name: String) throws -> Int? { try value(name)?.asInt }
  func bool(_ name: String) throws -> Bool? { try value(name)?.asBool }
  func float(_ name: String) throws -> Double? { try value(name)?.asFloat }

  /// Fields that are there, in the order of their names.
  func present() throws -> [(String, Value)] {
    names.indices.compactMap { index in Self.unwrapped(fields[index]).map { (names[index], $0) } }
  }

  private static func unwrapped(_ value: Value) -> Value? {
    switch value {
    case .tag(let tag) where tag == TypeTag.option[1]: nil
    case .variant(let tag, let payload) where tag == TypeTag.option[0]: payload[0]
    default: value
    }
  }
}
