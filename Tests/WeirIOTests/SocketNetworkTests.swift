import Glibc
import Testing
import WeirCore

@testable import WeirIO

@Suite(.serialized) struct SocketNetworkTests {
  @Test func echoes() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, listener in
        server.onBytes = {
          $0.send($0.received)
          $0.received = []
        }
        client.onBytes = {
          guard $0.received.count == 5 else { return }
          #expect($0.received == Array("hello".utf8))
          #expect(server.stream.peer.host == "127.0.0.1")
          #expect(client.stream.peer == listener.address)
          done()
        }
        client.send("hello".utf8)
      }
    }
  }

  /// Pushes a pattern as the socket takes it and finishes.
  private func pump(_ peer: Peer, _ total: Int, _ sent: @escaping () -> Void = {}) {
    var offset = 0
    let block = [UInt8]((0..<65_536).map { UInt8(truncatingIfNeeded: $0 % 251) })
    func go() {
      while offset < total {
        let from = offset % block.count
        let piece = block[from..<min(block.count, from + total - offset)]
        let taken = peer.send(piece)
        offset += taken
        if taken < piece.count { return }
      }
      peer.stream.finishSending()
      sent()
    }
    peer.onWritable = { _ in go() }
    go()
  }

  @Test func tenMegabytesBothWaysAtOnce() throws {
    let total = 10 << 20
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        var ends = 0
        for peer in [client, server] {
          var next = 0
          peer.onBytes = { peer in
            for byte in peer.received {
              if byte != UInt8(truncatingIfNeeded: (next % 65_536) % 251) {
                Issue.record("wrong byte at \(next)")
                done()
                return
              }
              next += 1
            }
            peer.received = []
          }
          peer.onEnd = { peer in
            #expect(peer.count == total)
            ends += 1
            if ends == 2 { done() }
          }
          pump(peer, total)
        }
      }
    }
  }

  @Test func aReaderThatPausesStopsTheSender() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        server.stream.isReading = false
        server.keeps = false
        var isFull = false
        var sent = 0
        let block = [UInt8](repeating: 7, count: 65_536)
        func fill() {
          while sent < 64 << 20 {
            let taken = client.send(block)
            sent += taken
            if taken < block.count { break }
          }
          isFull = true
        }
        fill()
        #expect(sent < 64 << 20)
        _ = loop.after(.milliseconds(50)) {
          #expect(isFull)
          #expect(server.count == 0)
          let stuckAt = sent
          client.onWritable = { _ in
            #expect(server.count > 0)
            #expect(sent == stuckAt)
            done()
          }
          server.stream.isReading = true
        }
      }
    }
  }

  @Test func oneSideMayFinishAndStillReceive() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        client.send("question".utf8)
        client.stream.finishSending()
        server.onEnd = {
          #expect($0.received == Array("question".utf8))
          $0.send("answer".utf8)
          $0.stream.finishSending()
        }
        client.onEnd = {
          #expect($0.received == Array("answer".utf8))
          done()
        }
      }
    }
  }

  @Test func bothSidesFinishedCostNoProcessor() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        client.stream.finishSending()
        server.stream.finishSending()
        var ends = 0
        for peer in [client, server] {
          peer.onEnd = { _ in
            ends += 1
            guard ends == 2 else { return }
            let before = threadTime()
            _ = loop.after(.milliseconds(100)) {
              #expect(threadTime() - before < .milliseconds(30), "the loop spins on a hang-up")
              done()
            }
          }
        }
      }
    }
  }

  @Test func aResetIsAFailureNotAnEnd() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        server.onEnd = { _ in Issue.record("a reset looked like an end") }
        server.onFailure = { _, failure in
          #expect(failure == .reset)
          done()
        }
        client.stream.reset()
      }
    }
  }

  @Test func aResetIsSeenByAPausedReader() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        server.stream.isReading = false
        server.onFailure = { _, failure in
          #expect(failure == .reset)
          done()
        }
        client.stream.reset()
      }
    }
  }

  @Test func sendingToTheLostTakesAllAndFailsLater() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        client.stream.reset()
        _ = loop.after(.milliseconds(20)) {}
        var failed = false
        server.onFailure = { peer, _ in
          failed = true
          #expect(peer.send("more".utf8) == 4)
          done()
        }
        // In the same turn: the event of the reset has not been read yet.
        #expect(server.send("hello".utf8) == 5)
        #expect(!failed)
      }
    }
  }

  @Test func bytesSentBeforeCloseArriveThoughThePeersWereNotRead() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        client.send([UInt8](repeating: 1, count: 20_000))
        server.stream.isReading = false
        client.onEnd = {
          #expect($0.received == Array("sorry".utf8))
          done()
        }
        client.onFailure = { _, failure in Issue.record(failure) }
        _ = loop.after(.milliseconds(20)) {
          server.send("sorry".utf8)
          server.stream.close()
        }
      }
    }
  }

  @Test func closedStreamsSayNothingMore() throws {
    try onLoop { loop, done in
      try makeNetwork(loop).pair { client, server, _ in
        server.onBytes = { _ in Issue.record("called after close") }
        server.onEnd = { _ in Issue.record("called after close") }
        server.onFailure = { _, _ in Issue.record("called after close") }
        client.send("x".utf8)
        server.stream.close()
        server.stream.close()
        client.stream.close()
        _ = loop.after(.milliseconds(20), done)
      }
    }
  }

  private func expectDial(
    _ address: SocketAddress, timeout: Duration = .seconds(5), _ check: @escaping (NetworkFailure) -> Void
  ) {
    onLoop { loop, done in
      _ = makeNetwork(loop).connect(address, tls: nil, timeout: timeout) {
        if case .failure(let failure) = $0 { check(failure) } else { Issue.record("connected to \(address)") }
        done()
      }
    }
  }

  /// Bound, so that no other test gets it, and not listening.
  private static func portThatNobodyListensOn() throws -> (descriptor: Int32, port: Int) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isBound = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
      }
    }
    try #require(isBound)
    return (descriptor, Int(UInt16(bigEndian: address.sin_port)))
  }

  @Test func dialFailuresSayWhatHappened() throws {
    let (held, free) = try Self.portThatNobodyListensOn()
    defer { close(held) }
    let nobody = SocketAddress(host: "127.0.0.1", port: free)
    expectDial(nobody) { #expect($0 == .refused(nobody)) }
    expectDial(SocketAddress(host: "localhost", port: free)) {
      #expect($0 == .refused(SocketAddress(host: "localhost", port: free)))
    }
    expectDial(SocketAddress(host: "does-not-exist.invalid", port: 80)) {
      #expect($0.code == "NameNotFound" || $0.code == "Unavailable")
    }
    for bad in ["", "with space", "nul\u{0}inside"] {
      expectDial(SocketAddress(host: bad, port: 80)) { #expect($0 == .nameNotFound(host: bad)) }
    }
    expectDial(SocketAddress(host: "127.0.0.1", port: 70_000)) { #expect($0.code == "NameNotFound") }
  }

  /// A listener that never accepts and whose backlog is full answers no SYN: the only silence loopback offers.
  @Test func aSilentAddressTimesOut() throws {
    let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fd) }
    let any = try #require(IPAddress("127.0.0.1", port: 0))
    #expect(any.withSockaddr { bind(fd, $0, $1) } == 0)
    #expect(listen(fd, 0) == 0)
    let address = try #require(IPAddress(of: fd, asking: getsockname)).socketAddress
    onLoop { loop, done in
      let network = makeNetwork(loop)
      var open: [any ByteStream] = []
      var timedOut = 0
      for _ in 0..<4 {
        _ = network.connect(address, tls: nil, timeout: .milliseconds(100)) {
          switch $0 {
          case .success(let stream): open.append(stream)
          case .failure(let failure):
            #expect(failure == .timedOut(what: "connecting to 127.0.0.1:\(address.port)"))
            timedOut += 1
          }
          if open.count + timedOut == 4 {
            #expect(timedOut >= 1)
            done()
          }
        }
      }
    }
  }

  @Test func aCancelledDialNeverAnswers() throws {
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let listener = try network.listen(loopback, tls: nil) { _ in }
      for host in ["127.0.0.1", "localhost"] {
        network.connect(SocketAddress(host: host, port: listener.address.port), tls: nil, timeout: .seconds(1)) { _ in
          Issue.record("answered after cancel")
        }.cancel()
      }
      _ = loop.after(.milliseconds(50), done)
    }
  }

  @Test func bindFailuresSayWhatHappened() throws {
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let first = try network.listen(loopback, tls: nil) { _ in }
      #expect(throws: NetworkFailure.portInUse(first.address)) { try network.listen(first.address, tls: nil) { _ in } }
      #expect(throws: NetworkFailure.badAddress("192.0.2.1")) {
        try network.listen(SocketAddress(host: "192.0.2.1", port: 0), tls: nil) { _ in }
      }
      #expect(throws: NetworkFailure.badAddress("no-such-host.invalid")) {
        try network.listen(SocketAddress(host: "no-such-host.invalid", port: 0), tls: nil) { _ in }
      }
      first.close()
      let again = try network.listen(first.address, tls: nil) { _ in }
      again.close()
      done()
    }
  }

  @Test func everyAddressMeansBothFamilies() throws {
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      var peers: [String] = []
      let listener = try network.listen(SocketAddress(host: "*", port: 0), tls: nil) {
        peers.append($0.peer.host)
        $0.close()
        if peers.count == 2 {
          #expect(peers.sorted() == ["127.0.0.1", "::1"])
          done()
        }
      }
      for host in ["127.0.0.1", "::1"] {
        _ = network.connect(SocketAddress(host: host, port: listener.address.port), tls: nil, timeout: .seconds(5)) {
          if case .failure(let failure) = $0 { Issue.record(failure) }
        }
      }
    }
  }

  @Test func fiveThousandConnections() throws {
    let wanted = 5_000
    try onLoop(within: .seconds(60)) { loop, done in
      let network = makeNetwork(loop)
      var servers: [Peer] = []
      var clients: [Peer] = []
      var replies = 0
      let listener = try network.listen(loopback, tls: nil) {
        let server = Peer($0)
        servers.append(server)
        if servers.count == wanted {
          loop.atEndOfTurn { for server in servers { #expect(server.send("all here".utf8) == 8) } }
        }
      }
      func dial() {
        _ = network.connect(listener.address, tls: nil, timeout: .seconds(30)) {
          switch $0 {
          case .success(let stream):
            let client = Peer(stream)
            clients.append(client)
            client.onBytes = { _ in
              replies += 1
              if replies == wanted { done() }
            }
            if clients.count + 100 <= wanted { dial() }
          case .failure(let failure):
            Issue.record(failure)
            done()
          }
        }
      }
      for _ in 0..<100 { dial() }
    }
  }

  /// In a process of its own: its neighbours need descriptors.
  @Test func runningOutOfDescriptorsPausesAcceptingAndSaysSo() async {
    await #expect(processExitsWith: .success) {
      var reports: [NetworkFailure] = []
      try onLoop { loop, done in
        let network = makeNetwork(loop) { reports.append($0) }
        var accepted: [any ByteStream] = []
        let listener = try network.listen(loopback, tls: nil) { accepted.append($0) }
        var hoard: [Int32] = []
        _ = loop.after(.milliseconds(10)) {
          let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
          while case let fd = dup(client), fd >= 0 { hoard.append(fd) }
          let target = IPAddress("127.0.0.1", port: listener.address.port)
          #expect(target?.withSockaddr { connect(client, $0, $1) } == 0)
          let before = threadTime()
          _ = loop.after(.milliseconds(250)) {
            #expect(threadTime() - before < .milliseconds(50), "the loop spins on a full table")
            #expect(accepted.isEmpty, "\(hoard.count) \(reports)")
            for fd in hoard { close(fd) }
            _ = loop.after(.milliseconds(250)) {
              #expect(accepted.count == 1)
              done()
            }
          }
        }
      }
      #expect(reports.map(\.code) == ["Unavailable"])
      exit(reports.count == 1 ? 0 : 1)
    }
  }
}
