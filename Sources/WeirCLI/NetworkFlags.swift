import WeirCore

/// The flags that open or narrow where a program may connect.
enum NetworkFlags {
  static func policy(_ command: ParsedCommand) throws(UsageFailure) -> NetworkPolicy {
    var policy = NetworkPolicy(
      allowHTTP: command.has("stream-allow-http"), allowPrivate: command.has("stream-allow-private"))
    for list in command.all("stream-allow-domains") {
      let names = list.split(separator: ",").map { $0.filter { $0 != " " } }.filter { !$0.isEmpty }
      // An empty list would mean every host, which nobody means by writing one.
      guard !names.isEmpty else { throw refusal("\"\(list)\" names none", command) }
      for name in names {
        guard let pattern = DomainPattern(name) else { throw refusal("\"\(name)\" is none", command) }
        policy.domains.append(pattern)
      }
    }
    return policy
  }

  private static func refusal(_ what: String, _ command: ParsedCommand) -> UsageFailure {
    UsageFailure(
      "--stream-allow-domains needs host names: \(what)", hint: "write them like a.com,*.b.com", command: command.name)
  }
}
