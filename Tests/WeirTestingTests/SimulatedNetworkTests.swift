import Testing
import WeirCore
import WeirTesting

@Suite struct SimulatedNetworkTests {
  private static let count = 60

  private func echo(seed: UInt64, faults: SimulatedFaults) throws -> (SimulatedWorld, EchoServer, EchoClient) {
    let simulation = SimulatedWorld(seed: seed, faults: faults)
    let server = try EchoServer(world: simulation.world)
    let client = EchoClient(world: simulation.world, count: Self.count)
    simulation.loop.run()
    return (simulation, server, client)
  }

  @Test func aSeedIsATrace() throws {
    let first = try echo(seed: 42, faults: .rough).0.trace
    let second = try echo(seed: 42, faults: .rough).0.trace
    let other = try echo(seed: 43, faults: .rough).0.trace
    #expect(first.count > 20)
    #expect(first.fingerprint == second.fingerprint)
    #expect(first.count == second.count)
    #expect(first.fingerprint != other.fingerprint)
  }

  @Test func nothingAcknowledgedIsLostOrDoubledWhateverTheSeed() throws {
    var attempts = 0
    for seed in 1...3000 as ClosedRange<UInt64> {
      var faults = SimulatedFaults.rough
      faults.window = seed % 3 == 0 ? 40 : 65_536
      faults.pieceLimit = seed % 2 == 0 ? 5 : 4096
      let (simulation, server, client) = try echo(seed: seed, faults: faults)
      attempts += client.attempts
      guard client.acknowledged == Array(0..<Self.count), server.kept == client.acknowledged,
        simulation.network.openStreamCount == 0
      else {
        Issue.record(
          "acknowledged \(client.acknowledged), kept \(server.kept), \(simulation.network.openStreamCount) ends open\n\(simulation)"
        )
        return
      }
    }
    // Faults happened, and not so often that nothing else did.
    #expect((3500...30_000).contains(attempts))
  }

  @Test func aCalmNetworkNeedsOneAttempt() throws {
    for seed in 1...50 as ClosedRange<UInt64> { #expect(try echo(seed: seed, faults: .calm).2.attempts == 1) }
  }

  @Test func sendTakesAWindowAndAnnouncesRoomOnceItIsRead() {
    let simulation = SimulatedWorld(seed: 1)
    simulation.network.faults.shortSend = 0
    simulation.network.faults.window = 1000
    let (client, server) = simulation.network.pair()
    let (sender, receiver) = (Recorder(client), Recorder(server))
    server.isReading = false
    #expect(client.send([UInt8](repeating: 1, count: 1500).span) == 1000)
    #expect(client.send([1].span) == 0)
    simulation.loop.run()
    #expect(sender.events.isEmpty && receiver.events.isEmpty)
    server.isReading = true
    simulation.loop.run()
    #expect(receiver.received.count == 1000)
    #expect(sender.events == ["writable"])
  }

  @Test func halfCloseLeavesTheOtherDirectionOpen() {
    let simulation = SimulatedWorld(seed: 2)
    simulation.network.faults.shortSend = 0
    let (client, server) = simulation.network.pair()
    let (sender, receiver) = (Recorder(client), Recorder(server))
    #expect(client.send([1, 2].span) == 2)
    client.finishSending()
    simulation.loop.run()
    #expect(receiver.received == [1, 2] && receiver.events.last == "ended")
    #expect(server.send([3].span) == 1)
    server.close()
    simulation.loop.run()
    #expect(sender.received == [3] && sender.events.last == "ended")
    client.close()
    #expect(simulation.network.openStreamCount == 0)
  }

  @Test func whatWasTakenBeforeACloseArrivesAndThenSendingFails() {
    let simulation = SimulatedWorld(seed: 3)
    simulation.network.faults.shortSend = 0
    let (client, server) = simulation.network.pair()
    let (closer, receiver) = (Recorder(client), Recorder(server))
    #expect(client.send([7, 8, 9].span) == 3)
    client.close()
    simulation.loop.run()
    #expect(receiver.received == [7, 8, 9] && receiver.events.last == "ended")
    #expect(server.send([1].span) == 1)
    simulation.loop.run()
    #expect(receiver.events.last == "failed ConnectionReset")
    #expect(server.send([1].span) == 1)
    #expect(closer.events.isEmpty)
    #expect(simulation.network.openStreamCount == 0)
  }

  @Test func resetIsAFailureForThePeerAndSilenceForTheOwner() {
    let simulation = SimulatedWorld(seed: 4)
    let (client, server) = simulation.network.pair()
    let (owner, peer) = (Recorder(client), Recorder(server))
    client.reset()
    simulation.loop.run()
    #expect(peer.events == ["failed ConnectionReset"])
    #expect(owner.events.isEmpty)
  }

  @Test func listenersHavePortsAndFreeThem() throws {
    let simulation = SimulatedWorld(seed: 5)
    let any = SocketAddress(host: "127.0.0.1", port: 0)
    let one = try simulation.network.listen(any, tls: nil) { _ in }
    let two = try simulation.network.listen(any, tls: nil) { _ in }
    #expect(one.address.port != two.address.port)
    #expect(throws: NetworkFailure.portInUse(one.address)) {
      try simulation.network.listen(one.address, tls: nil) { _ in }
    }
    one.close()
    _ = try simulation.network.listen(one.address, tls: nil) { _ in }
    #expect(simulation.network.listenerCount == 2)
  }

