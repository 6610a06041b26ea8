import WeirCore
import WeirNet
import WeirStore

extension Subscriptions {
  // MARK: What clients ask

  /// Answers with the entry, made or found, and whether it was made.
  func create(
    _ id: String, _ plan: SubscriptionPlan, base: String,
    _ answer: @escaping (Result<(entry: Entry, isNew: Bool), SubscriptionFailure>) -> Void
  ) {
    whenLoaded { [self] in
      if isStopped { return answer(.failure(.stopped)) }
      if let failure = broken[id] { return answer(.failure(.store(failure))) }
      if let entry = entries[id] {
        return whenReady(entry) { [self] in
          // Whoever was making it may have failed.
          guard entries[id] === entry else { return create(id, plan, base: base, answer) }
          guard entry.subscription.plan.fingerprint == plan.fingerprint else { return answer(.failure(.exists(id))) }
          answer(.success((entry, false)))
        }
      }
      guard entries.count + broken.count < Self.countLimit else {
        return answer(.failure(.tooMany(limit: Self.countLimit)))
      }
      let entry = Entry(Subscription(id: id, plan: plan, createdAt: now, base: base))
      entries[id] = entry
      entry.journal = journal(of: entry, number: 0, extent: .init())
      link(entry, plan.streams) { [self] failure in
        if let failure { return give(entry, up: failure, answer) }
        findStreams(of: entry, after: nil) { [self] failure in
          if let failure { return give(entry, up: failure, answer) }
          entry.journal.write(entry.subscription.takeRecord()) { [self] failure in
            if let failure { return give(entry, up: failure, answer) }
            becomeReady(entry)
            answer(.success((entry, true)))
            advance(entry, isChanged: false)
          }
        }
      }
    }
  }

  private func give(
    _ entry: Entry, up failure: StoreFailure,
    _ answer: @escaping (Result<(entry: Entry, isNew: Bool), SubscriptionFailure>) -> Void
  ) {
    entry.isDeleted = true
    // Some of it may have been kept all the same.
    entry.journal.delete { [self] _ in
      if entries[entry.subscription.id] === entry { entries[entry.subscription.id] = nil }
      becomeReady(entry)
      answer(.failure(.store(failure)))
    }
  }

  func journal(of entry: Entry, number: UInt64, extent: SubscriptionJournal.Extent) -> SubscriptionJournal {
    SubscriptionJournal(entry.subscription.id, number: number, extent: extent, store: store) { [weak entry] in
      entry?.subscription.wholeRecord
    }
  }

  func whenReady(_ entry: Entry, _ then: @escaping () -> Void) {
    if entry.waiting == nil { then() } else { entry.waiting?.append(then) }
  }

  func becomeReady(_ entry: Entry) {
    let waiting = entry.waiting ?? []
    entry.waiting = nil
    for then in waiting { then() }
  }

  /// Links streams by name, each at its tail: all of them or none.
  private func link(_ entry: Entry, _ names: [StreamName], _ done: @escaping (StoreFailure?) -> Void) {
    let full = StoreFailure.full("\(Subscription.linksLimit) streams of one subscription")
    guard entry.subscription.hasRoom(for: names) else { return done(full) }
    var rest = names[...]
    var added: [StreamName] = []
    func giveUp(_ failure: StoreFailure) {
      for name in added { entry.subscription.remove(name) }
      done(failure)
    }
    func next() {
      guard let name = rest.popFirst() else { return done(nil) }
      store.status(name) { [world] result in
        let isNew = entry.subscription.links[name]?.isExplicit != true
        let hadRoom: Bool
        switch result {
        case .success(let status): hadRoom = entry.subscription.add(name, status)
        case .failure(.notFound), .failure(.gone): hadRoom = entry.subscription.add(name, nil)
        case .failure(let failure): return giveUp(failure)
        }
        // Somebody else linked others meanwhile.
        guard hadRoom else { return giveUp(full) }
        if isNew { added.append(name) }
        world.loop.soon(next)
      }
    }
    next()
  }

