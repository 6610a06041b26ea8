import Testing
import WeirCore
import WeirTesting

@testable import WeirRedis
@testable import WeirStore

/// Runs whose streams are in a Redis: whoever has taken one up last is its only writer.
@Suite(.enabled(if: RedisServer.path != nil, Comment(rawValue: RedisServer.isMissing)))
struct RedisRunTests {
  let server: RedisServer
  let test = RedisTest(within: .seconds(60))

  init() throws { server = try RedisServer() }

  private func journal(_ store: RedisStreamStore) throws -> RunJournal {
    try test.ask("the journal") { RunJournal.open(run: "r", begun: ["host": "test"], store: store, $0) }
  }

  private func writer(_ journal: RunJournal, _ store: RedisStreamStore) throws -> DurableWriter {
    try test.ask("the writer") { answer in
      DurableWriter.open(
        "tokens", of: journal, contentType: StreamContentType.json, in: StreamAccess(store: store, loop: test.loop),
        answer)
    }
  }

  private func write(_ item: String, _ writer: DurableWriter, _ journal: RunJournal) throws -> String {
    var said = ""
    try test.wait(for: "a write") { done in
      writer.write(Array(item.utf8), by: journal.root) { result in
        switch result {
        case .success: said = "written"
        case .failure(.store(let failure)): said = failure.code
        case .failure(let failure): said = "\(failure)"
        }
        done()
      }
    }
    return said
  }

  private func record(_ path: String, _ journal: RunJournal) throws -> StoreFailure? {
    try test.failure { journal.record(step: path, RunJournal.Step(value: 1, writes: [:]), $0) }
  }

  @Test func theProcessThatTookARunUpFencesTheOneBefore() throws {
    let (one, two) = (try test.open(server.url()), try test.open(server.url()))
    defer {
      one.close()
      two.close()
    }
    let old = try journal(one)
    let oldWriter = try writer(old, one)
    #expect(try write("1", oldWriter, old) == "written")
    #expect(try record("a", old) == nil)
    let new = try journal(two)
    #expect(new.root.results["a"]?.value == 1)
    let newWriter = try writer(new, two)
    #expect(try write("1", newWriter, new) == "written")
    #expect(try write("2", newWriter, new) == "written")
    #expect(try write("3", oldWriter, old) == "RunTakenOver")
    // It knows, and asks nobody.
    var late: StoreFailure?
    old.record(step: "b", RunJournal.Step(value: 1, writes: [:])) {
      if case .failure(let failure) = $0 { late = failure }
    }
    #expect(late == .takenOver("r"))
    #expect(try record("b", new) == nil)
    let batch: StreamBatch = try test.ask("items") {
      two.read(newWriter.name, from: .start, byteLimit: 1 << 20, $0)
    }
    #expect(batch.items.map { String(decoding: $0.bytes, as: UTF8.self) } == ["1", "2"])
  }

  /// The old process has written on after the new one had looked, and before that one wrote: the stream is not whole, and says so.
  @Test func whatTheOldProcessWroteUnseenEndsTheStream() throws {
    let (one, two) = (try test.open(server.url()), try test.open(server.url()))
    defer {
      one.close()
      two.close()
    }
    let old = try journal(one)
    let oldWriter = try writer(old, one)
    #expect(try write("1", oldWriter, old) == "written")
    let new = try journal(two)
    let newWriter = try writer(new, two)
    #expect(try write("2", oldWriter, old) == "written")
    #expect(try write("1", newWriter, new) == "written")
    #expect(try write("2", newWriter, new) == "written")
    let status: StreamStatus = try test.ask("the end") { two.status(newWriter.name, $0) }
    #expect(
      status.ending
        == .aborted(reason: "the process that ran this workflow before has written on, from position 1 to 2"))
  }

  @Test func ofTwoProcessesThatTakeARunUpAtOnceOneIsRefused() throws {
    for _ in 0..<10 {
      let stores = try (0..<3).map { _ in try test.open(server.url()) }
      defer { for store in stores { store.close() } }
      let old = try journal(stores[0])
      #expect(try record("a", old) == nil)
      var answers: [String] = []
      try test.wait(for: "both") { done in
        for store in stores.dropFirst() {
          RunJournal.open(run: "r", begun: ["host": "test"], store: store) { result in
            switch result {
            case .success: answers.append("taken")
            case .failure(let failure): answers.append(failure.code)
            }
            if answers.count == 2 { done() }
          }
        }
      }
      // One after the other is well as long as the last one has it.
      #expect(answers.contains("taken") && answers.allSatisfy { $0 == "taken" || $0 == "RunTakenOver" })
      #expect(try record("b", old) == .takenOver("r"))
    }
  }

  /// What is sent again because a connection was cut is no other process.
  @Test func aCutConnectionIsNobodyElse() throws {
    let random = SeededRandom(seed: RedisFaultTests.seed)
    let proxy = try CuttingProxy(test.world, to: server.port, seed: RedisFaultTests.seed)
    defer { proxy.close() }
    proxy.lifeOfNext = { random.int(2_000...8_000) }
    proxy.isLate = { random.chance(0.7) }
    let store = try test.open(proxy.url()) { $0.reconnectDelay = .milliseconds(20) }
    defer { store.close() }
    let run = try journal(store)
    let tokens = try writer(run, store)
    for n in 0..<200 {
      #expect(try write("\(n)", tokens, run) == "written", "WEIR_SEED=\(RedisFaultTests.seed), item \(n)")
      if n % 4 == 0 { #expect(try record("s\(n)", run) == nil, "WEIR_SEED=\(RedisFaultTests.seed), item \(n)") }
    }
    #expect(proxy.cutCount > 2)
    let batch: StreamBatch = try test.ask("items") { store.read(tokens.name, from: .start, byteLimit: 1 << 20, $0) }
    #expect(batch.items.map { String(decoding: $0.bytes, as: UTF8.self) } == (0..<200).map { "\($0)" })
  }
}
