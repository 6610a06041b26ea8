import WeirCore
import WeirNet
import WeirStore
import WeirWire

/// The headers and the query of a request for a stream, read strictly: what is not understood is refused, not guessed
/// (Durable Streams Protocol, 5). Pure.
struct StreamQuery {
  enum Place: Equatable {
    case at(Offset)
    /// The tail, wherever that is.
    case now
  }

  enum Live: String {
    case longPoll = "long-poll"
    case events = "sse"
  }

  /// Nil: not said.
  var place: Place?
  var live: Live?
  var cursor: Int64?
  var format: OutputFormat?

  init(_ query: QueryString?) throws(ServeFailure) {
    guard let query else { return }
    let offsets = query.all("offset")
    guard offsets.count <= 1 else { throw .badOffset(String(offsets.joined(separator: ", ").prefix(60))) }
    if let text = offsets.first { place = try Self.place(text) }
    if let text = query["live"] {
      guard let live = Live(rawValue: text) else { throw .badQuery("live is long-poll or sse") }
      self.live = live
    }
    // Whatever else stands there counts as none: it only makes addresses differ.
    cursor = query["cursor"].flatMap { Int64($0) }.flatMap { $0 >= 0 ? $0 : nil }
    if let name = query["format"] {
      guard let format = OutputFormat(rawValue: name) else { throw .badFormat(name) }
      self.format = format
    }
  }

  /// `-1`, `now`, what this server sent as an offset or an event's id, or how the protocol's own server writes the beginning.
  static func place(_ text: String) throws(ServeFailure) -> Place {
    switch text {
    case "-1", "0000000000000000_0000000000000000": return .at(.start)
    case "now": return .now
    default: break
    }
    let id = try EventID(text)
    guard (id.run ?? "").utf8.allSatisfy({ $0.isPlain }) else { throw .badOffset(String(text.prefix(60))) }
    return .at(id.offset)
  }

  // MARK: Headers

  /// Only the word itself counts, in any case; anything else is as good as no header.
  static func isClosing(_ request: HTTPRequest) -> Bool { request["Stream-Closed"]?.lowercased() == "true" }

  /// All three headers, or none.
  static func producer(_ request: HTTPRequest) throws(ServeFailure) -> ProducerStamp? {
    let (id, epoch, sequence) = (request["Producer-Id"], request["Producer-Epoch"], request["Producer-Seq"])
    if id == nil, epoch == nil, sequence == nil { return nil }
    guard let id, let epoch, let sequence else {
      throw .badHeader("Producer-Id, Producer-Epoch and Producer-Seq go together")
    }
    guard !id.isEmpty, id.utf8.count <= StreamWriters.textLimit else {
      throw .badHeader("Producer-Id has 1 to \(StreamWriters.textLimit) bytes")
    }
    return ProducerStamp(
      id: id, epoch: try integer(epoch, "Producer-Epoch"), sequence: try integer(sequence, "Producer-Seq"))
  }

  static func sequence(_ request: HTTPRequest) throws(ServeFailure) -> String? {
    guard let text = request["Stream-Seq"] else { return nil }
    guard text.utf8.count <= StreamWriters.textLimit else {
      throw .badHeader("Stream-Seq has at most \(StreamWriters.textLimit) bytes")
    }
    return text
  }

  static func lifetime(_ request: HTTPRequest) throws(ServeFailure) -> StreamLifetime? {
    switch (request["Stream-TTL"], request["Stream-Expires-At"]) {
    case (nil, nil): return nil
    case (_?, _?): throw .badHeader("Stream-TTL and Stream-Expires-At exclude each other")
    case (let text?, nil):
      let seconds = try integer(text, "Stream-TTL")
      guard seconds <= UInt64(StreamLifetime.secondsLimit) else {
        throw .badHeader("Stream-TTL is at most \(StreamLifetime.secondsLimit) seconds")
      }
      return .idle(seconds: Int64(seconds))
    case (nil, let text?):
      guard let moment = Timestamp(text) else {
        throw .badHeader("Stream-Expires-At is a moment like 2026-01-31T12:00:00Z")
      }
      return .until(moment.milliseconds)
    }
  }

  static func contentType(_ request: HTTPRequest) throws(ServeFailure) -> String? {
    guard let text = request["Content-Type"], !text.isEmpty else { return nil }
    guard MediaType(text) != nil, text.utf8.count <= FileStreamStore.contentTypeLimit else {
      throw .badHeader("Content-Type is no media type, or longer than \(FileStreamStore.contentTypeLimit) bytes")
    }
    return text
  }

  /// Where to fork from. `name` finds the stream that a path on this server names.
  static func fork(_ request: HTTPRequest, _ name: (String) -> String?) throws(ServeFailure) -> StreamFork? {
    let (offset, sub) = (request["Stream-Fork-Offset"], request["Stream-Fork-Sub-Offset"])
    guard let written = request["Stream-Forked-From"] else {
      guard offset == nil, sub == nil else { throw .badHeader("a fork's offset needs Stream-Forked-From") }
      return nil
    }
    guard let path = try? URLPath.normalised(written), let text = name(path) else {
      throw .badHeader("Stream-Forked-From is the path of a stream on this server")
    }
    var fork: StreamFork
    do { fork = StreamFork(source: try StreamName(text)) } catch { throw .badStreamName(error.message) }
    if let offset {
      if case .at(let place) = try Self.place(offset) { fork.offset = place }
    }
    if let sub { fork.subOffset = try integer(sub, "Stream-Fork-Sub-Offset") }
    return fork
  }

  /// Digits without a leading zero, at most what JavaScript counts exactly.
  private static func integer(_ text: String, _ header: String) throws(ServeFailure) -> UInt64 {
    let digits = text.utf8
    guard (1...16).contains(digits.count), digits.allSatisfy({ (0x30...0x39).contains($0) }),
      digits.count == 1 || digits.first != 0x30, let value = UInt64(text), value <= (1 << 53) - 1
    else { throw .badHeader("\(header) is a whole number from 0 to 9007199254740991") }
    return value
  }
}

extension UInt8 {
  fileprivate var isPlain: Bool {
    switch self {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
    default: false
    }
  }
}
