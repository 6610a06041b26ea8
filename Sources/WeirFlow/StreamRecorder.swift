import WeirCore

/// Writes down what sources yield as it arrives, and what loops take of it. What a turn of the loop brought is handed to
/// `write` at its end.
package final class StreamRecorder {
  private let loop: any Loop
  private let start: Instant
  private let write: ([UInt8]) -> Void
  private var lines: [UInt8] = RecordingCodec.header
  private var isFlushAsked = false
  private var sourceCount = 0
  private var hidden: [Secrets] = []

  package init(loop: any Loop, write: @escaping ([UInt8]) -> Void) {
    self.loop = loop
    self.write = write
    start = loop.now
  }

  /// These never reach the recording, wherever they come back.
  package func hide(_ secrets: Secrets) { if !hidden.contains(secrets) { hidden.append(secrets) } }

  /// From now on `events` is recorded, with what has arrived already.
  package func opened(_ events: EventQueue, kind: String, name: String) {
    let source = declare(kind, name, nil)
    events.recorded = source
    events.onArrival = { [weak self] event in
      guard let self else { return }
      if let event {
        add(.event(at: elapsed, source: source, redacted(event)))
      } else {
        add(.end(at: elapsed, source: source))
      }
    }
  }

  package func failed(_ failure: StreamErrorKind, kind: String, name: String) { _ = declare(kind, name, failure) }

  // MARK: Programs

  /// A program is about to be started, or was; answers its number.
  package func began(kind: String, name: String) -> Int { declare(kind, name, nil) }

  package func ended(_ source: Int, _ outcome: Recording.Outcome) {
    add(.outcome(at: elapsed, source: source, redacted(outcome)))
  }

  package func refused(_ source: Int, write: Int, _ failure: ProcessInputFailure) {
    add(.refusedWrite(at: elapsed, source: source, write: write, failure))
  }

  // MARK: Exchanges

  func heard(_ source: Int, at: Int, _ fact: Recording.ExchangeFact) {
    add(.exchange(at: at, source: source, redacted(fact)))
  }

  /// How many bytes at the end of these may be the beginning of a secret.
  func openCount(in bytes: [UInt8]) -> Int { hidden.reduce(0) { max($0, $1.openCount(in: bytes)) } }

  func mask(_ bytes: inout [UInt8]) { for secrets in hidden { secrets.mask(&bytes) } }

  private func redacted(_ fact: Recording.ExchangeFact) -> Recording.ExchangeFact {
    switch fact {
    case .head(let status, let headers): .head(status, headers.map { .init($0.name, redacted($0.value)) })
    case .finished(.tls(let why)): .finished(.tls(redacted(why)))
    case .finished(.protocolViolation(let why)): .finished(.protocolViolation(redacted(why)))
    case .finished(.other(let why)): .finished(.other(redacted(why)))
    case .body, .finished, .cancelled: fact
    }
  }

  private func declare(_ kind: String, _ name: String, _ failure: StreamErrorKind?) -> Int {
    sourceCount += 1
    add(.source(sourceCount, kind: kind, name: redacted(name), failure: failure.map(redacted)))
    return sourceCount
  }

  /// What `inputs` give through `inner` is taken in this order.
  package func reader(_ inner: SelectLoop, of inputs: [EventQueue]) -> any EventReader {
    RecordedLoop(inner, inputs, self)
  }

  package func flush() {
    isFlushAsked = false
    if lines.isEmpty { return }
    write(lines)
    lines.removeAll(keepingCapacity: true)
  }

  var elapsed: Int { Int((loop.now - start).nanoseconds / 1000) }

  fileprivate func add(_ line: Recording.Line) {
    RecordingCodec.append(line, to: &lines)
    if isFlushAsked { return }
    isFlushAsked = true
    loop.atEndOfTurn { [weak self] in self?.flush() }
  }

  fileprivate func timedOut(_ message: String, _ source: Int) {
    add(.deadline(at: elapsed, source: source, message))
  }

  // MARK: Secrets

  private func redacted(_ text: String) -> String { hidden.reduce(text) { $1.redact($0) } }

  private func redacted(_ bytes: [UInt8]) -> [UInt8] {
    if hidden.isEmpty { return bytes }
    guard let text = String(validating: bytes, as: UTF8.self) else { return bytes }
    return Array(redacted(text).utf8)
  }

  private func redacted(_ kind: StreamErrorKind) -> StreamErrorKind { hidden.reduce(kind) { $0.redacted($1) } }

  private func redacted(_ outcome: Recording.Outcome) -> Recording.Outcome {
    switch outcome {
    case .output(let output, let error, let code, let isTruncated):
      .output(redacted(output), error: redacted(error), code: code, isTruncated: isTruncated)
    case .failed(let failed): .failed(.init(code: failed.code, message: redacted(failed.message), hint: failed.hint))
    case .cancelled: .cancelled
    }
  }

  private func redacted(_ event: StreamEvent) -> StreamEvent {
    if hidden.isEmpty { return event }
    switch event {
    case .opened, .sourceExit: return event
    case .message(let text): return .message(redacted(text))
    case .binary(let bytes): return .binary(redacted(bytes))
    case .ping(let bytes): return .ping(redacted(bytes))
    case .sse(let type, let data): return .sse(type: redacted(type), data: redacted(data))
    case .closed(let code, let reason): return .closed(code: code, reason: redacted(reason))
    case .error(let kind): return .error(redacted(kind))
    case .sourceText(let name, let text): return .sourceText(source: name, redacted(text))
    case .sourceBytes(let name, let bytes): return .sourceBytes(source: name, redacted(bytes))
    }
  }
}

/// A loop whose takes are written down.
private final class RecordedLoop: EventReader {
  private let inner: SelectLoop
  private let inputs: [EventQueue]
  private let recorder: StreamRecorder

  init(_ inner: SelectLoop, _ inputs: [EventQueue], _ recorder: StreamRecorder) {
    self.inner = inner
    self.inputs = inputs
    self.recorder = recorder
  }

  func next() -> SelectLoop.Step {
    let step = inner.next()
    if case .event(let event, let place) = step {
      if let place {
        recorder.add(.take(inputs[place].recorded))
      } else if case .error(let kind) = event {
        recorder.timedOut(kind.message, inputs[0].recorded)
      }
    }
    return step
  }

  func wait(_ wake: @escaping () -> Void) { inner.wait(wake) }
  func close() { inner.close() }
}
