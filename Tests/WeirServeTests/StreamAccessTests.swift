import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting
import WeirWire

@testable import WeirServe

/// Who may do what with a stream: the token, signed links, pages of other origins, and what is nobody's to write.
@Suite struct StreamAccessTests {
  typealias B = StreamBench
  private static let secret = Array("sixteen bytes or more".utf8)
  private static let bearer = [(name: "Authorization", value: "Bearer long-enough")]

  @Test func withoutATokenStreamsAreRead() throws {
    let bench = try B { $0.publicStreams = false }
    bench.store.create(try StreamName("a"), contentType: "text/plain") { _ in }
    #expect(bench.ask("GET", "/streams/a").status == 200)
    for method in ["PUT", "POST", "DELETE"] {
      let answer = bench.ask(method, "/streams/a", B.text, "x")
      #expect(answer.status == 405 && answer["Allow"] == "GET, HEAD, OPTIONS")
    }
  }

  @Test func theTokenIsAskedForEverythingAndAllowsIt() throws {
    let bench = try B {
      $0.publicStreams = false
      $0.token = "long-enough"
    }
    for method in ["PUT", "POST", "DELETE", "GET", "HEAD"] {
      #expect(bench.ask(method, "/streams/a", B.text, "x").status == 401, "\(method)")
    }
    #expect(bench.ask("PUT", "/streams/a", B.text + Self.bearer, "x").status == 201)
    #expect(bench.ask("POST", "/streams/a", B.text + Self.bearer, "y").status == 204)
    #expect(bench.ask("GET", "/streams/a", Self.bearer).text == "xy")
    #expect(bench.ask("DELETE", "/streams/a", Self.bearer).status == 204)
    // A page elsewhere whose browser has the cookie.
    let cookie = [(name: "Cookie", value: "weir_token=long-enough"), ("Origin", "http://evil.test")]
    #expect(bench.ask("PUT", "/streams/a", B.text + cookie).status == 403)
  }

