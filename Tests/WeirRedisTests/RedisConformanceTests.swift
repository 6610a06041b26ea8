import Testing
import WeirCore
import WeirStore
import WeirTesting

@testable import WeirRedis

/// The one suite of all stores, against a real Redis over real sockets.
@Suite(.enabled(if: RedisServer.path != nil, Comment(rawValue: RedisServer.isMissing)))
struct RedisConformanceTests {
  @Test(arguments: StreamStoreConformance.checks) func conforms(_ check: StreamStoreConformance) throws {
    let server = try RedisServer()
    let test = RedisTest()
    let store = try test.open(server.url())
    defer { store.close() }
    try check.run(test.underTest(store))
  }

  /// In a cluster all keys of a store are in one slot; a prefix may look like anything.
  @Test(arguments: ["?prefix={weir}:", "?prefix=a%20b", "?prefix=%C3%A9\u{301}"]) func otherPrefixesWork(
    _ query: String
  ) throws {
    let server = try RedisServer()
    let test = RedisTest()
    guard !query.contains("%20") else {
      #expect(try test.refusal(server.url(query))?.code == "StoreUnavailable")
      return
    }
    let store = try test.open(server.url(query, database: 3))
    defer { store.close() }
    try StreamStoreModel.compare(prefix: "m", with: test.underTest(store), seed: 1, operations: 200)
  }

  /// One turn: what was appended before the watch wakes nobody, what is appended behind it does, though both wait to be sent.
  @Test func appendsAroundAWatchAreToldApart() throws {
    let server = try RedisServer()
    let test = RedisTest()
    let store = try test.open(server.url())
    defer { store.close() }
    let name = try StreamName("a")
    try test.underTest(store).create("a")
    for isFollowed in [false, true] {
      var wakes = 0
      store.append(name, [[1]], ending: nil) { _ in }
      let watch = store.watch(name) { wakes += 1 }
      if isFollowed { store.append(name, [[2]], ending: nil) { _ in } }
      try test.settle(store)
      #expect(wakes == (isFollowed ? 1 : 0))
      watch.cancel()
      try test.settle(store)
    }
  }
}
