import Foundation
import Glibc
import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRedis

/// Many at once: writers of several machines, readers of everything, waiters for nothing.
@Suite(.enabled(if: RedisServer.path != nil, Comment(rawValue: RedisServer.isMissing)))
struct RedisScaleTests {
  let server: RedisServer
  let test = RedisTest(within: .seconds(120))

  init() throws { server = try RedisServer() }

  /// Two stores are two machines: nothing is shared but the Redis. Each acknowledged append is checked against what is there.
  @Test func sixtyFourWritersOfTwoMachinesGiveEveryPositionOnce() throws {
    let proxies = try (1...2).map { try CuttingProxy(test.world, to: server.port, seed: $0) }
    let random = SeededRandom(seed: 7)
    for proxy in proxies {
      proxy.lifeOfNext = { random.int(8_000...40_000) }
      proxy.isLate = { random.chance(0.5) }
    }
    let stores = try proxies.map { try test.open($0.url()) { $0.reconnectDelay = .milliseconds(20) } }
    defer { for store in stores { store.close() } }
    let name = try StreamName("shared")
    try test.underTest(stores[0]).create("shared")
    // What each append put where, as it was told.
    var history: [(writer: Int, number: Int, count: Int, tail: UInt64)] = []
    var left = 64
    try test.wait(for: "64 writers") { done in
      func write(_ writer: Int, _ number: Int) {
        guard number < 50 else {
          left -= 1
          return left == 0 ? done() : ()
        }
        let items = (0..<random.int(1...3)).map { Array("\(writer) \(number) \($0)".utf8) }
        stores[writer % 2].append(name, items, ending: nil) { result in
          switch result {
          case .success(let tail): history.append((writer, number, items.count, tail.value))
          case .failure(let failure): Issue.record(failure)
          }
          write(writer, number + 1)
        }
      }
      for writer in 0..<64 { write(writer, 0) }
      _ = test.loop.after(.milliseconds(60)) { [server] in
        server.pause()
        _ = test.loop.after(.milliseconds(200)) { server.resume() }
      }
    }
    let cuts = proxies.map(\.cutCount)
    for proxy in proxies {
      proxy.lifeOfNext = { nil }
      proxy.cutAll()
    }
    let found = try test.underTest(stores[1]).readAll("shared", byteLimit: 1 << 20).texts
    var next: UInt64 = 0
    for append in history.sorted(by: { $0.tail < $1.tail }) {
      #expect(append.tail == next + UInt64(append.count), "a position is given twice, or none")
      next = append.tail
      for i in 0..<append.count {
        let position = Int(append.tail) - append.count + i
        #expect(found[position] == "\(append.writer) \(append.number) \(i)")
      }
    }
    #expect(history.count == 64 * 50 && found.count == Int(next))
    for writer in 0..<64 {
      let own = history.filter { $0.writer == writer }.sorted { $0.number < $1.number }.map(\.tail)
      #expect(own == own.sorted())
    }
    #expect(cuts.allSatisfy { $0 > 0 })
  }

  /// Follows a stream to its end, and asks again when it was refused.
  private final class Follower {
    private let store: RedisStreamStore
    private let name: StreamName
    private let loop: any Loop
    private var watch: (any Cancellable)?
    private var isReading = false
    private var isStale = false
    private(set) var next: Offset
    private(set) var count = 0
    private let visit: (UInt64, [UInt8]) -> Void
    private let ended: () -> Void

    init(
      _ store: RedisStreamStore, _ name: StreamName, from: UInt64, loop: any Loop,
      _ visit: @escaping (UInt64, [UInt8]) -> Void, ended: @escaping () -> Void
    ) {
      (self.store, self.name, self.loop, self.visit, self.ended) = (store, name, loop, visit, ended)
      next = Offset(from)
      watch = store.watch(name) { [weak self] in self?.readOn() }
      readOn()
    }

    private func readOn() {
      if isReading {
        isStale = true
        return
      }
      (isReading, isStale) = (true, false)
      store.read(name, from: next, byteLimit: 20_000) { [self] result in
        isReading = false
        switch result {
        case .failure: _ = loop.after(.milliseconds(5)) { [self] in readOn() }
        case .success(let batch):
          for (i, item) in batch.items.enumerated() { visit(next.value + UInt64(i), item.bytes) }
          count += batch.items.count
          next = batch.next
          if batch.ending != nil {
            watch?.cancel()
            watch = nil
            ended()
          } else if !batch.items.isEmpty || isStale {
            readOn()
          }
        }
      }
    }
  }

