import Weir
import WeirCore

/// `weir webui -c host:port -p 3000`: the chat page for servers that run elsewhere.
enum WebUICommand {
  static let usualPort = 3000

  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    let backends = command.all("connect")
    guard !backends.isEmpty else {
      throw UsageFailure(
        "which server? -c HOST:PORT", hint: "weir webui -c localhost:8080 -p 3000", command: command.name)
    }
    let port = try command.number("port", in: 0...65535) ?? usualPort
    do {
      return try WebUIRun(backends: backends, host: command["host"] ?? "127.0.0.1", port: port).run()
    } catch {
      Terminal.complain(error)
      return 1
    }
  }
}
