import Testing
import WeirCore
import WeirTesting

@testable import WeirRuntime

/// `std/process` and the sources made of processes, over scripted programs on virtual time.
@Suite struct ProcessModuleTests {
  typealias Step = SimulatedProcesses.Step

  private func bench(
    _ text: String, _ programs: [String: [Step]], seed: UInt64 = 1,
    configure: (inout ProgramInstance.Options) -> Void = { _ in }
  ) throws -> Bench {
    let bench = try Bench(
      """
      import std/process (exec, spawnProcess, writeProcessStdin, closeProcessStdin, NotFound, NotAllowed, Timeout, Failed)
      import std/stream (asyncExecProcess, processSource, processOf, selectEvents, cancel, StreamEvent, SourceText, SourceBytes, SourceExit, StreamError)
      import std/bytes (fromString, toString)
      \(text)
      """, seed: seed, environment: ["PATH": "/bin", "KEY": "k-123", "LANG": "C"], configure: configure)
    bench.simulation.processes.programs = programs
    return bench
  }

  private func children(_ bench: Bench) -> [SimulatedChild] { bench.simulation.processes.children }

  // MARK: exec

  /// What `exec` answered, in a line.
  static let report = """
    func report(cmd: string, args: [string]) {
      match exec(cmd, args) {
        Ok(r) => println("${r.exitCode} ${toString(r.stdout)}|${toString(r.stderr)}|${r.truncated}"),
        Err(NotFound(why)) => println("NotFound ${why}"),
        Err(NotAllowed(why)) => println("NotAllowed ${why}"),
        Err(Timeout(why)) => println("Timeout ${why}"),
        Err(Failed(why)) => println("Failed ${why}")
      }
    }

    """

