import Testing
import WeirCore
import WeirStore
import WeirTesting

/// The suite against stores that are not the memory store: one that answers late must pass, and each way of breaking a
/// promise must be noticed, or the suite proves nothing about the stores that come.
@Suite struct ConformanceTests {
  private func run(_ check: StreamStoreConformance, faults: BentStore.Bend?, delay: Bool) throws {
    let simulation = SimulatedWorld(seed: 1)
    let memory = MemoryStreamStore(loop: simulation.loop)
    let random = delay ? simulation.random : nil
    let bent = BentStore(memory, loop: simulation.loop, bend: faults, delays: random)
    try check.run(StoreUnderTest(bent, simulation.loop))
  }

  @Test(arguments: StreamStoreConformance.checks) func aStoreThatAnswersLaterConforms(
    _ check: StreamStoreConformance
  ) throws {
    try run(check, faults: nil, delay: true)
  }

  @Test(arguments: BentStore.Bend.allCases) func aBrokenPromiseIsNoticed(_ bend: BentStore.Bend) {
    let noticed = StreamStoreConformance.checks.contains { check in
      do {
        try run(check, faults: bend, delay: false)
        return false
      } catch {
        return true
      }
    }
    #expect(noticed)
  }
}

/// Hands everything to another store, late or not quite right.
final class BentStore: StreamStore {
  enum Bend: CaseIterable {
    case losesTheSecondItem, splitsAppends, forgetsAborts, reopensOnCreate, endsTwice, endsEarly, neverEnds
    case ignoresByteLimit, overrunsByteLimit, readsBeyondTail, sleepsThroughAppends, sleepsThroughEnds,
      sleepsThroughDeletes
    case wakesInside, wakesAfterCancel, wakesForEveryChange, wakesForNothing, keepsDeleted, listsUnsorted
    case listsAfterInclusive, listsTooMany, forgetsContentType, doublesItems, stampsNoTime, conflictsSilently
    case comparesTypesOnly, makesEmpty, neverExpires, forksAtTheTail, dropsSubOffsets, looksAreUse
    case neverExpiresLater, forgetsProducers, forgetsEpochs, forgetsSequences, takesAnyType, forgetsMaking,
      foldsProducers
  }

  private let store: any StreamStore
  private let loop: any Loop
  private let bend: Bend?
  private let delays: SeededRandom?
  private var last = Instant(nanoseconds: 0)
  private var wakers: [StreamName: [() -> Void]] = [:]

  init(_ store: any StreamStore, loop: any Loop, bend: Bend?, delays: SeededRandom?) {
    self.store = store
    self.loop = loop
    self.bend = bend
    self.delays = delays
  }

  /// Asks at once, so that order is kept, and answers when a disk might.
  private func late<T>(_ answer: @escaping Answer<T>) -> Answer<T> {
    guard let delays else { return answer }
    last = max(last, loop.now + delays.duration(.zero ... .milliseconds(2)))
    let wait = last - loop.now
    return { [loop] result in _ = loop.after(wait) { answer(result) } }
  }

  func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    var asked = creation
    switch bend {
    case .conflictsSilently: asked.contentType = "any"
    case .comparesTypesOnly: asked.finds = .sameContentType
    case .makesEmpty: asked.items = []
    case .neverExpires: asked.lifetime = nil
    case .forksAtTheTail: asked.fork?.offset = nil
    case .dropsSubOffsets: asked.fork?.subOffset = 0
    default: break
    }
    store.create(
      name, asked,
      late { [self] result in
        if bend == .reopensOnCreate, case .success(let status) = result, status.existed {
          store.delete(name) { _ in }
          return store.create(name, creation, answer)
        }
        answer(
          result.map { status in
            var status = status
            if bend == .forgetsContentType { status.contentType = "" }
            return status
          })
      })
  }

  func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    var asked = append
    switch bend {
    case .losesTheSecondItem where asked.items.count > 1: asked.items.remove(at: 1)
    case .doublesItems: asked.items += asked.items
    case .splitsAppends where asked.items.count > 1:
      for item in asked.items { loop.soon { [store] in store.append(name, [item], ending: nil) { _ in } } }
      asked.items = []
    case .forgetsAborts: if case .aborted = asked.ending { asked.ending = .closed }
    case .neverEnds: asked.ending = nil
    case .neverExpiresLater: asked.lifetime = nil
    case .forgetsProducers: asked.producer = nil
    case .forgetsEpochs: asked.producer?.epoch = 0
    case .foldsProducers: if asked.producer?.id == "\u{E9}" { asked.producer?.id = "e\u{301}" }
    case .forgetsSequences: asked.sequence = nil
    case .takesAnyType: asked.contentType = nil
    case .wakesForNothing: for wake in wakers[name] ?? [] { loop.soon(wake) }
    case .wakesForEveryChange, .wakesAfterCancel: for wake in wakers[name] ?? [] { loop.soon(wake) }
    case .wakesInside: for wake in wakers[name] ?? [] { wake() }
    default: break
    }
    store.append(
      name, asked,
      late { [bend] result in
        if bend == .endsTwice, case .failure(.ended) = result { return answer(.success(StreamAppended(tail: .start))) }
        answer(result)
      })
  }

  func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    if bend == .looksAreUse { store.read(name, from: .start, byteLimit: 1) { _ in } }
    store.status(name, late(answer))
  }

  func read(_ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    let limit =
      bend == .ignoresByteLimit ? Int.max : bend == .overrunsByteLimit && byteLimit < .max ? byteLimit + 1 : byteLimit
    store.read(
      name, from: offset, byteLimit: limit,
      late { [bend] result in
        if bend == .readsBeyondTail, case .failure(.beyondTail(_, let tail)) = result {
          return answer(.success(StreamBatch(items: [], next: tail, ending: nil, createdAt: 0)))
        }
        answer(
          result.map { batch in
            var batch = batch
            if bend == .endsEarly, !batch.items.isEmpty { batch.ending = .closed }
            if bend == .forgetsMaking { batch.createdAt = 1 }
            if bend == .stampsNoTime { for i in batch.items.indices { batch.items[i].time = 0 } }
            return batch
          })
      })
  }

  func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
    switch bend {
    case .wakesForNothing, .wakesForEveryChange, .wakesInside, .wakesAfterCancel: wakers[name, default: []].append(wake)
    default: break
    }
    var before: StreamStatus?
    store.status(name) { before = try? $0.get() }
    let watched = store.watch(name) { [store, bend] in
      var now: StreamStatus?
      store.status(name) { now = try? $0.get() }
      defer { before = now }
      if bend == .sleepsThroughAppends, before?.tail != now?.tail { return }
      if bend == .sleepsThroughEnds, now?.ending != nil { return }
      if bend == .sleepsThroughDeletes, now == nil { return }
      wake()
    }
    return watched
  }

  func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    if bend == .keepsDeleted { return answer(.success(())) }
    store.delete(name, late(answer))
  }

  func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    if bend == .listsAfterInclusive {
      return store.list(prefix: prefix, after: nil, limit: .max) { result in
        answer(
          result.map { all in Array(all.filter { status in after.map { status.name >= $0 } ?? true }.prefix(limit)) })
      }
    }
    store.list(
      prefix: prefix, after: after, limit: bend == .listsTooMany ? limit + 1 : limit,
      late { [bend] result in
        answer(result.map { bend == .listsUnsorted ? $0.reversed() : $0 })
      })
  }
}
