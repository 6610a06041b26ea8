import Synchronization
import Testing
import WeirCore
import WeirIO

@testable import Weir

/// `SSE.connect` against a server of real sockets: events, failures, and that giving up closes the socket.
@Suite struct SSETests {
  /// Answers every request on its own loop and thread, and tells when a connection to it has ended.
  private final class Server: Sendable {
    private let loop = WeirIO.EventLoop()
    private let place = Mutex<(port: Int, failure: String?)>((0, nil))
    private let closings = Mutex<(count: Int, waiting: [CheckedContinuation<Void, Never>])>((0, []))
    let heads = Mutex<[String]>([])
    var url: String { "http://127.0.0.1:\(place.withLock { $0.port })/" }

    final class Client: ByteStreamHandler {
      let stream: any ByteStream
      let server: Server
      let answer: @Sendable (Client) -> Void
      var received: [UInt8] = []
      init(_ stream: any ByteStream, _ server: Server, _ answer: @escaping @Sendable (Client) -> Void) {
        self.stream = stream
        self.server = server
        self.answer = answer
        stream.handler = self
      }
      func send(_ text: String) { _ = stream.send(Array(text.utf8).span) }
      func byteStreamReceived(_ bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { received.append(contentsOf: $0) }
        let text = String(decoding: received, as: UTF8.self)
        guard text.contains("\r\n\r\n") else { return }
        received = []
        server.heads.withLock { $0.append(text) }
        answer(self)
      }
      func byteStreamBecameWritable() {}
      func byteStreamEnded() {
        stream.close()
        server.closed()
      }
      func byteStreamFailed(_ failure: NetworkFailure) { server.closed() }
    }

    init(_ answer: @escaping @Sendable (Client) -> Void) async throws {
      let failure: String? = await withCheckedContinuation { continuation in
        _ = LoopThread(name: "test-server") { [self] in
          let network = SocketNetwork(loop, resolver: Resolver(loop, ThreadPool(name: "names"))) { _ in }
          do {
            let listener = try network.listen(SocketAddress(host: "127.0.0.1", port: 0), tls: nil) { [self] in
              _ = Client($0, self, answer)
            }
            place.withLock { $0.port = listener.address.port }
            continuation.resume(returning: nil)
            loop.run()
            listener.close()
          } catch {
            continuation.resume(returning: "\(error)")
          }
        }
      }
      #expect(failure == nil)
    }

    func stop() { loop.stop() }

    func closed() {
      let waiting = closings.withLock { closings in
        closings.count += 1
        defer { closings.waiting = [] }
        return closings.waiting
      }
      for continuation in waiting { continuation.resume() }
    }

    /// Until a connection to this server has ended.
    func closing() async {
      await withCheckedContinuation { continuation in
        let isOver = closings.withLock { closings in
          if closings.count == 0 { closings.waiting.append(continuation) }
          return closings.count > 0
        }
        if isOver { continuation.resume() }
      }
    }
  }

  private static let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

  @Test func eventsToTheEnd() async throws {
    let server = try await Server { client in
      client.send(Self.head + "data: one\n\nevent: add\ndata: t")
      client.send("wo\n\ndata: not finished")
      client.stream.finishSending()
    }
    defer { server.stop() }
    var options = SSE.Options()
    options.headers = [("X-Mine", "1")]
    var seen: [SSE.Event] = []
    for try await event in try await SSE.connect(server.url, options) { seen.append(event) }
    #expect(seen.map { "\($0.type) \($0.data)" } == ["message one", "add two"])
    #expect(server.heads.withLock { $0.first?.contains("X-Mine: 1\r\n") } == true)
  }

  private func refusal(_ url: String, _ options: SSE.Options = SSE.Options()) async -> String {
    do {
      _ = try await SSE.connect(url, options)
      return "connected"
    } catch {
      return error.description
    }
  }

