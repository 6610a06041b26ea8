import WeirCore

/// Where a fork begins, once its source has been looked at: pure, the same for every store.
package struct ForkPoint: Equatable, Sendable {
  /// The position of the fork's own first item. What is before it is read from the source.
  package var base: UInt64
  /// The beginning of the source's item there, when it is cut in the middle: the fork's own first item.
  package var piece: [UInt8]?
  package var contentType: String
  package var lifetime: StreamLifetime?

  /// Forks of forks: each is one step more for whoever reads the beginning.
  package static let depthLimit = 100

  /// `fork` has its offset; `next` is the source's item behind it, nil at the tail; `depth` is how many sources the source has.
  package static func of(
    _ creation: StreamCreation, at fork: StreamFork, _ source: StreamStatus, next: [UInt8]?, depth: Int = 0
  ) -> Result<ForkPoint, StoreFailure> {
    guard depth < depthLimit else {
      return .failure(.badFork(source.name, "it is the fork of a fork, \(depthLimit) times (depthLimit)"))
    }
    if let type = creation.contentType, !StreamContentType.isSame(type, source.contentType) {
      return .failure(.otherContentType(source.name, source.contentType))
    }
    let offset = fork.offset ?? source.tail
    guard offset <= source.tail else { return .failure(.beyondTail(source.name, tail: source.tail)) }
    var point = ForkPoint(
      base: offset.value, piece: nil, contentType: source.contentType, lifetime: creation.lifetime ?? source.lifetime)
    if fork.subOffset == 0 { return .success(point) }
    if StreamContentType.holdsJSON(source.contentType) {
      guard fork.subOffset <= source.tail.value - offset.value else {
        return .failure(.badFork(source.name, "fewer than \(fork.subOffset) items follow offset \(offset)"))
      }
      point.base += fork.subOffset
      return .success(point)
    }
    guard let next, fork.subOffset <= UInt64(next.count) else {
      return .failure(
        .badFork(source.name, "\(next?.count ?? 0) bytes follow offset \(offset), not \(fork.subOffset)"))
    }
    if fork.subOffset == UInt64(next.count) {
      point.base += 1
    } else {
      point.piece = Array(next.prefix(Int(fork.subOffset)))
    }
    return .success(point)
  }
}

/// Which streams are forks of which: what says that a deleted stream must be kept, and when it may go.
struct ForkTable {
  private var sources: [StreamName: StreamName] = [:]
  private var counts: [StreamName: Int] = [:]

  func count(of source: StreamName) -> Int { counts[source] ?? 0 }

  /// How many sources a stream has, one behind the other.
  func depth(of stream: StreamName) -> Int {
    var depth = 0
    var name = stream
    while let source = sources[name], depth <= ForkPoint.depthLimit {
      depth += 1
      name = source
    }
    return depth
  }

  /// Whether it is known as a fork of `source`, and what it has comes from a beginning.
  func isSound(_ fork: StreamName, of source: StreamName) -> Bool {
    sources[fork] == source && depth(of: fork) <= ForkPoint.depthLimit
  }

  mutating func add(_ fork: StreamName, of source: StreamName) {
    sources[fork] = source
    counts[source, default: 0] += 1
  }

  /// Answers the stream whose last fork this was.
  mutating func remove(_ fork: StreamName) -> StreamName? {
    guard let source = sources.removeValue(forKey: fork), let count = counts[source] else { return nil }
    counts[source] = count == 1 ? nil : count - 1
    return count == 1 ? source : nil
  }
}
