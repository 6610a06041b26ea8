import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirAI

/// Agents: what they remember, whom they keep apart, and what remains of a turn that went wrong.
struct AgentSessionsTests {
  /// A store that can be made to fail or to say nothing.
  final class MoodyStore: StreamStore {
    enum Mood { case good, failing, silent }
    let base: MemoryStreamStore
    var onStatus = Mood.good
    var onAppend = Mood.good
    init(loop: any Loop) { base = MemoryStreamStore(loop: loop) }

    func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
      base.create(name, creation, answer)
    }
    func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
      switch onAppend {
      case .good: base.append(name, append, answer)
      case .failing: answer(.failure(.full("the disk is full")))
      case .silent: break
      }
    }
    func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
      switch onStatus {
      case .good: base.status(name, answer)
      case .failing: answer(.failure(.unavailable("unplugged")))
      case .silent: break
      }
    }
    func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
      // One item at a time, so that reading on is tested too.
      base.read(name, from: offset, byteLimit: 1, answer)
    }
    func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { base.watch(name, wake) }
    func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) { base.delete(name, answer) }
    func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
      base.list(prefix: prefix, after: after, limit: limit, answer)
    }
  }

  /// A world with one provider that answers `re: <last message>` word by word, and an agent that asks it.
  final class Fixture {
    let simulation = SimulatedWorld(seed: 1, environment: ["TEST_KEY": "key-1234"])
    let store: MoodyStore
    let sessions: AgentSessions
    var agent = Agent(name: "Writer", provider: "p", system: "be brief", memory: .conversation(maxTurns: 2))

    /// What a process of before has left.
    func leave(_ name: String, _ items: [String], _ ending: StreamEnding? = nil) throws {
      let creation = StreamCreation(
        contentType: "application/json", items: items.map { Array($0.utf8) }, ending: ending)
      store.base.create(try StreamName(name), creation) { _ in }
      simulation.loop.settle()
    }

    init() {
      store = MoodyStore(loop: simulation.loop)
      sessions = AgentSessions(
        client: ChatClient(world: simulation.world),
        registry: ProviderRegistry(configured: [openAIProvider()], environment: simulation.environment), store: store)
      simulation.http.serve("https://") { exchange in
        let asked = Fixture.messages(exchange).last?["content"]?.string ?? ""
        exchange.head(200)
        for word in ["re: ", asked] { exchange.body(delta(word), after: .milliseconds(100)) }
        if asked == "cut" { return exchange.finish() }
        exchange.body(delta("", finish: "stop") + DeltaDecoderTests.done, after: .milliseconds(100))
        exchange.finish()
      }
    }

    static func messages(_ exchange: SimulatedHTTPExchange) -> [JSONValue] {
      (try? JSONValue.parse(exchange.text))?["messages"]?.array ?? []
    }

    /// `role:content` of each request so far.
    var asked: [[String]] {
      simulation.http.exchanges.map {
        Fixture.messages($0).map { "\($0["role"]?.string ?? ""):\($0["content"]?.string ?? "")" }
      }
    }

    @discardableResult
    func start(
      _ text: String, _ session: String?, run: String? = nil
    ) -> (call: any ChatCall, sink: EventRecorder) {
      let sink = EventRecorder()
      let call = sessions.start(agent, text: text, session: session, run: run, sink: sink)
      #expect(sink.events.isEmpty)
      return (call, sink)
    }

    func say(_ text: String, _ session: String?, run: String? = nil) -> EventRecorder {
      let sink = start(text, session, run: run).sink
      simulation.loop.run()
      #expect(sink.endCount == 1 && sink.end != nil && simulation.loop.pendingTimerCount == 0, "\(simulation)")
      return sink
    }

    func remembered(_ session: String) -> [String] {
      var out: [String] = []
      guard let name = try? ConversationMemory.streamName(agent: agent.name, session: session) else { return out }
      store.base.read(name, from: .start, byteLimit: 1 << 20) { batch in
        out = (try? batch.get())?.items.map { String(decoding: $0.bytes, as: UTF8.self) } ?? []
      }
      simulation.loop.settle()
      return out
    }
  }

  @Test func remembersTheLastTurns() {
    let f = Fixture()
    for text in ["one", "two", "three", "four"] { #expect(f.say(text, "s").text == "re: " + text) }
    #expect(f.asked[0] == ["system:be brief", "user:one"])
    #expect(f.asked[1] == ["system:be brief", "user:one", "assistant:re: one", "user:two"])
    #expect(
      f.asked[3]
        == ["system:be brief", "user:two", "assistant:re: two", "user:three", "assistant:re: three", "user:four"])
    #expect(f.remembered("s").count == 8)
    #expect(
      f.remembered("s").prefix(2) == [
        "{\"role\":\"user\",\"content\":\"one\"}", "{\"role\":\"assistant\",\"content\":\"re: one\"}",
      ])
  }

  @Test func withoutASessionOrMemoryNothingIsKept() throws {
    let f = Fixture()
    _ = f.say("one", nil)
    _ = f.say("two", nil)
    _ = f.say("three", "")
    f.agent.memory = .none
    _ = f.say("four", "s")
    #expect(f.asked.allSatisfy { $0.count == 2 })
    f.store.list(prefix: "", after: nil, limit: 10) { #expect((try? $0.get())?.isEmpty == true) }
  }

  @Test func sessionsAndAgentsNeverSeeEachOther() {
    let f = Fixture()
    _ = f.say("secret", "a")
    _ = f.say("hello", "b")
    f.agent.name = "Other"
    _ = f.say("hello", "a")
    #expect(f.asked[1] == ["system:be brief", "user:hello"] && f.asked[2] == ["system:be brief", "user:hello"])
  }

  @Test func callsOfOneSessionRunInOrderAndOthersBesideThem() {
    let f = Fixture()
    let first = f.start("one", "s").sink
    let second = f.start("two", "s").sink
    let other = f.start("else", "t").sink
    f.simulation.loop.advance(by: .milliseconds(150))
    #expect(f.asked.map(\.last) == ["user:one", "user:else"] && second.events.isEmpty)
    f.simulation.loop.run()
    #expect(f.asked[2] == ["system:be brief", "user:one", "assistant:re: one", "user:two"])
    #expect([first, second, other].allSatisfy { $0.end == .completed })
  }

  @Test func aStoppedTurnKeepsItsPartialReply() {
    let f = Fixture()
    let (call, sink) = f.start("one", "s")
    f.simulation.loop.advance(by: .milliseconds(150))
    call.stop()
    #expect(f.simulation.http.exchanges[0].isCancelled)
    f.simulation.loop.run()
    #expect(sink.end == .aborted && sink.endCount == 1 && sink.usage?.estimated == true && call.isEnded)
    #expect(
      f.remembered("s") == [
        "{\"role\":\"user\",\"content\":\"one\"}",
        "{\"role\":\"assistant\",\"content\":\"re: \",\"partial\":true,\"end\":\"aborted\"}",
      ])
    _ = f.say("two", "s")
    #expect(f.asked[1] == ["system:be brief", "user:one", "assistant:re: ", "user:two"])
  }

  @Test func aTruncatedTurnIsMarkedAndAnEmptyOneIsForgotten() {
    let f = Fixture()
    #expect(f.say("cut", "s").end == .truncated)
    #expect(f.remembered("s").last?.contains("\"partial\":true,\"end\":\"truncated\"") == true)
    f.simulation.http.reply("https://", status: 500, body: "no")
    #expect(f.say("two", "s").failure?.code == "ConnectionFailed")
    let (call, sink) = f.start("three", "s")
    f.simulation.loop.settle()
    call.stop()
    f.simulation.loop.run()
    #expect(sink.end == .aborted && f.remembered("s").count == 2)
  }

  @Test func theQuestionOfARunIsKeptWhenItsAnswerBegins() {
    let f = Fixture()
    let sink = f.start("one", "s", run: "r1").sink
    f.simulation.loop.advance(by: .milliseconds(150))
    #expect(f.remembered("s") == [#"{"role":"user","content":"one","run":"r1"}"#] && sink.text == "re: ")
    f.simulation.loop.run()
    #expect(
      f.remembered("s") == [
        #"{"role":"user","content":"one","run":"r1"}"#, #"{"role":"assistant","content":"re: one","run":"r1"}"#,
      ])
    _ = f.say("two", "s", run: "r2")
    #expect(f.asked[1] == ["system:be brief", "user:one", "assistant:re: one", "user:two"])
  }

  /// Its process died, and the next one has ended it.
  @Test func aTurnThatACrashCutOffIsRememberedWithWhatWasSaid() throws {
    let f = Fixture()
    try f.leave("memory/Writer/s", [#"{"role":"user","content":"one","run":"r1"}"#])
    try f.leave(
      "runs/r1",
      [RunEvent.text("void"), .restart, .text("half "), .text("an ans"), .end(.error)].map {
        String(decoding: RunEventCodec.encode($0), as: UTF8.self)
      }, .closed)
    _ = f.say("two", "s", run: "r2")
    #expect(f.asked[0] == ["system:be brief", "user:one", "assistant:half an ans", "user:two"])
    #expect(
      f.remembered("s")[1]
        == #"{"role":"assistant","content":"half an ans","run":"r1","partial":true,"end":"error"}"#)
    _ = f.say("three", "s", run: "r3")
    #expect(f.asked[1].count == 6 && f.remembered("s").count == 6)
  }

  @Test func aTurnThatIsUnderWayElsewhereIsLeftAlone() throws {
    let f = Fixture()
    try f.leave("memory/Writer/s", [#"{"role":"user","content":"one","run":"r1"}"#])
    try f.leave("runs/r1", [String(decoding: RunEventCodec.encode(.text("half")), as: UTF8.self)])
    _ = f.say("two", "s", run: "r2")
    #expect(f.asked[0] == ["system:be brief", "user:two"])
    // Its answer comes behind another turn, and is still its own.
    let name = try StreamName("memory/Writer/s")
    f.store.base.append(name, [Array(#"{"role":"assistant","content":"whole","run":"r1"}"#.utf8)], ending: nil) { _ in }
    _ = f.say("three", "s", run: "r3")
    #expect(
      f.asked[1] == ["system:be brief", "user:one", "assistant:whole", "user:two", "assistant:re: two", "user:three"])
  }

  @Test func aRunThatIsTakenUpGoesOnWithItsTurn() throws {
    let f = Fixture()
    try f.leave("memory/Writer/s", [#"{"role":"user","content":"one","run":"r1"}"#])
    try f.leave("runs/r1", [String(decoding: RunEventCodec.encode(.text("half")), as: UTF8.self)])
    #expect(f.say("one", "s", run: "r1").text == "re: one")
    #expect(f.asked[0] == ["system:be brief", "user:one"])
    #expect(
      f.remembered("s") == [
        #"{"role":"user","content":"one","run":"r1"}"#, #"{"role":"assistant","content":"re: one","run":"r1"}"#,
      ])
  }

  /// A run that is gone, or said nothing.
  @Test(arguments: [nil, [RunEvent.start(model: "m"), .end(.error)]] as [[RunEvent]?])
  func aTurnInWhichNothingWasSaidIsForgotten(events: [RunEvent]?) throws {
    let f = Fixture()
    try f.leave("memory/Writer/s", [#"{"role":"user","content":"one","run":"r1"}"#])
    if let events {
      try f.leave("runs/r1", events.map { String(decoding: RunEventCodec.encode($0), as: UTF8.self) }, .closed)
    }
    _ = f.say("two", "s", run: "r2")
    _ = f.say("three", "s", run: "r3")
    #expect(f.asked[0] == ["system:be brief", "user:two"])
    #expect(f.asked[1] == ["system:be brief", "user:two", "assistant:re: two", "user:three"])
  }

  @Test func aQuestionThatCouldNotBeKeptIsKeptWithItsAnswer() {
    let f = Fixture()
    f.store.onAppend = .failing
    let sink = f.start("one", "s", run: "r1").sink
    f.simulation.loop.advance(by: .milliseconds(150))
    f.store.onAppend = .good
    f.simulation.loop.run()
    #expect(sink.end == .completed && f.remembered("s").count == 2)
    // And one that the store never answers.
    f.store.onAppend = .silent
    #expect(f.say("two", "s", run: "r2").end == .error)
  }

  @Test func aQueuedCallCanBeStoppedBeforeItStarts() {
    let f = Fixture()
    let first = f.start("one", "s").sink
    let (call, second) = f.start("two", "s")
    let third = f.start("three", "s").sink
    f.simulation.loop.advance(by: .milliseconds(50))
    call.stop()
    f.simulation.loop.settle()
    #expect(second.events == [.end(.aborted)] && call.isEnded)
    f.simulation.loop.run()
    #expect(first.end == .completed && third.end == .completed && f.asked.count == 2)
  }

  @Test func waitingAndAnsweringHaveDeadlines() {
    let f = Fixture()
    f.simulation.http.serve("https://") { exchange in
      exchange.head(200)
      for _ in 0..<100 { exchange.body(delta("x"), after: .seconds(20)) }
    }
    let sink = f.say("one", "s")
    #expect(sink.failure?.code == "Timeout" && sink.failure?.message.contains("2m0s") == true)

    f.agent.timeout = .seconds(3_000)
    let calls = (0..<2).map { f.start("\($0)", "t").sink }
    f.simulation.loop.run()
    // The provider's own limit of ten minutes ends the first just when the second has waited as long.
    #expect(calls.allSatisfy { $0.failure?.code == "Timeout" && $0.endCount == 1 })
    let many = (0..<40).map { _ in f.start("x", "u").sink }
    f.simulation.loop.settle()
    #expect(many.last?.failure?.code == "RateLimit" && many.last?.end == .error)
    f.simulation.loop.run()
    #expect(many.allSatisfy { $0.endCount == 1 })
  }

  @Test func theStoresTroublesAreTold() {
    let f = Fixture()
    f.store.onStatus = .failing
    #expect(f.say("one", "s").failure?.message.contains("could not be read: unplugged") == true)
    f.store.onStatus = .silent
    #expect(f.say("one", "s").failure?.code == "Internal")
    f.store.onStatus = .good
    f.store.onAppend = .failing
    let unkept = f.say("one", "s")
    #expect(unkept.text == "re: one" && unkept.failure?.message.contains("could not be kept") == true)
    #expect(unkept.end == .error)
    f.store.onAppend = .silent
    #expect(f.say("one", "s").end == .error)
    f.store.onAppend = .good
    #expect(f.say("two", "s").end == .completed && f.remembered("s").count == 2)
  }

  @Test func wrongAgentsEndAtOnce() {
    let f = Fixture()
    f.agent.provider = "nobody"
    #expect(f.say("x", "s").failure?.code == "ProviderNotFound")
    f.agent.provider = nil
    #expect(f.say("x", "s").failure?.code == "ProviderNotFound")
    f.agent.model = "p/m2"
    #expect(f.say("x", "s").end == .completed)
    #expect(f.simulation.http.exchanges[0].text.contains("\"model\":\"m2\""))
  }

  @Test func hostileSessionNamesStayInTheirPlace() throws {
    let hostile = [
      "../x", "..", ".", "/", "a/b", "\u{0}", "a:b", "a\\b", "~", "%", "%2F", "ä", "a\u{0308}", "\u{202E}",
      String(repeating: "x", count: 10_000), String(repeating: "x", count: 10_001), String(repeating: "/", count: 60),
      "A", "a", " ", "~" + SHA256.hex(Array("/".utf8)),
    ]
    var names: Set<String> = []
    for session in hostile {
      let name = try ConversationMemory.streamName(agent: "../" + session, session: session)
      #expect(name.path.hasPrefix("memory/") && name.path.split(separator: "/").count == 3)
      #expect(name.path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F })
      names.insert(name.path)
    }
    #expect(names.count == hostile.count)
    #expect(try ConversationMemory.streamName(agent: "W", session: "user-1_x").path == "memory/W/user-1_x")
    let f = Fixture()
    for session in hostile { #expect(f.say("hello", session).end == .completed) }
    #expect(f.asked.allSatisfy { $0.count == 2 })
  }

  @Test func longMemoriesAreBounded() throws {
    let f = Fixture()
    f.agent.memory = .conversation(maxTurns: .max)
    let memory = try ConversationMemory(store: f.store, agent: "Writer", session: "s", maxTurns: .max)
    let big = String(repeating: "x", count: 1 << 20)
    for i in 0..<6 { memory.append(user: "\(i)", reply: big, end: .completed) { #expect($0 == nil) } }
    f.simulation.loop.run()
    var loaded: [ChatMessage] = []
    memory.load { loaded = (try? $0.get().messages) ?? [] }
    f.simulation.loop.run()
    #expect(loaded.count == 6 && loaded.first == ChatMessage("user", "3"))
  }

  @Test func backpressureReachesTheProvider() {
    let f = Fixture()
    let (call, sink) = f.start("one", "s")
    call.isReading = false
    f.simulation.loop.advance(by: .seconds(10))
    #expect(sink.text.isEmpty)
    call.isReading = true
    f.simulation.loop.run()
    #expect(sink.text == "re: one" && sink.end == .completed)
  }
}
