import Synchronization
import WeirCore
import WeirIO
import WeirLang
import WeirRuntime

/// A program of Weir for Swift code: checked once, then run or served, each time on a thread with an event loop of its own.
///
/// ```swift
/// let program = try WeirProgram(path: "chat.weir")
/// let server = try await program.serve(.init(capabilities: [.ai, .stream, .net, .serve], port: 8080))
/// print("on port \(server.port)")
/// await server.stop()
/// ```
/// Nothing is reached that `RunOptions.capabilities` does not grant; that is checked before anything runs.
public struct WeirProgram: Sendable {
  /// The name that diagnostics show: a path, or what the source was called.
  public let name: String
  private let source: [UInt8]

  /// Reads and checks a file. Throws when it can't be read (`FileNotFound` …) or has errors (`CheckFailed`).
  public init(path: String) throws(WeirError) {
    do throws(DiskFailure) {
      try self.init(name: path, bytes: HostProcess.read(path, limit: ProgramFile.byteLimit))
    } catch {
      throw WeirError(error)
    }
    try check()
  }

  /// Checks a text. Relative imports are looked for beside `name`.
  public init(source: String, name: String = "program.weir") throws(WeirError) {
    self.init(name: name, bytes: Array(source.utf8))
    try check()
  }

  private init(name: String, bytes: [UInt8]) {
    self.name = name
    source = bytes
  }

  private func check() throws(WeirError) {
    let file = ProgramFile(name, bytes: source)
    if file.result.diagnostics.hasErrors { throw WeirError(file) }
  }

  /// Runs the program's `main` (or its top-level statements) and answers its exit status: 0 done, 1 failed.
  /// Cancelling the task shuts the program down: servers stop accepting, streams get the grace period, fibers end.
  public func run(_ options: RunOptions = RunOptions()) async throws(WeirError) -> Int {
    let control = RunControl()
    let result: Result<Int, WeirError> = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        control.start(self, options, .entry, onListening: { _ in }, onEnd: { continuation.resume(returning: $0) })
      }
    } onCancel: {
      control.stop()
    }
    return try result.get()
  }

  /// Serves the program's workflows until `WeirServer.stop`; answers once it listens.
  public func serve(_ options: RunOptions = RunOptions()) async throws(WeirError) -> WeirServer {
    let control = RunControl()
    let result: Result<WeirServer, WeirError> = await withCheckedContinuation { continuation in
      let answer = Once(continuation)
      control.start(
        self, options, .serve,
        onListening: { address in
          answer.resume(.success(WeirServer(host: address.host, port: address.port, control: control)))
        },
        onEnd: { ended in
          // The end of a server that never listened; later ends are told by `WeirServer.stop`.
          if case .failure(let error) = ended { return answer.resume(.failure(error)) }
          answer.resume(.failure(WeirError(code: "Stopped", message: "\(name) ended before it served")))
        })
    }
    return try result.get()
  }

  func instance(_ options: RunOptions, _ mode: ProgramRun.Mode, on loop: WeirIO.EventLoop) throws -> ProgramInstance {
    let file = ProgramFile(name, bytes: source)
    let granted = options.capabilities.reduce(into: EffectSet.io) { $0.formUnion($1.effect) }
    if let refusal = file.refusal(mode, granted: granted) {
      throw WeirError(code: "NotGranted", message: refusal, hint: "add it to RunOptions.capabilities")
    }
    if mode == .entry, let nothing = file.nothingToRun { throw WeirError(nothing) }
    var world = RealWorld.make(loop: loop)
    if let output = options.output { world.console = HandlerConsole(input: world.console, output) }
    if !options.environment.isEmpty { world.environment = Overlay(options.environment, over: world.environment) }
    let project = try Project.load(near: name, explicit: nil)
    return try ProgramRun(file, project: project, options: options.instanceOptions(), color: false)
      .instance(on: loop, world: world, granted: granted)
  }
}

