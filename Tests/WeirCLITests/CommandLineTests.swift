import Testing
import Weir
import WeirCore
import WeirLang
import WeirRuntime
import WeirTesting

@testable import WeirCLI

/// The command line as it is typed, and what is understood.
@Suite struct CommandLineTests {
  private func parse(_ line: String) -> Result<ParsedCommand, UsageFailure> {
    do throws(UsageFailure) {
      return .success(try CommandLineParser.parse(line.split(separator: " ").map(String.init), commands: Commands.all))
    } catch {
      return .failure(error)
    }
  }

  static let understood: [(line: String, operands: [String], rest: [String], options: [String: String])] = [
    ("run app.weir", ["app.weir"], [], [:]),
    ("run app.weir a -b --c", ["app.weir"], ["a", "-b", "--c"], [:]),
    ("run --caps AI,Net app.weir", ["app.weir"], [], ["caps": "AI,Net"]),
    ("run --caps=AI app.weir --port 1 x", ["app.weir"], ["x"], ["caps": "AI", "port": "1"]),
    ("run app.weir -- --caps all", ["app.weir"], ["--caps", "all"], [:]),
    ("run app.weir -p 80", ["app.weir"], [], ["port": "80"]),
    ("run --model= app.weir", ["app.weir"], [], ["model": ""]),
    ("run --model a=b app.weir", ["app.weir"], [], ["model": "a=b"]),
    ("run --model=a=b app.weir", ["app.weir"], [], ["model": "a=b"]),
    ("run --port 1 --port 2 app.weir", ["app.weir"], [], ["port": "2"]),
    ("check a b c --json", ["a", "b", "c"], [], ["json": ""]),
    ("serve --ui app.weir", ["app.weir"], [], ["ui": ""]),
    ("run --help", [], [], ["help": ""]),
    ("run -", ["-"], [], [:]),
    ("test", [], [], [:]), ("test a b --filter x --fail-fast", ["a", "b"], [], ["filter": "x", "fail-fast": ""]),
    ("doc", [], [], [:]), ("doc std/list sortBy --json", ["std/list", "sortBy"], [], ["json": ""]),
    ("new hello --template script", ["hello"], [], ["template": "script"]),
    ("fmt --check - a", ["-", "a"], [], ["check": ""]),
  ]

