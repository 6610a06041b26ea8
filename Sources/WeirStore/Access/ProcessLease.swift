import WeirCore

/// In a store to which several processes write: the sign by which the others see that this one lives.
///
///     _weir/processes/<id>      a stream that is over when its process has not been heard of for so long
///     {"stop": "<run>"}         what others ask of it
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
  /// Another process asks for this run of this one to be stopped.
  package var onStop: (_ run: String) -> Void = { _ in }
  private var watch: (any Cancellable)?
  /// Behind what was read.
  private var next = Offset.start
  private var tail = StreamTail()

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
    tail.woken()
    read()
  }

  private func read() {
    guard watch != nil, tail.wantsRead else { return }
    tail.asked()
    store.read(name, from: next, byteLimit: 64 << 10) { [weak self] result in
      guard let self, watch != nil else { return }
      switch result {
      case .success(let batch):
        next = batch.next
        tail.answered(batch)
        for item in batch.items {
          if let run = (try? JSONValue.parse(item.bytes))?["stop"]?.string { onStop(run) }
        }
        read()
      case .failure(let failure):
        tail.answered(reachedTail: true)
        guard case .notFound = failure else { return }
        next = .start
        make { _ in }
      }
    }
  }

  /// What it leaves is taken up at once.
  package func end(_ answer: @escaping () -> Void) {
    watch?.cancel()
    watch = nil
    store.delete(name) { _ in answer() }
  }

  /// Asks a process to stop one of its runs. A failure: it is gone, or cannot be told.
  package static func askToStop(
    _ run: String, of process: String, in store: any StreamStore, _ answer: @escaping (StoreFailure?) -> Void
  ) {
    do throws(StoreFailure) {
      let message = (["stop": .string(run)] as JSONValue).encoded()
      store.append(try name(process), [message], ending: nil) { answer($0.failure) }
    } catch { answer(error) }
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