  @Test func whatFails() async throws {
    let server = try await Server { client in
      client.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
    }
    defer { server.stop() }
    #expect(await refusal(server.url) == "ConnectionFailed: HTTP 401 Unauthorized: no")
    for (url, change, said) in [
      ("http://example.com/", { _ in }, "--stream-allow-http"), ("https://10.0.0.1/", { _ in }, "private"),
      ("https://b.com/", { $0.policy.domains = ["a.com"] }, "domains"),
      ("https://b.com/", { $0.policy.domains = ["a/b"] }, "not a host"),
      ("nonsense", { _ in }, "not a usable URL"),
    ] as [(String, (inout SSE.Options) -> Void, String)] {
      var options = SSE.Options()
      change(&options)
      #expect(await refusal(url, options).contains(said), "\(url)")
    }
  }

  @Test func aLostConnectionThrows() async throws {
    let server = try await Server { client in
      client.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
      client.stream.finishSending()
    }
    defer { server.stop() }
    var events = try await SSE.connect(server.url).makeAsyncIterator()
    #expect(try await events.next()?.data == "a")
    await #expect { _ = try await events.next() } throws: { ($0 as? WeirError)?.code == "ProtocolError" }
    #expect(try await events.next() == nil)
  }

  @Test func silenceThrows() async throws {
    let server = try await Server { $0.send(Self.head) }
    defer { server.stop() }
    var options = SSE.Options()
    options.idleTimeout = .milliseconds(50)
    var events = try await SSE.connect(server.url, options).makeAsyncIterator()
    await #expect { _ = try await events.next() } throws: { ($0 as? WeirError)?.code == "Timeout" }
    await server.closing()
  }

  @Test(.timeLimit(.minutes(1))) func cancellingClosesTheSocket() async throws {
    let server = try await Server { $0.send(Self.head + "data: 1\n\n") }
    defer { server.stop() }
    let url = server.url
    let reading = Mutex(false)
    let task = Task {
      var count = 0
      for try await _ in try await SSE.connect(url) {
        count += 1
        reading.withLock { $0 = true }
      }
      return count
    }
    while !reading.withLock({ $0 }) { await Task.yield() }
    task.cancel()
    #expect(try await task.value == 1)
    await server.closing()
  }

  @Test(.timeLimit(.minutes(1))) func cancellingWhileItConnects() async throws {
    let server = try await Server { _ in }
    defer { server.stop() }
    let url = server.url
    let task = Task { _ = try await SSE.connect(url) }
    while server.heads.withLock({ $0.isEmpty }) { await Task.yield() }
    task.cancel()
    await #expect { try await task.value } throws: { ($0 as? WeirError)?.code == "Cancelled" }
    await server.closing()
  }

  /// A connection that has ended leaves no loop and no thread, however it was let go.
  @Test(.timeLimit(.minutes(1))) func nothingIsLeftOfIt() async throws {
    let server = try await Server { client in
      client.send(Self.head + "data: 1\n\n")
      client.stream.finishSending()
    }
    defer { server.stop() }
    for isSelected in [false, true] {
      weak var thread: SourceThread?
      do {
        let events = try await SSE.connect(server.url)
        thread = events.reader.thread
        if isSelected {
          for try await _ in EventLoop.select([.sse(events, name: "s")]) {}
        } else {
          for try await _ in events {}
        }
      }
      while thread != nil { await Task.yield() }
      do {
        let process = try await ProcessSource.start("true")
        thread = process.reader.thread
        if isSelected {
          for try await _ in EventLoop.select([.process(process, name: "p")]) {}
        } else {
          for try await _ in process {}
        }
      }
      while thread != nil { await Task.yield() }
    }
  }

  @Test(.timeLimit(.minutes(1))) func droppingItClosesTheSocket() async throws {
    let server = try await Server { $0.send(Self.head + "data: 1\n\n") }
    defer { server.stop() }
    do {
      var events = try await SSE.connect(server.url).makeAsyncIterator()
      #expect(try await events.next()?.data == "1")
    }
    await server.closing()
  }
}
