import WeirCore
import WeirWire

/// A server's side of the opening handshake: a request that asks for a WebSocket, answered with one or with a refusal.
package struct WebSocketUpgrade {
  package var limits = WebSocketConnection.Limits()
  /// Those that are spoken here, the best first. A client that offers none of them gets none.
  package var subprotocols: [String] = []
  package var allowsDeflate = true
  /// What happens to a connection when the server stops.
  package var onClosing: (WebSocketConnection) -> Void = { $0.close(.goingAway) }
  private let loop: any Loop

  package init(loop: any Loop) {
    self.loop = loop
    limits.pingInterval = Self.pingInterval
  }

  /// A browser that lost its network sends no end.
  package static let pingInterval = Duration.seconds(30)

  package static func isAsked(_ request: HTTPRequest) -> Bool { WebSocketHandshake.isAsked { request[$0] } }

  /// May a page of this origin talk to the server? Programs send no `Origin`. A browser lets any page open a WebSocket
  /// anywhere, with the user's cookies: only this check keeps others out (RFC 6455 10.2).
  package static func isSameOrigin(_ request: HTTPRequest, or origins: [String] = []) -> Bool {
    guard let origin = request["Origin"]?.lowercased() else { return true }
    if origins.contains(where: { $0.lowercased() == origin }) { return true }
    let authority = origin.range(ofText: "://").map { origin[$0.upperBound...] }
    return authority.map { $0 == request["Host"]?.lowercased() ?? "" } ?? false
  }

  /// nil: the client was refused, or is gone. Who may connect was checked before.
  package func accept(_ request: HTTPRequest, _ responder: any HTTPResponder) -> WebSocketConnection? {
    let acceptance: WebSocketHandshake.Acceptance
    do throws(WebSocketHandshakeFailure) {
      acceptance = try WebSocketHandshake.accept(
        method: request.method, field: { request[$0] }, subprotocols: subprotocols, allowsDeflate: allowsDeflate)
    } catch {
      var headers = [(name: "Content-Type", value: "application/json")]
      if error == .version { headers.append(("Sec-WebSocket-Version", "13")) }
      responder.respond(status: error.status, headers: headers, body: ErrorBody.json(error))
      return nil
    }
    guard let upgrade = responder.upgrade(headers: acceptance.headers) else { return nil }
    let connection = WebSocketConnection(
      upgrade.stream, early: upgrade.early, agreement: acceptance.agreement, url: request.path, loop: loop, masks: nil,
      limits: limits)
    connection.onOver = { upgrade.ended() }
    upgrade.onClosing = { [weak connection, onClosing] in if let connection { onClosing(connection) } }
    return connection
  }
}
