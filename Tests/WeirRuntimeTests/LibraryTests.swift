import Testing
import WeirLang

@testable import WeirRuntime

/// The library as programs see it: signatures fit their natives, what is declared and absent is refused before
/// anything runs, and time, chance and files are the world's.
@Suite struct LibraryTests {
  @Test func signaturesFitTheirNatives() { #expect(Bench.library.mismatches() == []) }

  @Test(arguments: Bench.library.modules.map(\.name))
  func moduleHasNoMistakes(_ name: String) {
    let result = Bench.check("import \(name) as m")
    // That nothing uses `m` is only a note.
    #expect(DiagnosticPrinter(result.sources).text(result.diagnostics.filter { $0.severity != .note }) == "")
  }

  @Test func whatIsAbsentIsCheckedAndRefused() throws {
    let result = Bench.check(
      """
      exec shout(text: string) = sh { tr a-z A-Z }
      func main() { println(shout("x")) }
      """)
    #expect(!result.diagnostics.hasErrors)
    let line = try #require(result.unrunnable(by: Bench.library))
    #expect(line.contains("`exec` functions of std/pipeline (test.weir:1)"))
    let core = try #require(result.program)
    #expect(throws: EmitFailure.self) { try Emitter.emit(core, library: Bench.library) }
  }

  @Test func anAgentWithToolsIsRefusedAToolAloneIsNot() {
    let tool = "tool twice(n: int) -> int { \n\"\"\"Doubles.\"\"\"\nn * 2\n}\nfunc main() { println(twice(2)) }\n"
    #expect(Bench.check(tool).unrunnable(by: Bench.library) == nil)
    let agent = tool + "agent A { model: \"eliza/eliza\", tools: [twice] }\n"
    #expect(!Bench.check(agent).diagnostics.hasErrors)
    #expect(Bench.check(agent).unrunnable(by: Bench.library)?.contains("`tools` of an agent") == true)
  }

  @Test func timeIsTheLoops() throws {
    let bench = try Bench(
      """
      import std/clock (monotonic, now, sleep)
      func main() {
        let start = monotonic()
        let both = sleep(40) || sleep(50)
        println(monotonic() - start)
        println(now() > 0)
        sleep(-1)
      }
      """)
    bench.run()
    #expect(bench.output == "50\ntrue\n")
    #expect(bench.errors.contains("BadArgument"))
  }

  @Test func chanceIsTheWorlds() throws {
    let text = """
      import std/rand (choice, randBytes, randFloat, randId, randInt, shuffle)
      import std/list (all, sort)
      func main() {
        println(all(0..1000, (_) => { let n = randInt(-2, 2); n >= -2 && n <= 2 }))
        println(sort(shuffle([3, 1, 2])))
        println("${choice([7])} ${len(randBytes(5))} ${len(randId())} ${randFloat() < 1.0}")
        println(randInt(-9223372036854775807, 9223372036854775807) != 0)
        println([randInt(0, 1000000), randInt(0, 1000000)])
      }
      """
    let outputs = try [1, 1, 2].map { try Bench(text, seed: $0).run().output }
    #expect(outputs[0].hasPrefix("true\n[1, 2, 3]\nSome(7) 5 26 true\ntrue\n"))
    #expect(outputs[0] == outputs[1])
    #expect(outputs[0] != outputs[2])
  }

  @Test func filesAreTheDisks() throws {
    let bench = try Bench(
      """
      import std/fs (appendFile, exists, list, makeDirectory, readFile, remove, rename, writeFile)
      func main() {
        println(exists("d"))
        println(makeDirectory("d"))
        println(writeFile("d/a", "one"))
        println(appendFile("d/a", " two"))
        println(readFile("d/a"))
        println(writeFile("d/a", "x"))
        println(rename("d/a", "d/b"))
        println("${readFile("d/b")} ${list("d")} ${exists("d")} ${exists("d/a")}")
        println(remove("d/b"))
        println(readFile("d/b"))
      }
      """)
    bench.run()
    #expect(
      bench.output == """
        false
        Ok(())
        Ok(())
        Ok(())
        Ok("one two")
        Ok(())
        Ok(())
        Ok("x") Ok(["b"]) true false
        Ok(())
        Err("no such file: d/b")

        """)
  }
}
