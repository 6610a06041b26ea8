/// permessage-deflate (RFC 7692): what the two ends of a connection agree to, and how they say it in
/// `Sec-WebSocket-Extensions`. Pure values; the compressing itself is `Inflater`'s and `Deflater`'s.
package struct PermessageDeflate: Hashable, Sendable {
  /// Messages that one side sends.
  package struct Direction: Hashable, Sendable {
    /// Base-two logarithm of the window, 8 ... 15.
    package var windowBits = 15
    /// Each message stands alone ("no context takeover").
    package var forgets = false
    package init() {}
  }

  package var client = Direction()
  package var server = Direction()

  package init() {}

  static let name = "permessage-deflate"

  /// What a client asks for: defaults, and the server may say how large the client's window must be.
  package static let offer = "permessage-deflate; client_max_window_bits"

  /// Messages shorter than this are sent as they are: they fit one packet either way, and deflating costs more than
  /// the bytes it saves.
  package static let worthwhileBytes = 1024

  // MARK: Server

  /// The first of a client's offers that can be met, and the answer; nil: none, so nothing is compressed.
  package static func accept(offers header: String) throws(WebSocketFailure) -> (
    agreed: PermessageDeflate, answer: String
  )? {
    for offer in try WebSocketExtension.list(header) where offer.name == name {
      if let agreed = try? PermessageDeflate(offer: offer) { return (agreed, agreed.answer(to: offer)) }
    }
    return nil
  }

  private init(offer: WebSocketExtension) throws(WebSocketFailure) {
    for (name, value) in offer.parameters {
      switch name {
      case "server_no_context_takeover": server.forgets = try Self.flag(name, value)
      case "client_no_context_takeover": client.forgets = try Self.flag(name, value)
      case "server_max_window_bits":
        server.windowBits = try Self.bits(name, value)
        // zlib cannot deflate with a window of 2^8.
        if server.windowBits == 8 { throw .violation("a window of 256 bytes is not offered here") }
      case "client_max_window_bits":
        // Only says that the client would obey a limit; what it will use is known only if it says a value.
        if value != nil { client.windowBits = try Self.bits(name, value) }
      default: throw .violation("permessage-deflate has no parameter \(name)")
      }
    }
  }

  private func answer(to offer: WebSocketExtension) -> String {
    var answer = Self.name
    if server.forgets { answer += "; server_no_context_takeover" }
    if client.forgets { answer += "; client_no_context_takeover" }
    if server.windowBits < 15 { answer += "; server_max_window_bits=\(server.windowBits)" }
    if client.windowBits < 15 { answer += "; client_max_window_bits=\(client.windowBits)" }
    return answer
  }

  // MARK: Client

  /// What a server made of `offer`; nil: it does not compress. Whatever was not offered fails the connection.
  package static func agreed(answer header: String) throws(WebSocketFailure) -> PermessageDeflate? {
    let list = try WebSocketExtension.list(header)
    guard let answer = list.first else { return nil }
    guard list.count == 1, answer.name == name else {
      throw .violation("the server uses an extension that was not offered")
    }
    var agreed = PermessageDeflate()
    for (name, value) in answer.parameters {
      switch name {
      case "server_no_context_takeover": agreed.server.forgets = try flag(name, value)
      case "client_no_context_takeover": agreed.client.forgets = try flag(name, value)
      case "server_max_window_bits": agreed.server.windowBits = try bits(name, value)
      case "client_max_window_bits": agreed.client.windowBits = try bits(name, value)
      default: throw .violation("permessage-deflate has no parameter \(name)")
      }
    }
    return agreed
  }

  /// zlib refuses to deflate with a window of 2^8: such a client sends everything uncompressed.
  package static func canDeflate(_ direction: Direction) -> Bool { direction.windowBits > 8 }

  private static func flag(_ name: String, _ value: String?) throws(WebSocketFailure) -> Bool {
    guard value == nil else { throw .violation("\(name) takes no value") }
    return true
  }

  private static func bits(_ name: String, _ value: String?) throws(WebSocketFailure) -> Int {
    guard let value, !value.hasPrefix("0"), value.utf8.allSatisfy(\.isDigit), let bits = Int(value),
      (8...15).contains(bits)
    else { throw .violation("\(name) must be a number from 8 to 15") }
    return bits
  }
}

/// One element of `Sec-WebSocket-Extensions`: `name; parameter; parameter=value` (RFC 6455 9.1).
struct WebSocketExtension: Sendable {
  var name: String
  var parameters: [(name: String, value: String?)] = []

  /// Refuses what is not such a list, and an extension that says one thing twice.
  static func list(_ header: String) throws(WebSocketFailure) -> [WebSocketExtension] {
    var reader = Reader(bytes: Array(header.utf8))
    var list: [WebSocketExtension] = []
    while true {
      reader.skip { $0 == .comma || $0 == .space || $0 == .tab }
      if reader.isAtEnd { return list }
      var element = WebSocketExtension(name: try reader.token().lowercased())
      while reader.take(.semicolon) {
        let name = try reader.token().lowercased()
        let value = reader.take(.equalsSign) ? try reader.value() : nil
        if element.parameters.contains(where: { $0.name == name }) { throw .violation("\(name) is there twice") }
        element.parameters.append((name, value))
      }
      list.append(element)
      guard reader.isAtEnd || reader.take(.comma) else { throw Self.malformed }
    }
  }

  private static let malformed = WebSocketFailure.violation("Sec-WebSocket-Extensions is not a list of extensions")

  private struct Reader {
    let bytes: [UInt8]
    var position = 0

    var isAtEnd: Bool { position == bytes.count }

    mutating func skip(_ matches: (UInt8) -> Bool) {
      while position < bytes.count, matches(bytes[position]) { position += 1 }
    }

    mutating func skipBlanks() { skip { $0 == .space || $0 == .tab } }

    /// `byte` with optional white space around it.
    mutating func take(_ byte: UInt8) -> Bool {
      skipBlanks()
      guard position < bytes.count, bytes[position] == byte else { return false }
      position += 1
      skipBlanks()
      return true
    }

    mutating func token() throws(WebSocketFailure) -> String {
      let start = position
      skip(\.isTokenCharacter)
      guard position > start else { throw malformed }
      defer { skipBlanks() }
      return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    /// A token, or a quoted one.
    mutating func value() throws(WebSocketFailure) -> String {
      let isQuoted = position < bytes.count && bytes[position] == .quote
      if !isQuoted { return try token() }
      position += 1
      var text: [UInt8] = []
      while position < bytes.count, bytes[position] != .quote {
        if bytes[position] == .backslash { position += 1 }
        guard position < bytes.count, bytes[position].isTokenCharacter else { throw malformed }
        text.append(bytes[position])
        position += 1
      }
      guard position < bytes.count, !text.isEmpty else { throw malformed }
      position += 1
      skipBlanks()
      return String(decoding: text, as: UTF8.self)
    }
  }
}
