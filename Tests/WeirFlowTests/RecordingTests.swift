import Testing
import WeirCore
import WeirTesting

@testable import WeirFlow

@Suite struct RecordingTests {
  private static let events: [StreamEvent] = [
    .message("a \"quoted\" line\nand another \u{0} ü"), .binary([0, 255, 128]), .binary([]), .ping([1, 2]),
    .sse(type: "message", data: "x"), .closed(code: 1006, reason: "lost"), .error(.connectionFailed("a")),
    .error(.timeout("b")), .error(.budgetExhausted("c")), .error(.protocolError("d")), .error(.messageTooLarge("e")),
    .sourceText(source: "in", ""), .sourceBytes(source: "p", Array(0...255)), .sourceExit(source: "p", code: -9),
  ]

  @Test func everyLineReadsBackAsItself() throws {
    var lines: [Recording.Line] = [
      .source(1, kind: "stdin", name: "in \"1\"", failure: nil),
      .source(2, kind: "connect", name: "wss://a.test/", failure: .timeout("30s")), .take(7),
      .deadline(at: 60_000_000, source: 3, "idle timeout after 1m0s"), .end(at: 0, source: 1),
      .outcome(at: 1, source: 4, .output([0, 255], error: [], code: -1, isTruncated: true)),
      .outcome(at: 1, source: 4, .failed(.init(code: "NotFound", message: "no", hint: "install it"))),
      .outcome(at: 1, source: 4, .failed(.init(code: "Timeout", message: ""))), .outcome(at: 1, source: 4, .cancelled),
    ]
    for failure in ProcessInputFailure.allCases {
      lines.append(.refusedWrite(at: 9, source: 5, write: 255, failure))
    }
    let failures: [NetworkFailure] = [
      .nameNotFound(host: "a.test"), .refused(SocketAddress(host: "::1", port: 80)), .timedOut(what: "connecting"),
      .reset, .closedEarly, .tls("expired"), .tooManyRedirects(3), .protocolViolation("x"), .unavailable("y"),
      .other("z"),
      .badURL("b"), .notAllowed("no", hint: ""),
    ]
    lines += failures.map { .exchange(at: 3, source: 6, .finished($0)) }
    let facts: [Recording.ExchangeFact] = [
      .head(429, [.init("retry-after", "2"), .init("content-type", "")]), .head(200, []), .body([]), .body([0xC3]),
      .body(Array("data: \"é\"\r\n\n".utf8)), .finished(nil), .cancelled,
    ]
    lines += facts.map { .exchange(at: 3, source: 6, $0) }
    for event in Self.events { lines.append(.event(at: 12, source: 1, event)) }
    for line in lines {
      var bytes: [UInt8] = []
      RecordingCodec.append(line, to: &bytes)
      #expect(bytes.last == 0x0A && !bytes.dropLast().contains(0x0A))
      #expect(try RecordingCodec.decode(bytes.dropLast(), line: 2) == line)
    }
  }

