import Testing
import WeirCore
import WeirFlow
import WeirTesting
import WeirWire

@testable import WeirNet
@testable import WeirRuntime

/// `connect` and what follows, as programs see it: against a server of this house in the same simulated world.
@Suite struct WebSocketModuleTests {
  private static let imports = """
    import std/stream (connect, transmit, transmitBinary, onEvent, runEventLoop, disconnect, status, withStream,
      bridge, sourceOfConn, selectEvents, StreamEvent, Message, Binary, Opened, Closed, StreamError, Ping, SourceBytes,
      ConnectionFailed, Timeout, ProtocolError, MessageTooLarge, Open, Closing, StreamClosed)
    import std/result (Ok, Err)
    import std/bytes (fromString, toString)

    """

  /// An echo at ws://localhost/, which says "bye" with 4000.
  private func bench(
    _ body: String, configure: (inout ProgramInstance.Options) -> Void = { _ in },
    onMessage: @escaping (WebSocketConnection, StreamEvent) -> Void = WebSocketModuleTests.echo
  ) throws -> (Bench, HTTPServer) {
    let bench = try Bench(Self.imports + body, configure: configure)
    let world = bench.simulation.world
    let server = HTTPServer(world: world) { request, responder in
      guard let connection = WebSocketUpgrade(loop: world.loop).accept(request, responder) else { return }
      func take() { while let event = connection.events.next() { onMessage(connection, event) } }
      connection.events.onReady = take
      take()
    }
    try server.listen(SocketAddress(host: "localhost", port: 80))
    return (bench, server)
  }

  private static func echo(_ connection: WebSocketConnection, _ event: StreamEvent) {
    switch event {
    case .message("bye"): connection.close(WebSocketClose(4000, "bye"))
    case .message("lose"): connection.events.cancel()
    case .message(let text): connection.transmit(.text(text)) { _ in }
    case .binary(let bytes): connection.transmit(.binary(bytes)) { _ in }
    default: break
    }
  }

  private static let show = """
    func show(event: StreamEvent) -> bool ! {IO} {
      match event {
        Message(text) => { println("message ${text}"); true },
        Binary(text) => { println("binary ${text}"); true },
        SourceBytes(name, data) => { println("${name} ${toString(data)}"); true },
        Opened(url) => { println("opened ${url}"); true },
        Closed(code, why) => { println("closed ${code} ${why}"); true },
        StreamError(ProtocolError(why)) => { println("error ${why}"); true },
        _ => true
      }
    }

    """

