/// Finds a fixed set of paths in JSON texts, in one pass and without building a tree: how provider deltas are read.
///
/// Compile the paths once, then `scan` each text and ask for what was found. The whole text is checked against the
/// grammar (a malformed event is reported, not half-read); nothing is allocated but the strings asked for.
package struct JSONScanner: Sendable {
  fileprivate struct Node: Sendable {
    var names: [(name: [UInt8], child: Int)] = []
    var items: [(step: JSONPath.Step, child: Int)] = []
    var match = -1
  }

  private var nodes = [Node()]
  private var found: [JSONSlice?]

  /// Paths are asked for by their index in this list.
  package init(_ paths: [JSONPath]) {
    found = Array(repeating: nil, count: paths.count)
    for (index, path) in paths.enumerated() {
      var node = 0
      for step in path.steps { node = child(of: node, step) }
      nodes[node].match = index
    }
  }

  private mutating func child(of node: Int, _ step: JSONPath.Step) -> Int {
    if case .name(let name) = step {
      let bytes = Array(name.utf8)
      if let known = nodes[node].names.first(where: { $0.name == bytes }) { return known.child }
      nodes.append(Node())
      nodes[node].names.append((bytes, nodes.count - 1))
    } else {
      if let known = nodes[node].items.first(where: { $0.step == step }) { return known.child }
      nodes.append(Node())
      nodes[node].items.append((step, nodes.count - 1))
    }
    return nodes.count - 1
  }

  /// Reads one text. What an earlier scan found is forgotten, also when this one throws.
  package mutating func scan(_ bytes: Span<UInt8>) throws(JSONFailure) {
    for i in found.indices { found[i] = nil }
    let failure: JSONFailure? = bytes.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress, buffer.count > 0 else {
        return JSONFailure(problem: "empty text", line: 1, column: 1)
      }
      var walk = Walk(base: base, count: buffer.count)
      walk.skipSpace()
      if walk.value(node: 0, of: nodes, &found, depth: 0) {
        walk.skipSpace()
        if walk.at == walk.count { return nil }
        walk.problem = "unexpected text after the value"
      }
      return .at(walk.at, in: buffer, walk.problem)
    }
    if let failure {
      for i in found.indices { found[i] = nil }
      throw failure
    }
  }

  package subscript(_ path: Int) -> JSONSlice? { found[path] }

  /// The string at a path; nil where there is none, null, or another kind of value.
  package func string(_ path: Int, in bytes: Span<UInt8>) -> String? {
    guard let slice = found[path], slice.kind == .string else { return nil }
    if !slice.isEscaped {
      return bytes.withUnsafeBufferPointer {
        String(decoding: UnsafeBufferPointer(rebasing: $0[(slice.start + 1)..<(slice.end - 1)]), as: UTF8.self)
      }
    }
    return value(path, in: bytes)?.string
  }

  package func int(_ path: Int, in bytes: Span<UInt8>) -> Int? {
    guard let slice = found[path], slice.kind == .number else { return nil }
    return value(path, in: bytes)?.int
  }

  /// The value at a path as a tree (of that part only).
  package func value(_ path: Int, in bytes: Span<UInt8>) -> JSONValue? {
    guard let slice = found[path] else { return nil }
    return try? JSONValue.parse(bytes, from: slice.start, to: slice.end)
  }
}

/// A value's place in the text that was scanned, quotes and brackets included.
package struct JSONSlice: Equatable, Sendable {
  package enum Kind: Sendable { case null, bool, number, string, array, object }
  package var kind: Kind
  package var start: Int
  package var end: Int
  /// A string with a backslash in it.
  package var isEscaped: Bool
}

