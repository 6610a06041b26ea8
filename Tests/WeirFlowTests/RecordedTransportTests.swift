import Testing
import WeirCore
import WeirTesting

@testable import WeirFlow

/// Answers of providers, written down and played again.
@Suite struct RecordedTransportTests {
  final class Answer: HTTPResponseHandler {
    var heads: [Int] = []
    var pieces: [[UInt8]] = []
    var ends: [NetworkFailure?] = []
    func httpReceived(head: HTTPResponseHead) { heads.append(head.status) }
    func httpReceived(body: Span<UInt8>) { pieces.append(body.withUnsafeBufferPointer { Array($0) }) }
    func httpFinished(_ failure: NetworkFailure?) { ends.append(failure) }
  }

  static let canary = "sk-canary/0123456789"
  static let url = "https://model.test/v1/chat?key=canary"

  private func request() -> HTTPClientRequest {
    var request = HTTPClientRequest(
      method: "POST", url: Self.url, headers: [("Authorization", "Bearer \(Self.canary)")])
    request.secrets = Secrets([Self.canary])
    return request
  }

  private func recorded(_ seed: UInt64, _ serve: @escaping (SimulatedHTTPExchange) -> Void) -> (Answer, [UInt8]) {
    var faults = SimulatedFaults.calm
    faults.pieceLimit = 9
    let simulation = SimulatedWorld(seed: seed, faults: faults)
    simulation.http.serve("https://", serve)
    var file: [UInt8] = []
    let recorder = StreamRecorder(loop: simulation.loop) { file += $0 }
    let answer = Answer()
    _ = RecordedTransport(simulation.http, recorder).start(request(), handler: answer)
    simulation.loop.run()
    recorder.flush()
    return (answer, file)
  }

  private func played(_ file: [UInt8], speed: Double? = nil) throws -> (Answer, Duration) {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let replay = Replay(try Recording(file), loop: simulation.loop, speed: speed)
    let answer = Answer()
    _ = ReplayedTransport(replay, loop: simulation.loop).start(request(), handler: answer)
    simulation.loop.run()
    return (answer, simulation.loop.elapsed)
  }

  /// The provider says the key back, whole and escaped, cut anywhere: it is in no piece, and the pieces are as they were.
  @Test func secretsAreNotInItWhereverTheyAreCut() throws {
    let body = Array(
      "data: \(Self.canary) s sk- sk-canary/012 é \(Self.canary.replacing("/", with: "\\/"))\n\nsk-cana".utf8)
    for seed in UInt64(1)...300 {
      let (answer, file) = recorded(seed) { exchange in
        exchange.head(200, [("Content-Type", "text/\(Self.canary)"), ("Set-Cookie", "a=1"), ("Retry-After", "2")])
        exchange.body(body)
        exchange.finish()
      }
      let text = String(decoding: file, as: UTF8.self)
      #expect(!text.contains("0123456789") && !text.contains("Cookie"), "seed \(seed): \(text)")
      #expect(text.contains("\"retry-after\":\"2\""))
      let (again, _) = try played(file)
      #expect(again.heads == [200] && again.ends == [nil])
      #expect(again.pieces.map(\.count) == answer.pieces.map(\.count), "seed \(seed)")
      var masked = body
      Secrets([Self.canary]).mask(&masked)
      #expect(again.pieces.flatMap { $0 } == masked, "seed \(seed)")
    }
  }

  @Test func failuresAndTimesComeBack() throws {
    for failure in [NetworkFailure.reset, .timedOut(what: "connecting"), .tls("expired")] {
      let (answer, file) = recorded(1) { exchange in
        exchange.head(200)
        exchange.body("a")
        exchange.body("b", after: .seconds(3))
        exchange.fail(failure)
      }
      for (speed, least) in [(nil, Duration.zero), (1.0, .seconds(3)), (3.0, .seconds(1))] as [(Double?, Duration)] {
        let (again, took) = try played(file, speed: speed)
        #expect(again.pieces == answer.pieces && again.ends == [failure])
        #expect(took >= least && took < least + .milliseconds(100), "\(took)")
      }
    }
  }

  /// What nobody wanted more of, what a killed process left, and what was never asked: an end each, and no wait.
  @Test func aRecordingThatEndsEarlyBreaksOff() throws {
    let (_, file) = recorded(1) { exchange in
      exchange.head(200)
      exchange.body("some text")
    }
    let (again, _) = try played(file)
    #expect(again.heads == [200] && again.ends == [.closedEarly])
    let (unknown, _) = try played(RecordingCodec.header)
    #expect(unknown.ends.count == 1 && unknown.ends[0]?.code == "NotAllowed")
    #expect(unknown.ends[0]?.message.contains("POST https://model.test/v1/chat") == true, "\(unknown.ends)")
  }

  @Test func whoDoesNotReadIsNotGivenMore() throws {
    let (_, file) = recorded(1) { exchange in
      exchange.head(200)
      exchange.body(Array(repeating: 65, count: 100))
      exchange.finish()
    }
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    let replay = Replay(try Recording(file), loop: simulation.loop, speed: nil)
    let answer = Answer()
    let exchange = ReplayedTransport(replay, loop: simulation.loop).start(request(), handler: answer)
    exchange.isReading = false
    simulation.loop.run()
    #expect(answer.heads == [200] && answer.pieces.isEmpty)
    exchange.isReading = true
    simulation.loop.run()
    #expect(answer.pieces.joined().count == 100 && answer.ends.count == 1)
    exchange.cancel()
  }
}
