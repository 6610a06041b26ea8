import Glibc
import Synchronization
import Testing
import WeirCore
import WeirTesting

@testable import WeirIO

/// The network policy where it counts: at the sockets. Names are answered by a table, everything else is real.
@Suite(.serialized) struct NetworkPolicyDialTests {
  /// A name server that answers what the test says, one list after the other (the last for good), and counts.
  private final class Names: Sendable {
    private let lists: [String: [String]]
    private let asked = Mutex<[String: Int]>([:])
    init(_ lists: [String: [String]]) { self.lists = lists }
    var counts: [String: Int] { asked.withLock { $0 } }

    func resolver(_ loop: EventLoop) -> Resolver {
      Resolver(loop, ThreadPool(name: "names")) { [self] name, port throws(NetworkFailure) in
        let turn = asked.withLock { asked in
          asked[name, default: 0] += 1
          return asked[name, default: 0] - 1
        }
        guard let answers = lists[name] else { throw .nameNotFound(host: name) }
        return answers[min(turn, answers.count - 1)].split(separator: " ").compactMap {
          IPAddress(String($0), port: port)
        }
      }
    }
  }

  private struct Outcome: Equatable {
    var said: String
    var asked: Int
    var requests: Int
  }

  /// One GET of `url` (PORT stands for the server's) under a policy; the server redirects to `redirect` from `/from`.
  private func get(
    _ url: String, _ policy: NetworkPolicy?, names: [String: [String]] = [:], redirect: String = "",
    proxied: Bool = false, usesProxy: Bool = true, times: Int = 1
  ) throws -> Outcome {
    var outcome = Outcome(said: "", asked: 0, requests: 0)
    try onLoop { loop, done in
      let table = Names(names)
      let server = try ScriptedServer(makeNetwork(loop)) { server, peer, text in
        let goes = text.contains(" /from") || text.contains("/from HTTP")
        let place = redirect.replacing("PORT", with: "\(server.port)")
        peer.send(
          (goes
            ? "HTTP/1.1 302 Found\r\nLocation: \(place)\r\nContent-Length: 0\r\n\r\n"
            : "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .utf8)
      }
      let proxies = ProxySettings(FixedEnvironment(proxied ? ["http_proxy": server.url("")] : [:]))
      let transport = CurlTransport(loop, resolver: table.resolver(loop), proxies: proxies, trustFile: nil)
      var left = times
      func next() {
        left -= 1
        let answer = Answer()
        answer.onFinish = { answer, failure in
          _ = transport
          outcome = Outcome(
            said: failure.map { "\($0.code): \($0.message)" } ?? answer.text,
            asked: table.counts.values.reduce(0, +), requests: server.requests.count)
          left > 0 ? next() : done()
        }
        var request = HTTPClientRequest(method: "GET", url: url.replacing("PORT", with: "\(server.port)"))
        request.policy = policy
        request.usesProxy = usesProxy
        request.redirectLimit = 5
        _ = transport.start(request, handler: answer)
      }
      next()
    }
    return outcome
  }

  private let strict = NetworkPolicy()
  private let open = NetworkPolicy(allowHTTP: true, allowPrivate: true)

  @Test func thisMachineByItsName() throws {
    #expect(try get("http://127.0.0.1:PORT/", strict).said == "ok")
    let named = try get("http://localhost:PORT/", strict, names: ["localhost": ["127.0.0.1"]])
    #expect(named == Outcome(said: "ok", asked: 1, requests: 1))
    #expect(try get("http://LOCALHOST.:PORT/", strict, names: ["localhost": ["127.0.0.1"]]).said == "ok")
    #expect(try get("http://127.0.0.1:PORT/from", strict, redirect: "http://127.0.0.1:PORT/").said == "ok")
    let relative = try get("http://127.0.0.1:PORT/from", strict, redirect: "/to")
    #expect(relative == Outcome(said: "ok", asked: 0, requests: 2))
  }

  @Test func aNameThatLeadsHereIsRefusedBeforeTheDial() throws {
    let http = NetworkPolicy(allowHTTP: true)
    for answers in [
      "127.0.0.1", "::1 127.0.0.1", "93.184.215.14 127.0.0.1", "127.0.0.1 93.184.215.14", "::ffff:127.0.0.1",
    ] {
      let outcome = try get("http://evil.test:PORT/", http, names: ["evil.test": [answers]])
      #expect(outcome.said.contains("NotAllowed: \"evil.test\" resolves to"), "\(answers)")
      #expect(outcome.asked == 1 && outcome.requests == 0)
    }
    #expect(try get("http://evil.test:PORT/", open, names: ["evil.test": ["127.0.0.1"]]).said == "ok")
    // Without a policy (a provider that the user configured) names lead where they lead: libcurl resolves them.
    #expect(try get("http://localhost:PORT/", nil).said == "ok")
  }

  /// The second answer would be the bad one: there is no second question.
  @Test func aNameIsResolvedOnce() throws {
    let outcome = try get("http://localhost:PORT/", strict, names: ["localhost": ["127.0.0.1", "10.0.0.1"]])
    #expect(outcome == Outcome(said: "ok", asked: 1, requests: 1))
    // Each new request asks anew, and is refused when the answer has become a bad one.
    let later = try get("http://localhost:PORT/", strict, names: ["localhost": ["127.0.0.1", "10.0.0.1"]], times: 2)
    #expect(later.said.hasPrefix("NotAllowed: \"localhost\" resolves to 10.0.0.1") && later.requests == 1)
  }

  /// Odd numbers in a `Location` are written out by libcurl before they are checked: they are this machine again.
  @Test func redirectsAreCheckedAgain() throws {
    let names = ["outside.test": ["127.0.0.1"], "inside.test": ["10.0.0.1"], "me.test": ["127.0.0.1"]]
    for (place, why) in [
      ("http://example.com/", "not encrypted"), ("http://169.254.169.254/latest", "not encrypted"),
      ("https://169.254.169.254/latest", "link-local"), ("https://10.0.0.1/", "private"),
      ("https://[fd00::1]/", "private"),
      ("https://inside.test/", "resolves to 10.0.0.1"), ("http://0.0.0.0:PORT/", "not encrypted"),
      ("https://0.0.0.0:PORT/", "no address"), ("https://user:pw@example.com/", "user name"),
      ("http://2130706433:PORT/to", "ok"), ("http://127.1:PORT/to", "ok"),
      ("ftp://127.0.0.1/", "not a usable URL"), ("https://me.test:PORT/", "this machine"),
    ] {
      let outcome = try get("http://127.0.0.1:PORT/from", strict, names: names, redirect: place)
      #expect(outcome.said.contains(why), "\(place): \(outcome.said)")
      #expect(outcome.requests == (why == "ok" ? 2 : 1), "\(place)")
    }
    // From elsewhere this machine may not be reached, by whatever name. (Through the proxy, elsewhere is played here.)
    let http = NetworkPolicy(allowHTTP: true)
    for place in [
      "http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://[::1]:PORT/", "http://127.1:PORT/",
      "http://0x7f.1:PORT/",
    ] {
      let outcome = try get("http://example.com/from", http, redirect: place, proxied: true)
      #expect(outcome.said.contains("NotAllowed") && outcome.requests == 1, "\(place): \(outcome.said)")
      #expect(try get("http://example.com/from", open, redirect: place, proxied: true).said == "ok", "\(place)")
    }
  }

  /// The proxy resolves names and is where the user says; what a URL itself shows is still checked.
  /// Where the address is somebody else's choice, no proxy resolves the name behind the policy's back.
  @Test func withoutTheProxyTheAddressIsChecked() throws {
    let http = NetworkPolicy(allowHTTP: true)
    let inside = ["inside.test": ["10.0.0.1"]]
    #expect(try get("http://inside.test/", http, names: inside, proxied: true).said == "ok")
    let direct = try get("http://inside.test/", http, names: inside, proxied: true, usesProxy: false)
    #expect(direct.said.contains("NotAllowed: \"inside.test\" resolves to") && direct.requests == 0)
  }

  @Test func proxies() throws {
    let http = NetworkPolicy(allowHTTP: true)
    #expect(try get("http://example.invalid/", http, proxied: true) == Outcome(said: "ok", asked: 0, requests: 1))
    #expect(try get("http://10.0.0.1/", http, proxied: true).said.contains("private"))
    #expect(try get("http://example.invalid/", strict, proxied: true).said.contains("not encrypted"))
  }

  @Test func ourOwnDialsAskAsWell() throws {
    for (host, policy, answers, wanted) in [
      ("localhost", strict, "127.0.0.1", nil), ("localhost", strict, "10.0.0.1", "NotAllowed"),
      ("evil.test", NetworkPolicy(allowHTTP: true), "127.0.0.1", "NotAllowed"), ("evil.test", open, "127.0.0.1", nil),
      ("evil.test", NetworkPolicy(allowHTTP: true), "93.184.215.14 127.0.0.1", "NotAllowed"),
    ] {
      try onLoop { loop, done in
        let network = SocketNetwork(loop, resolver: Names([host: [answers]]).resolver(loop)) { _ in }
        let listener = try network.listen(loopback, tls: nil) { _ = $0 }
        let url = try URLParts("ws://\(host):\(listener.address.port)/")
        let permit = try policy.permit(url)
        let address = SocketAddress(host: url.host, port: url.port)
        _ = network.connect(address, tls: nil, permit: permit, timeout: .seconds(5)) { result in
          _ = network
          switch result {
          case .success(let stream):
            stream.close()
            #expect(wanted == nil)
          case .failure(let failure): #expect(failure.code == wanted, "\(host): \(failure)")
          }
          listener.close()
          done()
        }
      }
    }
  }

  @Test func aLookupThatHangsTimesOutAndCanBeCancelled() {
    let hold = Mutex(0)
    for cancels in [false, true] {
      hold.withLock { _ in
        onLoop { loop, done in
          let resolver = Resolver(loop, ThreadPool(name: "names")) { name, _ throws(NetworkFailure) in
            hold.withLock { _ in }
            throw .nameNotFound(host: name)
          }
          let transport = CurlTransport(loop, resolver: resolver, proxies: ProxySettings(), trustFile: nil)
          let answer = Answer()
          answer.onFinish = { _, failure in
            _ = transport
            #expect(!cancels)
            #expect(failure?.message == "looking up \"slow.test\" timed out")
            done()
          }
          var request = HTTPClientRequest(method: "GET", url: "https://slow.test/")
          request.policy = NetworkPolicy()
          request.connectTimeout = .milliseconds(30)
          let exchange = transport.start(request, handler: answer)
          if cancels {
            _ = loop.after(.milliseconds(5)) { exchange.cancel() }
            _ = loop.after(.milliseconds(60), done)
          }
        }
      }
    }
  }
}
