import WeirCore
import WeirRuntime

/// The flags that bound what a program's connections, sources and event loops may take.
enum StreamFlags {
  static func limits(_ command: ParsedCommand) throws(UsageFailure) -> StreamLimits {
    var limits = StreamLimits()
    if let idle = try command.duration("stream-idle-timeout") { limits.idleTimeout = idle == .zero ? nil : idle }
    if let longest = try command.duration("stream-max-duration") {
      limits.maxDuration = longest == .zero ? nil : longest
    }
    if let bytes = try command.number("stream-max-message", in: StreamLimits.messageRange) {
      limits.messageBytes = bytes
      limits.eventBytes = bytes
    }
    return limits
  }
}
