import Weir
import WeirCore
import WeirRuntime

/// The flags that say which processes a program may start, and what they may take; `weir.toml` says it for those that
/// are not given.
enum ProcessFlags {
  static func policy(_ command: ParsedCommand) throws(UsageFailure) -> ProcessPolicy {
    var policy = ProcessPolicy()
    if let count = try command.number("process-limit", in: ProcessPolicy.liveRange) { policy.liveLimit = count }
    if let bytes = try command.number("process-max-output", in: ProcessPolicy.outputRange) {
      policy.outputLimit = bytes
    }
    if let time = try command.duration("process-timeout") { policy.timeout = time == .zero ? nil : time }
    return policy
  }

  /// Looks the names up, once and for all.
  static func add(_ command: ParsedCommand, _ project: Project, to policy: inout ProcessPolicy) throws(AllowlistFailure)
  {
    policy.passedVariables = command.list("process-env") ?? project.passedVariables
    guard let names = command.list("process-allowlist") ?? project.allowedProcesses else { return }
    policy.allowlist = try ProcessAllowlist(looking: names)
  }
}

extension ParsedCommand {
  /// Texts between commas.
  fileprivate func list(_ option: String) -> [String]? {
    self[option]?.split(separator: ",").map { String($0).trimmed }
  }
}