  private static let header = String(decoding: RecordingCodec.header, as: UTF8.self)
  private static let source = "{\"source\":1,\"kind\":\"stdin\",\"name\":\"in\"}\n"
  private static let head = "{\"at\":5,\"source\":1,\"head\":200,\"headers\":{}}\n"
  private static let text = "{\"at\":5,\"source\":1,\"event\":\"SourceText\",\"name\":\"in\",\"text\":\"x\"}\n"
  /// What is in the file, the line that is refused, and why.
  private static let refused: [(text: String, line: Int, why: String)] = [
    ("", 1, "missing"), ("no newline", 1, "missing"), ("hello\n", 1, "no recording"), ("{}\n", 1, "no recording"),
    ("{\"weir\":\"recording\",\"version\":2}\n", 1, "version 1 only"),
    (header + "\n", 2, "unexpected end"), (header + "{\n", 2, "expected"), (header + "[1]\n", 2, "\"source\""),
    (header + "{\"source\":2,\"kind\":\"a\",\"name\":\"b\"}\n", 2, "source 2 comes after 0"),
    (header + "{\"source\":-1,\"kind\":\"a\",\"name\":\"b\"}\n", 2, "source -1"),
    (header + text, 2, "no source 1"), (header + "{\"take\":1}\n", 2, "no source 1"),
    (header + "{\"take\":\"x\"}\n", 2, "\"take\""), (header + source + "{\"take\":1}\n", 3, "no event to take"),
    (header + source + text + "{\"take\":1}\n{\"take\":1}\n", 5, "no event to take"),
    (header + source + "{\"at\":-1,\"source\":1,\"end\":true}\n", 3, "\"at\""),
    (header + source + "{\"at\":9223372036854775807,\"source\":1,\"end\":true}\n", 3, "\"at\""),
    (header + source + "{\"at\":1e400,\"source\":1,\"end\":true}\n", 3, ""),
    (header + source + text + "{\"at\":4,\"source\":1,\"end\":true}\n", 4, "goes back"),
    (header + source + "{\"at\":1,\"source\":1,\"end\":true}\n" + text, 4, "after the end"),
    (header + source + "{\"at\":5,\"source\":1,\"event\":\"Shout\"}\n", 3, "\"event\""),
    (header + source + "{\"at\":5,\"source\":1,\"event\":\"Binary\",\"data\":\"%%\"}\n", 3, "\"data\""),
    (
      header + source + "{\"at\":5,\"source\":1,\"event\":\"StreamError\",\"error\":\"No\",\"message\":\"\"}\n", 3,
      "\"error\""
    ),
    (header + source + "{\"at\":5,\"source\":1,\"outcome\":\"won\"}\n", 3, "\"outcome\""),
    (header + source + "{\"at\":5,\"source\":1,\"outcome\":\"output\",\"stdout\":\"\"}\n", 3, "\"stderr\""),
    (header + source + "{\"at\":5,\"source\":2,\"outcome\":\"cancelled\"}\n", 3, "no source 2"),
    (
      header + source + String(repeating: "{\"at\":5,\"source\":1,\"outcome\":\"cancelled\"}\n", count: 2), 4,
      "an outcome already"
    ),
    (header + source + "{\"at\":5,\"source\":1,\"write\":1,\"error\":\"No\"}\n", 3, "\"error\""),
    (
      header + "{\"source\":1,\"kind\":\"a\",\"name\":\"b\",\"error\":\"Timeout\",\"message\":\"\"}\n" + text, 3,
      "never open"
    ),
    (header + source + "{\"at\":5,\"source\":1,\"head\":99,\"headers\":{}}\n", 3, "\"head\""),
    (header + source + "{\"at\":5,\"source\":1,\"head\":200,\"headers\":{\"a\":1}}\n", 3, "\"headers\""),
    (header + source + "{\"at\":5,\"source\":1,\"head\":200}\n", 3, "\"headers\""),
    (header + source + "{\"at\":5,\"source\":1,\"failed\":\"No\",\"detail\":\"\"}\n", 3, "\"failed\""),
    (
      header + source + "{\"at\":5,\"source\":1,\"failed\":\"ConnectionRefused\",\"detail\":\"x\"}\n", 3,
      "\"failed\""
    ), (header + source + "{\"at\":5,\"source\":1,\"data\":\"%%\"}\n", 3, "\"data\""),
    (header + source + "{\"at\":5,\"source\":1,\"body\":\"x\"}\n", 3, "does not follow"),
    (header + source + head + head, 4, "does not follow"),
    (header + source + head + "{\"at\":4,\"source\":1,\"body\":\"x\"}\n", 4, "does not follow"),
    (
      header + source + head + "{\"at\":9,\"source\":1,\"finished\":true}\n{\"at\":9,\"source\":1,\"body\":\"x\"}\n", 5,
      "does not follow"
    ),
    (
      header + "{\"source\":1,\"kind\":\"a\",\"name\":\"\u{FF}\",\"x\":" + String(repeating: "[", count: 600) + "\n", 2,
      ""
    ),
  ]

