import Testing
import WeirCore
import WeirTesting

@testable import WeirRuntime

/// The way down: what may finish, what is cut, and with which status the process ends.
@Suite struct ShutdownTests {
  private func streaming(_ more: String = "") throws -> (bench: Bench, client: TestClient) {
    let bench = try Bench(Programs.chat + more).serve()
    let client = bench.post("/chat", #"{"message":"hi"}"#)
    bench.asked[0].head(200)
    bench.asked[0].body(delta("a"))
    bench.settle()
    return (bench, client)
  }

  @Test func streamsMayFinish() throws {
    let (bench, client) = try streaming()
    #expect(bench.instance.shutDown())
    #expect(bench.simulation.network.listenerCount == 0, "nothing new is accepted")
    bench.settle()
    #expect(bench.exits == [] && !client.isEnded)
    bench.asked[0].answer("b")
    bench.settle()
    #expect(client.isWhole)
    #expect(try bench.events(client).ends == [.completed])
    #expect(bench.exits == [0], "sooner than the grace")
  }

  @Test func whatDoesNotFinishIsCutAfterTheGrace() throws {
    let (bench, client) = try streaming()
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(4))
    #expect(bench.exits == [] && !client.isEnded && !bench.asked[0].isCancelled)
    bench.simulation.loop.advance(by: .seconds(2))
    #expect(bench.exits == [0])
    #expect(client.isEnded && !client.isWhole, "cut, so that it comes back to the next process")
    #expect(bench.asked[0].isCancelled)
    #expect(try bench.events(client).ends == [.aborted])
    #expect(try bench.events(client).failure?.code == "ServerStopped", "why it could not go on elsewhere")
    bench.simulation.loop.advance(by: .seconds(60))
    #expect(bench.exits == [0], "once")
    bench.expectQuiet()
  }

  @Test func aRunWithoutReadersMayFinishToo() throws {
    let (bench, client) = try streaming()
    let run = try bench.run(client)
    client.leave()
    bench.settle()
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(2))
    #expect(bench.exits == [])
    bench.asked[0].answer("b")
    bench.settle()
    #expect(bench.events(run).ends == [.completed])
    #expect(bench.exits == [0])
  }

  @Test func theSecondSignalIsTheLast() throws {
    let (bench, _) = try streaming()
    #expect(bench.instance.shutDown())
    #expect(bench.instance.shutDown())
    bench.simulation.loop.settle()
    #expect(bench.exits == [130])
    bench.simulation.loop.advance(by: .seconds(60))
    #expect(bench.exits == [130])
  }

  @Test func withNothingServedThereIsNothingToWaitFor() throws {
    let bench = try Bench(Programs.agent + #"func main() { _ = A.ask("x"); () }"#).run()
    #expect(!bench.instance.shutDown())
    bench.instance.exit(143)
    bench.simulation.loop.settle()
    #expect(bench.exits == [143])
  }

  @Test func whatFollowsListenRuns() throws {
    let bench = try Bench(
      "import \"http\"\n" + Programs.chat + #"func main() { http.Server([Chat]).listen(8080); println("bye") }"#
    ).run()
    #expect(bench.output.isEmpty && bench.simulation.network.listenerCount == 1)
    #expect(bench.instance.shutDown())
    bench.settle()
    #expect(bench.output == "bye\n")
    #expect(bench.exits == [0])
  }

  @Test func whatNeverEndsIsLeftBehind() throws {
    let bench = try Bench(
      Programs.agent + """
        @post("/stuck")
        workflow Stuck() -> int {
          defer A.ask("never answered")
          _ = A.ask("never answered either")
          1
        }
        """
    ).serve()
    let client = TestClient(bench.simulation.network)
    client.send("POST", "/stuck", "{}")
    bench.settle()
    #expect(bench.asked.count == 1)
    #expect(bench.instance.shutDown())
    bench.simulation.loop.advance(by: .seconds(5) + ProgramInstance.stopLimit + .seconds(1))
    #expect(bench.asked.count == 2)
    #expect(bench.exits == [0])
  }

  @Test func theProgramsOwnExitIsTheStatus() throws {
    let bench = try Bench(#"import std/io (exit)"# + "\n" + #"func main() { println("a"); exit(7); println("b") }"#)
      .run()
    #expect(bench.exits == [7])
    #expect(bench.output == "a\n")
    #expect(bench.simulation.console.flushCount > 0)
  }
}
