import Testing
import WeirCore
import WeirLang
import WeirTesting

@testable import WeirRuntime

/// Servers as programs make them, and the library's text beside its natives.
@Suite struct HTTPModuleTests {
  static let two = """
    import "http"
    import std/clock (sleep)
    import std/task (all, race, settle)
    @post("/a") workflow A() -> int { 1 }
    @post("/b") workflow B() -> int { 2 }
    workflow Inner() -> int { 3 }

    """

  private func started(_ main: String, _ configure: (inout ProgramInstance.Options) -> Void = { $0.server.port = nil })
    throws -> Bench
  {
    try Bench(Self.two + "func main() { \(main) }", configure: configure).run()
  }

  @Test func eachServerServesWhatItWasGiven() throws {
    let bench = try started(
      "_ = all([() => http.Server([A, A]).listen(8081), () => http.Server([B]).listen(8082)], 0); ()")
    #expect(bench.ask("POST", "/a", "{}", port: 8081).status == 200)
    #expect(bench.ask("POST", "/b", "{}", port: 8081).status == 404)
    #expect(bench.ask("POST", "/b", "{}", port: 8082).status == 200)
    #expect(bench.instance.shutDown())
    bench.settle()
    #expect(bench.exits == [0] && bench.simulation.network.listenerCount == 0)
  }

  /// A change wakes a subscription once, whichever server it came by, and as long as one of them is open.
  @Test func serversShareTheirSubscriptions() throws {
    let json = "Content-Type: application/json\r\n"
    let plan = #"{"type": "pull-wake", "wake_stream": "wake", "pattern": "events/*"}"#
    let bench = try started(
      "_ = all([() => race([() => http.Server([A]).listen(8081), () => sleep(2000)]), () => http.Server([B]).listen(8082)], 0); ()"
    ) {
      $0.server.port = nil
      $0.server.serve.publicStreams = true
      $0.server.serve.subscriptions = true
    }
    #expect(bench.ask("PUT", "/streams/wake", headers: json, port: 8081).status == 201)
    let path = "/streams/__ds/subscriptions/s"
    #expect(bench.ask("PUT", path, plan, port: 8081).status == 201)
    #expect(bench.ask("GET", path, port: 8082).status == 200)
    let made = bench.ask("PUT", "/streams/events/a", "[1]", port: 8082)
    #expect(made.status == 201)
    func wakes() -> Int? { (try? JSONValue.parse(bench.ask("GET", "/streams/wake", port: 8082).body))?.array?.count }
    #expect(wakes() == 1)
    bench.simulation.loop.advance(by: .seconds(3))
    #expect(bench.simulation.network.listenerCount == 1)
    #expect(bench.ask("GET", path, port: 8082).status == 200)
    #expect(bench.ask("POST", path + "/claim", #"{"worker": "w"}"#, port: 8082).status == 200)
    #expect(bench.ask("DELETE", "/streams/events/a", port: 8082).status == 204)
    #expect(bench.instance.shutDown())
    bench.settle()
    #expect(bench.exits == [0])
  }

  /// Nor does a program that was taken up without its token.
  @Test func nobodySubscribesToWhatNobodyMayWrite() throws {
    let bench = try Bench(Self.two, configure: { $0.server.serve.subscriptions = true }).serve()
    #expect(bench.exits == [1] && bench.errors.contains("--token TEXT or --public-streams"))
  }

  @Test func aServerListensOnce() throws {
    let bench = try started(
      "let s = http.Server([A]); for r in settle([() => s.listen(8081), () => s.listen(8082)], 0) { println(show(r)) }")
    #expect(bench.simulation.network.listenerCount == 1)
    #expect(bench.instance.shutDown())
    bench.settle()
    #expect(bench.output.contains("AlreadyListening"))
  }

  @Test func aServerThatNobodyWaitsForIsClosed() throws {
    let racing = try Bench(
      Self.two
        + "func main() { race([() => http.Server([A]).listen(8081), () => ()]); println(\"on\") }",
      configure: { $0.server.port = nil }
    ).run()
    #expect(racing.output == "on\n" && racing.simulation.network.listenerCount == 0)
  }

  static let refused: [(main: String, says: String)] = [
    ("http.Server([Inner]).listen(8081)", "NoRoute: workflow Inner has no route"),
    ("http.Server([A]).listen(70000)", "BadArgument: 70000 is not a port"),
    ("http.Server([A]).listen(-1)", "BadArgument: -1 is not a port"),
  ]

  @Test func whatCantBeServedEndsTheProgram() throws {
    for (main, says) in Self.refused {
      let bench = try started(main)
      #expect(bench.exits == [1] && bench.errors.contains(says), "\(main): \(bench.errors)")
    }
  }

  @Test func aPortInUseIsOneClearLine() throws {
    let bench = try Bench(Self.two)
    let other = try bench.simulation.network.listen(SocketAddress(host: "127.0.0.1", port: 8080), tls: nil) { _ in }
    bench.serve()
    #expect(bench.exits == [1])
    #expect(bench.errors.hasPrefix("weir: ") && bench.errors.contains("8080"))
    other.close()
  }

  static let addresses: [(host: String, token: String?, insecure: Bool, isServed: Bool)] = [
    ("127.0.0.1", nil, false, true), ("localhost", nil, false, true), ("::1", nil, false, true),
    ("0.0.0.0", nil, false, false), ("10.0.0.1", nil, false, false), ("127.0.0.1.example.org", nil, false, false),
    ("0.0.0.0", "a long secret", false, true), ("0.0.0.0", nil, true, true),
  ]

  @Test func otherAddressesNeedASecret() throws {
    for (host, token, insecure, isServed) in Self.addresses {
      let bench = try Bench(
        Self.two,
        configure: {
          $0.server.host = host
          $0.server.serve.token = token
          $0.server.insecure = insecure
        }
      ).serve()
      #expect(bench.simulation.network.listenerCount == (isServed ? 1 : 0), "\(host)")
      #expect(bench.exits == (isServed ? [] : [1]), "\(host)")
      if !isServed { #expect(bench.errors.contains("refusing to serve on \(host)")) }
    }
  }

  @Test func servingTakesTheWorkflowsWithARoute() throws {
    let bench = try Bench(Self.two).serve()
    #expect(bench.errors.contains("serving 2 workflows"))
    let none = try Bench("workflow Inner() -> int { 3 }").serve()
    #expect(none.exits == [1] && none.errors.contains("no workflow with a route"))
  }

  @Test func theSameRouteTwiceIsFoundBeforeAnythingRuns() {
    #expect(throws: NotAProgram.self) {
      try Bench(Self.two + "@post(\"/a\") workflow C() -> int { 1 }")
    }
    #expect(throws: NotAProgram.self) {
      try Bench("@post(\"/a\", on_disconect: \"cancel\") workflow C() -> int { 1 }")
    }
    #expect(throws: NotAProgram.self) {
      try Bench("@post(\"/a\", on_disconnect: \"stop\") workflow C() -> int { 1 }")
    }
  }

  // MARK: The library

  @Test func theLibraryFitsItsNatives() { #expect(Bench.library.mismatches() == []) }

  @Test func everyModuleChecks() {
    for module in RuntimeLibrary.modules {
      let text = "import \(module.name) as m\nlet x = 1\n"
      let checked = Bench.check(text, name: "t.weir")
      #expect(checked.diagnostics.filter { $0.severity == .error }.map(\.title) == [], "\(module.name)")
    }
  }
}