/// A way into a JSON text: the subset `$ .field ["field"] [n] [-1] [*]` of JSONPath (spec/ai.md).
package struct JSONPath: Hashable, Sendable {
  package enum Step: Hashable, Sendable {
    case name(String)
    case index(Int)
    /// The last item.
    case last
    /// The first item in which the rest of the path is found.
    case any
  }
  package var steps: [Step]
  package init(_ steps: [Step]) { self.steps = steps }

  package static let stepLimit = 32

  /// Reads `$.choices[0].delta.content`; the leading `$` may be left out.
  package init(_ text: String) throws(JSONPathFailure) {
    steps = []
    let bytes = Array(text.utf8)
    var at = bytes.first == UInt8(ascii: "$") ? 1 : 0
    var first = at == 0
    func word(until stop: (UInt8) -> Bool) -> String {
      let start = at
      while at < bytes.count, !stop(bytes[at]) { at += 1 }
      return String(decoding: bytes[start..<at], as: UTF8.self)
    }
    while at < bytes.count {
      guard steps.count < Self.stepLimit else { throw JSONPathFailure(path: text, column: at + 1) }
      let place = at
      if bytes[at] == UInt8(ascii: "[") {
        at += 1
        if at < bytes.count, bytes[at] == UInt8(ascii: "\"") || bytes[at] == UInt8(ascii: "'") {
          let quote = bytes[at]
          at += 1
          let name = word { $0 == quote }
          guard at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "]") else {
            throw JSONPathFailure(path: text, column: place + 1)
          }
          at += 2
          steps.append(.name(name))
        } else {
          let inside = word { $0 == UInt8(ascii: "]") }
          guard at < bytes.count else { throw JSONPathFailure(path: text, column: place + 1) }
          at += 1
          if inside == "*" {
            steps.append(.any)
          } else if inside == "-1" {
            steps.append(.last)
          } else if let index = Int(inside), index >= 0 {
            steps.append(.index(index))
          } else {
            throw JSONPathFailure(path: text, column: place + 1)
          }
        }
      } else {
        if bytes[at] == UInt8(ascii: ".") {
          at += 1
        } else if !first {
          throw JSONPathFailure(path: text, column: place + 1)
        }
        let name = word { $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "[") }
        guard !name.isEmpty else { throw JSONPathFailure(path: text, column: place + 1) }
        steps.append(.name(name))
      }
      first = false
    }
  }
}

package struct JSONPathFailure: Failure, Equatable {
  package var path: String
  package var column: Int
  package var code: String { "BadPath" }
  package var message: String { "\"\(path)\" is not a path: column \(column)" }
  package var hint: String? { "write it like $.choices[0].delta.content; also [\"name\"], [-1] and [*]" }
}

/// The pass over one text. Each method returns false on the first violation, with `at` on it.
private struct Walk {
  let base: UnsafePointer<UInt8>
  let count: Int
  var at = 0
  var problem = "expected a value"

  init(base: UnsafePointer<UInt8>, count: Int) {
    self.base = base
    self.count = count
  }

  /// `node` < 0: nothing below is asked for.
  mutating func value(node: Int, of nodes: [JSONScanner.Node], _ found: inout [JSONSlice?], depth: Int) -> Bool {
    guard at < count else { return fail("unexpected end") }
    let start = at
    let kind: JSONSlice.Kind
    var isEscaped = false
    switch base[at] {
    case UInt8(ascii: "\""):
      kind = .string
      guard string(&isEscaped) else { return false }
    case UInt8(ascii: "{"):
      kind = .object
      guard object(node: node, of: nodes, &found, depth: depth + 1) else { return false }
    case UInt8(ascii: "["):
      kind = .array
      guard array(node: node, of: nodes, &found, depth: depth + 1) else { return false }
    case UInt8(ascii: "t"):
      kind = .bool
      guard literal("true") else { return false }
    case UInt8(ascii: "f"):
      kind = .bool
      guard literal("false") else { return false }
    case UInt8(ascii: "n"):
      kind = .null
      guard literal("null") else { return false }
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      kind = .number
      guard number() else { return false }
    default: return fail("expected a value")
    }
    if node >= 0, nodes[node].match >= 0 {
      found[nodes[node].match] = JSONSlice(kind: kind, start: start, end: at, isEscaped: isEscaped)
    }
    return true
  }

  private mutating func object(node: Int, of nodes: [JSONScanner.Node], _ found: inout [JSONSlice?], depth: Int)
    -> Bool
  {
    guard depth <= JSONParser.depthLimit else { return fail("nested more than \(JSONParser.depthLimit) deep") }
    at += 1
    skipSpace()
    if take(UInt8(ascii: "}")) { return true }
    while true {
      skipSpace()
      guard at < count, base[at] == UInt8(ascii: "\"") else { return fail("expected a name in quotes") }
      let name = at + 1
      var isEscaped = false
      guard string(&isEscaped) else { return false }
      let child = node >= 0 ? self.child(of: node, in: nodes, named: name, length: at - 1 - name) : -1
      skipSpace()
      guard take(UInt8(ascii: ":")) else { return fail("expected ':'") }
      skipSpace()
      guard value(node: child, of: nodes, &found, depth: depth) else { return false }
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      return take(UInt8(ascii: "}")) || fail("expected ',' or '}'")
    }
  }

  /// Names with escapes in them are compared as written: no provider escapes its field names.
  private func child(of node: Int, in nodes: [JSONScanner.Node], named start: Int, length: Int) -> Int {
    for entry in nodes[node].names where entry.name.count == length {
      var same = true
      for i in 0..<length where entry.name[i] != base[start + i] {
        same = false
        break
      }
      if same { return entry.child }
    }
    return -1
  }

