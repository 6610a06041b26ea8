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
      run.writer(namespace, contentType: contentType, answer)
      return nil
    }
    return StreamWriter(try made.get(), namespace, highWaterMark: highWaterMark, of: run, in: store)
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
    case .done(let value):
      do {
        return try JSONDecoding.value(value, as: Value.self)
      } catch {
        throw WeirError.changed("step \"\(name)\"", error)
      }
    case .begins(let frame):
      return try await within(frame) {
        let value = try await body()
        let kept: JSONValue
        do {
          kept = try JSONEncoding.value(value)
        } catch {
          throw WeirError(
            code: "NotKept", message: "step \"\(name)\": its value cannot be kept: \(StreamItemForm.problem(error))")
        }
        try await end(frame, kept)
        return value
      }
    }
  }

  /// A step without a value.
  public func callAsFunction(_ name: String, _ body: () async throws -> Void) async throws {
    switch try await begin(name) {
    case .done: break
    case .begins(let frame):
      try await within(frame) {
        try await body()
        try await end(frame, .null)
      }
    }
  }

  private func begin(_ name: String) async throws(WeirError) -> DurableWorkflow.Step {
    let outer = StepFrame.current?.handle(of: run)
    let begun: Result<DurableWorkflow.Step, WeirError> = await store.thread.call(whenClosed: .failure(.storeClosed)) {
      [run] _, answer in
      run.beginStep(name, inside: outer, answer)
      return nil
    }
    return try begun.get()
  }

  /// What throws out of it has not ended it: what it has written is left to nobody, and its next try writes anew.
  private func within<Value>(_ step: FrameHandle, _ body: () async throws -> Value) async throws -> Value {
    do {
      return try await StepFrame.with(run, step, body)
    } catch {
      await store.thread.call(whenClosed: ()) { [run] _, answer in
        run.leaveStep(step)
        answer(())
        return nil
      }
      throw error
    }
  }

  private func end(_ step: FrameHandle, _ value: JSONValue) async throws(WeirError) {
    let failure: WeirError? = await store.thread.call(whenClosed: .storeClosed) { [run] _, answer in
      run.endStep(step, value, answer)
      return nil
    }
    if let failure { throw failure }
  }
}

/// The step, or the item of an operation, that a task and its children are in.
final class StepFrame: Sendable {
  @TaskLocal static var current: StepFrame?

  private let run: DurableWorkflow
  private let handle: FrameHandle
  private let outer: StepFrame?

  private init(_ run: DurableWorkflow, _ handle: FrameHandle, outer: StepFrame?) {
    self.run = run
    self.handle = handle
    self.outer = outer
  }

  static func with<Value>(
    _ run: DurableWorkflow, _ handle: FrameHandle, _ body: () async throws -> Value
  ) async throws -> Value {
    try await $current.withValue(StepFrame(run, handle, outer: current), operation: body)
  }

  /// The innermost of this workflow.
  func handle(of run: DurableWorkflow) -> FrameHandle? { run === self.run ? handle : outer?.handle(of: run) }
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