/// How to run a program: what it may reach, where it serves, where its output goes.
public struct RunOptions: Sendable {
  /// What a program may reach outside itself. Writing to the terminal is always granted.
  public enum Capability: String, Sendable, CaseIterable {
    case ai = "AI"
    case clock = "Clock"
    case env = "Env"
    case fs = "FS"
    case io = "IO"
    case net = "Net"
    case process = "Process"
    case rand = "Rand"
    case serve = "Serve"
    case store = "Store"
    case stream = "Stream"
    var effect: EffectSet { EffectSet(rawValue) ?? .none }
  }

  public enum OutputStream: Sendable { case standardOutput, standardError }

  public var capabilities: Set<Capability>
  /// Address to bind; other than loopback needs a `token`.
  public var host = "127.0.0.1"
  /// 0 takes a free port. nil: what the program says, else 8080.
  public var port: Int?
  /// The chat page at `/`.
  public var ui = false
  /// Clients must send it as `Authorization: Bearer …`.
  public var token: String?
  /// How long streams may finish when the program is stopped.
  public var grace = Duration.seconds(5)
  /// Where the program itself may connect; the endpoints of its providers are not asked for.
  public var connections = ConnectionPolicy()
  /// Variables that win over the process's own, such as keys.
  public var environment: [String: String] = [:]
  /// USD that model calls may cost altogether; needs providers that say what they cost. nil: no limit.
  public var maxCost: Double?
  /// Programs that may be started, as `--process-allowlist` has them: `echo`, `git:status`, `/usr/bin/sox`. nil: any.
  public var processAllowlist: [String]?
  /// Variables that processes inherit although they look like secrets.
  public var processEnvironment: [String] = []
  /// What the program prints and the server says; nil writes it to the process's own streams. Called on the loop's thread.
  public var output: (@Sendable (String, OutputStream) -> Void)?

  public init(capabilities: Set<Capability> = [], port: Int? = nil) {
    self.capabilities = capabilities
    self.port = port
  }

  func instanceOptions() throws(WeirError) -> ProgramInstance.Options {
    var options = ProgramInstance.Options()
    options.network = try connections.network()
    options.maxCost = maxCost
    options.server.host = host
    options.server.port = port
    options.server.grace = grace
    options.server.serve.ui = ui
    options.server.serve.token = token
    if let names = processAllowlist {
      do throws(AllowlistFailure) {
        options.processes.allowlist = try ProcessAllowlist(looking: names)
      } catch {
        throw WeirError(error)
      }
    }
    options.processes.passedVariables = processEnvironment
    return options
  }
}

/// A server that a program runs; ends with `stop`, or with the last reference to it.
public final class WeirServer: Sendable {
  public let host: String
  public let port: Int
  private let control: RunControl

  init(host: String, port: Int, control: RunControl) {
    self.host = host
    self.port = port
    self.control = control
  }

  deinit { control.stop() }

  /// Stops accepting, lets streams finish for the grace period, ends what still runs as `aborted`, and returns when
  /// all of that is over. Calling it again only waits.
  public func stop() async {
    control.stop()
    await control.ended()
  }
}

/// Why a program could not be checked, started or served.
public struct WeirError: Error, Sendable, CustomStringConvertible {
  /// Stable and machine-readable: `CheckFailed`, `NotGranted`, `CannotListen` …
  public let code: String
  /// For `CheckFailed` all diagnostics, as a terminal shows them.
  public let message: String
  public let hint: String?

  init(code: String, message: String, hint: String? = nil) {
    self.code = code
    self.message = message
    self.hint = hint
  }

  init(_ failure: any Failure) { self.init(code: failure.code, message: failure.message, hint: failure.hint) }

  init(_ file: ProgramFile) { self.init(code: "CheckFailed", message: file.rendered(color: false, withNotes: false)) }

  init(_ error: any Error) {
    switch error {
    case let error as WeirError: self = error
    case let failure as any Failure: self.init(failure)
    default: self.init(code: "Failed", message: "\(error)")
    }
  }

  public var description: String { hint.map { "\(code): \(message) (\($0))" } ?? "\(code): \(message)" }
}
