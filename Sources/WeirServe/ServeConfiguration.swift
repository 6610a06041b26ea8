import WeirCore

/// What whoever starts the server decides. Every limit has its reason here and its test in `WeirServeTests`.
package struct ServeConfiguration: Sendable {
  /// The chat page at `/`.
  package var ui = false
  /// Whoever reaches the server may create, append to and delete streams. With a `token` those who have it may.
  package var publicStreams = false
  /// Where streams are, each `/…` without a `/` at its end (`--streams-root` adds one).
  package var streamRoots = ["/streams"]
  /// How long a request waits for something to come to a stream (`--long-poll-timeout`): under the usual 30 to 60 s
  /// after which proxies give up.
  package var longPollTimeout = Duration.seconds(25)
  /// After so long the protocol's event streams are closed at a good place, and clients come back (protocol, 10.2).
  package var eventsDuration = Duration.seconds(60)
  /// One answer with what there is of a stream: large enough to be worth a request, small enough for many at once.
  package var chunkLimit = 256 << 10
  /// Signs links to one stream (`WEIR_LINK_SECRET`). nil: there are none.
  package var linkSecret: [UInt8]?
  /// Clients may subscribe to streams (`--subscriptions`).
  package var subscriptions = false
  /// What webhooks and the tokens of workers are signed with, the same after a restart. nil: random ones.
  package var subscriptionKeys: SubscriptionKeys?
  /// Webhooks may be on this machine, and without TLS there (`--local-webhooks`).
  package var localWebhooks = false
  /// Clients reach the server by https.
  package var isSecure = false
  /// Everything but `/healthz` and `/readyz` needs it. nil: no check.
  package var token: String?
  /// Names in `Host` that are answered; empty = any. A server on loopback should name its loopback names, or a page
  /// anywhere can reach it by a DNS name that it points at 127.0.0.1 (DNS rebinding). `--allow-host` adds
  /// to these, for a proxy that passes the name on that clients asked for.
  package var hosts: [String] = []
  /// Origins besides the server's own whose pages may start and stop runs, and read and write streams (`--allow-origins`).
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
