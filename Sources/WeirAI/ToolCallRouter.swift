import WeirCore

/// Which tool call a piece belongs to. Dialects agree on little here: the rule is by id, then by index, then to the
/// call being written (spec/ai.md).
struct ToolCallRouter {
  struct Delta: Equatable {
    var id: String
    var name: String
    var arguments: String
  }
  private struct Call {
    var id: String
    var name: String
    var index: Int?
  }

  /// Calls of one answer. More is a model gone wrong; further ones are ignored.
  static let callLimit = 256

  private var calls: [Call] = []
  private var current = -1
  /// Its index where the service says one, else its place.
  func index(of id: String) -> Int? { calls.firstIndex { $0.id == id }.map { calls[$0].index ?? $0 } }
  var isEmpty: Bool { calls.isEmpty }

  /// Nil: a piece that says nothing.
  mutating func route(_ piece: JSONValue) -> Delta? {
    let function = piece["function"] ?? piece
    let id = piece["id"]?.string ?? ""
    let name = function["name"]?.string ?? ""
    let arguments: String =
      switch function["arguments"] {
      case .string(let text)?: text
      case .object(let members)?: JSONValue.object(members).text
      default: ""
      }
    let index = piece["index"]?.int
    guard !(id.isEmpty && name.isEmpty && arguments.isEmpty) else { return nil }

    if let known = calls.firstIndex(where: { !id.isEmpty && $0.id == id }) {
      current = known
    } else if id.isEmpty, let index, let known = calls.lastIndex(where: { $0.index == index }) {
      current = known
    } else if !(id.isEmpty && index == nil && name.isEmpty && current >= 0) {
      guard calls.count < Self.callLimit else { return nil }
      calls.append(Call(id: id.isEmpty ? "call_\(calls.count)" : id, name: "", index: index))
      current = calls.count - 1
    }
    if calls[current].name.isEmpty { calls[current].name = name }
    return Delta(id: calls[current].id, name: calls[current].name, arguments: arguments)
  }
}
