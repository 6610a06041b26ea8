import WeirCore

/// JSON trees as Codable values, without Foundation. What does not fit is a `DecodingError` with its path: nothing is rounded
/// to an integer, cut to a smaller one, or made up for what is missing.
enum JSONDecoding {
  static func value<Value: Decodable>(_ json: JSONValue, as type: Value.Type) throws -> Value {
    try decode(type, json, at: [])
  }

  /// In words for a person: what does not fit, and where.
  static func problem(_ error: any Error) -> String {
    guard let error = error as? DecodingError else { return "\(error)" }
    func at(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
      return path.isEmpty ? context.debugDescription : "\(path): \(context.debugDescription)"
    }
    return switch error {
    case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context): at(context)
    case .keyNotFound(_, let context): at(context)
    @unknown default: "\(error)"
    }
  }

  fileprivate static func decode<Value: Decodable>(
    _ type: Value.Type, _ json: JSONValue, at path: [any CodingKey]
  ) throws -> Value {
    // Trees that were not parsed may be deeper.
    guard path.count <= JSONParser.depthLimit else {
      throw DecodingError.dataCorrupted(
        .init(codingPath: path, debugDescription: "nested more than \(JSONParser.depthLimit) deep"))
    }
    if type == String.self, case .string(let text) = json, let value = text as? Value { return value }
    return try type.init(from: ValueDecoder(json: json, codingPath: path))
  }

  fileprivate static func mismatch(_ type: Any.Type, _ json: JSONValue, _ path: [any CodingKey]) -> DecodingError {
    let context = DecodingError.Context(codingPath: path, debugDescription: "expected \(type), found \(kind(json))")
    return json == .null ? .valueNotFound(type, context) : .typeMismatch(type, context)
  }

  private static func kind(_ json: JSONValue) -> String {
    switch json {
    case .null: "null"
    case .bool(let flag): "\(flag)"
    case .int(let number): "\(number)"
    case .double(let number): "\(number)"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}

private struct ValueDecoder: Decoder, SingleValueDecodingContainer {
  let json: JSONValue
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard case .object(let members) = json else {
      throw JSONDecoding.mismatch([String: Any].self, json, codingPath)
    }
    return KeyedDecodingContainer(ObjectDecoding<Key>(members, codingPath))
  }
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    guard case .array(let items) = json else { throw JSONDecoding.mismatch([Any].self, json, codingPath) }
    return ArrayDecoding(items: items, codingPath: codingPath)
  }
  func singleValueContainer() -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool { json == .null }
  func decode(_ type: Bool.Type) throws -> Bool {
    guard case .bool(let flag) = json else { throw JSONDecoding.mismatch(type, json, codingPath) }
    return flag
  }
  func decode(_ type: String.Type) throws -> String {
    guard case .string(let text) = json else { throw JSONDecoding.mismatch(type, json, codingPath) }
    return text
  }
  func decode(_ type: Double.Type) throws -> Double {
    switch json {
    case .double(let number): return number
    case .int(let number): return Double(number)
    default: throw JSONDecoding.mismatch(type, json, codingPath)
    }
  }
  func decode(_ type: Float.Type) throws -> Float {
    let number = Float(try decode(Double.self))
    guard number.isFinite else { throw JSONDecoding.mismatch(type, json, codingPath) }
    return number
  }
  func decode(_ type: Int.Type) throws -> Int { try integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try JSONDecoding.decode(type, json, at: codingPath)
  }

  private func integer<Number: FixedWidthInteger>(_ type: Number.Type) throws -> Number {
    let exact: Number? =
      switch json {
      case .int(let number): Number(exactly: number)
      case .double(let number): Number(exactly: number)
      default: nil
      }
    guard let exact else { throw JSONDecoding.mismatch(type, json, codingPath) }
    return exact
  }
}

private struct ObjectDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
  let codingPath: [any CodingKey]
  /// Looked up once for each key of a type, so not searched one by one: an object may have any number of members.
  private let members: [String: JSONValue]

  init(_ members: [JSONMember], _ codingPath: [any CodingKey]) {
    self.codingPath = codingPath
    self.members = Dictionary(members.map { ($0.name, $0.value) }) { _, later in later }
  }

  var allKeys: [Key] { members.keys.compactMap { Key(stringValue: $0) } }
  func contains(_ key: Key) -> Bool { members[key.stringValue] != nil }

  func decodeNil(forKey key: Key) throws -> Bool { try member(key) == .null }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try JSONDecoding.decode(type, member(key), at: codingPath + [key])
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<Nested> {
    try decoder(key).container(keyedBy: type)
  }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try decoder(key).unkeyedContainer()
  }
  func superDecoder() throws -> any Decoder { try decoder(JSONCodingKey("super")) }
  func superDecoder(forKey key: Key) throws -> any Decoder { try decoder(key) }

  private func member(_ key: any CodingKey) throws -> JSONValue {
    guard let value = members[key.stringValue] else {
      throw DecodingError.keyNotFound(
        key, .init(codingPath: codingPath, debugDescription: "no member \"\(key.stringValue)\""))
    }
    return value
  }
  private func decoder(_ key: any CodingKey) throws -> ValueDecoder {
    ValueDecoder(json: try member(key), codingPath: codingPath + [key])
  }
}

private struct ArrayDecoding: UnkeyedDecodingContainer {
  let items: [JSONValue]
  let codingPath: [any CodingKey]
  private(set) var currentIndex = 0
  var count: Int? { items.count }
  var isAtEnd: Bool { currentIndex == items.count }

  init(items: [JSONValue], codingPath: [any CodingKey]) {
    self.items = items
    self.codingPath = codingPath
  }

  mutating func decodeNil() throws -> Bool {
    guard try item(Any?.self) == .null else { return false }
    currentIndex += 1
    return true
  }
  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let value = try JSONDecoding.decode(type, item(type), at: path)
    currentIndex += 1
    return value
  }

  mutating func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type
  ) throws -> KeyedDecodingContainer<Nested> {
    try superDecoder().container(keyedBy: type)
  }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try superDecoder().unkeyedContainer()
  }
  mutating func superDecoder() throws -> any Decoder {
    let decoder = ValueDecoder(json: try item((any Decoder).self), codingPath: path)
    currentIndex += 1
    return decoder
  }

  private var path: [any CodingKey] { codingPath + [JSONCodingKey(index: currentIndex)] }

  private func item(_ type: Any.Type) throws -> JSONValue {
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(
        type, .init(codingPath: path, debugDescription: "the array has \(items.count) items"))
    }
    return items[currentIndex]
  }
}
