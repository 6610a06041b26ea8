import WeirCore
import WeirLang
import WeirStore

/// One `streamForEach` under way: which items are done, their results, and how much of that is written down.
///
/// The loop itself is in the language (`StreamingModule`); this is its book. A checkpoint says up to which item all are done,
/// and which beyond are; an item that failed is not, so that a resumed run tries it again.
final class StreamEach: Handle {
  private let journal: RunJournal
  private let key: String
  private let interval: Int
  private let keepsResults: Bool
  private let shape: TypeShape
  private let names: ProgramNames

  /// All items before it are done.
  private var watermark: UInt64
  /// Done, at or beyond the watermark.
  private var beyond: Set<UInt64> = []
  private var results: [UInt64: Value] = [:]
  /// Done since the last checkpoint.
  private var unwritten: [(UInt64, JSONValue)] = []
  private var count: Int
  private var last: Int
  /// Written by nobody yet, one at a time: with it, `interval` items and one for each worker are done again at most.
  private var isWriting = false
  private var finished: ArraySlice<(place: UInt64, value: Value, suspension: Suspension)> = []
  private var isStopped = false
  private var isTaken = false
  private var waiting: ArraySlice<Suspension> = []

  private init(
    _ journal: RunJournal, _ key: String, interval: Int, keepsResults: Bool, _ shape: TypeShape, _ names: ProgramNames
  ) throws(Value.Mismatch) {
    self.journal = journal
    self.key = key
    self.interval = interval
    self.keepsResults = keepsResults
    self.shape = shape
    self.names = names
    let known = journal.progress[key] ?? RunJournal.Progress()
    watermark = known.watermark
    count = Int(clamping: known.watermark)
    last = count - 1
    super.init(kind: "Each")
    for (place, value) in known.values {
      if place >= watermark {
        beyond.insert(place)
        count += 1
        last = max(last, Int(clamping: place))
      }
      if keepsResults { results[place] = try Value.decode(value, as: shape, names) }
    }
  }

  private func isDone(_ place: UInt64) -> Bool { place < watermark || beyond.contains(place) }

  private func done(_ place: UInt64, _ value: Value) throws(Trap) {
    unwritten.append((place, keepsResults ? try value.jsonValue(names) : .null))
    if keepsResults { results[place] = value }
    count += 1
    last = max(last, Int(clamping: place))
    beyond.insert(place)
    while beyond.remove(watermark) != nil { watermark += 1 }
  }

  /// Writes down what is done since the last time.
  private func checkpoint(_ answer: @escaping (StoreFailure?) -> Void) {
    let values = unwritten.filter { keepsResults || $0.0 >= watermark }
    unwritten = []
    journal.record(each: key, watermark: watermark, values: values) { result in
      if case .failure(let failure) = result { answer(failure) } else { answer(nil) }
    }
  }

  /// Counts what workers have finished. One that finds a checkpoint being written waits for it.
  private func advance() {
    while !isWriting, let next = finished.popFirst() {
      do throws(Trap) {
        try done(next.place, next.value)
      } catch {
        next.suspension.fail(error)
        continue
      }
      guard unwritten.count >= interval else {
        next.suspension.resume(.ok(.unit))
        continue
      }
      isWriting = true
      checkpoint { [self] failure in
        isWriting = false
        next.suspension.resume(Self.result(failure))
        advance()
      }
    }
  }

  private static func result(_ failure: StoreFailure?) -> Value {
    failure.map { .err(.string($0.message)) } ?? .ok(.unit)
  }

  private var ordered: [Value] { results.sorted { $0.key < $1.key }.map(\.value) }

  // MARK: Natives

  static var natives: [Native] {
    [
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
        let run = try ProgramInstance.of(context).run(of: context.fiber).run
        let key = run.key("each:" + name)
        let names = context.names
        let suspension = context.suspend()
        run.withJournal { result in
          switch result {
          case .failure(let failure): suspension.fail(Trap(failure.code, failure.message, hint: failure.hint))
          case .success(let journal):
            do throws(Value.Mismatch) {
              suspension.resume(
                .handle(
                  try StreamEach(journal, key, interval: interval, keepsResults: keepsResults, shape, names)))
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
        try each(arguments).isStopped = true
        return .value(.unit)
      },
      raw("_eachIsStopped", arity: 1) { arguments, _ in .value(.bool(try each(arguments).isStopped)) },
      raw("_eachIsDone", arity: 2) { arguments, _ in
        .value(.bool(try each(arguments).isDone(UInt64(try arguments.get(1, as: Int.self)))))
      },
      raw("_eachDone", arity: 3) { arguments, context in
        let each = try each(arguments)
        each.finished.append((UInt64(try arguments.get(1, as: Int.self)), arguments[2], context.suspend()))
        each.advance()
        return .suspended
      },
      raw("_eachFinish", arity: 1) { arguments, context in
        let each = try each(arguments)
        if each.unwritten.isEmpty { return .value(.ok(.unit)) }
        let suspension = context.suspend()
        each.checkpoint { suspension.resume(result($0)) }
        return .suspended
      },
      raw("_eachResults", arity: 1) { arguments, _ in
        let each = try each(arguments)
        return .value(.tuple(.int(each.count), .int(each.last), .list(List(each.ordered))))
      },
    ]
  }

  private static let concurrencyLimit = 10_000

  private static func each(_ arguments: Arguments) throws(Trap) -> StreamEach {
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