  @Test func execAnswersWhatWasSaidAndHowItEnded() throws {
    let programs: [String: [Step]] = [
      "ok": [.say("out"), .say("err", to: .error)], "three": [.say("x"), .exit(3)], "crash": [.readInput, .stall],
    ]
    let bench = try bench(
      Self.report + "func main() { report(\"ok\", [\"a\", \"b\"]); report(\"three\", []); report(\"lost\", []) }",
      programs)
    bench.run()
    #expect(
      bench.output == """
        0 out|err|false
        3 x||false
        NotFound there is no program "lost"; install lost, or give its full path; it is in no folder of PATH

        """)
    let request = children(bench)[0].request
    #expect(request.arguments == ["a", "b"])
    #expect(request.searchPath == "/bin")
    #expect(request.environment.map(\.name) == ["LANG", "PATH"], "what looks like a secret is not inherited")
    #expect(bench.exits == [0])
  }

  @Test func execKeepsABoundedOutputAndLetsTheProgramFinish() throws {
    let bench = try bench(
      Self.report + "func main() { report(\"talker\", []) }",
      ["talker": [.bytes(Array(repeating: 65, count: 200_000)), .say("!", to: .error), .exit(7)]]
    ) { $0.processes.outputLimit = 5 }
    bench.run()
    bench.simulation.loop.run()
    #expect(bench.output == "7 AAAAA|!|true\n")
  }

  @Test func execThatTakesTooLongIsStopped() throws {
    let bench = try bench(
      Self.report + "func main() { report(\"sleeper\", []) }", ["sleeper": [.ignoreTerminate, .stall]]
    ) { $0.processes.timeout = .seconds(30) }
    bench.run()
    bench.simulation.loop.run()
    #expect(bench.output == "Timeout sleeper did not end within 30s (--process-timeout); it was stopped\n")
    let signals = children(bench)[0].signals
    #expect(signals.map(\.signal) == [.terminate, .kill])
    #expect(signals[1].at - signals[0].at == .seconds(5))
    #expect(bench.exits == [0], "the end of the program waits for it")
  }

  /// A grandchild that keeps the pipe open holds `exec` up for 5 seconds; what it says until then counts.
  @Test func aGrandchildThatHoldsThePipeIsBounded() throws {
    let bench = try bench(
      Self.report + "func main() { report(\"sh\", []) }",
      ["sh": [.leaveBehind(.seconds(1000), holdsPipes: true), .say("said"), .exit(0)]])
    bench.run()
    #expect(bench.exits.isEmpty)
    let start = bench.simulation.loop.elapsed
    bench.simulation.loop.run()
    #expect(bench.output == "0 said||false\n")
    #expect(bench.simulation.loop.elapsed - start < .seconds(6))
    #expect(children(bench)[0].signals.map(\.signal) == [.terminate])
  }

  @Test func refusalsNameCommandAndFlag() throws {
    let list = try ProcessAllowlist(["git:status"]) { "/usr/bin/\($0)" }
    let text =
      Self.report
      + "func main() { report(\"rm\", [\"-r\"]); report(\"git\", [\"push\"]); report(\"git\", [\"status\"]) }"
    let bench = try bench(text, ["/usr/bin/git": [.say("clean")]]) { $0.processes.allowlist = list }
    bench.run()
    #expect(
      bench.output == """
        NotAllowed "rm" is not allowed by --process-allowlist "git:status"; add it there, or to process_allowlist in weir.toml
        NotAllowed "git push" is not allowed by --process-allowlist "git:status"; add it there, or to process_allowlist in weir.toml
        0 clean||false

        """)
    #expect(children(bench)[0].request.name == "git")
  }

  @Test(arguments: [
    "spawnProcess(\"rm\", [])", "asyncExecProcess(\"rm\", [], \"n\", 0, 1)",
    "processSource(\"rm\", [], {name: \"n\", priority: 0})",
  ])
  func aRefusalEndsTheProgram(_ call: String) throws {
    let list = try ProcessAllowlist([]) { $0 }
    let bench = try bench("func main() { let x = \(call) }", [:]) { $0.processes.allowlist = list }
    bench.run()
    #expect(bench.errors.contains("NotAllowed: \"rm\" is not allowed by --process-allowlist"))
    #expect(bench.exits == [1])
  }

  /// Children are bounded, however a program goes about it.
  @Test func tooManyAtATimeAreRefused() throws {
    let bench = try bench(
      Self.report + """
        func main() {
          spawnProcess("sleeper", [])
          spawnProcess("sleeper", [])
          report("sleeper", [])
          spawnProcess("sleeper", [])
        }
        """, ["sleeper": [.stall]]
    ) { $0.processes.liveLimit = 2 }
    bench.run()
    bench.simulation.loop.run()
    #expect(bench.output == "Failed 2 processes of this program run already (--process-limit)\n")
    #expect(bench.errors.contains("Unavailable: 2 processes of this program run already"))
    #expect(children(bench).count == 2)
    #expect(bench.simulation.processes.liveCount == 0)
  }

  // MARK: spawnProcess

  @Test func theSeedsWriterGoesToAProcess() throws {
    let bench = try bench(
      """
      func main() {
        let handle = spawnProcess("cat", [])
        println(writeProcessStdin(handle, fromString("one\\n")))
        println(writeProcessStdin(handle, fromString("two\\n")))
        closeProcessStdin(handle)
        println(writeProcessStdin(handle, fromString("three\\n")))
        closeProcessStdin(handle)
      }
      """, ["cat": [.readInput]])
    bench.run()
    #expect(bench.output == "Ok(())\nOk(())\nErr(\"stdin already closed\")\n")
    let child = children(bench)[0]
    #expect(String(decoding: child.received, as: UTF8.self) == "one\ntwo\n")
    #expect(child.request.output == .inherited && child.request.error == .inherited)
    #expect(child.signals.isEmpty, "it was told that nothing more comes, and had the time to finish")
    #expect(bench.exits == [0])
  }

  @Test func whatAWriteCanAnswer() throws {
    let bench = try bench(
      """
      import std/clock (sleep)
      import std/string (repeat)
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
      }
      """, ["gone": [.exit(0)], "deaf": [.stall]])
    bench.run()
    bench.simulation.loop.run()
    // 16 in the pipe, 256 waiting.
    #expect(
      bench.output == "Err(\"process exited\")\n272 write buffer full — subprocess may be stalled\n", "\(bench.errors)")
  }

  /// Those that were told the end get five seconds, those that were not are stopped; both are killed at last.
  @Test func theEndOfTheProgramIsTheEndOfItsProcesses() throws {
    let bench = try bench(
      """
      func main() {
        let told = spawnProcess("stubborn", [])
        closeProcessStdin(told)
        spawnProcess("stubborn", [])
        spawnProcess("good", [])
      }
      """, ["stubborn": [.ignoreTerminate, .stall], "good": [.stall]])
    bench.run()
    let start = bench.simulation.loop.elapsed
    bench.simulation.loop.run()
    func signals(_ index: Int) -> [(ProcessSignal, Int)] {
      children(bench)[index].signals.map { ($0.signal, Int(($0.at - start).milliseconds + 500) / 1000) }
    }
    #expect(signals(0).map(\.0) == [.terminate, .kill] && signals(0).map(\.1) == [5, 10])
    #expect(signals(1).map(\.0) == [.terminate, .kill] && signals(1).map(\.1) == [0, 5])
    #expect(signals(2).map(\.0) == [.terminate])
    #expect(bench.exits == [0])
    #expect(bench.simulation.loop.pendingTimerCount == 0)
  }

  // MARK: Sources

  private static let show = """
    func show(event: StreamEvent) -> bool ! {IO} {
      match event {
        SourceText(name, line) => { println("${name}: ${line}"); true },
        SourceBytes(name, data) => { println("${name}: ${len(data)} ${toString(data)}"); true },
        SourceExit(name, code) => { println("${name} ended ${code}"); true },
        StreamError(why) => { println("${why}"); false },
        _ => true
      }
    }

    """

  /// Full chunks and a short last one, whatever the pipe's cuts; the end is silent.
  @Test(arguments: 1...20) func chunksAreFull(_ seed: Int) throws {
    let bench = try bench(
      Self.show + "func main() { selectEvents([asyncExecProcess(\"p\", [], \"p\", 0, 4)], show) }",
      ["p": [.say("abc"), .wait(.milliseconds(3)), .say("defgh"), .say("noise", to: .error), .say("ij")]],
      seed: UInt64(seed))
    bench.run()
    #expect(bench.output == "p: 4 abcd\np: 4 efgh\np: 2 ij\n", "\(bench.simulation)")
    #expect(children(bench)[0].request.input == .null && children(bench)[0].request.error == .null)
    #expect(bench.exits == [0])
  }

  @Test func linesErrorsAndTheExit() throws {
    let bench = try bench(
      Self.show + """
        func main() {
          let s = processSource("p", [], {name: "p", priority: 0, lines: true, stderr: true, exit: true})
          selectEvents([s], show)
        }
        """,
      [
        "p": [
          .say("one\r\ntwo\n"), .wait(.seconds(1)), .say("oops", to: .error), .wait(.seconds(1)), .say("end"), .exit(3),
        ]
      ])
    bench.run()
    bench.simulation.loop.run()
    #expect(
      bench.output == "p: one\np: two\np: end\np:stderr: oops\np ended 3\n"
        || bench.output == "p: one\np: two\np:stderr: oops\np: end\np ended 3\n")
  }

  @Test func aLineThatIsNotUTF8IsMendedNotLost() throws {
    let bench = try bench(
      Self.show
        + "func main() { selectEvents([processSource(\"p\", [], {name: \"p\", priority: 0, lines: true})], show) }",
      ["p": [.bytes([0x61, 0xFF, 0x62, 0x0A, 0xC3, 0xBC, 0x0A])]])
    bench.run()
    #expect(bench.output == "p: a\u{FFFD}b\np: ü\n")
  }

  @Test func oneProcessBothWays() throws {
    let bench = try bench(
      """
      func main() {
        let cat = processSource("cat", [], {name: "cat", priority: 0, lines: true})
        let input = processOf(cat)
        writeProcessStdin(input, fromString("ping 1\\n"))
        selectEvents([cat], (event) => match event {
          SourceText(_, line) => {
            println(line)
            if line == "ping 3" { closeProcessStdin(input) }
            else { writeProcessStdin(input, fromString(if line == "ping 1" then "ping 2\\n" else "ping 3\\n")) }
            true
          },
          _ => true
        })
        cancel(cat)
        println(writeProcessStdin(input, fromString("x")))
      }
      """, ["cat": [.copyInput]])
    bench.run()
    #expect(bench.output == "ping 1\nping 2\nping 3\nErr(\"process handle not found\")\n", "\(bench.errors)")
  }

  @Test func cancellingASourceStopsItsProcess() throws {
    let bench = try bench(
      """
      import std/clock (sleep)
      func main() {
        let s = asyncExecProcess("p", [], "p", 0, 4)
        sleep(50)
        cancel(s)
        cancel(s)
        sleep(7000)
      }
      """, ["p": [.ignoreTerminate, .repeatForever(Array("y\n".utf8))]])
    bench.run()
    bench.simulation.loop.run()
    #expect(children(bench)[0].signals.map(\.signal) == [.terminate, .kill])
    #expect(bench.simulation.processes.liveCount == 0)
  }

  /// The process is much faster than the handler: what waits here is bounded, and so is what is in the pipe.
  @Test func aSlowHandlerHoldsTheProcessUp() throws {
    let bench = try bench(
      """
      import std/clock (sleep)
      func main() {
        let s = processSource("yes", [], {name: "yes", priority: 0, lines: true})
        selectEvents([s], (event) => { sleep(100); match event { SourceText(_, _) => true, _ => false } })
      }
      """, ["yes": [.repeatForever(Array("y\n".utf8))]])
    bench.run()
    bench.simulation.loop.advance(by: .seconds(20))
    let child = children(bench)[0]
    // Queued, cut and in the pipe; 200 events were handled.
    #expect(child.said < 2 * (100 + 200) + 2 * 65_536 + 4096, "\(child.said)")
    bench.simulation.loop.advance(by: .seconds(600))
    #expect(child.hasExited)
  }

  /// A reader that takes its time loses nothing of a program that has long gone.
  @Test func whatAProcessLeftInItsPipeIsReadHoweverLate() throws {
    let bench = try bench(
      """
      import std/clock (sleep)
      func main() {
        var n = 0
        let s = processSource("p", [], {name: "p", priority: 0, lines: true, exit: true})
        selectEvents([s], (event) => { sleep(200); n = n + 1; true })
        println(n)
      }
      """, ["p": [.say(String(repeating: "line\n", count: 1_000)), .exit(0)]])
    bench.run()
    bench.simulation.loop.run()
    #expect(bench.output == "1001\n", "\(bench.errors)")
  }

  @Test(arguments: [
    ("asyncExecProcess(\"p\", [], \"n\", 0, 0)", "a chunk of 0 bytes"),
    ("asyncExecProcess(\"p\", [], \"n\", 0, -1)", "a chunk of -1 bytes"),
    ("asyncExecProcess(\"lost\", [], \"n\", 0, 1)", "there is no program \"lost\""),
    ("processSource(\"p\", [], {name: \"n\", priority: 0, lines: true, chunkSize: 4})", "lines or chunks, not both"),
    ("processOf(asyncExecProcess(\"p\", [], \"n\", 0, 1))", ""),
  ])
  func badCallsSaySo(_ call: String, _ text: String) throws {
    let bench = try bench("func main() { let x = \(call) }", ["p": [.stall]])
    bench.run()
    bench.simulation.loop.run()
    #expect(text.isEmpty ? bench.exits == [0] : bench.errors.contains(text), "\(bench.errors)")
  }

  /// Chaos over seeds: whatever is under way when the program ends, nothing is left.
  @Test(arguments: 1...30) func nothingIsLeftWhenAProgramEnds(_ seed: Int) throws {
    let bench = try bench(
      Self.show + """
        import std/rand (randInt)
        import std/list (range)
        import std/clock (sleep)
        func main() {
          for i in range(0, 6) {
            let kind = randInt(0, 3)
            if kind == 0 { spawnProcess("cat", []); () }
            if kind == 1 { let s = asyncExecProcess("yes", [], "y", 0, 100); () }
            if kind == 2 { let h = spawnProcess("stubborn", []); closeProcessStdin(h) }
            if kind == 3 { _ = exec("sh", []) }
            sleep(randInt(0, 20))
          }
        }
        """,
      [
        "cat": [.copyInput], "yes": [.repeatForever(Array("y".utf8))], "stubborn": [.ignoreTerminate, .stall],
        "sh": [.leaveBehind(.seconds(3), holdsPipes: true, ignoresTerminate: true), .exit(1)],
      ], seed: UInt64(seed))
    bench.run()
    bench.simulation.loop.run()
    #expect(bench.exits == [0], "\(bench.simulation)\n\(bench.errors)")
    #expect(bench.simulation.processes.liveCount == 0, "\(bench.simulation)")
    #expect(bench.simulation.loop.pendingTimerCount == 0, "\(bench.simulation)")
  }
}