  /// Links the streams there are that the pattern matches: at their tails, and those made since the subscription was, which
  /// an earlier process had no time to link, at their beginning.
  func findStreams(of entry: Entry, after: StreamName?, _ done: @escaping (StoreFailure?) -> Void) {
    guard let pattern = entry.subscription.plan.pattern else { return done(nil) }
    let pageLimit = 1_000
    store.list(prefix: pattern.prefix, after: after, limit: pageLimit) { [self] result in
      switch result {
      case .failure(let failure): done(failure)
      case .success(let page):
        for status in page where !status.name.isInternal {
          let isLater = status.createdAt > entry.subscription.createdAt
          _ = entry.subscription.listed(status, acked: isLater ? status.inheritedEnd : status.tail)
        }
        guard page.count == pageLimit, let last = page.last?.name else { return done(nil) }
        world.loop.soon { [self] in findStreams(of: entry, after: last, done) }
      }
    }
  }

  func find(_ id: String, _ answer: @escaping (Result<Entry, SubscriptionFailure>) -> Void) {
    whenLoaded { [self] in
      if isStopped { return answer(.failure(.stopped)) }
      if let failure = broken[id] { return answer(.failure(.store(failure))) }
      guard let entry = entries[id] else { return answer(.failure(.notFound(id))) }
      whenReady(entry) { [self] in answer(entries[id] === entry ? .success(entry) : .failure(.notFound(id))) }
    }
  }

  func delete(_ id: String, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    whenLoaded { [self] in
      guard broken[id] != nil, !isStopped else {
        return find(id) { [self] result in
          switch result {
          case .success(let entry): delete(entry, answer)
          case .failure(let failure): answer(failure)
          }
        }
      }
      SubscriptionJournal(id, number: 0, extent: .init(), store: store, whole: { nil }).delete { [self] failure in
        if failure == nil { broken[id] = nil }
        answer(failure.map { .store($0) })
      }
    }
  }

  /// Behind what was asked before. What is asked meanwhile waits: if this fails the subscription is there as it was.
  private func delete(_ entry: Entry, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    entry.waiting = []
    entry.journal.delete { [self] failure in
      if failure == nil {
        entry.retire()
        if entries[entry.subscription.id] === entry { entries[entry.subscription.id] = nil }
      }
      becomeReady(entry)
      if failure != nil, !entry.isDeleted {
        entry.subscription.restarted(now: now)
        setTimer(entry)
        advance(entry, isChanged: true)
      }
      answer(failure.map { .store($0) })
    }
  }

  func add(_ names: [StreamName], to entry: Entry, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    link(entry, names) { [self] failure in
      guard let failure else { return keep(entry, answer) }
      advance(entry, isChanged: true)
      answer(.store(failure))
    }
  }

  /// Keeps what a client has changed, answers then, and goes on.
  func keep(_ entry: Entry, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    let id = entry.subscription.id
    advance(entry, isChanged: true) { [self] failure in
      guard let failure else { return answer(nil) }
      answer(isStopped ? .stopped : entries[id] === entry ? .store(failure) : .notFound(id))
    }
  }

  func claim(_ entry: Entry, by worker: String, _ answer: @escaping (Result<JSONValue, SubscriptionFailure>) -> Void) {
    do throws(SubscriptionFailure) { try entry.subscription.checkFree(now: now) } catch {
      return answer(.failure(error))
    }
    look(entry) { [self] in whenReady(entry) { [self] in claimNow(entry, by: worker, answer) } }
  }

