import WeirCore

/// Values as text: `show` and interpolation, and JSON. Both walk with a stack of their own: values nest as deep as a
/// program likes.
///
///     show:  {name: "x", at: (1, 2)}  [Some(1), None]  {"key": 1.5}  ()  <StreamConn>
///     JSON:  records are objects, tuples arrays, None is null, Some(x) is x, unit null, bytes base64;
///            other constructors are their name, or {"Name": payload} ({"Name": [a, b]} with several)
extension Value {
  private enum Piece {
    case text(StaticString)
    case name(String)
    case value(Value)
  }

  /// As `show` prints it: strings inside are quoted.
  package func shown(_ names: ProgramNames) -> String {
    if case .int(let number) = self { return number.description }
    var out: [UInt8] = []
    var pending: [Piece] = [.value(self)]
    while let piece = pending.popLast() {
      switch piece {
      case .text(let text): JSONWriter.append(raw: text, to: &out)
      case .name(let name): out.append(contentsOf: name.utf8)
      case .value(let value): value.show(names, &out, &pending)
      }
    }
    return String(decoding: out, as: UTF8.self)
  }

  private func show(_ names: ProgramNames, _ out: inout [UInt8], _ pending: inout [Piece]) {
    switch self {
    case .unit: JSONWriter.append(raw: "()", to: &out)
    case .bool(let b): JSONWriter.append(raw: b ? "true" : "false", to: &out)
    case .int(let i): JSONWriter.append(i, to: &out)
    case .float(let d): out.append(contentsOf: d.description.utf8)
    case .string(let s): JSONWriter.append(string: s, to: &out)
    case .bytes(let bytes):
      out.append(contentsOf: "bytes(\"".utf8)
      for byte in bytes.prefix(Value.shownBytesLimit) {
        out.append(contentsOf: (byte < 16 ? "0" : "").utf8)
        out.append(contentsOf: String(byte, radix: 16).utf8)
      }
      JSONWriter.append(raw: bytes.count > Value.shownBytesLimit ? "…\")" : "\")", to: &out)
    case .tag(let tag): out.append(contentsOf: (names.constructor(tag)?.name ?? "#\(tag.index)").utf8)
    case .variant(let tag, let fields):
      out.append(contentsOf: (names.constructor(tag)?.name ?? "#\(tag.index)").utf8)
      Value.push(fields.array, open: "(", close: ")", &out, &pending)
    case .record(let id, let fields):
      guard let labels = names.layouts[id] else {
        Value.push(fields.array, open: "(", close: ")", &out, &pending)
        return
      }
      JSONWriter.append(raw: "{", to: &out)
      pending.append(.text("}"))
      for place in stride(from: fields.count - 1, through: 0, by: -1) {
        pending.append(.value(fields[place]))
        pending.append(.text(": "))
        pending.append(.name(labels[place]))
        if place > 0 { pending.append(.text(", ")) }
      }
    case .list(let list): Value.push(list.array, open: "[", close: "]", &out, &pending)
    case .map(let root):
      JSONWriter.append(raw: "{", to: &out)
      pending.append(.text("}"))
      let entries = Map(root: root).entries
      for place in entries.indices.reversed() {
        pending.append(.value(entries[place].value))
        pending.append(.text(": "))
        pending.append(.value(entries[place].key))
        if place > 0 { pending.append(.text(", ")) }
      }
    case .function(let function, _): out.append(contentsOf: "<function \(function.name)>".utf8)
    case .cell(let box): pending.append(.value(box[0]))
    case .handle(let handle): out.append(contentsOf: "<\(handle.kind)>".utf8)
    }
  }

  /// Bytes that `show` prints; the rest is `…`.
  private static let shownBytesLimit = 256

  private static func push(
    _ items: [Value], open: StaticString, close: StaticString, _ out: inout [UInt8], _ pending: inout [Piece]
  ) {
    JSONWriter.append(raw: open, to: &out)
    pending.append(.text(close))
    for place in items.indices.reversed() {
      pending.append(.value(items[place]))
      if place > 0 { pending.append(.text(", ")) }
    }
  }

  /// What becomes of values that JSON cannot say.
  package enum JSONCare {
    /// NaN and infinities are null, as in JavaScript.
    case lenient
    /// They are a trap.
    case finite
    /// So is whatever would not be the same value when it is read back: `Some` of what is null would be `None`, and what is
    /// nested deeper than a parser goes would be nothing.
    case kept
  }

