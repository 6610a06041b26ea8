import WeirCore
import WeirStore

/// Starting and stopping: what an earlier process left is taken up, and left to the next.
extension Subscriptions {
  enum Loading {
    case notYet
    case underWay([(StoreFailure?) -> Void])
    case done(StoreFailure?)
  }

  /// A server uses it, until it leaves.
  package func join(_ server: AnyObject) { servers.insert(ObjectIdentifier(server)) }

  /// With the last server that leaves, it stops.
  package func leave(_ server: AnyObject) {
    if servers.remove(ObjectIdentifier(server)) != nil, servers.isEmpty { stop() }
  }

  /// Takes up what an earlier process left, once, whoever asks. Answers why that cannot be read.
  package func load(_ answer: @escaping (StoreFailure?) -> Void) {
    switch loading {
    case .done(let failure): return answer(failure)
    case .underWay(let others):
      loading = .underWay(others + [answer])
      return
    case .notYet: loading = .underWay([answer])
    }
    var found: [String: [UInt64]] = [:]
    func done(_ failure: StoreFailure?) {
      var answers: [(StoreFailure?) -> Void] = []
      if case .underWay(let others) = loading { answers = others }
      loading = .done(failure)
      let waiting = untilLoaded ?? []
      untilLoaded = nil
      for then in waiting { then() }
      for answer in answers { answer(failure) }
    }
    func list(after: StreamName?) {
      store.list(prefix: SubscriptionJournal.root, after: after, limit: 1_000) { [self] result in
        switch result {
        case .failure(let failure): return done(failure)
        case .success(let page):
          for status in page {
            if let (id, number) = SubscriptionJournal.parse(status.name) { found[id, default: []].append(number) }
          }
          if page.count == 1_000, let last = page.last?.name { return world.loop.soon { list(after: last) } }
          take(found.sorted { $0.key < $1.key }[...])
        }
      }
    }
    func take(_ rest: ArraySlice<(key: String, value: [UInt64])>) {
      guard let (id, numbers) = rest.first, let number = numbers.max() else { return done(nil) }
      takeUp(id, number) { [self] failure in
        if let failure {
          log("subscription \(id) can't be taken up: \(failure.message)")
          broken[id] = .unavailable("the subscription \"\(id)\" can't be taken up: \(failure.message)")
        } else {
          // What a crash left between a record and the one that replaces it.
          for old in numbers where old != number {
            if let name = try? SubscriptionJournal.name(id, old) { store.delete(name) { _ in } }
          }
        }
        world.loop.soon { take(rest.dropFirst()) }
      }
    }
    list(after: nil)
  }

  private func takeUp(_ id: String, _ number: UInt64, _ done: @escaping (StoreFailure?) -> Void) {
    let name: StreamName
    do throws(StoreFailure) { name = try SubscriptionJournal.name(id, number) } catch { return done(error) }
    var subscription: Subscription?
    var extent = SubscriptionJournal.Extent()
    func take(_ item: [UInt8]) -> Bool {
      guard let record = try? JSONValue.parse(item) else { return false }
      extent.add(item.count)
      guard subscription == nil else { return subscription?.apply(record) == true }
      subscription = Subscription(whole: record)
      return subscription?.id == id
    }
    func read(_ from: Offset) {
      store.read(name, from: from, byteLimit: 1 << 20) { [self] result in
        switch result {
        case .failure(let failure): done(failure)
        case .success(let batch) where batch.items.isEmpty:
          guard let subscription else { return done(.unavailable("\(name.path) is empty")) }
          if isStopped { return done(nil) }
          let entry = Entry(subscription)
          entry.journal = journal(of: entry, number: number, extent: extent)
          do throws(SubscriptionFailure) { try checkPattern(subscription.plan) } catch {
            return done(.unavailable(error.message))
          }
          lookUp(entry, done)
        case .success(let batch):
          for item in batch.items where !take(item.bytes) {
            return done(.unavailable("\(name.path) is not what this version writes"))
          }
          world.loop.soon { read(batch.next) }
        }
      }
    }
    read(.start)
  }

  /// How far the streams have come meanwhile.
  private func lookUp(_ entry: Entry, _ done: @escaping (StoreFailure?) -> Void) {
    var names = entry.subscription.links.keys.sorted()[...]
    func next() {
      guard let name = names.popFirst() else {
        return findStreams(of: entry, after: nil) { [self] failure in
          if failure != nil || isStopped { return done(failure) }
          entries[entry.subscription.id] = entry
          entry.subscription.restarted(now: now)
          becomeReady(entry)
          setTimer(entry)
          advance(entry, isChanged: true)
          done(nil)
        }
      }
      store.status(name) { [world] result in
        switch result {
        case .success(let status): _ = entry.subscription.saw(name, status)
        case .failure(.notFound), .failure(.gone): _ = entry.subscription.saw(name, nil)
        case .failure: break
        }
        world.loop.soon(next)
      }
    }
    next()
  }

  /// Nothing is told any more; the next process takes it up.
  private func stop() {
    isStopped = true
    store.observer = nil
    for entry in entries.values { entry.retire() }
    entries = [:]
  }
}

extension Subscriptions.Entry {
  /// Nothing more goes on for it.
  func retire() {
    isDeleted = true
    timer?.cancel()
    endCall()
  }
}
