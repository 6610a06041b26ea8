import Testing
import WeirCore
import WeirFlow
import WeirTesting
import WeirWire

@testable import WeirNet

/// A connection of ours at one end of a simulated stream, and at the other whoever the test wants.
final class WebSocketFixture {
  let simulation: SimulatedWorld
  var loop: SimulatedLoop { simulation.loop }

  init(seed: UInt64 = 1, faults: SimulatedFaults = .calm) { simulation = SimulatedWorld(seed: seed, faults: faults) }

  func connection(
    _ stream: any ByteStream, _ role: WebSocketRole, deflate: PermessageDeflate? = nil,
    limits: WebSocketConnection.Limits = .init()
  ) -> WebSocketConnection {
    WebSocketConnection(
      stream, early: [], agreement: .init(deflate: deflate), url: "ws://x/", loop: loop,
      masks: role == .client ? simulation.random : nil, limits: limits)
  }

  /// Ours as a client, and a peer that says bytes.
  func againstBytes(
    _ role: WebSocketRole = .client, deflate: PermessageDeflate? = nil, limits: WebSocketConnection.Limits = .init()
  ) -> (ours: WebSocketConnection, peer: RawPeer) {
    let (client, server) = simulation.network.pair()
    let peer = RawPeer(role == .client ? server : client)
    return (connection(role == .client ? client : server, role, deflate: deflate, limits: limits), peer)
  }

  func settle() { loop.advance(by: .milliseconds(300)) }
}

/// Bytes out, bytes in.
final class RawPeer: ByteStreamHandler {
  let stream: SimulatedByteStream
  private(set) var received: [UInt8] = []
  private(set) var hasEnded = false
  private(set) var failure: NetworkFailure?
  private var unsent: [UInt8] = []
  /// Called with everything that arrives.
  var onBytes: (() -> Void)?

  init(_ stream: SimulatedByteStream) {
    self.stream = stream
    stream.handler = self
  }

  func send(_ bytes: [UInt8]) {
    unsent += bytes
    byteStreamBecameWritable()
  }

  var unsentCount: Int { unsent.count }

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    bytes.withUnsafeBufferPointer { received += $0 }
    onBytes?()
  }
  func byteStreamBecameWritable() {
    while !unsent.isEmpty {
      let taken = stream.send(unsent.span)
      unsent.removeFirst(taken)
      if taken == 0 { return }
    }
  }
  func byteStreamEnded() { hasEnded = true }
  func byteStreamFailed(_ failure: NetworkFailure) { self.failure = failure }
}

extension WebSocketConnection {
  /// Everything that is queued.
  func drain() -> [StreamEvent] {
    var taken: [StreamEvent] = []
    while let event = events.next() { taken.append(event) }
    return taken
  }
}

extension [StreamEvent] {
  var closes: Int { count { if case .closed = $0 { true } else { false } } }
}

private let lostWithoutClose = "the peer ended the connection without a Close"

@Suite struct WebSocketConnectionTests {
  // MARK: Talk

