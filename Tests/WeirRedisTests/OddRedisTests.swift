import Testing
import WeirCore
import WeirStore
import WeirTesting
import WeirWire

@testable import WeirRedis

/// A peer that lets everybody in like a Redis and then says whatever the test wants: no second Redis, a mouth. In simulated time.
private final class OddRedis {
  private(set) var connectionCount = 0
  private var voices: [Voice] = []
  private var listener: (any Listener)?

  /// What it says to a command that is not one of entering.
  init(_ simulation: SimulatedWorld, _ say: @escaping ([String]) -> String) throws {
    listener = try simulation.network.listen(SocketAddress(host: "redis", port: 6379), tls: nil) { [weak self] stream in
      self?.connectionCount += 1
      self?.voices.append(Voice(stream, say))
    }
  }

  private final class Voice: ByteStreamHandler {
    private let stream: any ByteStream
    private let say: ([String]) -> String
    private var parser = RESPParser()
    private var output: [UInt8] = []

    init(_ stream: any ByteStream, _ say: @escaping ([String]) -> String) {
      (self.stream, self.say) = (stream, say)
      stream.handler = self
    }

    func byteStreamReceived(_ bytes: Span<UInt8>) {
      parser.receive(bytes)
      while let command = try? parser.next() {
        let words = command.elements?.compactMap(\.text) ?? []
        switch words.first {
        case "PING"? where words.count == 1: output += "+PONG\r\n".utf8
        case "SCRIPT"?: output += ("*9\r\n" + String(repeating: ":1\r\n", count: 9)).utf8
        default: output += say(words).utf8
        }
      }
      byteStreamBecameWritable()
    }
    func byteStreamBecameWritable() {
      let bytes = output
      output.removeFirst(stream.send(bytes.span))
    }
    func byteStreamEnded() { stream.close() }
    func byteStreamFailed(_ failure: NetworkFailure) {}
  }
}

/// Takes so much a second, and then says that it was done.
private final class SlowRedis: ByteStreamHandler {
  private(set) var connectionCount = 0
  private let loop: any Loop
  private let step: Int
  private var listener: (any Listener)?
  private var stream: (any ByteStream)?
  private var parser = RESPParser()
  private var allowed = 0

  init(_ simulation: SimulatedWorld, bytesASecond: Int) throws {
    loop = simulation.loop
    step = bytesASecond / 10
    allowed = step
    listener = try simulation.network.listen(SocketAddress(host: "redis", port: 6379), tls: nil) { [weak self] stream in
      guard let self else { return }
      connectionCount += 1
      self.stream = stream
      stream.handler = self
      parser = RESPParser()
    }
  }

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    allowed -= bytes.count
    if allowed <= 0 {
      stream?.isReading = false
      _ = loop.after(.milliseconds(100 * (1 - allowed / step))) { [weak self] in
        guard let self else { return }
        allowed = step
        stream?.isReading = true
      }
    }
    parser.receive(bytes)
    while let command = try? parser.next() {
      let words = command.elements?.map { $0.text ?? "" } ?? []
      var answer = "$16\r\n2:ok1:11:10:0:0:\r\n"
      if words.first == "PING" { answer = "+PONG\r\n" }
      if words.first == "SCRIPT" { answer = "*9\r\n" + String(repeating: ":1\r\n", count: 9) }
      if words.count > 1, words[1] == RedisScript.sweep.hash { answer = "$0\r\n\r\n" }
      if words.count > 1, words[1] == RedisScript.session.hash { answer = "*1\r\n$1\r\n0\r\n" }
      let bytes = Array(answer.utf8)
      _ = stream?.send(bytes.span)
    }
  }

  func byteStreamBecameWritable() {}
  func byteStreamEnded() { stream?.close() }
  func byteStreamFailed(_ failure: NetworkFailure) {}
}

@Suite struct OddRedisTests {
  private let name: StreamName
  private let simulation = SimulatedWorld(seed: 1)

