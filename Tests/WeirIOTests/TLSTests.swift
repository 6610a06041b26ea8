import Glibc
import Testing
import WeirCore

@testable import WeirIO

/// Certificates made by the openssl command for this run: one for localhost and 127.0.0.1, one for somebody else.
enum Certificates {
  static let directory: String? = {
    let path = "/tmp/weir-tls-\(getpid())"
    let make = """
      set -e; mkdir -p \(path); cd \(path)
      for name in localhost stranger; do
        alt=DNS:$name; if [ $name = localhost ]; then alt=$alt,IP:127.0.0.1; fi
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=$name \
          -addext subjectAltName=$alt -keyout $name.key -out $name.pem 2>/dev/null
      done
      openssl ec -in localhost.key -aes128 -passout pass:secret -out locked.key 2>/dev/null
      echo nonsense > bad.pem
      """
    atexit { system("rm -rf /tmp/weir-tls-\(getpid())") }
    guard system(make) == 0 else {
      print("skipped: no openssl command to make certificates with")
      return nil
    }
    return path
  }()
}

@Suite(.serialized) struct TLSTests {
  private func files(_ name: String = "localhost") -> ServerTLS? {
    Certificates.directory.map { ServerTLS(certificateFile: "\($0)/\(name).pem", keyFile: "\($0)/\(name).key") }
  }

  private func trust(_ name: String = "localhost") -> String? { Certificates.directory.map { "\($0)/\(name).pem" } }

  /// A TLS listener and a client that trusts it; both ends as peers.
  private func pair(
    within limit: Duration = .seconds(20), _ body: @escaping (EventLoop, Peer, Peer, @escaping () -> Void) -> Void
  ) throws {
    guard let files = files() else { return }
    try onLoop(within: limit) { loop, done in
      let network = makeNetwork(loop)
      var server: Peer?
      var client: Peer?
      func both() { if let client, let server { body(loop, client, server, done) } }
      let listener = try network.listen(loopback, tls: files) {
        server = Peer($0)
        both()
      }
      _ = network.connect(
        listener.address, tls: ClientTLS(serverName: "localhost", trustFile: trust()), timeout: .seconds(5)
      ) {
        switch $0 {
        case .success(let stream): client = Peer(stream)
        case .failure(let failure):
          Issue.record(failure)
          done()
        }
        both()
      }
    }
  }

  @Test func echoesAndEnds() throws {
    try pair { _, client, server, done in
      server.onBytes = { $0.send($0.received) }
      server.onEnd = { $0.stream.finishSending() }
      client.onBytes = { $0.stream.finishSending() }
      client.onEnd = {
        #expect($0.received == Array("hello".utf8))
        done()
      }
      client.send("hello".utf8)
    }
  }

  @Test func eightMegabytesBothWaysWithPauses() throws {
    let total = 8 << 20
    try pair { loop, client, server, done in
      var ends = 0
      for peer in [client, server] {
        var next = 0
        var chunks = 0
        peer.onBytes = { peer in
          for byte in peer.received {
            if byte != UInt8(truncatingIfNeeded: next % 251) {
              Issue.record("wrong byte at \(next)")
              return done()
            }
            next += 1
          }
          peer.received = []
          chunks += 1
          if chunks % 64 == 0 {
            peer.stream.isReading = false
            loop.soon { peer.stream.isReading = true }
          }
        }
        peer.onEnd = {
          #expect($0.count == total)
          ends += 1
          if ends == 2 { done() }
        }
        var offset = 0
        func more(_ peer: Peer) {
          while offset < total {
            let piece = (offset..<min(total, offset + 50_000)).map { UInt8(truncatingIfNeeded: $0 % 251) }
            let taken = peer.send(piece)
            offset += taken
            if taken < piece.count { return }
          }
          peer.stream.finishSending()
        }
        peer.onWritable = more
        more(peer)
      }
    }
  }

  @Test func aPausedReaderGetsNothingAndStopsTheSender() throws {
    try pair { loop, client, server, done in
      server.stream.isReading = false
      let block = [UInt8](repeating: 7, count: 65_536)
      var sent = 0
      while sent < 64 << 20 {
        let taken = client.send(block)
        sent += taken
        if taken < block.count { break }
      }
      #expect(sent < 64 << 20)
      client.onWritable = { _ in
        #expect(server.count > 0)
        done()
      }
      _ = loop.after(.milliseconds(50)) {
        #expect(server.count == 0)
        server.stream.isReading = true
      }
    }
  }

