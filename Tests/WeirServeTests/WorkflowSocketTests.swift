import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// A WebSocket at a workflow's path, from the client's end to the store.
@Suite struct WorkflowSocketTests {
  private struct Client {
    let setup: WireTests.Setup
    let connection: WebSocketConnection

    /// Messages so far, one line each; the end of the connection as its code.
    func lines() -> [String] {
      setup.settle()
      var lines: [String] = []
      while let event = connection.events.next() {
        switch event {
        case .message(let text): lines.append(text)
        case .closed(let code, _): lines.append("closed \(code)")
        case .opened: break
        default: lines.append("\(event)")
        }
      }
      return lines
    }

    func say(_ text: String) { connection.transmit(.text(text)) { _ in } }
  }

  private func client(
    _ setup: WireTests.Setup, _ path: String = "/chat", origin: String? = nil
  ) -> Result<Client, StreamErrorKind>? {
    var result: Result<Client, StreamErrorKind>?
    let request = WebSocketRequest(
      url: "ws://127.0.0.1:8080\(path)", headers: origin.map { [("Origin", $0)] } ?? [], policy: nil)
    _ = WebSocketDial.open(request, world: setup.simulation.world) { opened in
      result = opened.map { Client(setup: setup, connection: $0) }
    }
    setup.settle()
    return result
  }

  @Test(arguments: UInt64(1)...5) func runsFollowEachOther(seed: UInt64) throws {
    let setup = try WireTests.Setup(seed: seed)
    let client = try #require(try client(setup)?.get())
    client.say(#"{"message":"hi"}"#)
    client.say(#"{"message":"again"}"#)
    #expect(client.lines() == [])
    setup.host.write("run1", [.text("Hel")])
    #expect(client.lines() == [#"{"content":"Hel","delta":"Hel"}"#])
    setup.host.finish("run1", [.text("lo")])
    #expect(
      client.lines() == [#"{"content":"lo","delta":"lo"}"#, #"{"finish":"completed"}"#, "[DONE]"],
      "\(setup.simulation)")
    setup.host.finish("run2", [.text("2")])
    #expect(client.lines() == [#"{"content":"2","delta":"2"}"#, #"{"finish":"completed"}"#, "[DONE]"])
    client.connection.close()
    #expect(client.lines() == ["closed 1000"])
    #expect(setup.app.fanout.readerCount == 0 && setup.store.watcherCount == 0 && setup.server.connectionCount == 0)
    #expect(setup.simulation.network.openStreamCount == 0)
  }

  @Test func whatStartsNoRunIsAnsweredByAnError() throws {
    let setup = try WireTests.Setup()
    let client = try #require(try client(setup)?.get())
    for text in ["{", "[]", "{}", #"{"message":7}"#] {
      client.say(text)
      let lines = client.lines()
      #expect(lines.count == 1 && lines[0].hasPrefix("{\"error\":{\"code\":"), "\(text): \(lines)")
    }
    client.connection.transmit(.binary([1])) { _ in }
    #expect(client.lines().first?.hasPrefix("{\"error\":") == true)
    client.say(#"{"message":"hi"}"#)
    setup.settle()
    setup.host.finish("run1", [.text("a")])
    #expect(client.lines().last == "[DONE]")
  }

  @Test func aClientThatIsGoneFreesItsReader() throws {
    let setup = try WireTests.Setup()
    let client = try #require(try client(setup)?.get())
    client.say(#"{"message":"hi"}"#)
    _ = client.lines()
    #expect(setup.app.fanout.readerCount == 1)
    client.connection.events.cancel()
    setup.settle()
    #expect(setup.app.fanout.readerCount == 0 && setup.server.connectionCount == 0)
  }

  /// A client that does not read costs the log, not memory; when it reads on it lacks nothing.
  @Test func aClientThatDoesNotReadIsLeftToTheLog() throws {
    let setup = try WireTests.Setup()
    let client = try #require(try client(setup)?.get())
    client.say(#"{"message":"hi"}"#)
    _ = client.lines()
    let token = String(repeating: "x", count: 1000)
    var count = 0
    for _ in 0..<20 {
      setup.host.write("run1", (0..<300).map { _ in .text(token) })
      count += 300
      setup.settle()
      #expect(setup.app.fanout.bytesHeld <= 1 << 20)
    }
    #expect(client.connection.events.isFull)
    setup.host.finish("run1", [])
    var lines: [String] = []
    while lines.last != "[DONE]" {
      let more = client.lines()
      if more.isEmpty { break }
      lines += more
    }
    #expect(lines.count == count + 2 && lines.last == "[DONE]")
  }

  /// One that never reads is cut: it must not take what it has for the whole.
  @Test func aClientThatNeverReadsIsCut() throws {
    let setup = try WireTests.Setup()
    let client = try #require(try client(setup)?.get())
    client.say(#"{"message":"hi"}"#)
    _ = client.lines()
    // What compresses well would fit on the way.
    let random = SeededRandom(seed: 1)
    let tokens = (0..<3000).map { _ in (0..<40).map { _ in random.identifier() }.joined() }
    setup.host.finish("run1", tokens.map { .text($0) })
    setup.simulation.loop.advance(by: .seconds(60))
    #expect(setup.server.connectionCount == 0 && setup.app.fanout.readerCount == 0)
    var lines: [String] = []
    while let more = Optional(client.lines()), !more.isEmpty { lines += more }
    #expect(!lines.contains("[DONE]") && lines.last?.hasPrefix("closed") == true, "\(lines.suffix(2))")
  }

  @Test func otherOriginsAndRefusals() throws {
    let setup = try WireTests.Setup()
    func refusal(_ path: String, _ origin: String?) -> String {
      if case .failure(let kind) = client(setup, path, origin: origin) { return kind.message }
      return "open"
    }
    #expect(refusal("/chat", "http://127.0.0.1:8080") == "open")
    #expect(refusal("/chat", "http://evil.test").hasPrefix("HTTP 403 Forbidden"))
    #expect(refusal("/nothing", nil).hasPrefix("HTTP 404 Not Found"))
  }

  /// The server stops: a run may be read to its end, then 1001; without one at once.
  @Test func theServerStops() throws {
    let setup = try WireTests.Setup()
    let idle = try #require(try client(setup)?.get())
    let reading = try #require(try client(setup)?.get())
    reading.say(#"{"message":"hi"}"#)
    setup.settle()
    var isDone = false
    setup.server.close(grace: .seconds(60)) { isDone = true }
    #expect(idle.lines() == ["closed 1001"] && !isDone)
    setup.host.finish("run1", [.text("a")])
    #expect(reading.lines().suffix(2) == ["[DONE]", "closed 1001"])
    setup.settle()
    #expect(isDone && setup.simulation.network.openStreamCount == 0)
  }
}
