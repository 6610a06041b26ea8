/// A client's bytes in, requests out: HTTP/1.1 and 1.0 as RFC 9112 has them, read strictly.
///
/// Pure: no socket, no clock, no answer. Each request gives `.head` when its head is complete and `.end` with the whole
/// body; then the parser stops until `next` is called again, so that pipelined requests wait for their turn. Any cut of
/// the same bytes gives the same events and the same failure; a failed parser stays failed.
///
///     CRLF? method SP target SP version CRLF          lineLimit          ─┐
///     *( name ":" OWS value OWS CRLF )                lineLimit each      │ headLimit, fieldCountLimit
///     CRLF                                                               ─┘
///     body: none · Content-Length bytes · *( size [";" ext] CRLF data CRLF ) "0" CRLF trailers CRLF
///
/// Strict where readers have been played against each other: a line ends in CRLF and nothing else, no bare CR, no NUL,
/// no folded field, no space before a colon (framing rules: `HTTPRequestHead.frame`).
package struct HTTPRequestParser: Sendable {
  package struct Limits: Sendable {
    /// One line: what nginx and browsers agree on as the longest sensible URL or cookie.
    package var lineBytes = 8 << 10
    /// All lines of a head (or of the trailers) together.
    package var headBytes = 64 << 10
    /// Fields of a head or of the trailers; browsers send about 20, proxies add a few.
    package var fieldCount = 100
    /// Body as it arrives decoded; a chat request with a few pictures fits.
    package var bodyBytes = 16 << 20
    /// A chunk's size line; its extensions mean nothing to anybody.
    package var chunkLineBytes = 256
    /// Chunk size lines of one body together, beyond what the data itself justifies: many tiny chunks cost the sender
    /// more than us, endless extensions would not.
    package var chunkExtensionBytes = 16 << 10
    package init() {}
  }

  package enum Event: Sendable {
    case head(HTTPRequestHead)
    case end(body: [UInt8], trailers: [HTTPField])
  }

  private enum State {
    case requestLine, fields
    case length(Int)
    case chunkSize
    case chunkData(Int)
    case chunkEnd, trailers
    case failed(HTTPFailure)
  }

  private let limits: Limits
  private var state = State.requestLine
  private var lines: HTTPLineReader

  private var head = HTTPRequestHead()
  private var sawEmptyLine = false
  private var body: [UInt8] = []
  private var trailers: [HTTPField] = []
  private var extensionBytes = 0

  package init(limits: Limits = Limits()) {
    self.limits = limits
    lines = HTTPLineReader(
      lineLimit: limits.lineBytes, headLimit: limits.headBytes, fieldCountLimit: limits.fieldCount,
      chunkLineLimit: limits.chunkLineBytes)
  }

  /// Nothing of a request has arrived since the last `.end`.
  package var isBetweenRequests: Bool {
    if case .requestLine = state { lines.bufferedBytes == 0 } else { false }
  }

  /// Bytes that wait for `next`.
  package var bufferedBytes: Int { lines.bufferedBytes }

  /// Takes the bytes that wait out of the parser: what follows a request that switched protocols.
  package mutating func takeBuffered() -> [UInt8] { lines.takeBuffered() }

  package mutating func receive(_ bytes: Span<UInt8>) {
    // A large body goes straight to its place.
    if case .length(let rest) = state, lines.bufferedBytes == 0, bytes.count <= rest {
      bytes.withUnsafeBufferPointer { body.append(contentsOf: $0) }
      state = .length(rest - bytes.count)
      return
    }
    lines.receive(bytes)
  }

  /// The next event, or nil: needs more bytes.
  package mutating func next() throws(HTTPFailure) -> Event? {
    do throws(HTTPFailure) {
      return try advance()
    } catch {
      if case .failed = state {} else { state = .failed(error) }
      _ = lines.takeBuffered()
      body = []
      throw error
    }
  }

  private mutating func advance() throws(HTTPFailure) -> Event? {
    while true {
      switch state {
      case .requestLine:
        try refuseWhatIsNotHTTP()
        guard let line = try lines.takeLine(.start) else { return nil }
        if line.isEmpty {  // RFC 9112 2.2: one empty line before a request is forgiven
          if sawEmptyLine { throw .malformed("empty lines instead of a request") }
          sawEmptyLine = true
          lines.headBytes = 0
          continue
        }
        try readRequestLine(line)
        state = .fields

      case .fields:
        guard let line = try lines.takeLine(.field) else { return nil }
        if !line.isEmpty {
          head.headers.append(try lines.readField(line, after: head.headers.count))
          continue
        }
        try head.frame()
        switch head.body {
        case .none: state = .length(0)
        case .length(let count):
          if count > limits.bodyBytes { throw .bodyTooLarge(limit: limits.bodyBytes) }
          state = .length(count)
          body.reserveCapacity(min(count, Self.bodyReserve))
        case .chunked: state = .chunkSize
        }
        return .head(head)

      case .length(let rest):
        let count = lines.take(rest, to: &body)
        state = .length(rest - count)
        return rest == count ? end() : nil

      case .chunkSize:
        guard let line = try lines.takeLine(.chunk) else { return nil }
        let size = try readChunkSize(line)
        if size > limits.bodyBytes - body.count { throw .bodyTooLarge(limit: limits.bodyBytes) }
        if size == 0 { lines.headBytes = 0 }
        state = size == 0 ? .trailers : .chunkData(size)

      case .chunkData(let rest):
        let count = lines.take(rest, to: &body)
        state = rest == count ? .chunkEnd : .chunkData(rest - count)
        if rest > count { return nil }

      case .chunkEnd:
        guard try lines.takeChunkEnd() else { return nil }
        state = .chunkSize

      case .trailers:
        guard let line = try lines.takeLine(.field) else { return nil }
        if line.isEmpty { return end() }
        trailers.append(try lines.readField(line, after: trailers.count))

      case .failed(let failure):
        throw failure
      }
    }
  }
  private static let bodyReserve = 64 << 10

  private mutating func end() -> Event {
    let event = Event.end(body: body, trailers: trailers)
    state = .requestLine
    head = HTTPRequestHead()
    lines.headBytes = 0
    sawEmptyLine = false
    body = []
    trailers = []
    extensionBytes = 0
    lines.freeIfEmpty()
    return event
  }

  /// A first byte that no method starts with is answered at once, not after the head's deadline.
  private func refuseWhatIsNotHTTP() throws(HTTPFailure) {
    guard let first = lines.first else { return }
    if first == 0x16 { throw .malformed("this is TLS, and the port speaks plain HTTP") }
    guard first.isTokenCharacter || first == .carriageReturn else { throw .malformed("this is not an HTTP request") }
  }

  private mutating func readRequestLine(_ line: Range<Int>) throws(HTTPFailure) {
    let input = lines.input  // a second reference, so that reading it and writing the head don't overlap
    try input.withUnsafeBufferPointer { (input) throws(HTTPFailure) in
      let line = input.slice(line)
      let first = line.scan(for: .space)
      let second = line.firstIndex(of: .space, in: min(first + 1, line.count)..<line.count)
      guard 0 < first, first + 1 < second, second + 1 < line.count,
        line.firstIndex(of: .space, in: second + 1..<line.count) == line.count
      else { throw .malformed("the request line is not method, target and version with one space between") }
      let (method, target) = (line.slice(0..<first), line.slice(first + 1..<second))
      let version = line.slice(second + 1..<line.count)
      guard method.allSatisfy(\.isTokenCharacter) else { throw .malformed("the method is not a name") }
      guard version.count == 8, version.slice(0..<5).equals("HTTP/"), version[5].isDigit, version[6] == 0x2E,
        version[7].isDigit
      else { throw .malformed("the request line does not end in an HTTP version") }
      guard version[5] == 0x31, version[7] <= 0x31 else { throw .version }
      guard target.allSatisfy({ 0x21 <= $0 && $0 < 0x7F && $0 != 0x23 }) else {  // visible ASCII without #
        throw .malformed("the request target holds bytes that must be percent-encoded")
      }
      if method.count > Self.methodLimit { throw .notImplemented("no method has a name of this length") }
      head.method = String(decoding: method, as: UTF8.self)
      head.target = String(decoding: target, as: UTF8.self)
      head.minorVersion = version[7] == 0x31 ? 1 : 0
    }
    try head.readTarget()
  }
  /// The longest registered method has 17 letters.
  private static let methodLimit = 32

  private mutating func readChunkSize(_ line: Range<Int>) throws(HTTPFailure) -> Int {
    let (size, extensions) = try lines.readChunkSize(line)
    extensionBytes += extensions
    if extensionBytes > limits.chunkExtensionBytes { throw .malformed("too many chunk extensions") }
    return size
  }
}
