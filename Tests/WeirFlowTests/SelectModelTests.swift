import Testing
import WeirCore
import WeirTesting

@testable import WeirFlow

/// The machine against a model that knows no bands: sort the list again for each round, look who was served last.
@Suite struct SelectModelTests {
  struct Model {
    let priorities: [Int]
    var queued: [Int]
    var open: [Bool]
    /// For each priority, the source that was served last.
    var last: [Int: Int] = [:]

    mutating func next() -> SelectMachine.Action {
      let order = priorities.indices.sorted { (priorities[$1], $0) < (priorities[$0], $1) }
      guard let top = order.first(where: { queued[$0] > 0 }).map({ priorities[$0] }) else {
        return open.contains(true) ? .wait : .end(.allSourcesEnded)
      }
      let band = order.filter { priorities[$0] == top }
      let after = last[top].map { last in band.filter { $0 > last } + band.filter { $0 <= last } } ?? band
      let chosen = after.first { queued[$0] > 0 }!
      last[top] = chosen
      queued[chosen] -= 1
      return .deliver(chosen)
    }
  }

  @Test func theMachineDoesAsTheModel() {
    for seed in UInt64(1)...400 {
      let random = SeededRandom(seed: seed)
      let priorities = (0..<random.int(1...7)).map { _ in random.int(-2...2) }
      var machine = SelectMachine(priorities: priorities)
      var model = Model(
        priorities: priorities, queued: Array(repeating: 0, count: priorities.count),
        open: Array(repeating: true, count: priorities.count))
      for step in 0..<random.int(5...80) {
        // Facts, in random order.
        for _ in 0..<random.int(0...4) {
          let source = random.int(below: priorities.count)
          guard model.open[source] else { continue }
          if random.chance(0.1) {
            // A source ends when its queue is empty.
            if model.queued[source] == 0 {
              model.open[source] = false
              machine.sourceEnded(source)
            }
          } else {
            model.queued[source] += 1
            machine.sourceBecameReady(source)
          }
        }
        let wanted = model.next()
        let found = machine.eventWanted()
        #expect(found == wanted, "seed \(seed), step \(step), priorities \(priorities)")
        if case .deliver(let source) = found, model.queued[source] == 0 { machine.sourceRanDry(source) }
        if case .end = found { break }
      }
    }
  }

  /// Whatever comes: no event is lost, delivered twice or out of its source's order, also through small queues whose
  /// producers have to wait.
  @Test func everyEventOnceAndInItsOrder() throws {
    for seed in UInt64(1)...60 {
      let random = SeededRandom(seed: seed)
      let loop = SimulatedLoop()
      let queues = (0..<random.int(1...5)).map { _ in EventQueue(limit: random.int(1...6)) }
      let totals = queues.map { _ in random.int(0...40) }
      var made = Array(repeating: 0, count: queues.count)
      for (place, queue) in queues.enumerated() {
        func produce() {
          while made[place] < totals[place], !queue.isFull {
            if random.chance(0.3) { break }
            queue.push(.sourceText(source: "\(place)", "\(made[place])"))
            made[place] += 1
          }
          if made[place] == totals[place] { return queue.finish() }
          if !queue.isFull { _ = loop.after(.milliseconds(random.int(1...9)), produce) }
        }
        queue.onRoom = { _ = loop.after(.milliseconds(random.int(0...3)), produce) }
        produce()
      }
      let select = try SelectLoop(
        queues.map { .init($0, priority: random.int(0...2)) }, loop: loop, deadlines: .init(idle: .seconds(60)))
      var seen = Array(repeating: 0, count: queues.count)
      var ended: SelectMachine.End?
      func step() {
        while true {
          switch select.next() {
          case .event(.sourceText(let name, let number), let place):
            #expect(Int(name) == place && Int(number) == seen[place!], "seed \(seed)")
            seen[place!] += 1
            if random.chance(0.2) {
              _ = loop.after(.milliseconds(random.int(1...20)), step)
              return
            }
          case .event(let event, _):
            Issue.record("seed \(seed): \(event)")
            return
          case .wait: return select.wait(step)
          case .end(let end):
            ended = end
            return
          }
        }
      }
      step()
      loop.run()
      #expect(seen == totals && ended == .allSourcesEnded, "seed \(seed)")
    }
  }
}
