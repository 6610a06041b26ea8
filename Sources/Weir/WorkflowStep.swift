import Synchronization
import WeirCore
import WeirStore

/// What the body of a workflow (`DurableStore.workflow`) has in hand: its streams by name, and steps that are done once.
public struct WorkflowStep: Sendable {
  let run: DurableWorkflow
  let store: DurableStore

  /// The first part of its streams' names.
  public var workflowId: String { run.id }

  /// A writer of this workflow's stream of that name: makes it, or goes on with it. Items are kept as JSON, `[UInt8]` as bytes.
  ///
  /// - Parameters:
  ///   - namespace: One part of a path, like the workflow's id.
  ///   - highWaterMark: Items that a reader with backpressure may be behind before `write` waits for it; at least 1.
  public func writable<Item>(
    of type: Item.Type = Item.self, namespace: String = "default", highWaterMark: Int = 16
  ) async throws(WeirError) -> StreamWriter<Item> {
    guard highWaterMark >= 1 else {
      throw WeirError(code: "BadArgument", message: "a highWaterMark of \(highWaterMark): at least 1")
    }
    let contentType = StreamItemForm.contentType(of: type)
    let made: Result<WriterCore, WeirError> = await store.thread.call(whenClosed: .failure(.storeClosed)) {
      [run] _, answer in
      run.writer(namespace, contentType: contentType, highWaterMark: highWaterMark, answer)
      return nil
    }
    return StreamWriter(try made.get(), namespace, of: run, in: store)
  }

  /// A reader of this workflow's stream of that name, from item `from` on, which waits as long as it takes. Writers wait for it
  /// if it has `backpressure`.
  public func readable<Item>(
    of type: Item.Type = Item.self, namespace: String = "default", from position: Int = 0, backpressure: Bool = false
  ) async throws(WeirError) -> StreamReader<Item> {
    try await store.reader(
      of: type, workflow: workflowId, namespace: namespace, from: position, timeout: nil, backpressure: backpressure)
  }

  /// A step that is done once: what `body` returns is kept under the name, and when the workflow is taken up again it is
  /// returned at once. A step that throws is not kept.
  ///
  /// A name that is used again is another step (`name#2`): steps that run at the same time need names of their own. Items that
  /// `body` and its child tasks write belong to the step; a detached task's do not.
  ///
  /// Throws what `body` throws; `ProgramChanged` when what was kept is of another type; or what the store said.
  @discardableResult
  public func callAsFunction<Value: Codable>(
    _ name: String, _ body: () async throws -> Value
  ) async throws -> Value {
    switch try await begin(name) {
    case .done(let value, let writes):
      StepFrame.current?.passed(writes, of: run)
      do {
        return try JSONDecoding.value(value, as: Value.self)
      } catch {
        throw WeirError.changed("step \"\(name)\"", error)
      }
    case .begins(let key):
      return try await StepFrame.with(run, key) { frame in
        let value = try await body()
        let kept: JSONValue
        do {
          kept = try JSONEncoding.value(value)
        } catch {
          throw WeirError(
            code: "NotKept", message: "step \"\(name)\": its value cannot be kept: \(StreamItemForm.problem(error))")
        }
        try await end(key, frame, kept)
        return value
      }
    }
  }

  /// A step without a value.
  public func callAsFunction(_ name: String, _ body: () async throws -> Void) async throws {
    switch try await begin(name) {
    case .done(_, let writes): StepFrame.current?.passed(writes, of: run)
    case .begins(let key):
      try await StepFrame.with(run, key) { frame in
        try await body()
        try await end(key, frame, .null)
      }
    }
  }

  private func begin(_ name: String) async throws(WeirError) -> DurableWorkflow.Step {
    let outer = StepFrame.current?.key(of: run)
    let begun: Result<DurableWorkflow.Step, WeirError> = await store.thread.call(whenClosed: .failure(.storeClosed)) {
      [run] _, answer in
      run.beginStep(name, inside: outer, answer)
      return nil
    }
    return try begun.get()
  }

  private func end(_ key: String, _ frame: StepFrame, _ value: JSONValue) async throws(WeirError) {
    let step = RunJournal.Step(value: value, writes: frame.writes)
    let failure: WeirError? = await store.thread.call(whenClosed: .storeClosed) { [run] _, answer in
      run.endStep(key, step, answer)
      return nil
    }
    if let failure { throw failure }
  }
}

/// A step under way in a task and its children: what it has written so far.
final class StepFrame: Sendable {
  @TaskLocal static var current: StepFrame?

  private let run: DurableWorkflow
  private let key: String
  private let outer: StepFrame?
  private let counts = Mutex<[String: UInt64]>([:])

  private init(_ run: DurableWorkflow, _ key: String, outer: StepFrame?) {
    self.run = run
    self.key = key
    self.outer = outer
  }

  static func with<Value>(
    _ run: DurableWorkflow, _ key: String, _ body: (StepFrame) async throws -> Value
  ) async throws -> Value {
    let frame = StepFrame(run, key, outer: current)
    return try await $current.withValue(frame) { try await body(frame) }
  }

  var writes: [String: UInt64] { counts.withLock { $0 } }

  /// Of the innermost step of this workflow.
  func key(of run: DurableWorkflow) -> String? { run === self.run ? key : outer?.key(of: run) }

  /// A step in it was done by an earlier life: its items are those of the steps around it as well.
  func passed(_ writes: [String: UInt64], of run: DurableWorkflow) {
    if run === self.run { counts.withLock { $0.merge(writes) { $0 + $1 } } }
    outer?.passed(writes, of: run)
  }

  /// Counts for the steps around it as well; not for those of another workflow.
  func wrote(in namespace: String, of run: DurableWorkflow) {
    if run === self.run { counts.withLock { $0[namespace, default: 0] += 1 } }
    outer?.wrote(in: namespace, of: run)
  }
}

extension WeirError {
  /// What was kept by an earlier life of the workflow is not of the type that is wanted now.
  static func changed(_ what: String, _ failure: any Error) -> WeirError {
    WeirError(
      code: "ProgramChanged",
      message: "the result of \(what) was kept by an earlier life of this workflow: \(StreamItemForm.problem(failure))",
      hint: "take up a workflow with the program that began it, or give a new one another id")
  }
}
