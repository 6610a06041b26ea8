import WeirCore

/// In a store to which several processes write: the sign by which the others see that this one lives.
///
///     _weir/processes/<id>      an empty stream that is over when its process has not been heard of for so long
///
/// A stream that somebody watches is in use, so the sign stays for as long as its process can reach the store. Should it be gone all the
/// same (the process stood still, or was cut off), others have taken up what it did; it is made again for what comes next.
package final class ProcessLease {
  package static let root = "_weir/processes/"
  /// How long a process is waited for, usually.
  package static let usual = Duration.seconds(30)

  package let id: String
  /// How long a process may be silent.
  package let length: Duration
  private let name: StreamName
  private let store: any StreamStore
  private var watch: (any Cancellable)?

  package init(_ id: String, for length: Duration, in store: any StreamStore) throws(StoreFailure) {
    self.id = id
    self.length = length
    self.store = store
    name = try Self.name(id)
  }

  private static func name(_ id: String) throws(StoreFailure) -> StreamName { try StreamName(root + id) }

  /// Before anything is done that others should take up.
  package func begin(_ answer: @escaping (StoreFailure?) -> Void) {
    make { [self] failure in
      if failure == nil { watch = store.watch(name) { [weak self] in self?.look() } }
      answer(failure)
    }
  }

  private func make(_ answer: @escaping (StoreFailure?) -> Void) {
    let lifetime = StreamLifetime.idle(seconds: max(1, length.milliseconds / 1000))
    let creation = StreamCreation(
      contentType: StreamContentType.json, lifetime: lifetime, finds: .sameContentType)
    store.create(name, creation) { answer($0.failure) }
  }

  private func look() {
    store.status(name) { [weak self] result in
      guard let self, watch != nil else { return }
      if case .failure(.notFound) = result { make { _ in } }
    }
  }

  /// What it leaves is taken up at once.
  package func end(_ answer: @escaping () -> Void) {
    watch?.cancel()
    watch = nil
    store.delete(name) { _ in answer() }
  }

  /// Of these processes those that are gone. One of which the store says nothing counts as living.
  package static func gone(
    _ ids: ArraySlice<String>, in store: any StreamStore, _ found: Set<String> = [],
    _ answer: @escaping (Set<String>) -> Void
  ) {
    guard let id = ids.first else { return answer(found) }
    guard let name = try? name(id) else { return gone(ids.dropFirst(), in: store, found, answer) }
    store.status(name) { result in
      var found = found
      if case .failure(.notFound) = result { found.insert(id) }
      gone(ids.dropFirst(), in: store, found, answer)
    }
  }
}
