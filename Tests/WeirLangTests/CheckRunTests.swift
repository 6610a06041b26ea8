/// From text to output: what the checker lowers does what the language says. Programs are the tests; the library is
/// the language's own.
import Testing

@testable import WeirLang

struct CheckRunTests {
  struct Case: CustomTestStringConvertible, Sendable {
    var name: String
    var source: String
    var output: String
    var testDescription: String { name }
    init(_ name: String, _ source: String, _ output: String) {
      self.name = name
      self.source = source
      self.output = output
    }
  }

  static let cases = [
    Case("hello", #"func main() { println("hello") }"#, "hello\n"),
    Case(
      "arithmetic by type",
      #"func main() { println(show(7 / 2)); println(show(7.0 / 2)); println(show(2 ** 10 % 7 - -1)); println(show(1 < 2.5)) }"#,
      "3\n3.5\n3\ntrue\n"),
    Case(
      "interpolation and joining",
      #"func main() { let n = 3; println("n=${n} ${"in ${n + 1}"} " ++ "end" ++ show([1, 2] ++ [n])) }"#,
      "n=3 in 4 end[1, 2, 3]\n"),
    Case(
      "var, while, for",
      """
      func main() {
        var n = 0
        total = 0
        while n < 5 { n = n + 1; if n == 3 { continue }; if n == 5 { break }; total = total + n }
        for i in 0..=2 { total = total + i }
        for i, x in ["a", "b"] { print("${i}${x} ") }
        println(total)
      }
      """, "0a 1b 10\n"),
    Case(
      "patterns",
      """
      type Shape = Circle(float) | Rect(float, float) | Empty
      func area(s: Shape) -> float { match s { Circle(r) => r * r, Rect(w, h) if w == h => w * w, Rect(w, h) => w * h, Empty => 0.0 } }
      func sum(xs: [int]) -> int { match xs { [] => 0, x :: rest => x + sum(rest) } }
      func kind(p: (int, {a: string, b: int})) -> string { match p { (0, {a}) => a, (_, {b: 1, a}) => a ++ "!", (n, _) => show(n) } }
      func main() {
        println(area(Rect(2.0, 3.0)) + area(Circle(2.0)) + area(Empty))
        println(sum([1, 2, 3]))
        println(kind((0, {a: "x", b: 0})) ++ kind((1, {b: 1, a: "y"})) ++ kind((5, {a: "z", b: 2})))
        let (first, {left, right: (one, _)}) = (1, {left: "l", right: (7, 8)})
        println("${first}${left}${one}")
      }
      """, "10.0\n6\nxy!5\n1l7\n"),
    Case(
      "optional fields, updates, defaults and labels",
      """
      type Config = {url: string, retries?: int}
      func text(c: Config) -> string { match c.retries { Some(n) => c.url ++ show(n), None => c.url } }
      func greet(name: string, mark: string = "!", times: int = 1) -> string { name ++ mark ++ show(times) }
      func main() {
        let c = {url: "u"}
        println(text({url: "a"}) ++ text({url: "b", retries: 2}) ++ text(c) ++ text({url: "d", retries: nil}))
        let full: Config = {url: "e", retries: 5}
        println(text({full | url: "f"}))
        println(greet("x") ++ greet("y", times: 3) ++ greet(times: 2, name: "z", mark: "?"))
      }
      """, "ab2ud\nf5\nx!1y!3z?2\n"),
    Case(
      "arguments run in written order",
      """
      func say(x: string) -> string { print(x); x }
      func pair(a: string, b: string) -> string { a ++ b }
      func main() { println(pair(b: say("1"), a: say("2"))) }
      """, "1221\n"),
    Case(
      "failures are handed back",
      """
      import std/string (toInt)
      func add(a: string, b: string) -> Option[int] { let x = toInt(a)?; let y = toInt(b)?; Some(x + y) }
      func parse(a: string) -> Result[int, string] { match toInt(a) { Some(n) => Ok(n), None => Err("bad " ++ a) } }
      func twice(a: string) -> Result[int, string] { let n = parse(a)?; Ok(n * 2) }
      func main() { println("${add("1", "2")} ${add("1", "x")} ${twice("4")} ${twice("y")}") }
      """, "Some(3) None Ok(8) Err(\"bad y\")\n"),
    Case(
      "functions as values",
      """
      import std/list (map, filter, foldl)
      func inc(n: int) -> int { n + 1 }
      func apply[a, b](f: (a) -> b, x: a) -> b { f(x) }
      type Op = {name: string, run: (int) -> int}
      func main() {
        let add = \\a b. a + b
        let op = {name: "double", run: \\n. n * 2}
        println([1, 2, 3] |> map(inc) |> filter(\\x. x > 2) |> foldl(0, add))
        println(apply(op.run, 4) + op.run(1))
        println(apply(Some, 1))
      }
      """, "7\n10\nSome(1)\n"),
    Case(
      "methods",
      """
      func twice(n: int) -> int { n * 2 }
      func main() { println("abc".length() + [1, 2].length() + 3.twice()); println("a,b".split(",")) }
      """,
      "11\n[\"a\", \"b\"]\n"),
    Case(
      "globals and scripts run in order",
      """
      let factor = 10
      println("start")
      let size = compute(2)
      println(size)
      var n = size
      for i in 0..2 { n = n + i }
      let (a, b) = (n, "t")
      println("${a}${b}")
      bump()
      total = n * 2
      total = total + 1
      println(total)
      func bump() { n = n + 1 }
      func compute(x: int) -> int { print("c "); x * factor }
      """, "start\nc 20\n21t\n45\n"),
    Case(
      "maps and json",
      """
      import std/json (decode, JString, JNumber)
      func main() {
        let ages = {"ann": 1, "bob": 2}
        println("${ages["ann"]} ${ages["x"]}")
        for name, age in ages { print("${name}${age} ") }
        match decode("{\\"a\\": [1, {\\"b\\": \\"t\\"}]}") {
          Ok(j) => match j["a"][1]["b"] { JString(s) => println(s), _ => println("no") }
          Err(e) => println(e)
        }
      }
      """, "Some(1) None\nann1 bob2 t\n"),
    Case(
      "several at once",
      """
      func a() -> int { 1 }
      func b() -> string { "two" }
      func main() {
        println(a() || a() || 5)
        println(a() || b())
        println(parallel [a(), 3])
        let xs = for parallel x in [1, 2, 3] (limit 2) { x * 10 }
        println(xs)
        println(true || false)
      }
      """, "[1, 1, 5]\n(1, \"two\")\n[1, 3]\n[10, 20, 30]\ntrue\n"),
    Case(
      "closures see later assignments",
      """
      func main() {
        var n = 0
        let bump = () => { n = n + 1 }
        bump(); bump()
        println(n)
      }
      """, "2\n"),
    Case(
      "early return, defer, and recursion",
      """
      func find(xs: [int], wanted: int) -> string {
        defer print("[left]")
        for i, x in xs { if x == wanted { return "at ${i}" } }
        "nowhere"
      }
      func even(n: int) -> bool { if n == 0 then true else odd(n - 1) }
      func odd(n: int) -> bool { if n == 0 then false else even(n - 1) }
      func main() { println(find([5, 6], 6)); println(find([], 1)); println(even(100000)) }
      """, "[left]at 1\n[left]nowhere\ntrue\n"),
  ]

  @Test(arguments: cases)
  func output(_ test: Case) throws {
    let result = Checker.check(name: "test.weir", bytes: Array(test.source.utf8), library: .language)
    let problems = DiagnosticPrinter(result.sources).text(result.diagnostics.filter(\.isError))
    guard let core = result.program else {
      Issue.record("\(problems)")
      return
    }
    let running = try Running(core, .language)
    var failure: Trap?
    for start in [running.program.initialiser, running.program.entry].compactMap(\.self) where failure == nil {
      running.scheduler.spawn(start) { if case .failure(let trap) = $0 { failure = trap } }
      running.loop.run()
    }
    #expect(failure == nil)
    #expect(running.host.output == test.output)
  }
}

struct CheckLanguageLibraryTests {
  @Test(arguments: Library.language.modules.map(\.name))
  func moduleHasNoMistakes(_ name: String) {
    let result = Checker.check(name: "test.weir", bytes: Array("import \(name) as m".utf8), library: .language)
    // That nothing uses `m` is only a note.
    #expect(DiagnosticPrinter(result.sources).text(result.diagnostics.filter { $0.severity != .note }) == "")
  }
}
