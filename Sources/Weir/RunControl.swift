import Synchronization
import WeirCore
import WeirIO
import WeirRuntime

/// One run of a program on a thread of its own, and the handle by which other threads end it.
///
/// `@unchecked Sendable` is true because `instance` is touched on the loop's thread only (made there before the loop
/// runs, read in posted calls), and everything else is guarded by `state` or immutable.
final class RunControl: @unchecked Sendable {
  private struct State {
    var isStopAsked = false
    var isEnded = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let loop = WeirIO.EventLoop()
  private let state = Mutex(State())
  private var instance: ProgramInstance?

  /// `onEnd` is called once, on the loop's thread or as it ends.
  func start(
    _ program: WeirProgram, _ options: RunOptions, _ mode: ProgramRun.Mode,
    onListening: @escaping @Sendable (SocketAddress) -> Void,
    onEnd: @escaping @Sendable (Result<Int, WeirError>) -> Void
  ) {
    _ = LoopThread(name: "weir-program") {
      onEnd(self.run(program, options, mode, onListening))
      self.finish()
    }
  }

  private func run(
    _ program: WeirProgram, _ options: RunOptions, _ mode: ProgramRun.Mode,
    _ onListening: @escaping @Sendable (SocketAddress) -> Void
  ) -> Result<Int, WeirError> {
    do {
      let instance = try program.instance(options, mode, on: loop)
      self.instance = instance
      defer { self.instance = nil }
      instance.onListening = onListening
      if state.withLock({ $0.isStopAsked }) { return .success(0) }
      let status = ProgramRun.run(instance, mode, [], on: loop)
      if status != 0, let failure = instance.startFailure { return .failure(WeirError(failure)) }
      return .success(status)
    } catch {
      return .failure(WeirError(error))
    }
  }

  /// From any thread, any number of times.
  func stop() {
    let isFirst = state.withLock { state in
      defer { state.isStopAsked = true }
      return !state.isStopAsked
    }
    guard isFirst else { return }
    loop.post { [self] in
      guard let instance else { return }
      if !instance.shutDown() { instance.exit(0) }
    }
  }

  func ended() async {
    await withCheckedContinuation { continuation in
      let isOver = state.withLock { state in
        if !state.isEnded { state.waiting.append(continuation) }
        return state.isEnded
      }
      if isOver { continuation.resume() }
    }
  }

  private func finish() {
    let waiting = state.withLock { state in
      state.isEnded = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}

/// Resumes a continuation with whatever comes first.
final class Once<Value: Sendable>: Sendable {
  private let continuation: Mutex<CheckedContinuation<Value, Never>?>
  init(_ continuation: CheckedContinuation<Value, Never>) { self.continuation = Mutex(continuation) }
  func resume(_ value: Value) { continuation.withLock { $0.take() }?.resume(returning: value) }
}

/// Hands a program's output to Swift code.
final class HandlerConsole: Console {
  private let input: any Console
  private let output: @Sendable (String, RunOptions.OutputStream) -> Void

  init(input: any Console, _ output: @escaping @Sendable (String, RunOptions.OutputStream) -> Void) {
    self.input = input
    self.output = output
  }

  func write(_ text: String, to stream: ConsoleStream) {
    output(text, stream == .output ? .standardOutput : .standardError)
  }
  func flush() {}
  func readInput(_ receive: @escaping ([UInt8]?) -> Void) -> any InputReading { input.readInput(receive) }
}

/// Variables over others.
final class Overlay: Environment {
  private let own: [String: String]
  private let base: any Environment
  init(_ own: [String: String], over base: any Environment) {
    self.own = own
    self.base = base
  }
  subscript(_ name: String) -> String? { own[name] ?? base[name] }
  var all: [EnvironmentVariable] {
    base.all.filter { own[$0.name] == nil } + own.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}
