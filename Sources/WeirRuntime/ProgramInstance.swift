import WeirAI
import WeirCore
import WeirLang
import WeirServe
import WeirStore

/// One running copy of a program, on one loop: its fibers, its runs, the agents it declared, the servers it started.
///
/// This is where the rooms meet: natives of the library modules find it as their context's attachment. It knows the
/// outside through `World` only, so it runs the same in simulation. What the process does with an exit status, and
/// where diagnostics go, is its owner's (the `Weir` room).
package final class ProgramInstance {
  package struct Options {
    /// For agents that name no provider or model (`--ai`, `--model`).
    package var provider: String?
    package var model: String?
    /// The program's own command-line arguments.
    package var arguments: [String] = []
    package var server = ServerOptions()
    package init() {}
  }

  package let world: World
  package let store: any StreamStore
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

  let client: ChatClient
  let sessions: AgentSessions
  private(set) var scheduler: Scheduler
  private(set) var runs: RunTable!
  var agents: [AgentHandle] = []
  /// Every workflow of the program, served or not.
  var declared: [Workflow] = []
  private var servers: [ProgramServer] = []
  private var isStopping = false
  private var whenRunsEnded: (() -> Void)?

  package init(
    program: Program, world: World, store: any StreamStore, providers: ProviderRegistry, options: Options,
    showTrap: @escaping (Trap) -> Void
  ) {
    self.program = program
    self.world = world
    self.store = store
    self.options = options
    self.showTrap = showTrap
    client = ChatClient(world: world)
    sessions = AgentSessions(client: client, registry: providers, store: store)
    let host = ConsoleHost(world: world, arguments: options.arguments)
    scheduler = Scheduler(program: program, host: host, soon: world.loop.soon)
    runs = RunTable(instance: self)
    scheduler.context.attachment = self
    host.onExit = { [weak self] code in self?.exit(code) }
  }

  /// What natives use: the instance that their fiber belongs to.
  static func of(_ context: NativeContext) throws -> ProgramInstance {
    guard let instance = context.attachment as? ProgramInstance else { throw Trap.broken("no program instance") }
    return instance
  }

  // MARK: Running

  /// Sets the globals and runs the top-level statements, then the entry; exits when that is over and no server is left.
  package func run(entryArguments: [Value]) {
    initialise { [self] in
      guard let entry = program.entry else { return exit(0) }
      scheduler.spawn(entry, entryArguments) { [weak self] result in self?.finished(result) }
    }
  }

  /// Serves every workflow of the program; its `main` is not run.
  package func serve() {
    initialise { [self] in
      do {
        for workflow in declared { try runs.add(workflow) }
      } catch {
        return finished(.failure(Trap(error)))
      }
      let server = ProgramServer(instance: self)
      guard start(server, port: options.server.defaultPort) else { return }
      server.onClosed = { [weak self] in self?.exit(0) }
    }
  }

  private func initialise(_ then: @escaping () -> Void) {
    scheduler.spawn(program.initialiser) { [weak self] result in
      switch result {
      case .success: self?.computeDefaults(then)
      case .failure(let trap): self?.finished(.failure(trap))
      }
    }
  }

  /// Default arguments of workflows are expressions of the program: each is evaluated once, one after the other.
  private func computeDefaults(_ then: @escaping () -> Void) {
    for workflow in declared {
      guard let (index, function) = workflow.missingDefault(in: program) else { continue }
      scheduler.spawn(function) { [weak self] result in
        guard let self else { return }
        switch result {
        case .success(let value):
          workflow.setDefault(index, value, in: self)
          computeDefaults(then)
        case .failure(let trap): finished(.failure(trap))
        }
      }
      return
    }
    then()
  }

  private func finished(_ result: Result<Value, Trap>) {
    switch result {
    case .success: exit(0)
    case .failure(let trap):
      if trap.isCancellation, isStopping { return exit(0) }
      startFailure = trap
      report(trap)
      exit(1)
    }
  }

  package func exit(_ code: Int) {
    world.console.flush()
    let told = onExit
    onExit = nil
    told?(code)
  }

  // MARK: Servers

  /// Listens; a port that can't be had ends the program with one clear line.
  func start(_ server: ProgramServer, port: Int) -> Bool {
    do {
      let address = try server.listen(port: port)
      servers.append(server)
      onListening?(address)
      return true
    } catch {
      startFailure = error
      log("\(error.message)", hint: error.hint)
      exit(1)
      return false
    }
  }

  /// The first call stops accepting and lets streams finish for the grace period; the second stops at once.
  /// Answers false when nothing was being served: then there is nothing to wait for.
  package func shutDown() -> Bool {
    guard !servers.isEmpty else { return false }
    guard !isStopping else {
      exit(130)
      return true
    }
    isStopping = true
    let grace = options.server.grace
    var open = servers.count
    for server in servers {
      server.close(grace: grace) { [self] in
        open -= 1
        guard open == 0 else { return }
        // Readers are gone; what still runs is ended honestly, so that its stream says `aborted` and not nothing.
        whenRunsEnded = { [self] in
          for server in servers { server.onClosed?() }
          servers = []
        }
        runs.stopAll()
        runsEnded()
      }
    }
    return true
  }

  func runsEnded() {
    guard runs.count == 0, let then = whenRunsEnded else { return }
    whenRunsEnded = nil
    world.loop.soon(then)
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
