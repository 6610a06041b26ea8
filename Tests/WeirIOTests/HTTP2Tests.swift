import Glibc
import Testing
import WeirCore

@testable import WeirIO

/// nginx as the other side: HTTP/2 over TLS, many streams on one connection.
@Suite(.serialized) struct HTTP2Tests {
  static let fileSize = 24 << 20

  private func withServer(_ body: (_ url: String, _ trust: String) throws -> Void) throws {
    guard let certificates = Certificates.directory, system("nginx -V 2>&1 | grep -q http_v2_module") == 0 else {
      print("skipped: no nginx with HTTP/2 to serve, or no openssl command")
      return
    }
    var template = Array("/tmp/weir-nginx-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    let directory = String(cString: made)
    var port = 0
    try onLoop { loop, done in
      let listener = try makeNetwork(loop).listen(loopback, tls: nil) { _ in }
      port = listener.address.port
      listener.close()
      done()
    }
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(directory)/\($0);" }
    let configuration = """
      pid \(directory)/pid; error_log \(directory)/error; \(getuid() == 0 ? "user root;" : "")
      events {}
      http { access_log \(directory)/access; \(temporary.joined(separator: " "))
        server { listen 127.0.0.1:\(port) ssl http2; root \(directory);
          ssl_certificate \(certificates)/localhost.pem; ssl_certificate_key \(certificates)/localhost.key; } }
      """
    let file = try #require(fopen("\(directory)/conf", "w"))
    fputs(configuration, file)
    fclose(file)
    defer { system("kill $(cat \(directory)/pid) 2>/dev/null; rm -rf \(directory)") }
    #expect(system("head -c \(Self.fileSize) /dev/zero > \(directory)/big; echo small > \(directory)/small") == 0)
    try #require(system("nginx -c \(directory)/conf 2>\(directory)/start") == 0)
    try body("https://localhost:\(port)", "\(certificates)/localhost.pem")
    #expect(system("kill -QUIT $(cat \(directory)/pid); grep -q HTTP/2.0 \(directory)/access") == 0, "not HTTP/2")
  }

  @Test func pausingHoldsTheStreamAndLosesNothing() throws {
    try withServer { url, trust in
      onLoop { loop, done in
        let transport = CurlTransport(loop, trustFile: trust)
        let answer = Answer()
        answer.keeps = false
        var exchange: (any HTTPExchange)?
        var pauses = 0
        answer.onBody = { answer in
          guard answer.size > pauses * 6 << 20, pauses < 4 else { return }
          pauses += 1
          exchange?.isReading = false
          let before = answer.size
          _ = loop.after(.milliseconds(30)) {
            #expect(answer.size - before <= 2 * CurlTransfer.bufferSize)
            exchange?.isReading = true
          }
        }
        answer.onFinish = {
          #expect($1 == nil)
          #expect($0.size == Self.fileSize)
          #expect(pauses == 4)
          _ = transport
          done()
        }
        exchange = transport.start(HTTPClientRequest(method: "GET", url: "\(url)/big"), handler: answer)
      }
    }
  }

  @Test func cancellingOneStreamLeavesTheOthers() throws {
    try withServer { url, trust in
      onLoop { loop, done in
        let transport = CurlTransport(loop, trustFile: trust)
        var left = 8
        let doomed = Answer()
        doomed.keeps = false
        var exchange: (any HTTPExchange)?
        doomed.onBody = { _ in
          exchange?.cancel()
          exchange = nil
          for _ in 0..<8 {
            let answer = Answer()
            answer.onFinish = {
              #expect($1 == nil)
              #expect($0.text == "small\n")
              left -= 1
              if left == 0 { done() }
            }
            _ = transport.start(HTTPClientRequest(method: "GET", url: "\(url)/small"), handler: answer)
          }
        }
        doomed.onFinish = { _, failure in refuse("finished though cancelled: \(String(describing: failure))") }
        exchange = transport.start(HTTPClientRequest(method: "GET", url: "\(url)/big"), handler: doomed)
      }
    }
  }
}