  @Test func runsMemoriesAndTheServersOwnAreWrittenByNobody() throws {
    let bench = try B()
    bench.ask("POST", "/chat", B.json, #"{"message":"hi"}"#)
    bench.host.finish("run1", [.text("a")])
    bench.store.create(try StreamName("memory/x"), contentType: "application/json") { _ in }
    for path in [
      "/streams/runs/run1", "/v1/stream/runs/new", "/streams/memory/x", "/streams/_weir/runs", "/streams/_weir",
    ] {
      for method in ["PUT", "POST", "DELETE"] {
        #expect(bench.ask(method, path, B.json, "1").status == 405, "\(method) \(path)")
      }
    }
    for path in ["/streams/_weir/runs", "/v1/stream/_weir/runs"] {
      for method in ["GET", "HEAD"] { #expect(bench.ask(method, path).status == 404) }
    }
    let run = bench.ask("GET", "/streams/runs/run1")
    #expect(run.status == 200 && run["Stream-Closed"] == "true")
    #expect(try JSONValue.parse(run.text)[1]?["state"]?.string == "completed")
    let fork = bench.ask("PUT", "/streams/copy", [("Stream-Forked-From", "/streams/runs/run1")])
    #expect(fork.status == 201 && bench.ask("GET", "/streams/copy").text == run.text)
  }

  // MARK: Links

  private func link(_ rights: String, _ path: String = "a", expires: Int64 = 1_767_225_700) throws -> String {
    StreamLink(
      stream: try StreamName(path), rights: try #require(StreamLink.Rights(rights)), expires: expires
    ).query(secret: Self.secret)
  }

  private func guarded() throws -> StreamBench {
    let bench = try B {
      $0.publicStreams = false
      $0.token = "long-enough"
      $0.linkSecret = Self.secret
    }
    bench.ask("PUT", "/streams/a", B.text + Self.bearer, "x")
    bench.ask("PUT", "/streams/b", B.text + Self.bearer, "secret")
    return bench
  }

  @Test func aLinkGivesOneStreamItsRightsForItsTime() throws {
    let bench = try guarded()
    let read = try link("r")
    #expect(bench.ask("GET", "/streams/a?\(read)").text == "x")
    #expect(bench.ask("GET", "/v1/stream/a?offset=-1&\(read)").text == "x")
    #expect(bench.ask("GET", "/streams/a?\(read)", [("Accept", "text/event-stream")]).status == 200)
    #expect(bench.ask("GET", "/streams/b?\(read)").status == 403)
    for (method, body) in [("POST", "y"), ("PUT", ""), ("DELETE", "")] {
      let answer = bench.ask(method, "/streams/a?\(read)", B.text, body)
      #expect(answer.status == 403 && answer.json?["error"]?["code"]?.string == "NotInLink", "\(method)")
    }
    let write = try link("rw")
    #expect(bench.add("/streams/a?\(write)", "y").status == 204)
    #expect(bench.ask("DELETE", "/streams/a?\(write)").status == 403)
    #expect(bench.ask("GET", "/streams/a?\(try link("w"))").status == 403)
    // It opens nothing else.
    #expect(bench.ask("GET", "/_weir/runs?\(write)").status == 401)
    let fork = [(name: "Stream-Forked-From", value: "/streams/b")]
    #expect(bench.ask("PUT", "/streams/c?\(try link("rw", "c"))", fork).status == 403)
    #expect(bench.ask("PUT", "/streams/c?\(try link("rw", "c"))", B.text).status == 201)
    #expect(bench.ask("POST", "/streams/runs/x?\(try link("rwd", "runs/x"))", B.json, "1").status == 405)
    #expect(bench.ask("GET", "/streams/_weir/runs?\(try link("r", "_weir/runs"))").status == 404)
    #expect(bench.ask("DELETE", "/streams/a?\(try link("rwd"))").status == 204)
    bench.loop.advance(by: .seconds(101))
    let late = bench.ask("GET", "/streams/b?\(try link("r", "b"))")
    #expect(late.status == 403 && late.json?["error"]?["message"]?.string?.contains("2026-01-01T00:01:40Z") == true)
  }

  @Test func whoReadsByALinkIsCutOffAtItsEnd() throws {
    let bench = try guarded()
    let query = try link("r")
    let events = [(name: "Accept", value: "text/event-stream")]
    let plain = bench.ask("GET", "/streams/a?\(query)", events)
    let live = bench.ask("GET", "/streams/a?offset=-1&live=sse&\(query)")
    let mine = bench.ask("GET", "/streams/a", events + Self.bearer)
    // A socket that is full at the end gets nothing more either.
    let slow = bench.ask("GET", "/streams/a?\(query)", events)
    slow.room = 0
    bench.loop.advance(by: .seconds(58))
    let other = bench.ask("GET", "/streams/a?offset=now&live=sse&\(query)")
    bench.loop.advance(by: .seconds(37))
    let poll = bench.ask("GET", "/streams/a?offset=now&live=long-poll&\(query)")
    #expect(!plain.isOver && !other.isOver && !poll.isOver && live.isFinished)
    bench.loop.advance(by: .seconds(5))
    #expect(plain.isAborted && slow.isAborted && other.isFinished && poll.status == 204)
    bench.ask("POST", "/streams/a", B.text + Self.bearer, "late")
    bench.loop.settle()
    for reader in [plain, live, slow, other, poll] { #expect(!reader.text.contains(text: "late")) }
    #expect(mine.text.contains(text: "late") && !mine.isOver)
    #expect(bench.app.liveReaders.count == 0 && bench.app.fanout.readerCount == 1)
    #expect(bench.ask("GET", "/streams/a?\(query)", events).status == 403)
    // A link for ever is none that overflows.
    let ever = bench.ask("GET", "/streams/a?\(try link("r", expires: .max))", events)
    #expect(ever.status == 200 && ever.text.contains(text: "late"))
  }

  @Test func nothingOfALinkCanBeChanged() throws {
    let bench = try guarded()
    let good = try link("r")
    #expect(bench.ask("GET", "/streams/a?\(good)").status == 200)
    for bad in [
      good.replacing(text: "rights=r", with: "rights=rw"), good.replacing(text: "1767225700", with: "1767225701"),
      good.replacing(text: "1767225700", with: "01767225700"), good.replacing(text: "rights=r&", with: ""),
      good.replacing(text: "rights=r", with: "rights=wr"), String(good.dropLast()), good + "0", good + "&rights=rw",
      good + "&expires=1", "signature=", "signature=x&rights=r&expires=99999999999",
      StreamLink(stream: try StreamName("a"), rights: .read, expires: 1_767_225_700).query(
        secret: Array("another secret of the".utf8)),
    ] { #expect(bench.ask("GET", "/streams/a?\(bad)").status == 403, "\(bad)") }
    for rights in ["", "x", "wr", "rr", "rwdx"] { #expect(StreamLink.Rights(rights) == nil) }
    let none = try B { $0.token = "long-enough" }
    #expect(none.ask("GET", "/streams/a?\(good)").status == 403)
  }

  @Test func theSecretIsMadeOnceAndReadAgain() throws {
    let simulation = SimulatedWorld(seed: 3)
    func open() -> [UInt8]? {
      var found: [UInt8]?
      LinkSecret.open(
        directory: "/tmp", disk: simulation.disk, random: simulation.random, loop: simulation.loop
      ) { found = try? $0.get() }
      simulation.loop.run()
      return found
    }
    let first = try #require(open())
    #expect(first.count == 32 && open() == first)
    simulation.disk.crash()
    #expect(open() == first)
    simulation.disk.setContent("/tmp/link-secret", [1, 2])
    let second = try #require(open())
    #expect(second.count == 32 && second != first)
  }

  /// However the steps of several processes fall between each other: all have the same, which is the one that is kept.
  @Test(arguments: UInt64(1)...40) func theSecretIsMadeByOneOfMany(seed: UInt64) throws {
    let simulation = SimulatedWorld(seed: seed)
    var found: [[UInt8]] = []
    for _ in 0..<4 {
      _ = simulation.loop.after(.microseconds(simulation.random.int(0...400))) {
        LinkSecret.open(
          directory: "/tmp", disk: simulation.disk, random: simulation.random, loop: simulation.loop
        ) { if case .success(let secret) = $0 { found.append(secret) } }
      }
    }
    simulation.loop.run()
    var kept: [UInt8]?
    simulation.disk.read("/tmp/link-secret", limit: 1024) { kept = try? $0.get() }
    simulation.loop.run()
    #expect(found.count == 4 && found.allSatisfy { $0 == kept }, "seed \(seed)")
  }

  @Test func hmacIsThatOfTheRFC() {
    // RFC 4231, cases 1, 2 and 6.
    func hex(_ bytes: [UInt8]) -> String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
    #expect(
      hex(HMAC.sha256(Array("Hi There".utf8), key: [UInt8](repeating: 0x0B, count: 20)))
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    #expect(
      hex(HMAC.sha256(Array("what do ya want for nothing?".utf8), key: Array("Jefe".utf8)))
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(
      hex(
        HMAC.sha256(
          Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
          key: [UInt8](repeating: 0xAA, count: 131)))
        == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54")
  }

  // MARK: Origins

  @Test func pagesOfNamedOriginsMayReadAndWrite() throws {
    let bench = try B { $0.origins = ["https://app.test"] }
    bench.make("/streams/a", B.text, "x")
    let named = [(name: "Origin", value: "https://app.test")]
    let other = [(name: "Origin", value: "https://evil.test")]
    let read = bench.ask("GET", "/streams/a", named)
    #expect(read["Access-Control-Allow-Origin"] == "https://app.test" && read["Vary"] == "Accept, Origin")
    #expect(read["Access-Control-Expose-Headers"]?.contains(text: "Stream-Next-Offset") == true)
    #expect(read["Cross-Origin-Resource-Policy"] == "cross-origin")
    #expect(bench.ask("GET", "/streams/a", other)["Access-Control-Allow-Origin"] == nil)
    #expect(bench.ask("POST", "/streams/a", B.text + named, "y").status == 204)
    #expect(bench.ask("POST", "/streams/a", B.text + other, "y").status == 403)
    let asks = bench.ask("OPTIONS", "/streams/a", named + [("Access-Control-Request-Method", "PUT")])
    #expect(asks.status == 204 && asks["Access-Control-Allow-Methods"]?.contains(text: "PUT") == true)
    #expect(asks["Access-Control-Allow-Headers"]?.contains(text: "Producer-Id") == true)
    // Asked before anything is sent, so without the token.
    let guarded = try B {
      $0.origins = ["https://app.test"]
      $0.token = "long-enough"
    }
    #expect(guarded.ask("OPTIONS", "/streams/a", named + [("Access-Control-Request-Method", "PUT")]).status == 204)
    #expect(guarded.ask("GET", "/streams/a", named)["Access-Control-Allow-Origin"] == "https://app.test")
  }

  @Test func whatMayBeAskedIsSaid() throws {
    let bench = try B()
    #expect(bench.ask("OPTIONS", "/streams/a")["Allow"] == "GET, HEAD, PUT, POST, DELETE, OPTIONS")
    #expect(bench.ask("PATCH", "/streams/a")["Allow"] == "GET, HEAD, PUT, POST, DELETE, OPTIONS")
  }

  // MARK: Ends and limits

  @Test func whyAStreamWasAbortedIsSaidEverywhere() throws {
    let bench = try B()
    bench.make("/streams/a", B.text, "x")
    let name = try StreamName("a")
    let plain = bench.ask("GET", "/streams/a", [("Accept", "text/event-stream")])
    let live = bench.ask("GET", "/streams/a?offset=-1&live=sse")
    bench.store.append(name, [], ending: .aborted(reason: "no \"money\"\r\nX: é")) { _ in }
    bench.loop.settle()
    let said = "aborted; reason=no%20%22money%22%0D%0AX%3A%20%C3%A9"
    for answer in [
      bench.ask("GET", "/streams/a"), bench.ask("HEAD", "/streams/a"), bench.add("/streams/a", "y"),
      bench.ask("GET", "/streams/a?offset=now&live=long-poll"),
      bench.ask("GET", "/streams/a", [("Last-Event-ID", "0000000000000001")]),
    ] { #expect(answer["Stream-End"] == said && answer["Stream-Closed"] == "true", "\(answer.status ?? 0)") }
    #expect(B.Events(live).controls.last?["streamEnd"]?["reason"]?.string == "no \"money\"\r\nX: é")
    #expect(
      plain.text.contains(text: "event: end\ndata: {\"state\":\"aborted\",\"reason\":\"no \\\"money\\\"")
        && plain.isFinished)
  }

  @Test func readersAreCounted() throws {
    let bench = try B { $0.fanout.readers = 2 }
    bench.make("/streams/a", B.text, "x")
    let poll = bench.ask("GET", "/streams/a?offset=now&live=long-poll")
    let events = bench.ask("GET", "/streams/a?offset=now&live=sse")
    for target in ["/streams/a?offset=now&live=long-poll", "/streams/a?offset=now&live=sse", "/streams/a?format=weir"] {
      #expect(bench.ask("GET", target).status == 503, "\(target)")
    }
    #expect(bench.ask("GET", "/streams/a").status == 200)
    poll.goAway()
    #expect(bench.ask("GET", "/streams/a?offset=now&live=sse").status == 200)
    // The server stops: who waits is answered, and everybody may come back.
    let wait = events
    bench.app.disconnectReaders()
    #expect(wait.isFinished && bench.app.liveReaders.count == 0)
  }

  @Test func bodiesAreLimited() throws {
    let bench = try B { $0.bodyLimit = 10 }
    #expect(bench.ask("PUT", "/streams/a", B.text, String(repeating: "x", count: 11)).status == 413)
    bench.make("/streams/a", B.text, "0123456789")
    #expect(bench.add("/streams/a", "0123456789+").status == 413)
    var limits = MemoryStreamStore.Limits()
    limits.bytesLimit = 100
    let store = MemoryStreamStore(loop: bench.loop, limits: limits)
    var configuration = ServeConfiguration()
    configuration.publicStreams = true
    let app = ServeApplication(configuration, host: bench.host, store: store, loop: bench.loop)
    let responder = FakeResponder()
    app.handle(
      HTTPRequest(
        method: "PUT", path: "/streams/a", query: "", headers: B.text, body: [UInt8](repeating: 7, count: 200),
        peer: SocketAddress(host: "127.0.0.1", port: 1)), responder)
    bench.loop.settle()
    #expect(responder.status == 507 && responder.json?["error"]?["code"]?.string == "StoreFull")
  }

  @Test func momentsAreReadAndWritten() {
    for (text, milliseconds, written) in [
      ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00Z"),
      ("2024-02-29T23:59:59.5Z", 1_709_251_199_500, "2024-02-29T23:59:59.500Z"),
      ("2026-01-01t00:00:00z", 1_767_225_600_000, "2026-01-01T00:00:00Z"),
      ("2000-03-01T01:00:00.123456+01:30", 951_867_000_123, "2000-02-29T23:30:00.123Z"),
      ("1969-12-31T23:59:59.999Z", -1, "1969-12-31T23:59:59.999Z"),
    ] as [(String, Int64, String)] {
      let moment = Timestamp(text)
      #expect(moment?.milliseconds == milliseconds && moment?.description == written, "\(text)")
    }
    let random = SeededRandom(seed: 1)
    for _ in 0..<1000 {
      let moment = Timestamp(
        milliseconds: Int64(random.int(below: 4_000_000_000)) * 1000 + Int64(random.int(below: 1000)))
      #expect(Timestamp(moment.description) == moment)
    }
    for bad in [
      "", "2026-01-01", "2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:00:00.Z",
      "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00Zz", "２026-01-01T00:00:00Z",
    ] {
      #expect(Timestamp(bad) == nil, "\(bad)")
    }
  }
}
