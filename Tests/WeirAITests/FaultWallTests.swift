import Foundation
import Testing
import WeirCore
import WeirFlow
import WeirTesting

@testable import WeirAI

/// Every fault by every dialect, against a provider that does just that: the right end, in time, with the text that came.
struct FaultWallTests {
  @Test func thereAreEnough() {
    #expect(Fault.all.count >= 60)
    #expect(Set(Fault.all.map(\.name)).count == Fault.all.count)
  }

  @Test(arguments: FaultWire.shapes) func everyFault(_ shape: RequestShape) {
    let wire = FaultWire(shape: shape)
    for fault in Fault.all where !fault.but.contains(shape) {
      for pieceLimit in [1 << 20, 7] where pieceLimit > 7 || fault.text.count < 1_000 {
        var faults = SimulatedFaults.calm
        faults.pieceLimit = pieceLimit
        let simulation = SimulatedWorld(seed: 1, faults: faults)
        simulation.http.serve("https://") { fault.serve(wire, $0) }
        let recorder = EventRecorder()
        recorder.onEvent = { if case .end = $0 { recorder.endedAfter = simulation.loop.elapsed } }
        ChatClient(world: simulation.world).start(request(), provider: wire.provider, sink: recorder)
        simulation.loop.run()
        let what =
          "\(shape.rawValue): \(fault.name) (pieces of \(pieceLimit)): \(DeltaDecoderTests.show(recorder.events).prefix(500))"
        #expect(recorder.end == fault.state && recorder.endCount == 1, "\(what)")
        #expect(recorder.failure?.code ?? "–" == fault.code.rawValue, "\(what)")
        #expect(recorder.failure?.retryable ?? false == fault.retryable, "\(what)")
        if fault.text != "…" { #expect(recorder.text == fault.text, "\(what)") }
        #expect(recorder.endedAfter <= fault.within, "\(what): after \(recorder.endedAfter)")
        #expect(simulation.http.openExchangeCount == 0 && simulation.loop.pendingTimerCount == 0, "\(what)")
      }
    }
  }

  /// Whatever byte an answer breaks off at: truncated, unless its finish marker was there.
  @Test(arguments: FaultWire.shapes) func brokenOffAtEveryByte(_ shape: RequestShape) {
    let wire = FaultWire(shape: shape)
    let bytes = Array(wire.whole.utf8)
    let marker = bytes.count - wire.sentinel.utf8.count
    for length in 0..<bytes.count {
      for cut in [nil, "the connection was reset by the other side"] {
        let events = DeltaDecoderTests.decode([Array(bytes[..<length])], wire.provider, cut: cut)
        let text = events.reduce(into: "") { if case .text(let more) = $1 { $0 += more } }
        #expect("Hello".hasPrefix(text))
        // The marker counts once it is JSON, at the latest with the blank line behind it.
        if length >= marker { #expect(events.last == .end(.completed), "\(shape) at \(length)") }
        if length < marker - 3 { #expect(events.last == .end(.truncated), "\(shape) at \(length)") }
      }
    }
  }

  /// Of one dialect, as a file for who plays the wall over real sockets: what is sent and when, and what has to come of it.
  @Test func theWallIsAFile() throws {
    let wire = FaultWire(shape: .openaiChat)
    var faults: [JSONValue] = []
    for fault in Fault.all where !fault.but.contains(.openaiChat) {
      let simulation = SimulatedWorld(seed: 1, faults: .calm)
      simulation.http.serve("https://") { fault.serve(wire, $0) }
      var bytes: [UInt8] = []
      let recorder = StreamRecorder(loop: simulation.loop) { bytes += $0 }
      let request = HTTPClientRequest(method: "POST", url: wire.provider.endpoint)
      _ = RecordedTransport(simulation.http, recorder).start(request, handler: Nobody())
      simulation.loop.run()
      recorder.flush()
      // The long ones are for simulation.
      guard bytes.count < 64 << 10 else { continue }
      let lines = try bytes.split(separator: 0x0A).dropFirst(2).map { try JSONValue.parse(Array($0)) }
      faults.append([
        "name": .string(fault.name), "state": .string(fault.state.rawValue), "code": .string(fault.code.rawValue),
        "text": .string(fault.text), "sent": .array(lines),
      ])
    }
    try Self.check(
      "../Product/faults.json", JSONValue.array(faults).text.replacing("},{\"name\"", with: "},\n{\"name\"") + "\n")
  }

  private final class Nobody: HTTPResponseHandler {
    func httpReceived(head: HTTPResponseHead) {}
    func httpReceived(body: Span<UInt8>) {}
    func httpFinished(_ failure: NetworkFailure?) {}
  }

  /// What LiteLLM's proxy makes of the same, seen by OpenAI's client behind it; scripts/litellm-faults asks them.
  private static func litellm() throws -> (version: String, seen: [String: String]) {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../Product/litellm_faults.json")
    let value = try JSONValue.parse(Array(Data(contentsOf: file)))
    var seen: [String: String] = [:]
    for member in value["seen"]?.members ?? [] { seen[member.name] = member.value.string }
    return (value["version"]?.string ?? "", seen)
  }

  private static func check(_ name: String, _ text: String) throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(name)
    if ProcessInfo.processInfo.environment["WEIR_UPDATE"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text, "WEIR_UPDATE=1 swift test --filter FaultWallTests")
  }

  /// docs/faults.md is this table.
  @Test func theDocumentShowsTheTable() throws {
    let (version, seen) = try Self.litellm()
    var text = """
      # What a provider may do wrong

      Made by `WEIR_UPDATE=1 swift test --filter FaultWallTests` from the table that the tests go through: every row by each of
      the \(FaultWire.shapes.count) request shapes (\(FaultWire.shapes.map { "`\($0.rawValue)`" }.joined(separator: ", "))), whole and cut into small pieces, in virtual time and with
      the usual timeouts. `text`: what a reader has at the end. `not for`: shapes to which it can't happen.

      The last column is what OpenAI's own client saw when the same was put before a LiteLLM proxy (\(version)) that it asked, over
      real sockets, in chat completions: an exception, or an answer that ended. `scripts/litellm-faults` asks them again. Waits were
      shortened 20 times there, and its timeout was 3 seconds. A blank was not tried.

      | fault | end state | code | retryable | text | no later than | not for | LiteLLM's client saw |
      |---|---|---|---|---|---|---|---|

      """
    for fault in Fault.all {
      let kept =
        fault.text.count > 20 ? "all of it" : fault.text.isEmpty ? "" : "`\(fault.text.replacing("\n", with: "⏎"))`"
      let but = FaultWire.shapes.filter(fault.but.contains).map(\.rawValue).joined(separator: ", ")
      text +=
        "| \(fault.name) | `\(fault.state.rawValue)` | \(fault.code.rawValue) | \(fault.retryable ? "yes" : "") | \(kept) | \(fault.within.text) | \(but) | \(seen[fault.name] ?? "") |\n"
    }
    try Self.check("../../docs/faults.md", text)
  }
}
