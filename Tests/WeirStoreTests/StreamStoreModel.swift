import WeirCore
import WeirStore
import WeirTesting

/// What a store means, in the fewest lines: a dictionary of arrays. Random operations are done to it and to a store;
/// every answer must be the same. Watchers that follow the store must have seen everything at the end.
///
/// A value: a test of crashes keeps the one before an operation and the one after it.
struct StreamStoreModel {
  enum Operation {
    case create(StreamName, StreamCreation)
    case append(StreamName, StreamAppend)
    case read(StreamName, Offset, Int)
    case delete(StreamName)
    case status(StreamName)
    case list(StreamName?, Int)
  }

  private struct Stream {
    var contentType: String
    var fork: StreamFork?
    /// With what it has from its source: a model may copy.
    var items: [[UInt8]]
    var ending: StreamEnding?
    var isGone = false
    var producers: [ProducerID: ProducerStamp] = [:]
    var sequence: String?
    var closer: ProducerStamp?
  }

  let prefix: String
  let names: [StreamName]
  private var streams: [StreamName: Stream] = [:]
  /// What the last operation changed.
  private(set) var changed: Set<StreamName> = []

  init(prefix: String, names count: Int = 4) {
    self.prefix = prefix
    names = (0..<count).compactMap { try? StreamName("\(prefix)/\($0)") }
  }

  static func compare(prefix: String, with store: StoreUnderTest, seed: UInt64, operations: Int) throws {
    var model = StreamStoreModel(prefix: prefix)
    let random = SeededRandom(seed: seed)
    var unseen: Set<StreamName> = []
    let watches = model.names.map { name in store.store.watch(name) { unseen.remove(name) } }
    defer { for watch in watches { watch.cancel() } }
    for step in 0..<operations {
      let operation = model.operation(random, step)
      let expected = model.apply(operation)
      unseen.formUnion(model.changed)
      let found = perform(operation, model.prefix, store)
      try hold(
        expected == found && unseen.isEmpty,
        "seed \(seed), step \(step), \(operation): expected \(expected), found \(found); not woken: \(unseen)")
    }
    let found = try model.state(of: store)
    try hold(found == model.state, "seed \(seed): expected \(model.state), found \(found)")
  }

  // MARK: Operations

  func operation(_ random: SeededRandom, _ step: Int) -> Operation {
    let name = random.pick(names)
    func items(_ range: ClosedRange<Int>) -> [[UInt8]] {
      (0..<random.int(range)).map { _ in random.bytes(random.int(0...20)) }
    }
    func ending(_ chance: Double) -> StreamEnding? {
      random.chance(chance) ? random.pick([.closed, .aborted(reason: "r\(step)")]) : nil
    }
    switch random.int(0...13) {
    case 0, 1:
      return .create(
        name,
        StreamCreation(
          contentType: random.pick(["t", "t", "u"]), items: items(0...2), ending: ending(0.05),
          finds: random.chance(0.5) ? .sameContentType : .sameConfiguration))
    case 2:
      let source = random.pick(names)
      let tail = UInt64(streams[source]?.items.count ?? 0)
      let offset = random.chance(0.3) ? nil : Offset(UInt64(random.int(0...Int(tail) + 1)))
      let fork = StreamFork(
        source: source, offset: offset, subOffset: random.chance(0.6) ? 0 : UInt64(random.int(0...12)))
      return .create(name, StreamCreation(fork: fork, items: items(0...1)))
    case 3...6:
      var append = StreamAppend(items: items(0...4), ending: ending(0.1))
      if random.chance(0.4) {
        let id = random.pick(["p", "q", "e\u{301}", "\u{E9}"])
        let last = streams[name]?.producers[ProducerID(id)]
        let epoch = Int(last?.epoch ?? 0) + random.pick([0, 0, 0, 1, -1])
        let sequence = epoch == Int(last?.epoch ?? 0) ? Int(last?.sequence ?? 0) + random.pick([1, 1, 0, 2]) : 0
        append.producer = ProducerStamp(
          id: id, epoch: UInt64(max(0, epoch)), sequence: last == nil ? 0 : UInt64(sequence))
      }
      if random.chance(0.2) { append.sequence = "\(random.int(0...9))" }
      return .append(name, append)
    case 7...9:
      return .read(
        name, Offset(UInt64(random.int(0...max(1, (streams[name]?.items.count ?? 0) + 1)))),
        random.pick([0, 1, 10, 50, 100_000]))
    case 10, 11: return .delete(name)
    case 12: return .status(name)
    default: return .list(random.chance(0.5) ? name : nil, random.int(0...5))
    }
  }

