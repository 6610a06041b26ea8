import Testing
import WeirCore
import WeirStore
import WeirTesting

/// What every store must do, sentence by sentence of `StreamStore` and of the stream model, whatever lies beneath.
///
/// A store is tested by running each of `checks` against a fresh one:
///
///     @Test(arguments: StreamStoreConformance.checks) func conforms(_ check: StreamStoreConformance) throws {
///       let simulation = SimulatedWorld(seed: 1)
///       try check.run(StoreUnderTest(MemoryStreamStore(loop: simulation.loop), simulation.loop))
///     }
struct StreamStoreConformance: Sendable, CustomTestStringConvertible {
  let testDescription: String
  let run: @Sendable (StoreUnderTest) throws -> Void

  init(_ sentence: String, _ run: @escaping @Sendable (StoreUnderTest) throws -> Void) {
    testDescription = sentence
    self.run = run
  }

  /// Of random operations, compared with a model: enough that every pair of operations meets on one stream.
  static let seeds: ClosedRange<UInt64> = 1...20

  static let checks =
    lifeChecks + itemChecks + watchChecks + listChecks + creationChecks + writerChecks + forkChecks + lifetimeChecks
    + sizeChecks

  // MARK: Creating, ending, deleting

  static let lifeChecks = [
    StreamStoreConformance("create makes an empty, open stream") { store in
      let status = try store.create("a/b", contentType: "application/json")
      try hold(status.tail == .start && status.ending == nil && !status.existed)
      try hold(status.contentType == "application/json" && status.name.path == "a/b")
      try hold(try store.status("a/b") == status)
      try hold(
        try store.read("a/b") == StreamBatch(items: [], next: .start, ending: nil, createdAt: status.createdAt))
    },
    StreamStoreConformance("create again with the same content type finds it, with another is a conflict") { store in
      let first = try store.create("a", contentType: "text/plain")
      try store.append("a", ["x"], ending: .closed)
      let again = try store.create("a", contentType: "text/plain")
      try hold(
        again.existed && again.tail == Offset(1) && again.ending == .closed && again.createdAt == first.createdAt)
      try hold(store.failure { try $0.create("a", contentType: "text/html") }?.code == "StreamConflict")
      try hold(try store.read("a").items.count == 1)
    },
    StreamStoreConformance("who is told that nothing comes after a batch has all of it") { store in
      try store.create("a")
      try store.append("a", ["x", "y", "z"])
      for limit in 1...4 {
        let batch = try store.read("a", byteLimit: limit)
        try hold(!batch.reachedTail || batch.next == Offset(3))
        try hold(!batch.items.isEmpty)
      }
    },
    StreamStoreConformance("a stream that isn't there is not found") { store in
      try hold(store.failure { try $0.append("a", ["x"]) }?.code == "StreamNotFound")
      try hold(store.failure { _ = try $0.read("a") }?.code == "StreamNotFound")
      try hold(store.failure { _ = try $0.status("a") }?.code == "StreamNotFound")
      try hold(store.failure { try $0.delete("a") }?.code == "StreamNotFound")
    },
    StreamStoreConformance("an ended stream takes nothing more, and says how it ended to everybody") { store in
      for (name, ending) in [
        ("a", StreamEnding.closed), ("b", .aborted(reason: "no \"money\"\n")), ("c", .aborted(reason: "")),
      ] {
        try store.create(name)
        try store.append(name, ["x", "y"], ending: ending)
        let name = try StreamName(name)
        for items in [["z"], []] {
          for again in [nil, StreamEnding.closed, .aborted(reason: "later")] {
            try hold(
              store.failure { try $0.append(name.path, items, ending: again) } == StoreFailure.ended(name, ending))
          }
        }
        try hold(try store.status(name.path).ending == ending)
        try hold(try store.read(name.path).ending == ending)
        let end = StreamBatch(
          items: [], next: Offset(2), ending: ending, createdAt: try store.status(name.path).createdAt)
        try hold(try store.read(name.path, from: 2) == end)
        try hold(try store.read(name.path, from: 2).ending == ending)
      }
    },
    StreamStoreConformance("an empty stream can end; ending needs no item") { store in
      try store.create("a")
      try hold(try store.append("a", [], ending: .closed) == .start)
      let createdAt = try store.status("a").createdAt
      try hold(
        try store.read("a") == StreamBatch(items: [], next: .start, ending: .closed, createdAt: createdAt))
    },
    StreamStoreConformance("an append of nothing changes nothing") { store in
      try store.create("a")
      try store.append("a", ["x"])
      try hold(try store.append("a", []) == Offset(1))
      try hold(try store.status("a").ending == nil)
    },
    StreamStoreConformance("a deleted stream is gone, and its name is free") { store in
      try store.create("a", contentType: "text/plain")
      try store.append("a", ["x"], ending: .closed)
      try store.delete("a")
      try hold(store.failure { _ = try $0.read("a") }?.code == "StreamNotFound")
      try hold(store.failure { try $0.delete("a") }?.code == "StreamNotFound")
      try hold(try store.list().isEmpty)
      let status = try store.create("a", contentType: "text/html")
      try hold(!status.existed && status.tail == .start && status.ending == nil)
    },
    StreamStoreConformance("another stream of the same name is told by when it was made, whatever is read of it") {
      store in
      var made: Set<Int64> = []
      for texts in [["x"], ["y", "z"], []] {
        let status = try store.create("a")
        try store.append("a", texts)
        for from in 0...texts.count { try hold(try store.read("a", from: from).createdAt == status.createdAt) }
        try hold(try store.status("a").createdAt == status.createdAt)
        try hold(made.insert(status.createdAt).inserted)
        try store.delete("a")
      }
      // A fork is another stream than its source, whoever's items are read; with its last one a source's name is free.
      let source = try store.create("source")
      try store.append("source", ["x"])
      store.pass(milliseconds: 5)
      let fork = try store.fork("fork", of: "source")
      try hold(try store.read("fork").createdAt == fork.createdAt && fork.createdAt != source.createdAt)
      try store.delete("source")
      try store.delete("fork")
      try hold(try store.create("fork").createdAt != fork.createdAt)
      try hold(try store.create("source").createdAt != source.createdAt)
    },
  ]

