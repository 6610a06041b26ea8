import Testing
import WeirAI
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// SIGTERM: what the next process can take up is left as it is, and goes on there as if nothing had been.
@Suite struct ParkedRunTests {
  static let text =
    Programs.agent + """
      import std/streaming (StreamWriter, getWritable, write)
      import std/clock (sleep)
      @post("/two")
      workflow Two(message: string, session_id: string) -> stream {
        let tokens: StreamWriter[string] = getWritable("tokens")
        defer { _ = tokens.write("deferred") }
        let first = step "first" {
          println("first")
          for word in ["a", "b"] { _ = tokens.write(word) }
          "one"
        }
        let second = step "second" {
          println("second")
          _ = tokens.write("c")
          match A.ask(message, session: session_id) {
            Ok(text) => text,
            Err(_) => "failed"
          }
        }
        _ = tokens.write(second)
        return A.stream("${first} ${second}", session: session_id)
      }

      """

  /// A server, its run in the middle of the second step, and a reader of its tokens.
  private func parked(_ text: String = text) throws -> (Bench, reader: TestClient, id: String) {
    let bench = try Bench(
      text,
      store: {
        let store = Mortal()
        store.store = MemoryStreamStore(loop: $0)
        return store
      })
    bench.serve()
    let client = bench.post("/two", #"{"message": "hi", "session_id": "s"}"#)
    let id = try #require(client["Run-Id"])
    return (bench, client, id)
  }

  @Test func aRunBetweenTwoStepsGoesOnInTheNextProcess() throws {
    let (bench, client, id) = try parked()
    let asked = try #require(bench.asked.first)
    asked.head(200)
    asked.body(delta("half"))
    bench.settle()
    let tokens = bench.ask("GET", "/streams/runs/\(id)/tokens?live=sse&offset=-1")
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(6))
    #expect(bench.exits == [0], "\(bench.errors)")
    let told = bench.errors.split(separator: "\n").filter { $0.contains("left to be taken up") }
    #expect(told == ["weir: 1 run is left to be taken up by the next process"], "\(bench.errors)")
    #expect(asked.isCancelled && bench.simulation.http.openExchangeCount == 0)
    #expect(client.isEnded && !client.isWhole && tokens.isEnded, "readers are cut, and come back")
    // Open, all of it, and nothing that was deferred has run.
    #expect(bench.items("runs/\(id)/tokens") == #"["a","b","c"]"#)
    for stream in ["runs/\(id)", "runs/\(id)/tokens", "_weir/journal/\(id)"] { #expect(bench.ending(stream) == nil) }
    #expect(bench.items("runs/\(id)") == "[]")
    // Half of an answer that will be asked for again is no turn of the conversation: the question alone is there.
    #expect(bench.memories == [#"{"role":"user","content":"hi","run":"\#(id)","at":"\#(id) second/ask:A"}"#])
    bench.expectQuiet()

    let before = bench.output
    let next = try Bench(
      Self.text, store: { _ in bench.store }, in: bench.simulation, configure: { $0.server.port = 8081 })
    next.serve()
    #expect(next.asked.count == 1)
    next.asked[0].answer("whole")
    next.settle()
    let reader = next.ask("GET", "/streams/runs/\(id)", headers: "Accept: text/event-stream\r\n", port: 8081)
    next.asked[1].answer("the", " end")
    next.settle()
    #expect(next.output.dropFirst(before.count) == "second\n")
    #expect(next.items("runs/\(id)/tokens") == #"["a","b","c","whole","deferred"]"#)
    let run = try #require(next.runs.first { $0.name.path == "runs/\(id)" })
    #expect(next.events(run).text == "the end" && next.events(run).ends == [.completed])
    #expect(!next.events(run).contains(.restart), "nothing of it was void")
    #expect(reader.isWhole && reader.text.contains(text: "completed"))
    for stream in ["runs/\(id)", "runs/\(id)/tokens", "_weir/journal/\(id)"] {
      #expect(next.ending(stream) == .closed, "\(stream)")
    }
    #expect(next.memories.count == 4, "two turns of two messages: \(next.memories)")
  }

  /// Its user does not want it, however long it takes to notice: it ends with its process, or the next one ends it.
  @Test(arguments: [false, true]) func whatIsStoppedIsNotTakenUp(isKilled: Bool) throws {
    let (bench, _, id) = try parked(
      Self.text.replacing(
        text: #"defer { _ = tokens.write("deferred") }"#, with: "defer { sleep(3600000) }"))
    bench.instance.runs.stop(run: id)
    bench.settle()
    #expect(bench.ending("runs/\(id)") == nil, "its body is being left")
    var ended = bench
    if isKilled {
      let store = try #require(bench.store as? Mortal)
      store.left = 0
      ended = try Bench(
        Self.text, store: { _ in store.store }, in: bench.simulation, configure: { $0.server.port = 8081 })
      ended.serve()
      #expect(ended.asked.isEmpty)
    } else {
      #expect(bench.instance.shutDown())
      bench.simulation.loop.advance(by: .seconds(6))
      #expect(bench.exits == [0] && !bench.errors.contains("left to be taken up"), "\(bench.errors)")
    }
    for stream in ["runs/\(id)", "runs/\(id)/tokens", "_weir/journal/\(id)"] {
      #expect(ended.ending(stream) == .aborted(reason: "aborted"), "\(stream)")
    }
  }

  /// A call was answered, and nobody kept what it said: it is made again, as if for the first time.
  @Test func aCallThatIsMadeAgainDoesNotHearItself() throws {
    let (bench, _, id) = try parked(
      Self.text.replacing(text: "Ok(text) => text,", with: "Ok(text) => { sleep(3600000); text },"))
    func asked(_ exchange: SimulatedHTTPExchange) -> [String] {
      let messages = (try? JSONValue.parse(exchange.text))?["messages"]?.array ?? []
      return messages.map { "\($0["role"]?.string ?? ""): \($0["content"]?.string ?? "")" }
    }
    bench.asked[0].answer("whole")
    bench.settle()
    #expect(bench.memories.count == 2)
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(6))
    #expect(bench.exits == [0] && bench.ending("runs/\(id)") == nil)
    let next = try Bench(
      Self.text, store: { _ in bench.store }, in: bench.simulation, configure: { $0.server.port = 8081 })
    next.serve()
    #expect(asked(next.asked[0]) == asked(bench.asked[0]))
    next.asked[0].answer("other")
    next.settle()
    #expect(
      asked(next.asked[1]).dropFirst(asked(bench.asked[0]).count - 1) == [
        "user: hi", "assistant: other", "user: one other",
      ])
  }

  /// Its body has returned a stream that is under way.
  @Test func anAnswerUnderWayBeginsAnew() throws {
    let (bench, _, id) = try parked()
    bench.asked[0].answer("whole")
    bench.settle()
    bench.asked[1].head(200)
    bench.asked[1].body(delta("the"))
    bench.settle()
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(6))
    #expect(bench.exits == [0] && bench.asked[1].isCancelled)
    #expect(bench.ending("runs/\(id)") == nil && bench.ending("_weir/journal/\(id)") == nil)
    #expect(bench.memories.count == 3, "the first turn, and a question: \(bench.memories)")
    let next = try Bench(
      Self.text, store: { _ in bench.store }, in: bench.simulation, configure: { $0.server.port = 8081 })
    next.serve()
    next.asked[0].answer("another", " end")
    next.settle()
    let run = try #require(next.runs.first { $0.name.path == "runs/\(id)" })
    let events = next.events(run)
    #expect(events.filter { $0 == .restart }.count == 1 && events.ends == [.completed])
    #expect(events.text == "theanother end")
    #expect(next.memories.count == 4, "two turns of two messages: \(next.memories)")
  }

