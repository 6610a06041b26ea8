import WeirCore
import WeirFlow
import WeirIO
import WeirNet

// A peer for tests and measurements: WebSocket of this house at either end, without a program around it.
//
//     WebSocketPeer server PORT [plain]        echoes every message (plain: no compression)
//     WebSocketPeer client URL AGENT           walks Autobahn's fuzzingserver as the agent under test
//     WebSocketPeer bench URL SIZE COUNT DEPTH sends COUNT messages, DEPTH at a time, and times the echoes
@main
struct WebSocketPeer {
  let loop = EventLoop()
  let world: World
  var limits = WebSocketConnection.Limits()
  let isPlain = CommandLine.arguments.last == "plain"

  init() {
    world = RealWorld.make(loop: loop)
    limits.messageBytes = 64 << 20
  }

  static func main() throws {
    HostProcess.keepFreedMemory()
    let peer = WebSocketPeer()
    let arguments = CommandLine.arguments
    switch arguments.count > 1 ? arguments[1] : "" {
    case "server": try peer.serve(Int(arguments[2]) ?? 0)
    case "client": peer.walk(arguments[2], arguments[3])
    case "bench":
      peer.bench(
        arguments[2], size: Int(arguments[3]) ?? 0, count: Int(arguments[4]) ?? 0, depth: Int(arguments[5]) ?? 1)
    default: peer.world.console.write("server PORT | client URL AGENT | bench URL SIZE COUNT DEPTH\n", to: .error)
    }
    peer.world.console.flush()
  }

  /// `done` when the stream has ended as well: then the other side knows of the end, and has written down what it saw.
  func echo(_ connection: WebSocketConnection, _ done: (() -> Void)? = nil) {
    if let done { connection.onOver = done }
    _ = Reader(connection) { reader, event in
      switch event {
      case .message(let text): reader.send(.text(text))
      case .binary(let bytes): reader.send(.binary(bytes))
      default: break
      }
    }
  }

  func open(_ url: String, _ done: @escaping (WebSocketConnection) -> Void) {
    var request = WebSocketRequest(url: url, policy: nil)
    request.limits = limits
    request.offersDeflate = !isPlain
    _ = WebSocketDial.open(request, world: world) { result in
      switch result {
      case .success(let connection): done(connection)
      case .failure(let kind):
        world.console.write("\(kind)\n", to: .error)
        loop.stop()
      }
    }
  }

  func serve(_ port: Int) throws {
    let server = HTTPServer(world: world) { request, responder in
      var upgrade = WebSocketUpgrade(loop: world.loop)
      upgrade.limits = limits
      upgrade.allowsDeflate = !isPlain
      if let connection = upgrade.accept(request, responder) { echo(connection) }
    }
    try server.listen(SocketAddress(host: "127.0.0.1", port: port))
    world.console.write("listening \(server.address?.port ?? 0)\n", to: .output)
    world.console.flush()
    let signals = try Signals(loop, [.interrupt, .terminate]) { _ in server.close(grace: .seconds(1)) { loop.stop() } }
    loop.run()
    signals.cancel()
  }

  /// One case after the other, each a connection that echoes.
  func walk(_ url: String, _ agent: String) {
    open("\(url)/getCaseCount") { counting in
      var count = 0
      _ = Reader(counting) { _, event in
        if case .message(let text) = event { count = Int(text) ?? 0 }
        if case .closed = event { run(1) }
      }
      func run(_ number: Int) {
        if number > count {
          return open("\(url)/updateReports?agent=\(agent)") { echo($0) { loop.stop() } }
        }
        open("\(url)/runCase?case=\(number)&agent=\(agent)") { connection in
          echo(connection) { loop.soon { run(number + 1) } }
        }
      }
    }
    loop.run()
  }

  func bench(_ url: String, size: Int, count: Int, depth: Int) {
    open(url) { connection in
      // Text like that of a chat: compresses by about two thirds.
      let words = ["stream ", "token ", "weir ", "\"delta\": ", "hello, ", "world ", "42 "]
      var text = ""
      var state: UInt64 = 42
      while text.utf8.count < size {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        text += words[Int(state >> 33) % words.count]
      }
      let message = String(text.prefix(size))
      var (sent, received) = (0, 0)
      let clock = ContinuousClock()
      let start = clock.now
      func more() {
        while sent < count, sent - received < depth {
          sent += 1
          connection.transmit(.text(message)) { _ in }
        }
      }
      _ = Reader(connection) { _, event in
        switch event {
        case .opened: more()
        case .message(let text):
          precondition(text.utf8.count == size, "the echo is what was sent")
          received += 1
          if received == count {
            let time = start.duration(to: clock.now)
            let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
            world.console.write("\(Double(count) / seconds)\n", to: .output)
            connection.close()
          } else {
            more()
          }
        case .closed: loop.stop()
        default: break
        }
      }
    }
    loop.run()
  }
}

/// Calls back with each event, until the last. A message that waits for room stops the reading: an echo keeps no queue.
final class Reader {
  private let connection: WebSocketConnection
  private let handle: (StreamEvent) -> Void
  private var isSending = false

  init(_ connection: WebSocketConnection, _ handle: @escaping (Reader, StreamEvent) -> Void) {
    self.connection = connection
    var take: ((StreamEvent) -> Void)?
    self.handle = { take?($0) }
    connection.events.onReady = { self.pump() }
    take = { handle(self, $0) }
    pump()
  }

  func send(_ message: StreamMessage) {
    var isInside = true
    isSending = true
    connection.transmit(message) { _ in
      self.isSending = false
      if !isInside { self.pump() }
    }
    isInside = false
  }

  private func pump() {
    while !isSending, let event = connection.events.next() {
      handle(event)
      if case .closed = event { connection.events.onReady = nil }
    }
  }
}
