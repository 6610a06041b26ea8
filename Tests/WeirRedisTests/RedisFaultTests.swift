import Foundation
import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRedis

/// What a network and a Redis may do to a store, done by a real Redis behind `CuttingProxy`.
///
/// `WEIR_SEED=n` begins with another seed, `WEIR_ROUNDS=100` looks at as many.
@Suite(.enabled(if: RedisServer.path != nil, Comment(rawValue: RedisServer.isMissing)))
struct RedisFaultTests {
  static let seed = ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
  static let rounds = ProcessInfo.processInfo.environment["WEIR_ROUNDS"].flatMap { UInt64($0) } ?? 6

  let server: RedisServer
  let test = RedisTest(within: .seconds(60))
  let proxy: CuttingProxy

  init() throws {
    server = try RedisServer()
    proxy = try CuttingProxy(test.world, to: server.port)
    // It answers, and has the scripts.
    try test.open(server.url()).close()
  }

  /// A command of an administrator, past the store and its proxy.
  private func admin(_ words: String...) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-cli")
    process.arguments = ["-p", "\(server.port)"] + words
    process.standardOutput = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
  }

  // MARK: Connections that are lost

  /// Every answer is the model's, as if nothing had been lost: nothing is done twice, nothing left out, everybody is woken.
  @Test func connectionsThatAreCutAnywhereChangeNothing() throws {
    for seed in Self.seed..<(Self.seed + Self.rounds) {
      let random = SeededRandom(seed: seed)
      let proxy = try CuttingProxy(test.world, to: server.port, seed: seed)
      defer { proxy.close() }
      proxy.lifeOfNext = { random.chance(0.8) ? random.int(2_000...20_000) : random.int(1...2_000) }
      proxy.isLate = { random.chance(0.5) }
      let store = try test.open(proxy.url("?prefix=cut\(seed):")) { $0.reconnectDelay = .milliseconds(20) }
      defer { store.close() }
      do { try StreamStoreModel.compare(prefix: "m", with: test.underTest(store), seed: seed, operations: 150) } catch {
        Issue.record("WEIR_SEED=\(seed): \(error)")
      }
      #expect(proxy.cutCount > 2, "WEIR_SEED=\(seed)")
    }
  }

  /// Many appends are under way when the connection goes: each is in the stream once, in the order asked.
  @Test func appendsUnderWayAreDoneOnceAndInOrder() throws {
    for seed in Self.seed..<(Self.seed + Self.rounds) {
      let random = SeededRandom(seed: seed)
      let proxy = try CuttingProxy(test.world, to: server.port, seed: seed)
      defer { proxy.close() }
      proxy.lifeOfNext = { random.int(4_000...30_000) }
      proxy.isLate = { random.chance(0.7) }
      let store = try test.open(proxy.url("?prefix=once\(seed):")) { $0.reconnectDelay = .milliseconds(20) }
      defer { store.close() }
      let names = try (0..<5).map { try StreamName("s/\($0)") }
      for name in names { store.create(name, contentType: "t") { _ in } }
      var sent: [StreamName: [[UInt8]]] = [:]
      var tails: [StreamName: [UInt64]] = [:]
      var asked = 0
      var answered = 0
      try test.wait(for: "all appends (WEIR_SEED=\(seed))") { done in
        func next() {
          // A few in one turn, then a turn: some are joined, some are not.
          for _ in 0..<random.int(1...20) {
            let name = random.pick(names)
            let items = (0..<random.int(1...3)).map { Array("\(asked).\($0)".utf8) }
            sent[name, default: []] += items
            asked += 1
            store.append(name, items, ending: nil) { result in
              answered += 1
              switch result {
              case .success(let tail): tails[name, default: []].append(tail.value)
              case .failure(let failure): Issue.record("WEIR_SEED=\(seed): \(failure)")
              }
              if answered == asked, asked >= 600 { done() }
            }
          }
          if asked < 600 { _ = test.loop.after(.microseconds(random.int(0...800)), next) }
        }
        next()
      }
      for name in names {
        let found = try test.underTest(store).readAll(name.path, byteLimit: 100_000)
        let isSame = found.items.map(\.bytes) == sent[name] ?? []
        #expect(isSame, "WEIR_SEED=\(seed) \(name)")
        #expect(tails[name] ?? [] == (tails[name] ?? []).sorted(), "WEIR_SEED=\(seed) \(name)")
      }
      #expect(proxy.cutCount > 0, "WEIR_SEED=\(seed)")
    }
  }

  /// What was sent over a lost connection may reach Redis late, behind what was asked since. It must do nothing then.
  @Test func whatAnOlderConnectionSentIsNotDoneBehindANewerOne() throws {
    let store = try test.open(proxy.url())
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    proxy.isLate = { true }
    for round in 0..<10 {
      // Held back with the connection that is lost, delivered when the next one has done all of this.
      try proxy.set(.partition)
      var answer: Result<Offset, StoreFailure>?
      store.append(try StreamName("a"), [Array("\(round)".utf8)], ending: nil) { answer = $0 }
      try test.wait(for: "the command's leaving") { done in _ = test.loop.after(.milliseconds(5), done) }
      #expect(answer == nil)
      proxy.cutAll()
      try proxy.set(.relay)
      try test.settle(store)
      #expect(try answer?.get() == Offset(UInt64(1)))
      try under.delete("a")
      try under.create("a")
      // Longer than anything is held back.
      try test.wait(for: "what is late") { done in _ = test.loop.after(.milliseconds(250), done) }
      #expect(try under.readAll("a").items.isEmpty, "round \(round)")
    }
  }

  /// The worst of moments: what was given up arrives when the next connection has the session and has done nothing with it.
  @Test func whatWasGivenUpIsNotDoneInTheNameOfAnother() throws {
    let store = try test.open(proxy.url()) {
      $0.answerTimeout = .seconds(2)
      $0.operationTimeout = .milliseconds(300)
    }
    defer { store.close() }
    let name = try StreamName("a")
    try test.underTest(store).create("a")
    try proxy.set(.partition)
    #expect(
      try test.failure { store.append(name, [Array("given up".utf8)], ending: nil, $0) }?.code == "StoreUnavailable")
    (proxy.isLate, proxy.isHeldBack) = ({ true }, true)
    proxy.cutAll()
    try proxy.set(.relay)
    proxy.stop = (
      "in its place",
      { [proxy, loop = test.loop] in
        proxy.deliverLate()
        _ = loop.after(.milliseconds(50)) { try? proxy.set(.relay) }
      }
    )
    let tail = try test.ask { store.append(name, [Array("in its place".utf8)], ending: nil, $0) }
    #expect(tail == Offset(1) && proxy.stop == nil)
    #expect(try test.underTest(store).readAll("a").texts == ["in its place"])
  }

  @Test func aPartitionIsNoticedAndOverWhenItIs() throws {
    let store = try test.open(proxy.url()) {
      $0.answerTimeout = .milliseconds(200)
      $0.connectTimeout = .milliseconds(200)
      $0.operationTimeout = .milliseconds(900)
      $0.heartbeat = .milliseconds(300)
    }
    defer { store.close() }
    let under = test.underTest(store)
    let name = try StreamName("a")
    try under.create("a")
    var wakes = 0
    let watch = store.watch(name) { wakes += 1 }
    defer { watch.cancel() }
    try test.settle(store)
    try proxy.set(.partition)
    let failure = try test.failure { store.append(name, [Array("lost?".utf8)], ending: nil, $0) }
    #expect(failure?.code == "StoreUnavailable")
    #expect(failure?.message.hasSuffix("it is not known whether what was asked has been done") == true)
    #expect(try test.failure { store.read(name, from: .start, byteLimit: 1, $0) }?.code == "StoreUnavailable")
    // Another machine goes on meanwhile, and this one hears of it when it can.
    let other = try test.open(server.url())
    defer { other.close() }
    let tail = try test.underTest(other).append("a", ["heard"])
    #expect(wakes == 0)
    try proxy.set(.relay)
    try test.settle(store)
    #expect(wakes > 0)
    #expect(try under.append("a", ["after"]) > tail)
    let texts = try under.readAll("a").texts
    #expect(texts.suffix(2) == ["heard", "after"] || texts == ["heard", "lost?", "after"], "\(texts)")
    #expect(texts.filter { $0 == "lost?" }.count <= 1)
  }

  // MARK: A Redis that goes and comes

  @Test func aPausedRedisIsWaitedFor() throws {
    let store = try test.open(server.url())
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    server.pause()
    var answers = 0
    for i in 0..<50 as Range<UInt8> { store.append(try StreamName("a"), [[i]], ending: nil) { _ in answers += 1 } }
    try test.wait(for: "a moment") { done in _ = test.loop.after(.milliseconds(300), done) }
    #expect(answers == 0)
    server.resume()
    try test.settle(store)
    #expect(answers == 50)
    #expect(try under.readAll("a").items.map(\.bytes) == (0..<50).map { [$0] })
    try admin("CLIENT", "PAUSE", "300", "ALL")
    #expect(try under.append("a", ["x"]) == Offset(51))
  }

  @Test func aRedisThatIsPausedForLongFailsWhatWaits() throws {
    let store = try test.open(server.url()) {
      $0.answerTimeout = .milliseconds(200)
      $0.connectTimeout = .milliseconds(200)
      $0.operationTimeout = .milliseconds(800)
    }
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    server.pause()
    let paused = test.loop.now
    let name = try StreamName("a")
    #expect(try test.failure { store.append(name, [Array("maybe".utf8)], ending: nil, $0) }?.code == "StoreUnavailable")
    #expect(try test.failure { store.status(name, $0) }?.code == "StoreUnavailable")
    // Not when an older, longer deadline is over.
    #expect(test.loop.now - paused < .seconds(4))
    server.resume()
    try under.append("a", ["x"])
    let texts = try under.readAll("a").texts
    #expect(texts == ["x"] || texts == ["maybe", "x"], "\(texts)")
  }

  @Test func aRestartedRedisThatSynchronisesKeepsWhatWasAnswered() throws {
    let server = try RedisServer(["--appendonly", "yes", "--appendfsync", "always"])
    let store = try test.open(server.url())
    defer { store.close() }
    let name = try StreamName("a")
    try test.underTest(store).create("a")
    var acknowledged: [UInt64: [UInt8]] = [:]
    var seen: [[UInt8]] = []
    var next = Offset.start
    var isReading = false
    func readOn() {
      if isReading { return }
      isReading = true
      store.read(name, from: next, byteLimit: 1000) { result in
        isReading = false
        // A reader that was refused asks again, as one over HTTP would.
        guard case .success(let batch) = result else { return readOn() }
        seen += batch.items.map(\.bytes)
        next = batch.next
        if !batch.items.isEmpty { readOn() }
      }
    }
    let watch = store.watch(name) { readOn() }
    defer { watch.cancel() }
    for round in 0..<4 {
      var left = 60
      try test.wait(for: "the appends of round \(round)") { done in
        for i in 0..<60 {
          _ = test.loop.after(.milliseconds(i)) {
            let item = Array("\(round).\(i)".utf8)
            store.append(name, [item], ending: nil) { result in
              if case .success(let tail) = result { acknowledged[tail.value - 1] = item }
              left -= 1
              if left == 0 { done() }
            }
          }
        }
        _ = test.loop.after(.milliseconds(20)) {
          server.kill()
          do { try server.start() } catch { Issue.record(error) }
        }
      }
    }
    try test.settle(store)
    let found = try test.underTest(store).readAll("a").items.map(\.bytes)
    #expect(acknowledged.count == 240)
    #expect(found.count == 240 && acknowledged.allSatisfy { found[Int($0.key)] == $0.value })
    #expect(seen == found)
  }

  @Test func aRedisThatForgetsEverythingIsSaidToHave() throws {
    let store = try test.open(server.url())
    defer { store.close() }
    let under = test.underTest(store)
    for forget in [
      {
        self.server.kill()
        try self.server.start()
      }, { try self.admin("FLUSHALL") },
    ] as [() throws -> Void] {
      try under.create("a")
      try under.append("a", ["x", "y"])
      var wakes = 0
      let watch = store.watch(try StreamName("a")) { wakes += 1 }
      defer { watch.cancel() }
      try test.settle(store)
      try forget()
      // One after the other: the loss of each connection is noticed by itself.
      #expect(under.failure { try $0.append("a", ["z"]) }?.code == "StreamNotFound")
      #expect(try !under.create("a").existed)
      try test.settle(store)
      #expect(wakes > 0)
      wakes = 0
      let other = try test.open(server.url())
      defer { other.close() }
      try test.underTest(other).append("a", ["new"])
      try test.settle(store)
      #expect(wakes > 0)
      #expect(try under.readAll("a").texts == ["new"])
      try under.delete("a")
    }
  }

  @Test func scriptsThatWereForgottenAreLoadedAgain() throws {
    let store = try test.open(server.url())
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    for i in 0..<5 {
      try admin("SCRIPT", "FLUSH")
      var answers = 0
      for j in 0..<40 {
        store.append(try StreamName("a"), [Array("\(i).\(j)".utf8)], ending: nil) { _ in answers += 1 }
        store.read(try StreamName("a"), from: .start, byteLimit: 1) { if case .success = $0 { answers += 1 } }
      }
      try test.settle(store)
      #expect(answers == 80)
    }
    #expect(try under.readAll("a").texts == (0..<5).flatMap { i in (0..<40).map { "\(i).\($0)" } })
  }

  // MARK: A Redis that refuses

  @Test func aFullRedisSaysSoAndCanStillBeRead() throws {
    let store = try test.open(server.url())
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    try under.append("a", ["x"])
    try under.create("room")
    try under.create("idle", StreamCreation(contentType: "t", lifetime: .idle(seconds: 100)))
    try admin("CONFIG", "SET", "maxmemory", "1mb")
    let failure = under.failure { try $0.append("a", ["y"]) }
    #expect(
      failure?.code == "StoreFull"
        && failure?.message.hasSuffix("it has reached its maxmemory: delete streams that ended, or raise it") == true)
    var codes: [String] = []
    for _ in 0..<300 { store.append(try StreamName("a"), [], ending: .closed) { codes.append($0.code) } }
    try test.settle(store)
    #expect(codes == Array(repeating: "StoreFull", count: 300))
    #expect(under.failure { try $0.create("b") }?.code == "StoreFull")
    #expect(try under.read("a").texts == ["x"])
    // Also over a new connection, whose session is refused.
    let late = try test.open(server.url())
    defer { late.close() }
    #expect(test.underTest(late).failure { try $0.append("a", ["y"]) }?.code == "StoreFull")
    #expect(try test.underTest(late).read("a").texts == ["x"])
    // And can make room.
    try test.underTest(late).delete("room")
    #expect(test.underTest(late).failure { try $0.delete("room") }?.code == "StreamNotFound")
    // Whoever reads a stream keeps it, though that is a write.
    let before = try #require(try under.status("idle").expiresAt)
    late.clockShift = .seconds(60)
    #expect(try test.underTest(late).read("idle").items.isEmpty)
    #expect(try #require(try under.status("idle").expiresAt) > before + 50_000)
    late.clockShift = .zero
    try admin("CONFIG", "SET", "maxmemory", "0")
    #expect(try under.append("a", ["y"]) == Offset(2))
    #expect(try test.underTest(late).append("a", ["z"]) == Offset(3))
  }

  @Test func aReplicaIsWaitedForUntilItIsAMaster() throws {
    let store = try test.open(server.url()) { $0.operationTimeout = .milliseconds(800) }
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    try admin("REPLICAOF", "127.0.0.1", "1")
    let failure = under.failure { try $0.append("a", ["x"]) }
    #expect(failure?.code == "StoreUnavailable" && failure?.message.contains(text: "read-only replica") == true)
    #expect(try under.read("a").items.isEmpty)
    let late = try test.open(server.url())
    defer { late.close() }
    var answer: Result<Offset, StoreFailure>?
    late.append(try StreamName("a"), [[1]], ending: nil) { answer = $0 }
    try test.wait(for: "a moment") { done in _ = test.loop.after(.milliseconds(200), done) }
    #expect(answer == nil)
    try admin("REPLICAOF", "NO", "ONE")
    try test.settle(late)
    #expect(try answer?.get() == Offset(1))
  }

  /// Looking needs no writes: not to renew a lifetime, and not to remove what is over.
  @Test func aReplicaIsReadWhateverTheLifetimes() throws {
    let store = try test.open(server.url())
    defer { store.close() }
    let under = test.underTest(store)
    for (name, seconds) in [("idle", 100), ("over", 1)] as [(String, Int64)] {
      try under.create(
        name, StreamCreation(contentType: "t", lifetime: .idle(seconds: seconds), items: [[0x78]]))
    }
    try admin("REPLICAOF", "127.0.0.1", "1")
    store.clockShift = .seconds(50)
    #expect(try under.read("idle").texts == ["x"])
    #expect(under.failure { _ = try $0.read("over") }?.code == "StreamNotFound")
    let listed = try test.ask { store.list(prefix: "", after: nil, limit: 10, $0) }
    #expect(listed.map(\.name.path) == ["idle"])
    // Opening sweeps.
    let late = try test.open(server.url())
    defer { late.close() }
    #expect(try test.underTest(late).read("idle").texts == ["x"])
  }

  @Test func aRedisThatLoadsItsDataIsWaitedFor() throws {
    let store = try test.open(proxy.url()) { $0.operationTimeout = .seconds(2) }
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    try proxy.set(.answer("-LOADING Redis is loading the dataset in memory\r\n"))
    _ = test.loop.after(.milliseconds(400)) { [proxy] in try? proxy.set(.relay) }
    #expect(try under.append("a", ["x"]) == Offset(1))
    try proxy.set(.answer("-LOADING Redis is loading the dataset in memory\r\n"))
    let failure = under.failure { try $0.append("a", ["y"]) }
    #expect(failure?.code == "StoreUnavailable" && failure?.message.contains(text: "it is loading its data") == true)
  }

  @Test func keysOfAnotherKindAreNamed() throws {
    try admin("SET", "weir:meta:a", "x")
    try admin("SET", "weir:items:b", "x")
    let store = try test.open(server.url())
    defer { store.close() }
    let under = test.underTest(store)
    for call in [{ try $0.create("a") }, { try $0.create("b") }, { _ = try $0.read("a") }]
      as [(StoreUnderTest) throws -> Void]
    {
      let failure = under.failure(call)
      #expect(
        failure?.code == "StoreUnavailable" && failure?.message.contains(text: "holds something else") == true,
        "\(failure as Any)")
    }
    // What comes behind such a failure is done all the same, in its order.
    try under.create("c")
    var log: [String] = []
    for i in 0..<4 {
      store.append(try StreamName("a"), [[1]], ending: nil) { log.append("a \($0.code)") }
      store.append(try StreamName("c"), [[UInt8(i)]], ending: nil) { log.append("c \((try? $0.get())?.value ?? 0)") }
      store.status(try StreamName("c")) { _ in }
      store.status(try StreamName("a")) { _ in }
    }
    try test.settle(store)
    #expect(log.filter { $0.hasPrefix("a") } == Array(repeating: "a StoreUnavailable", count: 4))
    #expect(log.filter { $0.hasPrefix("c") } == (1...4).map { "c \($0)" })
    #expect(try under.readAll("c").items.map(\.bytes) == [[0], [1], [2], [3]])
  }

  @Test func itemsThatRedisThrewAwayAreMissedNotSkipped() throws {
    let store = try test.open(server.url())
    defer { store.close() }
    let under = test.underTest(store)
    try under.create("a")
    try under.append("a", ["x", "y", "z"])
    try admin("XDEL", "weir:items:a", "1-1")
    let failure = under.failure { _ = try $0.read("a") }
    #expect(failure?.code == "StoreUnavailable" && failure?.message.contains(text: "has lost its item 1") == true)
    #expect(try under.read("a", from: 2).texts == ["z"])
  }

  // MARK: What is no Redis of ours

  @Test func whatCannotBeOpenedIsSaidAtOnceAndWithoutSecrets() throws {
    let secret = "p%40ss-w0rd-of-ours"
    let locked = try RedisServer(["--requirepass", "the right one"])
    let cases: [(url: String, words: String)] = [
      (locked.url(), "it wants a password"),
      (locked.url(user: ":\(secret)@"), "refuses the user and password"),
      (locked.url(user: "me:\(secret)@"), "refuses the user and password"),
      (server.url(database: 99), "no database of that number"),
    ]
    for (url, words) in cases {
      let failure = try test.refusal(url)
      #expect(failure?.message.contains(text: words) == true, "\(url): \(failure as Any)")
      #expect(failure?.description.contains(text: "w0rd") == false)
    }
    let right = try test.open(locked.url(user: ":the%20right%20one@"))
    right.close()
    #expect(right.address.description == "redis://127.0.0.1:\(locked.port)/0")
    for answer in ["HTTP/1.1 400 Bad Request\r\n\r\n", "SSH-2.0-OpenSSH\r\n", "220 mail ESMTP\r\n", "\u{15}\u{3}\u{1}"]
    {
      try proxy.set(.answer(answer))
      let failure = try test.refusal(proxy.url())
      #expect(failure?.message.contains(text: "not Redis' protocol") == true, "\(failure as Any)")
    }
    try proxy.set(.answer("+OK POP3 ready\r\n+OK\r\n"))
    #expect(try test.refusal(proxy.url())?.message.hasSuffix("it does not answer as a Redis does") == true)
  }

  @Test func whatDoesNotAnswerIsGivenUpInTime() throws {
    func quick(_ limits: inout RedisStreamStore.Limits) {
      limits.connectTimeout = .milliseconds(200)
      limits.openTimeout = .milliseconds(600)
    }
    try proxy.set(.partition)
    #expect(try test.refusal(proxy.url(), quick)?.message.contains(text: "did not answer within 200ms") == true)
    try proxy.set(.refuse)
    #expect(try test.refusal(proxy.url(), quick)?.message.contains(text: "was refused") == true)
    #expect(try test.refusal("redis://no-such-host.invalid", quick)?.code == "StoreUnavailable")
    // TLS where there is none, and a certificate that nobody knows.
    #expect(try test.refusal("rediss://127.0.0.1:\(server.port)", quick)?.code == "StoreUnavailable")
  }

  @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl"), "openssl is not installed"))
  func anEncryptedRedisIsVerified() throws {
    let folder = NSTemporaryDirectory() + "weir-redis-tls-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
    process.arguments =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout \(folder)/key.pem -out \(folder)/cert.pem"
      .split(separator: " ").map(String.init)
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    let port = RedisServer.freePort()
    let server = try RedisServer([
      "--tls-port", "\(port)", "--tls-cert-file", folder + "/cert.pem", "--tls-key-file", folder + "/key.pem",
      "--tls-ca-cert-file", folder + "/cert.pem", "--tls-auth-clients", "no",
    ])
    try test.open(server.url()).close()
    // Nobody vouches for it, and for this name nobody does.
    #expect(try test.refusal("rediss://localhost:\(port)")?.message.contains(text: "certificate") == true)
    test.world.environment = FixedEnvironment(["SSL_CERT_FILE": folder + "/cert.pem"])
    #expect(try test.refusal("rediss://127.0.0.1:\(port)")?.message.contains(text: "TLS") == true)
    let store = try test.open("rediss://localhost:\(port)")
    defer { store.close() }
    try StreamStoreModel.compare(prefix: "m", with: test.underTest(store), seed: 1, operations: 100)
  }

  /// Whoever waits learns of changes even when no subscription can be had, if not at once.
  @Test func watchersWithoutASubscriptionAreWokenAllTheSame() throws {
    try admin("ACL", "SETUSER", "reader", "on", ">word-of-a-reader", "~*", "+@all", "resetchannels")
    let store = try test.open(server.url(user: "reader:word-of-a-reader@")) { $0.reconnectDelay = .milliseconds(50) }
    defer { store.close() }
    let writer = try test.open(server.url())
    defer { writer.close() }
    try test.underTest(writer).create("a")
    var wakes = 0
    let watch = store.watch(try StreamName("a")) { wakes += 1 }
    defer { watch.cancel() }
    try test.wait(for: "some attempts") { done in _ = test.loop.after(.milliseconds(300), done) }
    #expect(wakes == 0)
    try test.underTest(writer).append("a", ["x"])
    try test.wait(for: "the wake") { done in
      func look() { if wakes > 0 { done() } else { _ = test.loop.after(.milliseconds(10), look) } }
      look()
    }
    #expect(wakes == 1)
  }
}
