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
}