  // MARK: Appending and reading

  static let itemChecks = [
    StreamStoreConformance("positions are dense from 0; append answers the offset after its last item") { store in
      try store.create("a")
      try hold(try store.append("a", ["0"]) == Offset(1))
      try hold(try store.append("a", ["1", "2", "3"]) == Offset(4))
      try hold(try store.append("a", ["4"], ending: .closed) == Offset(5))
      for from in 0...5 {
        let batch = try store.read("a", from: from)
        try hold(batch.texts == (from..<5).map { String($0) } && batch.next == Offset(5) && batch.ending == .closed)
      }
    },
    StreamStoreConformance("bytes come back as they went in: any value, no item, every length around powers of two") {
      store in
      try store.create("a", contentType: "application/octet-stream")
      let random = SeededRandom(seed: 1)
      var items: [[UInt8]] = [[], [0], Array(0...255), Array("\r\n\0data: é😀".utf8)]
      for power in 0...12 { for extra in -1...1 { items.append(random.bytes(max(0, 1 << power + extra))) } }
      for item in items { try hold(try store.append("a", bytes: [item]) > .start) }
      try store.append("a", bytes: items)
      try hold(try store.readAll("a").items.map(\.bytes) == items + items)
    },
    StreamStoreConformance("what the caller does to its arrays later changes nothing") { store in
      try store.create("a")
      var item: [UInt8] = [1, 2, 3]
      try store.append("a", bytes: [item])
      item[0] = 9
      var batch = try store.read("a")
      for i in batch.items.indices { batch.items[i].bytes[1] = 9 }
      try hold(try store.read("a").items.first?.bytes == [1, 2, 3])
    },
    StreamStoreConformance("a batch holds at least one item and stops once the byte limit is reached") { store in
      try store.create("a")
      try store.append("a", ["aaaa", "bbbb", "cccc", "dddd"], ending: .closed)
      for (limit, count) in [(Int.min, 1), (0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 3), (16, 4), (Int.max, 4)] {
        let batch = try store.read("a", byteLimit: limit)
        try hold(batch.items.count == count && batch.next == Offset(UInt64(count)), "limit \(limit)")
        try hold(batch.ending == (count == 4 ? .closed : nil), "limit \(limit)")
      }
    },
    StreamStoreConformance("reading from beyond the tail is an error that names the tail") { store in
      try store.create("a")
      try store.append("a", ["x"])
      let name = try StreamName("a")
      for from in [2, 3, UInt64.max / 2, .max] {
        try hold(
          store.failure { try $0.read("a", from: Offset(from)) } == StoreFailure.beyondTail(name, tail: Offset(1)))
      }
      try store.append("a", [], ending: .closed)
      try hold(store.failure { try $0.read("a", from: 2) } == StoreFailure.beyondTail(name, tail: Offset(1)))
    },
    StreamStoreConformance("an item carries the time it was appended") { store in
      try store.create("a")
      try store.append("a", ["x", "y"])
      let items = try store.read("a").items
      let created = try store.status("a").createdAt
      try hold(items.allSatisfy { $0.time >= created && $0.time > 1_500_000_000_000 })
      try hold(items.first?.time == items.last?.time)
    },
    StreamStoreConformance("operations asked for at once happen, and are answered, in the order asked") { store in
      let name = try StreamName("a")
      var log: [String] = []
      store.store.create(name, contentType: "t") { _ in log.append("create") }
      for i in 0..<50 {
        store.store.append(name, [[UInt8(i)]], ending: nil) { log.append("append \((try? $0.get())?.value ?? 0)") }
      }
      store.store.read(name, from: .start, byteLimit: 1000) { log.append("read \((try? $0.get())?.items.count ?? -1)") }
      store.store.append(name, [], ending: .closed) { _ in log.append("close") }
      store.store.append(name, [[1]], ending: nil) { log.append($0.code) }
      store.store.delete(name) { _ in log.append("delete") }
      store.store.status(name) { log.append($0.code) }
      store.pump()
      try hold(
        log == ["create"] + (1...50).map { "append \($0)" } + [
          "read 50", "close", "StreamEnded", "delete", "StreamNotFound",
        ])
    },
    StreamStoreConformance("an answer may ask again from inside") { store in
      let name = try StreamName("a")
      var tail = Offset.start
      var calls = 0
      func more() {
        store.store.append(name, [[1], [2]], ending: nil) { result in
          tail = (try? result.get()) ?? .start
          calls += 1
          if tail.value < 20, calls < 20 { more() }
        }
      }
      store.store.create(name, contentType: "t") { _ in more() }
      store.pump()
      try hold(tail == Offset(20))
      try hold(try store.readAll("a").items.count == 20)
    },
    StreamStoreConformance(
      "fifty writers of one stream: each one's items keep their order, every position is given once"
    ) {
      store in
      let name = try StreamName("a")
      var tails: Set<UInt64> = []
      store.store.create(name, contentType: "t") { _ in }
      func write(_ writer: UInt8, _ number: UInt8) {
        store.store.append(name, [[writer, number], [writer, number + 1]], ending: nil) { result in
          guard case .success(let tail) = result, tails.insert(tail.value).inserted else { return }
          if number < 18 { write(writer, number + 2) }
        }
      }
      for writer in 0..<50 as Range<UInt8> { write(writer, 0) }
      store.pump()
      let items = try store.readAll("a").items.map(\.bytes)
      try hold(items.count == 1000 && tails == Set(stride(from: 2, through: 1000, by: 2)))
      for writer in 0..<50 as Range<UInt8> {
        try hold(items.filter { $0[0] == writer }.map { $0[1] } == Array(0..<20))
      }
      // An append is in one piece.
      for pair in stride(from: 1, to: items.count, by: 2) { try hold(items[pair][0] == items[pair - 1][0]) }
    },
    StreamStoreConformance("streams don't touch each other, however alike their names") { store in
      let names = [
        "a", "A", "a/a", "a.a", "a%2Fa", "a_a", "a a", ".a", "a.", "...", "e\u{301}", "\u{E9}", "😀", "-", "~", "con",
        "a*", "%00", "a%00",
      ]
      for name in names { try hold(try !store.create(name).existed, "\(name)") }
      for (i, name) in names.enumerated() { try store.append(name, ["\(i)"]) }
      for (i, name) in names.enumerated() { try hold(try store.read(name).texts == ["\(i)"], "\(name)") }
      let listed = try store.list().map(\.name)
      try hold(listed.count == names.count && listed == listed.sorted())
    },
    StreamStoreConformance("the longest and deepest names work") { store in
      let long = String(repeating: "x", count: StreamName.byteLimit)
      let deep = Array(repeating: "d", count: StreamName.segmentLimit).joined(separator: "/")
      let wide = String(repeating: "😀", count: 63)
      for name in [long, deep, wide] {
        try store.create(name)
        try store.append(name, ["x"])
        try hold(try store.read(name).texts == ["x"])
      }
    },
  ]