  init() throws { name = try StreamName("a") }

  private func open(_ peer: OddRedis) throws -> RedisStreamStore {
    var opened: Result<RedisStreamStore, StoreFailure>?
    RedisStreamStore.open(url: "redis://redis", world: simulation.world) { opened = $0 }
    #expect(simulation.loop.run(within: .seconds(30)) { opened != nil })
    return try #require(try? opened?.get())
  }

  /// What is said to the scripts of a store that is open. The session's is the one without a stream's key.
  private static let oddities = [
    ":1\r\n", "$-1\r\n", "*0\r\n", "*-1\r\n", "+OK\r\n", "#t\r\n", "_\r\n", "$0\r\n\r\n", "$2\r\nok\r\n",
    "*1\r\n$2\r\nok\r\n",
    "*2\r\n$2\r\nok\r\n$1\r\n5\r\n", "*4\r\n$2\r\nok\r\n$-1\r\n$0\r\n\r\n$0\r\n\r\n",
    "*5\r\n$2\r\nok\r\n$1\r\n5\r\n$0\r\n\r\n$0\r\n\r\n$1\r\n1\r\n",
    "*6\r\n$2\r\nok\r\n$1\r\n5\r\n$0\r\n\r\n$0\r\n\r\n:1\r\n:2\r\n", "$9\r\n3:made1:12\r\n", "$6\r\n9:made1\r\n",
    "$4\r\n-1:x\r\n",
    "$4\r\n4:ok\r\n", "$5\r\nearly\r\n", "$6\r\nfenced\r\n", "$4\r\nlost\r\n", "*2\r\n$4\r\ngone\r\n$3\r\n../\r\n",
    "-ERR no\r\n", "-\r\n",
    "-NOSCRIPT No matching script\r\n", "-LOADING wait\r\n", "!5\r\nERR x\r\n", "$600000000\r\n", "*999999999\r\n",
    "HTTP/1.1 200 OK\r\n",
    "+" + String(repeating: "x", count: 70_000) + "\r\n", "*2\r\n*0\r\n*0\r\n",
    "*3\r\n$1\r\n1\r\n$1\r\nx\r\n*1\r\n$3\r\n../\r\n", "",
  ]

  /// Nothing crashes, nothing hangs: whatever is said, each operation ends in a failure, and none in what was not said.
  @Test(arguments: oddities) func whateverIsSaidEndsInAFailure(_ oddity: String) throws {
    var isOpening = true
    let peer = try OddRedis(simulation) { words in
      if isOpening { return "$0\r\n\r\n" }
      // The session is had, so that what follows it is heard.
      if words.contains(where: { $0.hasPrefix("weir:writer:") }) { return "*1\r\n$1\r\n\(words.last ?? "0")\r\n" }
      return oddity
    }
    let store = try open(peer)
    isOpening = false
    var codes: [String] = []
    func note<T>(_ result: Result<T, StoreFailure>) {
      if case .failure(let failure) = result { codes.append(failure.code) } else { codes.append("ok") }
    }
    store.create(name, contentType: "t", note)
    store.append(name, [[1]], ending: nil, note)
    store.append(name, [], ending: .closed, note)
    store.read(name, from: .start, byteLimit: 100, note)
    store.status(name, note)
    store.list(prefix: "", after: nil, limit: 10, note)
    store.delete(name, note)
    let watch = store.watch(name) {}
    let start = simulation.loop.now
    #expect(simulation.loop.run(within: .seconds(60)) { codes.count == 7 }, "\(simulation)")
    #expect(simulation.loop.now - start < .seconds(20))
    #expect(!codes.contains("ok"), "\(codes)")
    // Reconnecting is bounded, whatever it was for.
    #expect(peer.connectionCount < 200, "\(peer.connectionCount)")
    watch.cancel()
    store.close()
    simulation.loop.advance(by: .seconds(60))
    #expect(simulation.network.openStreamCount == 0)
  }