  @Test(arguments: UInt64(1)...12) func messagesBothWaysThenAClose(seed: UInt64) throws {
    let fixture = WebSocketFixture(seed: seed)
    let (a, b) = fixture.simulation.network.pair()
    let deflate = seed % 2 == 0 ? PermessageDeflate() : nil
    let client = fixture.connection(a, .client, deflate: deflate)
    let server = fixture.connection(b, .server, deflate: deflate)
    let texts = (0..<30).map { String(repeating: "hé\($0) ", count: [1, 30, 5000][$0 % 3]) }
    let bytes = (0..<10).map { [UInt8](repeating: UInt8($0), count: $0 * 9000) }
    for text in texts { client.transmit(.text(text)) { #expect($0 == nil) } }
    for piece in bytes { server.transmit(.binary(piece)) { #expect($0 == nil) } }
    fixture.settle()
    #expect(server.drain() == [.opened(url: "ws://x/")] + texts.map { .message($0) }, "\(fixture.simulation)")
    #expect(client.drain() == [.opened(url: "ws://x/")] + bytes.map { .binary($0) }, "\(fixture.simulation)")
    #expect(client.status == .open && server.status == .open)
    server.close(WebSocketClose(4001, "enough"))
    #expect(server.status == .closing)
    fixture.settle()
    #expect(client.drain() == [.closed(code: 4001, reason: "enough")])
    #expect(server.drain() == [.closed(code: 4001, reason: "")])
    #expect(client.status == .closed && server.status == .closed && client.events.isEnded && server.events.isEnded)
    #expect(fixture.simulation.network.openStreamCount == 0, "\(fixture.simulation)")
    var answer: StreamErrorKind?
    client.transmit(.text("late")) { answer = $0 }
    #expect(answer == .connectionFailed("the connection is closed"))
  }

  @Test func aTurnsMessagesLeaveInOneWrite() {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    for index in 0..<20 { ours.transmit(.text("\(index)")) { _ in } }
    fixture.settle()
    let writes = fixture.simulation.trace.tail.split(separator: "\n").count { $0.contains(" sends ") }
    #expect(writes <= 2 && peer.received.count >= 20 * 7, "\(fixture.simulation)")
  }

  @Test func clientsMaskEachFrameWithAnotherKey() throws {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    for _ in 0..<50 { ours.transmit(.text("abcd")) { _ in } }
    fixture.settle()
    let keys = stride(from: 0, to: peer.received.count, by: 10).map { Array(peer.received[$0 + 2..<$0 + 6]) }
    #expect(keys.count == 50 && Set(keys).count == 50)
  }

  @Test func pingsAreAnsweredAndDelivered() {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    peer.send([0x89, 2, 7, 8, 0x8A, 0])
    fixture.settle()
    #expect(ours.drain().last == .ping([7, 8]))
    #expect(peer.received.count == 8 && peer.received[0] == 0x8A && peer.received[1] == 0x82)
  }

  @Test func limitsAreNamedInTheAnswer() {
    let fixture = WebSocketFixture()
    var limits = WebSocketConnection.Limits()
    limits.messageBytes = 10
    let (ours, peer) = fixture.againstBytes(limits: limits)
    var answers: [StreamErrorKind?] = []
    ours.transmit(.text("0123456789")) { answers.append($0) }
    ours.transmit(.text("0123456789!")) { answers.append($0) }
    #expect(answers == [nil, .messageTooLarge("message size 11 exceeds limit 10")])
    peer.send([0x81, 11])
    fixture.settle()
    #expect(
      ours.drain().dropFirst() == [
        .error(.messageTooLarge("message size 11 exceeds limit 10")),
        .closed(code: 1009, reason: "message size 11 exceeds limit 10"),
      ])
  }

  // MARK: Backpressure

  /// A peer a hundred times faster than whoever reads: what is held here stays flat, nothing is lost.
  @Test(arguments: UInt64(1)...2) func aFastPeerWaits(seed: UInt64) throws {
    let fixture = WebSocketFixture(seed: seed)
    var limits = WebSocketConnection.Limits()
    limits.queuedEvents = 100
    let (ours, peer) = fixture.againstBytes(limits: limits)
    let count = 10_000
    var wire: [UInt8] = []
    for index in 0..<count {
      wire += [0x82, 20, UInt8(index >> 8), UInt8(index & 255)] + [UInt8](repeating: 1, count: 18)
    }
    peer.send(wire)
    fixture.loop.advance(by: .seconds(2))
    let queue = ours.events
    #expect(queue.count == 100 && peer.unsentCount > wire.count * 3 / 5, "\(fixture.simulation)")
    var taken = 0
    while taken < count {
      #expect(queue.count <= 100)
      guard let event = ours.events.next() else {
        fixture.loop.advance(by: .milliseconds(5))
        continue
      }
      if case .binary(let bytes) = event {
        #expect(bytes[0] == UInt8(taken >> 8) && bytes[1] == UInt8(taken & 255))
        taken += 1
      }
    }
    #expect(peer.unsentCount == 0 && ours.status == .open)
  }

  /// One read holds a bomb for each of many messages: they are inflated one after the other, as they are taken.
  @Test func manyBombsInOneReadAreInflatedAsTheyAreTaken() throws {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes(deflate: PermessageDeflate())
    let deflater = try #require(Deflater(.init()))
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    for _ in 0..<40 {
      let payload = deflater.deflate(zeros.span)
      var wire: [UInt8] = []
      WebSocketFrameWriter.append(
        WebSocketFrameHeader(.binary, isCompressed: true, length: payload.count), payload.span, to: &wire)
      peer.send(wire)
    }
    fixture.settle()
    let queue = ours.events
    #expect(queue.count <= 6)
    var taken = 0
    while taken < 41 {
      if ours.events.next() == nil { fixture.settle() } else { taken += 1 }
      #expect(queue.count <= 6)
    }
  }

  /// A peer that does not read: what is held is bounded, senders wait, and not for ever.
  @Test func aPeerThatDoesNotReadIsWaitedForWithinABound() {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    peer.stream.isReading = false
    let message = [UInt8](repeating: 7, count: 100_000)
    var answers: [StreamErrorKind?] = []
    for _ in 0..<40 { ours.transmit(.binary(message)) { answers.append($0) } }
    fixture.settle()
    // A megabyte here and a window on the way.
    #expect(answers.count <= 13 && answers.allSatisfy { $0 == nil })
    let taken = answers.count
    peer.stream.isReading = true
    fixture.loop.advance(by: .seconds(5))
    #expect(answers.count == 40 && answers.allSatisfy { $0 == nil } && taken < 40)
    peer.stream.isReading = false
    for _ in 0..<40 { ours.transmit(.binary(message)) { answers.append($0) } }
    fixture.loop.advance(by: .seconds(31))
    #expect(answers.count == 80 && answers.last == .timeout("the peer did not read for 30s"))
    #expect(ours.status == .open)
    ours.close()
    fixture.loop.advance(by: .seconds(4))
    #expect(ours.drain().closes == 1 && fixture.simulation.network.openStreamCount <= 1)
  }

  /// A peer that pings and reads nothing is owed one Pong, not all of them.
  @Test func pongsDoNotPileUp() {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    _ = ours.drain()
    ours.events.onReady = { _ = ours.drain() }
    peer.stream.isReading = false
    let ping: [UInt8] = [0x89, 125] + [UInt8](repeating: 9, count: 125)
    for _ in 0..<2_000 { peer.send(ping) }
    fixture.loop.advance(by: .seconds(3))
    #expect(peer.unsentCount == 0)
    peer.stream.isReading = true
    fixture.loop.advance(by: .seconds(3))
    // The window holds 64 KiB; a turn's Pongs, and one more.
    #expect(peer.received.count < 140_000, "\(peer.received.count)")
  }

  // MARK: Ends

  @Test(arguments: [
    ([0x81, 0x85] as [UInt8], "a server's frame that is masked", 1002),
    ([0xF1, 0x00], "a frame with a reserved bit set", 1002),
    ([0x83, 0x00], "a frame with the reserved opcode 3", 1002),
    ([0x81, 2, 0xC3, 0x28], "a text message that is not UTF-8", 1007),
    ([0x82, 0x7F, 0, 0, 0, 0, 0xFF, 0, 0, 0], "message size 4278190080 exceeds limit 1048576", 1009),
  ]) func whatIsNotWebSocketEndsInOneClosed(_ wire: [UInt8], _ why: String, _ code: Int) {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    peer.send(wire + wire)
    fixture.settle()
    let events = ours.drain()
    #expect(events.count == 3 && events.last == .closed(code: code, reason: why), "\(events)")
    #expect(peer.received.first == 0x88 && peer.hasEnded, "told why, then the end")
    // A peer that never closes is not waited for.
    fixture.loop.advance(by: .seconds(4))
    #expect(fixture.simulation.network.openStreamCount == 1 && ours.events.isEnded)
  }

  @Test func aConnectionThatBreaksIsLostOnce() {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    peer.send([0x81, 1, 0x61, 0x01, 0x05, 0x61])
    fixture.settle()
    peer.stream.reset()
    fixture.settle()
    #expect(
      ours.drain().dropFirst() == [
        .message("a"), .error(.protocolError("the connection was reset by the other side")),
        .closed(code: 1006, reason: "the connection was reset by the other side"),
      ])
    #expect(fixture.simulation.network.openStreamCount == 0)
  }

  @Test func anEndWithoutACloseIsLost() {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes()
    peer.stream.finishSending()
    fixture.settle()
    #expect(
      ours.drain().dropFirst() == [
        .error(.protocolError(lostWithoutClose)), .closed(code: 1006, reason: lostWithoutClose),
      ])
    fixture.settle()
    peer.stream.close()
    fixture.settle()
    #expect(fixture.simulation.network.openStreamCount == 0)
  }

  @Test func aPeerThatNeverAnswersACloseIsWaitedForThreeSeconds() {
    let fixture = WebSocketFixture()
    let (ours, _) = fixture.againstBytes()
    ours.close()
    fixture.loop.advance(by: .milliseconds(2900))
    #expect(ours.status == .closing)
    fixture.loop.advance(by: .milliseconds(200))
    let events = ours.drain()
    #expect(events.closes == 1 && ours.status == .closed && fixture.simulation.network.openStreamCount == 0)
  }

  @Test func givingUpTellsThePeerAndLeaksNothing() {
    let fixture = WebSocketFixture()
    let (ours, peer) = fixture.againstBytes(.server)
    fixture.settle()
    ours.events.cancel()
    #expect(ours.events.isEnded && ours.events.next() == nil)
    fixture.settle()
    #expect(Array(peer.received.prefix(4)) == [0x88, 18, 0x03, 0xE9] && peer.hasEnded)
    peer.stream.close()
    fixture.settle()
    #expect(fixture.simulation.network.openStreamCount == 0)
  }

  @Test func aSilentPeerIsPingedAndThenLost() {
    let fixture = WebSocketFixture()
    var limits = WebSocketConnection.Limits()
    limits.pingInterval = .seconds(30)
    let (ours, peer) = fixture.againstBytes(.server, limits: limits)
    peer.onBytes = { [unowned peer] in if peer.received.suffix(2) == [0x89, 0] { peer.send([0x8A, 0x80, 1, 2, 3, 4]) } }
    fixture.loop.advance(by: .seconds(200))
    #expect(ours.status == .open, "one that answers lives")
    peer.onBytes = nil
    fixture.loop.advance(by: .seconds(100))
    #expect(ours.drain().closes == 1 && fixture.simulation.network.openStreamCount == 0)
  }

  /// Connections under every fault that a network has: each end sees one `closed`, and nothing is left.
  @Test(arguments: UInt64(1)...30) func roughNetworks(seed: UInt64) {
    var faults = SimulatedFaults.rough
    faults.connectionReset = seed % 3 == 0 ? 0.02 : 0.001
    let fixture = WebSocketFixture(seed: seed, faults: faults)
    let (a, b) = fixture.simulation.network.pair()
    let deflate = seed % 2 == 0 ? PermessageDeflate() : nil
    let ends = [fixture.connection(a, .client, deflate: deflate), fixture.connection(b, .server, deflate: deflate)]
    var events: [[StreamEvent]] = [[], []]
    let random = SeededRandom(seed: seed)
    for step in 0..<60 {
      let end = ends[step % 2]
      let size = random.pick([1, 100, 2000, 20_000])
      let message: StreamMessage =
        step % 3 == 0 ? .text(String(repeating: "é", count: size / 2)) : .binary([UInt8](repeating: 3, count: size))
      end.transmit(message) { _ in }
      if step == 50 { ends[random.int(0...1)].close() }
      fixture.loop.advance(by: random.duration(.zero ... .milliseconds(50)))
      for index in 0..<2 { events[index] += ends[index].drain() }
    }
    ends[0].close()
    fixture.loop.advance(by: .seconds(120))
    for index in 0..<2 {
      events[index] += ends[index].drain()
      #expect(events[index].closes == 1 && ends[index].events.isEnded, "\(fixture.simulation)")
      if case .closed = events[index].last {} else { Issue.record("not last: \(fixture.simulation)") }
      let violations = events[index].contains {
        if case .closed(1002...1009, _) = $0 {
          $0 != .closed(code: 1006, reason: "") && !Self.isLost($0)
        } else {
          false
        }
      }
      #expect(!violations, "\(events[index].suffix(2))")
    }
    #expect(fixture.simulation.network.openStreamCount == 0, "\(fixture.simulation)")
  }

  private static func isLost(_ event: StreamEvent) -> Bool {
    if case .closed(1006, _) = event { true } else { false }
  }
}

@Suite struct WebSocketUpgradeTests {
  private static let handshake =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

