import Testing
import WeirCore
import WeirTesting
import WeirWire

@testable import WeirRuntime

/// A reader of a run as a browser's `EventSource` is one: it comes back with the last id that it saw.
final class ResumingReader {
  private let simulation: SimulatedWorld
  private let random: SeededRandom
  private let body: String
  private var client: TestClient?
  private var parser = SSEParser()
  private var parsed = 0
  private var lastID = ""
  private(set) var text = ""
  private(set) var finish: String?
  private(set) var runID: String?
  private(set) var connections = 0
  /// `[DONE]` has come, or the server said that there is no more.
  private(set) var isDone = false

  init(_ simulation: SimulatedWorld, _ random: SeededRandom, body: String) {
    self.simulation = simulation
    self.random = random
    self.body = body
  }

  func begin() {
    connections += 1
    parser = SSEParser(lastEventID: lastID)
    parsed = 0
    let client = TestClient(simulation.network)
    self.client = client
    client.onChange = { [unowned self, unowned client] in changed(client) }
    if lastID.isEmpty {
      client.send("POST", "/chat", body)
    } else {
      client.send("GET", "/chat", headers: "Last-Event-ID: \(lastID)\r\n")
    }
  }

  /// Sometimes a reader just goes away.
  func cut() {
    guard !isDone, let client, !client.isEnded else { return }
    client.onChange = nil
    client.leave()
    again()
  }

  private func changed(_ client: TestClient) {
    guard self.client === client, !isDone else { return }
    if let status = client.status, status == 204 { isDone = true }
    if client.status == 200 {
      let body = client.body
      let new = Array(body[parsed...])
      parser.receive(new.span)
      parsed = body.count
      while let event = try? parser.next() { received(event) }
      runID = runID ?? client["Run-Id"]
    }
    lastID = parser.lastEventID
    if isDone {
      self.client = nil
      client.onChange = nil
      client.leave()
    } else if client.isEnded || client.isWhole {
      client.onChange = nil
      again()
    }
  }

  private func received(_ event: SSEEvent) {
    switch event.type {
    case "message": text += (try? JSONValue.parse(event.data))?["content"]?.string ?? "?"
    case "end": finish = (try? JSONValue.parse(event.data))?["finish"]?.string
    case "done": isDone = true
    default: break
    }
  }

  private func again() {
    client = nil
    _ = simulation.loop.after(random.duration(.milliseconds(10) ... .seconds(2))) { [self] in begin() }
  }
}

/// The whole product over a bad network: what readers joined is what the run's stream holds, for every seed.
@Suite struct ConversationSimulation {
  static func simulate(_ seed: UInt64) throws -> UInt64 {
    let bench = try Bench(Programs.chat, seed: seed)
    bench.serve()
    let simulation = bench.simulation
    simulation.network.faults = .rough
    simulation.http.faults = .rough
    let random = SeededRandom(seed: seed &* 97)
    simulation.http.serve(Bench.model) { exchange in
      exchange.head(200)
      for number in 0..<random.int(0...30) {
        exchange.body(delta("w\(number)é "), after: random.duration(.zero ... .milliseconds(400)))
      }
      if random.chance(0.9) { exchange.body(delta("", finish: "stop") + done) }
      exchange.finish()
    }
    var readers: [ResumingReader] = []
    for number in 0..<6 {
      let session = random.pick(["", "x", "y"])
      let reader = ResumingReader(simulation, random, body: #"{"message":"m\#(number)","session_id":"\#(session)"}"#)
      readers.append(reader)
      _ = simulation.loop.after(random.duration(.zero ... .seconds(3))) { reader.begin() }
      for _ in 0..<random.int(0...3) {
        _ = simulation.loop.after(random.duration(.zero ... .seconds(10))) { reader.cut() }
      }
      if random.chance(0.3) {
        _ = simulation.loop.after(random.duration(.zero ... .seconds(8))) {
          if let id = reader.runID { bench.instance.runs.stop(run: id) }
        }
      }
    }
    let isDone = simulation.loop.run(within: .seconds(1200)) { readers.allSatisfy(\.isDone) }
    try #require(isDone, "\(simulation)")

    for reader in readers {
      let id = try #require(reader.runID, "\(simulation)")
      let run = try #require(bench.runs.first { $0.name.path == "runs/\(id)" }, "\(simulation)")
      let events = bench.events(run)
      #expect(reader.text == events.text, "\(simulation)")
      #expect(events.ends.count == 1 && events.last == .end(events.ends[0]), "\(simulation)")
      if let finish = reader.finish { #expect(finish == events.ends.first?.rawValue, "\(simulation)") }
      simulation.trace.note("\(id) \(reader.connections) \(reader.text)")
    }
    // A POST whose answer was lost began a run that nobody knows; it ends all the same.
    #expect(bench.instance.shutDown())
    _ = simulation.loop.run(within: .seconds(1200)) { !bench.exits.isEmpty }
    #expect(bench.exits == [0], "\(simulation)")
    for run in bench.runs { #expect(run.ending != nil && bench.events(run).ends.count == 1, "\(simulation)") }
    simulation.loop.advance(by: .seconds(120))
    bench.expectQuiet("\(simulation)")
    #expect(simulation.network.openStreamCount == 0, "\(simulation)")
    return simulation.trace.fingerprint
  }

  @Test func everySeedHoldsAndRepeats() throws {
    for seed in UInt64(1)...60 {
      let first = try Self.simulate(seed)
      if seed % 20 == 0 { #expect(try Self.simulate(seed) == first, "seed \(seed) gave another trace") }
    }
  }
}
