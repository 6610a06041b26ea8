import WeirCore

/// The opening handshake (RFC 6455 4): a client's request as bytes, a server's answer as a verdict, and the other way
/// round. Pure; the sockets, redirects and deadlines around it are the drivers'.
package struct WebSocketHandshake: Sendable {
  /// What both sides agreed on.
  package struct Agreement: Hashable, Sendable {
    package var subprotocol: String?
    package var deflate: PermessageDeflate?
    package init(subprotocol: String? = nil, deflate: PermessageDeflate? = nil) {
      self.subprotocol = subprotocol
      self.deflate = deflate
    }
  }

  /// What the server must do with the key, so that no other kind of server accepts by accident.
  package static func accept(key: String) -> String {
    Base64.encode(SHA1.hash(Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)))
  }

  // MARK: Client

  private let key: String
  private let subprotocols: [String]
  private let offersDeflate: Bool
  private let headers: [HTTPField]

  /// A request with the caller's `headers`; throws where one of them cannot be sent. `nonce`: 128 random bits, fresh
  /// for each request.
  package init(
    headers: [HTTPField], subprotocols: [String], offersDeflate: Bool = true, nonce: (UInt64, UInt64)
  ) throws(WebSocketHandshakeFailure) {
    var (ours, names) = ([HTTPField](), subprotocols)
    for field in headers {
      guard !field.name.isEmpty, field.name.utf8.allSatisfy(\.isTokenCharacter),
        !field.value.utf8.contains(where: { $0 < .space && $0 != .tab || $0 == 0x7F })
      else { throw .badHeader(field.name, "it holds characters that no header may") }
      if field.name.matches("sec-websocket-protocol") {
        names += field.value.split(separator: ",").map { String($0.trimmed) }
      } else if Self.owned.contains(where: { field.name.matches($0) }) {
        throw .badHeader(field.name, "it belongs to the handshake")
      } else {
        ours.append(field)
      }
    }
    for name in names where name.isEmpty || !name.utf8.allSatisfy(\.isTokenCharacter) {
      throw .badSubprotocol(name)
    }
    guard Set(names).count == names.count else { throw .badSubprotocol(names.joined(separator: ", ")) }
    self.headers = ours
    self.subprotocols = names
    self.offersDeflate = offersDeflate
    key = Base64.encode(
      [nonce.0, nonce.1].flatMap { word in
        stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> UInt64($0)) }
      })
  }

  private static let owned: [StaticString] = [
    "host", "upgrade", "connection", "content-length", "transfer-encoding", "sec-websocket-key",
    "sec-websocket-version", "sec-websocket-extensions", "sec-websocket-accept",
  ]

  /// `authority` is host and, where it is not the scheme's, port; `target` path and query.
  package func request(authority: String, target: String) -> [UInt8] {
    var text = "GET \(target) HTTP/1.1\r\nHost: \(authority)\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    text += "Sec-WebSocket-Key: \(key)\r\nSec-WebSocket-Version: 13\r\n"
    if offersDeflate { text += "Sec-WebSocket-Extensions: \(PermessageDeflate.offer)\r\n" }
    if !subprotocols.isEmpty { text += "Sec-WebSocket-Protocol: \(subprotocols.joined(separator: ", "))\r\n" }
    for field in headers { text += "\(field.name): \(field.value)\r\n" }
    return Array((text + "\r\n").utf8)
  }

  /// What a `101` agrees to, or why it is none (RFC 6455 4.1).
  package func agreement(_ head: HTTPResponseHead) throws(WebSocketHandshakeFailure) -> Agreement {
    guard head.status == 101 else { throw .notWebSocket("it answered \(head.status)") }
    guard head.list("upgrade").count == 1, head.list("upgrade")[0].matches("websocket") else {
      throw .notWebSocket("its answer upgrades to something else")
    }
    guard head.list("connection").contains(where: { $0.matches("upgrade") }) else {
      throw .notWebSocket("its answer has no Connection: Upgrade")
    }
    guard head.values("sec-websocket-accept") == [Self.accept(key: key)] else {
      throw .notWebSocket("its Sec-WebSocket-Accept does not fit the request")
    }
    var agreement = Agreement()
    let chosen = head.values("sec-websocket-protocol")
    if let name = chosen.first {
      guard chosen.count == 1, subprotocols.contains(name) else {
        throw .notWebSocket("it chose a subprotocol that was not offered")
      }
      agreement.subprotocol = name
    }
    let extensions = head.values("sec-websocket-extensions").joined(separator: ", ")
    do throws(WebSocketFailure) {
      agreement.deflate = try PermessageDeflate.agreed(answer: extensions)
    } catch { throw .notWebSocket(error.message) }
    if agreement.deflate != nil, !offersDeflate { throw .notWebSocket("it compresses though nobody asked") }
    return agreement
  }

  // MARK: Server

  /// A server's answer to a client's handshake.
  package struct Acceptance: Sendable {
    package var agreement: Agreement
    /// For the `101`.
    package var headers: [HTTPField]
  }

  /// True if the request means WebSocket, well or badly.
  package static func isAsked(_ field: (String) -> String?) -> Bool {
    field("Upgrade").map { $0.split(separator: ",").contains { $0.trimmed.matches("websocket") } } ?? false
  }

  /// Checks a request and picks what to agree on. `field` gives all values of a header joined by ", ".
  /// `subprotocols` are those that this server speaks, the best first.
  package static func accept(
    method: String, field: (String) -> String?, subprotocols: [String] = [], allowsDeflate: Bool = true
  ) throws(WebSocketHandshakeFailure) -> Acceptance {
    guard method == "GET" else { throw .badRequest("a WebSocket is opened with GET, not \(method)") }
    guard isAsked(field) else { throw .badRequest("the request has no Upgrade: websocket") }
    guard (field("Connection") ?? "").split(separator: ",").contains(where: { $0.trimmed.matches("upgrade") }) else {
      throw .badRequest("the request has no Connection: Upgrade")
    }
    guard let version = field("Sec-WebSocket-Version"), version == "13" else { throw .version }
    guard let key = field("Sec-WebSocket-Key"), Base64.decode(key)?.count == 16 else {
      throw .badRequest("Sec-WebSocket-Key is not 16 bytes of base64")
    }
    var agreement = Agreement()
    var headers: [HTTPField] = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept(key: key))]
    if let offered = field("Sec-WebSocket-Protocol") {
      let names = offered.split(separator: ",", omittingEmptySubsequences: false).map { String($0.trimmed) }
      guard names.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(\.isTokenCharacter) }) else {
        throw .badRequest("Sec-WebSocket-Protocol is not a list of names")
      }
      agreement.subprotocol = subprotocols.first { names.contains($0) }
      if let name = agreement.subprotocol { headers.append(("Sec-WebSocket-Protocol", name)) }
    }
    do throws(WebSocketFailure) {
      if allowsDeflate, let accepted = try PermessageDeflate.accept(offers: field("Sec-WebSocket-Extensions") ?? "") {
        agreement.deflate = accepted.agreed
        headers.append(("Sec-WebSocket-Extensions", accepted.answer))
      }
    } catch { throw .badRequest(error.message) }
    return Acceptance(agreement: agreement, headers: headers)
  }
}