  /// The store's answer, as the model would say it.
  static func perform(_ operation: Operation, _ prefix: String, _ store: StoreUnderTest) -> String {
    do {
      switch operation {
      case .create(let name, let creation): return describe(try store.create(name.path, creation))
      case .append(let name, let append): return describe(try store.append(name.path, append))
      case .read(let name, let from, let limit):
        let batch = try store.read(name.path, from: from, byteLimit: limit)
        return "\(batch.items.map(\.bytes)) \(batch.next) \(String(describing: batch.ending))"
      case .delete(let name):
        try store.delete(name.path)
        return "deleted"
      case .status(let name): return describe(try store.status(name.path))
      case .list(let after, let limit):
        return try store.list(prefix: prefix + "/", after: after, limit: limit).map(describe).joined(separator: ", ")
      }
    } catch {
      return (error as? StoreFailure)?.code ?? "\(error)"
    }
  }

  /// Asks, and does not wait.
  static func begin(_ operation: Operation, _ store: any StreamStore) {
    switch operation {
    case .create(let name, let creation): store.create(name, creation) { _ in }
    case .append(let name, let append): store.append(name, append) { _ in }
    case .delete(let name): store.delete(name) { _ in }
    case .read, .status, .list: break
    }
  }

  mutating func apply(_ operation: Operation) -> String {
    changed = []
    switch operation {
    case .create(let name, let creation): return create(name, creation)
    case .append(let name, let append): return self.append(name, append)
    case .read(let name, let from, let limit): return failure(name) ?? read(name, from, limit)
    case .status(let name): return failure(name) ?? describe(name)
    case .delete(let name):
      if let failure = failure(name) { return failure }
      changed = [name]
      streams[name]?.isGone = true
      // Whatever is gone and has no forks, goes; and again.
      while let last = streams.first(where: { name, stream in
        stream.isGone && !streams.values.contains { $0.fork?.source == name }
      }) {
        streams[last.key] = nil
      }
      return "deleted"
    case .list(let after, let limit):
      let listed = streams.keys.sorted().filter { name in
        streams[name]?.isGone == false && (after.map { name > $0 } ?? true)
      }
      return listed.prefix(limit).map(describe).joined(separator: ", ")
    }
  }

  /// Everything that can be seen.
  var state: [String] { names.map { failure($0) ?? read($0, .start, .max) + describe($0) } }

  func state(of store: StoreUnderTest) throws -> [String] {
    names.map { name in
      do {
        let all = try store.readAll(name.path)
        return "\(all.items.map(\.bytes)) \(all.next) \(String(describing: all.ending))"
          + Self.describe(try store.status(name.path))
      } catch {
        return (error as? StoreFailure)?.code ?? "\(error)"
      }
    }
  }

  // MARK: The model

  private func failure(_ name: StreamName) -> String? {
    guard let stream = streams[name] else { return "StreamNotFound" }
    return stream.isGone ? "StreamGone" : nil
  }

  private mutating func create(_ name: StreamName, _ creation: StreamCreation) -> String {
    if let stream = streams[name] {
      if stream.isGone { return "StreamGone" }
      var isSame = creation.contentType == stream.contentType || creation.fork != nil
      if creation.finds == .sameConfiguration {
        isSame =
          isSame && (creation.ending == nil) == (stream.ending == nil) && creation.fork?.source == stream.fork?.source
        if let asked = creation.fork {
          isSame = isSame && asked.subOffset == stream.fork?.subOffset
          isSame = isSame && (asked.offset == nil || asked.offset == stream.fork?.offset)
        }
      }
      return isSame ? describe(name) + " existed" : "StreamConflict"
    }
    var new = Stream(contentType: creation.contentType ?? "", items: creation.items, ending: creation.ending)
    if var fork = creation.fork {
      if let failure = failure(fork.source) { return failure }
      guard let source = streams[fork.source] else { return "StreamNotFound" }
      let offset = fork.offset.map { Int($0.value) } ?? source.items.count
      guard offset <= source.items.count else { return "OffsetBeyondTail" }
      new.contentType = source.contentType
      var inherited = Array(source.items[..<offset])
      if fork.subOffset > 0 {
        guard offset < source.items.count, Int(fork.subOffset) <= source.items[offset].count else { return "BadFork" }
        inherited.append(Array(source.items[offset].prefix(Int(fork.subOffset))))
      }
      fork.offset = Offset(UInt64(offset))
      new.fork = fork
      new.items = inherited + new.items
    }
    streams[name] = new
    changed = [name]
    return describe(name)
  }

