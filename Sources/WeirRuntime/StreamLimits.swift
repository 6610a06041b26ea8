import WeirCore
import WeirFlow
import WeirNet

/// What a program's connections, sources and event loops may take (spec/streams.md, Defaults and limits).
package struct StreamLimits: Sendable {
  /// Nothing delivered for so long ends a loop: `--stream-idle-timeout`; nil: never.
  package var idleTimeout: Duration? = .seconds(60)
  /// One loop call: `--stream-max-duration`; nil: as long as it takes.
  package var maxDuration: Duration? = .seconds(300)
  /// A WebSocket message, in and out: `--stream-max-message`.
  package var messageBytes = 1 << 20
  /// One server-sent event: `--stream-max-message`.
  package var eventBytes = 16 << 20
  /// Name, TCP, TLS, handshake and the head of the answer together.
  package var connectTimeout = Duration.seconds(30)
  /// Connections of one program at a time.
  package var connections = 64
  /// Events that wait on a connection; then its socket is not read.
  package var connectionQueue = 1_000
  /// The same for standard input, processes and timers.
  package var sourceQueue = 100
  package init() {}

  package static let messageRange = 1...(1 << 30)

  var deadlines: SelectLoop.Deadlines { .init(idle: idleTimeout, duration: maxDuration) }
}
