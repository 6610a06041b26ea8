import WeirCore
import WeirFlow
import WeirRuntime

/// A process as something that a `SourceThread` holds: its events, its input, its end. Confined to that thread's loop.
final class ProcessConnection: StreamConnection {
  /// What a write waits for the process to read.
  static let writeTimeout = Duration.seconds(30)

  let events: EventQueue
  var onOver: (() -> Void)?
  private let process: Subprocess
  private let loop: any Loop
  /// Writes that its queue did not take, in order.
  private var waiting: [Write] = []
  private var isClosingInput = false
  private var isOver = false

  private final class Write {
    let bytes: [UInt8]
    var timer: (any Cancellable)?
    private var answer: ((WeirError?) -> Void)?
    init(_ bytes: [UInt8], _ answer: @escaping (WeirError?) -> Void) {
      self.bytes = bytes
      self.answer = answer
    }
    func end(_ failure: WeirError?) {
      timer?.cancel()
      answer.take()?(failure)
    }
  }

  /// Exactly one answer.
  static func start(
    _ request: ProcessRequest, _ options: ProcessEvents.Options, _ world: World,
    _ answer: @escaping (Result<any StreamConnection, WeirError>) -> Void
  ) {
    Subprocess.start(request, world: world) { result in
      answer(result.map { ProcessConnection($0, options, world.loop) }.mapError { WeirError($0) })
    }
  }

  private init(_ process: Subprocess, _ options: ProcessEvents.Options, _ loop: any Loop) {
    self.process = process
    self.loop = loop
    events = ProcessEvents(process, options, limit: StreamLimits().sourceQueue).queue
    process.onInputChanged = { [weak self] in self?.writeWaiting() }
    process.onOver = { [weak self] in self?.over() }
  }

  var status: StreamStatus { isOver ? .closed : .open }

  func transmit(_ message: StreamMessage, _ answer: @escaping (StreamErrorKind?) -> Void) {
    let bytes =
      switch message {
      case .text(let text): Array(text.utf8)
      case .binary(let bytes): bytes
      }
    write(bytes) { answer($0.map { .connectionFailed($0.message) }) }
  }

  /// Answers once: nil when it was taken.
  func write(_ bytes: [UInt8], _ answer: @escaping (WeirError?) -> Void) {
    if isClosingInput { return answer(WeirError(ProcessInputFailure.closed)) }
    let write = Write(bytes, answer)
    waiting.append(write)
    writeWaiting()
    guard waiting.last === write else { return }
    write.timer = loop.after(Self.writeTimeout) { [weak self, weak write] in
      self?.waiting.removeAll { $0 === write }
      write?.end(WeirError(code: "Timeout", message: "the process did not read for \(Self.writeTimeout.text)"))
    }
  }

  private func writeWaiting() {
    while let write = waiting.first {
      let failure = process.write(write.bytes)
      if failure == .full { return }
      waiting.removeFirst()
      write.end(failure.map { WeirError($0) })
    }
    if isClosingInput { process.closeInput() }
  }

  /// Behind what waits.
  func closeInput() {
    isClosingInput = true
    writeWaiting()
  }

  func close() {
    events.cancel()
    process.stop()
  }

  private func over() {
    isOver = true
    writeWaiting()
    onOver.take()?()
  }
}