  @Test(arguments: refused.indices) func whatIsNoRecordingIsRefusedWithItsLine(_ index: Int) {
    let (text, line, why) = Self.refused[index]
    do throws(RecordingFailure) {
      _ = try Recording(Array(text.utf8))
      Issue.record("accepted: \(text)")
    } catch {
      #expect(error.line == line && (why.isEmpty || error.message.contains(why)), "\(error)")
      #expect(error.code == "BadRecording" && error.hint != nil)
    }
  }

  /// Bytes changed at random: refused, or a recording that can be played to its end.
  @Test func damagedRecordingsNeverHang() throws {
    let bytes = Array(try recorded(seed: 3).bytes)
    for seed in UInt64(1)...400 {
      let random = SeededRandom(seed: seed)
      var damaged = bytes
      for _ in 0..<random.int(1...6) {
        damaged[random.int(below: damaged.count)] = UInt8(truncatingIfNeeded: random.next())
      }
      guard let recording = try? Recording(damaged) else { continue }
      _ = try? played(recording, priorities: Play.priorities, speed: nil)
    }
  }

  @Test func aFileThatStopsInALineEndsBeforeIt() throws {
    let whole = Self.header + Self.source + Self.text
    let cut = Array((whole + Self.text).utf8).dropLast(9)
    #expect(try Recording(Array(cut)) == Recording(Array(whole.utf8)))
  }

  @Test func secretsAndQueriesAreNotInIt() throws {
    let loop = SimulatedLoop()
    var bytes: [UInt8] = []
    let recorder = StreamRecorder(loop: loop) { bytes += $0 }
    recorder.hide(Secrets(["sk-canary-1"]))
    let queue = EventQueue(limit: 100)
    recorder.opened(queue, kind: "connect", name: "wss://a.test/x")
    recorder.failed(
      .connectionFailed("HTTP 401: bad key sk-canary-1"), kind: "connect", name: "wss://a.test/sk-canary-1")
    let run = recorder.began(kind: "exec", name: "sk-canary-1")
    recorder.ended(
      run, .output(Array("sk-canary-1".utf8), error: Array("a sk-canary-1 b".utf8), code: 0, isTruncated: false))
    for event: StreamEvent in [
      .opened(url: "wss://a.test/x?key=sk-canary-1"), .message("you sent sk-canary-1"),
      .sse(type: "sk-canary-1", data: "sk-canary-1"), .binary(Array("sk-canary-1".utf8)),
      .ping(Array("sk-canary-1".utf8)), .error(.protocolError("sk-canary-1")), .sourceText(source: "a", "sk-canary-1"),
      .sourceBytes(source: "a", Array("sk-canary-1".utf8)), .closed(code: 1008, reason: "sk-canary-1"),
    ] { queue.push(event) }
    loop.run()
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(!text.contains("canary") && !text.contains(Base64.encode(Array("sk-canary-1".utf8)).prefix(8)))
    #expect(try Recording(bytes).sources.count == 3)
  }

  // MARK: Record, then replay

  private enum Play { static let priorities = [1, 5, 5] }

  private struct Played {
    var trace: [String] = []
    var bytes: [UInt8] = []
    var elapsed = Duration.zero
  }

  /// Sources that yield at random and a handler that is sometimes slow, all by one seed.
  private func recorded(seed: UInt64) throws -> Played {
    let random = SeededRandom(seed: seed)
    let loop = SimulatedLoop()
    let played = Box()
    let recorder = StreamRecorder(loop: loop) { played.value.bytes += $0 }
    let queues = Play.priorities.map { _ in EventQueue(limit: 5) }
    for (place, queue) in queues.enumerated() {
      var left = random.int(0...20)
      func produce() {
        while !queue.isFull, left > 0, random.chance(0.6) {
          left -= 1
          queue.push(.sourceText(source: "\(place)", "\(left)"))
        }
        if left == 0 { return queue.finish() }
        if !queue.isFull { _ = loop.after(.milliseconds(random.int(1...30)), produce) }
      }
      queue.onRoom = produce
      if random.chance(0.5) { produce() } else { loop.soon(produce) }
      recorder.opened(queue, kind: "test", name: "\(place)")
    }
    let select = try SelectLoop(
      zip(queues, Play.priorities).map { .init($0, priority: $1) }, loop: loop,
      deadlines: .init(idle: .milliseconds(29), duration: .milliseconds(150)))
    run(recorder.reader(select, of: queues), loop, played) {
      random.chance(0.3) ? .milliseconds(random.int(1...20)) : nil
    }
    loop.run()
    return played.value
  }

