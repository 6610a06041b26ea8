import WeirCore
import WeirNet
import WeirStore

/// Every subscription of a server: wakes workers when streams have something new (Durable Streams Protocol, 6 and 7).
///
/// It hears of every change of the store from an `ObservedStore`, asks the `Subscription` what follows, keeps that, and then
/// tells: a webhook by HTTP, a pull-wake by an item of its wake stream. Whatever is answered has been kept before. Confined to
/// its loop; one process alone may do it for a store, and all servers of a program share it.
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
    /// Whether its work is still there is being asked, before it wakes.
    var isLooking = false
    /// Something is to be kept, and then these are to be answered.
    var isChanged = false
    var answers: [(StoreFailure?) -> Void] = []
    init(_ subscription: Subscription) { self.subscription = subscription }
  }

  let store: ObservedStore
  let signer: WebhookSigner
  let options: Options
  let world: World
  let tokenKey: [UInt8]
  let log: (String) -> Void
  var entries: [String: Entry] = [:]
  /// What came before the subscriptions of an earlier process were read; nil from then on.
  var untilLoaded: [() -> Void]? = []
  var loading = Loading.notYet
  /// The servers that use it: with the last of them it stops.
  var servers: Set<ObjectIdentifier> = []
  package internal(set) var isStopped = false

  package init(
    _ options: Options, store: ObservedStore, world: World, log: @escaping (String) -> Void
  ) throws(NetworkFailure) {
    self.options = options
    self.store = store
    self.world = world
    self.log = log
    signer = try WebhookSigner(seed: options.seed, signing: world.signing)
    tokenKey = HMAC.sha256("weir-wake-key".utf8, key: options.seed)
    store.observer = { [weak self] change in self?.changed(change) }
  }

  var now: Int64 { world.loop.wallClock }

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

  func whenLoaded(_ then: @escaping () -> Void) {
    if untilLoaded == nil { then() } else { untilLoaded?.append(then) }
  }

  // MARK: What follows

  /// Wakes if there is work, keeps what has changed, then tells and answers.
  func advance(_ entry: Entry, isChanged: Bool, _ answer: ((StoreFailure?) -> Void)? = nil) {
    if isChanged { entry.isChanged = true }
    if let answer { entry.answers.append(answer) }
    if entry.isLooking { return }
    guard entry.waiting == nil, !entry.isDeleted, entry.subscription.mayWake else { return finish(entry) }
    entry.isLooking = true
    look(entry) { [self] in
      entry.isLooking = false
      finish(entry)
    }
  }

  /// A stream whose time is over tells nobody: before anybody is sent to it, it is asked whether it is there.
  func look(_ entry: Entry, _ then: @escaping () -> Void) {
    var paths = entry.subscription.links.filter(\.value.isPending).keys.sorted()[...]
    func next() {
      guard let path = paths.popFirst() else { return then() }
      guard let link = entry.subscription.links[path], let name = try? StreamName(path) else { return next() }
      store.status(name) { [world] result in
        switch result {
        // Unless one was made while the store was asked.
        case .failure(.notFound) where entry.subscription.links[path] == link,
          .failure(.gone) where entry.subscription.links[path] == link:
          if entry.subscription.deleted(path) { entry.isChanged = true }
        case .success, .failure: break
        }
        world.loop.soon(next)
      }
    }
    next()
  }

  private func finish(_ entry: Entry) {
    if entry.waiting != nil {
      // Whoever makes it ready goes on with what has changed.
      if !entry.answers.isEmpty { whenReady(entry) { [self] in finish(entry) } }
      return
    }
    if entry.isDeleted {
      let answers = entry.answers
      entry.answers = []
      for answer in answers { answer(.unavailable("the subscription is not there any more")) }
      return
    }
    let woke = entry.subscription.wake(id: world.random.identifier(), now: now)
    if woke {
      entry.call?.cancel()
      entry.call = nil
    }
    guard entry.isChanged || woke || !entry.answers.isEmpty else { return }
    setTimer(entry)
    keepChanges(entry, telling: woke ? entry.subscription.phase.wake : nil)
  }

  private func keepChanges(_ entry: Entry, telling wake: Subscription.Wake?) {
    let answers = entry.answers
    entry.answers = []
    entry.isChanged = false
    entry.journal.write(entry.subscription.takeRecord()) { [self] failure in
      // A wake that is not kept is not told: it is tried again.
      if let wake { tell(entry, wake, failure) }
      for answer in answers { answer(failure) }
    }
  }

  func setTimer(_ entry: Entry) {
    entry.timer?.cancel()
    entry.timer = nil
    guard let deadline = entry.subscription.deadline else { return }
    entry.timer = world.loop.after(.milliseconds(max(0, deadline - now))) { [self] in
      entry.timer = nil
      if !entry.isDeleted { look(entry) { [self] in timerFired(entry) } }
    }
  }

  private func timerFired(_ entry: Entry) {
    if entry.isDeleted || entry.waiting != nil { return }
    // The lease began before the call, and is over first: silence is no work.
    if let call = entry.call, let wake = entry.subscription.overdue(now: now) {
      call.cancel()
      entry.call = nil
      return failed(entry, wake, "the webhook did not answer within the lease")
    }
    if entry.subscription.leaseEnded(now: now) {
      entry.isChanged = true
      return finish(entry)
    }
    let isDue = entry.subscription.retry(now: now)
    setTimer(entry)
    if isDue {
      keepChanges(entry, telling: entry.subscription.phase.wake)
    } else {
      finish(entry)
    }
  }

  /// `failure`: why the wake could not be kept.
  private func tell(_ entry: Entry, _ wake: Subscription.Wake, _ failure: StoreFailure?) {
    guard !entry.isDeleted, entry.waiting == nil, entry.subscription.phase.wake == wake else { return }
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
    // The server may have been told to listen elsewhere since the subscription was made.
    do throws(SubscriptionFailure) { try checkAddress(url) } catch { return failed(entry, wake, error.message) }
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
      request.usesProxy = false
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
}
