import Testing
import WeirCore
import WeirTesting

@testable import WeirStore

@Suite struct ProcessLeaseTests {
  let loop = SimulatedWorld(seed: 1).loop

  private func gone(_ ids: [String], _ store: any StreamStore) -> Set<String>? {
    var found: Set<String>?
    ProcessLease.gone(ids[...], in: store) { found = $0 }
    loop.settle()
    return found
  }

  private func ask(_ run: String, of process: String, _ store: any StreamStore) -> StoreFailure? {
    var failure: StoreFailure?
    ProcessLease.askToStop(run, of: process, in: store) { failure = $0 }
    loop.settle()
    return failure
  }

  @Test func aProcessLivesAsLongAsItHoldsItsLease() throws {
    let store = MemoryStreamStore(loop: loop)
    let lease = try ProcessLease("a", for: .seconds(30), in: store)
    #expect(gone(["a", "b/../c"], store) == ["a"])
    var begun: StoreFailure?? = .none
    lease.begin { begun = .some($0) }
    loop.settle()
    #expect(begun == .some(nil))
    loop.advance(by: .seconds(600))
    #expect(gone(["a", "b"], store) == ["b"], "who watches it keeps it")
    lease.end {}
    loop.settle()
    #expect(gone(["a"], store) == ["a"])
    loop.advance(by: .seconds(60))
    #expect(gone(["a"], store) == ["a"], "it is not made again")
  }

  @Test func whoeverLostItsLeaseTakesItAgainAndIsAsked() throws {
    let store = MemoryStreamStore(loop: loop)
    let lease = try ProcessLease("a", for: .seconds(30), in: store)
    var stopped: [String] = []
    lease.onStop = { stopped.append($0) }
    #expect(ask("r", of: "a", store) == .notFound(try StreamName("_weir/processes/a")))
    lease.begin { _ in }
    loop.settle()
    #expect(ask("one", of: "a", store) == nil && ask("two", of: "a", store) == nil)
    #expect(stopped == ["one", "two"])
    let name = try StreamName("_weir/processes/a")
    // What is none of that is passed over.
    store.append(name, [Array("{".utf8), Array("[1]".utf8), Array(#"{"stop": 7}"#.utf8)], ending: nil) { _ in }
    loop.settle()
    store.delete(name) { _ in }
    loop.settle()
    #expect(gone(["a"], store) == [])
    #expect(ask("three", of: "a", store) == nil)
    #expect(stopped == ["one", "two", "three"])
  }
}
