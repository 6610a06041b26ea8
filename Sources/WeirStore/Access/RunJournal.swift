import WeirCore

/// What a run has done so far, kept as a stream of the same store, so that a run whose process died can be taken up again:
/// how it began, each step's result, how far each operation over a stream is. Its end is the run's.
///
///     {"begun": {…}}                                              once, first: whatever takes the run up again
///     {"step": "name", "value": …, "writes": {"tokens": 3}}        a step is done; items it has written, by namespace
///     {"each": "name", "done": [[0, 10], [11, 12]], "values": [[11, …], …]}   items done since the last time, as ranges
///                                                                  without their ends; their results, where they are kept
///
/// Ranges, so that the journal of an operation grows with its checkpoints and with the gaps that failed items leave, not with
/// its items. A number (`"done": 12`) is how earlier versions wrote that all before it are done.
/// A fact is written down before anybody relies on it. Values are JSON: the journal knows nothing of their types.
package final class RunJournal {
  package struct Step: Equatable, Sendable {
    package var value: JSONValue
    /// Items that it wrote, by namespace.
    package var writes: [String: UInt64]
    package init(value: JSONValue, writes: [String: UInt64]) {
      self.value = value
      self.writes = writes
    }
  }

  /// How far `streamForEach` is.
  package struct Progress: Equatable, Sendable {
    /// Places of the items that are done.
    package var done = RangeSet<UInt64>()
    /// Results, by the item's place.
    package var values: [UInt64: JSONValue] = [:]
    /// Items that are done.
    package var count: Int { done.ranges.reduce(0) { $0 + Int(clamping: $1.upperBound - $1.lowerBound) } }
    package init() {}
  }

  private static let batchBytes = 256 << 10

  package let run: String
  package let stream: StreamName
  /// What the first life of the run was started with.
  package private(set) var begun: JSONValue = .null
  /// The run has done something in an earlier life.
  package private(set) var isResumed = false
  package private(set) var ending: StreamEnding?
  package private(set) var steps: [String: Step] = [:]
  package private(set) var progress: [String: Progress] = [:]

  private let store: any StreamStore

  private init(_ run: String, _ stream: StreamName, _ store: any StreamStore) {
    self.run = run
    self.stream = stream
    self.store = store
  }

  /// Takes up the journal of a run, or begins it with `begun`. `expectsLifetime`: it will be ended with one.
  package static func open(
    run: String, begun: JSONValue, expectsLifetime: Bool = false, store: any StreamStore,
    _ answer: @escaping Answer<RunJournal>
  ) {
    read(run: run, store: store) { result in
      switch result {
      // Whoever began it may have died before it said how.
      case .success(let journal) where journal.begun != .null: answer(.success(journal))
      case .success(let journal): journal.begin(begun, answer)
      case .failure(.notFound(let stream)):
        // In one step: a journal that does not say how its run was begun is of no use.
        let entry: JSONValue = ["begun": begun]
        let creation = StreamCreation(
          contentType: StreamContentType.json, items: [entry.encoded()], expectsLifetime: expectsLifetime)
        store.create(stream, creation) { result in
          answer(
            result.map { _ in
              let journal = RunJournal(run, stream, store)
              journal.begun = begun
              return journal
            })
        }
      case .failure(let failure): answer(.failure(failure))
      }
    }
  }

  private func begin(_ begun: JSONValue, _ answer: @escaping Answer<RunJournal>) {
    self.begun = begun
    append(["begun": begun]) { result in answer(result.map { self }) }
  }

  /// What there is of a run; `.notFound`: it keeps no journal.
  package static func read(run: String, store: any StreamStore, _ answer: @escaping Answer<RunJournal>) {
    let stream: StreamName
    do throws(StoreFailure) { stream = try WorkflowStreams.journal(of: run) } catch { return answer(.failure(error)) }
    let journal = RunJournal(run, stream, store)
    func read(from offset: Offset) {
      store.read(stream, from: offset, byteLimit: batchBytes) { result in
        switch result {
        case .failure(let failure): answer(.failure(failure))
        case .success(let batch):
          for (index, item) in batch.items.enumerated() {
            guard journal.take(item.bytes) else {
              return answer(
                .failure(
                  .unavailable("the journal of run \(run) cannot be read at position \(offset.value + UInt64(index))")))
            }
          }
          journal.ending = batch.ending
          if batch.items.isEmpty { answer(.success(journal)) } else { read(from: batch.next) }
        }
      }
    }
    read(from: .start)
  }

  private func take(_ bytes: [UInt8]) -> Bool {
    guard let entry = try? JSONValue.parse(own: bytes) else { return false }
    if let begun = entry["begun"] {
      self.begun = begun
      isResumed = true
    } else if let name = entry["step"]?.string, let value = entry["value"] {
      var writes: [String: UInt64] = [:]
      for member in entry["writes"]?.members ?? [] {
        guard let count = member.value.int, count >= 0 else { return false }
        writes[member.name] = UInt64(count)
      }
      steps[name] = Step(value: value, writes: writes)
    } else if let name = entry["each"]?.string, let done = entry["done"] {
      var known = progress[name] ?? Progress()
      switch done {
      case .int(let count) where count >= 0: known.done.insert(contentsOf: 0..<UInt64(count))
      case .array(let ranges):
        for range in ranges {
          guard let places = range.array, places.count == 2, let first = places[0].int, let end = places[1].int,
            first >= 0, first < end
          else { return false }
          known.done.insert(contentsOf: UInt64(first)..<UInt64(end))
        }
      default: return false
      }
      for pair in entry["values"]?.array ?? [] {
        guard let items = pair.array, items.count == 2, let place = items[0].int, (0..<Int.max).contains(place) else {
          return false
        }
        known.values[UInt64(place)] = items[1]
        known.done.insert(contentsOf: UInt64(place)..<UInt64(place) + 1)
      }
      progress[name] = known
    }
    return true
  }

  // MARK: Writing down

  package func record(step name: String, _ step: Step, _ answer: @escaping Answer<Void>) {
    let writes = step.writes.sorted { $0.key < $1.key }.map { JSONMember($0.key, .int(Int($0.value))) }
    append(["step": .string(name), "value": step.value, "writes": .object(writes)]) { [self] result in
      if case .success = result { steps[name] = step }
      answer(result)
    }
  }

  /// Items that are done, and results of them, since the last time.
  package func record(
    each name: String, done: RangeSet<UInt64>, values: [(UInt64, JSONValue)], _ answer: @escaping Answer<Void>
  ) {
    let ranges = done.ranges.map { JSONValue.array([.int(Int($0.lowerBound)), .int(Int($0.upperBound))]) }
    var entry = [JSONMember("each", .string(name)), JSONMember("done", .array(ranges))]
    let pairs = values.map { JSONValue.array([.int(Int($0.0)), $0.1]) }
    if !pairs.isEmpty { entry.append(JSONMember("values", .array(pairs))) }
    append(.object(entry), answer)
  }

  /// The run is over; nothing takes it up again. With a lifetime the journal has it from then on.
  package func end(
    _ ending: StreamEnding, lifetime: StreamLifetime? = nil, _ answer: @escaping Answer<Void> = { _ in }
  ) {
    guard self.ending == nil else { return answer(.success(())) }
    self.ending = ending
    store.append(stream, StreamAppend(items: [], ending: ending, lifetime: lifetime)) { answer($0.map { _ in }) }
  }

  private func append(_ entry: JSONValue, _ answer: @escaping Answer<Void>) {
    store.append(stream, [entry.encoded()], ending: nil) { answer($0.map { _ in }) }
  }
}