  private func fixture(_ onOpen: @escaping (WebSocketConnection) -> Void = { _ in }) throws -> ServerFixture {
    var world: World?
    let fixture = try ServerFixture { request, responder in
      guard let world else { return }
      if WebSocketUpgrade.isAsked(request) {
        if let connection = WebSocketUpgrade(loop: world.loop).accept(request, responder) { onOpen(connection) }
      } else {
        ServerFixture.echo(request, responder)
      }
    }
    world = fixture.simulation.world
    return fixture
  }

  @Test func echoOverAServer() throws {
    let fixture = try fixture { connection in
      _ = connection.drain()
      connection.events.onReady = {
        while let event = connection.events.next() {
          if case .message(let text) = event { connection.transmit(.text(text)) { _ in } }
        }
      }
    }
    let client = try fixture.connect()
    // The first frame comes with the request.
    let frame: [UInt8] = [0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]
    client.send(Array("GET /ws HTTP/1.1\r\nHost: x\r\n\(Self.handshake)\r\n".utf8) + frame)
    fixture.settle()
    #expect(
      client.text.hasPrefix(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
      ))
    #expect(client.received.suffix(4) == [0x81, 2, 0x68, 0x69] && fixture.server.connectionCount == 1)
    // The server stops: 1001, and it waits for the client no longer than its patience.
    var isDone = false
    fixture.server.close(grace: .seconds(10)) { isDone = true }
    fixture.settle()
    #expect(client.received.suffix(20).starts(with: [0x88, 18, 0x03, 0xE9]) && !isDone)
    fixture.loop.advance(by: .seconds(4))
    #expect(isDone && client.isClosed)
  }

