import WeirCore

/// A started process and its way to the end: drives `ProcessMachine` over a child and the loop's timers, and writes to its
/// standard input what waits in a `WriteQueue`.
///
/// Its child and its timers hold it until nothing of the process is left: whoever started one may forget it.
/// Output comes as it is read; `isReading` holds the process up. After `stop` its output is read and dropped, so that it
/// can say its last words to nobody and is not ended by the lack of a reader.
package final class Subprocess: ProcessHandler {
  /// Between two looks at a group that outlives its process: nobody tells when that empties.
  static let groupCheckInterval = Duration.milliseconds(50)

  package var onOutput: (([UInt8], ConsoleStream) -> Void)?
  /// The pipe is at its end, before or after the exit.
  package var onOutputEnded: ((ConsoleStream) -> Void)?
  /// Once: it has exited, and all that it said was told.
  package var onComplete: ((ProcessExit) -> Void)?
  /// A write may be taken that was not before, or is refused for another reason.
  package var onInputChanged: (() -> Void)?
  /// Once, after that: nothing of it is left.
  package var onOver: (() -> Void)?

  private let loop: any Loop
  private let child: any ChildProcess
  private var machine: ProcessMachine
  private var openOutputs: Int
  private var input: Input
  private var waiting: WriteQueue
  package private(set) var exit: ProcessExit?
  private var timer: (any Cancellable)?
  private var groupCheck: (any Cancellable)?

  private enum Input {
    case open
    /// Closed by its owner; what was written before is still on its way.
    case closing
    case closed
  }

  /// Starts a program; exactly one answer, in a later job.
  package static func start(
    _ request: ProcessRequest, world: World, writes: WriteQueue.Limits = .init(),
    _ answer: @escaping (Result<Subprocess, ProcessFailure>) -> Void
  ) {
    world.processes.start(request) { result in
      answer(result.map { Subprocess($0, request, world.loop, writes) })
    }
  }

  private init(
    _ child: any ChildProcess, _ request: ProcessRequest, _ loop: any Loop, _ writes: WriteQueue.Limits
  ) {
    self.loop = loop
    self.child = child
    openOutputs = [request.output, request.error].count { $0 == .pipe }
    machine = ProcessMachine(hasOutputs: openOutputs > 0)
    input = request.input == .pipe ? .open : .closed
    waiting = WriteQueue(limits: writes)
    child.handler = self
  }

  package var isReading: Bool {
    get { child.isReading }
    set { if !machine.isStopping { child.isReading = newValue } }
  }

  /// It reads from here, and its owner has closed that.
  private var mayFinish = false

  // MARK: Its input

  /// Takes all of it, at once or into the queue, or says why not.
  package func write(_ bytes: [UInt8]) -> ProcessInputFailure? {
    if exit != nil { return .exited }
    guard case .open = input else { return .closed }
    guard waiting.append(bytes) else { return .full }
    // Only what was not waiting already: the queue is in order.
    if waiting.count == 1 { drain() }
    return nil
  }

  /// Behind what was written.
  package func closeInput() {
    guard case .open = input else { return }
    input = .closing
    mayFinish = true
    drain()
  }

  private func drain() {
    waiting.drain { child.write($0) }
    guard waiting.isEmpty, case .closing = input else { return }
    input = .closed
    child.closeInput()
  }

  // MARK: Its end

  /// SIGTERM to its group now, SIGKILL after the grace.
  package func stop() {
    perform(machine.stopWanted())
    child.isReading = true
  }

  /// Nobody needs it any more: if it has been told that nothing more comes, it may finish by itself within the grace; then,
  /// or else at once, it is stopped.
  package func ownerEnded() {
    if mayFinish { perform(machine.endWanted()) } else { stop() }
  }

  /// Without any grace, for an owner that ends in this moment.
  package func kill() { child.signal(.kill) }

  private func perform(_ actions: [ProcessMachine.Action]) {
    for action in actions {
      switch action {
      case .signal(let signal): child.signal(signal)
      case .setTimer(let time):
        timer?.cancel()
        timer = loop.after(time) { [self] in perform(machine.timerFired(isHeldUp: !child.isReading)) }
      case .complete:
        let told = onComplete
        onComplete = nil
        onOutput = nil
        onOutputEnded = nil
        child.closeOutputs()
        told?(exit ?? .unknown)
      case .over: over()
      }
    }
    if machine.wantsGroupChecks, groupCheck == nil {
      groupCheck = loop.after(Self.groupCheckInterval) { [self] in
        groupCheck = nil
        perform(machine.groupChecked(isAlive: child.isGroupAlive))
      }
    }
  }

  private func over() {
    timer?.cancel()
    groupCheck?.cancel()
    child.forget()
    onInputChanged = nil
    let told = onOver
    onOver = nil
    told?()
  }

  // MARK: What the child says

  package func processWrote(_ bytes: Span<UInt8>, to stream: ConsoleStream) {
    guard !machine.isStopping, let onOutput else { return }
    onOutput(bytes.withUnsafeBufferPointer { Array($0) }, stream)
  }

  package func processEnded(_ stream: ConsoleStream) {
    openOutputs -= 1
    if !machine.isStopping { onOutputEnded?(stream) }
    if openOutputs == 0 { perform(machine.outputsEnded()) }
  }

  package func processInputHasRoom() {
    drain()
    onInputChanged?()
  }

  package func processInputClosed() {
    input = .closed
    waiting.removeAll()
    onInputChanged?()
  }

  package func processExited(_ exit: ProcessExit) {
    self.exit = exit
    processInputClosed()
    child.closeInput()
    perform(machine.exited(isGroupAlive: child.isGroupAlive))
  }
}

/// Why a write to a process was not taken.
package enum ProcessInputFailure: Failure, Equatable, CaseIterable {
  case notFound
  case closed
  case exited
  case full

  package var code: String {
    switch self {
    case .notFound: "ProcessNotFound"
    case .closed: "InputClosed"
    case .exited: "ProcessExited"
    case .full: "WriteBufferFull"
    }
  }

  package init?(code: String) {
    guard let failure = Self.allCases.first(where: { $0.code == code }) else { return nil }
    self = failure
  }

  /// The texts of spec/streams.md, to the letter.
  package var message: String {
    switch self {
    case .notFound: "process handle not found"
    case .closed: "stdin already closed"
    case .exited: "process exited"
    case .full: "write buffer full — subprocess may be stalled"
    }
  }
}
