import WeirCore
import WeirStore

/// An agent's memory of one session: a durable stream of messages, two items a turn.
///
///     memory/<agent>/<session>      {"role":"user","content":"…","run":"1f0c…","at":"1f0c… think/ask:A"}
///                                   {"role":"assistant","content":"…","run":"1f0c…"}
///                                   {"role":"user","content":"…","run":"88ab…"}
///                                   {"role":"assistant","content":"half an ans","run":"88ab…","partial":true,"end":"aborted"}
///
/// A call within a run writes the question down when the answer begins, and the answer when it has ended. Should its process die
/// between the two, the run's own stream has what was said: whoever loads the conversation next reads it there and completes
/// the turn. A call outside of any run leaves nothing to complete one from, so its turn is appended whole.
///
/// A run that is taken up again makes the calls again that it had not kept in a step. `at` tells which call of which run it is: one
/// that is made again does not hear its own earlier answer, and what comes of it stands for the earlier turn from then on.
package struct ConversationMemory {
  package static let contentType = "application/json"
  /// More is no memory but an archive, and no model reads it.
  package static let turnLimit = 10_000
  /// Of messages taken into a request: the oldest turns give way.
  package static let byteLimit = 4 << 20

  let store: any StreamStore
  let name: StreamName
  let maxTurns: Int

  /// What is remembered, for a call of `run`.
  struct Loaded: Equatable {
    /// Whole turns, oldest first.
    var messages: [ChatMessage] = []
    /// The question of a turn that this very run began before its process died: it is asking again.
    var begun: String?
  }

  private struct Turn {
    var question: String
    var reply: String?
    var run: String?
    /// Which call of the run.
    var at: String?
  }

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
  func load(run: String? = nil, at: String? = nil, _ answer: @escaping (Result<Loaded, StoreFailure>) -> Void) {
    store.status(name) { status in
      switch status {
      case .failure(.notFound): answer(.success(Loaded()))
      case .failure(let failure): answer(.failure(failure))
      case .success(let status):
        let count = UInt64(maxTurns * 2)
        let start = Offset(status.tail.value > count ? status.tail.value - count : 0)
        read(name, from: start, to: status.tail, [] as [Turn], Self.take) { turns in
          switch turns {
          case .failure(let failure): answer(.failure(failure))
          case .success(let turns):
            // What this call was answered in an earlier life is said anew.
            complete(turns.filter { $0.at == nil || $0.at != at || $0.reply == nil }, for: run, answer)
          }
        }
      }
    }
  }

  private func read<Sum>(
    _ name: StreamName, from offset: Offset, to tail: Offset, _ sum: Sum,
    _ add: @escaping (inout Sum, [UInt8]) -> Void, _ answer: @escaping (Result<Sum, StoreFailure>) -> Void
  ) {
    guard offset < tail else { return answer(.success(sum)) }
    store.read(name, from: offset, byteLimit: Self.byteLimit) { batch in
      switch batch {
      case .failure(let failure): answer(.failure(failure))
      case .success(let batch):
        var sum = sum
        for item in batch.items { add(&sum, item.bytes) }
        read(name, from: batch.items.isEmpty ? tail : batch.next, to: tail, sum, add, answer)
      }
    }
  }

  /// A reply belongs to the last open question of its run: on a Redis several machines may be in one session.
  private static func take(_ turns: inout [Turn], _ bytes: [UInt8]) {
    guard let value = try? JSONValue.parse(bytes), let text = value["content"]?.string else { return }
    let run = value["run"]?.string
    switch value["role"]?.string {
    case "user"?:
      let at = value["at"]?.string
      if let at { turns.removeAll { $0.at == at } }
      turns.append(Turn(question: text, run: run, at: at))
    case "assistant"?:
      if let index = turns.lastIndex(where: { $0.reply == nil && $0.run == run }) { turns[index].reply = text }
    default: break
    }
  }

  /// Turns whose process died get what was said from the streams of their runs.
  private func complete(
    _ turns: [Turn], for run: String?, _ answer: @escaping (Result<Loaded, StoreFailure>) -> Void
  ) {
    guard let index = turns.firstIndex(where: { $0.reply == nil && $0.run != nil && $0.run != run }),
      let dead = turns[index].run
    else { return answer(.success(Self.loaded(turns, run))) }
    said(in: dead) { result in
      var turns = turns
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(nil):
        // It is under way elsewhere, or is about to be taken up or ended here.
        turns.remove(at: index)
        complete(turns, for: run, answer)
      case .success(let said?):
        turns[index].reply = said
        append([Self.reply(said, .error, dead)]) { failure in
          if let failure { return answer(.failure(failure)) }
          complete(turns, for: run, answer)
        }
      }
    }
  }

  /// Nil: it has not ended.
  private func said(in run: String, _ answer: @escaping (Result<String?, StoreFailure>) -> Void) {
    guard let stream = try? StreamName("runs/\(run)") else { return answer(.success("")) }
    store.status(stream) { status in
      switch status {
      case .failure(.notFound), .failure(.gone): answer(.success(""))
      case .failure(let failure): answer(.failure(failure))
      case .success(let status) where status.ending == nil: answer(.success(nil))
      case .success(let status):
        let add = { (said: inout String, bytes: [UInt8]) in
          switch try? RunEventCodec.decode(bytes) {
          case .text(let text)? where said.utf8.count + text.utf8.count <= Self.byteLimit: said += text
          case .restart?: said = ""
          default: break
          }
        }
        read(stream, from: .start, to: status.tail, "", add) { answer($0.map { $0 }) }
      }
    }
  }

  /// Whole turns only, not more than fit, and none in which nothing was said.
  private static func loaded(_ turns: [Turn], _ run: String?) -> Loaded {
    var loaded = Loaded()
    var bytes = 0
    for turn in turns.reversed() {
      guard let reply = turn.reply else {
        if let run, turn.run == run, loaded.begun == nil { loaded.begun = turn.question }
        continue
      }
      if reply.isEmpty { continue }
      bytes += turn.question.utf8.count + reply.utf8.count
      if bytes > byteLimit { break }
      loaded.messages += [ChatMessage("assistant", reply), ChatMessage("user", turn.question)]
    }
    loaded.messages.reverse()
    return loaded
  }

  // MARK: Writing

  /// The question of a turn whose answer has begun.
  func begin(user: String, run: String, at: String? = nil, _ answer: @escaping (StoreFailure?) -> Void) {
    append([Self.question(user, run, at)], answer)
  }

  /// The answer to what was begun. Empty: nothing was said after all, and the turn is not remembered.
  func finish(reply: String, end: EndState, run: String, _ answer: @escaping (StoreFailure?) -> Void) {
    append([Self.reply(reply, end, run)], answer)
  }

  /// Adds a whole turn.
  func append(
    user: String, reply: String, end: EndState, run: String? = nil, at: String? = nil,
    _ answer: @escaping (StoreFailure?) -> Void
  ) {
    append([Self.question(user, run, at), Self.reply(reply, end, run)], answer)
  }

  private static func question(_ text: String, _ run: String?, _ at: String?) -> JSONValue {
    .object(
      [JSONMember("role", "user"), JSONMember("content", .string(text))]
        + (run.map { [JSONMember("run", .string($0))] } ?? [])
        + (at.map { [JSONMember("at", .string($0))] } ?? []))
  }

  /// `end` tells how it ended; any but the provider's own ends makes it partial.
  private static func reply(_ text: String, _ end: EndState, _ run: String?) -> JSONValue {
    var assistant = [JSONMember("role", "assistant"), JSONMember("content", .string(text))]
    if let run { assistant.append(JSONMember("run", .string(run))) }
    switch end {
    case .completed: break
    case .length, .filtered, .toolCalls: assistant.append(JSONMember("end", .string(end.rawValue)))
    case .aborted, .truncated, .error, .budget:
      assistant.append(JSONMember("partial", true))
      assistant.append(JSONMember("end", .string(end.rawValue)))
    }
    return .object(assistant)
  }

  private func append(_ items: [JSONValue], _ answer: @escaping (StoreFailure?) -> Void) {
    let items = items.map { $0.encoded() }
    store.create(name, contentType: Self.contentType) { created in
      if case .failure(let failure) = created { return answer(failure) }
      store.append(name, items, ending: nil) { appended in
        if case .failure(let failure) = appended { answer(failure) } else { answer(nil) }
      }
    }
  }
}
