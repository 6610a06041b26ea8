import Testing
import WeirCore

struct URLPartsTests {
  @Test func whatIsUnderstood() throws {
    let rows: [(String, host: String, port: Int, path: String, text: String)] = [
      ("https://a.com", "a.com", 443, "/", "https://a.com/"),
      ("HTTP://A.com:80/x?y=1#z", "a.com", 80, "/x?y=1", "http://a.com:80/x?y=1"),
      ("wss://a.com:8443?q", "a.com", 8443, "/?q", "wss://a.com:8443/?q"),
      ("ws://localhost./chat", "localhost", 80, "/chat", "ws://localhost/chat"),
      ("https://a.com:/", "a.com", 443, "/", "https://a.com/"),
      ("http://[::1]:8080/", "::1", 8080, "/", "http://[::1]:8080/"),
      ("http://[0:0::FFFF:7F00:1]", "::ffff:7f00:1", 80, "/", "http://[::ffff:7f00:1]/"),
      ("http://127.0.0.1./", "127.0.0.1", 80, "/", "http://127.0.0.1/"),
      (
        "https://xn--bcher-kva.example/ü", "xn--bcher-kva.example", 443, "/%C3%BC",
        "https://xn--bcher-kva.example/%C3%BC"
      ),
      ("https://a_b.c-d.com/@u:p", "a_b.c-d.com", 443, "/@u:p", "https://a_b.c-d.com/@u:p"),
      ("https://1.example", "1.example", 443, "/", "https://1.example/"),
      ("https://a.com#@b.com/", "a.com", 443, "/", "https://a.com/"),
      ("https://a.com?@b.com/", "a.com", 443, "/?@b.com/", "https://a.com/?@b.com/"),
    ]
    for (given, host, port, path, text) in rows {
      let parts = try URLParts(given)
      #expect(parts.host == host && parts.port == port && parts.path == path && parts.text == text, "\(given)")
      #expect(try URLParts(parts.text).text == text)
    }
    #expect(try URLParts("http://a.com:8080/x").origin == "http://a.com:8080")
    #expect(try URLParts("http://a.com/x").origin == "http://a.com:80")
    #expect(try URLParts("https://[::1]:443/").authority == "[::1]")
    #expect(try URLParts("https://a.com:444/").authority == "a.com:444")
    #expect(try URLParts("https://a.com/x?key=secret").shown == "https://a.com/x")
  }

  @Test func whatIsRefused() {
    let rows: [(String, String)] = [
      ("", "scheme"), ("a.com", "scheme"), ("//a.com", "scheme"), ("ftp://a.com", "ftp://"),
      ("file:///etc/passwd", "file"),
      ("javascript:alert(1)", "scheme"), ("https://", "no host"), ("https:///x", "no host"), ("https://.", "no host"),
      ("https://a.com:0", "port"), ("https://a.com:65536", "port"), ("https://a.com:-1", "port"),
      ("https://a.com:80a", "port"), ("https://a.com:+80", "port"),
      ("https://a..com", "host name"), ("https://.a.com", "host name"), ("https://a.com..", "host name"),
      ("https://a%2ecom", "host name"), ("https://%31%32%37.0.0.1", "host name"), ("https://a,b", "host name"),
      ("https://\(String(repeating: "a.", count: 127))aa", "host name"),
      ("https://a b", "space"), ("https://a.com/x y", "space"), (" https://a.com", "space"),
      ("https://a.com\n", "control"),
      ("https://a.com\\@b.com", "backslash"), ("https://a.com/\u{0}", "control"),
      ("https://bücher.example", "xn--"), ("https://１２７.0.0.1", "xn--"), ("https://localhost。", "xn--"),
      ("https://2130706433", "127.0.0.1"), ("https://0x7f000001", "127.0.0.1"), ("https://127.1", "127.0.0.1"),
      ("https://0x7f.1", "127.0.0.1"), ("https://0177.0.0.1", "127.0.0.1"), ("https://127.0.0.0x1", "127.0.0.1"),
      ("https://256.0.0.1", "127.0.0.1"), ("https://1.2.3.4.5", "127.0.0.1"), ("https://a.1", "127.0.0.1"),
      ("https://0x", "127.0.0.1"), ("https://127.0.0.1.2.", "127.0.0.1"),
      ("https://[::1", "IPv6"), ("https://[127.0.0.1]", "IPv6"), ("https://[::1%25lo]/", "IPv6"),
      ("https://[]", "IPv6"),
      ("https://[::1]x", "IPv6"), ("https://::1/", "host name"),
      ("https://u@a.com", "user name"), ("https://u:p@a.com", "user name"), ("https://@a.com", "user name"),
      ("https://a.com:80@b.com", "user name"),
      ("https://a.com/" + String(repeating: "x", count: URLParts.byteLimit), "bytes"),
    ]
    for (given, why) in rows {
      #expect("\(given)") {
        _ = try URLParts(given)
      } throws: {
        let said = ($0 as? NetworkFailure)?.message ?? ""
        return said.contains(why) && !said.contains("u:p")
      }
    }
    #expect(throws: NetworkFailure.self) { try URLParts("ws://a.com", schemes: ["http", "https"]) }
  }
}
