import WeirCore

/// The `Processes` port with programs that are lists of steps, on virtual time.
///
///     simulation.processes.programs["cat"] = [.copyInput]
///     simulation.processes.programs["stubborn"] = [.ignoreTerminate, .stall]
///
/// It keeps to the port's contract as the system does: pipes hold `faults.window` bytes and hold their writer up, output
/// arrives cut anywhere, an exit may be told before the output that came before it. Every child is kept, so a test can
/// ask what it was started with and which signals it saw when.
package final class SimulatedProcesses: Processes {
  /// What a program does, one step after the other; then it exits with 0.
  package enum Step: Sendable {
    case say(String, to: ConsoleStream = .output)
    case bytes([UInt8])
    /// The same over and over, as fast as somebody reads.
    case repeatForever([UInt8])
    case wait(Duration)
    /// Standard input to standard output, until its end.
    case copyInput
    /// Reads its input to the end and keeps nothing.
    case readInput
    case closeInput
    /// Lives on and does nothing.
    case stall
    case ignoreTerminate
    /// Starts a child of its own, which lives this long and may hold the pipes.
    case leaveBehind(Duration, holdsPipes: Bool, ignoresTerminate: Bool = false)
    case exit(Int)
  }

  /// By the name or path it is started with.
  package var programs: [String: [Step]] = [:]
  package var failures: [String: ProcessFailure] = [:]
  package private(set) var children: [SimulatedChild] = []
  /// Children that were started and not reaped.
  package var liveCount: Int { children.count { !$0.hasExited } }

  let loop: SimulatedLoop
  let random: SeededRandom
  let faults: SimulatedFaults
  let trace: SimulationTrace

  package init(loop: SimulatedLoop, random: SeededRandom, faults: SimulatedFaults, trace: SimulationTrace) {
    self.loop = loop
    self.random = random
    self.faults = faults
    self.trace = trace
  }

  package func start(
    _ request: ProcessRequest, _ answer: @escaping (Result<any ChildProcess, ProcessFailure>) -> Void
  ) {
    trace.note("start \(request.executable) \(request.arguments)")
    _ = loop.after(random.duration(faults.latency)) { [self] in
      if let failure = failures[request.executable] { return answer(.failure(failure)) }
      guard let steps = programs[request.executable] else { return answer(.failure(.notFound(request.executable))) }
      let child = SimulatedChild(request, steps, number: children.count, in: self)
      children.append(child)
      answer(.success(child))
      child.run()
    }
  }
}

