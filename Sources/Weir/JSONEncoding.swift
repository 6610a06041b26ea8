import WeirCore

/// Codable values as JSON trees, without Foundation: what streams and steps keep of a Swift value.
///
/// Refused with an `EncodingError`: numbers that JSON has not (NaN, infinities) or that no reader of `Int` would get back
/// (beyond 64 signed bits), and values nested deeper than a JSON text may be (`JSONParser.depthLimit`).
enum JSONEncoding {
  static func value(_ value: some Encodable) throws -> JSONValue {
    let slot = JSONSlot()
    try slot.encode(value, at: [])
    return slot.value
  }

  fileprivate static func checkDepth(_ path: [any CodingKey], _ value: Any) throws {
    if path.count >= JSONParser.depthLimit {
      throw refused(value, path, "nested more than \(JSONParser.depthLimit) deep")
    }
  }

  fileprivate static func refused(_ value: Any, _ path: [any CodingKey], _ why: String) -> EncodingError {
    .invalidValue(value, .init(codingPath: path, debugDescription: why))
  }

  fileprivate static func number(_ value: Double, at path: [any CodingKey]) throws -> JSONValue {
    guard value.isFinite else { throw refused(value, path, "JSON has no \(value)") }
    return .double(value)
  }

  fileprivate static func number(_ value: some FixedWidthInteger, at path: [any CodingKey]) throws -> JSONValue {
    guard let number = Int(exactly: value) else { throw refused(value, path, "\(value) is beyond 64 signed bits") }
    return .int(number)
  }
}

/// A place of the tree that is filled in while containers of it are open.
private final class JSONSlot {
  private enum Content {
    case nothing
    case value(JSONValue)
    case array([JSONSlot])
    case object(names: [String], [String: JSONSlot])
  }
  private var content = Content.nothing

  var value: JSONValue {
    switch content {
    // A type that encodes nothing: as an object without members.
    case .nothing: .object([])
    case .value(let value): value
    case .array(let slots): .array(slots.map(\.value))
    case .object(let names, let slots):
      .object(names.compactMap { name in slots[name].map { JSONMember(name, $0.value) } })
    }
  }

  func set(_ value: JSONValue) { content = .value(value) }
  func beginArray() { if case .array = content {} else { content = .array([]) } }
  func beginObject() { if case .object = content {} else { content = .object(names: [], [:]) } }

  var count: Int { if case .array(let slots) = content { slots.count } else { 0 } }

  func appended() -> JSONSlot {
    let slot = JSONSlot()
    if case .array(var slots) = content {
      content = .nothing
      slots.append(slot)
      content = .array(slots)
    }
    return slot
  }

  func member(_ name: String) -> JSONSlot {
    let slot = JSONSlot()
    if case .object(var names, var slots) = content {
      content = .nothing
      if slots.updateValue(slot, forKey: name) == nil { names.append(name) }
      content = .object(names: names, slots)
    }
    return slot
  }

  func encode<Value: Encodable>(_ value: Value, at path: [any CodingKey]) throws {
    try JSONEncoding.checkDepth(path, value)
    switch value {
    case let text as String: set(.string(text))
    case let number as Int: set(.int(number))
    case let number as Double: set(try JSONEncoding.number(number, at: path))
    case let flag as Bool: set(.bool(flag))
    default: try value.encode(to: SlotEncoder(slot: self, codingPath: path))
    }
  }
}

private struct SlotEncoder: Encoder, SingleValueEncodingContainer {
  let slot: JSONSlot
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    slot.beginObject()
    return KeyedEncodingContainer(ObjectEncoding<Key>(slot: slot, codingPath: codingPath))
  }
  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    slot.beginArray()
    return ArrayEncoding(slot: slot, codingPath: codingPath)
  }
  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  func encodeNil() { slot.set(.null) }
  func encode(_ value: Bool) { slot.set(.bool(value)) }
  func encode(_ value: String) { slot.set(.string(value)) }
  func encode(_ value: Double) throws { slot.set(try JSONEncoding.number(value, at: codingPath)) }
  func encode(_ value: Float) throws { slot.set(try JSONEncoding.number(Double(value), at: codingPath)) }
  func encode(_ value: Int) throws { slot.set(.int(value)) }
  func encode(_ value: Int8) throws { slot.set(.int(Int(value))) }
  func encode(_ value: Int16) throws { slot.set(.int(Int(value))) }
  func encode(_ value: Int32) throws { slot.set(.int(Int(value))) }
  func encode(_ value: Int64) throws { slot.set(try JSONEncoding.number(value, at: codingPath)) }
  func encode(_ value: UInt) throws { slot.set(try JSONEncoding.number(value, at: codingPath)) }
  func encode(_ value: UInt8) throws { slot.set(.int(Int(value))) }
  func encode(_ value: UInt16) throws { slot.set(.int(Int(value))) }
  func encode(_ value: UInt32) throws { slot.set(.int(Int(value))) }
  func encode(_ value: UInt64) throws { slot.set(try JSONEncoding.number(value, at: codingPath)) }
  func encode(_ value: some Encodable) throws { try slot.encode(value, at: codingPath) }
}

private struct ObjectEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let slot: JSONSlot
  let codingPath: [any CodingKey]

  func encodeNil(forKey key: Key) { slot.member(key.stringValue).set(.null) }
  func encode(_ value: some Encodable, forKey key: Key) throws {
    try slot.member(key.stringValue).encode(value, at: codingPath + [key])
  }

  func nestedContainer<Nested: CodingKey>(
    keyedBy type: Nested.Type, forKey key: Key
  ) -> KeyedEncodingContainer<Nested> {
    encoder(key).container(keyedBy: type)
  }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { encoder(key).unkeyedContainer() }
  func superEncoder() -> any Encoder { encoder(JSONCodingKey("super")) }
  func superEncoder(forKey key: Key) -> any Encoder { encoder(key) }

  private func encoder(_ key: any CodingKey) -> SlotEncoder {
    SlotEncoder(slot: slot.member(key.stringValue), codingPath: codingPath + [key])
  }
}

private struct ArrayEncoding: UnkeyedEncodingContainer {
  let slot: JSONSlot
  let codingPath: [any CodingKey]
  var count: Int { slot.count }

  func encodeNil() { slot.appended().set(.null) }
  func encode(_ value: some Encodable) throws {
    let path = codingPath + [JSONCodingKey(index: count)]
    try slot.appended().encode(value, at: path)
  }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
    encoder().container(keyedBy: type)
  }
  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { encoder().unkeyedContainer() }
  func superEncoder() -> any Encoder { encoder() }

  private func encoder() -> SlotEncoder {
    let path = codingPath + [JSONCodingKey(index: count)]
    return SlotEncoder(slot: slot.appended(), codingPath: path)
  }
}

/// A member's name or an item's place in a coding path.
struct JSONCodingKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  init(_ name: String) {
    stringValue = name
    intValue = nil
  }
  init(index: Int) {
    stringValue = "Index \(index)"
    intValue = index
  }
  init?(stringValue: String) { self.init(stringValue) }
  init?(intValue: Int) { self.init(index: intValue) }
}