  private mutating func array(node: Int, of nodes: [JSONScanner.Node], _ found: inout [JSONSlice?], depth: Int) -> Bool
  {
    guard depth <= JSONParser.depthLimit else { return fail("nested more than \(JSONParser.depthLimit) deep") }
    at += 1
    skipSpace()
    if take(UInt8(ascii: "]")) { return true }
    var index = 0
    while true {
      skipSpace()
      // An item that several paths enter (`[0]` and `[-1]`) is walked once for each.
      let start = at
      var isWalked = false
      if node >= 0 {
        for item in nodes[node].items where enters(item.step, index, item.child, of: nodes, found) {
          at = start
          // The last item is whichever comes last: what an earlier one left is none of its.
          if item.step == .last { forget(below: item.child, of: nodes, &found) }
          guard value(node: item.child, of: nodes, &found, depth: depth) else { return false }
          isWalked = true
        }
      }
      if !isWalked {
        guard value(node: -1, of: nodes, &found, depth: depth) else { return false }
      }
      index += 1
      skipSpace()
      if take(UInt8(ascii: ",")) { continue }
      return take(UInt8(ascii: "]")) || fail("expected ',' or ']'")
    }
  }

  private func enters(
    _ step: JSONPath.Step, _ index: Int, _ child: Int, of nodes: [JSONScanner.Node], _ found: [JSONSlice?]
  ) -> Bool {
    switch step {
    case .index(let wanted): wanted == index
    case .last: true
    case .any: !isFound(below: child, of: nodes, found)
    case .name: false
    }
  }

  private func forget(below node: Int, of nodes: [JSONScanner.Node], _ found: inout [JSONSlice?]) {
    if nodes[node].match >= 0 { found[nodes[node].match] = nil }
    for name in nodes[node].names { forget(below: name.child, of: nodes, &found) }
    for item in nodes[node].items { forget(below: item.child, of: nodes, &found) }
  }

  private func isFound(below node: Int, of nodes: [JSONScanner.Node], _ found: [JSONSlice?]) -> Bool {
    if nodes[node].match >= 0, found[nodes[node].match] != nil { return true }
    return nodes[node].names.contains { isFound(below: $0.child, of: nodes, found) }
      || nodes[node].items.contains { isFound(below: $0.child, of: nodes, found) }
  }

  private mutating func string(_ isEscaped: inout Bool) -> Bool {
    let open = at
    // A local place: `at` in memory costs a store for every byte, and strings are most bytes.
    var place = at + 1
    while place < count {
      let byte = base[place]
      if byte == UInt8(ascii: "\"") {
        at = place + 1
        return true
      }
      if byte < 0x20 {
        at = place
        return fail("a control character must be escaped in a string")
      }
      if byte == UInt8(ascii: "\\") {
        isEscaped = true
        at = place + 1
        guard at < count, escape() else { return fail("unknown escape") }
        place = at
      }
      place += 1
    }
    at = open
    return fail("this string is not closed")
  }

  /// On the byte after a backslash; leaves `at` on the escape's last byte.
  private mutating func escape() -> Bool {
    switch base[at] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      return true
    case UInt8(ascii: "u"):
      guard at + 4 < count else { return false }
      for _ in 0..<4 {
        at += 1
        switch base[at] {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
          UInt8(ascii: "A")...UInt8(ascii: "F"):
          continue
        default: return false
        }
      }
      return true
    default: return false
    }
  }

  private mutating func number() -> Bool {
    _ = take(UInt8(ascii: "-"))
    if !take(UInt8(ascii: "0")), !digits() { return fail("expected a digit") }
    if take(UInt8(ascii: ".")), !digits() { return fail("expected a digit after '.'") }
    if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
      _ = take(UInt8(ascii: "+")) || take(UInt8(ascii: "-"))
      if !digits() { return fail("expected a digit in the exponent") }
    }
    return true
  }

  private mutating func digits() -> Bool {
    let start = at
    while at < count, base[at] >= UInt8(ascii: "0"), base[at] <= UInt8(ascii: "9") { at += 1 }
    return at > start
  }

  private mutating func literal(_ text: StaticString) -> Bool {
    guard at + text.utf8CodeUnitCount <= count else { return fail("unexpected end") }
    for i in 0..<text.utf8CodeUnitCount where base[at + i] != text.utf8Start[i] { return fail("expected a value") }
    at += text.utf8CodeUnitCount
    return true
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard at < count, base[at] == byte else { return false }
    at += 1
    return true
  }

  mutating func skipSpace() {
    while at < count, base[at] == 0x20 || base[at] == 0x0A || base[at] == 0x0D || base[at] == 0x09 { at += 1 }
  }

  private mutating func fail(_ why: String) -> Bool {
    problem = why
    return false
  }
}
