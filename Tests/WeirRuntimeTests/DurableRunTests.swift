import Testing
import WeirCore
import WeirTesting

@testable import WeirRuntime
@testable import WeirStore

/// Durable runs below the language: what the store is asked, and what it says.
@Suite struct DurableRunTests {
  private func open(_ store: any StreamStore, _ loop: SimulatedLoop, run: String = "r") -> DurableRun {
    DurableRun(id: run, begun: ["host": "test"], access: StreamAccess(store: store, loop: loop))
  }

  private func step(_ run: DurableRun, _ name: String, value: JSONValue) throws -> JSONValue {
    var kept: Result<JSONValue, StoreFailure>?
    run.begin(step: name, in: run.frame) { result in
      switch result {
      case .failure(let failure): kept = .failure(failure)
      case .success(.passed(let value)): kept = .success(value)
      case .success(.begins(let step)):
        run.finish(step, value) { result in
          run.leave(step)
          kept = result.map { value }
        }
      }
    }
    return try #require(kept).get()
  }

  /// What the journal says of items that the store has not taken is no word about those that come in their place.
  @Test func whoWasAnnouncedAndHasNotWrittenIsAnnouncedAgain() throws {
    let loop = SimulatedLoop()
    let store = Mortal()
    store.store = MemoryStreamStore(loop: loop)
    store.slow = (loop, { .milliseconds(1) })
    var failures: [String] = []
    func live(_ names: [String], calls: Int = .max) {
      store.left = calls
      store.performsLast = true
      let run = open(store, loop)
      run.writer("log", contentType: StreamContentType.json) { result in
        guard let writer = try? result.get() else { return }
        for name in names {
          run.begin(step: name, in: run.frame) { result in
            guard case .success(.begins(let step)) = result else { return }
            writer.write(Array("\"\(name)\"".utf8), by: step) { result in
              if case .failure(let failure) = result { failures.append("\(name): \(failure)") }
            }
          }
        }
      }
      loop.run()
      store.left = .max
    }
    // Dies when the second and the third are announced, in one batch.
    live(["a", "b", "c"], calls: 6)
    live(["c"])
    live(["b", "c", "a"])
    #expect(failures == [])
    var items: [String] = []
    store.store.read(try StreamName("runs/r/log"), from: .start, byteLimit: 1 << 20) { result in
      items = ((try? result.get())?.items ?? []).map { String(decoding: $0.bytes, as: UTF8.self) }
    }
    #expect(items == ["\"a\"", "\"c\"", "\"b\""])
  }