  private func played(_ recording: Recording, priorities: [Int], speed: Double?) throws -> Played {
    let loop = SimulatedLoop()
    let played = Box()
    let replay = Replay(recording, loop: loop, speed: speed)
    let inputs = try priorities.enumerated().map { place, priority in
      guard case .source(let queue) = replay.open(kind: "test", name: "\(place)") else { throw NotThere() }
      return (queue, priority)
    }
    run(try replay.reader(inputs), loop, played) { nil }
    loop.run()
    played.value.elapsed = loop.elapsed
    return played.value
  }

  private final class Box { var value = Played() }
  private struct NotThere: Error {}

  private func run(_ reader: any EventReader, _ loop: SimulatedLoop, _ played: Box, delay: @escaping () -> Duration?) {
    func step() {
      while true {
        switch reader.next() {
        case .wait: return reader.wait(step)
        case .end: return
        case .event(let event, let place):
          played.value.trace.append("\(place ?? -1) \(event)")
          if let delay = delay() {
            _ = loop.after(delay, step)
            return
          }
        }
      }
    }
    loop.soon(step)
  }

  @Test func aReplayIsTheSameTraceAtAnySpeed() throws {
    for seed in UInt64(1)...80 {
      let original = try recorded(seed: seed)
      let recording = try Recording(original.bytes)
      for speed in [nil, 1, 10, 0.5] as [Double?] {
        let replayed = try played(recording, priorities: Play.priorities, speed: speed)
        #expect(replayed.trace == original.trace, "seed \(seed), speed \(speed.map { "\($0)" } ?? "none")")
      }
    }
  }

  /// One recording with all there is in it, a thousand times with and a thousand without a speed.
  @Test func aThousandTimesTheSame() throws {
    let seed = try #require((UInt64(1)...80).first { try recorded(seed: $0).trace.last?.contains("timeout") == true })
    let original = try recorded(seed: seed)
    let recording = try Recording(original.bytes)
    for speed in [nil, 7] as [Double?] {
      for round in 1...1_000 {
        let replayed = try played(recording, priorities: Play.priorities, speed: speed)
        guard replayed.trace == original.trace else {
          Issue.record("seed \(seed), speed \(speed ?? 0), round \(round)")
          break
        }
      }
    }
  }

  @Test func aSpeedKeepsTheTimes() throws {
    let text = Self.header + Self.source + Self.text + "{\"take\":1}\n{\"at\":1000000,\"source\":1,\"end\":true}\n"
    let recording = try Recording(Array(text.replacing("stdin", with: "test").replacing("\"in\"", with: "\"0\"").utf8))
    for (speed, elapsed) in [(nil, 0), (1, 1000), (2, 500), (0.5, 2000)] as [(Double?, Int64)] {
      let replayed = try played(recording, priorities: [0], speed: speed)
      #expect(replayed.elapsed.milliseconds == elapsed)
      #expect(replayed.trace.count == 1)
    }
  }

  /// A changed program still gets what had arrived, by its own priorities.
  @Test func otherPrioritiesDecideAnew() throws {
    var text = Self.header
    for source in 1...2 { text += "{\"source\":\(source),\"kind\":\"test\",\"name\":\"\(source - 1)\"}\n" }
    for source in [1, 1, 2, 2] {
      text += "{\"at\":1,\"source\":\(source),\"event\":\"Message\",\"text\":\"\(source)\"}\n"
    }
    for source in [1, 1, 2, 2] { text += "{\"take\":\(source)}\n" }
    let recording = try Recording(Array(text.utf8))
    func order(_ priorities: [Int]) throws -> String {
      try played(recording, priorities: priorities, speed: nil).trace.map { String($0.first ?? "?") }.joined()
    }
    #expect(try order([5, 0]) == "0011")
    #expect(try order([0, 5]) == "1100")
    #expect(try order([0, 0]) == "0101")
  }
}