  @Test(arguments: [true, false]) func theSecondSignalLeavesItAsWell(isShared: Bool) throws {
    let (bench, _, id) = try parked()
    (bench.store as? Mortal)?.isShared = isShared
    #expect(bench.instance.shutDown())
    #expect(bench.instance.shutDown())
    bench.settle()
    #expect(bench.exits == [130])
    // Where others write too, nobody takes it up: it ends and says why.
    #expect(bench.ending("runs/\(id)") == (isShared ? .aborted(reason: "aborted") : nil))
    if isShared {
      let run = try #require(bench.runs.first { $0.name.path == "runs/\(id)" })
      #expect(bench.events(run).failure?.code == "ServerStopped" && bench.events(run).ends == [.aborted])
    }
  }

  /// Its answer is whole, and the store has not taken it yet: nothing is left.
  @Test func aRunThatHasEndedIsNotCalledLeft() throws {
    var slow: SlowStore!
    let bench = try Bench(
      RecoveryTests.text.replacing(text: "DELAY", with: "60000"),
      store: {
        slow = SlowStore($0)
        return slow
      })
    bench.serve()
    bench.post("/work", #"{"n": 1}"#)
    let id = try #require(bench.instance.runs.runs.keys.first)
    #expect(bench.ending("runs/\(id)") == nil)
    slow.isHoldingEnds = true
    bench.simulation.loop.advance(by: .seconds(61))
    #expect(bench.ending("runs/\(id)") == .closed && bench.instance.runs.isUnderWay(id))
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(20))
    #expect(bench.exits == [0] && !bench.errors.contains(text: "left to be taken up"), "\(bench.errors)")
  }

