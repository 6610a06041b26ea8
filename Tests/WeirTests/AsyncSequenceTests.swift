import Testing
import Weir

/// What Weir adds to asynchronous sequences: lazy, in order, errors passed on.
@Suite struct AsyncSequenceTests {
  struct Broken: Error {}

  /// Counts to `end`, then ends or fails, and knows how far it was asked.
  final class Count: AsyncSequence, AsyncIteratorProtocol {
    var last = 0
    let end: Int
    let fails: Bool
    init(to end: Int, fails: Bool = false) {
      self.end = end
      self.fails = fails
    }
    func makeAsyncIterator() -> Count { self }
    func next() async throws(Broken) -> Int? { try await next(isolation: nil) }
    func next(isolation: isolated (any Actor)?) async throws(Broken) -> Int? {
      if last == end {
        if fails { throw Broken() }
        return nil
      }
      last += 1
      return last
    }
  }

  @Test(arguments: [1, 2, 3, 4, 10, 11]) func chunks(_ size: Int) async throws {
    let all = try await Count(to: 10).chunks(of: size).collect()
    #expect(all.flatMap { $0 } == Array(1...10))
    #expect(all.dropLast().allSatisfy { $0.count == size })
    #expect((1...size).contains(all.last?.count ?? 0))
  }

  @Test func aChunkAsksForNoMoreThanItGives() async throws {
    let count = Count(to: 10)
    var chunks = count.chunks(of: 3).makeAsyncIterator()
    #expect(try await chunks.next() == [1, 2, 3])
    #expect(count.last == 3)
    #expect(try await Count(to: 0).chunks(of: 3).collect().isEmpty)
  }

  @Test func errorsComeThrough() async throws {
    var chunks = Count(to: 4, fails: true).chunks(of: 3).makeAsyncIterator()
    #expect(try await chunks.next() == [1, 2, 3])
    await #expect(throws: Broken.self) { _ = try await chunks.next() }
    await #expect(throws: Broken.self) { _ = try await Count(to: 4, fails: true).collect() }
  }

  @Test func flatMapAndMapAsync() async throws {
    let segments = Count(to: 4).flatMap { Array(repeating: $0, count: $0 - 1) }
    #expect(try await segments.collect() == [2, 3, 3, 4, 4, 4])
    let mapped = Count(to: 3).mapAsync { number in
      await Task.yield()
      return number * 2
    }
    #expect(try await mapped.collect() == [2, 4, 6])
  }

  @Test func aChunkHasAtLeastOneElement() async {
    await #expect(processExitsWith: .failure) { _ = Count(to: 1).chunks(of: 0) }
  }
}