  @Test func whatWasTakenIsDeliveredAfterClose() throws {
    try pair { loop, client, server, done in
      let block = [UInt8](repeating: 7, count: 65_536)
      var sent = 0
      while true {
        let taken = client.send(block)
        sent += taken
        if taken < block.count { break }
      }
      client.stream.close()
      server.onEnd = {
        #expect($0.count == sent)
        done()
      }
      server.onFailure = { _, failure in
        Issue.record(failure)
        done()
      }
    }
  }

  @Test func aResetIsAFailure() throws {
    try pair { _, client, server, done in
      server.onFailure = { _, failure in
        #expect(failure == .reset)
        done()
      }
      server.onEnd = { _ in Issue.record("a reset looked like an end") }
      client.stream.reset()
    }
  }

  /// Somebody in the middle forwards bytes, then hangs up without close_notify.
  @Test func aTruncatedStreamIsAFailureNotAnEnd() throws {
    guard let files = files() else { return }
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let server = try network.listen(loopback, tls: files) {
        Peer($0).onBytes = { $0.send("half of the answ".utf8) }
      }
      var nearSide: Peer?
      let middle = try network.listen(loopback, tls: nil) { stream in
        let near = Peer(stream)
        nearSide = near
        near.stream.isReading = false
        _ = network.connect(server.address, tls: nil, timeout: .seconds(5)) {
          guard case .success(let stream) = $0 else { return }
          let far = Peer(stream)
          for (from, to) in [(near, far), (far, near)] {
            from.onBytes = {
              to.send($0.received)
              $0.received = []
            }
          }
          near.stream.isReading = true
        }
      }
      let trusting = ClientTLS(serverName: "127.0.0.1", trustFile: trust())
      _ = network.connect(middle.address, tls: trusting, timeout: .seconds(5)) {
        guard case .success(let stream) = $0 else { return refuse("\($0)") }
        let client = Peer(stream)
        client.send("?".utf8)
        client.onBytes = { _ in nearSide?.stream.finishSending() }
        client.onEnd = { _ in Issue.record("a truncation looked like an end") }
        client.onFailure = {
          #expect($1 == .closedEarly)
          #expect($0.received == Array("half of the answ".utf8))
          done()
        }
      }
    }
  }

  private func expectRefusal(
    _ certificate: String, name: String, trust: String?, _ check: @escaping (NetworkFailure) -> Void
  ) throws {
    guard let files = files(certificate) else { return }
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let listener = try network.listen(loopback, tls: files) { _ in Issue.record("the handshake was accepted") }
      _ = network.connect(
        listener.address, tls: ClientTLS(serverName: name, trustFile: trust), timeout: .seconds(5)
      ) {
        if case .failure(let failure) = $0 { check(failure) } else { Issue.record("connected") }
        // The server hears of it too.
        _ = loop.after(.milliseconds(20), done)
      }
    }
  }

  @Test func certificatesAreVerified() throws {
    try expectRefusal("localhost", name: "localhost", trust: nil) {
      #expect($0.code == "TLSError")
      #expect($0.message.contains("self-signed certificate"), "\($0)")
    }
    try expectRefusal("localhost", name: "localhost", trust: trust("stranger")) { #expect($0.code == "TLSError") }
    try expectRefusal("stranger", name: "localhost", trust: trust("stranger")) {
      #expect($0.message.contains("hostname mismatch"), "\($0)")
    }
    try expectRefusal("stranger", name: "127.0.0.1", trust: trust("stranger")) {
      #expect($0.message.contains("IP address mismatch"), "\($0)")
    }
    try expectRefusal("localhost", name: "", trust: trust()) { #expect($0.message.contains("not a host name")) }
    try expectRefusal("localhost", name: "localhost", trust: "/no/such.pem") {
      #expect($0.message.contains("/no/such.pem: No such file"))
    }
  }

  @Test func badServerFilesAreNamed() throws {
    guard let directory = Certificates.directory else { return }
    let cases = [
      ("missing.pem", "localhost.key", "missing.pem: No such file"),
      ("localhost.pem", "missing.key", "missing.key: No such"),
      ("bad.pem", "localhost.key", "bad.pem holds no PEM certificate"),
      ("localhost.pem", "bad.pem", "bad.pem holds no usable PEM key"),
      ("localhost.pem", "stranger.key", "does not belong to the certificate"),
      ("localhost.pem", "locked.key", "locked.key holds no usable PEM key without a passphrase"),
    ]
    for (certificate, key, words) in cases {
      onLoop { loop, done in
        let files = ServerTLS(certificateFile: "\(directory)/\(certificate)", keyFile: "\(directory)/\(key)")
        do throws(NetworkFailure) {
          _ = try makeNetwork(loop).listen(loopback, tls: files) { _ in }
          Issue.record("listened with \(certificate), \(key)")
        } catch { #expect(error.message.contains(words), "\(error)") }
        done()
      }
    }
  }

  @Test func aPeerThatSpeaksNoTLSFails() throws {
    guard let files = files() else { return }
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let plain = try network.listen(loopback, tls: nil) {
        Peer($0).onBytes = { $0.send("HTTP/1.1 400 Bad\r\n\r\n".utf8) }
      }
      let secure = try network.listen(loopback, tls: files) { _ in Issue.record("accepted without TLS") }
      _ = network.connect(plain.address, tls: ClientTLS(serverName: "localhost"), timeout: .seconds(5)) {
        if case .failure(let failure) = $0 { #expect(failure.code == "TLSError") } else { Issue.record("connected") }
        _ = network.connect(secure.address, tls: nil, timeout: .seconds(5)) {
          guard case .success(let stream) = $0 else { return refuse("\($0)") }
          let client = Peer(stream)
          client.send("GET / HTTP/1.1\r\n\r\n".utf8)
          client.onEnd = { _ in done() }
          client.onFailure = { _, _ in done() }
        }
      }
    }
  }

  @Test func aSilentServerTimesOutInTheHandshake() throws {
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let silent = try network.listen(loopback, tls: nil) { Peer($0).keeps = true }
      let start = loop.now
      _ = network.connect(silent.address, tls: ClientTLS(serverName: "localhost"), timeout: .milliseconds(100)) {
        if case .failure(.timedOut) = $0 {} else { Issue.record("\($0)") }
        #expect(loop.now - start < .seconds(2))
        done()
      }
    }
  }

  @Test func curlAcceptsUsAndWeAcceptALPN() throws {
    guard let files = files(), let trust = trust() else { return }
    try onLoop { loop, done in
      let network = makeNetwork(loop)
      let listener = try network.listen(loopback, tls: files) {
        Peer($0).onBytes = {
          guard $0.received.suffix(4).elementsEqual("\r\n\r\n".utf8) else { return }
          $0.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8)
          $0.received = []
        }
      }
      let transport = CurlTransport(loop, trustFile: trust)
      let answer = Answer()
      answer.onFinish = {
        #expect($1 == nil)
        #expect($0.text == "ok")
        let untrusting = CurlTransport(loop)
        let refused = Answer()
        refused.onFinish = {
          #expect($1?.code == "TLSError", "\(String(describing: $1))")
          _ = (transport, untrusting)
          done()
        }
        _ = untrusting.start(
          HTTPClientRequest(method: "GET", url: "https://localhost:\(listener.address.port)/"), handler: refused)
      }
      _ = transport.start(
        HTTPClientRequest(method: "GET", url: "https://localhost:\(listener.address.port)/"), handler: answer)
    }
  }

  @Test func truncatedHTTPSIsClosedEarly() throws {
    guard let files = files(), let trust = trust() else { return }
    try onLoop { loop, done in
      let listener = try makeNetwork(loop).listen(loopback, tls: files) {
        Peer($0).onBytes = {
          $0.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".utf8)
          $0.stream.close()
        }
      }
      let transport = CurlTransport(loop, trustFile: trust)
      let answer = Answer()
      answer.onFinish = {
        #expect($1 == .closedEarly)
        #expect($0.text == "hello")
        _ = transport
        done()
      }
      _ = transport.start(
        HTTPClientRequest(method: "GET", url: "https://localhost:\(listener.address.port)/"), handler: answer)
    }
  }
}

func refuse(_ what: String) { Issue.record("\(what)") }
