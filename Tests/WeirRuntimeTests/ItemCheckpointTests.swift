import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// The book of one operation over a stream's items: what it promises through crashes, and what it may cost.
@Suite struct ItemCheckpointTests {
  /// One way through several lives: workers that begin, finish and fail items in any order, a store that answers when it likes,
  /// crashes anywhere. Beside it stands what has happened.
  private final class Run {
    let random: SeededRandom
    let loop = SimulatedLoop()
    let store: SlowStore
    let start: Int
    let items: Int
    let concurrency: Int
    let interval: Int
    let failures: Double
    let keepsResults: Bool
    /// Of the lives so far.
    var failureCount = 0
    var failed: Set<Int> = []
    var succeeded: Set<Int> = []
    var durable = RangeSet<UInt64>()
    /// Places at which the last life was when it ended: begun, and not failed.
    var underWay: Set<Int> = []
    /// Ranges that lives began with.
    var inherited = 0
    var lives = 0

    init(seed: UInt64) {
      random = SeededRandom(seed: seed)
      store = SlowStore(loop)
      start = random.chance(0.5) ? 0 : random.int(1...1_000_000)
      items = random.int(1...300)
      concurrency = random.int(1...8)
      interval = random.int(1...12)
      failures = random.pick([0, 0.05, 0.5])
      keepsResults = random.chance(0.3)
    }

    private func answer() {
      store.isHolding = false
      loop.run()
      store.isHolding = true
    }

    func journal() throws -> RunJournal {
      store.isHolding = false
      var opened: Result<RunJournal, StoreFailure>?
      RunJournal.open(run: "r", begun: ["host": "test"], store: store) { opened = $0 }
      loop.run()
      store.isHolding = true
      return try #require(opened).get()
    }

    /// False: it died.
    func live(mayDie: Bool, _ comment: Comment) throws -> Bool {
      lives += 1
      let journal = try journal()
      let book = ItemCheckpoints(journal, journal.root.child("each"), interval: interval, keepsResults: keepsResults)
      #expect(durable.isSubset(of: book.places), "what was done is done, \(comment)")
      #expect(book.places.ranges.allSatisfy { $0.allSatisfy { succeeded.contains(Int($0)) } }, comment)
      let again = underWay.count { !book.isDone(UInt64($0)) }
      #expect(again <= interval + concurrency, "\(again) again, \(comment)")
      #expect(book.count == book.places.ranges.reduce(0) { $0 + $1.count }, comment)
      if keepsResults { #expect(book.known.count == book.count, comment) }
      durable = book.places
      inherited += book.places.ranges.count
      underWay = []
      var next = start
      var running: [Int] = []
      var waiting = 0
      var refused: StoreFailure?
      while next < start + items || !running.isEmpty || waiting > 0 {
        if mayDie, random.chance(0.01) { return false }
        switch random.int(0...3) {
        case 0 where running.count + waiting < concurrency && next < start + items:
          if !book.isDone(UInt64(next)) {
            #expect(!durable.contains(UInt64(next)), comment)
            running.append(next)
            underWay.insert(next)
          }
          next += 1
        case 1 where !running.isEmpty:
          let place = running.remove(at: random.int(below: running.count))
          if random.chance(failures) {
            failureCount += 1
            failed.insert(place)
            underWay.remove(place)
          } else {
            succeeded.insert(place)
            waiting += 1
            book.done(UInt64(place), .int(place)) { failure in
              refused = refused ?? failure
              waiting -= 1
            }
          }
        case 2: answer()
        default: break
        }
        let gaps = failed.count + interval + 2 * concurrency
        #expect(book.places.ranges.count <= gaps + 1, "memory, \(comment)")
      }
      var finished = false
      book.finish { failure in
        refused = refused ?? failure
        finished = true
      }
      answer()
      #expect(finished && refused == nil, comment)
      let left = failed.count { !book.isDone(UInt64($0)) }
      #expect(book.count + left == items, comment)
      #expect(book.last == (start..<start + items).last { book.isDone(UInt64($0)) } ?? -1, comment)
      return true
    }

    /// Entries of the operation, their ranges, their bytes without results.
    func size() throws -> (entries: Int, ranges: Int, bytes: Int) {
      var size = (0, 0, 0)
      store.isHolding = false
      store.read(try WorkflowStreams.journal(of: "r"), from: .start, byteLimit: 1 << 30) { result in
        for item in (try? result.get().items) ?? [] {
          guard let entry = try? JSONValue.parse(item.bytes), entry["each"] != nil else { continue }
          size.0 += 1
          size.1 += entry["done"]?.array?.count ?? 0
          size.2 += item.bytes.count
        }
      }
      return size
    }
  }

