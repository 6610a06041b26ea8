import Testing
import WeirCore
import WeirFlow
import WeirTesting

@testable import WeirRuntime

/// What `--record` and `--replay` make of programs that a program starts, and of whatever else would leave the machine.
@Suite struct ReplayProgramsTests {
  typealias Step = SimulatedProcesses.Step

  private static let head = """
    import std/process (exec, spawnProcess, writeProcessStdin, closeProcessStdin, NotFound, NotAllowed, Timeout, Failed)
    import std/stream (asyncExecProcess, processSource, processOf, selectEvents, cancel, timerSource, StreamEvent, SourceText, SourceBytes, SourceExit, StreamError)
    import std/bytes (fromString, toString)
    import std/string (repeat)
    import std/clock (sleep)

    """ + ProcessModuleTests.report

  private func bench(
    _ text: String, _ programs: [String: [Step]], configure: (inout ProgramInstance.Options) -> Void
  ) throws -> Bench {
    let bench = try Bench(Self.head + text, environment: ["PATH": "/bin", "KEY": "k-123"], configure: configure)
    bench.simulation.processes.programs = programs
    return bench
  }

  private func file(_ bench: Bench) -> [UInt8] {
    var file: [UInt8] = []
    bench.simulation.disk.read("run.jsonl", limit: 1 << 24) { file = (try? $0.get()) ?? [] }
    bench.settle()
    return file
  }

  /// Runs it for real, then against what that recorded, where no program exists: the same is said.
  private func check(
    _ text: String, _ programs: [String: [Step]], said: String? = nil, exits: [Int] = [0],
    configure: (inout ProgramInstance.Options) -> Void = { _ in }, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let real = try bench(text, programs) {
      $0.record = "run.jsonl"
      configure(&$0)
    }
    real.run()
    real.simulation.loop.run()
    if let said { #expect(real.output == said, "\(real.errors)", sourceLocation: sourceLocation) }
    #expect(real.exits == exits, "\(real.errors)", sourceLocation: sourceLocation)
    let recording = try Recording(file(real))
    for speed in [nil, nil, 1, 50] as [Double?] {
      let again = try bench(text, [:]) {
        $0.replay = recording
        $0.replaySpeed = speed
      }
      again.run()
      again.simulation.loop.run()
      #expect(
        again.output == real.output && again.errors == real.errors && again.exits == exits,
        "\(again.output)\(again.errors)", sourceLocation: sourceLocation)
      #expect(again.simulation.processes.children.isEmpty, sourceLocation: sourceLocation)
    }
  }

  @Test func execAnswersAsItDid() throws {
    try check(
      """
      func main() {
        report("ok", ["a"])
        report("three", [])
        report("ok", ["b"])
        report("lost", [])
        report("slow", [])
      }
      """,
      [
        "ok": [.say("out"), .say("err", to: .error)], "three": [.bytes([255, 0, 65]), .wait(.seconds(2)), .exit(3)],
        "slow": [.stall],
      ],
      said: """
        0 out|err|false
        3 \u{FFFD}\u{0}A||false
        0 out|err|false
        NotFound there is no program "lost"; install lost, or give its full path; it is in no folder of PATH
        Timeout slow did not end within 30s (--process-timeout); it was stopped

        """
    ) { $0.processes.timeout = .seconds(30) }
  }

  @Test func writesAreAnsweredAsTheyWere() throws {
    try check(
      """
      func main() {
        let gone = spawnProcess("gone", [])
        sleep(50)
        println(writeProcessStdin(gone, fromString("x")))
        let deaf = spawnProcess("deaf", [])
        var written = 0
        let piece = fromString(repeat("x", 4096))
        var going = true
        while going {
          match writeProcessStdin(deaf, piece) {
            Ok(_) => { written = written + 1 },
            Err(why) => { println("${written} ${why}"); going = false }
          }
        }
        let cat = spawnProcess("cat", [])
        println(writeProcessStdin(cat, fromString("a")))
        closeProcessStdin(cat)
        println(writeProcessStdin(cat, fromString("b")))
      }
      """, ["gone": [.exit(0)], "deaf": [.stall], "cat": [.readInput]],
      said: """
        Err("process exited")
        272 write buffer full — subprocess may be stalled
        Ok(())
        Err("stdin already closed")

        """)
  }