  // MARK: Watching

  static let watchChecks = [
    StreamStoreConformance("every change that a reader could see wakes its watchers, in a later job") { store in
      let name = try StreamName("a")
      var wakes = 0
      let watch = store.store.watch(name) { wakes += 1 }
      func wakesOnce(_ what: String, _ change: () -> Void) throws {
        let before = wakes
        change()
        try hold(wakes == before, "\(what): inside the call")
        store.pump()
        try hold(wakes > before, "\(what): not woken")
      }
      try wakesOnce("create") { store.store.create(name, contentType: "t") { _ in } }
      try wakesOnce("append") { store.store.append(name, [[1]], ending: nil) { _ in } }
      try wakesOnce("end") { store.store.append(name, [], ending: .closed) { _ in } }
      try wakesOnce("delete") { store.store.delete(name) { _ in } }
      watch.cancel()
    },
    StreamStoreConformance("many changes in one turn wake once") { store in
      try store.create("a")
      let name = try StreamName("a")
      var wakes = 0
      let watch = store.store.watch(name) { wakes += 1 }
      for _ in 0..<100 { store.store.append(name, [[1]], ending: nil) { _ in } }
      store.pump()
      try hold((1...2).contains(wakes))
      try hold(try store.readAll("a").items.count == 100)
      watch.cancel()
    },
    StreamStoreConformance("what changes nothing wakes nobody; nor do other streams") { store in
      try store.create("a")
      try store.create("b")
      let name = try StreamName("a")
      var wakes = 0
      let watch = store.store.watch(name) { wakes += 1 }
      try store.append("b", ["x"], ending: .closed)
      try store.create("a")
      try store.append("a", [])
      _ = try store.read("a")
      _ = try store.status("a")
      try hold(store.failure { _ = try $0.read("a", from: 9) }?.code == "OffsetBeyondTail")
      store.pump()
      try hold(wakes == 0)
      watch.cancel()
    },
    StreamStoreConformance("a cancelled watch is never called, not even for what happened before") { store in
      try store.create("a")
      let name = try StreamName("a")
      var wakes = 0
      let watch = store.store.watch(name) { wakes += 1 }
      store.store.append(name, [[1]], ending: nil) { _ in }
      watch.cancel()
      watch.cancel()
      store.pump()
      try store.append("a", ["x"])
      try hold(wakes == 0)
    },
    StreamStoreConformance("a woken reader sees the change, and misses none however it is woken") { store in
      try store.create("a")
      let name = try StreamName("a")
      var seen: [UInt8] = []
      var next = Offset.start
      var isEnded = false
      func readOn() {
        store.store.read(name, from: next, byteLimit: 3) { result in
          guard case .success(let batch) = result else { return }
          seen += batch.items.flatMap(\.bytes)
          next = batch.next
          if batch.ending != nil { isEnded = true } else if !batch.items.isEmpty { readOn() }
        }
      }
      let watch = store.store.watch(name) { readOn() }
      for i in 0..<200 as Range<UInt8> {
        store.store.append(name, [[i]], ending: i == 199 ? .closed : nil) { _ in }
        if i % 7 == 0 { store.pump() }
      }
      store.pump()
      try hold(seen == Array(0..<200) && isEnded)
      watch.cancel()
    },
    StreamStoreConformance("a wake may append, watch and cancel") { store in
      try store.create("a")
      let name = try StreamName("a")
      var log: [String] = []
      var watches: [any Cancellable] = []
      watches.append(
        store.store.watch(name) {
          log.append("first")
          guard log.count == 1 else { return }
          watches[1].cancel()
          watches.append(store.store.watch(name) { log.append("new") })
          store.store.append(name, [[2]], ending: nil) { _ in }
        })
      watches.append(store.store.watch(name) { log.append("cancelled") })
      store.store.append(name, [[1]], ending: nil) { _ in }
      store.pump()
      try hold(log == ["first", "first", "new"])
      for watch in watches { watch.cancel() }
      try store.append("a", ["x"])
      try hold(log.count == 3)
    },
  ]