  @Test(arguments: [
    ("GET", "", 101), ("GET", "Sec-WebSocket-Version: 8\r\n", 426), ("POST", "Content-Length: 0\r\n", 400),
  ]) func refusals(_ method: String, _ more: String, _ status: Int) throws {
    let fixture = try fixture()
    let client = try fixture.connect()
    client.send("\(method) /ws HTTP/1.1\r\nHost: x\r\n\(Self.handshake)\(more)\r\n")
    fixture.settle()
    #expect(client.text.hasPrefix("HTTP/1.1 \(status) "), "\(client.text)")
    #expect((status == 426) == client.text.contains("Sec-WebSocket-Version: 13"))
  }

  @Test(
    arguments: [
      (nil, true), ("http://x", true), ("https://X", true), ("http://y", false), ("null", false),
      ("http://y.org", true),
      ("http://x.evil", false),
    ] as [(String?, Bool)]) func origins(_ origin: String?, _ isAllowed: Bool)
  {
    let headers = [(name: "Host", value: "x")] + (origin.map { [(name: "Origin", value: $0)] } ?? [])
    let request = HTTPRequest(
      method: "GET", path: "/", query: "", headers: headers, body: [], peer: SocketAddress(host: "::1", port: 1))
    #expect(WebSocketUpgrade.isSameOrigin(request, or: ["http://Y.org"]) == isAllowed)
  }
}
