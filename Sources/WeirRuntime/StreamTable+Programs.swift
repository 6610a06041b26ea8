import WeirCore
import WeirFlow
import WeirLang

/// The programs that a program starts, real and recorded, or out of the recording that is replayed: then nothing is
/// started, and what came of it then comes of it now.
extension StreamTable {
  // MARK: Run to its end

  /// `exec`. Answers once, in a later job, unless cancelled.
  func run(
    _ command: String, _ arguments: [String], in processes: ProcessTable,
    _ answer: @escaping (Recording.Outcome) -> Void
  ) throws(Trap) -> any Cancellable {
    let kind = "exec"
    if let replay {
      guard let program = replay.program(kind: kind, name: command) else { throw Self.notRecorded(kind, command) }
      switch program.outcome {
      case nil:
        throw Trap(
          "NotRecorded", "the recording ends before `\(kind)` of \"\(command)\" did", hint: "the run was cut off")
      // Whoever waited for it gave it up, and will again.
      case .cancelled?: return loop.after(.zero) {}
      case let outcome?: return loop.after(program.due.map { max(.zero, $0 - loop.now) } ?? .zero) { answer(outcome) }
      }
    }
    return RecordedRun(command, arguments, in: processes, loop: loop, recorder, answer)
  }

  private final class RecordedRun: Cancellable {
    private var run: ProcessRun?
    private let recorder: StreamRecorder?
    private let number: Int

    init(
      _ command: String, _ arguments: [String], in processes: ProcessTable, loop: any Loop, _ recorder: StreamRecorder?,
      _ answer: @escaping (Recording.Outcome) -> Void
    ) {
      self.recorder = recorder
      number = recorder?.began(kind: "exec", name: command) ?? 0
      run = ProcessRun(command, arguments, in: processes, loop: loop) { [self] result in
        run = nil
        let outcome = result.recorded(command)
        recorder?.ended(number, outcome)
        answer(outcome)
      }
    }

    func cancel() {
      guard let run = run.take() else { return }
      run.cancel()
      recorder?.ended(number, .cancelled)
    }
  }

  // MARK: Written to

  /// `spawnProcess`. Answers once, in a later job, unless cancelled.
  func spawn(
    _ command: String, _ arguments: [String], in processes: ProcessTable, for fiber: Fiber,
    _ answer: @escaping (Result<ProcessHandle, Trap>) -> Void
  ) throws(Trap) -> any Cancellable {
    let kind = "spawnProcess"
    if let replay {
      guard let program = replay.program(kind: kind, name: command) else { throw Self.notRecorded(kind, command) }
      if case .failed(let failed) = program.outcome { throw Trap(failed) }
      return loop.after(.zero) { answer(.success(ProcessHandle(program.input))) }
    }
    return try start(kind: kind, name: command) { (done) throws(ProcessFailure) in
      try processes.start(command, arguments, streams: { $0.connect(.pipe, .inherited, .inherited) }, done)
    } answer: { [self] result in
      answer(
        result.map { process in
          scope(fiber).add(process)
          return handle(of: process, number: recorder?.began(kind: kind, name: command))
        })
    }
  }

  // MARK: Read

  /// A process as a source: one that is started, or a recorded one.
  func process(
    _ command: String, _ arguments: [String], _ options: ProcessEvents.Options, priority: Int,
    input: ProcessRequest.Stream, in processes: ProcessTable, for fiber: Fiber,
    _ answer: @escaping (Result<StreamSource, Trap>) -> Void
  ) throws(Trap) -> any Cancellable {
    let kind = "process"
    if let replay {
      let source: StreamSource
      switch replay.open(kind: kind, name: options.name) {
      case .source(let events):
        let handle = ProcessHandle(replay.input(of: events))
        source = StreamSource(events, name: options.name, priority: priority, process: handle)
      case .refused(let failed): throw Trap(failed)
      case .failed, nil: throw Self.notRecorded(kind, options.name)
      }
      return loop.after(.zero) { [self] in answer(.success(added(source, for: fiber))) }
    }
    return try start(kind: kind, name: options.name) { (done) throws(ProcessFailure) in
      let connect = { (request: inout ProcessRequest) in
        request.connect(input, .pipe, options.deliversErrors ? .pipe : .null)
      }
      return try processes.start(command, arguments, streams: connect, done)
    } answer: { [self] result in
      answer(
        result.map { process in
          let events = ProcessEvents(process, options, limit: limits.sourceQueue).queue
          recorder?.opened(events, kind: kind, name: options.name)
          let handle = handle(of: process, number: recorder == nil ? nil : events.recorded)
          return added(
            StreamSource(events, name: options.name, priority: priority, process: handle), for: fiber)
        })
    }
  }

  private func handle(of process: Subprocess, number: Int?) -> ProcessHandle {
    guard let number, let recorder else { return ProcessHandle(process) }
    return ProcessHandle(process) { recorder.refused(number, write: $0, $1) }
  }

  /// Starts something, and writes down why it could not be.
  private func start(
    kind: String, name: String,
    _ begin: (@escaping (Result<Subprocess, ProcessFailure>) -> Void) throws(ProcessFailure) -> any Cancellable,
    answer: @escaping (Result<Subprocess, Trap>) -> Void
  ) throws(Trap) -> any Cancellable {
    func failed(_ failure: ProcessFailure) -> Trap {
      if let recorder { recorder.ended(recorder.began(kind: kind, name: name), .failed(.init(failure))) }
      return Trap(failure)
    }
    do throws(ProcessFailure) {
      return try begin { answer($0.mapError(failed)) }
    } catch {
      throw failed(error)
    }
  }
}