  // MARK: Listing

  static let listChecks = [
    StreamStoreConformance("list is sorted, by prefix, in pages that hold each name once") { store in
      let names = (0..<57).map { "run/\($0 % 3)/\($0)" } + ["run", "runs", "ru", "z", "é"]
      for name in names.shuffled(seed: 4) { try store.create(name) }
      for prefix in ["", "r", "run", "run/", "run/1", "run/1/", "é", "nothing", "run/1/1"] {
        let expected = try names.filter { $0.hasPrefix(prefix) }.map { name in try StreamName(name) }.sorted()
        for limit in [1, 2, 10, 1000] {
          var pages: [StreamName] = []
          while true {
            let page = try store.list(prefix: prefix, after: pages.last, limit: limit).map(\.name)
            try hold(page.count <= limit)
            pages += page
            if page.count < limit || pages.count > names.count { break }
          }
          try hold(pages == expected, "prefix \(prefix), pages of \(limit)")
        }
      }
      try hold(try store.list(limit: 0).isEmpty)
      try hold(try store.list(prefix: "run", after: StreamName("ru")).first?.name.path == "run")
      try hold(try store.list(prefix: "a", after: StreamName("zz")).isEmpty)
    },
    StreamStoreConformance("list tells each stream's status, and follows creates and deletes") { store in
      try store.create("b", contentType: "text/plain")
      try store.append("b", ["x"], ending: .aborted(reason: "why"))
      try store.create("c")
      try hold(try store.list().map(\.name.path) == ["b", "c"])
      let status = try store.list().first
      try hold(status == store.status("b"))
      try hold(status?.ending == .aborted(reason: "why") && status?.tail == Offset(1))
      try store.create("a")
      try store.delete("b")
      try hold(try store.list().map(\.name.path) == ["a", "c"])
      try store.create("b")
      try hold(try store.list().map(\.name.path) == ["a", "b", "c"])
      // Between pages, a stream may go: the next page goes on from where its name was.
      try store.delete("b")
      try hold(try store.list(after: StreamName("b")).map(\.name.path) == ["c"])
    },
  ]