  static let unreachable: [(String, ClientTLS?, SimulatedFaults, String)] = [
    ("127.0.0.1", nil, .calm, "ConnectionRefused"), ("no.such.host", nil, .calm, "NameNotFound"),
    ("10.0.0.1", nil, lost, "Timeout"),
  ]
  static let lost: SimulatedFaults = {
    var faults = SimulatedFaults.calm
    faults.connectLost = 1
    return faults
  }()

  @Test(arguments: unreachable.indices) func dialingFails(_ index: Int) {
    let (host, tls, faults, code) = Self.unreachable[index]
    let simulation = SimulatedWorld(seed: 6, faults: faults)
    var answers: [String] = []
    let address = SocketAddress(host: host, port: 9)
    _ = simulation.network.connect(address, tls: tls, timeout: .seconds(3)) { answers.append($0.code) }
    simulation.network.connect(address, tls: tls, timeout: .seconds(3)) { answers.append($0.code) }.cancel()
    simulation.loop.run()
    #expect(answers == [code])
    #expect(simulation.loop.elapsed <= .seconds(3))
  }

  @Test func bothSidesMustAgreeAboutTLS() throws {
    let simulation = SimulatedWorld(seed: 7)
    let plain = try simulation.network.listen(SocketAddress(host: "a", port: 1), tls: nil) { _ in }
    let secure = try simulation.network.listen(
      SocketAddress(host: "a", port: 2), tls: ServerTLS(certificateFile: "c", keyFile: "k")
    ) { _ in }
    var answers: [String] = []
    for (listener, tls) in [(plain, true), (secure, false), (secure, true)] {
      let dialled = tls ? ClientTLS(serverName: "a") : nil
      _ = simulation.network.connect(listener.address, tls: dialled, timeout: .seconds(1)) { answers.append($0.code) }
      simulation.loop.run()
    }
    #expect(answers == ["TLSError", "ConnectionReset", "connected"])
  }
}

extension Result<any ByteStream, NetworkFailure> {
  fileprivate var code: String {
    switch self {
    case .success: "connected"
    case .failure(let failure): failure.code
    }
  }
}

private final class Recorder: ByteStreamHandler {
  private(set) var received: [UInt8] = []
  private(set) var events: [String] = []

  init(_ stream: any ByteStream) { stream.handler = self }

  func byteStreamReceived(_ bytes: Span<UInt8>) { for i in 0..<bytes.count { received.append(bytes[i]) } }
  func byteStreamBecameWritable() { events.append("writable") }
  func byteStreamEnded() { events.append("ended") }
  func byteStreamFailed(_ failure: NetworkFailure) { events.append("failed \(failure.code)") }
}
