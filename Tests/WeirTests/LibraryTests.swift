import Synchronization
import Testing
import Weir
import WeirCore
import WeirIO

/// The library as Swift code uses it: real loops, real sockets on loopback, the offline model.
@Suite struct LibraryTests {
  static let chat = """
    provider eliza { model: "eliza" }
    agent Listener { provider: eliza }
    @post("/chat")
    workflow Chat(message: string) -> stream { return Listener.stream(message) }
    """

  @Test func runsAProgram() async throws {
    let lines = Collected()
    var options = RunOptions()
    options.output = { text, stream in if stream == .standardOutput { lines.add(text) } }
    let program = try WeirProgram(source: "func main() { println(\"one\"); println(\"two\") }")
    #expect(try await program.run(options) == 0)
    #expect(lines.text == "one\ntwo\n")
  }

  @Test func aProgramThatFailsSaysWhere() async throws {
    let lines = Collected()
    var options = RunOptions()
    options.output = { text, _ in lines.add(text) }
    let program = try WeirProgram(
      source: "func main() {\n  let zero = 0\n  println(show(1 / zero))\n}", name: "bad.weir")
    do {
      _ = try await program.run(options)
      Issue.record("it ran")
    } catch {
      #expect(error.code == "DivisionByZero")
    }
    #expect(lines.text.contains("bad.weir:3"))
  }

  @Test func errorsAreAllThere() {
    do {
      _ = try WeirProgram(source: "func f(a: int) -> string { a }\nfunc g(b: int) -> string { b }", name: "two.weir")
      Issue.record("it checked")
    } catch {
      #expect(error.code == "CheckFailed")
      #expect(error.message.contains("two.weir:1") && error.message.contains("two.weir:2"))
    }
    #expect { try WeirProgram(path: "/nowhere/p.weir") } throws: { ($0 as? WeirError)?.code == "FileNotFound" }
  }

  @Test func whereAProgramMayConnectIsSaidInSwift() async throws {
    let lines = Collected()
    var options = RunOptions(capabilities: [.stream])
    options.output = { text, stream in if stream == .standardOutput { lines.add(text) } }
    let program = try WeirProgram(
      source: """
        import std/stream (sseConnect, ConnectionFailed)
        func main() {
          match sseConnect("https://b.com/", {headers: []}) { Err(ConnectionFailed(why)) => println(why), _ => println("?") }
        }
        """)
    options.connections.domains = ["*.a.com"]
    #expect(try await program.run(options) == 0)
    #expect(lines.text.contains("--stream-allow-domains b.com"))
    options.connections.domains = ["a/b"]
    await #expect { _ = try await program.run(options) } throws: { ($0 as? WeirError)?.code == "BadArgument" }
  }

  @Test func nothingIsReachedThatWasNotGranted() async throws {
    let program = try WeirProgram(source: Self.chat)
    do {
      _ = try await program.serve(RunOptions(capabilities: [.net], port: 0))
      Issue.record("it served")
    } catch {
      #expect(error.code == "NotGranted")
      #expect(error.message.contains("AI"))
    }
  }

  @Test func servesUntilStopped() async throws {
    var options = RunOptions(capabilities: [.ai, .net, .stream, .serve], port: 0)
    options.environment = ["WEIR_ELIZA_DELAY": "0"]
    options.output = { _, _ in }
    let server = try await WeirProgram(source: Self.chat).serve(options)
    let reply = try await Self.post(server.port, #"{"message": "I feel fine"}"#)
    #expect(reply.contains(#""finish":"completed""#))
    await server.stop()
    await server.stop()
    await #expect(throws: NetworkFailure.self) { try await Self.post(server.port, "{}") }
  }

  @Test func aTakenPortIsAnError() async throws {
    var options = RunOptions(capabilities: [.ai, .net, .stream, .serve], port: 0)
    options.output = { _, _ in }
    let program = try WeirProgram(source: Self.chat)
    let server = try await program.serve(options)
    options.port = server.port
    do {
      _ = try await program.serve(options)
      Issue.record("two servers on one port")
    } catch {
      #expect(error.message.contains("already in use"))
    }
    await server.stop()
  }

  @Test func cancellingTheTaskEndsTheProgram() async throws {
    let listening = Collected()
    var options = RunOptions(capabilities: [.ai, .net, .stream, .serve], port: 0)
    options.grace = .zero
    options.output = { text, _ in listening.add(text) }
    let program = try WeirProgram(
      source: "import \"http\"\n\(Self.chat)\nfunc main() { http.Server([Chat]).listen(8080) }")
    let task = Task { [options] in try await program.run(options) }
    await listening.until { $0.contains("serving") }
    task.cancel()
    #expect(try await task.value == 0)
  }

  /// One request through Weir's own transport.
  static func post(_ port: Int, _ body: String) async throws -> String {
    let result: Result<String, NetworkFailure> = await withCheckedContinuation { continuation in
      let loop = WeirIO.EventLoop()
      loop.post {
        let world = RealWorld.make(loop: loop)
        let request = HTTPClientRequest(
          method: "POST", url: "http://127.0.0.1:\(port)/chat",
          headers: [("Content-Type", "application/json"), ("Accept", "application/json")], body: Array(body.utf8))
        let answer = Answer { result in
          continuation.resume(returning: result)
          loop.stop()
        }
        _ = world.http.start(request, handler: answer)
      }
      loop.start()
    }
    return try result.get()
  }

  final class Answer: HTTPResponseHandler {
    private var body: [UInt8] = []
    private let done: (Result<String, NetworkFailure>) -> Void
    init(_ done: @escaping (Result<String, NetworkFailure>) -> Void) { self.done = done }
    func httpReceived(head: HTTPResponseHead) {}
    func httpReceived(body bytes: Span<UInt8>) { for index in 0..<bytes.count { body.append(bytes[index]) } }
    func httpFinished(_ failure: NetworkFailure?) {
      done(failure.map { .failure($0) } ?? .success(String(decoding: body, as: UTF8.self)))
    }
  }
}

/// Text from another thread, and a way to wait for some of it.
final class Collected: Sendable {
  private struct State {
    var text = ""
    var waiting: [(wanted: @Sendable (String) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
  }
  private let state = Mutex(State())

  var text: String { state.withLock { $0.text } }

  func add(_ more: String) {
    let ready = state.withLock { state in
      state.text += more
      let ready = state.waiting.filter { $0.wanted(state.text) }
      state.waiting.removeAll { $0.wanted(state.text) }
      return ready
    }
    for waiter in ready { waiter.continuation.resume() }
  }

  func until(_ wanted: @escaping @Sendable (String) -> Bool) async {
    await withCheckedContinuation { continuation in
      let isThere = state.withLock { state in
        if wanted(state.text) { return true }
        state.waiting.append((wanted, continuation))
        return false
      }
      if isThere { continuation.resume() }
    }
  }
}