  private func claimNow(
    _ entry: Entry, by worker: String, _ answer: @escaping (Result<JSONValue, SubscriptionFailure>) -> Void
  ) {
    let before = entry.subscription.phase
    do throws(SubscriptionFailure) {
      let wake = try entry.subscription.claim(by: worker, id: world.random.identifier(), now: now)
      let subscription = entry.subscription
      let told: JSONValue = [
        "wake_id": .string(wake.id), "generation": .int(Int(subscription.generation)),
        "token": .string(token(for: subscription, wake)), "streams": told(by: wake, of: subscription),
        "lease_ttl_ms": .int(subscription.plan.lease),
      ]
      keep(entry) { failure in answer(failure.map { .failure($0) } ?? .success(told)) }
    } catch {
      // Whoever asks in vain again and again writes nothing.
      guard entry.isChanged || entry.subscription.phase != before else { return answer(.failure(error)) }
      keep(entry) { answer(.failure($0 ?? error)) }
    }
  }

  /// What a worker says who holds a wake: how far it is, and whether it goes on.
  struct Report {
    var token: WakeToken
    var wake: String?
    var generation: Int?
    var offsets: [(name: StreamName, offset: Offset)] = []
    var isDone = false
  }

  /// Answers whether it was woken again.
  func report(_ entry: Entry, _ report: Report, _ answer: @escaping (Result<Bool, SubscriptionFailure>) -> Void) {
    do throws(SubscriptionFailure) {
      try check(entry, report)
      try entry.subscription.acknowledge(report.offsets)
      if report.isDone { entry.subscription.release() } else { entry.subscription.heartbeat(now: now) }
      let generation = entry.subscription.generation
      keep(entry) { failure in
        let isWokenAgain = report.isDone && entry.subscription.generation > generation
        answer(failure.map { .failure($0) } ?? .success(isWokenAgain))
      }
    } catch {
      answer(.failure(error))
    }
  }

  func release(_ entry: Entry, _ report: Report, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    do throws(SubscriptionFailure) {
      try check(entry, report)
      entry.subscription.release()
      keep(entry, answer)
    } catch {
      answer(error)
    }
  }

  private func check(_ entry: Entry, _ report: Report) throws(SubscriptionFailure) {
    try entry.subscription.checkHolder(report.token, wake: report.wake, generation: report.generation, now: now)
  }

  /// Of what a worker shows. It says nothing of whether there is such a subscription.
  func readToken(_ text: String?, of id: String) throws(SubscriptionFailure) -> WakeToken {
    try WakeToken.read(text, of: id, key: options.keys.tokens, now: now)
  }

  func token(for subscription: Subscription, _ wake: Subscription.Wake) -> String {
    WakeToken(wake: wake.id, generation: subscription.generation, expires: now / 1000 + WakeToken.lifetime)
      .text(subscription.id, key: options.keys.tokens)
  }

  /// The streams that have work, by name: up to where `done` acknowledges them, and no further.
  func told(by wake: Subscription.Wake, of subscription: Subscription) -> JSONValue {
    .array(
      wake.snapshot.sorted { $0.key < $1.key }.compactMap { name, tail in
        guard let link = subscription.links[name], link.acked < tail else { return nil }
        return [
          "path": .string(name.path), "link_type": link.isExplicit ? "explicit" : "glob",
          "acked_offset": .string(link.acked.description), "tail_offset": .string(tail.description),
          "has_pending": true,
        ]
      })
  }

  /// Whether whoever may subscribe here may have it.
  func checkPattern(_ plan: SubscriptionPlan) throws(SubscriptionFailure) {
    guard options.isPublic, plan.pattern?.namesOwned == true else { return }
    throw .badRequest(
      "\"pattern\" is about runs or memories, whose names are secrets: that needs a server with a token")
  }

  /// Whether a webhook may be there, as its address says (12.8); each of the addresses that its name has is asked about again
  /// when it is called.
  func checkAddress(_ text: String) throws(SubscriptionFailure) {
    do throws(NetworkFailure) {
      let url = try URLParts(text, schemes: ["http", "https"])
      _ = try NetworkPolicy().permit(url)
      guard options.allowsThisMachine || !url.namesThisMachine else {
        throw .notAllowed("\"\(url.host)\" is this machine", hint: "")
      }
    } catch {
      throw .badAddress(error.message)
    }
  }
}