/// Why no WebSocket came to be. `status` is what a server answers.
package enum WebSocketHandshakeFailure: Failure, Equatable {
  case badHeader(String, String)
  case badSubprotocol(String)
  /// The server's answer.
  case notWebSocket(String)
  /// The client's request.
  case badRequest(String)
  case version

  package var status: Int { self == .version ? 426 : 400 }

  package var code: String {
    switch self {
    case .badHeader: "BadHeader"
    case .badSubprotocol: "BadSubprotocol"
    case .notWebSocket: "NotWebSocket"
    case .badRequest: "BadRequest"
    case .version: "WebSocketVersion"
    }
  }
  package var message: String {
    switch self {
    case .badHeader(let name, let why): "the header \"\(name)\" cannot be sent: \(why)"
    case .badSubprotocol(let name): "\"\(name)\" is not a subprotocol's name, or is there twice"
    case .notWebSocket(let why): "the server does not accept the WebSocket: \(why)"
    case .badRequest(let why): why
    case .version: "only version 13 of WebSocket is spoken here"
    }
  }
  package var hint: String? {
    switch self {
    case .version: "send Sec-WebSocket-Version: 13"
    default: nil
    }
  }
}

extension HTTPResponseHead {
  /// All values of a field in order.
  fileprivate func values(_ name: StaticString) -> [String] {
    headers.filter { $0.name.matches(name) }.map(\.value)
  }

  /// The elements of a field that is a list.
  fileprivate func list(_ name: StaticString) -> [Substring] {
    values(name).flatMap { $0.split(separator: ",") }.map(\.trimmed)
  }
}