  /// What a run's journal says it was begun with works from any folder.
  @Test func whatIsRepeatedNamesFilesFromAnyFolder() throws {
    let line =
      "run --config my.toml --trace=t/spans.jsonl --token x --store=redis://u:p@h --caps all app.weir --config my.toml --tls-cert /abs.pem"
    let command = try parse(line).get()
    let here = Path.absolute("")
    #expect(
      RunCommand.repeated(command, ["weir"] + line.split(separator: " ").map(String.init)) == [
        "run", "--config", here + "/my.toml", "--trace", here + "/t/spans.jsonl", "--caps", "all", here + "/app.weir",
        "--config", here + "/my.toml", "--tls-cert", "/abs.pem",
      ])
    let own = "run --model=app.weir app.weir --config=own app.weir -- --config x"
    #expect(
      RunCommand.repeated(try parse(own).get(), ["weir"] + own.split(separator: " ").map(String.init)) == [
        "run", "--model", "app.weir", here + "/app.weir", "--config", here + "/own",
      ] + (try parse(own).get().rest))
  }

  @Test func whatIsUnderstood() throws {
    for (line, operands, rest, options) in Self.understood {
      let command = try parse(line).get()
      #expect(command.operands == operands && command.rest == rest, "\(line)")
      for (name, value) in options { #expect(command[name] == value, "\(line)") }
    }
  }

  static let refused: [(line: String, message: String, hint: String)] = [
    ("rnu app.weir", "there is no command \"rnu\"", "weir run"),
    ("run", "needs FILE", "weir help run"),
    ("run --", "needs FILE", "weir help run"),
    ("run --prot 1 a", "has no option --prot", "--port"),
    ("run --caps", "--caps needs a value", "weir help run"),
    ("run --ui=yes a", "--ui takes no value", "weir help run"),
    ("run -x a", "has no option -x", "weir help run"),
    ("run -p80 a", "has no option -p80", "weir help run"),
    ("serve a b", "takes no \"b\" here", "weir help serve"),
    ("version now", "takes no \"now\" here", "weir help version"),
    ("fmt", "needs FILE|DIR|-…", "weir help fmt"), ("fmt --chekc a", "has no option --chekc", "--check"),
    ("new", "needs NAME", "weir help new"), ("new a b", "takes no \"b\" here", "weir help new"),
    ("tset", "there is no command \"tset\"", "weir test"),
    ("test --filter", "--filter needs a value", "weir help test"),
    ("run --=1 a", "has no option --", "weir help run"),
  ]

  @Test func whatIsRefused() {
    for (line, message, hint) in Self.refused {
      switch parse(line) {
      case .success(let command): Issue.record("\(line) was understood: \(command)")
      case .failure(let failure):
        #expect(failure.message.contains(message), "\(line): \(failure.message)")
        #expect(failure.hint?.contains(hint) == true, "\(line): \(failure.hint ?? "-")")
      }
    }
  }

  static let flags: [(line: String, refusal: String?)] = [
    ("run --port 65535 a", nil), ("run --port 65536 a", "from 0 to 65535"), ("run --port -1 a", "from 0 to 65535"),
    ("run --port x a", "from 0 to 65535"), ("run --grace 1m30s a", nil), ("run --grace 5 a", "--grace needs a time"),
    ("run --grace -1s a", "--grace needs a time"), ("run --heartbeat soon a", "--heartbeat needs a time"),
    ("run --max-body 0 a", "from 1"), ("run --token short a", "at least 8"), ("run --token longenough a", nil),
    ("run --tls-cert c a", "go together"), ("run --tls-cert c --tls-key k a", nil), ("run --color never a", nil),
    ("run --color sometimes a", "auto, always or never"), ("run --net-timeout 2s a", nil),
    ("test --net-timeout 0 a", "more than no time"), ("run --net-timeout x a", "--net-timeout needs a time"),
    ("run --net-max-response 0 a", "from 1"), ("serve --net-max-response 5 a", nil),
    ("run --net-redirects 51 a", "to 50"),
    ("run --net-redirects 0 a", nil),
  ]

  @Test func flagsAreCheckedBeforeAnythingRuns() throws {
    for (line, refusal) in Self.flags {
      let command = try parse(line).get()
      var message: String?
      do throws(UsageFailure) {
        _ = try ServerFlags.options(command)
        var options = ProgramInstance.Options()
        try ProgramFlags.read(command, into: &options)
        try command.checkColor()
      } catch { message = error.message }
      #expect((message == nil) == (refusal == nil), "\(line): \(message ?? "-")")
      if let refusal { #expect(message?.contains(refusal) == true, "\(line): \(message ?? "-")") }
    }
  }

  @Test func capabilitiesByName() throws {
    #expect(try Capabilities.named("all") == .all)
    #expect(try Capabilities.named("AI, Net,") == EffectSet("AI")!.union(EffectSet("Net")!).union(.io))
    #expect(try Capabilities.named("") == .io)
    do throws(UsageFailure) {
      _ = try Capabilities.named("Nte")
      Issue.record("taken")
    } catch { #expect(error.hint?.contains("Net") == true) }
  }

  @Test func helpNamesEverything() {
    let overview = CommandLineParser.overview(Commands.all)
    for command in Commands.all {
      #expect(overview.contains("weir \(command.name)"))
      let help = CommandLineParser.help(command)
      for option in command.options { #expect(help.contains("--\(option.name)"), "\(command.name)") }
      #expect(Set(command.options.map(\.name)).count == command.options.count, "\(command.name)")
      let shorts = command.options.compactMap(\.short)
      #expect(Set(shorts).count == shorts.count, "\(command.name)")
    }
  }

  /// Stream flags: what is typed, and the limits that it means or what is wrong with it.
  @Test(arguments: [
    ("", "60 300 1048576 16777216"),
    ("--stream-idle-timeout 30s --stream-max-duration 1m30s", "30 90 1048576 16777216"),
    ("--stream-idle-timeout 0 --stream-max-duration 0", "none none 1048576 16777216"),
    ("--stream-max-message 5", "60 300 5 5"),
    ("--stream-idle-timeout soon", "--stream-idle-timeout needs a time"),
    ("--stream-max-duration -1s", "--stream-max-duration needs a time"),
    ("--stream-max-message 0", "--stream-max-message needs a number from 1 to 1073741824"),
  ])
  func streamFlags(_ line: String, _ meaning: String) throws {
    let command = try parse("run \(line) app.weir").get()
    do throws(UsageFailure) {
      let limits = try StreamFlags.limits(command)
      let times = [limits.idleTimeout, limits.maxDuration].map {
        $0.map { "\($0.nanoseconds / 1_000_000_000)" } ?? "none"
      }
      #expect("\(times.joined(separator: " ")) \(limits.messageBytes) \(limits.eventBytes)" == meaning)
    } catch {
      #expect(error.message.hasPrefix(meaning))
    }
  }

  @Test func whereAProgramMayConnect() throws {
    func policy(_ flags: String) throws -> NetworkPolicy { try NetworkFlags.policy(parse("run \(flags) a.weir").get()) }
    #expect(try policy("") == NetworkPolicy())
    #expect(try policy("--stream-allow-http") == NetworkPolicy(allowHTTP: true))
    #expect(try policy("--stream-allow-private") == NetworkPolicy(allowPrivate: true))
    let domains = try policy("--stream-allow-domains A.com,*.b.com --stream-allow-domains [::1]").domains
    #expect(domains.map(\.description) == ["a.com", "*.b.com", "::1"])
    for list in ["=", "=,", "=a.com,b/c", "=http://a.com", "=*", "=127.1", "=a.com:80"] {
      #expect("\(list)") { _ = try policy("--stream-allow-domains\(list)") } throws: {
        ($0 as? UsageFailure)?.message.contains("--stream-allow-domains needs host names") == true
      }
    }
  }
}