  @Test func whatIsDoneIsNotKeptInMemory() throws {
    let loop = SimulatedLoop()
    let store = MemoryStreamStore(loop: loop)
    let first = open(store, loop)
    for n in 0..<100 { _ = try step(first, "s\(n)", value: .int(n)) }
    #expect(first.frame.results.isEmpty && first.frame.children.isEmpty)
    let second = open(store, loop)
    #expect(try step(second, "s0", value: "other") == 0)
    #expect(second.frame.results.count == 99 && second.frame.children.isEmpty)
    for n in 1..<100 { #expect(try step(second, "s\(n)", value: "other") == .int(n)) }
    #expect(second.frame.results.isEmpty)
  }

  /// A stream for each order, and one operation without end.
  @Test(arguments: [false, true]) func whatHasEndedIsLetGo(isAborted: Bool) throws {
    let loop = SimulatedLoop()
    let store = MemoryStreamStore(loop: loop)
    let lifetime = StreamLifetime.idle(seconds: 60)
    let run = DurableRun(
      id: "r", begun: [:], access: StreamAccess(store: store, loop: loop), lifetime: lifetime)
    weak var last: DurableWriter?
    func write(_ run: DurableRun, _ namespace: String, _ count: Int, by frame: DurableFrame) -> DurableWriter? {
      var writer: DurableWriter?
      run.writer(namespace, contentType: StreamContentType.json) { writer = try? $0.get() }
      for n in 0..<count { writer?.write(Array("\(n)".utf8), by: frame) { _ in } }
      return writer
    }
    for order in 0..<3 {
      let writer = write(run, "order-\(order)", 2, by: run.frame)
      last = writer
      if isAborted { writer?.abort("no more") } else { writer?.close(by: run.frame) { _ in } }
    }
    #expect(last == nil)
    // Who asks for it again is told that it has ended.
    #expect(write(run, "order-2", 0, by: run.frame)?.isWritable == false)
    var book: ItemCheckpoints?
    run.begin(each: "e", in: run.frame, interval: 1, keepsResults: false) { book = try? $0.get() }
    let each = try #require(book)
    _ = write(run, "log", 1, by: each.item(0))
    each.done(0, .null) { _ in }
    #expect(each.frame.writes.isEmpty && each.frame.children.isEmpty)
    run.end(failure: nil)
    store.list(prefix: "", after: nil, limit: 10) { result in
      let all = (try? result.get()) ?? []
      #expect(all.count == 5 && all.allSatisfy { $0.ending != nil && $0.lifetime == lifetime })
    }
  }

  /// Those of one frame are found as if all were looked at.
  @Test func writersAreFoundByTheirFrames() {
    let random = SeededRandom(seed: 1)
    let paths: [String?] = [nil, "", "a", "a/b", "a/b/c", "a/bb", "ab", "b"]
    var writers = RunJournal.Writers()
    var all: [String: String?] = [:]
    for turn in 0..<500 {
      let (namespace, path) = ("n\(random.int(0...9))", random.pick(paths))
      if random.chance(0.1) {
        writers.forget(namespace)
        all[namespace] = nil
      } else {
        writers[namespace] = RunJournal.Writers.Writer(path: path, from: UInt64(turn))
        all[namespace] = .some(path)
      }
      for frame in paths.compactMap(\.self) where frame != "" {
        let wanted = all.filter { $0.value == frame || $0.value?.hasPrefix(frame + "/") == true }.keys
        #expect(writers.inside(frame) == Set(wanted), "turn \(turn)")
      }
    }
  }

  /// What was read ahead for comparing goes when nothing is left to be compared.
  @Test func whatWasComparedIsLetGo() throws {
    let loop = SimulatedLoop()
    let store = MemoryStreamStore(loop: loop)
    func live(_ count: Int) -> DurableWriter? {
      let run = open(store, loop)
      var writer: DurableWriter?
      run.writer("log", contentType: StreamContentType.json) { writer = try? $0.get() }
      for n in 0..<count { writer?.write(Array("\(n)".utf8), by: run.frame) { _ in } }
      return writer
    }
    _ = live(10)
    #expect(live(5)?.stored.items.count == 10)
    #expect(live(10)?.stored.items.isEmpty == true)
    #expect(live(11)?.stored.items.isEmpty == true)
  }

  /// A store that does not take the end of a stream: the run is open.
  @Test(arguments: [false, true], [nil, "why"]) func aRunIsOpenWhileAStreamOfItIs(isResumed: Bool, reason: String?)
    throws
  {
    let loop = SimulatedLoop()
    let store = SlowStore(loop)
    var run = open(store, loop)
    var writer: DurableWriter?
    func write(_ item: String) {
      run.writer("tokens", contentType: StreamContentType.json) { writer = try? $0.get() }
      writer?.write(Array(item.utf8), by: run.frame) { _ in }
    }
    write("1")
    if isResumed { run = open(store, loop) }
    write("1")
    store.refusal = .full("the disk is full")
    store.refusesEnds = true
    var failure: StoreFailure?
    run.end(failure: reason) { failure = $0 }
    #expect(failure?.code == "StoreFull")
    func ending(_ path: String) throws -> StreamEnding? {
      var ending: StreamEnding?
      store.status(try StreamName(path)) { ending = (try? $0.get())?.ending }
      return ending
    }
    #expect(try ending("_weir/journal/r") == nil)
    store.refusal = nil
    run = open(store, loop)
    for _ in 0..<(isResumed ? 1 : 2) { write("1") }
    run.end(failure: reason) { failure = $0 }
    #expect(failure == nil)
    let wanted = reason.map { StreamEnding.aborted(reason: $0) } ?? .closed
    #expect(try ending("runs/r/tokens") == wanted && ending("_weir/journal/r") == wanted)
  }

  // MARK: Two processes

  private func shared(_ loop: SimulatedLoop) -> Mortal {
    let store = Mortal()
    store.store = MemoryStreamStore(loop: loop)
    store.isShared = true
    return store
  }

  @Test func whoTakesARunUpIsItsOnlyWriter() throws {
    let loop = SimulatedLoop()
    let store = shared(loop)
    let old = open(store, loop)
    #expect(try step(old, "a", value: 1) == 1)
    var writer: DurableWriter?
    old.writer("tokens", contentType: StreamContentType.json) { writer = try? $0.get() }
    var written: [Bool] = []
    let write = { (writer: DurableWriter?, run: DurableRun, item: String) in
      _ = writer?.write(Array(item.utf8), by: run.frame) { written.append((try? $0.get()) != nil) }
    }
    write(writer, old, "1")
    let new = open(store, loop)
    #expect(try step(new, "a", value: 2) == 1)
    var other: DurableWriter?
    new.writer("tokens", contentType: StreamContentType.json) { other = try? $0.get() }
    write(other, new, "1")
    write(other, new, "2")
    // The old one is told, with its journal and with its streams.
    write(writer, old, "3")
    #expect(written == [true, true, true, false])
    #expect(throws: StoreFailure.takenOver("r")) { try step(old, "b", value: 1) }
    var failure: StoreFailure?
    old.end(failure: "stopped") { failure = $0 }
    #expect(failure == .takenOver("r"))
    var status: StreamStatus?
    store.status(try StreamName("runs/r/tokens")) { status = try? $0.get() }
    #expect(status?.ending == nil && status?.tail.value == 2)
    #expect(try step(new, "b", value: 3) == 3)
    failure = .takenOver("r")
    new.end(failure: nil) { failure = $0 }
    #expect(failure == nil)
    store.status(try StreamName("runs/r/tokens")) { status = try? $0.get() }
    #expect(status?.ending == .closed)
  }

  /// Both read the journal before either has taken the run up.
  @Test func ofTwoThatTakeARunUpAtOnceOneIsRefused() throws {
    let loop = SimulatedLoop()
    let store = shared(loop)
    _ = try step(open(store, loop), "a", value: 1)
    var journals: [RunJournal] = []
    for _ in 0..<2 {
      RunJournal.read(run: "r", store: store) { if case .success(let journal) = $0 { journals.append(journal) } }
    }
    try #require(journals.count == 2)
    var answers: [String] = []
    for journal in journals {
      journal.takeUp { result in
        if case .failure(let failure) = result { answers.append(failure.code) } else { answers.append("taken") }
      }
    }
    #expect(answers == ["taken", "RunTakenOver"])
    var late: StoreFailure?
    journals[1].record(failed: "x", writes: [:]) { if case .failure(let failure) = $0 { late = failure } }
    #expect(late == .takenOver("r"))
  }

  /// The store has not taken something: its numbers go on from there.
  @Test func aFailureOfTheStoreIsNoEndOfALife() throws {
    let loop = SimulatedLoop()
    let inner = SlowStore(loop)
    let store = Mortal()
    store.store = inner
    store.isShared = true
    inner.refuses = "_weir/"
    let run = open(store, loop)
    #expect(try step(run, "a", value: 1) == 1)
    inner.refusal = .full("full")
    #expect(throws: StoreFailure.full("full")) { try step(run, "b", value: 1) }
    inner.refusal = nil
    #expect(try step(run, "c", value: 1) == 1)
    let next = open(store, loop)
    #expect(try step(next, "a", value: 2) == 1)
    #expect(try step(next, "c", value: 2) == 1)
    #expect(throws: StoreFailure.takenOver("r")) { try step(run, "d", value: 1) }
  }
}
