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
    package var keys: SubscriptionKeys
    /// Webhooks may be on this machine, too (`--local-webhooks`).
    package var allowsThisMachine: Bool
    /// Whoever reaches the server may subscribe: no pattern tells them of runs and memories, whose names are secrets.
    package var isPublic: Bool
    package init(keys: SubscriptionKeys, allowsThisMachine: Bool, isPublic: Bool) {
      self.keys = keys
      self.allowsThisMachine = allowsThisMachine
      self.isPublic = isPublic
    }
  }

  /// Each is looked at whenever something is appended.
  static let countLimit = 100
  /// A webhook has so long to answer, if its lease is not shorter and its worker does not call back, and so much to say.
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
    var callTimer: (any Cancellable)?
    var isDeleted = false
    /// Whether its work is still there is being asked, before it wakes.
    var isLooking = false
    /// Something is to be kept, and then these are to be answered.
    var isChanged = false
    var answers: [(StoreFailure?) -> Void] = []
    init(_ subscription: Subscription) { self.subscription = subscription }

    func endCall() {
      call?.cancel()
      callTimer?.cancel()
      (call, callTimer) = (nil, nil)
    }
  }

  let store: ObservedStore
  let signer: WebhookSigner
  let options: Options
  let world: World
  let log: (String) -> Void
  var entries: [String: Entry] = [:]
  /// Those that are kept and can't be read, and why: nobody gets another one in their place.
  var broken: [String: StoreFailure] = [:]
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
    signer = try WebhookSigner(options.keys, signing: world.signing)
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
      for entry in entries.values {
        if case .made = change, entry.subscription.plan.wakeStream == name,
          entry.subscription.wakeStreamMade(now: now)
        {
          advance(entry, isChanged: true)
        }
        guard entry.subscription.concerns(name) else { continue }
        let isKept =
          switch change {
          case .made(let status): entry.subscription.made(status)
          case .grew(_, let from, let to): entry.subscription.grew(name, from: from, to: to)
          case .deleted: entry.subscription.deleted(name)
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

  /// A stream whose time is over tells nobody: before anybody is sent for work, some of it must be there.
  func look(_ entry: Entry, _ then: @escaping () -> Void) {
    let pending = entry.subscription.links.filter(\.value.isPending).sorted { $0.key < $1.key }
    // Of each that is told it must be known which stream it is; of the others the first that is there is enough.
    let unknown = pending.filter { $0.value.createdAt == nil }
    var rest = (unknown + pending.filter { $0.value.createdAt != nil })[...]
    var unknownCount = unknown.count
    var isWork = false
    func next() {
      guard unknownCount > 0 || !isWork, let (name, link) = rest.popFirst() else { return then() }
      unknownCount -= 1
      store.status(name) { [world] result in
        // Unless it has changed while the store was asked.
        if entry.subscription.links[name] == link {
          let isKept =
            switch result {
            case .success(let status): entry.subscription.saw(name, status)
            case .failure(.notFound), .failure(.gone): entry.subscription.saw(name, nil)
            case .failure: false
            }
          if isKept { entry.isChanged = true }
        }
        if entry.subscription.links[name]?.isPending == true { isWork = true }
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
    if woke { entry.endCall() }
    guard entry.isChanged || woke || !entry.answers.isEmpty else { return }
    setTimer(entry)
    keepChanges(entry, telling: woke ? entry.subscription.phase.wake?.id : nil)
  }

  private func keepChanges(_ entry: Entry, telling wake: String?) {
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
    if entry.call != nil, let wake = entry.subscription.overdue(now: now), !wake.isTaken {
      entry.endCall()
      return failed(entry, wake.id, Self.silence)
    }
    if entry.subscription.leaseEnded(now: now) {
      entry.isChanged = true
      return finish(entry)
    }
    let isDue = entry.subscription.retry(now: now)
    setTimer(entry)
    if isDue {
      keepChanges(entry, telling: entry.subscription.phase.wake?.id)
    } else {
      finish(entry)
    }
  }

  /// `failure`: why the wake could not be kept.
  private func tell(_ entry: Entry, _ id: String, _ failure: StoreFailure?) {
    guard !entry.isDeleted, entry.waiting == nil, let wake = entry.subscription.phase.wake, wake.id == id else {
      return
    }
    if let failure { return failed(entry, id, "it could not be kept: \(failure.message)") }
    switch entry.subscription.plan.delivery {
    case .webhook(let url): post(entry, wake, to: url)
    case .pullWake(let stream): announce(entry, wake, in: stream)
    }
  }

  private func announce(_ entry: Entry, _ wake: Subscription.Wake, in stream: StreamName) {
    let subscription = entry.subscription
    let event: JSONValue = [
      "type": "wake", "subscription_id": .string(subscription.id),
      "stream": .string(wake.snapshot.keys.min()?.path ?? ""), "generation": .int(Int(subscription.generation)),
      "ts": .int(Int(now)),
    ]
    store.append(stream, StreamAppend(items: [event.encoded()])) { [self] result in
      switch result {
      case .success:
        if entry.subscription.delivered(wake.id, isDone: false) { advance(entry, isChanged: true) }
      case .failure(let failure): failed(entry, wake.id, failure.message)
      }
    }
  }

  private func post(_ entry: Entry, _ wake: Subscription.Wake, to url: String) {
    // It may have been allowed when the subscription was made (`--local-webhooks`).
    do throws(SubscriptionFailure) { try checkAddress(url) } catch { return failed(entry, wake.id, error.message) }
    let subscription = entry.subscription
    let body = JSONValue.object(
      [
        JSONMember("subscription_id", .string(subscription.id)), JSONMember("wake_id", .string(wake.id)),
        JSONMember("generation", .int(Int(subscription.generation))),
        JSONMember("streams", told(by: wake, of: subscription)),
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
      // `watchCall` ends it before.
      limits.timeout = .seconds(WakeToken.lifetime)
      limits.response = Self.answerLimit
      limits.redirects = 0
      entry.call = HTTPCall(request, limits: limits, world: world) { [self] result in
        entry.endCall()
        switch result {
        case .failure(let problem): failed(entry, wake.id, problem.message)
        case .success(let answer) where !(200...299).contains(answer.head.status):
          failed(entry, wake.id, "the webhook answered \(answer.head.status)")
        case .success(let answer):
          let isDone = (try? JSONValue.parse(answer.body))?["done"] == .bool(true)
          if entry.subscription.delivered(wake.id, isDone: isDone) { advance(entry, isChanged: true) }
        }
      }
      watchCall(entry, wake.id, for: min(Self.answerTime, .milliseconds(subscription.plan.lease)))
    } catch {
      failed(entry, wake.id, error.message)
    }
  }

  private static let silence = "the webhook did not answer in time"

  /// A webhook has its time to answer; one whose worker calls back meanwhile has its lease, which decides what follows.
  private func watchCall(_ entry: Entry, _ wake: String, for time: Duration) {
    entry.callTimer?.cancel()
    entry.callTimer = world.loop.after(time) { [self] in
      guard entry.call != nil else { return }
      if let until = entry.subscription.takenUntil(wake), until > now {
        return watchCall(entry, wake, for: .milliseconds(until - now))
      }
      entry.endCall()
      failed(entry, wake, Self.silence)
    }
  }

  private func failed(_ entry: Entry, _ wake: String, _ why: String) {
    let jitter = Double(world.random.next() >> 11) / Double(1 << 53)
    guard !entry.isDeleted, entry.subscription.deliveryFailed(wake, now: now, jitter: jitter) else { return }
    // Once for each row of failures: the address may be gone for good.
    if entry.subscription.failures == 1 { log("subscription \(entry.subscription.id): \(why)") }
    advance(entry, isChanged: true)
  }
}
