import Foundation
import Synchronization
import Testing
import WeirCore
import WeirStore

@testable import Weir

/// Workflows, writers and readers from Swift, over real files.
@Suite(.timeLimit(.minutes(2))) struct DurableStoreTests {
  struct Scored: Codable, Sendable, Equatable {
    var token: String
    var score: Double
  }
  struct Lost: Error, CustomStringConvertible { var description: String { "the model went away" } }

  private func withFolder(_ body: (String) async throws -> Void) async throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weir-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try await body(folder)
  }

  /// What a machine that loses its power now would find: all that was acknowledged, and no more.
  private func crashed(_ folder: String) throws -> String {
    let copy = folder + "-crashed"
    try? FileManager.default.removeItem(atPath: copy)
    try FileManager.default.copyItem(atPath: folder, toPath: copy)
    return copy
  }

  /// A task that is cut off.
  private func untilCancelled() async throws {
    for await _ in AsyncStream.makeStream(of: Void.self).stream {}
    try Task.checkCancellation()
  }

  private func code(_ body: () async throws -> Void) async -> String {
    do {
      try await body()
      return "done"
    } catch { return (error as? WeirError)?.code ?? "\(error)" }
  }

  // MARK: Seed 002's examples

  /// An AI's tokens, written in a step, are read from outside while they are written; no reader asked for backpressure, so
  /// more than 16 of them do not wait for anybody.
  @Test func tokensAreReadWhileTheyAreWritten() async throws {
    try await withFolder { folder in
      let store = try await DurableStore.open(directory: folder)
      let reader = try await store.reader(of: String.self, workflow: "answer", namespace: "ai-tokens")
      let told = Mutex(false)
      async let read: [String] = {
        var all: [String] = []
        for try await token in reader {
          all.append(token)
          told.withLock { $0 = true }
        }
        return all
      }()
      let tokens = (0..<40).map { "token\($0) " }
      let count = try await store.workflow("answer") { step in
        let writer = try await step.writable(of: String.self, namespace: "ai-tokens")
        let count = try await step("generateAI") {
          for token in tokens.prefix(20) { try await writer.write(token) }
          // It is not over, and the reader has had some.
          while !told.withLock({ $0 }) { await Task.yield() }
          for token in tokens.dropFirst(20) { try await writer.write(token) }
          return tokens.count
        }
        #expect(writer.position == 40)
        #expect(writer.isWritable)
        try await writer.close()
        #expect(!writer.isWritable)
        return count
      }
      #expect(count == 40)
      #expect(try await read == tokens)
      #expect(!reader.isReadable)
      #expect(reader.position == 40)
      try await store.close()
    }
  }

  /// A consumer in a workflow of its own, from the same store: filter and map of the standard library.
  @Test func aConsumer() async throws {
    let store = await DurableStore.memory()
    try await store.workflow("producer") { step in
      let writer = try await step.writable(of: Scored.self, namespace: "ai-output")
      for (token, score) in [("a", 0.9), ("b", 0.5), ("c", 0.95)] {
        try await writer.write(Scored(token: token, score: score))
      }
    }
    let text = try await store.workflow("consumer") { step in
      let reader = try await store.reader(of: Scored.self, workflow: "producer", namespace: "ai-output")
      return try await reader.filter { $0.score > 0.8 }.map(\.token).collect().joined()
    }
    #expect(text == "ac")
    // The seed's own form: the same workflow again, which only reads.
    let again = try await store.workflow("producer") { step in
      try await step.readable(of: Scored.self, namespace: "ai-output", from: 1).collect().map(\.token)
    }
    #expect(again == ["b", "c"])
    #expect(
      await code { try await store.workflow("producer") { _ = try await $0.writable(of: Int.self) } } == "RunEnded")
  }

  @Test func readByRead() async throws {
    let store = await DurableStore.memory()
    try await store.workflow("w") { step in
      let progress = try await step.writable(of: Int.self, namespace: "progress")
      let reader = try await step.readable(of: Int.self, namespace: "progress")
      for n in [0, 100] { try await progress.write(n) }
      #expect(try await reader.read() == 0)
      #expect(try await reader.read() == 100)
      try await progress.close()
      #expect(await code { _ = try await reader.read() } == "the stream ended after 2 items")
      #expect(await code { try await progress.close() } == "the stream is closed already")
      #expect(await code { try await progress.write(1) } == "the stream is closed")
    }
  }

  @Test func abortReachesReaders() async throws {
    let store = await DurableStore.memory()
    let reader = try await store.reader(of: String.self, workflow: "w", namespace: "response")
    async let seen: String = {
      do {
        for try await _ in reader {}
        return "whole"
      } catch { return "\(error)" }
    }()
    let failure = await code {
      try await store.workflow("w") { step in
        let writer = try await step.writable(of: String.self, namespace: "response")
        try await writer.write("half")
        throw Lost()
      }
    }
    #expect(failure == "the model went away")
    #expect(await seen == "the stream was aborted: the model went away")
    try await store.workflow("v") { step in
      let writer = try await step.writable(of: String.self)
      try await writer.abort("no more")
      let failure = await code { try await writer.write("x") }
      #expect(failure == "the stream was aborted: no more")
    }
  }

  /// A write waits for a reader that wants to be waited for; its task's end, and its reader's, end the wait.
  @Test func backpressure() async throws {
    let store = await DurableStore.memory()
    let events = Mutex<[WorkflowEvent]>([])
    let waits = { events.withLock { $0.count { $0.kind == .backpressure } } }
    store.onEvent { event in events.withLock { $0.append(event) } }
    try await store.workflow("w") { step in
      let writer = try await step.writable(of: Int.self, highWaterMark: 4)
      let reader = try await step.readable(of: Int.self, backpressure: true)
      for n in 0..<4 { try await writer.write(n) }
      #expect(waits() == 0)
      // Cancelled while it waits: not written.
      let cancelled = Task { try await writer.write(-1) }
      while waits() < 1 { await Task.yield() }
      cancelled.cancel()
      #expect(await code { try await cancelled.value } == "the task was cancelled")
      let waiting = Task { try await writer.write(4) }
      #expect(try await reader.read() == 0)
      try await waiting.value
      #expect(writer.position == 5)
      // The others may wait for a reader that has gone no more.
      await reader.close()
      for n in 5..<30 { try await writer.write(n) }
      #expect(await code { _ = try await reader.read() } == "the reader is closed")
      #expect(try await step.readable(of: Int.self).prefix(6).collect() == [0, 1, 2, 3, 4, 5])
    }
    let kinds = events.withLock { $0.map(\.kind) }
    #expect(kinds.first == .created)
    #expect(kinds.count { $0 == .write } == 30)
    #expect(kinds.last == .close)
    #expect(events.withLock { $0.allSatisfy { $0.workflowId == "w" && $0.namespace == "default" } })
  }

  // MARK: Taken up again

  /// The power fails in the middle of the second step: the first is not done again, the second's tokens are written once.
  @Test func resumed() async throws {
    try await withFolder { folder in
      let done = Mutex<[String]>([])
      @Sendable func body(_ step: WorkflowStep, _ crash: (() throws -> Void)?) async throws -> Int {
        let writer = try await step.writable(of: String.self, namespace: "tokens")
        let first = try await step("first") {
          done.withLock { $0.append("first") }
          for word in ["one", "two"] { try await writer.write(word) }
          return 2
        }
        let second = try await step("second") {
          done.withLock { $0.append("second") }
          try await writer.write("three")
          try crash?()
          try await writer.write("four")
          return 2
        }
        try await step("tell") { done.withLock { $0.append("tell") } }
        return first + second
      }
      let copy = folder + "-crashed"
      defer { try? FileManager.default.removeItem(atPath: copy) }
      do {
        let store = try await DurableStore.open(directory: folder)
        // Dropped, not closed.
        #expect(try await store.workflow("run") { try await body($0) { _ = try crashed(folder) } } == 4)
      }
      let store = try await DurableStore.open(directory: copy)
      let reader = try await store.reader(of: String.self, workflow: "run", namespace: "tokens")
      #expect(try await reader.prefix(3).collect() == ["one", "two", "three"])
      #expect(try await store.workflow("run") { try await body($0, nil) } == 4)
      #expect(done.withLock { $0 } == ["first", "second", "tell", "second", "tell"])
      #expect(try await reader.collect() == ["four"])
      #expect(await code { try await store.workflow("run") { _ = try await body($0, nil) } } == "RunEnded")
      try await store.close()
    }
  }

  /// What a resumed life says otherwise cannot go on in the same stream.
  @Test func resumedWithOtherTokens() async throws {
    try await withFolder { folder in
      let copy = folder + "-crashed"
      defer { try? FileManager.default.removeItem(atPath: copy) }
      let first = try await DurableStore.open(directory: folder)
      try await first.workflow("run") { step in
        try await step.writable(of: Int.self).write(1)
        _ = try crashed(folder)
      }
      try await first.close()
      let store = try await DurableStore.open(directory: copy)
      let failure = await code {
        // Also where the body does not want to know.
        try await store.workflow("run") { try? await $0.writable(of: Int.self).write(2) }
      }
      #expect(failure.contains("the resumed run differs from its first life at position 0"), "\(failure)")
      let reader = try await store.reader(of: Int.self, workflow: "run")
      #expect(try await reader.read() == 1)
      #expect(await code { _ = try await reader.read() }.hasPrefix("the stream was aborted"))
    }
  }

  /// A store that was closed under a workflow leaves it to be taken up; a step's value of another type is told.
  @Test func closedUnderway() async throws {
    try await withFolder { folder in
      let store = try await DurableStore.open(directory: folder)
      let held = await code { _ = try await DurableStore.open(directory: folder) }
      #expect(held == "StoreHeld")
      let failure = await code {
        try await store.workflow("run") { step in
          #expect(try await step("count") { 7 } == 7)
          try await store.workflow("changed") { step in
            #expect(try await step("count") { 7 } == 7)
            try await store.close()
            try await step.writable(of: Int.self).write(1)
          }
        }
      }
      #expect(failure == "StoreClosed")
      try await store.close()
      let late = await code { _ = try await store.reader(of: Int.self, workflow: "run") }
      #expect(late == "StoreClosed")
      let again = try await DurableStore.open(directory: folder)
      let count = try await again.workflow("run") { step in try await step("count") { 8 } }
      #expect(count == 7)
      let changed = await code {
        try await again.workflow("changed") { step in
          let count: String = try await step("count") { "8" }
          Issue.record("a step's value of another type: \(count)")
        }
      }
      #expect(changed == "ProgramChanged")
      try await again.close()
    }
  }

  /// What a step has written belongs to it: two at the same time write one stream, one has failed before, one is the item's of an
  /// operation, and the stream of the first is closed when the power fails.
  @Test func resumedFrames() async throws {
    try await withFolder { folder in
      let copy = folder + "-crashed"
      defer { try? FileManager.default.removeItem(atPath: copy) }
      let done = Mutex<[String]>([])
      @Sendable func note(_ what: String) { done.withLock { $0.append(what) } }
      @Sendable func body(_ step: WorkflowStep, _ crash: (@Sendable () throws -> Void)?) async throws -> [String] {
        let closed = try await step.writable(of: Int.self, namespace: "closed")
        try await closed.write(1)
        #expect(closed.isWritable)
        try await closed.close()
        #expect(await code { try await closed.close() } == "the stream is closed already")
        let log = try await step.writable(of: String.self, namespace: "log")
        _ = try? await step("failing") {
          try await log.write("half")
          throw Lost()
        }
        try await log.write("begin")
        try await withThrowingTaskGroup { group in
          for name in ["a", "b"] {
            group.addTask {
              try await step(name) {
                for n in 0..<5 {
                  try await log.write("\(name)\(n)")
                  await Task.yield()
                }
              }
            }
          }
          try await group.waitForAll()
        }
        let items = try await step.forEach(Numbers(0..<6), name: "n", concurrency: 2, checkpointEvery: 2) { n in
          try await log.write("item \(n)")
          if n == 4 { try crash?() }
          return try await step("charge") {
            note("charge \(n)")
            return "receipt \(n)"
          }
        }
        try await log.write("end")
        return items.results
      }
      let receipts = (0..<6).map { "receipt \($0)" }
      let first = try await DurableStore.open(directory: folder)
      #expect(try await first.workflow("run") { try await body($0) { _ = try crashed(folder) } } == receipts)
      try await first.close()
      let store = try await DurableStore.open(directory: copy)
      #expect(try await store.workflow("run") { try await body($0, nil) } == receipts)
      let log = try await store.reader(of: String.self, workflow: "run", namespace: "log").collect()
      #expect(log.filter { $0.hasPrefix("item") }.sorted() == (0..<6).map { "item \($0)" })
      #expect(log.filter { $0.hasPrefix("a") } == (0..<5).map { "a\($0)" })
      #expect(log.filter { $0.hasPrefix("b") && $0 != "begin" } == (0..<5).map { "b\($0)" })
      // A try that failed in each life.
      #expect(
        log.filter { $0 == "half" }.count == 2 && log.filter { $0 == "begin" || $0 == "end" } == ["begin", "end"])
      let charges = done.withLock { $0 }
      #expect(Set(charges).count == 6 && charges.count <= 6 + 4, "\(charges)")
      #expect(try await store.reader(of: Int.self, workflow: "run", namespace: "closed").collect() == [1])
      try await store.close()
    }
  }

  /// A reader that has gone away without saying so holds up neither a closing nor the workflow's end.
  @Test func closingDoesNotWaitForReaders() async throws {
    let store = await DurableStore.memory()
    let waits = Mutex(0)
    store.onEvent { event in if event.kind == .backpressure { waits.withLock { $0 += 1 } } }
    let reader = try await store.reader(of: Int.self, workflow: "w", timeout: nil, backpressure: true)
    try await store.workflow("w") { step in
      let writer = try await step.writable(of: Int.self, highWaterMark: 1)
      try await writer.write(0)
      let waiting = Task { try await writer.write(1) }
      while waits.withLock({ $0 }) < 1 { await Task.yield() }
      try await writer.close()
      try await waiting.value
    }
    #expect(try await reader.collect() == [0, 1])
  }

  // MARK: Each item once

  @Test func forEach() async throws {
    let store = await DurableStore.memory()
    let gauge = Gauge()
    let done = try await store.workflow("w") { step in
      let writer = try await step.writable(of: Int.self, namespace: "orders")
      for n in 0..<50 { try await writer.write(n) }
      let orders = try await step.readable(of: Int.self, namespace: "orders")
      async let done = step.forEach(orders, name: "orders", concurrency: 5, checkpointEvery: 10) { order in
        gauge.begin()
        for _ in 0..<(order % 7) { await Task.yield() }
        gauge.end()
        return order * 2
      }
      // It begins while the source is open.
      while gauge.most == 0 { await Task.yield() }
      try await writer.close()
      return try await done
    }
    #expect(done.results == (0..<50).map { $0 * 2 })
    #expect((done.processedCount, done.lastPosition) == (50, 49))
    #expect(gauge.most <= 5)
  }

  /// After a crash at most `checkpointEvery + concurrency` items are done again.
  @Test func forEachResumed() async throws {
    try await withFolder { folder in
      let copy = folder + "-crashed"
      defer { try? FileManager.default.removeItem(atPath: copy) }
      let done = Mutex<[Int]>([])
      let source = Numbers(0..<40)
      let first = try await DurableStore.open(directory: folder)
      try await first.workflow("run") { step in
        _ = try await step.forEach(source, name: "n", concurrency: 3, checkpointEvery: 4) { n in
          if n == 25 { _ = try self.crashed(folder) }
          done.withLock { if !FileManager.default.fileExists(atPath: copy) { $0.append(n) } }
          return "\(n)"
        }
      }
      try await first.close()
      let before = done.withLock { $0 }
      let again = Mutex<[Int]>([])
      let store = try await DurableStore.open(directory: copy)
      let result = try await store.workflow("run") { step in
        try await step.forEach(source, name: "n", concurrency: 3, checkpointEvery: 4) { n in
          again.withLock { $0.append(n) }
          return "\(n)"
        }
      }
      #expect(result.results == (0..<40).map { "\($0)" })
      #expect(result.processedCount == 40)
      let twice = Set(before).intersection(again.withLock { $0 })
      #expect(twice.count <= 7, "\(twice.sorted())")
      #expect(again.withLock { $0.count } < 40)
    }
  }

  @Test func forEachWithFailures() async throws {
    let store = await DurableStore.memory()
    try await store.workflow("w") { step in
      let odd = { @Sendable (n: Int) async throws -> Int in
        if n % 2 == 1 { throw Lost() }
        return n
      }
      let collected = try await step.forEach(Numbers(0..<6), name: "a", concurrency: 2, onError: .collect, odd)
      #expect(collected.results == [0, 2, 4])
      #expect(collected.failures.map(\.position) == [1, 3, 5])
      #expect(collected.processedCount == 3)
      let skipped = try await step.forEach(Numbers(0..<6), name: "b", onError: .skip, keepResults: false, odd)
      #expect(skipped.results.isEmpty && skipped.failures.isEmpty && skipped.lastPosition == 4)
      #expect(
        await code { _ = try await step.forEach(Numbers(0..<6), name: "c", odd) }
          == "item 1 failed: the model went away")
      for (concurrency, every) in [(0, 1), (1, 0), (1_000_000, 1)] {
        let refusal = await code {
          _ = try await step.forEach(
            Numbers(0..<1), name: "d", concurrency: concurrency, checkpointEvery: every, odd)
        }
        #expect(refusal.hasPrefix("BadArgument"))
      }
      // An item fails while the source is silent: it stops at once.
      let silent = try await store.writableSource(step)
      #expect(
        await code { _ = try await step.forEach(silent, name: "e", concurrency: 2) { (_: Int) -> Int in throw Lost() } }
          == "item 0 failed: the model went away")
    }
  }

  /// An item that is cut off has not failed: no policy goes on with the next one.
  @Test(arguments: [ForEachPolicy.stop, .skip, .collect]) func aCancelledForEachBeginsNothingMore(
    policy: ForEachPolicy
  ) async throws {
    let store = await DurableStore.memory()
    let begun = Mutex(0)
    let isBegun = AsyncStream.makeStream(of: Void.self)
    let task = Task {
      try await store.workflow("w") { step in
        try await step.forEach(Numbers(0..<100), name: "a", concurrency: 2, onError: policy) { n in
          begun.withLock { $0 += 1 }
          isBegun.continuation.yield()
          try await untilCancelled()
          return n
        }
      }
    }
    var turns = isBegun.stream.makeAsyncIterator()
    for _ in 0..<2 { await turns.next() }
    task.cancel()
    #expect(await code { _ = try await task.value } == "the task was cancelled")
    #expect(begun.withLock { $0 } == 2)
  }

  /// What an ended workflow has kept goes when nobody uses it; of one that has not ended, nothing.
  @Test func whatEndedIsKeptForSoLong() async throws {
    try await withFolder { folder in
      let store = try await DurableStore.open(directory: folder, keep: .seconds(3600))
      func write(_ step: WorkflowStep) async throws {
        try await step.writable(of: Int.self).write(1)
        try await step("s") { 1 }
      }
      try await store.workflow("whole", write)
      _ = try? await store.workflow("failed") { step in
        try await write(step)
        throw Lost()
      }
      let open = Task {
        try await store.workflow("open") { step in
          try await write(step)
          try await untilCancelled()
        }
      }
      let seen = try await store.reader(of: Int.self, workflow: "open")
      _ = try await seen.read()
      try await store.close()
      open.cancel()
      _ = try? await open.value
      let history = RunHistory(StoreOptions(.folder(folder)))
      for id in ["whole", "failed"] {
        let run = try history.run(id)
        #expect(run.ending != nil && run.streams.map(\.lifetime) == [.idle(seconds: 3600)], "\(id): \(run.streams)")
      }
      #expect(try history.run("open").streams.map(\.lifetime) == [nil])
      // Newest first, and what cannot be read is shown.
      var all: [String] = []
      try history.visit { all.append($0.id) }
      #expect(Set(all) == ["whole", "failed", "open"])
    }
  }

  /// Whatever JSON they hold.
  @Test func streamsOfJSONByAnotherNameAreRead() throws {
    let item = Array(#"{"token":"a","score":1}"#.utf8)
    #expect(
      try StreamItemForm.item(item, "application/vnd.weir.run+json", as: Scored.self) == Scored(token: "a", score: 1))
    #expect(throws: (any Error).self) { try StreamItemForm.item(item, "application/cbor", as: Scored.self) }
  }

  // MARK: Hostile and unlucky

  @Test func whatIsRefused() async throws {
    let store = await DurableStore.memory()
    for id in ["", "..", "a/b", "a:b", "a\0b", String(repeating: "x", count: 300)] {
      #expect(await code { try await store.workflow(id) { _ in } } == "BadStreamName", "\(id)")
      #expect(await code { _ = try await store.reader(of: Int.self, workflow: id) } == "BadStreamName", "\(id)")
    }
    #expect(await code { _ = try await store.reader(of: Int.self, workflow: "w", from: -1) } == "BadArgument")
    #expect(await code { _ = try await DurableStore.open(directory: "") } == "BadStore")
    #expect(await code { _ = try await DurableStore.open(directory: "/dev/null/x") } != "done")
    try await store.workflow("w") { step in
      #expect(await code { _ = try await step.writable(of: Int.self, namespace: "../x") } == "BadStreamName")
      #expect(await code { _ = try await step.writable(of: Int.self, highWaterMark: 0) } == "BadArgument")
      let numbers = try await step.writable(of: Double.self)
      #expect(await code { try await numbers.write(.nan) } == "the item cannot be kept: JSON has no nan")
      try await numbers.write(1.5)
      #expect(await code { _ = try await step.writable(of: [UInt8].self) } == "StreamConflict")
      let reader = try await step.readable(of: Int.self)
      #expect(
        await code { _ = try await reader.read() }
          == "the item is another one: position 0: expected Int, found 1.5")
      #expect(await code { _ = try await step("nan") { Double.nan } } == "NotKept")
      #expect(
        await code { try await store.workflow("w") { _ = try await $0("again") { 1 } } } == "RunUnderWay")
    }
  }

  @Test func bytesAreKeptAsTheyAre() async throws {
    let store = await DurableStore.memory()
    try await store.workflow("w") { step in
      let writer = try await step.writable(of: [UInt8].self)
      for bytes in [[0, 255, 10], []] as [[UInt8]] { try await writer.write(bytes) }
      try await writer.close()
      #expect(try await step.readable(of: [UInt8].self).collect() == [[0, 255, 10], []])
      #expect(await code { _ = try await step.readable(of: Int.self).read() }.contains("3 bytes of"))
    }
  }

  @Test func waitingForWhatDoesNotCome() async throws {
    let store = await DurableStore.memory()
    let reader = try await store.reader(of: Int.self, workflow: "none", timeout: .milliseconds(20))
    #expect(await code { _ = try await reader.read() } == "nothing came in time")
    #expect(reader.isReadable)
    let patient = try await store.reader(of: Int.self, workflow: "none", timeout: nil)
    let tasks = (0..<3).map { _ in Task { try await patient.read() } }
    tasks[1].cancel()
    #expect(await code { _ = try await tasks[1].value } == "the task was cancelled")
    try await store.workflow("none") { step in
      let writer = try await step.writable(of: Int.self)
      for n in 0..<2 { try await writer.write(n) }
    }
    let got = try await [tasks[0].value, tasks[2].value]
    #expect(Set(got) == [0, 1])
    let last = Task { try await patient.read() }
    #expect(await code { _ = try await last.value } == "the stream ended after 2 items")
  }

  /// Nothing is left of a store that nobody holds: its loop and thread end, its folder is free.
  @Test func nothingIsLeft() async throws {
    try await withFolder { folder in
      weak var thread: StoreThread?
      do {
        let store = try await DurableStore.open(directory: folder)
        thread = store.thread
        try await store.workflow("w") { step in try await step.writable(of: Int.self).write(1) }
        var iterator = try await store.reader(of: Int.self, workflow: "w").makeAsyncIterator()
        #expect(try await iterator.next() == 1)
      }
      while thread != nil { await Task.yield() }
      try await DurableStore.open(directory: folder).close()
    }
  }
}

/// How many are under way.
private final class Gauge: Sendable {
  private let count = Mutex((now: 0, most: 0))
  var most: Int { count.withLock { $0.most } }
  func begin() { count.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) } }
  func end() { count.withLock { $0.now -= 1 } }
}

/// The same numbers every time.
private struct Numbers: AsyncSequence, Sendable {
  let range: Range<Int>
  init(_ range: Range<Int>) { self.range = range }
  func makeAsyncIterator() -> Iterator { Iterator(rest: range) }
  struct Iterator: AsyncIteratorProtocol {
    var rest: Range<Int>
    mutating func next() async -> Int? { rest.popFirst() }
  }
}

extension DurableStore {
  /// A stream with one item that stays open.
  fileprivate func writableSource(_ step: WorkflowStep) async throws -> StreamReader<Int> {
    try await step.writable(of: Int.self, namespace: "silent").write(0)
    return try await step.readable(of: Int.self, namespace: "silent")
  }
}