  @Test func anyWayThroughCrashesKeepsWhatItPromisesAndStaysSmall() throws {
    for seed in 1...(400 as UInt64) {
      let run = Run(seed: seed)
      let comment: Comment =
        "seed \(seed): \(run.items) items from \(run.start), \(run.concurrency) at once, every \(run.interval), failing \(run.failures)"
      while try !run.live(mayDie: run.lives < 6, comment) {}
      // Once more over what failed: nothing else is done again.
      _ = try run.live(mayDie: false, comment)
      #expect(run.underWay.isSubset(of: run.failed), comment)
      let size = try run.size()
      // Each gap in what one entry writes down is an item that was under way, had failed, or was done before.
      let gaps = 2 * size.entries * run.concurrency + run.failureCount + run.inherited
      #expect(size.ranges <= size.entries + gaps, comment)
      #expect(size.entries <= run.items / run.interval + run.failureCount / run.interval + 2 * run.lives, comment)
      if !run.keepsResults { #expect(size.bytes <= 40 * size.entries + 20 * size.ranges, comment) }
    }
  }

  @Test func whatTheStoreHasNotTakenIsWrittenWithTheNext() throws {
    let run = Run(seed: 1)
    run.store.refuses = "_weir/"
    let journal = try run.journal()
    run.store.isHolding = false
    let book = ItemCheckpoints(journal, journal.root.child("each"), interval: 2, keepsResults: true)
    var told: [String] = []
    func done(_ place: UInt64) { book.done(place, .int(Int(place))) { told.append("\(place) \($0?.code ?? "kept")") } }
    done(7)
    run.store.refusal = .full("full")
    done(8)
    done(10)
    run.store.refusal = nil
    done(11)
    book.finish { _ in told.append("end") }
    #expect(told == ["7 kept", "8 StoreFull", "10 StoreFull", "11 kept", "end"])
    let later = try run.journal()
    let again = ItemCheckpoints(later, later.root.child("each"), interval: 2, keepsResults: true)
    #expect(Array(again.places.ranges) == [7..<9, 10..<12])
    #expect(again.known == [7: 7, 8: 8, 10: 10, 11: 11] && again.count == 4 && again.last == 11)
    #expect(
      try run.size() == (
        1, 2, #"{"each":"each","done":[[7,9],[10,12]],"values":[[7,7],[8,8],[10,10],[11,11]]}"#.utf8.count
      ))
  }

  @Test func aStreamReadFromALaterPlaceIsOneRange() throws {
    let bench = try Bench(
      """
      import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, write, streamForEach)
      func main() {
        let writer: StreamWriter[int] = getWritable("n")
        for i in 0..500 { _ = writer.write(i) }
        _ = writer.close()
        let reader: StreamReader[int] = getReadable("n", startIndex: 100)
        match streamForEach(reader, (n) => if n % 100 == 50 then Err(n) else Ok(n), "rest", concurrency: 3,
          checkpointInterval: 50, onError: "skip", keepResults: false) {
          Ok(all) => println("${all.processedCount} ${all.lastPosition}"),
          Err(why) => println("${why}")
        }
      }
      """, configure: { $0.runID = "r" })
    bench.instance.run(entryArguments: [])
    bench.simulation.loop.advance(by: .seconds(5))
    #expect(bench.output == "396 499\n", "\(bench.errors)")
    let journal = try JSONValue.parse(bench.items("_weir/journal/r"))
    let entries = try #require(journal.array).filter { $0["each"] != nil }
    #expect(entries.count == 8)
    #expect(entries.allSatisfy { $0["values"] == nil })
    var done = RangeSet<Int>()
    for range in entries.flatMap({ $0["done"]?.array ?? [] }) {
      done.insert(contentsOf: (range[0]?.int ?? 0)..<(range[1]?.int ?? 0))
    }
    #expect(Array(done.ranges) == [100..<150, 151..<250, 251..<350, 351..<450, 451..<500])
    #expect(entries.reduce(0) { $0 + $1.encoded().count } < 8 * 80)
  }

  private func read(_ entries: [String]) throws -> RunJournal {
    let loop = SimulatedLoop()
    let store = MemoryStreamStore(loop: loop)
    let items = (["{\"begun\":{}}"] + entries).map { Array($0.utf8) }
    var answer: Result<RunJournal, StoreFailure>?
    let creation = StreamCreation(contentType: StreamContentType.json, items: items)
    store.create(try WorkflowStreams.journal(of: "r"), creation) { _ in
      RunJournal.read(run: "r", store: store) { answer = $0 }
    }
    loop.run()
    return try #require(answer).get()
  }

  @Test func whatOneJournalSaysOfAnOperationIsOneBook() throws {
    let journal = try read([
      #"{"each":"a","done":[[0,3]],"values":[[0,"x"],[5,null]]}"#, #"{"each":"a","done":[[6,8],[3,4]]}"#,
    ])
    let progress = try #require(journal.root.children["a"]?.progress)
    #expect(Array(progress.done.ranges) == [0..<4, 5..<8])
    #expect(progress.count == 7)
    #expect(progress.values == [0: "x", 5: .null])
  }

  @Test(arguments: [
    #""x""#, "-1", "3", "[1]", "[[1]]", "[[1,1]]", "[[2,1]]", "[[-1,2]]", "[[0,9223372036854775808]]", "[[0,1.5]]",
    "null",
    "[{}]",
  ]) func aJournalThatCannotBeReadIsNotGuessedAt(done: String) throws {
    let journal = try read([#"{"each":"a","done":\#(done)}"#])
    #expect(journal.problem?.message == "the journal of run r cannot be read at position 1")
  }
}