  static let own = """
    import std/streaming (StreamWriter, getWritable, write, close)
    import std/clock (sleep)
    func main() {
      let numbers: StreamWriter[int] = getWritable("numbers")
      defer println("deferred")
      let one = step "one" {
        println("one")
        _ = numbers.write(1)
        1
      }
      sleep(WAIT)
      _ = numbers.write(one + 1)
      _ = numbers.close()
      println("end")
    }
    """

  private func own(_ wait: String, _ store: any StreamStore, _ world: SimulatedWorld) throws -> Bench {
    try Bench(
      Self.own.replacing(text: "WAIT", with: wait), store: { _ in store }, in: world, configure: { $0.runID = "own" })
  }

  @Test func whatAProgramDoesItselfIsLeftOnSIGTERMAndEndsOnCtrlC() throws {
    for isTerminated in [true, false] {
      let world = SimulatedWorld(seed: 1, faults: .calm)
      let store = Mortal()
      store.store = MemoryStreamStore(loop: world.loop)
      let bench = try own("100000", store, world)
      bench.run()
      #expect(bench.output == "one\n" && bench.exits == [], "\(bench.errors)")
      #expect(!bench.instance.shutDown())
      if isTerminated { bench.instance.park(143) } else { bench.instance.exit(130) }
      bench.settle()
      #expect(bench.exits == [isTerminated ? 143 : 130])
      #expect(bench.items("runs/own/numbers") == "[1]")
      #expect((bench.ending("_weir/journal/own") == nil) == isTerminated)
      #expect((bench.ending("runs/own/numbers") == nil) == isTerminated)
      #expect(bench.output == (isTerminated ? "one\n" : "one\ndeferred\n"))
      #expect(bench.errors.contains(text: "weir runs resume own") == isTerminated, "\(bench.errors)")
      guard isTerminated else { continue }
      let before = bench.output
      let next = try own("1", store, world)
      next.run()
      #expect(next.output.dropFirst(before.count) == "end\ndeferred\n" && next.exits == [0], "\(next.errors)")
      #expect(next.items("runs/own/numbers") == "[1,2]" && next.ending("runs/own/numbers") == .closed)
    }
  }

  /// What is in memory goes with the process: there is nothing to leave it in.
  @Test func whatIsInMemoryIsEnded() throws {
    let world = SimulatedWorld(seed: 1, faults: .calm)
    let bench = try own("100000", MemoryStreamStore(loop: world.loop), world)
    bench.run()
    bench.instance.park(143)
    bench.settle()
    #expect(bench.exits == [143] && bench.ending("_weir/journal/own") != nil)
  }
}

extension Bench {
  /// What agents remember, message by message.
  var memories: [String] {
    var found: [StreamStatus] = []
    store.list(prefix: "memory/", after: nil, limit: 100) { found = (try? $0.get()) ?? [] }
    return found.flatMap { status in
      var items: [StreamItem] = []
      store.read(status.name, from: .start, byteLimit: 1 << 20) { items = ((try? $0.get())?.items) ?? [] }
      return items.map { String(decoding: $0.bytes, as: UTF8.self) }
    }
  }
}
