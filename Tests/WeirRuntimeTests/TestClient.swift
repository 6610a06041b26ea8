import WeirCore
import WeirTesting

/// One connection of a plain HTTP/1.1 client over the simulated network, and what came back on it.
final class TestClient: ByteStreamHandler {
  private(set) var received: [UInt8] = []
  /// The connection is over, cleanly or not.
  private(set) var isEnded = false
  private(set) var failure: NetworkFailure?
  /// Called when there is more to look at: bytes, or the end.
  var onChange: (() -> Void)?
  private var outgoing: [UInt8] = []
  private var stream: (any ByteStream)?
  private let network: SimulatedNetwork
  private let port: Int

  init(_ network: SimulatedNetwork, port: Int = 8080) {
    self.network = network
    self.port = port
  }

  func send(_ method: String, _ target: String, _ body: String? = nil, headers: String = "") {
    var text = "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\(headers)"
    if let body { text += "Content-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n" }
    outgoing = Array((text + "\r\n" + (body ?? "")).utf8)
    _ = network.connect(
      SocketAddress(host: "127.0.0.1", port: port), tls: nil, timeout: .seconds(5)
    ) { [self] result in
      switch result {
      case .success(let stream):
        stream.handler = self
        self.stream = stream
        byteStreamBecameWritable()
      case .failure(let failure): over(failure)
      }
    }
  }

  /// Goes away without a word.
  func leave() {
    stream?.reset()
    stream = nil
  }

  var isReading: Bool {
    get { stream?.isReading ?? false }
    set { stream?.isReading = newValue }
  }

  // MARK: The connection

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    for index in bytes.indices { received.append(bytes[index]) }
    onChange?()
  }
  func byteStreamBecameWritable() {
    while let stream, !outgoing.isEmpty {
      let taken = stream.send(outgoing.span)
      outgoing.removeFirst(taken)
      if taken == 0 { return }
    }
  }
  func byteStreamEnded() {
    stream?.close()
    over(nil)
  }
  func byteStreamFailed(_ failure: NetworkFailure) { over(failure) }

  private func over(_ failure: NetworkFailure?) {
    isEnded = true
    self.failure = failure
    stream = nil
    onChange?()
  }

  // MARK: The answer

  var text: String { String(decoding: received, as: UTF8.self) }

  private struct Head {
    var status: Int?
    var fields: [(name: String, value: String)]
    var end: Int
  }

  /// Read once: answers come in many small pieces.
  private var knownHead: Head?

  private var head: Head? {
    if let knownHead { return knownHead }
    guard let end = received.indices.first(where: { received[$0...].starts(with: [13, 10, 13, 10]) }) else {
      return nil
    }
    let lines = String(decoding: received[..<end], as: UTF8.self).split(separator: "\r\n")
    let fields = lines.dropFirst().map { line in
      let parts = line.split(separator: ":", maxSplits: 1)
      return (name: parts[0].lowercased(), value: String((parts.count == 2 ? parts[1] : "").drop { $0 == " " }))
    }
    knownHead = Head(status: Int(lines[0].split(separator: " ").dropFirst().first ?? ""), fields: fields, end: end + 4)
    return knownHead
  }

  var status: Int? { head?.status }

  subscript(_ name: String) -> String? { head?.fields.first { $0.name == name.lowercased() }?.value }

  /// As far as it has come, without its chunks' frames; `isWhole` says whether there will be more.
  var body: [UInt8] { unframed.bytes }
  var isWhole: Bool { unframed.isWhole }
  var json: JSONValue? { try? JSONValue.parse(body) }

  private var unframed: (bytes: [UInt8], isWhole: Bool) {
    guard let head else { return ([], false) }
    var rest = received[head.end...]
    guard self["Transfer-Encoding"] == "chunked" else {
      let length = self["Content-Length"].flatMap { Int($0) } ?? 0
      return (Array(rest.prefix(length)), rest.count >= length)
    }
    var plain: [UInt8] = []
    while let end = rest.firstIndex(of: 13), let size = Int(String(decoding: rest[..<end], as: UTF8.self), radix: 16) {
      if size == 0 { return (plain, true) }
      let start = end + 2
      guard start <= rest.endIndex else { break }
      plain += rest[start...].prefix(size)
      guard rest.endIndex >= start + size + 2 else { break }
      rest = rest[(start + size + 2)...]
    }
    return (plain, false)
  }
}
