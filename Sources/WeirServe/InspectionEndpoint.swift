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
      caughtUp(responder) { [self] client in
        let runs = Array(index.runs.prefix(Self.listingLimit))
        index.learnEnds(of: runs[...]) { [self] in
          if client.isGone { return }
          responder.send(Reply(["runs": .array(runs.compactMap { index[$0.id].map(summary) })]))
        }
      }
    case ("runs", 2):
      try allow(["GET", "HEAD"], request)
      found(parts[1], responder) { [self] run, client in
        transcript(of: run, limit: configuration.historyLimit) { value, _ in
          if client.isGone { return }
          responder.send(value.map { Reply($0) } ?? Reply(.runNotFound(run.id)))
        }
      }
    case ("runs", 3) where parts[2] == "stop":
      try allow(["POST"], request)
      try access.checkOrigin(request)
      found(parts[1], responder) { [self] run, client in stop(run, responder, client) }
    case ("sessions", 1):
      try allow(["GET", "HEAD"], request)
      caughtUp(responder) { [self] client in
        index.learnEnds(of: index.runs.filter { $0.end != nil }[...]) { [self] in
          if client.isGone { return }
          responder.send(Reply(["sessions": .array(sessions())]))
        }
      }
    case ("sessions", 2) where request.method == "DELETE":
      try access.checkOrigin(request)
      caughtUp(responder) { [self] client in deleteSession(parts[1], responder, client) }
    case ("sessions", 2):
      try allow(["GET", "HEAD", "DELETE"], request)
      caughtUp(responder) { [self] client in
        let runs = Array(index.runs.lazy.filter { $0.session == parts[1] }.prefix(Self.listingLimit))
        transcripts(of: runs.reversed()[...], left: configuration.historyLimit, into: []) { values in
          if client.isGone { return }
          responder.send(
            values.isEmpty
              ? Reply(.sessionNotFound(parts[1])) : Reply(["id": .string(parts[1]), "runs": .array(values)]))
        }
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

  /// When what other processes have written is known as well.
  private func caughtUp(_ responder: any HTTPResponder, _ then: @escaping (WaitingClient) -> Void) {
    let client = waiting(responder)
    index.catchUp { failure in
      if client.isGone { return }
      if let failure { return responder.send(Reply(.storeUnavailable(failure.message))) }
      then(client)
    }
  }

  // MARK: Runs

  private func found(
    _ id: String, _ responder: any HTTPResponder, _ then: @escaping (RunIndex.Run, WaitingClient) -> Void
  ) {
    let client = waiting(responder)
    index.find(id) { result in
      if client.isGone { return }
      switch result {
      case .success(let run?): then(run, client)
      case .success(nil): responder.send(Reply(.runNotFound(id)))
      case .failure(let failure): responder.send(Reply(.storeUnavailable(failure.message)))
      }
    }
  }

  /// Whoever runs it stops it. One that nobody runs here, and that has not ended, is another process's, which is asked.
  private func stop(_ run: RunIndex.Run, _ responder: any HTTPResponder, _ client: WaitingClient) {
    let isOurs = host.isUnderWay(run: run.id)
    host.stop(run: run.id)
    let stopping = Reply(["id": .string(run.id), "state": "stopping"], status: 202)
    if isOurs { return responder.send(stopping) }
    index.learnEnds(of: [run]) { [self] in
      if client.isGone { return }
      switch index[run.id] {
      case nil: responder.send(Reply(.runNotFound(run.id)))
      case .some(let run) where run.end == nil:
        askElsewhere(run) { isAsked in
          if !client.isGone { responder.send(isAsked ? stopping : Reply(.runElsewhere(run.id))) }
        }
      case .some: responder.send(stopping)
      }
    }
  }

  /// The process that does it, or the one that has taken it up meanwhile.
  private func askElsewhere(_ run: RunIndex.Run, isLast: Bool = false, _ answer: @escaping (Bool) -> Void) {
    guard let process = run.process else { return answer(false) }
    ProcessLease.askToStop(run.id, of: process, in: store) { [self] failure in
      guard failure != nil, !isLast else { return answer(failure == nil) }
      index.catchUp { [self] _ in
        if let now = index[run.id] { askElsewhere(now, isLast: true, answer) } else { answer(false) }
      }
    }
  }

  private func summary(_ run: RunIndex.Run) -> JSONValue {
    guard case .object(var members) = run.json else { return .null }
    members.append(JSONMember("state", .string(run.end?.rawValue ?? "running")))
    return .object(members)
  }

  /// One run with what it said so far, and the bytes of text that took; nil: it is gone.
  private func transcript(
    of run: RunIndex.Run, limit: Int, _ answer: @escaping (_ value: JSONValue?, _ size: Int) -> Void
  ) {
    RunDrain(store, run.stream, follows: false, limit: limit).start { [self] result in
      guard case .object(var members) = run.json else { return }
      if case .failure(.notFound) = result {
        index.missed(run)
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
  private func deleteSession(_ id: String, _ responder: any HTTPResponder, _ client: WaitingClient) {
    let runs = index.runs.filter { $0.session == id }
    guard !runs.isEmpty else { return responder.send(Reply(.sessionNotFound(id))) }
    index.learnEnds(of: runs[...]) { [self] in
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