  @Test func aThousandReadersSeeAllOfItOnceThroughEverything() throws {
    let server = try RedisServer(["--appendonly", "yes", "--appendfsync", "always"])
    let proxy = try CuttingProxy(test.world, to: server.port, seed: 3)
    let random = SeededRandom(seed: 5)
    proxy.lifeOfNext = { random.int(500_000...2_000_000) }
    let store = try test.open(proxy.url()) { $0.reconnectDelay = .milliseconds(20) }
    let writer = try test.open(server.url())
    defer {
      store.close()
      writer.close()
    }
    let name = try StreamName("a")
    let total = 300
    try test.underTest(writer).create("a")
    try test.underTest(writer).append("a", bytes: (0..<200).map { Array("\($0)".utf8) })
    var wrong = 0
    var followers: [Follower] = []
    var starts: [UInt64] = []
    var left = 1000
    try test.wait(for: "1000 readers") { done in
      for _ in 0..<1000 {
        let start = UInt64(random.int(0...200))
        starts.append(start)
        var expected = start
        followers.append(
          Follower(store, name, from: start, loop: test.loop) { position, bytes in
            if position != expected || bytes != Array("\(position)".utf8) { wrong += 1 }
            expected += 1
          } ended: {
            left -= 1
            if left == 0 { done() }
          })
      }
      func write(_ number: Int) {
        guard number < total else { return }
        let items = (number..<min(total, number + 10)).map { Array("\($0)".utf8) }
        writer.append(name, items, ending: number + 10 >= total ? .closed : nil) { result in
          if case .failure(let failure) = result { Issue.record(failure) }
          _ = test.loop.after(.milliseconds(60)) { write(number + 10) }
        }
      }
      write(200)
      func at(_ milliseconds: Int, _ what: @escaping () throws -> Void) {
        _ = test.loop.after(.milliseconds(milliseconds)) { do { try what() } catch { Issue.record(error) } }
      }
      at(50) { server.pause() }
      at(150) { server.resume() }
      at(200) {
        server.kill()
        try server.start()
      }
      at(350) { try proxy.set(.partition) }
      at(500) { try proxy.set(.relay) }
      at(600) { proxy.cutAll() }
    }
    #expect(wrong == 0)
    #expect(zip(followers, starts).allSatisfy { $0.next == Offset(UInt64(total)) && $0.count == total - Int($1) })
    #expect(proxy.cutCount > 0)
    try test.settle(store)
    #expect(store.watcherCount == 0)
  }

  @Test func tenThousandWaitersCostTwoConnectionsAndNothingWhileNothingHappens() throws {
    let store = try test.open(server.url()) { $0.heartbeat = .seconds(60) }
    defer { store.close() }
    let names = try (0..<10_000).map { try StreamName("s/\($0)") }
    var woken: Set<StreamName> = []
    let watches = names.map { name in store.watch(name) { woken.insert(name) } }
    try test.settle(store)
    #expect(woken.isEmpty)
    // One of them is redis-cli's own.
    #expect(try info("clients", "connected_clients") == 3)
    let commands = try info("stats", "total_commands_processed")
    let before = threadTime()
    try test.wait(for: "a while") { done in _ = test.loop.after(.milliseconds(500), done) }
    #expect(threadTime() - before < .milliseconds(50))
    // Only what asked for the number itself.
    #expect(try info("stats", "total_commands_processed") - commands <= 1)
    let other = try test.open(server.url())
    defer { other.close() }
    try test.underTest(other).create("s/77")
    try test.settle(store)
    #expect(woken == [names[77]])
    for watch in watches { watch.cancel() }
    try test.settle(store)
    #expect(store.watcherCount == 0)
    #expect(try info("stats", "pubsub_channels") == 0 || info("stats", "pubsub_channels") == -1)
  }

  private func info(_ section: String, _ name: String) throws -> Int {
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-cli")
    process.arguments = ["-p", "\(server.port)", "INFO", section]
    process.standardOutput = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    let line = text.split(whereSeparator: \.isNewline).first { $0.hasPrefix(name + ":") }
    return line.flatMap { Int($0.dropFirst(name.count + 1)) } ?? -1
  }

  private func threadTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
  }
}
