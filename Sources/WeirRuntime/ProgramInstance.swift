import WeirAI
import WeirCore
import WeirFlow
import WeirLang
import WeirNet
import WeirServe
import WeirStore

/// One running copy of a program, on one loop: its fibers, its runs, the agents it declared, the servers it started.
///
/// This is where the rooms meet: natives of the library modules find it as their context's attachment. It knows the
/// outside through `World` only, so it runs the same in simulation. What the process does with an exit status, and
/// where diagnostics go, is its owner's (the `Weir` room).
package final class ProgramInstance {
  package let world: World
  package let store: any StreamStore
  /// The same, as programs use it.
  package let access: StreamAccess
  package let program: Program
  package let options: Options
  /// Shows a failure of the program with its place in the source.
  package let showTrap: (Trap) -> Void
  /// Called once, when the process should end with this status.
  package var onExit: ((Int) -> Void)?
  /// Called when a server of the program listens, with its address.
  package var onListening: ((SocketAddress) -> Void)?
  /// Why the program could not do what it was started for, when `onExit` says so before anything ran.
  package private(set) var startFailure: (any Failure)?
  /// Between the end of the grace and the end of the process: runs that were stopped write their ends in this time.
  static let stopLimit = Duration.seconds(5)

  /// What sets the globals, then what `perform` started.
  package private(set) weak var performing: Fiber?

  let client: ChatClient
  let sessions: AgentSessions
  /// What the program does outside of its workflows.
  private var mainRun: RunFrame?
  let streams: StreamTable
  private let host: ConsoleHost
  let processes: ProcessTable
  private let recording: RecordingFile?
  private let traces: TraceExport?
  private(set) var scheduler: Scheduler
  private(set) var runs: RunTable!
  /// Every workflow of the program, served or not.
  var declared: [Workflow] = []
  private var servers: [ProgramServer] = []
  /// What all servers of the program know of runs.
  private(set) lazy var index = RunIndex(
    store, options.server.serve.index, loop: world.loop,
    isUnderWay: { [weak self] in self?.runs.isUnderWay($0) ?? false }, complain: { [weak self] in self?.log($0) })
  /// What an earlier process has left was looked at.
  private(set) lazy var leftRuns = LeftRuns(self)
  /// Of all servers, from the first that listens on.
  var sharedSubscriptions: Subscriptions?
  private var stopping: Stopping?
  /// It has been asked to end: what its functions answer from now on was cut off.
  package private(set) var isLeaving = false
  /// What the program does itself is left to be taken up.
  private var isParked = false
  /// The way out waits for the last of them.
  private var onRunsEnded: (() -> Void)?
  /// The run that `resume` waits for.
  private var resumed: String?

  package init(
    program: Program, world: World, store: any StreamStore, providers: ProviderRegistry, options: Options,
    showTrap: @escaping (Trap) -> Void
  ) {
    self.program = program
    let world = options.replay == nil ? world : world.offline()
    self.world = world
    // Whoever subscribes hears of what the program writes, too.
    let store: any StreamStore = options.server.serve.subscriptions ? ObservedStore(store) : store
    self.store = store
    access = StreamAccess(store: store, loop: world.loop)
    self.options = options
    self.showTrap = showTrap
    let traces = TraceExport(
      .init(file: options.trace, wantsContent: options.tracesContent, version: options.version), world: world,
      keyVariables: providers.keyVariables)
    self.traces = traces
    let recording = options.record.map { RecordingFile($0, world: world) }
    self.recording = recording
    let recorder = recording.map { file in StreamRecorder(loop: world.loop) { file.append($0) } }
    let replay = options.replay.map { Replay($0, loop: world.loop, speed: options.replaySpeed) }
    // What is recorded of a model is what its provider sent.
    var models = world
    if let recorder { models.http = RecordedTransport(world.http, recorder) }
    if let replay { models.http = ReplayedTransport(replay, loop: world.loop) }
    // What a replay seems to spend is nobody's money.
    let log =
      options.replay == nil ? SpendingLog(store) { [random = world.random] in random.identifier() } : nil
    client = ChatClient(
      world: models, registry: providers,
      budget: BudgetLedger(
        limit: options.maxCost, before: options.spentBefore, log: log,
        wallClock: { [unowned loop = world.loop] in loop.wallClock }),
      spans: traces)
    sessions = AgentSessions(client: client, registry: providers, store: store)
    streams = StreamTable(world: world, limits: options.streams, recorder: recorder, replay: replay)
    host = ConsoleHost(world: world, input: streams.input, arguments: options.arguments)
    processes = ProcessTable(world: world, policy: options.processes, keyVariables: providers.keyVariables)
    var limits = Scheduler.Limits()
    limits.effects = options.effects
    scheduler = Scheduler(program: program, host: host, limits: limits, soon: world.loop.soon)
    runs = RunTable(instance: self)
    client.budget.onSpent = { [weak self] usd, provider in self?.ownRun.run.noteSpending(usd, by: provider) }
    scheduler.context.attachment = Attachment(instance: self)
    host.onExit = { [weak self] code in self?.exit(code) }
  }

  /// What the program has read from its environment, and whoever quotes others must leave out.
  var environmentValues: Set<String> { host.environmentValues }

  /// What natives use: the instance that their fiber belongs to.
  static func of(_ context: NativeContext) throws -> ProgramInstance {
    guard let instance = (context.attachment as? Attachment)?.instance else { throw Trap.broken("no program instance") }
    return instance
  }

  /// The run that a fiber belongs to.
  func run(of fiber: Fiber) -> RunFrame {
    fiber.attachment as? RunFrame ?? ownRun
  }

  /// What the program does itself.
  private var ownRun: RunFrame {
    if let mainRun { return mainRun }
    let id = options.runID ?? world.random.identifier()
    let frame = RunFrame(DurableRun(id: id, begun: options.begun, access: access, lifetime: options.retention.own))
    mainRun = frame
    return frame
  }

  /// A fiber takes an event of what happens to streams.
  func listens(_ fiber: Fiber, to queue: ActivityQueue) {
    let frame = run(of: fiber)
    let hearing = frame.hearing(queue)
    if hearing !== frame { fiber.attachment = hearing }
  }

  /// The instance owns the scheduler, whose context therefore must not own the instance.
  private final class Attachment {
    weak var instance: ProgramInstance?
    init(instance: ProgramInstance) { self.instance = instance }
  }

  // MARK: Running

  /// Sets the globals and runs the top-level statements, then the entry with its arguments; nil stands for the default
  /// that its parameter has. Exits when that is over.
  package func run(entryArguments: [Value?]) {
    guard options.takesUp else { return begin(entryArguments) }
    ownRun.run.withJournal { [weak self] result in
      guard let self else { return }
      if case .failure(let failure) = result { return refuse(failure) }
      begin(entryArguments)
    }
  }

  private func begin(_ entryArguments: [Value?]) {
    initialise { [weak self] result in
      guard let self else { return }
      guard case .success = result else { return finished(result) }
      guard let entry = program.entry else { return exit(0) }
      withDefaults(entryArguments[...], of: entry, []) { [weak self] values in
        self?.scheduler.spawn(entry, values) { [weak self] result in self?.finished(result) }
      }
    }
  }

  /// Sets the globals and runs one function of the program, whose result is told; nothing exits. For tests.
  package func perform(_ function: FunctionRef, _ done: @escaping (Result<Value, Trap>) -> Void) {
    initialise { [weak self] result in
      guard let self, case .success = result else { return done(result) }
      performing = scheduler.spawn(function, completion: done)
    }
  }

  /// Ends everything that is under way, without telling anyone. The instance does nothing after that.
  package func abandon() {
    onExit = nil
    scheduler.cancelAll()
    runs.stopAll()
    for server in servers { close(server) }
    streams.close {}
    processes.kill()
  }

  /// Serves every workflow of the program that has a route; its `main` is not run.
  package func serve() {
    initialise { [weak self] result in
      guard let self else { return }
      guard case .success = result else { return finished(result) }
      let routed = declared.filter { !$0.route.path.isEmpty }
      guard !routed.isEmpty || options.server.serve.publicStreams else {
        return refuse(
          ListenFailure(
            message: "there is no workflow with a route to serve", hint: "put @post(\"/chat\") above one"))
      }
      let server: ProgramServer
      do throws(Trap) {
        server = try ProgramServer(routed, instance: self)
      } catch {
        return finished(.failure(error))
      }
      guard start(server, port: options.server.defaultPort) else { return }
      server.onClosed = { [weak self] in self?.exit(0) }
    }
  }

  /// Takes up a workflow's run that another process has left, and exits when it has ended.
  package func resume(run id: String) {
    initialise { [weak self] result in
      guard let self else { return }
      guard case .success = result else { return finished(result) }
      resumed = id
      leftRuns.begin { [weak self] failure in
        guard let self else { return }
        if let failure { refuse(failure) } else { takeUp(id) }
      }
    }
  }

  private func takeUp(_ id: String) {
    runs.recovery.add(id) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success(.resumed): index.catchUp { [weak self] _ in self?.index.took(id) }
      case .success(.left): break
      case .success(.interrupted):
        log("run \(id) kept nothing that it could be taken up from: it has failed now")
        exit(1)
      case .success(.ended):
        log("run \(id) has ended")
        exit(1)
      case .failure(let failure): refuse(failure)
      }
    }
  }

  /// It cannot do what it was started for.
  private func refuse(_ failure: any Failure) {
    startFailure = failure
    log(failure.message, hint: failure.hint)
    exit(1)
  }

  private func initialise(_ then: @escaping (Result<Value, Trap>) -> Void) {
    guard let traces else { return beginRecording(then) }
    traces.open { [weak self] failure in
      guard let self else { return }
      guard let failure else { return beginRecording(then) }
      startFailure = failure
      log("--trace: \(failure.message)")
      left(1)
    }
  }

  private func beginRecording(_ then: @escaping (Result<Value, Trap>) -> Void) {
    guard let recording else { return start(then) }
    // Before anything runs: a recording that cannot be written is not found out at the end.
    recording.open { [weak self] failure in
      guard let self else { return }
      guard let failure else { return start(then) }
      startFailure = failure
      log("--record: \(failure.message)")
      left(1)
    }
  }

  private func start(_ then: @escaping (Result<Value, Trap>) -> Void) {
    performing = scheduler.spawn(program.initialiser) { [weak self] result in
      guard case .success = result else { return then(result) }
      self?.computeDefaults { then($0.map { .unit }) }
    }
  }

  /// Default arguments of workflows are expressions of the program: each is evaluated once, one after the other.
  func computeDefaults(_ done: @escaping (Result<Void, Trap>) -> Void) {
    for workflow in declared {
      guard let (index, function) = workflow.missingDefault(in: program) else { continue }
      scheduler.spawn(function) { [weak self] result in
        guard let self else { return }
        switch result {
        case .success(let value):
          workflow.setDefault(index, value, in: self)
          computeDefaults(done)
        case .failure(let trap): done(.failure(trap))
        }
      }
      return
    }
    done(.success(()))
  }

  private func withDefaults(
    _ given: ArraySlice<Value?>, of entry: FunctionRef, _ values: [Value], _ then: @escaping ([Value]) -> Void
  ) {
    var values = values
    var rest = given
    while let argument = rest.popFirst() {
      if let argument {
        values.append(argument)
        continue
      }
      let export = program.exports.first { program.functions[$0.function] == entry }
      guard let parameters = export?.parameters, parameters.indices.contains(values.count),
        let function = parameters[values.count].defaultValue
      else { return finished(.failure(.broken("an argument of the entry is missing"))) }
      scheduler.spawn(program.functions[function]) { [weak self, values, rest] result in
        switch result {
        case .success(let value): self?.withDefaults(rest, of: entry, values + [value], then)
        case .failure: self?.finished(result)
        }
      }
      return
    }
    then(values)
  }

  private func finished(_ result: Result<Value, Trap>) {
    if isLeaving { return }
    switch result {
    case .success: exit(0)
    case .failure(let trap):
      if trap.isCancellation, stopping != nil { return exit(0) }
      startFailure = trap
      report(trap)
      // What the store could not keep is no end of the run: it goes on when there is room.
      if StoreFailure.passes(code: trap.code) { leaveMainRun() }
      exit(1)
    }
  }

  /// Once everything that the program has open is closed; the second time at once.
  package func exit(_ code: Int) {
    if isLeaving {
      processes.kill()
      return left(code)
    }
    isLeaving = true
    runs.stopAll()
    scheduler.cancelAll()
    var open = 2
    let closed = { [self] in
      open -= 1
      if open == 0 { awaitRuns(code) }
    }
    streams.close(closed)
    processes.close(closed)
  }

  /// Runs that were stopped just now write their ends: otherwise the next process would find them half ended.
  private func awaitRuns(_ code: Int) {
    // Whoever was shut down has waited for them already.
    guard runs.count > 0, stopping == nil else { return endMainRun(code) }
    let limit = world.loop.after(Self.stopLimit) { [self] in onRunsEnded.take()?() }
    onRunsEnded = { [self] in
      limit.cancel()
      endMainRun(code)
    }
  }

  /// What the program still writes is whole if it ended well.
  private func endMainRun(_ code: Int) {
    if isParked { return synchronize(code) }
    let why = code == 0 ? nil : (startFailure.map { "\($0.code): \($0.message)" } ?? "exit status \(code)")
    guard let mainRun else { return synchronize(code) }
    mainRun.run.end(failure: why) { [self] failure in
      if let failure { log("run \(mainRun.run.id) could not be ended: \(failure.message)", hint: failure.hint) }
      if let flaw = mainRun.run.flaw { tell(flaw, of: mainRun.run.id) }
      synchronize(failure == nil && mainRun.run.flaw == nil ? code : max(code, 1))
    }
  }

  func tell(_ flaw: RunFlaw, of run: String) { log("run \(run): \(flaw.message)", hint: flaw.hint) }

  private func synchronize(_ code: Int) {
    // A call that was stopped just now tells its end, and what it has cost, in a later job.
    world.loop.soon { [self] in
      leftRuns.end { [self] in
        store.synchronize { [self] failure in
          if let failure { log("what was written last may be lost: \(failure.message)", hint: failure.hint) }
          closeTraces(failure == nil ? code : max(code, 1))
        }
      }
    }
  }

  /// The last calls have ended with their fibers; their spans go out before the process does.
  private func closeTraces(_ code: Int) {
    guard let traces else { return closeRecording(code) }
    traces.close { [self] complaint in
      if let complaint { log(complaint) }
      closeRecording(code)
    }
  }

  private func closeRecording(_ code: Int) {
    guard let recording else { return left(code) }
    streams.flushRecording()
    recording.close { [self] failure in
      if let failure { log("the recording is not complete: \(failure.message)") }
      left(failure == nil ? code : max(code, 1))
    }
  }

  private func left(_ code: Int) {
    runs.tellParked()
    if options.reportsBudget {
      let report = client.budget.report
      world.console.write(report.isEmpty ? "weir: no model was called\n" : report, to: .error)
    }
    world.console.flush()
    let told = onExit
    onExit = nil
    told?(code)
  }

  /// Ends with this status because the machine wants the process gone, and leaves every run that can be taken up as it is: what
  /// the program does itself (`weir runs resume`), and its workflows' runs.
  package func park(_ code: Int) {
    if isLeaving { return exit(code) }
    leftRuns.close()
    runs.park()
    leaveMainRun()
    exit(code)
  }

  private func leaveMainRun() {
    guard let mainRun, mainRun.run.isResumable, store.outlivesProcess else { return }
    isParked = true
    sessions.withoutRemembering {
      scheduler.abandon { ($0.attachment as? RunFrame)?.run === mainRun.run || $0.attachment == nil }
    }
    mainRun.run.park()
    log("run \(mainRun.run.id) is left to be taken up", hint: "weir runs resume \(mainRun.run.id)")
  }

  // MARK: Servers

  /// Listens; a port that can't be had ends the program with one clear line.
  func start(_ server: ProgramServer, port: Int) -> Bool {
    do {
      let address = try server.listen(port: port)
      servers.append(server)
      onListening?(address)
      server.recover { [weak self] failure in
        if let self, let failure { refuse(failure) }
      }
      return true
    } catch {
      refuse(error)
      return false
    }
  }

  /// A fiber that waited for the end of this server no longer does.
  func close(_ server: ProgramServer) {
    server.close(grace: .zero) { [weak self] in self?.servers.removeAll { $0 === server } }
  }

  /// The way down: servers close, runs end, then whoever waits for the servers goes on.
  private struct Stopping {
    var openServers: Int
    var isGraceOver = false
  }

  /// The first call stops accepting and lets runs finish for the grace period, whether somebody reads them or not; the
  /// second stops at once. Answers false when nothing was being served: then there is nothing to wait for.
  package func shutDown() -> Bool {
    guard stopping == nil else {
      runs.park()
      exit(130)
      return true
    }
    guard !servers.isEmpty else { return false }
    leftRuns.close()
    runs.recovery.close()
    stopping = Stopping(openServers: servers.count)
    let grace = options.server.grace
    for server in servers {
      server.close(grace: grace) { [weak self] in
        self?.stopping?.openServers -= 1
        self?.wentDown()
      }
    }
    // After the servers', so that readers are cut before runs are stopped: they come back to the next process.
    _ = world.loop.after(grace) { [weak self] in self?.graceEnded() }
    return true
  }

  private func graceEnded() {
    guard stopping != nil else { return }
    stopping?.isGraceOver = true
    _ = world.loop.after(Self.stopLimit) { [weak self] in self?.serversEnded() }
    wentDown()
  }

  /// Nobody takes what the program prints. Unless it serves, it ends, and what it was doing is cancelled: a model that
  /// is paid by the token does not talk to a closed pipe.
  package func outputLost() {
    guard servers.isEmpty else { return }
    scheduler.cancelAll()
    runs.stopAll()
    exit(1)
  }

  /// `isKept`: the store has its end.
  func ended(run id: String, _ state: EndState, isKept: Bool) {
    // A run whose end the store did not take is open there: the next process ends it, unless its stream is gone.
    if isKept { index.ended(id, state) } else { index.learnEnd(of: id) }
    if id == resumed, !isLeaving {
      log("run \(id): \(state.rawValue)")
      if case .closed = RunWriter.ending(of: state) { exit(0) } else { exit(1) }
    }
    runsEnded()
  }

  func runsEnded() {
    if stopping != nil { wentDown() }
    if runs.count == 0 { onRunsEnded.take()?() }
  }

  /// One step further down. What still runs after the grace is left to the next process, or ended honestly: its stream says
  /// `aborted` and not nothing.
  private func wentDown() {
    guard let stopping, stopping.openServers == 0 else { return }
    if stopping.isGraceOver { runs.park() }
    if runs.count == 0 { world.loop.soon { [weak self] in self?.serversEnded() } }
  }

  private func serversEnded() {
    let ended = servers
    servers = []
    for server in ended { server.ended() }
  }

  // MARK: Talk

  func report(_ trap: Trap) { showTrap(trap) }

  func log(_ line: String, hint: String? = nil) {
    world.console.write("weir: \(line)\n" + (hint.map { "  hint: \($0)\n" } ?? ""), to: .error)
  }
}

extension Trap {
  var isCancellation: Bool { code == Trap.cancelled.code }
}