  @Test func aSourceThatIsWrittenTo() throws {
    try check(
      """
      func main() {
        let cat = processSource("cat", [], {name: "cat", priority: 1, lines: true, exit: true})
        let chunks = asyncExecProcess("seq", ["9"], "seq", 0, 4)
        let input = processOf(cat)
        println(writeProcessStdin(input, fromString("one\\n")))
        selectEvents([cat, chunks, timerSource("t", 7, 0)], (event) => match event {
          SourceText("cat", line) => {
            println("cat ${line}")
            if line == "one" {
              println(writeProcessStdin(input, fromString("two\\n")))
              closeProcessStdin(input)
              println(writeProcessStdin(input, fromString("late\\n")))
            }
            true
          },
          SourceText("t", _) => { println("tick"); true },
          SourceBytes(name, data) => { println("${name} ${toString(data)}"); true },
          SourceExit(name, code) => { println("${name} ${code}"); false },
          _ => true
        })
        cancel(cat)
        println(writeProcessStdin(input, fromString("x")))
        println(writeProcessStdin(processOf(chunks), fromString("x")))
      }
      """, ["cat": [.copyInput], "seq": [.say("123"), .wait(.milliseconds(20)), .say("45678"), .stall]])
  }

  @Test(arguments: [
    "spawnProcess(\"no\", [])", "asyncExecProcess(\"no\", [], \"n\", 0, 1)",
    "processSource(\"no\", [], {name: \"n\", priority: 0})",
  ])
  func aStartThatFailedFails(_ call: String) throws {
    try check("func main() { println(\"begun\"); let x = \(call) }", [:], said: "begun\n", exits: [1])
  }

  /// A task that lost a race was cancelled: it is again, and its program is not waited for.
  @Test func whatWasCancelledIsCancelledAgain() throws {
    try check(
      """
      import std/task (race)
      func main() {
        race([() => report("sleeper", []), () => report("quick", [])])
        println("over")
      }
      """, ["sleeper": [.wait(.seconds(60)), .say("slept")], "quick": [.say("quick")]])
  }

  @Test func aRecordingThatEndsTooEarlyIsTold() throws {
    let header = "{\"weir\":\"recording\",\"version\":1}\n"
    for (text, said) in [
      (header, "NotRecorded: the recording has no further `exec` of the name \"a\""),
      (
        header + "{\"source\":1,\"kind\":\"exec\",\"name\":\"a\"}\n",
        "NotRecorded: the recording ends before `exec` of \"a\" did"
      ),
    ] {
      let bench = try bench("func main() { report(\"a\", []) }", ["a": [.say("real")]]) {
        $0.replay = try? Recording(Array(text.utf8))
      }
      bench.run()
      #expect(bench.errors.hasPrefix(said) && bench.output == "" && bench.exits == [1], "\(bench.errors)")
    }
  }

  /// What a recording does not have is refused, not fetched.
  @Test func nothingElseLeavesTheMachine() throws {
    let empty = try Recording(Array("{\"weir\":\"recording\",\"version\":1}\n".utf8))
    let net = try bench(
      """
      import std/net (httpGet, NotAllowed)
      func main() {
        match httpGet("https://example.org/") {
          Err(e) => println(e),
          Ok(_) => println("fetched")
        }
      }
      """, [:]
    ) { $0.replay = empty }
    net.run()
    let refusal = "a replay reaches no network: this is not in the recording"
    #expect(net.output.contains("NotAllowed(\"\(refusal); run it without --replay\")"), "\(net.output)\(net.errors)")

    let ai = try Bench(
      Programs.agent + "func main() { println(A.ask(\"hello\")) }", configure: { $0.replay = empty })
    ai.run()
    ai.simulation.loop.run()
    #expect(
      ai.asked.isEmpty && (ai.output + ai.errors).contains("the recording has no further POST \(Bench.model)"),
      "\(ai.output)\(ai.errors)")

    let served = try Bench(Programs.chat, configure: { $0.replay = empty })
    served.serve()
    #expect(served.exits == [1] && served.errors.contains(refusal), "\(served.errors)")
  }
}
