import WeirCore

/// One table of configuration while it is read: typed members, unknown keys refused with the nearest known one, every
/// complaint with the place (`ai_provider "x": timeouts.connect: …`).
struct ConfigTable {
  /// Most members and items read of one table or list: configuration is written by hand.
  static let countLimit = 1_000

  let place: String
  private let value: JSONValue

  init(_ value: JSONValue, place: String, known: [String]) throws(ConfigFailure) {
    guard let members = value.members else { throw ConfigFailure("\(place): expected a table") }
    guard members.count <= Self.countLimit else { throw ConfigFailure("\(place): more than \(Self.countLimit) keys") }
    for member in members where !known.contains(member.name) {
      throw .unknownKey(member.name, in: place, known: known)
    }
    self.value = value
    self.place = place
  }

  func has(_ key: String) -> Bool { value[key] != nil }

  func string(_ key: String) throws(ConfigFailure) -> String? {
    guard let found = value[key] else { return nil }
    guard let text = found.string else { throw wrong(key, "text in quotes") }
    return text
  }

  func bool(_ key: String) throws(ConfigFailure) -> Bool? {
    guard let found = value[key] else { return nil }
    guard let flag = found.bool else { throw wrong(key, "true or false") }
    return flag
  }

  func int(_ key: String, in range: ClosedRange<Int>) throws(ConfigFailure) -> Int? {
    guard let found = value[key] else { return nil }
    guard let number = found.int, range.contains(number) else {
      throw wrong(key, "a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  /// Not negative.
  func amount(_ key: String) throws(ConfigFailure) -> Double? {
    guard let found = value[key] else { return nil }
    guard let number = found.number, number.isFinite, number >= 0 else { throw wrong(key, "a number, not negative") }
    return number
  }

  func duration(_ key: String) throws(ConfigFailure) -> Duration? {
    guard let text = try string(key) else { return nil }
    guard let duration = Duration(text: text), duration > .zero else {
      throw wrong(key, "a time like \"10s\", \"1m30s\" or \"500ms\"")
    }
    return duration
  }

  func path(_ key: String) throws(ConfigFailure) -> JSONPath? {
    guard let text = try string(key) else { return nil }
    do throws(JSONPathFailure) {
      return try JSONPath(text)
    } catch {
      throw ConfigFailure("\(place): \(key): \(error.message)", hint: error.hint)
    }
  }

  func strings(_ key: String) throws(ConfigFailure) -> [String]? {
    guard let found = value[key] else { return nil }
    guard let items = found.array, items.count <= Self.countLimit else { throw wrong(key, "a list of texts") }
    var out: [String] = []
    for item in items {
      guard let text = item.string else { throw wrong(key, "a list of texts") }
      out.append(text)
    }
    return out
  }

  func choice<Choice: RawRepresentable<String>>(_ key: String, of all: [Choice]) throws(ConfigFailure) -> Choice? {
    guard let text = try string(key) else { return nil }
    let names = all.map(\.rawValue)
    guard names.contains(text), let choice = Choice(rawValue: text) else {
      throw ConfigFailure(
        "\(place): \(key): \"\(text)\" is not one of \(names.joined(separator: ", "))",
        hint: Spelling.nearest(to: text, among: names).map { "did you mean \"\($0)\"?" })
    }
    return choice
  }

  func table(_ key: String, known: [String]) throws(ConfigFailure) -> ConfigTable? {
    guard let found = value[key] else { return nil }
    return try ConfigTable(found, place: "\(place): \(key)", known: known)
  }

  func members(_ key: String) throws(ConfigFailure) -> [JSONMember]? {
    guard let found = value[key] else { return nil }
    guard let members = found.members, members.count <= Self.countLimit else { throw wrong(key, "a table") }
    return members
  }

  func required<Value>(_ key: String, _ value: Value?) throws(ConfigFailure) -> Value {
    guard let value else { throw ConfigFailure("\(place): \(key) is missing") }
    return value
  }

  func wrong(_ key: String, _ expected: String) -> ConfigFailure {
    ConfigFailure("\(place): \(key): expected \(expected)")
  }
}

extension ConfigFailure {
  static func unknownKey(_ key: String, in place: String, known: [String]) -> ConfigFailure {
    if let nearest = Spelling.nearest(to: key, among: known) {
      return ConfigFailure("\(place): unknown key \"\(key)\"; did you mean \"\(nearest)\"?")
    }
    return ConfigFailure(
      "\(place): unknown key \"\(key)\"", hint: "known keys: \(known.sorted().joined(separator: ", "))")
  }
}

extension JSONValue {
  /// Nil for null. (Written out, because a bare `nil` would be taken for the value `.null`.)
  var nonNull: JSONValue? { self == .null ? Optional<JSONValue>.none : .some(self) }

  var number: Double? {
    switch self {
    case .int(let number): Double(number)
    case .double(let number): number
    default: nil
    }
  }
}
