import WeirCore
import WeirStore

/// An agent's memory of one session: a durable stream of messages, two items a turn.
///
///     memory/<agent>/<session>      {"role":"user","content":"…"}
///                                   {"role":"assistant","content":"…"}
///                                   {"role":"user","content":"…"}
///                                   {"role":"assistant","content":"half an ans","partial":true,"end":"aborted"}
///
/// Invariant: a turn is appended whole, in one append, so there is never a user's message without its reply.
package struct ConversationMemory {
  package static let contentType = "application/json"
  /// More is no memory but an archive, and no model reads it.
  package static let turnLimit = 10_000
  /// Of messages taken into a request: the oldest turns give way.
  package static let byteLimit = 4 << 20

  let store: any StreamStore
  let name: StreamName
  let maxTurns: Int

  init(store: any StreamStore, agent: String, session: String, maxTurns: Int) throws(StoreFailure) {
    self.store = store
    self.maxTurns = min(max(maxTurns, 0), Self.turnLimit)
    name = try Self.streamName(agent: agent, session: session)
  }

  // MARK: Names

  package static func streamName(agent: String, session: String) throws(StoreFailure) -> StreamName {
    try StreamName("memory/\(escaped(agent))/\(escaped(session))")
  }

  /// Longest escaped name that stands as itself.
  static let nameByteLimit = 100

  /// One part of a stream's name for any text, different for different texts: unreserved characters stay, others
  /// become `%XX`; what would be too long becomes `~` (which never stays) and its SHA-256.
  static func escaped(_ text: String) -> String {
    var out = ""
    if text.utf8.count <= nameByteLimit {
      for part in text.unicodeScalars {
        let isSafe = part.isASCII && (part.properties.isAlphabetic || part.properties.numericType != nil)
        out += isSafe || part == "_" || part == "-" ? String(part) : percent(part)
      }
      if out.utf8.count <= nameByteLimit, !out.isEmpty { return out }
    }
    return "~" + SHA256.hex(text.utf8)
  }

  private static func percent(_ scalar: Unicode.Scalar) -> String {
    String(scalar).utf8.map { "%" + ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined()
  }

  // MARK: Reading

  /// The last turns, oldest first. A session that was never used has none.
  func load(_ answer: @escaping (Result<[ChatMessage], StoreFailure>) -> Void) {
    store.status(name) { status in
      switch status {
      case .failure(.notFound): answer(.success([]))
      case .failure(let failure): answer(.failure(failure))
      case .success(let status):
        let count = UInt64(maxTurns * 2)
        read(from: Offset(status.tail.value > count ? status.tail.value - count : 0), to: status.tail, [], answer)
      }
    }
  }

  private func read(
    from offset: Offset, to tail: Offset, _ soFar: [ChatMessage],
    _ answer: @escaping (Result<[ChatMessage], StoreFailure>) -> Void
  ) {
    guard offset < tail else { return answer(.success(Self.trimmed(soFar))) }
    store.read(name, from: offset, byteLimit: Self.byteLimit) { batch in
      switch batch {
      case .failure(let failure): answer(.failure(failure))
      case .success(let batch):
        let messages = soFar + batch.items.compactMap { Self.message($0.bytes) }
        read(from: batch.items.isEmpty ? tail : batch.next, to: tail, messages, answer)
      }
    }
  }

  /// Whole turns only, and not more than fit.
  private static func trimmed(_ messages: [ChatMessage]) -> [ChatMessage] {
    var start = messages.firstIndex { $0.role == "user" } ?? messages.count
    var bytes = messages[start...].reduce(0) { $0 + $1.text.utf8.count }
    while bytes > byteLimit, start < messages.count {
      repeat {
        bytes -= messages[start].text.utf8.count
        start += 1
      } while start < messages.count && messages[start].role != "user"
    }
    return Array(messages[start...])
  }

  private static func message(_ bytes: [UInt8]) -> ChatMessage? {
    guard let value = try? JSONValue.parse(bytes), let role = value["role"]?.string,
      let text = value["content"]?.string
    else { return nil }
    return ChatMessage(role, text)
  }

  // MARK: Writing

  /// Adds a turn. `end` tells how the reply ended; any but the provider's own ends makes it partial.
  func append(user: String, reply: String, end: EndState, _ answer: @escaping (StoreFailure?) -> Void) {
    var assistant = [JSONMember("role", "assistant"), JSONMember("content", .string(reply))]
    switch end {
    case .completed: break
    case .length, .filtered, .toolCalls: assistant.append(JSONMember("end", .string(end.rawValue)))
    case .aborted, .truncated, .error, .budget:
      assistant.append(JSONMember("partial", true))
      assistant.append(JSONMember("end", .string(end.rawValue)))
    }
    let items = [ChatMessage("user", user).json.encoded(), JSONValue.object(assistant).encoded()]
    store.create(name, contentType: Self.contentType) { created in
      if case .failure(let failure) = created { return answer(failure) }
      store.append(name, items, ending: nil) { appended in
        if case .failure(let failure) = appended { answer(failure) } else { answer(nil) }
      }
    }
  }
}
