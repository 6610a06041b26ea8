import Testing
import WeirCore
import WeirTesting

@Suite struct SimulatedWorldTests {
  @Test func oneSeedGovernsEveryPort() {
    func fingerprint(_ seed: UInt64) -> UInt64 {
      let simulation = SimulatedWorld(seed: seed, faults: .rough)
      let world = simulation.world
      simulation.http.reply("https://", body: String(repeating: "x", count: 10_000))
      for i in 0..<10 {
        _ = world.http.start(HTTPClientRequest(method: "GET", url: "https://a/\(i)"), handler: Ignored())
        world.disk.open("/tmp/\(i)", .create) { result in
          if case .success(let file) = result { file.write([1], at: 0) { _ in file.synchronize { _ in } } }
        }
      }
      simulation.loop.run()
      simulation.disk.crash()
      simulation.trace.note(world.random.identifier())
      return simulation.trace.fingerprint
    }
    #expect(fingerprint(1) == fingerprint(1))
    #expect(Set((1...20 as ClosedRange<UInt64>).map(fingerprint)).count == 20)
  }

  @Test func aFailureNamesTheSeedAndTheLastEvents() {
    let simulation = SimulatedWorld(seed: 77)
    for i in 0..<200 { simulation.trace.note("event \(i)") }
    #expect("\(simulation)".contains("seed 77") && "\(simulation)".contains("event 199"))
    #expect(simulation.trace.tail.split(separator: "\n").count == SimulationTrace.tailLimit)
    #expect(simulation.trace.count == 200)
  }

  @Test func theConsoleKeepsDataAndTalkApartAndTheEnvironmentIsFixed() {
    let simulation = SimulatedWorld(seed: 1, environment: ["WEIR_PORT": "1"], wallClock: 5)
    let world = simulation.world
    world.console.write("data", to: .output)
    world.console.write("talk", to: .error)
    world.console.write(".", to: .output)
    world.console.flush()
    #expect(simulation.console.output == "data." && simulation.console.error == "talk")
    #expect(simulation.console.flushCount == 1)
    #expect(world.environment["WEIR_PORT"] == "1" && world.environment["HOME"] == nil)
    #expect(world.loop.wallClock == 5)
  }

  private final class Ignored: HTTPResponseHandler {
    func httpReceived(head: HTTPResponseHead) {}
    func httpReceived(body: Span<UInt8>) {}
    func httpFinished(_ failure: NetworkFailure?) {}
  }
}