  @Test func whatWaitsIsBounded() throws {
    var isOpening = true
    let store = try open(try OddRedis(simulation) { _ in isOpening ? "$0\r\n\r\n" : "" })
    isOpening = false
    var codes: [String] = []
    let item = [UInt8](repeating: 1, count: 16 << 20)
    for _ in 0..<20 { store.append(name, [item], ending: nil) { codes.append($0.code) } }
    simulation.loop.settle()
    // Of 320 MiB as much waits as may; the rest is told at once.
    #expect(codes.count == 13 && Set(codes) == ["StoreUnavailable"])
    store.append(name, Array(repeating: item, count: 5), ending: nil) { codes.append($0.code) }
    store.append(name, Array(repeating: [], count: 100_001), ending: nil) { codes.append($0.code) }
    simulation.loop.settle()
    #expect(codes.suffix(2) == ["StoreFull", "StoreFull"])
    for _ in 0..<100_100 { store.status(name) { codes.append($0.code) } }
    // What waits behind so much has the time that a slow line takes.
    simulation.loop.advance(by: .seconds(20))
    #expect(codes.count < 22 + 100_100)
    simulation.loop.advance(by: .seconds(160))
    #expect(codes.count == 22 + 100_100)
    store.close()
  }

  /// More than anything Weir's scripts count to: an error, and no sum that overflows.
  @Test(arguments: ["18446744073709551615", "9007199254740992", "9223372036854775807"])
  func numbersThatAreTooLarge(_ number: String) throws {
    func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }
    func packed(_ words: [String]) -> String { bulk(words.map { "\($0.utf8.count):\($0)" }.joined()) }
    var (isOpening, isSessionHad) = (true, false)
    let peer = try OddRedis(simulation) { words in
      if isOpening { return "$0\r\n\r\n" }
      switch words.first {
      case "SUBSCRIBE"?:
        return "*3\r\n" + bulk("subscribe") + bulk(words[1]) + ":1\r\n*3\r\n" + bulk("message") + bulk(words[1])
          + bulk("1 \(number)")
      case "HMGET"?: return "*3\r\n" + bulk("1") + bulk(number) + "$-1\r\n"
      default: break
      }
      if words.contains(where: { $0.hasPrefix("weir:writer:") }) {
        return isSessionHad ? "*1\r\n" + bulk(words.last ?? "0") : "*1\r\n" + bulk(number)
      }
      if words[1] == RedisScript.read.hash {
        return "*6\r\n" + ["ok", number, "", "", "1", "x"].map(bulk).joined()
      }
      return packed(["ok", "1", words[1] == RedisScript.append.hash ? "0" : number, "", "", ""])
    }
    let store = try open(peer)
    isOpening = false
    let watch = store.watch(name) {}
    simulation.loop.advance(by: .seconds(1))
    var codes: [String] = []
    store.append(name, [[1]], ending: nil) { codes.append($0.code) }
    simulation.loop.advance(by: .seconds(60))
    #expect(codes == ["StoreUnavailable"])
    isSessionHad = true
    // Two that are joined, and a tail that is smaller.
    store.append(name, [[1]], ending: nil) { codes.append($0.code) }
    store.append(name, [[1]], ending: nil) { codes.append($0.code) }
    func note(_ result: Result<StreamBatch, StoreFailure>) {
      if case .failure(let failure) = result { codes.append(failure.code) } else { codes.append("ok") }
    }
    store.read(name, from: .start, byteLimit: 10, note)
    store.read(name, from: Offset(.max), byteLimit: 10, note)
    simulation.loop.advance(by: .seconds(60))
    #expect(codes.count == 5 && Set(codes.dropFirst(3)) == ["StoreUnavailable"], "\(codes)")
    watch.cancel()
    store.close()
  }

  /// A Redis at the end of a slow line: what is on its way has not been left unanswered, however long that takes.
  @Test func aSlowLineIsNoSilence() throws {
    let peer = try SlowRedis(simulation, bytesASecond: 1 << 20)
    var opened: Result<RedisStreamStore, StoreFailure>?
    RedisStreamStore.open(url: "redis://redis", world: simulation.world) { opened = $0 }
    #expect(simulation.loop.run(within: .seconds(30)) { opened != nil })
    let store = try #require(try? opened?.get())
    var codes: [String] = []
    let start = simulation.loop.now
    store.append(name, [[UInt8](repeating: 1, count: 20 << 20)], ending: nil) { codes.append($0.code) }
    #expect(simulation.loop.run(within: .seconds(60)) { codes.count == 1 })
    #expect(codes == ["ok"] && simulation.loop.now - start > .seconds(18) && peer.connectionCount == 1)
    store.close()
  }

  @Test func aClosedStoreFailsWhatWaitsAndWhatComes() throws {
    var isOpening = true
    let peer = try OddRedis(simulation) { _ in isOpening ? "$0\r\n\r\n" : "" }
    let store = try open(peer)
    isOpening = false
    var messages: [String] = []
    func note<T>(_ result: Result<T, StoreFailure>) {
      if case .failure(let failure) = result { messages.append(failure.message) } else { messages.append("ok") }
    }
    store.append(name, [[1]], ending: nil, note)
    simulation.loop.advance(by: .milliseconds(100))
    store.close()
    store.close()
    store.append(name, [[1]], ending: nil, note)
    let watch = store.watch(name) { messages.append("woken") }
    simulation.loop.advance(by: .seconds(60))
    #expect(
      messages.count == 2 && messages.allSatisfy { $0.hasPrefix("redis://redis:6379/0: the store is closed") },
      "\(messages)")
    #expect(simulation.network.openStreamCount == 0)
    watch.cancel()
  }

  /// A subscription is asked whether it is there, not oftener than it says; one that is silent is made again, and what changed meanwhile
  /// is noticed; one that nobody needs goes.
  @Test func aSubscriptionIsKeptAliveAndGivenUp() throws {
    var (isOpening, isMute, version, pings) = (true, false, 5, 0)
    func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }
    let peer = try OddRedis(simulation) { words in
      switch words.first {
      case "SUBSCRIBE"?, "UNSUBSCRIBE"?: return "*3\r\n" + bulk(words[0].lowercased()) + bulk(words[1]) + ":1\r\n"
      case "HMGET"?: return "*3\r\n" + bulk("\(version)") + "$-1\r\n$-1\r\n"
      case "PING"?:
        pings += 1
        return isMute ? "" : "*2\r\n" + bulk("pong") + bulk(words[1])
      default: return isOpening ? "$0\r\n\r\n" : ""
      }
    }
    let store = try open(peer)
    isOpening = false
    var wakes = 0
    let watch = store.watch(name) { wakes += 1 }
    simulation.loop.advance(by: .seconds(120))
    #expect(peer.connectionCount == 2 && wakes == 0 && (11...12).contains(pings), "\(peer.connectionCount) \(pings)")
    isMute = true
    simulation.loop.advance(by: .seconds(17))
    #expect(peer.connectionCount == 3 && wakes == 0)
    version = 6
    simulation.loop.advance(by: .seconds(17))
    #expect(peer.connectionCount == 4 && wakes == 1)
    isMute = false
    watch.cancel()
    simulation.loop.advance(by: .seconds(60))
    // Both ends of the one for commands.
    #expect(simulation.network.openStreamCount == 2)
    let again = store.watch(name) { wakes += 1 }
    simulation.loop.advance(by: .seconds(5))
    #expect(peer.connectionCount == 5 && simulation.network.openStreamCount == 4)
    again.cancel()
    store.close()
    simulation.loop.advance(by: .seconds(1))
    #expect(simulation.network.openStreamCount == 0)
  }
}
