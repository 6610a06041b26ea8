import WeirCore
import WeirIO
import WeirTesting

/// A network between a store and its Redis that can do to bytes what networks do: lose the connection anywhere, keep silent, deliver
/// late what was sent before a loss. On the test's own loop.
final class CuttingProxy {
  enum Mode {
    case relay
    /// Nothing goes through, and nobody is told.
    case partition
    /// Every connection hears this and is closed.
    case answer(String)
    /// Nobody is there.
    case refuse
  }

  private(set) var mode = Mode.relay
  /// How many bytes go through a new connection, both ways together, before it is lost; nil: all.
  var lifeOfNext: () -> Int? = { nil }
  /// Whether what the client sent is delivered after it has lost the connection.
  var isLate: () -> Bool = { false }
  /// What was held back at a loss waits for `deliverLate`, not for its time.
  var isHeldBack = false
  /// Bytes of a client that hold this text stop there, as in a partition, and the test is told.
  var stop: (text: String, told: () -> Void)?
  private(set) var connectionCount = 0
  private(set) var cutCount = 0

  private let world: World
  private let target: Int
  private let random: SeededRandom
  private var listener: (any Listener)?
  private var pairs: [ObjectIdentifier: Pair] = [:]
  private var late: [() -> Void] = []
  let port: Int

  init(_ world: World, to target: Int, seed: UInt64 = 1) throws {
    self.world = world
    self.target = target
    random = SeededRandom(seed: seed)
    port = RedisServer.freePort()
    try listen()
  }

  func url(_ query: String = "") -> String { "redis://127.0.0.1:\(port)/0\(query)" }

  private func listen() throws {
    listener = try world.network.listen(SocketAddress(host: "127.0.0.1", port: port), tls: nil) { [weak self] stream in
      self?.accept(stream)
    }
  }

  func set(_ mode: Mode) throws {
    if case .refuse = self.mode { try listen() }
    self.mode = mode
    switch mode {
    case .relay, .partition: for pair in pairs.values { pair.resume() }
    case .answer: cutAll()
    case .refuse:
      listener?.close()
      cutAll()
    }
  }

  func cutAll() { for pair in pairs.values { pair.cut() } }

  func deliverLate() {
    let all = late
    late = []
    for deliver in all { deliver() }
  }

  func close() {
    listener?.close()
    for pair in pairs.values { pair.close() }
  }

  private func accept(_ client: any ByteStream) {
    connectionCount += 1
    if case .answer(let text) = mode {
      _ = client.send(Array(text.utf8).span)
      return client.close()
    }
    let pair = Pair(self, client, life: lifeOfNext())
    pairs[ObjectIdentifier(pair)] = pair
    _ = world.network.connect(SocketAddress(host: "127.0.0.1", port: target), tls: nil, timeout: .seconds(5)) {
      result in
      switch result {
      case .success(let server): pair.connected(server)
      case .failure: pair.close()
      }
    }
  }

  private final class Pair {
    private weak var proxy: CuttingProxy?
    private let client: any ByteStream
    private var server: (any ByteStream)?
    private var life: Int?
    private var isCut = false
    private let ends: [End]

    init(_ proxy: CuttingProxy, _ client: any ByteStream, life: Int?) {
      self.proxy = proxy
      self.client = client
      self.life = life
      ends = [End(), End()]
      ends[0].onBytes = { [weak self] in self?.relay($0, from: 0) }
      ends[1].onBytes = { [weak self] in self?.relay($0, from: 1) }
      for end in ends { end.onEnd = { [weak self] in self?.close() } }
      ends[0].onWritable = { [weak self] in self?.ends[1].flush() }
      ends[1].onWritable = { [weak self] in self?.ends[0].flush() }
      client.handler = ends[0]
    }

    func connected(_ server: any ByteStream) {
      if isCut { return server.close() }
      self.server = server
      ends[1].stream = client
      ends[0].stream = server
      server.handler = ends[1]
      resume()
    }

    func resume() {
      guard !isCut, server != nil, case .relay? = proxy?.mode else { return }
      for end in ends { end.flush() }
    }

    /// From the client 0, from the server 1.
    private func relay(_ bytes: [UInt8], from side: Int) {
      var bytes = bytes
      if side == 0, let proxy, let stop = proxy.stop, String(decoding: bytes, as: UTF8.self).contains(text: stop.text) {
        proxy.stop = nil
        proxy.mode = .partition
        stop.told()
      }
      if let left = life {
        life = left - bytes.count
        if bytes.count >= left {
          let rest = Array(bytes[left...])
          bytes = Array(bytes[..<left])
          ends[side].waiting += bytes
          resume()
          return cut(late: side == 0 ? rest : [])
        }
      }
      ends[side].waiting += bytes
      resume()
    }

    func cut(late rest: [UInt8] = []) {
      if isCut { return }
      isCut = true
      proxy?.cutCount += 1
      client.reset()
      guard let server, let proxy, proxy.isLate() else { return finish() }
      server.handler = ends[1]
      ends[1].onBytes = { _ in }
      ends[0].waiting += rest
      let deliver = { [self] in
        ends[0].flush()
        // And a while to do it in.
        _ = proxy.world.loop.after(.milliseconds(20)) { [self] in finish() }
      }
      if proxy.isHeldBack {
        proxy.late.append(deliver)
      } else {
        _ = proxy.world.loop.after(proxy.random.duration(.milliseconds(1) ... .milliseconds(150)), deliver)
      }
    }

    func close() {
      if isCut { return }
      isCut = true
      client.close()
      finish()
    }

    private func finish() {
      server?.close()
      server = nil
      proxy?.pairs[ObjectIdentifier(self)] = nil
    }
  }

  /// Hands bytes to the other side's stream, as it takes them.
  private final class End: ByteStreamHandler {
    var stream: (any ByteStream)?
    var waiting: [UInt8] = []
    var onBytes: ([UInt8]) -> Void = { _ in }
    var onEnd: () -> Void = {}
    /// The other end may hand on.
    var onWritable: () -> Void = {}

    func flush() {
      guard let stream, !waiting.isEmpty else { return }
      let bytes = waiting
      let taken = stream.send(bytes.span)
      waiting.removeFirst(taken)
    }

    func byteStreamReceived(_ bytes: Span<UInt8>) { onBytes(bytes.withUnsafeBufferPointer { Array($0) }) }
    func byteStreamBecameWritable() { onWritable() }
    func byteStreamEnded() { onEnd() }
    func byteStreamFailed(_ failure: NetworkFailure) { onEnd() }
  }
}
