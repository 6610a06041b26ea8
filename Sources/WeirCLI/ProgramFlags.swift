import WeirCore
import WeirRuntime

/// The flags that say how a program runs, wherever it is run: `run`, `serve`, `test`.
enum ProgramFlags {
  static func read(_ command: ParsedCommand, into options: inout ProgramInstance.Options) throws(UsageFailure) {
    options.provider = command["ai"]
    options.model = command["model"]
    options.streams = try StreamFlags.limits(command)
    options.network = try NetworkFlags.policy(command)
    options.processes = try ProcessFlags.policy(command)
    if let time = try command.duration("net-timeout") {
      guard time > .zero else { throw UsageFailure("--net-timeout needs more than no time", command: command.name) }
      options.net.timeout = time
    }
    if let bytes = try command.number("net-max-response", in: 1...(1 << 30)) { options.net.response = bytes }
    if let count = try command.number("net-redirects", in: 0...50) { options.net.redirects = count }
  }
}
