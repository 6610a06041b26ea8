import WeirCore
import WeirIO
import WeirLang
import WeirRuntime
import WeirServe

/// Runs a checked program on this thread until it ends: the real world, a store, one instance, signals.
package struct ProgramRun {
  package enum Mode: Sendable, Equatable {
    /// The entry function, with arguments.
    case entry
    /// All workflows behind a server; `main` is not run.
    case serve
    /// A workflow's run of this id that another process has left, to its end; `main` is not run.
    case resume(String)
  }

  let file: ProgramFile
  let project: Project
  let options: ProgramInstance.Options
  let store: StoreOptions
  let color: Bool

  package init(
    _ file: ProgramFile, project: Project, options: ProgramInstance.Options, store: StoreOptions = StoreOptions(),
    color: Bool
  ) {
    self.file = file
    self.project = project
    self.options = options
    self.store = store
    self.color = color
  }

  /// The exit status. Throws only for what is wrong before anything runs.
  package func run(_ mode: Mode, _ arguments: EntryArguments, granted: EffectSet) throws -> Int {
    let loop = WeirIO.EventLoop()
    let instance = try instance(on: loop, world: RealWorld.make(loop: loop), granted: granted)
    let values = try arguments.values(instance.program.names)
    let signals = try Signals(loop, [.interrupt, .terminate]) { signal in
      if instance.shutDown() { return }
      // Somebody at the terminal wants it to stop; a machine wants the process gone, and the run may go on elsewhere.
      if signal == .interrupt { instance.exit(130) } else { instance.park(143) }
    }
    defer { signals.cancel() }
    // A filter whose reader has gone is done (law 5); a server serves on, its readers are elsewhere.
    (instance.world.console as? ProcessConsole)?.onOutputLost = { instance.outputLost() }
    return Self.run(instance, mode, values, on: loop)
  }

  /// The program with everything it needs, not yet running.
  func instance(on loop: WeirIO.EventLoop, world: World, granted: EffectSet) throws -> ProgramInstance {
    guard let core = file.result.program else { throw WeirError(file) }
    let program = try Emitter.emit(core, library: ProgramFile.library, granted: Set(granted.sorted))
    return ProgramInstance(
      program: program, world: world, store: store.open(in: world),
      providers: .init(configured: project.providers, environment: world.environment), options: options
    ) { [file, color] trap in
      world.console.write(file.rendered(trap, color: color), to: .error)
    }
  }

  /// Blocks this thread, which is the loop's, until the program is over; answers its exit status.
  static func run(_ instance: ProgramInstance, _ mode: Mode, _ arguments: [Value?], on loop: WeirIO.EventLoop) -> Int {
    var status = 0
    instance.onExit = { code in
      status = code
      loop.stop()
    }
    loop.soon {
      switch mode {
      case .entry: instance.run(entryArguments: arguments)
      case .serve: instance.serve()
      case .resume(let id): instance.resume(run: id)
      }
    }
    loop.run()
    return status
  }
}
