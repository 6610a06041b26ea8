import Weir
import WeirCore

/// `weir streams VERB …`: lists, reads, follows, writes, forks and checks the streams of a store.
enum StreamsCommand {
  /// What each takes behind its name, and the options that are its own.
  private struct Verb {
    var name: String
    var operands: ClosedRange<Int>
    var usage: String
    var options: [String] = []
  }

  private static let verbs = [
    Verb(name: "ls", operands: 0...1, usage: "[PREFIX]", options: ["json"]),
    Verb(name: "tail", operands: 1...1, usage: "NAME", options: ["follow", "from"]),
    Verb(name: "cat", operands: 1...1, usage: "NAME"),
    Verb(name: "append", operands: 1...1, usage: "NAME", options: ["item", "json", "text", "binary", "store-sync"]),
    Verb(name: "close", operands: 1...1, usage: "NAME", options: ["abort"]),
    Verb(name: "rm", operands: 1...1, usage: "NAME"),
    Verb(name: "fork", operands: 2...2, usage: "FROM NAME", options: ["at"]),
    Verb(name: "link", operands: 1...1, usage: "NAME", options: ["rights", "expires", "url"]),
    Verb(name: "fsck", operands: 0...0, usage: ""),
  ]
  private static let common: Set<String> = ["store", "config", "help"]

  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    let job = try job(command)
    let store: StoreOptions
    do {
      store = try StoreFlags.options(command, Project.load(near: "streams", explicit: command["config"]))
    } catch let failure as UsageFailure {
      throw failure
    } catch {
      Terminal.complain(error)
      return 1
    }
    if store.choice == .memory {
      throw UsageFailure(
        "a store in memory is the process's own: there is nothing to look at", hint: "--store names a folder",
        command: command.name)
    }
    do {
      guard let job else { return try link(command, store) }
      return try StreamTool(job, in: store).run()
    } catch {
      Terminal.complain(error)
      return 1
    }
  }

  /// Prints an address for whoever may use one stream and nothing else. The stream need not exist yet.
  private static func link(_ command: ParsedCommand, _ store: StoreOptions) throws -> Int {
    let time = try command.duration("expires") ?? .seconds(3600)
    guard time >= .seconds(1) else { throw UsageFailure("--expires needs at least 1s", command: command.name) }
    var url = command["url"] ?? ""
    if !url.isEmpty {
      do {
        _ = try URLParts(url, schemes: ["http", "https"])
      } catch {
        throw UsageFailure("--url: \(error.message)", hint: "such as https://chat.example.com", command: command.name)
      }
      guard !url.contains(where: { $0 == "?" || $0 == "#" }) else {
        throw UsageFailure("--url is a server's address, without ? and #", command: command.name)
      }
    }
    while url.hasSuffix("/") { url.removeLast() }
    let variable = try ServerFlags.linkSecret()
    let link = try LinkSigning.link(command.operands[1], rights: command["rights"] ?? "r", for: time) {
      if let secret = try variable ?? LinkSigning.secret(in: store, mayMake: true) { return secret }
      throw LinkSigning.NoLink(
        message: "this store keeps no secret to sign links with",
        hint: "set \(LinkSigning.variable) here and for its servers")
    }
    Terminal.say(url + link + "\n")
    return 0
  }

  /// Nil: it needs no stream, `link`.
  private static func job(_ command: ParsedCommand) throws(UsageFailure) -> StreamTool.Job? {
    let word = command.operands[0]
    guard let verb = verbs.first(where: { $0.name == word }) else {
      let near = Spelling.nearest(to: word, among: verbs.map(\.name))
      throw UsageFailure(
        "`weir streams` has no \"\(word)\"", hint: near.map { "did you mean `weir streams \($0)`?" },
        command: command.name)
    }
    let names = Array(command.operands.dropFirst())
    guard verb.operands.contains(names.count) else {
      throw UsageFailure(
        "`weir streams \(verb.name)` takes \(verb.usage.isEmpty ? "no name" : verb.usage)", command: command.name)
    }
    for option in command.options where !common.contains(option) && !verb.options.contains(option) {
      throw UsageFailure("`weir streams \(verb.name)` has no option --\(option)", command: command.name)
    }
    switch verb.name {
    case "ls": return .list(prefix: names.first ?? "", json: command.has("json"))
    case "tail":
      return .tail(
        names[0], from: try command.number("from", in: 0...Int(Offset.limit)), follows: command.has("follow"))
    case "cat": return .cat(names[0])
    case "append":
      return .append(names[0], items: command.all("item"), contentType: try contentType(command))
    case "close": return .close(names[0], reason: command["abort"])
    case "rm": return .remove(names[0])
    case "link": return nil
    case "fork": return .fork(names[0], as: names[1], at: try command.number("at", in: 0...Int(Offset.limit)))
    default: return .check
    }
  }

  private static func contentType(_ command: ParsedCommand) throws(UsageFailure) -> String? {
    let types = [
      ("json", "application/json"), ("text", "text/plain; charset=utf-8"), ("binary", "application/octet-stream"),
    ].filter { command.has($0.0) }
    guard types.count < 2 else {
      throw UsageFailure("a stream holds one of --json, --text and --binary", command: command.name)
    }
    return types.first?.1
  }
}