  /// Compact JSON. Functions and handles have none: a trap.
  package func json(_ names: ProgramNames, _ care: JSONCare = .lenient) throws(Trap) -> String {
    String(decoding: try jsonBytes(names, care), as: UTF8.self)
  }

  package func jsonBytes(_ names: ProgramNames, _ care: JSONCare) throws(Trap) -> [UInt8] {
    var out: [UInt8] = []
    var pending: [Piece] = [.value(self)]
    while let piece = pending.popLast() {
      switch piece {
      case .text(let text): JSONWriter.append(raw: text, to: &out)
      case .name(let name): JSONWriter.append(string: name, to: &out)
      case .value(let value): try value.encode(names, care, &out, &pending)
      }
    }
    if care == .kept, JSONParser.isTooDeep(out) {
      throw Trap("NotJSON", "the value is nested more than \(JSONParser.depthLimit) deep: it could not be read back")
    }
    return out
  }

  private func encode(
    _ names: ProgramNames, _ care: JSONCare, _ out: inout [UInt8], _ pending: inout [Piece]
  ) throws(Trap) {
    switch self {
    case .unit: JSONWriter.append(raw: "null", to: &out)
    case .bool(let b): JSONWriter.append(raw: b ? "true" : "false", to: &out)
    case .int(let i): JSONWriter.append(i, to: &out)
    case .float(let d):
      if care != .lenient, !d.isFinite { throw Trap("NotJSON", "the value has \(d), and JSON has no such number") }
      JSONWriter.append(.double(d), to: &out)
    case .string(let s): JSONWriter.append(string: s, to: &out)
    case .bytes(let bytes): JSONWriter.append(string: Base64.encode(bytes), to: &out)
    case .tag(let tag):
      if tag == TypeTag.option[1] || tag == TypeTag.json[0] {
        JSONWriter.append(raw: "null", to: &out)
      } else {
        JSONWriter.append(string: names.constructor(tag)?.name ?? "#\(tag.index)", to: &out)
      }
    case .variant(let tag, let fields):
      if tag.type == TypeTag.option.id || tag.type == TypeTag.json.id {
        if care == .kept, tag.type == TypeTag.option.id, fields[0].isNullInJSON {
          throw Trap(
            "NotJSON", "the value has \(shown(names)), which is null as JSON and would be read back as None",
            hint: "say the same with a type of your own")
        }
        pending.append(.value(fields[0]))
        return
      }
      JSONWriter.append(raw: "{", to: &out)
      JSONWriter.append(string: names.constructor(tag)?.name ?? "#\(tag.index)", to: &out)
      JSONWriter.append(raw: ":", to: &out)
      pending.append(.text("}"))
      if fields.count == 1 {
        pending.append(.value(fields[0]))
      } else {
        pending.append(.value(.record(0, fields)))
      }
    case .record(let id, let fields):
      if let labels = names.layouts[id] {
        Value.push(zip(labels, fields.array).map { ($0, $1) }, &out, &pending)
      } else {
        Value.pushArray(fields.array, &out, &pending)
      }
    case .list(let list): Value.pushArray(list.array, &out, &pending)
    case .map(let root):
      Value.push(Map(root: root).entries.map { ($0.key.asString ?? $0.key.shown(names), $0.value) }, &out, &pending)
    case .cell(let box): pending.append(.value(box[0]))
    case .function, .handle:
      throw Trap("NotJSON", "\(shown(names)) cannot be written as JSON")
    }
  }

  private var isNullInJSON: Bool {
    switch self {
    case .unit: true
    case .tag(let tag): tag == TypeTag.option[1] || tag == TypeTag.json[0]
    default: false
    }
  }

  private static func pushArray(_ items: [Value], _ out: inout [UInt8], _ pending: inout [Piece]) {
    JSONWriter.append(raw: "[", to: &out)
    pending.append(.text("]"))
    for place in items.indices.reversed() {
      pending.append(.value(items[place]))
      if place > 0 { pending.append(.text(",")) }
    }
  }

  private static func push(_ members: [(String, Value)], _ out: inout [UInt8], _ pending: inout [Piece]) {
    JSONWriter.append(raw: "{", to: &out)
    pending.append(.text("}"))
    for place in members.indices.reversed() {
      pending.append(.value(members[place].1))
      pending.append(.text(":"))
      pending.append(.name(members[place].0))
      if place > 0 { pending.append(.text(",")) }
    }
  }
}
