import WeirCore
import WeirNet
import WeirStore

/// Every subscription of a server: wakes workers when streams have something new (Durable Streams Protocol, 6 and 7).
///
/// It hears of every change of the store from an `ObservedStore`, asks the `Subscription` what follows, keeps that, and then
/// tells: a webhook by HTTP, a pull-wake by an item of its wake stream. Whatever is answered has been kept before. Confined to
/// its loop; one process alone may do it for a store.
package final class Subscriptions {
  package struct Options: Sendable {
    /// 32 bytes: the Ed25519 key that webhooks are signed with, and from which that of the tokens is made.
    package var seed: [UInt8]
    /// The server listens on this machine alone: so webhooks may be here, too.
    package var allowsThisMachine: Bool
    package init(seed: [UInt8], allowsThisMachine: Bool) {
      self.seed = seed
      self.allowsThisMachine = allowsThisMachine
    }
  }

  /// Each is looked at whenever something is appended.
  static let countLimit = 100
  /// A webhook has so long to answer, if its lease is not shorter, and so much to say.
  static let answerTime = Duration.seconds(30)
  static let answerLimit = 64 << 10

  /// One of them, with what goes on for it.
  final class Entry {
    var subscription: Subscription
    var journal: SubscriptionJournal!
    /// What was asked before it was ready; nil from then on.
    var waiting: [() -> Void]? = []
    var timer: (any Cancellable)?
    var call: HTTPCall?
    var isDeleted = false
    init(_ subscription: Subscription) { self.subscription = subscription }
  }

  let store: ObservedStore
  let signer: WebhookSigner
  private let options: Options
  private let world: World
  private let tokenKey: [UInt8]
  private let log: (String) -> Void
  private var entries: [String: Entry] = [:]
  /// What came before the subscriptions of an earlier process were read; nil from then on.
  private var untilLoaded: [() -> Void]? = []

  package init(
    _ options: Options, store: ObservedStore, world: World, log: @escaping (String) -> Void
  ) throws(NetworkFailure) {
    self.options = options
    self.store = store
    self.world = world
    self.log = log
    signer = try WebhookSigner(seed: options.seed, signing: world.signing)
    tokenKey = HMAC.sha256("weir-wake-key".utf8, key: options.seed)
    store.observer = { [unowned self] change in changed(change) }
  }

  private var now: Int64 { world.loop.wallClock }

  // MARK: What the store tells

  private func changed(_ change: ObservedStore.Change) {
    let name: StreamName
    switch change {
    case .made(let status): name = status.name
    case .grew(let stream, _, _): name = stream
    case .deleted(let stream): name = stream
    }
    if name.isInternal { return }
    whenLoaded { [self] in
      for entry in entries.values where entry.subscription.concerns(name.path) {
        let isKept: Bool
        switch change {
        case .made(let status):
          // What a fork has from its source is not new.
          isKept = entry.subscription.made(name.path, from: status.fork?.offset ?? .start, tail: status.tail)
        case .grew(_, let from, let to): isKept = entry.subscription.found(name.path, acked: from, tail: to)
        case .deleted: isKept = entry.subscription.deleted(name.path)
        }
        advance(entry, isChanged: isKept)
      }
    }
  }

  private func whenLoaded(_ then: @escaping () -> Void) {
    if untilLoaded == nil { then() } else { untilLoaded?.append(then) }
  }

  // MARK: What follows

  /// Wakes if there is work, keeps what has changed, then tells and answers.
  func advance(_ entry: Entry, isChanged: Bool, _ answer: ((StoreFailure?) -> Void)? = nil) {
    if entry.isDeleted || entry.waiting != nil {
      answer?(nil)
      return
    }
    let woke = entry.subscription.wake(id: world.random.identifier(), now: now)
    if woke { entry.call?.cancel() }
    guard isChanged || woke || answer != nil else { return }
    setTimer(entry)
    let wake = woke ? entry.subscription.phase.wake : nil
    entry.journal.write(entry.subscription.takeRecord()) { [self] failure in
      // A wake that is not kept is not told: it is tried again.
      if let wake { tell(entry, wake, failure) }
      answer?(failure)
    }
  }

  private func setTimer(_ entry: Entry) {
    entry.timer?.cancel()
    entry.timer = nil
    guard let deadline = entry.subscription.deadline else { return }
    entry.timer = world.loop.after(.milliseconds(max(0, deadline - now))) { [self] in
      entry.timer = nil
      if entry.isDeleted { return }
      if entry.subscription.leaseEnded(now: now) {
        entry.call?.cancel()
        entry.call = nil
        return advance(entry, isChanged: true)
      }
      if entry.subscription.retry(now: now), let wake = entry.subscription.phase.wake {
        setTimer(entry)
        return entry.journal.write(entry.subscription.takeRecord()) { [self] in tell(entry, wake, $0) }
      }
      setTimer(entry)
    }
  }

  /// `failure`: why the wake could not be kept.
  private func tell(_ entry: Entry, _ wake: Subscription.Wake, _ failure: StoreFailure?) {
    guard !entry.isDeleted, entry.subscription.phase.wake == wake else { return }
    if let failure { return failed(entry, wake, "it could not be kept: \(failure.message)") }
    switch entry.subscription.plan.delivery {
    case .webhook(let url): post(entry, wake, to: url)
    case .pullWake(let stream): announce(entry, wake, in: stream)
    }
  }

  private func announce(_ entry: Entry, _ wake: Subscription.Wake, in stream: StreamName) {
    let subscription = entry.subscription
    let event: JSONValue = [
      "type": "wake", "subscription_id": .string(subscription.id),
      "stream": .string(wake.snapshot.keys.min() ?? ""), "generation": .int(Int(subscription.generation)),
      "ts": .int(Int(now)),
    ]
    store.append(stream, StreamAppend(items: [event.encoded()])) { [self] result in
      switch result {
      case .success:
        if entry.subscription.delivered(wake.id, isDone: false) { advance(entry, isChanged: true) }
      case .failure(let failure): failed(entry, wake, failure.message)
      }
    }
  }

  private func post(_ entry: Entry, _ wake: Subscription.Wake, to url: String) {
    let subscription = entry.subscription
    let body = JSONValue.object(
      [
        JSONMember("subscription_id", .string(subscription.id)), JSONMember("wake_id", .string(wake.id)),
        JSONMember("generation", .int(Int(subscription.generation))), JSONMember("streams", work(of: subscription)),
        JSONMember("callback_url", .string("\(subscription.base)/__ds/subscriptions/\(subscription.id)/callback")),
        JSONMember("callback_token", .string(token(for: subscription, wake))),
      ]
    ).encoded()
    do throws(NetworkFailure) {
      var request = HTTPClientRequest(
        method: "POST", url: url,
        headers: [("Content-Type", "application/json"), ("Webhook-Signature", try signer.header(body, now: now))],
        body: body)
      request.policy = NetworkPolicy()
      var limits = HTTPCall.Limits()
      limits.timeout = min(Self.answerTime, .milliseconds(subscription.plan.lease))
      limits.response = Self.answerLimit
      limits.redirects = 0
      entry.call = HTTPCall(request, limits: limits, world: world) { [self] result in
        entry.call = nil
        switch result {
        case .failure(let problem): failed(entry, wake, problem.message)
        case .success(let answer) where !(200...299).contains(answer.head.status):
          failed(entry, wake, "the webhook answered \(answer.head.status)")
        case .success(let answer):
          let isDone = (try? JSONValue.parse(answer.body))?["done"] == .bool(true)
          if entry.subscription.delivered(wake.id, isDone: isDone) { advance(entry, isChanged: true) }
        }
      }
    } catch {
      failed(entry, wake, error.message)
    }
  }

  private func failed(_ entry: Entry, _ wake: Subscription.Wake, _ why: String) {
    let jitter = Double(world.random.next() >> 11) / Double(1 << 53)
    guard !entry.isDeleted, entry.subscription.deliveryFailed(wake.id, now: now, jitter: jitter) else { return }
    // Once for each row of failures: the address may be gone for good.
    if entry.subscription.failures == 1 { log("subscription \(entry.subscription.id): \(why)") }
    advance(entry, isChanged: true)
  }

  // MARK: What clients ask

  /// Answers with the entry, made or found, and whether it was made.
  func create(
    _ id: String, _ plan: SubscriptionPlan, base: String,
    _ answer: @escaping (Result<(entry: Entry, isNew: Bool), SubscriptionFailure>) -> Void
  ) {
    whenLoaded { [self] in
      if let entry = entries[id] {
        return whenReady(entry) { [self] in
          // Whoever was making it may have failed.
          guard entries[id] === entry else { return create(id, plan, base: base, answer) }
          guard entry.subscription.plan.fingerprint == plan.fingerprint else { return answer(.failure(.exists(id))) }
          answer(.success((entry, false)))
        }
      }
      guard entries.count < Self.countLimit else { return answer(.failure(.tooMany(limit: Self.countLimit))) }
      let entry = Entry(Subscription(id: id, plan: plan, createdAt: now, base: base))
      entries[id] = entry
      entry.journal = journal(of: entry, number: 0, count: 0)
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
    _ answer: (Result<(entry: Entry, isNew: Bool), SubscriptionFailure>) -> Void
  ) {
    entry.isDeleted = true
    if entries[entry.subscription.id] === entry { entries[entry.subscription.id] = nil }
    becomeReady(entry)
    answer(.failure(.store(failure)))
  }

  private func journal(of entry: Entry, number: UInt64, count: Int) -> SubscriptionJournal {
    SubscriptionJournal(entry.subscription.id, number: number, count: count, store: store) { [unowned entry] in
      entry.subscription.wholeRecord
    }
  }

  private func whenReady(_ entry: Entry, _ then: @escaping () -> Void) {
    if entry.waiting == nil { then() } else { entry.waiting?.append(then) }
  }

  private func becomeReady(_ entry: Entry) {
    let waiting = entry.waiting ?? []
    entry.waiting = nil
    for then in waiting { then() }
  }

  /// Links streams by name, each at its tail.
  private func link(_ entry: Entry, _ names: [StreamName], _ done: @escaping (StoreFailure?) -> Void) {
    var rest = names[...]
    func next() {
      guard let name = rest.popFirst() else { return done(nil) }
      store.status(name) { [world] result in
        switch result {
        case .success(let status):
          guard entry.subscription.add(name.path, tail: status.tail) else {
            return done(.full("\(Subscription.linksLimit) streams of one subscription"))
          }
        case .failure(.notFound), .failure(.gone):
          guard entry.subscription.add(name.path, tail: .start) else {
            return done(.full("\(Subscription.linksLimit) streams of one subscription"))
          }
        case .failure(let failure): return done(failure)
        }
        world.loop.soon(next)
      }
    }
    next()
  }

  /// Links the streams there are that the pattern matches: at their tails, and those made since the subscription was, which
  /// an earlier process had no time to link, at their beginning.
  private func findStreams(of entry: Entry, after: StreamName?, _ done: @escaping (StoreFailure?) -> Void) {
    guard let pattern = entry.subscription.plan.pattern else { return done(nil) }
    let pageLimit = 1_000
    store.list(prefix: pattern.prefix, after: after, limit: pageLimit) { [self] result in
      switch result {
      case .failure(let failure): done(failure)
      case .success(let page):
        for status in page where !status.name.isInternal {
          let isLater = status.createdAt > entry.subscription.createdAt
          let start = isLater ? status.fork?.offset ?? .start : status.tail
          _ = entry.subscription.found(status.name.path, acked: start, tail: status.tail)
        }
        guard page.count == pageLimit, let last = page.last?.name else { return done(nil) }
        world.loop.soon { [self] in findStreams(of: entry, after: last, done) }
      }
    }
  }

  func find(_ id: String, _ answer: @escaping (Result<Entry, SubscriptionFailure>) -> Void) {
    whenLoaded { [self] in
      guard let entry = entries[id] else { return answer(.failure(.notFound(id))) }
      whenReady(entry) { [self] in answer(entries[id] === entry ? .success(entry) : .failure(.notFound(id))) }
    }
  }

  func delete(_ entry: Entry, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    entry.isDeleted = true
    entry.timer?.cancel()
    entry.call?.cancel()
    entries[entry.subscription.id] = nil
    entry.journal.delete { failure in answer(failure.map { .store($0) }) }
  }

  func add(_ names: [StreamName], to entry: Entry, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    link(entry, names) { [self] failure in
      if let failure { return answer(.store(failure)) }
      keep(entry, answer)
    }
  }

  /// Keeps what a client has changed, answers then, and goes on.
  func keep(_ entry: Entry, _ answer: @escaping (SubscriptionFailure?) -> Void) {
    advance(entry, isChanged: true) { failure in answer(failure.map { .store($0) }) }
  }

  func claim(_ entry: Entry, by worker: String, _ answer: @escaping (Result<JSONValue, SubscriptionFailure>) -> Void) {
    do throws(SubscriptionFailure) {
      let wake = try entry.subscription.claim(by: worker, id: world.random.identifier(), now: now)
      let subscription = entry.subscription
      let told: JSONValue = [
        "wake_id": .string(wake.id), "generation": .int(Int(subscription.generation)),
        "token": .string(token(for: subscription, wake)), "streams": work(of: subscription),
        "lease_ttl_ms": .int(subscription.plan.lease),
      ]
      keep(entry) { failure in answer(failure.map { .failure($0) } ?? .success(told)) }
    } catch {
      answer(.failure(error))
    }
  }

  /// What a worker says who holds a wake: how far it is, and whether it goes on.
  struct Report {
    var token: String?
    var wake: String?
    var generation: Int?
    var offsets: [(path: String, offset: Offset)] = []
    var isDone = false
  }

  /// Answers whether it was woken again.
  func report(_ entry: Entry, _ report: Report, _ answer: @escaping (Result<Bool, SubscriptionFailure>) -> Void) {
    do throws(SubscriptionFailure) {
      try check(entry, report)
      try entry.subscription.acknowledge(report.offsets)
      if report.isDone { entry.subscription.release() } else { entry.subscription.heartbeat(now: now) }
      let isWokenAgain = report.isDone && entry.subscription.hasWork
      keep(entry) { failure in answer(failure.map { .failure($0) } ?? .success(isWokenAgain)) }
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
    let token = try WakeToken.read(report.token, of: entry.subscription.id, key: tokenKey, now: now)
    try entry.subscription.checkHolder(token, wake: report.wake, generation: report.generation, now: now)
  }

  private func token(for subscription: Subscription, _ wake: Subscription.Wake) -> String {
    WakeToken(wake: wake.id, generation: subscription.generation, expires: now / 1000 + WakeToken.lifetime)
      .text(subscription.id, key: tokenKey)
  }

  /// The streams that have work, by name.
  private func work(of subscription: Subscription) -> JSONValue {
    .array(
      subscription.links.filter(\.value.isPending).sorted { $0.key < $1.key }.map { path, link in
        [
          "path": .string(path), "link_type": link.isExplicit ? "explicit" : "glob",
          "acked_offset": .string(link.acked.description), "tail_offset": .string(link.tail.description),
          "has_pending": true,
        ]
      })
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

  // MARK: Starting, stopping

  /// Takes up what an earlier process left. Answers why that cannot be read.
  package func load(_ answer: @escaping (StoreFailure?) -> Void) {
    var found: [String: [UInt64]] = [:]
    func done(_ failure: StoreFailure?) {
      let waiting = untilLoaded ?? []
      untilLoaded = nil
      for then in waiting { then() }
      for entry in entries.values where entry.waiting == nil { advance(entry, isChanged: false) }
      answer(failure)
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
      for old in numbers where old != number {
        if let name = try? SubscriptionJournal.name(id, old) { store.delete(name) { _ in } }
      }
      takeUp(id, number) { [self] failure in
        if let failure { log("subscription \(id) can't be taken up: \(failure.message)") }
        world.loop.soon { take(rest.dropFirst()) }
      }
    }
    list(after: nil)
  }

  private func takeUp(_ id: String, _ number: UInt64, _ done: @escaping (StoreFailure?) -> Void) {
    let name: StreamName
    do throws(StoreFailure) { name = try SubscriptionJournal.name(id, number) } catch { return done(error) }
    var records: [JSONValue] = []
    func read(_ from: Offset) {
      store.read(name, from: from, byteLimit: 1 << 20) { [self] result in
        switch result {
        case .failure(let failure): done(failure)
        case .success(let batch) where batch.items.isEmpty:
          guard let subscription = Subscription(records: records), subscription.id == id else {
            return done(.unavailable("\(name.path) is not what this version writes"))
          }
          let entry = Entry(subscription)
          entry.subscription.restarted(now: now)
          entry.journal = journal(of: entry, number: number, count: records.count)
          entries[id] = entry
          lookUp(entry, done)
        case .success(let batch):
          records += batch.items.map { (try? JSONValue.parse($0.bytes)) ?? .null }
          world.loop.soon { read(batch.next) }
        }
      }
    }
    read(.start)
  }

  /// How far the streams have come meanwhile.
  private func lookUp(_ entry: Entry, _ done: @escaping (StoreFailure?) -> Void) {
    var paths = entry.subscription.links.keys.sorted()[...]
    func next() {
      guard let path = paths.popFirst() else {
        return findStreams(of: entry, after: nil) { [self] failure in
          becomeReady(entry)
          setTimer(entry)
          advance(entry, isChanged: true)
          done(failure)
        }
      }
      guard let name = try? StreamName(path) else { return next() }
      store.status(name) { [world] result in
        switch result {
        case .success(let status): entry.subscription.setTail(path, status.tail)
        case .failure(.notFound), .failure(.gone): entry.subscription.setTail(path, nil)
        case .failure: break
        }
        world.loop.soon(next)
      }
    }
    next()
  }

  /// Nothing is told any more; the next process takes it up.
  package func stop() {
    store.observer = nil
    for entry in entries.values {
      entry.timer?.cancel()
      entry.call?.cancel()
      entry.isDeleted = true
    }
    entries = [:]
  }
}
