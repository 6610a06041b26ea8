extension AsyncSequence {
  /// Elements in arrays of `size`, the last one perhaps shorter. Lazy; an error comes instead of the array that it cuts off.
  ///
  /// - Precondition: `size` is at least 1.
  public func chunks(of size: Int) -> ChunkSequence<Self> {
    precondition(size >= 1, "chunks(of: \(size)): a chunk has at least 1 element")
    return ChunkSequence(base: self, size: size)
  }

  /// All elements, in order. It holds them in memory: for a sequence without end there is `prefix`.
  public func collect() async throws(Failure) -> [Element] {
    var all: [Element] = []
    var iterator = makeAsyncIterator()
    while let element = try await iterator.next(isolation: #isolation) { all.append(element) }
    return all
  }

  /// What `transform` gives for each element, which may wait: the standard library's `map`, by the name that says so.
  public func mapAsync<Transformed>(
    _ transform: @escaping @Sendable (Element) async -> Transformed
  ) -> AsyncMapSequence<Self, Transformed> {
    map(transform)
  }

  /// The elements of what `transform` gives for each element, in order. (The standard library's `flatMap` takes a
  /// `transform` that gives asynchronous sequences.)
  public func flatMap<Segment: Sequence>(
    _ transform: @escaping @Sendable (Element) async -> Segment
  ) -> FlattenedSequence<Self, Segment> {
    FlattenedSequence(base: self, transform: transform)
  }
}

/// What `chunks(of:)` gives.
public struct ChunkSequence<Base: AsyncSequence>: AsyncSequence {
  public typealias Element = [Base.Element]
  public typealias Failure = Base.Failure
  let base: Base
  let size: Int

  public func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator(), size: size) }

  public struct Iterator: AsyncIteratorProtocol {
    var base: Base.AsyncIterator
    let size: Int
    var isOver = false

    public mutating func next() async throws(Base.Failure) -> [Base.Element]? { try await next(isolation: nil) }

    public mutating func next(
      isolation: isolated (any Actor)?
    ) async throws(Base.Failure) -> [Base.Element]? {
      var chunk: [Base.Element] = []
      while !isOver, chunk.count < size {
        guard let element = try await base.next(isolation: isolation) else {
          isOver = true
          break
        }
        chunk.append(element)
      }
      return chunk.isEmpty ? nil : chunk
    }
  }
}

extension ChunkSequence: Sendable where Base: Sendable {}

/// What `flatMap` gives for a `transform` to plain sequences.
public struct FlattenedSequence<Base: AsyncSequence, Segment: Sequence>: AsyncSequence {
  public typealias Element = Segment.Element
  public typealias Failure = Base.Failure
  let base: Base
  let transform: @Sendable (Base.Element) async -> Segment

  public func makeAsyncIterator() -> Iterator { Iterator(base: base.makeAsyncIterator(), transform: transform) }

  public struct Iterator: AsyncIteratorProtocol {
    var base: Base.AsyncIterator
    let transform: @Sendable (Base.Element) async -> Segment
    var segment: Segment.Iterator?

    public mutating func next() async throws(Base.Failure) -> Segment.Element? { try await next(isolation: nil) }

    public mutating func next(
      isolation: isolated (any Actor)?
    ) async throws(Base.Failure) -> Segment.Element? {
      while true {
        if let element = segment?.next() { return element }
        segment = nil
        guard let element = try await base.next(isolation: isolation) else { return nil }
        segment = await transform(element).makeIterator()
      }
    }
  }
}

extension FlattenedSequence: Sendable where Base: Sendable {}
