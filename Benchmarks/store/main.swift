// What the memory store costs, an item: one JSON line for each way of using it. Answers come inside the call, so this is the
// store alone, with no loop between. The best of several rounds counts: noise only adds.
import Glibc
import WeirCore
import WeirStore

/// Time stands still, and jobs are done when they are asked for.
nonisolated final class StillLoop: Loop {
  final class Nothing: Cancellable { func cancel() {} }
  var now: Instant { Instant(nanoseconds: 1) }
  var wallClock: Int64 { 1_767_225_600_000 }
  func after(_ delay: Duration, _ fire: @escaping () -> Void) -> any Cancellable { Nothing() }
  func soon(_ job: @escaping () -> Void) { job() }
  func atEndOfTurn(_ flush: @escaping () -> Void) { flush() }
}

nonisolated func best(of rounds: Int, _ run: () -> Void) -> Double {
  let clock = ContinuousClock()
  return (0..<rounds).map { _ in Double(clock.measure(run).nanoseconds) }.min() ?? 0
}

/// Not at the top level: globals of a main file belong to the main actor, and every closure would ask whether it is there.
nonisolated func measure() throws {
  let loop = StillLoop()
  let name = try StreamName("runs/benchmark")
  let count = 200_000
  let item = Array("{\"type\":\"text\",\"text\":\" word\"}".utf8)
  var store = MemoryStreamStore(loop: loop)
  func fresh(_ creation: StreamCreation = StreamCreation(contentType: "application/json")) {
    store = MemoryStreamStore(loop: loop)
    store.create(name, creation) { _ in }
  }
  func report(_ what: String, _ nanoseconds: Double) {
    print("{\"what\":\"\(what)\",\"ns_per_item\":\((nanoseconds / Double(count) * 10).rounded() / 10)}")
  }
  func appending(_ what: String, _ append: (UInt64) -> StreamAppend) {
    report(
      what,
      best(of: 7) {
        fresh()
        for number in 0..<UInt64(count) { store.append(name, append(number)) { _ in } }
      })
  }
  appending("append one") { _ in StreamAppend(items: [item]) }
  appending("append one, by a producer") { number in
    StreamAppend(items: [item], producer: ProducerStamp(id: "producer", epoch: 0, sequence: number))
  }
  report(
    "append a hundred",
    best(of: 7) {
      fresh()
      let items = Array(repeating: item, count: 100)
      for _ in 0..<count / 100 { store.append(name, items, ending: nil) { _ in } }
    })
  var seen = 0
  report(
    "read one",
    best(of: 7) {
      for position in 0..<count {
        store.read(name, from: Offset(UInt64(position)), byteLimit: 1) { seen += (try? $0.get().items.count) ?? 0 }
      }
    })
  report(
    "read in batches of 64 KiB",
    best(of: 7) {
      var next = Offset.start
      while next.value < UInt64(count) {
        store.read(name, from: next, byteLimit: 64 << 10) { next = (try? $0.get().next) ?? Offset(UInt64(count)) }
      }
    })
  let fork = try StreamName("fork")
  store.create(fork, StreamCreation(fork: StreamFork(source: name))) { _ in }
  report(
    "read one, through a fork",
    best(of: 7) {
      for position in 0..<count {
        store.read(fork, from: Offset(UInt64(position)), byteLimit: 1) { seen += (try? $0.get().items.count) ?? 0 }
      }
    })
  precondition(seen == 14 * count, "every item was read")
}

try measure()
