import Foundation
import Testing
import WeirCore
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

  /// docs/faults.md is this table.
  @Test func theDocumentShowsTheTable() throws {
    var text = """
      # What a provider may do wrong

      Made by `WEIR_UPDATE=1 swift test --filter FaultWallTests` from the table that the tests go through: every row by each of
      the \(FaultWire.shapes.count) request shapes (\(FaultWire.shapes.map { "`\($0.rawValue)`" }.joined(separator: ", "))), whole and cut into small pieces, in virtual time and with
      the usual timeouts. `text`: what a reader has at the end. `not for`: shapes to which it can't happen.

      | fault | end state | code | retryable | text | no later than | not for |
      |---|---|---|---|---|---|---|

      """
    for fault in Fault.all {
      let kept =
        fault.text.count > 20 ? "all of it" : fault.text.isEmpty ? "" : "`\(fault.text.replacing("\n", with: "⏎"))`"
      let but = FaultWire.shapes.filter(fault.but.contains).map(\.rawValue).joined(separator: ", ")
      text +=
        "| \(fault.name) | `\(fault.state.rawValue)` | \(fault.code.rawValue) | \(fault.retryable ? "yes" : "") | \(kept) | \(fault.within.text) | \(but) |\n"
    }
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "../../docs/faults.md")
    if ProcessInfo.processInfo.environment["WEIR_UPDATE"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text, "WEIR_UPDATE=1 swift test --filter FaultWallTests")
  }
}
