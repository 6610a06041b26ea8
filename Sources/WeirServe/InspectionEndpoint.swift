import WeirCore
import WeirNet
import WeirStore

/// `/_weir/…`: which workflows there are, which runs and sessions, and the one way to end a run from outside. All
/// JSON. What a run said is read from its stream when asked for, never kept.
extension ServeApplication {
  /// Runs in one listing; older ones are reached by their session or id.
  static let listingLimit = 100

  func serveInspection(_ request: HTTPRequest, _ responder: any HTTPResponder) throws(ServeFailure) {
    let parts = request.path.split(separator: "/").dropFirst().map(String.init)
    switch (parts.first, parts.count) {
    case ("workflows", 1):
      try allow(["GET", "HEAD"], request)
      responder.send(Reply(["workflows": .array(allRoutes.map(\.json))]))
    case ("runs", 1):
      try allow(["GET", "HEAD"], request)
      let runs = Array(index.runs.prefix(Self.listingLimit))
      let client = waiting(responder)
      learnEnds(of: runs[...]) { [self] in
        if client.isGone { return }
        responder.send(Reply(["runs": .array(runs.compactMap { index[$0.id].map(summary) })]))
      }
    case ("runs", 2):
      try allow(["GET", "HEAD"], request)
      guard let run = index[parts[1]] else { throw .runNotFound(parts[1]) }
      let client = waiting(responder)
      transcript(of: run, limit: configuration.historyLimit) { value, _ in
        if client.isGone { return }
        responder.send(value.map { Reply($0) } ?? Reply(.runNotFound(run.id)))
      }
    case ("runs", 3) where parts[2] == "stop":
      try allow(["POST"], request)
      try access.checkOrigin(request)
      guard let run = index[parts[1]] else { throw .runNotFound(parts[1]) }
      host.stop(run: run.id)
      responder.send(Reply(["id": .string(run.id), "state": "stopping"], status: 202))
    case ("sessions", 1):
      try allow(["GET", "HEAD"], request)
      let client = waiting(responder)
      learnEnds(of: index.runs.filter { $0.end != nil }[...]) { [self] in
        if client.isGone { return }
        responder.send(Reply(["sessions": .array(sessions())]))
      }
    case ("sessions", 2) where request.method == "DELETE":
      try access.checkOrigin(request)
      try deleteSession(parts[1], responder)
    case ("sessions", 2):
      try allow(["GET", "HEAD", "DELETE"], request)
      let runs =
        Array(index.runs.lazy.filter { $0.session == parts[1] }.prefix(Self.listingLimit)).reversed() as [RunIndex.Run]
      guard !runs.isEmpty else { throw .sessionNotFound(parts[1]) }
      let client = waiting(responder)
      transcripts(of: runs[...], left: configuration.historyLimit, into: []) { values in
        if client.isGone { return }
        responder.send(
          values.isEmpty
            ? Reply(.sessionNotFound(parts[1])) : Reply(["id": .string(parts[1]), "runs": .array(values)]))
      }
    default:
      throw .notFound(path: request.path)
    }
  }

  private func waiting(_ responder: any HTTPResponder) -> WaitingClient {
    let client = WaitingClient()
    responder.observer = client
    return client
  }

  // MARK: Runs

  private func summary(_ run: RunIndex.Run) -> JSONValue {
    guard case .object(var members) = run.json else { return .null }
    members.append(JSONMember("state", .string(run.end?.rawValue ?? "running")))
    return .object(members)
  }

  /// How a run that this process has not seen ending has ended.
  package func learnEnd(of id: String) {
    if let run = index[id] { learnEnds(of: [run]) {} }
  }

  /// Looks at the streams of runs that are not known to be over, and of those that may be gone by now.
  private func learnEnds(of runs: ArraySlice<RunIndex.Run>, _ done: @escaping () -> Void) {
    let now = loop.wallClock
    guard let place = runs.firstIndex(where: { !$0.isOver || $0.expiresAt.map { $0 <= now } ?? true }) else {
      return done()
    }
    let run = runs[place]
    let rest = runs[(place + 1)...]
    // A later job: a thousand streams that answer at once are no recursion.
    let next = { [self] in loop.soon { [self] in learnEnds(of: rest, done) } }
    store.status(run.stream) { [self] result in
      switch result {
      case .failure(.notFound), .failure(.gone):
        // One that is being begun has no stream yet.
        if !host.isUnderWay(run: run.id) { index.delete(run.id) }
        next()
      case .success(let status):
        if status.ending != nil { index.looked(at: run.id, expiresAt: status.expiresAt) }
        guard !run.isOver, let ending = status.ending else { return next() }
        if let end = run.end { return learnWhetherOver(run, end, next) }
        guard status.tail > .start else { return learnWhetherOver(run, ending.state, next) }
        store.read(run.stream, from: Offset(status.tail.value - 1), byteLimit: 1) { [self] result in
          guard case .success(let batch) = result else { return next() }
          var end = ending.state
          if let item = batch.items.last, case .end(let state)? = try? RunEventCodec.decode(item.bytes) { end = state }
          learnWhetherOver(run, end, next)
        }
      case .failure: next()
      }
    }
  }

  /// Its answer has ended. As long as its journal has not, or somebody here is about to end it, it is not over: a process may have
  /// died in between, and what it wrote by name would stay open.
  private func learnWhetherOver(_ run: RunIndex.Run, _ end: EndState, _ done: @escaping () -> Void) {
    index.answered(run.id, end)
    guard !host.isUnderWay(run: run.id), let journal = try? WorkflowStreams.journal(of: run.id) else { return done() }
    store.status(journal) { [self] result in
      switch result {
      case .success(let status) where status.ending == nil: break
      case .success, .failure(.notFound), .failure(.gone): index.ended(run.id, end)
      case .failure: break
      }
      done()
    }
  }