/// One simulated program: what its parent holds, and what plays it.
package final class SimulatedChild: ChildProcess {
  package let request: ProcessRequest
  package let label: String
  /// What it has read from its input so far, or was given up.
  package private(set) var received: [UInt8] = []
  /// Bytes that it has written into its pipes.
  package private(set) var said = 0
  package private(set) var signals: [(signal: ProcessSignal, at: Duration)] = []
  package private(set) var hasExited = false
  package private(set) var isForgotten = false
  package var isReading = true { didSet { if isReading { pumpSoon() } } }

  /// One pipe towards the parent.
  private struct Output {
    var waiting: [UInt8] = []
    var isRead: Bool
    var isEnded = false
  }
  private final class Orphan {
    let holdsPipes: Bool
    let ignoresTerminate: Bool
    var life: (any Cancellable)?
    init(holdsPipes: Bool, ignoresTerminate: Bool) {
      self.holdsPipes = holdsPipes
      self.ignoresTerminate = ignoresTerminate
    }
  }

  private unowned let world: SimulatedProcesses
  package var handler: (any ProcessHandler)?
  private var steps: ArraySlice<SimulatedProcesses.Step>
  /// Of the step that writes: what the pipe had no room for.
  private var unsaid: (bytes: ArraySlice<UInt8>, stream: ConsoleStream)?
  private var pause: (any Cancellable)?
  private var ignoresTerminate = false
  private var outputs: [Output]
  private var orphans: [ObjectIdentifier: Orphan] = [:]
  private var input: [UInt8] = []
  private var isInputOpen: Bool
  private var hasInputEnded: Bool
  private var wantsRoom = false
  private var isPumping = false
  private var isStepping = false

  init(
    _ request: ProcessRequest, _ steps: [SimulatedProcesses.Step], number: Int, in world: SimulatedProcesses
  ) {
    self.request = request
    self.steps = steps[...]
    self.world = world
    label = "\(request.executable)#\(number)"
    outputs = [request.output, request.error].map { Output(isRead: $0 == .pipe, isEnded: $0 != .pipe) }
    isInputOpen = request.input == .pipe
    hasInputEnded = request.input != .pipe
  }

  // MARK: The program

  func run() {
    guard !isStepping else { return }
    isStepping = true
    world.loop.soon { [self] in
      isStepping = false
      while !hasExited, step() {}
    }
  }

  /// False: it waits for something, which will call `run`.
  private func step() -> Bool {
    if let (bytes, stream) = unsaid {
      let rest = put(bytes, stream)
      unsaid = rest.isEmpty ? nil : (rest, stream)
      return unsaid == nil
    }
    guard let step = steps.first else {
      exit(.code(0))
      return false
    }
    switch step {
    case .stall: return false
    case .copyInput, .readInput:
      let bytes = takeInput()
      guard !bytes.isEmpty || hasInputEnded else { return false }
      if bytes.isEmpty { steps.removeFirst() } else if case .copyInput = step { unsaid = (bytes[...], .output) }
      return true
    case .repeatForever(let bytes):
      unsaid = (bytes[...], .output)
      return true
    default: break
    }
    steps.removeFirst()
    switch step {
    case .say(let text, let stream): unsaid = (Array(text.utf8)[...], stream)
    case .bytes(let bytes): unsaid = (bytes[...], .output)
    case .ignoreTerminate: ignoresTerminate = true
    case .closeInput: closeTheirInput()
    case .wait(let time):
      pause = world.loop.after(time) { [self] in run() }
      return false
    case .leaveBehind(let time, let holdsPipes, let stubborn):
      let orphan = Orphan(holdsPipes: holdsPipes, ignoresTerminate: stubborn)
      orphans[ObjectIdentifier(orphan)] = orphan
      orphan.life = world.loop.after(time) { [self] in end(orphan) }
    case .exit(let code): exit(.code(code))
    case .stall, .copyInput, .readInput, .repeatForever: break
    }
    return true
  }

  private func exit(_ status: ProcessExit) {
    guard !hasExited else { return }
    hasExited = true
    pause?.cancel()
    closeTheirInput()
    world.trace.note("\(label) exits \(status)")
    pumpSoon()
    _ = world.loop.after(world.random.duration(world.faults.latency)) { [self] in handler?.processExited(status) }
  }

  private func end(_ orphan: Orphan) {
    orphans[ObjectIdentifier(orphan)] = nil
    orphan.life?.cancel()
    pumpSoon()
  }

  // MARK: Its output

  /// What did not fit. A pipe that nobody reads any more ends its writer.
  private func put(_ bytes: ArraySlice<UInt8>, _ stream: ConsoleStream) -> ArraySlice<UInt8> {
    let index = stream == .output ? 0 : 1
    guard outputs[index].isRead else {
      let isPiped = (index == 0 ? request.output : request.error) == .pipe
      if isPiped { exit(.signal(13)) }
      return []
    }
    let taken = bytes.prefix(max(0, world.faults.window - outputs[index].waiting.count))
    outputs[index].waiting += taken
    said += taken.count
    pumpSoon()
    return bytes.dropFirst(taken.count)
  }

  private func pumpSoon() {
    guard !isPumping else { return }
    isPumping = true
    _ = world.loop.after(world.random.duration(world.faults.latency)) { [self] in
      isPumping = false
      pump()
    }
  }

  private func pump() {
    guard isReading, !isForgotten else { return }
    for (index, stream) in [ConsoleStream.output, .error].enumerated() where outputs[index].isRead {
      if outputs[index].waiting.isEmpty {
        let isHeld = !hasExited || orphans.values.contains { $0.holdsPipes }
        guard !isHeld, !outputs[index].isEnded else { continue }
        outputs[index].isEnded = true
        outputs[index].isRead = false
        handler?.processEnded(stream)
      } else {
        let limit = min(outputs[index].waiting.count, max(1, world.faults.pieceLimit))
        let piece = Array(outputs[index].waiting.prefix(world.random.int(1...limit)))
        outputs[index].waiting.removeFirst(piece.count)
        world.trace.note("\(label) says \(piece.count) to \(stream)")
        handler?.processWrote(piece.span, to: stream)
        pumpSoon()
        if unsaid != nil { run() }
      }
      guard isReading, !isForgotten else { return }
    }
  }

  package func closeOutputs() {
    for index in outputs.indices where outputs[index].isRead {
      outputs[index] = Output(isRead: false, isEnded: true)
    }
    if unsaid != nil { run() }
  }

  // MARK: Its input

  package func write(_ bytes: Span<UInt8>) -> Int {
    guard isInputOpen, !hasInputEnded, !wantsRoom, bytes.count > 0 else {
      if !isInputOpen, !hasInputEnded { world.loop.soon { [self] in handler?.processInputClosed() } }
      return 0
    }
    let taken = min(bytes.count, max(0, world.faults.window - input.count))
    for index in 0..<taken { input.append(bytes[index]) }
    wantsRoom = taken < bytes.count
    run()
    return taken
  }

  private func takeInput() -> [UInt8] {
    let bytes = input
    input = []
    received += bytes
    announceRoom()
    return bytes
  }

  private func announceRoom() {
    guard wantsRoom else { return }
    wantsRoom = false
    world.loop.soon { [self] in handler?.processInputHasRoom() }
  }

  private func closeTheirInput() {
    isInputOpen = false
    announceRoom()
  }

  package func closeInput() {
    hasInputEnded = true
    run()
  }

  // MARK: Its group

  package func signal(_ signal: ProcessSignal) {
    signals.append((signal, world.loop.elapsed))
    world.trace.note("\(label) gets \(signal)")
    for orphan in orphans.values where signal == .kill || !orphan.ignoresTerminate { end(orphan) }
    if signal == .kill || !ignoresTerminate { exit(.signal(Int(signal.rawValue))) }
  }

  package var isGroupAlive: Bool { !hasExited || !orphans.isEmpty }

  package func forget() {
    isForgotten = true
    handler = nil
    hasInputEnded = true
    closeOutputs()
    run()
  }
}
