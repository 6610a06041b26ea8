import WeirCore

/// What whoever starts the server decides. Every limit has its reason here and its test in `WeirServeTests`.
package struct ServeConfiguration: Sendable {
  /// The chat page at `/`.
  package var ui = false
  /// `POST /streams/<name>` appends its body as one item, and unknown streams come into being when they are named.
  /// Anyone who reaches the server can then write: for closed networks and benchmarks.
  package var publicStreams = false
  /// Everything but `/healthz` and `/readyz` needs it. nil: no check.
  package var token: String?
  /// Names in `Host` that are answered; empty = any. A server on loopback should name its loopback names, or a page
  /// anywhere can reach it by a DNS name that it points at 127.0.0.1 (DNS rebinding).
  package var hosts: [String] = []
  /// Origins besides the server's own whose pages may start and stop runs.
  package var origins: [String] = []
  /// A prompt with a few documents fits; larger is a mistake or an attack (`--max-body`).
  package var bodyLimit = 1 << 20
  /// A JSON answer is held in memory whole; tokens of the longest models' answers stay far below.
  package var replyLimit = 8 << 20
  /// Text of one session's history in one answer: more than anybody scrolls through.
  package var historyLimit = 4 << 20
  package var fanout = Fanout.Limits()
  package var index = RunIndex.Limits()

  package init() {}

  package static let loopbackHosts = ["localhost", "127.0.0.1", "[::1]"]
}
