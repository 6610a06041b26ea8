import WeirAI
import WeirCore
import WeirLang

/// Joins a stream that a workflow has returned to its run: takes one value after the other, as fast as the store keeps up, and
/// writes each as a piece of the answer's text.
///
///     stream ── next, or a fiber of the function that makes it ──▶ StreamAnswer ──▶ RunWriter
///
/// Strings are pieces as they are. A value of another type is one line, its JSON text, so that the whole answer is JSON lines.
/// A model's answer behind functions (`A.stream(x).map(f)`) keeps what the model said of itself: its name, its usage, how it
/// ended. A stream that ends before the model does, or is no model's, is `completed`; one that fails, fails the run.
///
/// What a model's stream returned as it is does without all of this (`AgentFeed`).
final class StreamAnswer: RunSource {
  /// Values taken in one turn of the loop from a stream that has them at once.
  static let turnLimit = 256

  private let stream: PulledStream
  private let agent: AgentStream?
  private let run: Run
  private let workflow: Workflow
  private unowned let instance: ProgramInstance
  private let frame: RunFrame
  private let isText: Bool
  private var isPulling = false
  private var isAdvancing = false
  private var isOver = false
  private var hasStarted = false
  private var restarts = 0
  private var fiber: Fiber?

  var isReading = true {
    didSet { if isReading { advance() } }
  }

  init(_ stream: PulledStream, of run: Run, _ workflow: Workflow, in instance: ProgramInstance) {
    self.stream = stream
    self.run = run
    self.workflow = workflow
    self.instance = instance
    agent = stream.root as? AgentStream
    frame = RunFrame(run.durable)
    isText = workflow.export.result == .stream(.string)
  }

  func begin() {
    // The body has returned, so nothing would ever end a stream of its own that it answers with.
    if let reader = stream.root as? DurableStream { run.durable.closeWriter(of: reader.name) }
    advance()
  }

  func stop() {
    guard !isOver else { return }
    isOver = true
    if let fiber { instance.scheduler.cancel(fiber) }
    stream.close()
    tellUsage()
    run.writer.runEvent(.end(.aborted))
  }

  // MARK: Taking

  /// A loop, because a value that is there at once must not call this from inside itself.
  private func advance() {
    guard !isAdvancing else { return }
    isAdvancing = true
    defer { isAdvancing = false }
    var count = 0
    while isReading, !isPulling, !isOver {
      if count == Self.turnLimit {
        isPulling = true
        return instance.world.loop.soon { [weak self] in
          self?.isPulling = false
          self?.advance()
        }
      }
      count += 1
      isPulling = true
      pull()
    }
  }

  private func pull() {
    do throws(Trap) {
      guard let generated = stream as? GeneratedStream else {
        return try stream.next { [weak self] result in
          switch result {
          case .success(let value): self?.took(value)
          case .failure(let failure): self?.failed(failure)
          }
        }
      }
      guard let produce = try generated.begin() else { return took(.none) }
      fiber = instance.scheduler.spawn(produce) { [weak self] result in
        guard let self else { return }
        fiber = nil
        switch result {
        case .success(let value):
          generated.produced(value)
          took(value)
        case .failure(let trap): failed(trap)
        }
      }
      fiber?.attachment = frame
    } catch {
      failed(error)
    }
  }

  private func took(_ value: Value) {
    if isOver { return }
    isPulling = false
    tellBeginning()
    guard case .variant(_, let fields) = value else { return ended() }
    do throws(Trap) {
      run.writer.runEvent(.text(try text(fields[0])))
    } catch {
      return fail(
        RunFailure(
          code: "NoResult",
          message: "workflow \(workflow.route.name) returned a stream of what has no JSON form: \(error.message)"))
    }
    advance()
  }

  /// What the model's call has said of itself before the text that came last.
  private func tellBeginning() {
    guard let reader = agent?.pulling else { return }
    if reader.restarts != restarts {
      restarts = reader.restarts
      run.writer.runEvent(.restart)
    }
    if !hasStarted, let model = reader.model {
      hasStarted = true
      run.writer.runEvent(.start(model: model))
    }
  }

  private func text(_ value: Value) throws(Trap) -> String {
    if isText, let text = value.asString { return text }
    return try value.json(instance.program.names, .finite) + "\n"
  }

  // MARK: The end

  private func ended() {
    isOver = true
    tellUsage()
    var state = EndState.completed
    if let reader = agent?.pulling, reader.hasToldEnd, let end = reader.end, case .closed = RunWriter.ending(of: end) {
      state = end
    }
    run.writer.runEvent(.end(state))
  }

  private func tellUsage() {
    if let usage = agent?.pulling?.usage { run.writer.runEvent(.usage(usage)) }
  }

  private func failed(_ trap: Trap) {
    if isOver { return }
    if trap.isCancellation { return stop() }
    // What the model's call said of its failure, which says more than the trap that it became.
    if let reader = agent?.pulling, let failure = reader.failure, failure.code == trap.code,
      failure.message == trap.message
    {
      tellBeginning()
      tellUsage()
      return fail(failure, reader.end ?? .error)
    }
    instance.report(trap)
    fail(RunFailure(code: trap.code, message: "workflow \(workflow.route.name) failed: \(trap.message)"))
  }

  private func failed(_ failure: RunFailure) {
    if !isOver { fail(failure) }
  }

  private func fail(_ failure: RunFailure, _ state: EndState = .error) {
    isOver = true
    stream.close()
    run.writer.fail(failure, state)
  }
}
