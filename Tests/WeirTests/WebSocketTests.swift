import Synchronization
import Testing
import WeirCore
import WeirIO
import WeirNet

@testable import Weir

/// `WebSocket.connect` against a server of this house over real sockets.
@Suite struct WebSocketTests {
  /// Echoes; closes with 4000 at "bye". Counts what has come to its end.
  private final class Server: Sendable {
    private let loop = EventLoop()
    private let port = Mutex(0)
    let ended = Mutex(0)
    var url: String { "ws://127.0.0.1:\(port.withLock { $0 })/" }

    init() async throws {
      let failure: String? = await withCheckedContinuation { continuation in
        _ = LoopThread(name: "test-server") { [self] in
          let server = HTTPServer(world: RealWorld.make(loop: loop)) { [self] request, responder in
            guard let connection = WebSocketUpgrade(loop: loop).accept(request, responder) else { return }
            func take() {
              while let event = connection.events.next() {
                switch event {
                case .message("bye"): connection.close(.init(4000, "bye"))
                case .message(let text): connection.transmit(.text(text)) { _ in }
                case .binary(let bytes): connection.transmit(.binary(bytes)) { _ in }
                case .closed: ended.withLock { $0 += 1 }
                default: break
                }
              }
            }
            connection.events.onReady = take
            take()
          }
          do {
            try server.listen(SocketAddress(host: "127.0.0.1", port: 0))
            port.withLock { $0 = server.address?.port ?? 0 }
            continuation.resume(returning: nil)
            loop.run()
          } catch {
            continuation.resume(returning: "\(error)")
          }
        }
      }
      if let failure { throw WeirError(code: "Test", message: failure) }
    }

    func stop() { loop.stop() }

    func waitForEnds(_ count: Int) async {
      while ended.withLock({ $0 }) < count { await Task.yield() }
    }
  }

  @Test(.timeLimit(.minutes(1))) func aConversation() async throws {
    let server = try await Server()
    defer { server.stop() }
    let socket = try await WebSocket.connect(server.url)
    let sent: [WebSocket.Message] = [
      .text("hé"), .binary([1, 2]), .text(String(repeating: "long ", count: 50_000)), .text(""),
    ]
    for message in sent { try await socket.send(message) }
    try await socket.send(.text("bye"))
    var seen: [WebSocket.Message] = []
    for try await message in socket { seen.append(message) }
    #expect(seen == sent && socket.closing?.code == 4000 && socket.closing?.reason == "bye")
    await #expect { try await socket.send(.text("late")) } throws: { ($0 as? WeirError)?.code == "ConnectionFailed" }
  }

  @Test(.timeLimit(.minutes(1))) func cancellingClosingAndDroppingClose() async throws {
    let server = try await Server()
    defer { server.stop() }
    let url = server.url
    let reading = Mutex(false)
    let task = Task {
      let socket = try await WebSocket.connect(url)
      try await socket.send(.text("a"))
      var count = 0
      for try await _ in socket {
        count += 1
        reading.withLock { $0 = true }
      }
      return count
    }
    while !reading.withLock({ $0 }) { await Task.yield() }
    task.cancel()
    #expect(try await task.value == 1)
    await server.waitForEnds(1)
    try await WebSocket.connect(url).close()
    await server.waitForEnds(2)
    do { _ = try await WebSocket.connect(url) }
    await server.waitForEnds(3)
  }

  @Test func failures() async throws {
    let server = try await Server()
    defer { server.stop() }
    var options = WebSocket.Options()
    options.messageByteLimit = 10
    let socket = try await WebSocket.connect(server.url, options)
    await #expect { try await socket.send(.text("12345678901")) } throws: {
      ($0 as? WeirError)?.code == "MessageTooLarge"
    }
    for url in ["ws://example.org/", "http://127.0.0.1/", "nonsense"] {
      await #expect { _ = try await WebSocket.connect(url) } throws: { ($0 as? WeirError)?.code == "ConnectionFailed" }
    }
    options.policy.domains = ["not a host"]
    await #expect { _ = try await WebSocket.connect(server.url, options) } throws: {
      ($0 as? WeirError)?.code == "BadArgument"
    }
  }
}
