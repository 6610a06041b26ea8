import Testing
import WeirCore
import WeirTesting
import WeirWire

@testable import WeirNet

private let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
private let streamHead = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

/// Answers that are sent as they come: framing, one write a turn, readers that are slow or gone.
@Suite struct HTTPStreamingTests {
  /// A fixture whose handler begins a stream and keeps its responder.
  private final class Streams {
    var responders: [any HTTPResponder] = []
    var observer = CountingObserver()
    var onRequest: (any HTTPResponder) -> Void = { _ in }
    func handle(_ request: HTTPRequest, _ responder: any HTTPResponder) {
      responders.append(responder)
      responder.observer = observer
      responder.begin(status: 200, headers: [("Content-Type", "text/event-stream")])
      onRequest(responder)
    }
  }

  private func fixture(
    _ streams: Streams, seed: UInt64 = 1, faults: SimulatedFaults = .calm, limits: HTTPServer.Limits = .init()
  ) throws -> ServerFixture {
    try ServerFixture(seed: seed, faults: faults, limits: limits) { streams.handle($0, $1) }
  }

  private var calm: SimulatedFaults {
    var faults = SimulatedFaults.calm
    faults.shortSend = 0
    faults.pieceLimit = 1 << 20
    return faults
  }

  @Test func chunksAndAnotherRequest() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    #expect(client.text == streamHead, "the head leaves without a first byte")
    let responder = try #require(streams.responders.first)
    #expect(responder.isChunked)
    #expect(responder.send(Array("data: 1\n\n".utf8).span) == 9)
    #expect(responder.send([UInt8]().span) == 0)
    var framed: [UInt8] = []
    HTTPChunk.appendFrame(Array("data: 2\n\n".utf8).span, to: &framed)
    #expect(responder.sendFramed(framed.span) == framed.count)
    responder.finish()
    client.send(get)
    fixture.settle()
    #expect(client.text == streamHead + "9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n" + streamHead)
    #expect(streams.responders.count == 2 && streams.observer.cancelled == 0)
  }

  @Test func headAndFirstBytesLeaveInOneWrite() throws {
    let streams = Streams()
    let fixture = try fixture(streams, faults: calm)
    streams.onRequest = { responder in
      // As a fan-out does: its own flush, asked for after `begin` scheduled the server's.
      fixture.loop.atEndOfTurn { _ = responder.sendFramed(Array("5\r\nhello\r\n".utf8).span) }
    }
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    #expect(client.text == streamHead + "5\r\nhello\r\n")
    #expect(fixture.serverSends == 1)
  }

  @Test func answersOfOneTurnLeaveInOneWrite() throws {
    let fixture = try ServerFixture(faults: calm)
    let client = try fixture.connect()
    client.send(String(repeating: get, count: 10))
    fixture.settle()
    #expect(fixture.serverSends == 1 && fixture.seenPaths.count == 10)
  }

  @Test func slowReadersCostNoMemory() throws {
    let streams = Streams()
    var faults = calm
    faults.window = 10_000
    let fixture = try fixture(streams, faults: faults)
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    client.stream?.isReading = false
    let responder = try #require(streams.responders.first)
    let chunk = [UInt8](repeating: 0x61, count: 1_000_000)
    let taken = responder.send(chunk.span)
    #expect(taken == 64 << 10, "one frame is held, the rest stays with the caller")
    #expect(responder.send(chunk.span) == 0 && responder.send(chunk.span) == 0)
    fixture.loop.advance(by: .seconds(5))
    #expect(streams.observer.writable == 0)
    client.stream?.isReading = true
    fixture.settle()
    #expect(streams.observer.writable == 1)
    // framed bytes are not held at all
    client.stream?.isReading = false
    let framed = responder.sendFramed(chunk.span)
    #expect(framed <= 10_000)
  }

  @Test func everythingArrivesThroughASmallWindow() throws {
    for seed in UInt64(1)...20 {
      let streams = Streams()
      var faults = SimulatedFaults.calm
      faults.window = 700
      faults.pieceLimit = 300
      let fixture = try fixture(streams, seed: seed, faults: faults)
      let client = try fixture.connect()
      client.send(get)
      fixture.settle()
      let responder = try #require(streams.responders.first)
      var body: [UInt8] = []
      for i in 0..<900 { body += Array("line \(i)\n".utf8) }
      var framed: [UInt8] = []
      for start in stride(from: 0, to: body.count, by: 97) {
        HTTPChunk.appendFrame(Array(body[start..<min(start + 97, body.count)]).span, to: &framed)
      }
      let isFramed = seed % 2 == 0
      var rest = (isFramed ? framed : body)[...]
      func push() {
        while !rest.isEmpty {
          let piece = Array(rest.prefix(333))
          let taken = isFramed ? responder.sendFramed(piece.span) : responder.send(piece.span)
          rest = rest.dropFirst(taken)
          if taken < piece.count { return }
        }
        responder.finish()
      }
      streams.observer.onWritable = push
      push()
      fixture.loop.advance(by: .seconds(30))
      #expect(rest.isEmpty, "\(fixture.simulation)")
      #expect(try dechunk(client.received) == body, "\(fixture.simulation)")
    }
  }

  /// The request parser reads chunked bodies; an answer's body is one.
  private func dechunk(_ answer: [UInt8]) throws -> [UInt8] {
    let end = Array("\r\n\r\n".utf8)
    let start = try #require((0..<max(0, answer.count - 4)).first { answer[$0..<$0 + 4].elementsEqual(end) })
    var parser = HTTPRequestParser()
    parser.receive(Array("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".utf8).span)
    parser.receive(Array(answer[(start + 4)...]).span)
    while let event = try parser.next() {
      if case .end(let body, _) = event { return body }
    }
    return []
  }

  @Test func aReaderThatStopsReadingIsCut() throws {
    let streams = Streams()
    var faults = calm
    faults.window = 1000
    let fixture = try fixture(streams, faults: faults)
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    client.stream?.isReading = false
    _ = streams.responders.first?.send([UInt8](repeating: 0x61, count: 5000).span)
    fixture.loop.advance(by: .seconds(58))
    #expect(streams.observer.cancelled == 0)
    fixture.loop.advance(by: .seconds(5))
    #expect(streams.observer.cancelled == 1 && fixture.server.connectionCount == 0)
  }

  @Test func aResetCancels() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    client.stream?.reset()
    fixture.settle()
    #expect(streams.observer.cancelled == 1 && fixture.server.connectionCount == 0)
    let responder = try #require(streams.responders.first)
    #expect(responder.send([1].span) == 1 && responder.observer == nil)
    responder.finish()
    fixture.settle()
    #expect(streams.observer.cancelled == 1)
  }

  @Test func aClosedReaderIsFoundByWriting() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    client.stream?.close()
    fixture.settle()
    #expect(streams.observer.cancelled == 0, "a FIN alone may be a half-close")
    _ = streams.responders.first?.send([0x61].span)
    fixture.settle()
    #expect(streams.observer.cancelled == 1 && fixture.server.connectionCount == 0)
  }

  @Test func aHalfClosedReaderGetsTheWholeStream() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let client = try fixture.connect()
    client.send(get)
    client.finishSending()
    fixture.settle()
    _ = streams.responders.first?.send(Array("late".utf8).span)
    streams.responders.first?.finish()
    fixture.settle()
    #expect(client.text == streamHead + "4\r\nlate\r\n0\r\n\r\n" && client.hasEnded && client.failure == nil)
    fixture.settle()
    #expect(fixture.server.connectionCount == 0)
  }

  @Test func aQuietStreamIsCutForAHalfClosedReader() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let client = try fixture.connect()
    client.send(get)
    client.finishSending()
    fixture.loop.advance(by: .seconds(200))
    _ = streams.responders.first?.send([0x61].span)
    fixture.loop.advance(by: .seconds(390))
    #expect(!client.isClosed && streams.observer.cancelled == 0, "what writes lives on")
    fixture.loop.advance(by: .seconds(20))
    #expect(client.isClosed && streams.observer.cancelled == 1 && fixture.server.connectionCount == 0)
  }

  @Test func abortIsNeverAnEnd() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    streams.responders.first?.abort()
    fixture.settle()
    #expect(client.failure != nil && streams.observer.cancelled == 0 && fixture.server.connectionCount == 0)
  }

  @Test func aDroppedStreamIsCut() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let client = try fixture.connect()
    client.send(get)
    fixture.settle()
    streams.responders = []
    fixture.settle()
    #expect(client.failure != nil && fixture.server.connectionCount == 0)
  }

  @Test func streamingNeedsNoTimer() throws {
    let streams = Streams()
    let fixture = try fixture(streams)
    let clients = try (0..<3).map { _ in try fixture.connect() }
    for client in clients { client.send(get) }
    fixture.loop.advance(by: .seconds(3))
    #expect(fixture.loop.pendingTimerCount == 0)
    fixture.loop.advance(by: .seconds(600))
    #expect(clients.allSatisfy { !$0.isClosed }, "a stream may be quiet for as long as it likes")
  }
}
