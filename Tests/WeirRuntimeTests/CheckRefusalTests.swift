/// Effect × the way it is reached: whatever brings an effect to a program, the report refuses it before anything runs.
///
/// A source of each effect, and each way there is to reach a function: called, inside a lambda, imported from a file, as a
/// tool of an agent, as the handler of a workflow, as a callback, kept in a record, in a constant of an import. The report
/// must name the effect, and a program without it must not.
import Testing

@testable import WeirLang

struct CheckRefusalTests {
  /// A call that has the effect, with what it needs to be in scope.
  static let effects: [(effect: String, imports: String, call: String)] = [
    ("IO", "import std/io (readLine)", "_ = readLine()"),
    ("FS", "import std/fs (readFile)", "_ = readFile(\"x\")"),
    ("Net", "import std/ai/streaming (callStream)", "_ = callStream(\"p\", \"m\", \"[]\")"),
    ("Stream", "import std/stream (connect)", "_ = connect(\"wss://x\", {headers: []})"),
    ("Process", "import std/process (spawnProcess)", "_ = spawnProcess(\"ls\", [])"),
    ("AI", "import std/ai/streaming (callStream)", "_ = callStream(\"p\", \"m\", \"[]\")"),
    ("Env", "", "_ = env(\"HOME\")"),
    ("Clock", "import std/clock (now)", "_ = now()"),
    ("Rand", "import std/rand (randInt)", "_ = randInt(1, 6)"),
    ("Store", "import test/more (append)", "append(\"x\")"),
    ("Serve", "import std/http as http", "http.Server([]).listen(80)"),
  ]

  /// `DO` is the call.
  static let ways: [(name: String, source: String)] = [
    ("directly", "func main() { DO }"),
    ("by three calls", "func a() { DO }\nfunc b() { a() }\nfunc c() { b() }\nfunc main() { c() }"),
    ("by a lambda", "func main() { let f = () => { DO }; f() }"),
    ("by a callback", "func run(f: () -> unit) { f() }\nfunc main() { run(() => { DO }) }"),
    ("by a callback of the library", "import std/list (map)\nfunc main() { map([1], (x) => { DO; x }) }"),
    ("by a field", "func main() { let r = {go: () => { DO }}; r.go() }"),
    ("by a list", "func main() { let fs = [() => { DO }]; fs[0]() }"),
    ("by a returned function", "func make() { () => { DO } }\nfunc main() { make()() }"),
    ("by an import", "import \"./lib.weir\" (go)\nfunc main() { go() }"),
    ("by a module's name", "import \"./lib.weir\" as lib\nfunc main() { lib.go() }"),
    ("by a constant", "let started = { DO; 1 }\nfunc main() { started }"),
    ("by a constant of an import", "import \"./constant.weir\" (one)\nfunc main() { one }"),
    ("by a default", "func one() -> int { DO; 1 }\nfunc f(n: int = one()) -> int { n }\nfunc main() { f() }"),
    ("by interpolation", "func t() -> string { DO; \"x\" }\nfunc main() { let s = \"${t()}\"; s }"),
    ("by a pipe", "func t(n: int) -> int { DO; n }\nfunc main() { 1 |> t }"),
    ("by defer", "func t() -> unit { DO }\nfunc main() { defer t() }"),
    ("by several at once", "func t() -> int { DO; 1 }\nfunc main() { t() || t() }"),
    ("by a loop at once", "func main() { for parallel x in [1] { DO } }"),
    ("by an arm", "func main() { match 1 { 1 => { DO }, _ => () } }"),
    ("by a guard of an arm", "func t() -> bool { DO; true }\nfunc main() { match 1 { n if t() => 1, _ => 2 } }"),
    ("by a branch that is never taken", "func main() { if false { DO } }"),
    ("by a script", "DO"),
    ("by a function of a script", "go()\nfunc go() { DO }"),
    (
      "by a stream's handler",
      "import std/stream as s\nfunc main() { match s.connect(\"wss://x\", {headers: []}) {\n"
        + "Ok(c) => s.onEvent(c, \\e. { DO; true }), Err(_) => () } }"
    ),
    (
      "by a tool",
      "tool look(q: string) -> string { \"\"\"looks\"\"\"\n DO\n q }\nprovider p { model: \"m\" }\n"
        + "agent A { provider: p, tools: [look] }\nfunc main() { _ = A.ask(\"x\") }"
    ),
    (
      "by a workflow's handler",
      "import std/http as h\n@post(\"/x\")\nworkflow W(m: string) -> string { DO\n m }\n"
        + "func main() { h.Server([W]).listen(80) }"
    ),
  ]

  /// No module of the library has the effect Store yet.
  static var library: Library {
    let source = "export extern func append(text: string) -> unit ! {Store}"
    return Bench.library + [LibraryModule(name: "test/more", source: source, natives: [])]
  }

  static func check(_ way: String, _ imports: String, _ call: String) -> CheckResult {
    let text = imports + "\n" + way.replacing("DO", with: call)
    let files = [
      "lib.weir": imports + "\nexport func go() { \(call) }",
      "constant.weir": imports + "\nexport let one = { \(call); 1 }",
    ]
    return Bench.check(text, name: "app.weir", files: files, library: library)
  }

  @Test(arguments: ways.map(\.name)) func everyEffectIsRefused(_ name: String) throws {
    let way = try #require(Self.ways.first { $0.name == name })
    for (effect, imports, call) in Self.effects {
      let result = Self.check(way.source, imports, call)
      #expect(
        !result.diagnostics.hasErrors,
        "\(effect) \(name): \(DiagnosticPrinter(result.sources).text(result.diagnostics))")
      let wanted = try #require(EffectSet(effect))
      #expect(result.effects.needed.contains(wanted), "\(effect) \(name) is not seen")
      // Everything else granted: the one that is missing is refused, with its name and the command. IO is always granted.
      let refusal = result.effects.missing(granted: EffectSet.all.subtracting(wanted))
      #expect((refusal == nil) == (effect == "IO"), "\(effect) \(name): \(refusal ?? "granted")")
      if let refusal { #expect(refusal.contains(" needs \(effect) (`"), "\(refusal)") }
      #expect(result.effects.missing(granted: .all) == nil)
    }
  }

  @Test(arguments: ways.map(\.name)) func nothingIsNeededWithoutIt(_ name: String) throws {
    let way = try #require(Self.ways.first { $0.name == name })
    let result = Self.check(way.source, "", "_ = 1")
    #expect(!result.diagnostics.hasErrors, "\(DiagnosticPrinter(result.sources).text(result.diagnostics))")
    let own = EffectSet.all.subtracting(result.effects.needed)
    for effect in ["FS", "Process", "Env", "Clock", "Rand", "Store"] {
      #expect(own.contains(try #require(EffectSet(effect))), "\(effect) \(name)")
    }
  }

  @Test func everyEffectHasARow() {
    #expect(Set(Self.effects.map(\.effect)) == Set(EffectSet.names))
  }

  /// A declared row that lacks the effect is refused by the checker itself, wherever the effect comes from.
  @Test func aRowThatLacksItIsAnError() {
    for (effect, imports, call) in Self.effects {
      for way in ["func main() -> unit ! {} { DO }", "func a() { DO }\nfunc main() -> unit ! {} { a() }"] {
        let result = Self.check(way, imports, call)
        #expect(result.diagnostics.contains { $0.code == "E0501" }, "\(effect)")
      }
    }
  }
}