  @Test func aConversation() throws {
    let (bench, server) = try bench(
      Self.show + """
        func main() {
          match connect("ws://localhost/", {headers: []}) {
            Err(_) => println("no connection"),
            Ok(conn) => {
              onEvent(conn, show)
              transmit(conn, "one")
              transmitBinary(conn, fromString("two"))
              transmit(conn, "bye")
              runEventLoop(conn)
              match status(conn) { StreamClosed => println("over"), _ => println("not over") }
              match transmit(conn, "late") { Err(ConnectionFailed(why)) => println(why), _ => println("sent") }
            }
          }
        }
        """)
    bench.run()
    bench.settle()
    #expect(
      bench.output.split(separator: "\n") == [
        "opened ws://localhost/", "message one", "binary dHdv", "closed 4000 bye", "over", "the connection is closed",
      ])
    #expect(bench.exits == [0] && bench.errors == "")
    #expect(server.connectionCount == 0)
  }

  @Test func asASourceBinaryIsBytes() throws {
    let (bench, server) = try bench(
      Self.show + """
        func main() {
          match withConnection() { Ok(_) => println("done"), Err(_) => println("no connection") }
        }
        func withConnection() {
          match connect("ws://localhost/", {headers: []}) {
            Err(kind) => Err(kind),
            Ok(conn) => {
              transmitBinary(conn, fromString("raw"))
              transmit(conn, "bye")
              selectEvents([sourceOfConn(conn, "ws", 1)], show)
              Ok(())
            }
          }
        }
        """)
    bench.run()
    bench.settle()
    #expect(bench.output == "opened ws://localhost/\nws raw\nclosed 4000 bye\ndone\n", "\(bench.errors)")
    #expect(server.connectionCount == 0)
  }

  @Test func whatIsTooLargeIsRefused() throws {
    let (bench, server) = try bench(
      """
      func main() {
        match connect("ws://localhost/", {headers: []}) {
          Err(_) => println("no connection"),
          Ok(conn) => {
            match transmit(conn, "12345678901") { Err(MessageTooLarge(why)) => println(why), _ => println("sent") }
            disconnect(conn)
            match status(conn) { Closing => println("closing"), _ => println("?") }
          }
        }
      }
      """, configure: { $0.streams.messageBytes = 10 })
    bench.run()
    bench.settle()
    #expect(bench.output == "message size 11 exceeds limit 10\nclosing\n", "\(bench.errors)")
    #expect(bench.exits == [0] && server.connectionCount == 0)
  }

  @Test func failuresSayWhy() throws {
    let (bench, server) = try bench(
      """
      func main() {
        for url in ["ws://localhost:81/", "ws://example.org/", "http://localhost/", "ws://u:p@localhost/"] {
          match connect(url, {headers: []}) {
            Err(ConnectionFailed(why)) => println(why),
            _ => println("?")
          }
        }
        match connect("ws://localhost/", {headers: [{name: "X", value: "a\\r\\nB: c"}]}) {
          Err(ConnectionFailed(why)) => println(why), _ => println("?")
        }
      }
      """)
    bench.run()
    bench.settle()
    let lines = bench.output.split(separator: "\n")
    #expect(lines.count == 5 && !lines.contains("?"), "\(bench.output)\(bench.errors)")
    #expect(server.connectionCount == 0)
  }

  /// A program that ends with a connection open closes it.
  @Test func theEndOfTheProgramClosesWhatIsOpen() throws {
    var events: [StreamEvent] = []
    let (bench, server) = try bench(
      """
      func main() {
        match connect("ws://localhost/", {headers: []}) {
          Ok(conn) => { transmit(conn, "x"); println("open") },
          Err(_) => println("no connection")
        }
      }
      """, onMessage: { events.append($1) })
    bench.run()
    bench.settle()
    #expect(bench.output == "open\n" && bench.exits == [0])
    #expect(events.last == .closed(code: 1000, reason: "") && server.connectionCount == 0)
  }

  @Test func aLostConnectionIsAnErrorAndOneClosed() throws {
    let (bench, server) = try bench(
      Self.show + """
        func main() {
          match withStream("ws://localhost/", \\event. match event {
            Opened(_) => true, _ => show(event) }) {
            Ok(_) => println("over"), Err(_) => println("no connection")
          }
        }
        """,
      onMessage: { connection, event in if case .opened = event { connection.close(WebSocketClose(1011, "broken")) } })
    bench.run()
    bench.settle()
    #expect(bench.output == "closed 1011 broken\nover\n", "\(bench.errors)")
    #expect(server.connectionCount == 0)
  }

  /// The client's words go upstream and the answers come back, until one side has closed; then both have.
  @Test func aBridgeJoinsTwoConnections() throws {
    var heard: [String] = []
    let (bench, server) = try bench(
      """
      func main() {
        match connect("ws://localhost/client", {headers: []}) {
          Ok(client) => match connect("ws://localhost/upstream", {headers: []}) {
            Ok(upstream) => {
              let count = bridge(client, upstream, 0, (state, side, event) => match side {
                "client" => {state: state + 1, toClient: [], toUpstream: [event], continue: true},
                _ => {state: state + 1, toClient: [event], toUpstream: [], continue: true}
              })
              println("${count} events")
            },
            Err(_) => println("no upstream")
          },
          Err(_) => println("no client")
        }
      }
      """,
      onMessage: { connection, event in
        switch event {
        case .opened(let path): if path == "/client" { connection.transmit(.text("hello")) { _ in } }
        case .message("hello"): connection.transmit(.binary([7, 8])) { _ in }
        case .message(let text): heard.append(text)
        case .binary(let bytes):
          heard.append("\(bytes)")
          connection.close(WebSocketClose(4000, "enough"))
        case .closed(let code, _): heard.append("closed \(code)")
        default: break
        }
      })
    bench.run()
    bench.settle()
    #expect(bench.output == "5 events\n", "\(bench.errors)")
    #expect(
      heard == ["[7, 8]", "closed 4000", "closed 1000"] || heard == ["[7, 8]", "closed 1000", "closed 4000"], "\(heard)"
    )
    #expect(server.connectionCount == 0)
  }
}
