import Testing
import WeirCore

@testable import WeirWire

/// The life of a connection as timelines: facts on the left, what must happen on the right.
@Suite struct WebSocketMachineTests {
  fileprivate struct Timeline: CustomTestStringConvertible, Sendable {
    var name: String
    var role: WebSocketRole
    var steps: [(WebSocketMachine.Fact, String)]
    var testDescription: String { name }
    init(_ name: String, _ role: WebSocketRole, _ steps: [(WebSocketMachine.Fact, String)]) {
      (self.name, self.role, self.steps) = (name, role, steps)
    }
  }

  fileprivate static let timelines: [Timeline] = [
    Timeline(
      "messages are delivered, pings also answered", .client,
      [
        (.received(.text("a")), "message(a)"), (.received(.binary([1])), "binary(1)"),
        (.received(.ping([7])), "ping(7) pong[7]"), (.received(.pong([7])), ""), (.outputSent, ""),
      ]),
    Timeline(
      "the peer closes, a client waits for its end", .client,
      [
        (.received(.close(WebSocketClose(4000, "bye"))), "closed(4000 bye) close[15, 160] timer"),
        (.outputSent, ""), (.streamEnded, "→close"), (.timerFired, ""), (.streamEnded, ""),
      ]),
    Timeline(
      "the peer closes, a server ends the stream", .server,
      [
        (.received(.close(WebSocketClose(1000))), "closed(1000 ) close[3, 232] timer"),
        (.received(.text("late")), ""), (.outputSent, "→finishSending"), (.streamEnded, "→close"),
      ]),
    Timeline(
      "the peer ends before everything is sent", .server,
      [
        (.received(.close(nil)), "closed(1005 ) close[] timer"), (.streamEnded, ""), (.outputSent, "→close"),
      ]),
    Timeline(
      "a peer that never ends its stream", .server,
      [
        (.received(.close(nil)), "closed(1005 ) close[] timer"), (.outputSent, "→finishSending"),
        (.timerFired, "→close"), (.streamEnded, ""), (.streamLost("reset"), ""),
      ]),
    Timeline(
      "we close, the peer answers", .client,
      [
        (.closeRequested(.normal), "close[3, 232] timer"), (.closeRequested(.normal), ""), (.outputSent, ""),
        (.received(.text("late")), ""), (.received(.ping([1])), ""),
        (.received(.close(WebSocketClose(1000))), "closed(1000 ) timer"), (.outputSent, ""), (.streamEnded, "→close"),
      ]),
    Timeline(
      "both close at once", .server,
      [
        (.closeRequested(.goingAway), "close[3, 233, 116…] timer"),
        (.received(.close(WebSocketClose(1000, "x"))), "closed(1000 x) timer"), (.outputSent, "→finishSending"),
        (.streamEnded, "→close"),
      ]),
    Timeline(
      "the peer never answers our Close", .client,
      [
        (.closeRequested(.normal), "close[3, 232] timer"), (.outputSent, ""),
        (
          .timerFired,
          "error(the peer did not answer the Close within 3.0 seconds) "
            + "closed(1006 the peer did not answer the Close within 3.0 seconds) →reset"
        ),
        (.streamEnded, ""),
      ]),
    Timeline(
      "the stream ends without a Close", .client,
      [
        (
          .streamEnded,
          "error(the peer ended the connection without a Close) "
            + "closed(1006 the peer ended the connection without a Close) →close"
        ),
        (.streamLost("reset"), ""), (.received(.text("late")), ""),
      ]),
    Timeline(
      "the stream is lost", .server, [(.streamLost("reset"), "error(reset) closed(1006 reset)"), (.timerFired, "")]),
    Timeline(
      "a violation fails the connection, a client ends it too", .client,
      [
        (.violated(.violation("bad")), "error(bad) closed(1002 bad) close[3, 234, 98, 97, 100] timer"),
        (.received(.text("late")), ""), (.outputSent, "→finishSending"), (.streamEnded, "→close"),
      ]),
    Timeline(
      "a message that is too large", .server,
      [
        (
          .violated(.messageTooLarge(size: 9, limit: 8)),
          "error(message size 9 exceeds limit 8) closed(1009 message size 9 exceeds limit 8) close[3, 241, 109…] timer"
        )
      ]),
    Timeline(
      "a violation after our Close", .client,
      [
        (.closeRequested(.normal), "close[3, 232] timer"),
        (.violated(.badData("bad")), "error(bad) closed(1007 bad) timer"), (.outputSent, "→finishSending"),
        (.streamLost("reset"), ""),
      ]),
  ]

  @Test(arguments: timelines) fileprivate func timeline(_ timeline: Timeline) {
    var machine = WebSocketMachine(role: timeline.role)
    var closed = 0
    for (fact, expected) in timeline.steps {
      let action = machine.handle(fact)
      #expect(action.text == expected, "\(fact)")
      closed += action.events.count { if case .closed = $0 { true } else { false } }
    }
    #expect(closed <= 1)
  }

  /// Whatever happens in whatever order: `closed` is the last event, and comes once.
  @Test func closedIsLastWhateverHappens() {
    let facts: [WebSocketMachine.Fact] = [
      .received(.text("a")), .received(.ping([])), .received(.close(nil)), .violated(.violation("bad")),
      .closeRequested(.normal), .outputSent, .streamEnded, .streamLost("reset"), .timerFired,
    ]
    for number in 0..<(9 * 9 * 9 * 9) {
      var machine = WebSocketMachine(role: number % 2 == 0 ? .client : .server)
      var rest = number
      var events: [StreamEvent] = []
      var closes = 0
      for _ in 0..<4 {
        let action = machine.handle(facts[rest % 9])
        events += action.events
        closes += action.close == nil ? 0 : 1
        rest /= 9
      }
      let places = events.indices.filter { if case .closed = events[$0] { true } else { false } }
      if places.count > 1 || (places.first ?? events.count - 1) != events.count - 1 || closes > 1 {
        Issue.record("\(number)")
      }
    }
  }
}

extension WebSocketMachine.Action {
  fileprivate var text: String {
    var parts = events.map { event in
      switch event {
      case .message(let text): "message(\(text))"
      case .binary(let bytes): "binary(\(bytes.map(String.init).joined(separator: " ")))"
      case .ping(let bytes): "ping(\(bytes.map(String.init).joined(separator: " ")))"
      case .closed(let code, let reason): "closed(\(code) \(reason))"
      case .error(let kind): "error(\(kind.message))"
      default: "\(event)"
      }
    }
    if let pong { parts.append("pong\(pong)") }
    if let close { parts.append(close.count > 8 ? "close[\(close[0]), \(close[1]), \(close[2])…]" : "close\(close)") }
    if setsTimer { parts.append("timer") }
    if let stream { parts.append("→\(stream)") }
    return parts.joined(separator: " ")
  }
}
