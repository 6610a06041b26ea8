import Weir
import WeirCore
import WeirFlow
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

  /// `--record`, `--replay` and `--speed`. Reads the recording: what is wrong with it is told before anything runs.
  static func recording(_ command: ParsedCommand, into options: inout ProgramInstance.Options) throws {
    options.record = command["record"]
    if options.record != nil, command.has("replay") {
      throw UsageFailure("--record and --replay exclude each other", command: command.name)
    }
    if let text = command["speed"] {
      guard command.has("replay") else { throw UsageFailure("--speed is for --replay", command: command.name) }
      guard let speed = Double(text), speed.isFinite, speedRange.contains(speed) else {
        throw UsageFailure(
          "--speed needs a number from 0.001 to 1000 (1: as it was), not \"\(text)\"", command: command.name)
      }
      options.replaySpeed = speed
    }
    if let path = command["replay"] { options.replay = try Recording.load(path) }
  }

  private static let speedRange = 0.001...1000.0
}