  /// One run with what it said so far, and the bytes of text that took; nil: it is gone.
  private func transcript(
    of run: RunIndex.Run, limit: Int, _ answer: @escaping (_ value: JSONValue?, _ size: Int) -> Void
  ) {
    RunDrain(store, run.stream, follows: false, limit: limit).start { [self] result in
      guard case .object(var members) = run.json else { return }
      if case .failure(.notFound) = result {
        if !host.isUnderWay(run: run.id) { index.delete(run.id) }
        return answer(nil, 0)
      }
      guard case .success(let outcome) = result else {
        members.append(JSONMember("state", "unknown"))
        return answer(.object(members), 0)
      }
      if let end = outcome.end { index.answered(run.id, end) }
      members.append(JSONMember("state", .string(outcome.end?.rawValue ?? "running")))
      members.append(JSONMember("reply", .string(outcome.text)))
      if !outcome.reasoning.isEmpty { members.append(JSONMember("reasoning", .string(outcome.reasoning))) }
      if !outcome.tools.isEmpty { members.append(JSONMember("tools", .array(outcome.tools.map(Self.json(of:))))) }
      if outcome.isCut { members.append(JSONMember("reply_cut", true)) }
      if let value = outcome.value { members.append(JSONMember("value", value)) }
      if let usage = outcome.usage { members.append(JSONMember("usage", usage.json)) }
      if let failure = outcome.failure { members.append(JSONMember("error", failure.json)) }
      // Where to read on, so that a page shows the rest of a run under way without a gap or a repeat.
      members.append(JSONMember("next_offset", .string(outcome.next.description)))
      answer(.object(members), outcome.size)
    }
  }

  private static func json(
    of tool: (id: String, name: String, arguments: String, ok: Bool?)
  ) -> JSONValue {
    [
      "id": .string(tool.id), "tool": .string(tool.name), "args": FrameEncoder.argumentsValue(tool.arguments),
      "ok": tool.ok.map { .bool($0) } ?? .null,
    ]
  }

  private func transcripts(
    of runs: ArraySlice<RunIndex.Run>, left: Int, into values: [JSONValue], _ done: @escaping ([JSONValue]) -> Void
  ) {
    guard let run = runs.first else { return done(values) }
    transcript(of: run, limit: max(0, left)) { [self] value, size in
      transcripts(of: runs.dropFirst(), left: left - size, into: values + (value.map { [$0] } ?? []), done)
    }
  }

  // MARK: Sessions

  /// The session's runs and what they said; what an agent remembers of it is the agent's.
  private func deleteSession(_ id: String, _ responder: any HTTPResponder) throws(ServeFailure) {
    let runs = index.runs.filter { $0.session == id }
    guard !runs.isEmpty else { throw .sessionNotFound(id) }
    let client = waiting(responder)
    learnEnds(of: runs[...]) { [self] in
      // A run under way would go on writing to a stream that is gone.
      let isBusy = runs.contains { run in
        index[run.id].map { $0.end == nil || host.isUnderWay(run: run.id) } ?? false
      }
      if !isBusy {
        for run in runs {
          store.delete(run.stream) { _ in }
          WorkflowStreams.delete(workflow: run.id, from: store)
          index.delete(run.id)
        }
      }
      if client.isGone { return }
      responder.send(isBusy ? Reply(.sessionBusy(id)) : Reply(status: 204))
    }
  }

  /// Newest first: a session is the runs that gave its name as `session_id`.
  private func sessions() -> [JSONValue] {
    var order: [String] = []
    var first: [String: RunIndex.Run] = [:]
    var last: [String: RunIndex.Run] = [:]
    var counts: [String: Int] = [:]
    for run in index.runs {
      guard let session = run.session else { continue }
      if last[session] == nil {
        order.append(session)
        last[session] = run
      }
      first[session] = run
      counts[session, default: 0] += 1
    }
    return order.prefix(Self.listingLimit).map { session in
      // The title is what the user said first.
      let title = first[session]?.arguments.first { $0.name != "session_id" && $0.value.string != nil }?.value.string
      return [
        "id": .string(session), "title": .string(String((title ?? session).prefix(80))),
        "workflow": .string(last[session]?.workflow ?? ""), "runs": .int(counts[session] ?? 0),
        "updated_at": .int(Int(last[session]?.startedAt ?? 0)),
      ]
    }
  }
}

extension StreamEnding {
  /// What an answer is whose stream has ended without saying how.
  fileprivate var state: EndState { self == .closed ? .truncated : .aborted }
}

extension WorkflowRoute {
  var json: JSONValue {
    var members: [JSONMember] = [
      JSONMember("name", .string(name)), JSONMember("method", .string(method)), JSONMember("path", .string(path)),
      JSONMember("kind", kind == .stream ? "stream" : "value"),
      JSONMember("parameters", .array(parameters.map(\.json))),
    ]
    if let title { members.append(JSONMember("title", .string(title))) }
    if let description { members.append(JSONMember("description", .string(description))) }
    return .object(members)
  }
}

extension WorkflowParameter {
  var json: JSONValue {
    var members: [JSONMember] = [
      JSONMember("name", .string(name)), JSONMember("type", .string(type.description)),
      JSONMember("optional", .bool(isOptional)),
    ]
    if let defaultValue { members.append(JSONMember("default", defaultValue)) }
    return .object(members)
  }
}