  // MARK: Size

  static let sizeChecks = [
    StreamStoreConformance("an item of 4 MiB") { store in
      try store.create("a")
      let big = SeededRandom(seed: 5).bytes(4 << 20)
      try store.append("a", bytes: [[1], big, [2]])
      try hold(try store.readAll("a", byteLimit: 65_536).items.map(\.bytes) == [[1], big, [2]])
    },
    StreamStoreConformance("100 000 items come back in order, from the start and from near the end") { store in
      try store.create("a")
      for batch in 0..<100 {
        try store.append("a", bytes: (0..<1000).map { Array("\(batch * 1000 + $0)".utf8) })
      }
      try store.append("a", [], ending: .closed)
      var next = 0
      let all = try store.readAll("a", byteLimit: 65_536)
      for item in all.items {
        try hold(item.bytes == Array("\(next)".utf8), "item \(next) is \(String(decoding: item.bytes, as: UTF8.self))")
        next += 1
      }
      try hold(next == 100_000 && all.ending == .closed)
      try hold(try store.read("a", from: 99_990).texts == (99_990..<100_000).map { String($0) })
    },
    StreamStoreConformance("many streams, written to in turn") { store in
      let names = try (0..<500).map { try StreamName("many/\($0)") }
      for name in names { store.store.create(name, contentType: "t") { _ in } }
      for round in 0..<5 as Range<UInt8> {
        for (i, name) in names.enumerated() {
          store.store.append(name, [[round, UInt8(i & 255)]], ending: round == 4 ? .closed : nil) { _ in }
        }
      }
      store.pump()
      for (i, name) in names.enumerated() {
        let batch = try store.readAll(name.path)
        try hold(batch.items.map(\.bytes) == (0..<5).map { [$0, UInt8(i & 255)] } && batch.ending == .closed)
      }
      try hold(try store.list(limit: 1000).count == 500)
    },
    StreamStoreConformance("random operations do what a trivial model does, whatever the seed") { store in
      for seed in seeds {
        try StreamStoreModel.compare(prefix: "model\(seed)", with: store, seed: seed, operations: 300)
      }
    },
  ]
}

extension Array {
  fileprivate func shuffled(seed: UInt64) -> [Element] {
    var random = SeededRandom(seed: seed)
    return shuffled(using: &random)
  }
}
