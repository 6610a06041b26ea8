import WeirCore

/// A store that tells one observer of everything that this process changes in it, after it was acknowledged: what a reader of
/// one stream learns by watching it, for all streams, and without keeping any of them in use.
package final class ObservedStore: StreamStore {
  package enum Change: Sendable {
    /// It was not there before.
    case made(StreamStatus)
    /// Items came behind `from`, up to `to`.
    case grew(StreamName, from: Offset, to: Offset)
    case deleted(StreamName)
  }

  private let store: any StreamStore
  /// Called inside the call that answers whoever made the change, before them.
  package var observer: ((Change) -> Void)?

  package init(_ store: any StreamStore) { self.store = store }

  package var isExclusive: Bool { store.isExclusive }
  package var outlivesProcess: Bool { store.outlivesProcess }

  package func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    store.create(name, creation) { [self] result in
      if case .success(let status) = result, !status.existed { observer?(.made(status)) }
      answer(result)
    }
  }

  package func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    let count = UInt64(append.items.count)
    store.append(name, append) { [self] result in
      if case .success(let appended) = result, !appended.isRepeat, count > 0, appended.tail.value >= count {
        observer?(.grew(name, from: Offset(appended.tail.value - count), to: appended.tail))
      }
      answer(result)
    }
  }

  package func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    store.delete(name) { [self] result in
      if case .success = result { observer?(.deleted(name)) }
      answer(result)
    }
  }

  package func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) { store.status(name, answer) }

  package func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) { store.read(name, from: offset, byteLimit: byteLimit, answer) }

  package func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable { store.watch(name, wake) }

  package func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    store.list(prefix: prefix, after: after, limit: limit, answer)
  }

  package func synchronize(_ answer: @escaping (StoreFailure?) -> Void) { store.synchronize(answer) }
  package func close() { store.close() }
}
