import Testing
import WeirCore
import WeirNet
import WeirStore
import WeirTesting
import WeirWire

@testable import WeirServe

/// The streams' HTTP face over a real memory store, in virtual time.
struct StreamBench {
  let simulation: SimulatedWorld
  let store: MemoryStreamStore
  /// Between the server and the store, if there are subscriptions.
  let faults: FaultyStore
  let host: ScriptedHost
  let app: ServeApplication

  /// `after`: another server over the same store, as after a restart.
  init(
    after other: StreamBench? = nil, subscriptions options: Subscriptions.Options? = nil,
    _ configure: (inout ServeConfiguration) -> Void = { _ in }
  ) throws {
    let simulation = other?.simulation ?? SimulatedWorld(seed: 1)
    self.simulation = simulation
    store = other?.store ?? MemoryStreamStore(loop: simulation.loop)
    host = ScriptedHost([Bench.chat], store)
    var configuration = ServeConfiguration()
    configuration.publicStreams = true
    configuration.streamRoots.append("/v1/stream")
    configure(&configuration)
    faults = FaultyStore(store)
    let observed = ObservedStore(faults)
    let subscriptions = try options.map {
      try Subscriptions($0, store: observed, world: simulation.world) { simulation.trace.note($0) }
    }
    app = ServeApplication(
      configuration, host: host, store: options == nil ? store : observed, loop: simulation.loop,
      subscriptions: subscriptions)
    if subscriptions != nil {
      app.load()
      loop.settle()
    }
  }

  var loop: SimulatedLoop { simulation.loop }

  @discardableResult
  func ask(
    _ method: String, _ target: String, _ headers: [(name: String, value: String)] = [], body: [UInt8],
    room: Int = .max
  ) -> FakeResponder {
    let responder = FakeResponder()
    responder.room = room
    let cut = target.firstIndex(of: "?")
    app.handle(
      HTTPRequest(
        method: method, path: String(target[..<(cut ?? target.endIndex)]),
        query: cut.map { String(target[target.index(after: $0)...]) } ?? "",
        headers: [("Host", "localhost:8080")] + headers, body: body,
        peer: SocketAddress(host: "127.0.0.1", port: 50000)), responder)
    loop.settle()
    return responder
  }

  @discardableResult
  func ask(
    _ method: String, _ target: String, _ headers: [(name: String, value: String)] = [], _ body: String = "",
    room: Int = .max
  ) -> FakeResponder { ask(method, target, headers, body: Array(body.utf8), room: room) }

  static let text: [(name: String, value: String)] = [("Content-Type", "text/plain")]
  static let json: [(name: String, value: String)] = [("Content-Type", "application/json")]
  static let closed: [(name: String, value: String)] = [("Stream-Closed", "true")]

  func make(_ path: String, _ headers: [(name: String, value: String)] = text, _ body: String = "") {
    let status = ask("PUT", path, headers, body).status
    #expect(status == 201, "\(path): \(status ?? 0)")
  }

  @discardableResult
  func add(_ path: String, _ body: String, _ headers: [(name: String, value: String)] = text) -> FakeResponder {
    ask("POST", path, headers, body)
  }

  /// What a reader of the protocol's events has: its data put together, and its control events.
  struct Events {
    var data: [UInt8] = []
    var texts: [String] = []
    var controls: [JSONValue] = []

    init(_ responder: FakeResponder) {
      let isBinary = responder["Stream-SSE-Data-Encoding"] == "base64"
      for event in responder.text.split(separator: "\n\n", omittingEmptySubsequences: true) {
        let lines = event.split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.filter { $0.hasPrefix("data:") }.map { $0.dropFirst($0.hasPrefix("data: ") ? 6 : 5) }
          .joined(separator: "\n")
        if lines.contains("event: data") {
          texts.append(text)
          data += isBinary ? Base64.decode(text) ?? [] : Array(text.utf8)
        } else if lines.contains("event: control"), let value = try? JSONValue.parse(text) {
          controls.append(value)
        }
      }
    }
    var next: String { controls.last?["streamNextOffset"]?.string ?? "" }
    var isClosed: Bool { controls.last?["streamClosed"] == .bool(true) }
    var isUpToDate: Bool { controls.last?["upToDate"] == .bool(true) }
  }
}
