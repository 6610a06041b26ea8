/// The capability report: what the entry reaches, by which way, and the line that refuses a run.
import Testing

@testable import WeirLang

struct CheckEffectTests {
  static let server = """
    import "io"
    import "http"
    provider main_model { api_key: env("KEY"), model: "m" }
    agent Writer { provider: main_model }
    @post("/api")
    workflow Stream(message: string, session_id: string) -> stream {
      return Writer.stream(message, session: session_id)
    }
    fn main() {
      server = http.Server([Stream])
      io.println("up")
      server.listen(8080)
    }
    """

  @Test func aRefusalIsOneLineThatCanBePasted() {
    let report = Bench.check(Self.server, name: "app.weir").effects
    #expect(
      report.missing(granted: [])
        == "main needs AI (`Writer.stream`, app.weir:7), Net (`Writer.stream`, app.weir:7), "
        + "Serve (`server.listen`, app.weir:12), Stream (`Writer.stream`, app.weir:7), which were not granted; "
        + "run: weir run --caps AI,IO,Net,Serve,Stream app.weir")
    #expect(report.needed.sorted == ["AI", "IO", "Net", "Serve", "Stream"])
  }

  @Test(arguments: [
    ("AI,Net,Serve,Stream", nil), ("all", nil),
    (
      "AI,Net,Stream",
      "main needs Serve (`server.listen`, app.weir:12), which was not granted; "
        + "run: weir run --caps AI,IO,Net,Serve,Stream app.weir"
    ),
  ])
  func ioIsAlwaysGranted(_ granted: String, _ refusal: String?) {
    let names = granted.split(separator: ",").map(String.init)
    let caps = granted == "all" ? EffectSet.all : names.compactMap { EffectSet($0) }.reduce(.none) { $0.union($1) }
    #expect(Bench.check(Self.server, name: "app.weir").effects.missing(granted: caps) == refusal)
  }

  @Test func onlyWhatTheEntryReachesCounts() {
    let text = """
      import std/fs (readFile)
      func quiet() { println("x") }
      func loud() { _ = readFile("x") }
      """
    #expect(Bench.check(text, entry: "quiet").effects.needed.sorted == ["IO"])
    #expect(Bench.check(text, entry: "loud").effects.needed.sorted == ["FS"])
  }

  @Test func importsRunTheirConstants() {
    let files = ["a.weir": "import std/fs (readFile)\nexport let text = readFile(\"x\")\nexport func f() -> int { 1 }"]
    let result = Bench.check("import \"./a.weir\" (f)\nfunc main() { f() }", files: files)
    #expect(result.effects.summary == ["FS: a.weir:2, a.weir -> readFile"])
  }

  @Test func nothingHidesAnEffect() {
    // Through a record, a list, a local, a returned function, a var, a default, a pipe, an interpolation.
    let programs = [
      "func main() { let r = {f: \\x. println(x)}; r.f(\"a\") }",
      "func main() { let fs = [\\x. println(x)]; fs[0](\"a\") }",
      "func main() { for f in [\\x. println(x)] { f(\"a\") } }",
      "func make() { \\x. println(x) }\nfunc main() { make()(\"a\") }",
      "func main() { var f = \\x. (); f = \\x. println(x); f(\"a\") }",
      "func say() -> string { println(\"x\"); \"y\" }\nfunc greet(n: string = say()) -> string { n }\nfunc main() { greet() }",
      "func main() { \"a\" |> println }",
      "func say() -> string { println(\"x\"); \"y\" }\nfunc main() { let t = \"${say()}\"; t }",
      "func main() { match Some(println) { Some(f) => f(\"x\"), None => () } }",
      "let say = println\nfunc main() { say(\"x\") }",
      "func run(f: () -> unit) { let g = f; g() }\nfunc main() { run(() => println(\"x\")) }",
      "import std/list (map)\nfunc main() { [\"a\"] |> map(println) }",
      "func twice(f: (() -> unit) -> unit) { f(() => println(\"x\")) }\nfunc main() { twice(\\g. g()) }",
      "func main() { defer println(\"x\") }",
      "type Box = Box((string) -> unit ! {IO})\nfunc main() { match Box(println) { Box(f) => f(\"x\") } }",
    ]
    for text in programs {
      let result = Bench.check(text)
      #expect(!result.diagnostics.hasErrors, "\(text) \(result.diagnostics)")
      #expect(result.effects.needed.contains(.io), "\(text)")
    }
  }

  @Test func aRowCannotBeEscaped() {
    let programs = [
      "func only(f: () -> unit ! {}) -> unit ! {} { f() }\nfunc main() { only(() => println(\"x\")) }",
      "type Box = Box((string) -> unit)\nfunc main() { match Box(println) { Box(f) => f(\"x\") } }",
      "func pass(f: (() -> unit ! {IO}) -> unit ! {}) -> unit ! {} { f(() => println(\"x\")) }\n"
        + "func inner(g: () -> unit ! {}) -> unit ! {} { g() }\nfunc main() { pass(inner) }",
      "pure func main() { println(\"x\") }",
      "func main() -> unit ! {} { let f = () => println(\"x\"); f() }",
    ]
    for text in programs { #expect(Bench.check(text).diagnostics.hasErrors, "\(text)") }
  }
}
