import Weir
import WeirCore
import WeirRuntime

/// The flags and variables that say how to serve.
enum ServerFlags {
  /// `isResumed`: a run that is taken up, whose command was written down without its token. Should it serve, what is missing
  /// is said when it listens.
  static func options(_ command: ParsedCommand, isResumed: Bool = false) throws(UsageFailure) -> ServerOptions {
    var options = ServerOptions()
    options.host = command["host"] ?? options.host
    options.port = try port(command)
    options.insecure = command.has("insecure")
    options.serve.ui = command.has("ui")
    options.serve.publicStreams = command.has("public-streams")
    options.serve.token = command["token"]
    options.serve.subscriptions = command.has("subscriptions")
    options.serve.localWebhooks = command.has("local-webhooks")
    if !isResumed, options.serve.subscriptions, options.serve.token == nil, !options.serve.publicStreams {
      throw UsageFailure(
        "--subscriptions needs --token or --public-streams: whoever may write streams may subscribe",
        command: command.name)
    }
    if let bytes = try command.number("max-body", in: 1...(1 << 30)) { options.serve.bodyLimit = bytes }
    if let grace = try command.duration("grace") { options.grace = grace }
    if let lease = try command.duration("lease") {
      guard (.seconds(1)...Duration.seconds(86_400)).contains(lease) else {
        throw UsageFailure("--lease takes a time from 1s to 1d", command: command.name)
      }
      options.lease = lease
    }
    if let silence = try command.duration("heartbeat") { options.serve.fanout.heartbeat = silence }
    if let root = command["streams-root"] { options.serve.streamRoots.append(try streamsRoot(root, command)) }
    if let wait = try command.duration("long-poll-timeout") { options.serve.longPollTimeout = wait }
    options.serve.hosts = try list("allow-host", command, like: "chat.example.com", isHost)
    options.serve.origins = try list("allow-origins", command, like: "https://app.example", isOrigin)
    options.serve.linkSecret = try linkSecret()
    switch (command["tls-cert"], command["tls-key"]) {
    case (let certificate?, let key?): options.tls = ServerTLS(certificateFile: certificate, keyFile: key)
    case (nil, nil): break
    default: throw UsageFailure("--tls-cert and --tls-key go together", command: command.name)
    }
    if let token = options.serve.token, token.utf8.count < 8 {
      throw UsageFailure("--token is too short to be secret: at least 8 characters", command: command.name)
    }
    return options
  }

  private static func list(
    _ option: String, _ command: ParsedCommand, like example: String, _ isRight: (Substring) -> Bool
  ) throws(UsageFailure) -> [String] {
    guard let text = command[option] else { return [] }
    var items: [String] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      var item = part.drop { $0 == " " }
      while item.hasSuffix(" ") { item.removeLast() }
      guard isRight(item) else {
        throw UsageFailure("--\(option): \"\(item)\" is not like \(example)", command: command.name)
      }
      items.append(String(item))
    }
    return items
  }

  /// A name, perhaps with a port, as it stands in `Host`.
  private static func isHost(_ text: Substring) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } && !text.contains { "/@?#*".contains($0) }
  }

  /// As browsers write `Origin`: scheme and authority, nothing behind them. Anything else would never be matched.
  private static func isOrigin(_ text: Substring) -> Bool {
    for scheme in ["http://", "https://"] where text.hasPrefix(scheme) { return isHost(text.dropFirst(scheme.count)) }
    return false
  }

  private static func streamsRoot(_ text: String, _ command: ParsedCommand) throws(UsageFailure) -> String {
    var root = Substring(text)
    while root.utf8.count > 1, root.hasSuffix("/") { root = root.dropLast() }
    let parts = root.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
    // What URLs spell in one way only: RFC 3986, 2.3.
    let isPath = parts.allSatisfy { part in
      !part.isEmpty && part != "." && part != ".."
        && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._~".contains($0)) }
    }
    guard root.hasPrefix("/"), isPath else {
      throw UsageFailure("--streams-root \(text) is not a path like /v1/stream", command: command.name)
    }
    guard !["_weir", "healthz", "readyz"].contains(parts[0]) else {
      throw UsageFailure("--streams-root \(text): Weir itself answers there", command: command.name)
    }
    return String(root)
  }

  static func linkSecret() throws(UsageFailure) -> [UInt8]? {
    guard let text = Terminal.environment(LinkSigning.variable), !text.isEmpty else { return nil }
    guard text.utf8.count >= LinkSigning.secretLimit else {
      throw UsageFailure(
        "\(LinkSigning.variable) is too short to be secret: at least \(LinkSigning.secretLimit) characters",
        hint: "openssl rand -hex 32 makes a good one")
    }
    return Array(text.utf8)
  }

  private static func port(_ command: ParsedCommand) throws(UsageFailure) -> Int? {
    if let port = try command.number("port", in: 0...65535) { return port }
    guard let text = Terminal.environment("WEIR_PORT"), !text.isEmpty else { return nil }
    guard let port = Int(text), (0...65535).contains(port) else {
      throw UsageFailure("WEIR_PORT=\(text) is not a port from 0 to 65535", hint: "unset it, or set a number")
    }
    return port
  }
}
