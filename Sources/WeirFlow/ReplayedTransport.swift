import WeirCore

/// Requests whose answers are those of a recording: nothing leaves the machine. Answers come in the recorded pieces, at once or
/// with the replay's speed. One that was given up, or that the recording does not see the end of, breaks off there.
package final class ReplayedTransport: HTTPTransport {
  private let replay: Replay
  private let loop: any Loop

  package init(_ replay: Replay, loop: any Loop) {
    self.replay = replay
    self.loop = loop
  }

  package func start(_ request: HTTPClientRequest, handler: any HTTPResponseHandler) -> any HTTPExchange {
    let name = RecordedTransport.name(request)
    let missing = NetworkFailure.notAllowed(
      "the recording has no further \(name)", hint: "it was made by another program, or a run that went another way")
    let facts = replay.exchange(name: name) ?? [Recording.Timed(at: 0, fact: .finished(missing))]
    return ReplayedExchange(facts, replay, loop, handler)
  }
}

private final class ReplayedExchange: HTTPExchange {
  private let facts: [Recording.Timed]
  private let replay: Replay
  private let loop: any Loop
  private var handler: (any HTTPResponseHandler)?
  private var next = 0
  private var timer: (any Cancellable)?

  var isReading = true { didSet { if isReading, timer == nil { schedule() } } }

  init(_ facts: [Recording.Timed], _ replay: Replay, _ loop: any Loop, _ handler: any HTTPResponseHandler) {
    self.facts = facts
    self.replay = replay
    self.loop = loop
    self.handler = handler
    schedule()
  }

  func cancel() {
    timer?.cancel()
    timer = nil
    handler = nil
  }

  private func schedule() {
    guard handler != nil else { return }
    let due = facts.indices.contains(next) ? replay.due(facts[next].at) : nil
    timer = loop.after(max(.zero, due.map { $0 - loop.now } ?? .zero)) { [self] in
      timer = nil
      deliver()
    }
  }

  private func deliver() {
    guard let handler else { return }
    let fact = facts.indices.contains(next) ? facts[next].fact : .cancelled
    if case .body = fact, !isReading { return }
    next += 1
    switch fact {
    case .head(let status, let headers):
      handler.httpReceived(head: HTTPResponseHead(status: status, headers: headers.map { ($0.name, $0.value) }))
      schedule()
    case .body(let bytes):
      handler.httpReceived(body: bytes.span)
      schedule()
    case .finished(let failure):
      self.handler = nil
      handler.httpFinished(failure)
    case .cancelled:
      self.handler = nil
      handler.httpFinished(.closedEarly)
    }
  }
}
