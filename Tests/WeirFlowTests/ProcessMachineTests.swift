import Testing
import WeirCore

@testable import WeirFlow

/// What is told, and what must be done: a line for each life.
@Suite struct ProcessMachineTests {
  enum Fact {
    case exits(groupAlive: Bool)
    case outputsEnd
    case group(alive: Bool)
    case end
    case stop
    case timer
    case timerWhilePaused
  }
  typealias Action = ProcessMachine.Action

  private static let term: [Action] = [.signal(.terminate), .setTimer(ProcessMachine.grace)]
  private static let kill: [Action] = [.signal(.kill), .setTimer(ProcessMachine.killLimit)]
  private static let wait: [Action] = [.setTimer(ProcessMachine.grace)]

  static let lives: [(name: String, hasOutputs: Bool, steps: [(Fact, [Action])])] = [
    ("exits, then its pipes end", true, [(.exits(groupAlive: false), wait), (.outputsEnd, [.complete, .over])]),
    ("its pipes end, then it exits", true, [(.outputsEnd, []), (.exits(groupAlive: false), [.complete, .over])]),
    (
      "exits while its reader pauses", true,
      [
        (.exits(groupAlive: false), wait), (.timerWhilePaused, wait), (.timerWhilePaused, wait),
        (.outputsEnd, [.complete, .over]),
      ]
    ),
    ("no pipes", false, [(.exits(groupAlive: false), [.complete, .over])]),
    (
      "stopped and listens", true,
      [(.stop, term), (.outputsEnd, []), (.exits(groupAlive: false), [.complete, .over]), (.timer, [])]
    ),
    (
      "stopped and says more than is waited for", true,
      [(.stop, term), (.exits(groupAlive: false), [.complete, .over])]
    ),
    (
      "stopped and does not listen", true,
      [(.stop, term), (.timer, kill), (.exits(groupAlive: true), [.complete, .over])]
    ),
    ("cannot be killed", true, [(.stop, term), (.timer, kill), (.timer, [.complete, .over]), (.stop, [])]),
    (
      "stopped twice", false,
      [(.stop, term), (.stop, []), (.end, []), (.exits(groupAlive: false), [.complete, .over])]
    ),
    (
      "may finish and does", false, [(.end, wait), (.end, []), (.exits(groupAlive: false), [.complete, .over])]
    ),
    (
      "may finish and does not", false,
      [(.end, wait), (.timer, term), (.timer, kill), (.exits(groupAlive: false), [.complete, .over])]
    ),
    (
      "may finish and is stopped", false,
      [(.end, wait), (.stop, term), (.exits(groupAlive: false), [.complete, .over])]
    ),
    (
      "children hold the pipes and end in time", true,
      [
        (.exits(groupAlive: true), wait), (.outputsEnd, [.complete]), (.group(alive: true), []),
        (.group(alive: false), [.over]),
      ]
    ),
    (
      "children hold the pipes and do not end", true,
      [
        (.exits(groupAlive: true), wait), (.timer, term + [.complete]), (.group(alive: true), []),
        (.timer, kill + [.over]),
      ]
    ),
    (
      "children that left the group hold the pipes", true,
      [(.exits(groupAlive: false), wait), (.timer, [.complete, .over])]
    ),
    (
      "a child left behind without pipes", false,
      [(.exits(groupAlive: true), [.complete] + wait), (.timer, term), (.group(alive: false), [.over])]
    ),
    (
      "stopped, and its children listen later", true,
      [
        (.stop, term), (.exits(groupAlive: true), [.complete]), (.group(alive: true), []),
        (.group(alive: false), [.over]),
      ]
    ),
  ]

  @Test(arguments: lives.indices) func life(_ index: Int) {
    let (name, hasOutputs, steps) = Self.lives[index]
    var machine = ProcessMachine(hasOutputs: hasOutputs)
    for (place, (fact, actions)) in steps.enumerated() {
      let done =
        switch fact {
        case .exits(let alive): machine.exited(isGroupAlive: alive)
        case .outputsEnd: machine.outputsEnded()
        case .group(let alive): machine.groupChecked(isAlive: alive)
        case .end: machine.endWanted()
        case .stop: machine.stopWanted()
        case .timer: machine.timerFired()
        case .timerWhilePaused: machine.timerFired(isHeldUp: true)
        }
      #expect(done == actions, "\(name), step \(place + 1)")
    }
    #expect(!machine.wantsGroupChecks, "\(name): over")
  }
}

@Suite struct WriteQueueTests {
  private func taken(_ sizes: [Int]) -> [Bool] {
    var limits = WriteQueue.Limits()
    limits.writes = 3
    limits.bytes = 10
    var queue = WriteQueue(limits: limits)
    return sizes.map { queue.append([UInt8](repeating: 0, count: $0)) }
  }

  @Test func isBoundedInWritesAndBytes() {
    #expect(taken([1, 1, 1, 1]) == [true, true, true, false])
    #expect(taken([4, 6, 1]) == [true, true, false])
    #expect(taken([4, 7, 6]) == [true, false, true])
    #expect(taken([99, 1]) == [true, false], "alone, a large write fits")
    #expect(taken([0, 0, 0, 0, 1]) == [true, true, true, true, true], "nothing is nothing")
    #expect(WriteQueue.Limits().writes == 256 && WriteQueue.Limits().bytes == 1 << 20)
  }

  /// However the pipe takes it, the bytes come out in order and whole.
  @Test func everyWayOfTakingGivesTheSameBytes() {
    for step in 1...12 {
      var limits = WriteQueue.Limits()
      limits.writes = 4
      var queue = WriteQueue(limits: limits)
      var (sent, received): ([UInt8], [UInt8]) = ([], [])
      for round in 0..<50 {
        let bytes = (0..<(round % 7)).map { UInt8(truncatingIfNeeded: round * 7 + $0) }
        if queue.append(bytes) { sent += bytes }
        if round % 3 == 0 {
          queue.drain { offered in
            let count = min(step, offered.count)
            for index in 0..<count { received.append(offered[index]) }
            return count
          }
        }
      }
      while !queue.isEmpty {
        queue.drain { offered in
          for index in 0..<offered.count { received.append(offered[index]) }
          return offered.count
        }
      }
      #expect(received == sent)
      #expect(queue.byteCount == 0 && queue.count == 0)
    }
  }
}
