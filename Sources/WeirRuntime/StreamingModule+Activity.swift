import WeirCore
import WeirFlow
import WeirLang
import WeirStore

/// The part of `std/streaming` that tells what happens to streams (seed 002, Workflow Events).
///
/// A program may write down what it hears, so what it does meanwhile must not be heard again: a fiber that takes an event is
/// marked in its `RunFrame`, which the fibers that it starts share; what such a fiber reads, and the streams that it writes, are
/// told to nobody (`StreamAccess.leaveOut`).
extension StreamingModule {
  static let activityRecord = RecordTag(
    194, ["kind", "workflowId", "namespace", "position", "detail", "dropped"])

  static var activity: [Native] {
    [
      raw("streamEvents", arity: 1) { arguments, context in
        .value(.handle(ActivityStream(try queue(arguments.get(0), "streamEvents", context))))
      },
      contextual("streamEventSource") { (context: NativeContext, name: String, priority: Int, limit: Int) in
        let streams = try StreamTable.of(context)
        let queue = try queue(limit, "streamEventSource", context)
        return try streams.source(
          kind: "streamEvents", name: name, priority: priority, activity: queue, for: context.fiber
        ) { events(of: queue, name: name) }
      },
    ]
  }

  private static func queue(_ limit: Int, _ function: String, _ context: NativeContext) throws -> ActivityQueue {
    let allowed = ActivityQueue.limitRange
    guard allowed.contains(limit) else {
      throw Trap(
        "BadArgument", "\(function): a limit of \(limit): from \(allowed.lowerBound) to \(allowed.upperBound)")
    }
    let instance = try ProgramInstance.of(context)
    let queue = ActivityQueue(of: instance.access, limit: limit)
    instance.run(of: context.fiber).scope.add(queue)
    return queue
  }

  /// Few of them become text in advance, so that what is dropped is dropped in `queue`, which counts it.
  private static func events(of queue: ActivityQueue, name: String) -> EventQueue {
    let events = EventQueue(limit: 16)
    let feed = { [weak events, unowned queue] in
      guard let events else { return }
      while !events.isFull, let entry = queue.next() { events.push(.sourceText(source: name, entry.json.text)) }
      if queue.isEnded { events.finish() }
    }
    queue.onReady = feed
    events.onRoom = feed
    // Holds it for as long as somebody may take from `events`.
    events.onCancel = { queue.close() }
    return events
  }

  static func value(_ entry: ActivityQueue.Entry) -> Value {
    activityRecord.value([
      "kind": .string(entry.activity.kind.rawValue), "workflowId": .string(entry.workflow),
      "namespace": .string(entry.namespace),
      "position": entry.activity.position.map { .some(.int(Int(clamping: $0))) } ?? .none,
      "detail": entry.activity.detail.map { .some(.string($0)) } ?? .none, "dropped": .int(entry.dropped),
    ])
  }
}

extension ActivityQueue.Entry {
  fileprivate var json: JSONValue {
    [
      "kind": .string(activity.kind.rawValue), "workflowId": .string(workflow), "namespace": .string(namespace),
      "position": activity.position.map { .int(Int(clamping: $0)) } ?? .null,
      "detail": activity.detail.map { .string($0) } ?? .null, "dropped": .int(dropped),
    ]
  }
}

/// What happens to streams, as a `Stream[StreamActivity]`.
final class ActivityStream: PulledStream {
  private let queue: ActivityQueue
  private var waiting: ((Result<Value, RunFailure>) -> Void)?

  init(_ queue: ActivityQueue) {
    self.queue = queue
    super.init()
    queue.onReady = { [unowned self] in advance() }
  }

  deinit {
    queue.onReady = nil
    queue.close()
  }

  override func prepare(_ context: NativeContext) {
    (try? ProgramInstance.of(context))?.listens(context.fiber, to: queue)
  }

  override var isWaited: Bool { waiting != nil }
  override func giveUp() { waiting = nil }
  /// What waits can still be taken, and then it ends: whoever reads it in a loop is done.
  override func close() { queue.close() }

  override func pull(_ answer: @escaping (Result<Value, RunFailure>) -> Void) {
    waiting = answer
    advance()
  }

  private func advance() {
    guard let told = waiting else { return }
    if let entry = queue.next() {
      waiting = nil
      told(.success(.some(StreamingModule.value(entry))))
    } else if queue.isEnded {
      waiting = nil
      told(.success(.none))
    }
  }
}