  private mutating func append(_ name: StreamName, _ append: StreamAppend) -> String {
    if let failure = failure(name) { return failure }
    guard var stream = streams[name] else { return "" }
    let known = append.producer.flatMap { stream.producers[$0.id] }
    if let stamp = append.producer, let known, stamp.epoch < known.epoch { return "StaleProducer" }
    let tail = Offset(UInt64(stream.items.count))
    if stream.ending != nil {
      guard let stamp = append.producer, stamp == stream.closer else { return "StreamEnded" }
      return Self.describe(
        StreamAppended(tail: tail, isRepeat: true, sequence: known?.sequence, ending: stream.ending))
    }
    if let stamp = append.producer {
      if let known, known.epoch == stamp.epoch, stamp.sequence <= known.sequence {
        return Self.describe(StreamAppended(tail: tail, isRepeat: true, sequence: known.sequence))
      }
      if let known, known.epoch == stamp.epoch, stamp.sequence != known.sequence + 1 { return "ProducerGap" }
      if let known, known.epoch != stamp.epoch, stamp.sequence != 0 { return "BadFirstSequence" }
      if known == nil, stamp.sequence != 0 { return "ProducerGap" }
    }
    if let sequence = append.sequence, let last = stream.sequence, sequence <= last { return "SequenceRegression" }
    if !append.items.isEmpty || append.ending != nil {
      stream.items += append.items
      stream.ending = append.ending
      if let stamp = append.producer { stream.producers[stamp.id] = stamp }
      if append.ending != nil { stream.closer = append.producer }
      stream.sequence = append.sequence ?? stream.sequence
      streams[name] = stream
      changed = [name]
    }
    return Self.describe(
      StreamAppended(
        tail: Offset(UInt64(stream.items.count)), sequence: changed.isEmpty ? nil : append.producer?.sequence,
        ending: append.ending))
  }

  private func read(_ name: StreamName, _ from: Offset, _ limit: Int) -> String {
    guard let stream = streams[name] else { return "" }
    guard from.value <= stream.items.count else { return "OffsetBeyondTail" }
    // A batch may stop where a fork begins: nobody is promised all of it at once, so only its beginning is compared.
    var items: [[UInt8]] = []
    let edge = limit == .max ? nil : bases(name).filter { $0 > from.value }.min().map { Int($0) }
    for item in stream.items[Int(from.value)..<(edge ?? stream.items.count)]
    where items.isEmpty || items.joined().count < limit {
      items.append(item)
    }
    let next = Int(from.value) + items.count
    let ending = next == stream.items.count ? stream.ending : nil
    return "\(items) \(Offset(UInt64(next))) \(String(describing: ending))"
  }

  /// Where a fork's own items begin, its source's, and so on.
  private func bases(_ name: StreamName) -> [UInt64] {
    guard let fork = streams[name]?.fork, let offset = fork.offset else { return [] }
    guard fork.subOffset > 0, let item = streams[fork.source]?.items[Int(offset.value)] else {
      return [offset.value] + bases(fork.source)
    }
    return [offset.value + (Int(fork.subOffset) == item.count ? 1 : 0)] + bases(fork.source)
  }

  private func describe(_ name: StreamName) -> String {
    guard let stream = streams[name] else { return "" }
    return "\(name) \(stream.contentType) \(Offset(UInt64(stream.items.count))) \(String(describing: stream.ending))"
      + (stream.fork.map { " of \($0.source) at \($0.offset ?? .start)+\($0.subOffset)" } ?? "")
  }

  private static func describe(_ status: StreamStatus) -> String {
    "\(status.name) \(status.contentType) \(status.tail) \(String(describing: status.ending))"
      + (status.fork.map { " of \($0.source) at \($0.offset ?? .start)+\($0.subOffset)" } ?? "")
      + (status.existed ? " existed" : "")
  }

  private static func describe(_ appended: StreamAppended) -> String {
    "\(appended.tail) \(appended.isRepeat) \(String(describing: appended.sequence)) \(String(describing: appended.ending))"
  }
}
