import Glibc
import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting

@testable import WeirServe

/// Readers of every kind whose connections are cut at random places, with sockets that take as little as they like, while
/// a stream is written: what each puts together is the stream, byte for byte.
///
/// `WEIR_SEED=n` repeats one, `WEIR_ROUNDS=n` makes n times as many.
@Suite struct StreamReaderSimulationTests {
  private final class Reader {
    enum Way: CaseIterable { case catchUp, longPoll, events, plain }
    let way: Way
    private(set) var found: [UInt8] = []
    private(set) var isDone = false
    private(set) var cuts = 0
    private var offset = "-1"
    private var responder: FakeResponder?

    init(_ way: Way) { self.way = way }

    func step(_ bench: StreamBench, _ random: SeededRandom, isCutting: Bool) {
      if isDone { return }
      if let responder, isCutting, random.chance(0.5) {
        if !responder.isOver { responder.goAway() }
        cuts += 1
        take(responder)
        self.responder = nil
      }
      if let responder {
        if responder.isOver {
          take(responder)
          self.responder = nil
        } else if responder.status != nil {
          responder.makeRoom(isCutting ? random.int(below: 400) : 1 << 20)
        }
        return
      }
      let room = isCutting && random.chance(0.7) ? random.int(below: 300) : 1 << 20
      switch way {
      case .catchUp: responder = bench.ask("GET", "/streams/a?offset=\(offset)")
      case .longPoll: responder = bench.ask("GET", "/streams/a?live=long-poll&offset=\(offset)")
      case .events: responder = bench.ask("GET", "/streams/a?live=sse&offset=\(offset)", room: room)
      case .plain:
        responder = bench.ask("GET", "/streams/a?offset=\(offset)", [("Accept", "text/event-stream")], room: room)
      }
    }

    /// What of an answer is whole.
    private func take(_ responder: FakeResponder) {
      switch way {
      case .catchUp, .longPoll:
        guard responder.isFinished else { return }
        found += responder.received
        offset = responder["Stream-Next-Offset"] ?? offset
        isDone = responder["Stream-Closed"] == "true"
      case .plain where responder.status == 204: isDone = true
      case .events, .plain:
        let isBinary = responder["Stream-SSE-Data-Encoding"] != nil
        var data: [UInt8] = []
        var rest = responder.received[...]
        while let end = Self.end(of: rest) {
          let lines = rest[..<end].split(separator: 10, omittingEmptySubsequences: false)
          rest = rest[(end + 2)...]
          func field(_ name: String) -> [ArraySlice<UInt8>] {
            lines.filter { $0.starts(with: name.utf8) }.map {
              let value = $0.dropFirst(name.utf8.count)
              return value.first == UInt8(ascii: " ") ? value.dropFirst() : value
            }
          }
          let event = field("event:").first.map { String(decoding: $0, as: UTF8.self) }
          let text = Array(field("data:").joined(separator: [10]))
          if event == "data" { data += isBinary ? Base64.decode(String(decoding: text, as: UTF8.self)) ?? [] : text }
          if way == .plain, event == nil, !field("data:").isEmpty { found += text }
          if let id = field("id:").first { offset = String(decoding: id, as: UTF8.self) }
          // Data counts once the control event behind it says where to go on.
          if event == "control" {
            found += data
            data = []
            let value = try? JSONValue.parse(text)
            isDone = value?["streamClosed"] == .bool(true)
          }
          if event == "end" { isDone = true }
        }
      }
    }

    private static func end(of bytes: ArraySlice<UInt8>) -> Int? {
      var at = bytes.startIndex
      while at + 1 < bytes.endIndex {
        if bytes[at] == 10, bytes[at + 1] == 10 { return at }
        at += 1
      }
      return nil
    }
  }

  @Test func whateverIsCutTheJoinedBytesAreTheStream() throws {
    func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }
    let first = number("WEIR_SEED") ?? 1
    let rounds = 30 * (number("WEIR_ROUNDS") ?? 1)
    var cuts = 0
    for seed in first..<first + rounds { cuts += try Self.simulate(seed) }
    print("\(cuts) connections cut")
    #expect(cuts > 50 * Int(rounds))
  }

  private static func simulate(_ seed: UInt64) throws -> Int {
    let random = SeededRandom(seed: seed)
    let bench = try StreamBench {
      $0.chunkLimit = random.int(1...500)
      $0.fanout.window = 500
      $0.fanout.readBatch = 200
    }
    let isText = random.chance(0.5)
    let type = [(name: "Content-Type", value: isText ? "text/plain" : "application/octet-stream")]
    bench.make("/streams/a", type)
    let ways = isText ? Reader.Way.allCases : [.catchUp, .longPoll, .events]
    let readers = (0..<8).map { Reader(ways[$0 % ways.count]) }
    var written: [UInt8] = []
    for _ in 0..<120 {
      if random.chance(0.6) {
        // Text is cut anywhere, also within its characters.
        let text = Array(
          String(repeating: random.pick(["a", "é", "😀", "\n", "line\n\n", "data: x\n"]), count: random.int(1...9)).utf8)
        let bytes = isText ? text : random.bytes(random.int(1...100))
        let cut = random.int(below: bytes.count)
        for piece in [bytes[..<cut], bytes[cut...]] where !piece.isEmpty {
          bench.ask("POST", "/streams/a", type, body: Array(piece))
        }
        written += bytes
      }
      for reader in readers where random.chance(0.7) { reader.step(bench, random, isCutting: true) }
      if random.chance(0.2) { bench.loop.advance(by: .milliseconds(random.int(below: 400))) }
    }
    bench.ask("POST", "/streams/a", StreamBench.closed)
    for _ in 0..<400 {
      for reader in readers { reader.step(bench, random, isCutting: false) }
      bench.loop.advance(by: .seconds(1))
    }
    for reader in readers {
      try #require(reader.isDone, "seed \(seed): a reader by \(reader.way) never ended")
      try #require(
        reader.found == written,
        "seed \(seed): by \(reader.way) \(reader.found.count) bytes were put together, of \(written.count)")
    }
    #expect(bench.app.liveReaders.count == 0 && bench.store.watcherCount == 0, "seed \(seed)")
    return readers.reduce(0) { $0 + $1.cuts }
  }

  /// 8 MB to somebody who takes nothing: the log waits, and little is held for them.
  @Test func aStalledReaderIsServedFromTheLog() throws {
    let bench = try StreamBench()
    bench.make("/streams/a")
    let piece = String(repeating: "x", count: 32 << 10)
    let reader = bench.ask("GET", "/streams/a?offset=-1&live=sse", room: 1000)
    for _ in 0..<256 { bench.add("/streams/a", piece) }
    bench.ask("POST", "/streams/a", StreamBench.closed)
    let held = bench.app.liveReaders.all.compactMap { $0 as? LiveEvents }.reduce(0) { $0 + $1.bytesHeld }
    #expect(held > 0 && held < 100 << 10)
    while !reader.isOver {
      reader.makeRoom(1 << 20)
      bench.loop.settle()
    }
    #expect(StreamBench.Events(reader).data.count == 8 << 20)
  }
}
