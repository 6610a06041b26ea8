import WeirCore
import WeirLang
import WeirStore

/// One `streamForEach` under way: its book, its results, and whose turn it is to take an item.
///
/// The loop itself is in the language (`StreamingModule`).
final class StreamEach: Handle {
  private let run: DurableRun
  private let book: ItemCheckpoints
  private let keepsResults: Bool
  private var results: [UInt64: Value] = [:]
  private(set) var isStopped = false
  /// Whoever waits for an item does no longer.
  var onStop: (() -> Void)?
  private var isTaken = false
  private var waiting: ArraySlice<Suspension> = []

  private init(
    _ run: DurableRun, _ book: ItemCheckpoints, keepsResults: Bool, _ shape: TypeShape, _ names: ProgramNames
  ) throws(Value.Mismatch) {
    self.run = run
    self.book = book
    self.keepsResults = keepsResults
    super.init(kind: "Each")
    for (place, value) in book.known { results[place] = try Value.decode(value, as: shape, names) }
  }

  private static func result(_ failure: StoreFailure?) -> Value {
    failure.map { .err(.string($0.message)) } ?? .ok(.unit)
  }

  private var ordered: [Value] { results.sorted { $0.key < $1.key }.map(\.value) }

  // MARK: Natives

  static var natives: [Native] {
    taking + [
      raw("_each", arity: 6) { arguments, context in
        let name = try arguments.get(0, as: String.self)
        let (concurrency, interval) = (try arguments.get(1, as: Int.self), try arguments.get(2, as: Int.self))
        let policy = try arguments.get(3, as: String.self)
        let keepsResults = try arguments.get(4, as: Bool.self)
        let shape = try context.shape(arguments[5])
        guard (1...concurrencyLimit).contains(concurrency) else {
          throw Trap("BadArgument", "streamForEach: a concurrency of \(concurrency): from 1 to \(concurrencyLimit)")
        }
        guard interval >= 1 else {
          throw Trap("BadArgument", "streamForEach: a checkpointInterval of \(interval): at least 1")
        }
        guard ["stop", "skip", "collect"].contains(policy) else {
          throw Trap("BadArgument", "streamForEach: onError is \"stop\", \"skip\" or \"collect\", not \"\(policy)\"")
        }
        let frame = try ProgramInstance.of(context).run(of: context.fiber)
        let run = frame.run
        let names = context.names
        let suspension = context.suspend()
        run.begin(each: name, in: frame.frame, interval: interval, keepsResults: keepsResults) { result in
          switch result {
          case .failure(let failure): suspension.fail(Trap(failure))
          case .success(let book):
            do throws(Value.Mismatch) {
              suspension.resume(.handle(try StreamEach(run, book, keepsResults: keepsResults, shape, names)))
            } catch {
              suspension.fail(.changed("streamForEach \"\(name)\"", error))
            }
          }
        }
        return .suspended
      },
      raw("_eachEnter", arity: 1) { arguments, context in
        let each = try each(arguments)
        guard each.isTaken else {
          each.isTaken = true
          return .value(.unit)
        }
        each.waiting.append(context.suspend())
        return .suspended
      },
      raw("_eachLeave", arity: 1) { arguments, _ in
        let each = try each(arguments)
        each.isTaken = false
        while let next = each.waiting.popFirst() {
          // Whoever was cancelled meanwhile takes no turn.
          if next.isOver { continue }
          each.isTaken = true
          next.resume(.unit)
          break
        }
        return .value(.unit)
      },
      raw("_eachStop", arity: 1) { arguments, _ in
        let each = try each(arguments)
        each.isStopped = true
        each.onStop.take()?()
        return .value(.unit)
      },
      raw("_eachIsStopped", arity: 1) { arguments, _ in .value(.bool(try each(arguments).isStopped)) },
      raw("_eachIsDone", arity: 2) { arguments, _ in
        .value(.bool(try each(arguments).book.isDone(place(arguments))))
      },
      raw("_eachBegin", arity: 2) { arguments, context in
        let item = try each(arguments).book.item(place(arguments))
        context.fiber.attachment = RunFrame(item, inside: try ProgramInstance.of(context).run(of: context.fiber))
        return .value(.unit)
      },
      raw("_eachEnd", arity: 0) { _, context in
        if let outer = (context.fiber.attachment as? RunFrame)?.left { context.fiber.attachment = outer }
        return .value(.unit)
      },
      raw("_eachFailed", arity: 2) { arguments, _ in
        try each(arguments).book.failed(place(arguments))
        return .value(.unit)
      },
      raw("_eachClose", arity: 1) { arguments, _ in
        try each(arguments).book.close()
        return .value(.unit)
      },
      raw("_eachDone", arity: 3) { arguments, context in
        let each = try each(arguments)
        let place = try place(arguments)
        let value = arguments[2]
        let json = each.keepsResults ? try value.jsonValue(context.names, .kept) : .null
        if each.keepsResults { each.results[place] = value }
        let suspension = context.suspend()
        each.run.done(place, json, in: each.book) { suspension.resume(result($0)) }
        return .suspended
      },
      raw("_eachFinish", arity: 1) { arguments, context in
        let each = try each(arguments)
        let suspension = context.suspend()
        each.book.finish { suspension.resume(result($0)) }
        return .suspended
      },
      raw("_eachResults", arity: 1) { arguments, _ in
        let each = try each(arguments)
        return .value(.tuple(.int(each.book.count), .int(each.book.last), .list(List(each.ordered))))
      },
    ]
  }

  private static let concurrencyLimit = 10_000

  private static func place(_ arguments: Arguments) throws -> UInt64 {
    UInt64(clamping: try arguments.get(1, as: Int.self))
  }

  static func each(_ arguments: Arguments) throws(Trap) -> StreamEach {
    guard let each = arguments[0].asHandle as? StreamEach else { throw Trap.broken("not a streamForEach") }
    return each
  }
}

extension Trap {
  /// What was kept by an earlier life of the run is not of the type that the program wants now.
  static func changed(_ what: String, _ failure: Value.Mismatch) -> Trap {
    Trap(
      "ProgramChanged", "the result of \(what) was kept by an earlier life of this run, and \(failure.message)",
      hint: "resume a run with the program that began it, or start a new one")
  }
}
