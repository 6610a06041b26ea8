import WeirCore
import WeirStore

/// One subscription: how far each of its streams has been worked through, and who is at it (Durable Streams Protocol, 6 and
/// 7). Facts in, what is to be done out; time comes in as milliseconds since 1970. Pure.
///
///     idle ── work came ──> woken ── claimed, or being delivered ──> leased ── done, released, or the lease is over ──> idle
///                             └──────── delivery failed: tried again at `retryAt` <────────┘
///
/// Invariant: `generation` grows with every wake and is kept before anybody hears of it, so what an older one's worker says is
/// told from what the present one's does, whatever crashed in between.
struct Subscription {
  struct Link: Equatable {
    var isExplicit = false
    var isGlob = false
    /// Of the stream that this is about; another one of its name has another. Nil: there is none, or nobody has looked.
    var createdAt: Int64?
    /// What comes before it has been worked through.
    var acked: Offset
    var tail: Offset
    var isPending: Bool { tail > acked }
  }

  struct Wake: Equatable {
    var id: String
    /// The streams that had work, and their tails, as they were told with it.
    var snapshot: [StreamName: Offset]
    /// Of those, streams that are gone or others by now: what its worker says of them is about nothing.
    var lost: Set<StreamName> = []
    /// A webhook's worker has called back: it is at work, whatever becomes of the call that told it.
    var isTaken = false
  }

  enum Phase: Equatable {
    case idle
    /// Told, or to be told again at `retryAt`; nobody is at it.
    case woken(Wake, retryAt: Int64?)
    /// `holder` is nil for a webhook.
    case leased(Wake, holder: String?, until: Int64)

    var wake: Wake? {
      switch self {
      case .idle: nil
      case .woken(let wake, _), .leased(let wake, _, _): wake
      }
    }
  }

  /// Of links; a pattern may match more, whose links come and go with their work.
  static let linksLimit = 10_000
  /// Between tries: a second at first, then twice as long each time.
  static let backoffRange: ClosedRange<Int64> = 1_000...60_000

  let id: String
  let plan: SubscriptionPlan
  let createdAt: Int64
  /// The root of streams as the client that made it writes it: `https://host/v1/stream`.
  let base: String
  private(set) var links: [StreamName: Link] = [:]
  private(set) var generation: UInt64 = 0
  private(set) var phase = Phase.idle
  /// Deliveries that failed since a worker was heard of, or nobody was needed.
  private(set) var failures = 0
  /// Names whose links have changed since `takeRecord`.
  private var changed: Set<StreamName> = []
  /// The wake whose tails are in a record: they are long, and few of them change. Those that have.
  private var recordedWake: String?
  private var changedTails: Set<StreamName> = []

  init(id: String, plan: SubscriptionPlan, createdAt: Int64, base: String) {
    self.id = id
    self.plan = plan
    self.createdAt = createdAt
    self.base = base
  }

  var hasWork: Bool { links.values.contains(where: \.isPending) }
  var isWebhook: Bool { if case .webhook = plan.delivery { true } else { false } }

  /// When something is due without anybody asking.
  var deadline: Int64? {
    switch phase {
    case .idle: nil
    case .woken(_, let retryAt): retryAt
    case .leased(_, _, let until): until
    }
  }

  // MARK: Streams

  func concerns(_ name: StreamName) -> Bool { links[name] != nil || plan.pattern?.matches(name.path) == true }

  /// A listing has it, with everything before `acked` worked through. What is linked is known better: a listing may be old. Answers,
  /// as the others do, whether anything is to be kept.
  mutating func listed(_ status: StreamStatus, acked: Offset) -> Bool {
    guard links[status.name] == nil else { return false }
    return enter(status.name, Link(isGlob: true, createdAt: status.createdAt, acked: acked, tail: status.tail))
  }

  /// A stream was made where there was none: what the links of an earlier one say is of no use.
  mutating func made(_ status: StreamStatus) -> Bool {
    guard let link = links[status.name] else {
      // What a fork has from its source is not new.
      return listed(status, acked: status.inheritedEnd)
    }
    // It was found before its making was told.
    if link.createdAt == status.createdAt { return false }
    replace(status)
    return true
  }

  mutating func grew(_ name: StreamName, from: Offset, to tail: Offset) -> Bool {
    guard let link = links[name] else { return enter(name, Link(isGlob: true, acked: from, tail: tail)) }
    links[name]?.tail = max(link.tail, tail)
    return false
  }

  mutating func deleted(_ name: StreamName) -> Bool {
    guard forget(name) else { return false }
    restIfDone()
    return true
  }

  /// It was looked at: what is there now; nil is nothing.
  mutating func saw(_ name: StreamName, _ status: StreamStatus?) -> Bool {
    guard let link = links[name] else { return false }
    guard let status else { return deleted(name) }
    if let createdAt = link.createdAt, createdAt != status.createdAt {
      replace(status)
      return true
    }
    links[name]?.createdAt = status.createdAt
    links[name]?.tail = status.tail
    // A disk that promised less may have lost what was worked through; one that nobody knew may be a fork.
    let least = link.createdAt == nil ? status.inheritedEnd : .start
    links[name]?.acked = min(max(link.acked, least), status.tail)
    let isOther = links[name]?.acked != link.acked || link.createdAt == nil
    if isOther { changed.insert(name) }
    return isOther
  }

  /// A pull-wake's own stream was made: whatever was told in one of that name is to be told again.
  mutating func wakeStreamMade(now: Int64) -> Bool {
    guard case .woken(let wake, _) = phase else { return false }
    phase = .woken(wake, retryAt: now)
    return true
  }

  /// Linked by the pattern. One that is worked through is found again when something comes.
  private mutating func enter(_ name: StreamName, _ link: Link) -> Bool {
    guard plan.pattern?.matches(name.path) == true, makeRoom() else { return false }
    links[name] = link
    changed.insert(name)
    return true
  }

  private mutating func makeRoom() -> Bool {
    if links.count < Self.linksLimit { return true }
    guard let idle = links.first(where: \.value.isIdle)?.key else { return false }
    links[idle] = nil
    changed.insert(idle)
    return true
  }

  private mutating func replace(_ status: StreamStatus) {
    let name = status.name
    lose(name)
    links[name]?.createdAt = status.createdAt
    links[name]?.acked = status.inheritedEnd
    links[name]?.tail = status.tail
    changed.insert(name)
    restIfDone()
  }

  private mutating func forget(_ name: StreamName) -> Bool {
    guard let link = links[name] else { return false }
    lose(name)
    links[name] = link.isExplicit ? Link(isExplicit: true, isGlob: link.isGlob, acked: .start, tail: .start) : nil
    changed.insert(name)
    return true
  }

  /// What the present wake's worker was told of it is about a stream that is not linked any more.
  private mutating func lose(_ name: StreamName) {
    guard phase.wake?.snapshot[name] != nil else { return }
    phase.changeWake { wake in
      wake.snapshot[name] = nil
      wake.lost.insert(name)
    }
    changedTails.insert(name)
  }

  /// Whether all of them can be linked by name.
  func hasRoom(for names: [StreamName]) -> Bool {
    let new = names.count { links[$0] == nil }
    if links.count + new <= Self.linksLimit { return true }
    return links.count - links.values.count(where: \.isIdle) + new <= Self.linksLimit
  }

  /// Linked by name, at its tail; nil: there is no such stream yet. Answers false: there is no room.
  mutating func add(_ name: StreamName, _ status: StreamStatus?) -> Bool {
    if links[name]?.isExplicit == true { return true }
    guard links[name] != nil || makeRoom() else { return false }
    let tail = status?.tail ?? .start
    let new = Link(
      isGlob: plan.pattern?.matches(name.path) == true, createdAt: status?.createdAt, acked: tail, tail: tail)
    links[name, default: new].isExplicit = true
    changed.insert(name)
    return true
  }

  /// No longer linked by name; a pattern that matches goes on.
  mutating func remove(_ name: StreamName) {
    guard let link = links[name], link.isExplicit else { return }
    if link.isGlob {
      links[name]?.isExplicit = false
    } else {
      lose(name)
      links[name] = nil
    }
    changed.insert(name)
    restIfDone()
  }

  /// Woken for what is not there any more: nobody needs to come, and the next work wakes anew.
  private mutating func restIfDone() {
    if case .woken = phase, !hasWork { rest() }
  }

  private mutating func rest() {
    phase = .idle
    failures = 0
  }

  // MARK: Wakes

  /// There is work, and nobody is woken or at it.
  var mayWake: Bool { phase == .idle && hasWork }

  /// A webhook's lease begins with the wake.
  mutating func wake(id: String, now: Int64) -> Bool {
    guard mayWake else { return false }
    generation += 1
    begin(Wake(id: id, snapshot: pendingTails), now: now)
    return true
  }

  private var pendingTails: [StreamName: Offset] { links.filter(\.value.isPending).mapValues(\.tail) }

  private mutating func begin(_ wake: Wake, now: Int64) {
    phase = isWebhook ? .leased(wake, holder: nil, until: now + Int64(plan.lease)) : .woken(wake, retryAt: nil)
  }

  /// What was told did not arrive: once more, with the same wake. `jitter` is from 0 to 1.
  mutating func deliveryFailed(_ wakeID: String, now: Int64, jitter: Double) -> Bool {
    guard let wake = phase.wake, wake.id == wakeID, !wake.isTaken else { return false }
    // Claimed, although its event was not written: somebody is at it.
    if case .leased(_, .some, _) = phase { return false }
    failures += 1
    let range = Self.backoffRange
    let wait = min(range.lowerBound << Int64(min(failures - 1, 20)), range.upperBound)
    phase = .woken(wake, retryAt: now + Int64(Double(wait) * (0.8 + 0.4 * jitter)))
    restIfDone()
    return true
  }

  /// It is told again now, with what has come since.
  mutating func retry(now: Int64) -> Bool {
    guard case .woken(var wake, let retryAt?) = phase, retryAt <= now else { return false }
    // A stream that took the place of one that was told waits for the next wake: whoever was told may still speak of the other.
    for (name, tail) in pendingTails where !wake.lost.contains(name) && wake.snapshot[name] != tail {
      wake.snapshot[name] = tail
      changedTails.insert(name)
    }
    begin(wake, now: now)
    return true
  }

  /// It arrived. `isDone`: with it all that was told is worked through.
  mutating func delivered(_ wakeID: String, isDone: Bool) -> Bool {
    guard let wake = phase.wake, wake.id == wakeID else { return false }
    let recovered = failures > 0
    failures = 0
    guard isDone else { return recovered }
    for (name, tail) in wake.snapshot { acknowledge(name, min(tail, links[name]?.tail ?? tail)) }
    rest()
    return true
  }

  /// Until when the worker has that wake, if it called back.
  func takenUntil(_ wakeID: String) -> Int64? {
    guard case .leased(let wake, _, let until) = phase, wake.id == wakeID, wake.isTaken else { return nil }
    return until
  }

  /// The wake whose lease is over.
  func overdue(now: Int64) -> Wake? {
    guard case .leased(let wake, _, let until) = phase, until <= now else { return nil }
    return wake
  }

  mutating func leaseEnded(now: Int64) -> Bool {
    guard overdue(now: now) != nil else { return false }
    rest()
    return true
  }

  // MARK: Workers

  /// Refuses while somebody else is at it.
  func checkFree(now: Int64) throws(SubscriptionFailure) {
    guard !isWebhook else { throw .badRequest("a webhook's work is not claimed") }
    if case .leased(_, let holder?, let until) = phase, until > now {
      throw .claimed(by: holder, generation: generation)
    }
  }

  /// `id` is that of the wake if there was none. With nothing to do it is idle, which is to be kept.
  mutating func claim(by worker: String, id: String, now: Int64) throws(SubscriptionFailure) -> Wake {
    try checkFree(now: now)
    _ = leaseEnded(now: now)
    restIfDone()
    guard hasWork else { throw .nothingToDo }
    _ = wake(id: id, now: now)
    guard var wake = phase.wake else { throw .nothingToDo }
    // Its event named one stream alone: this is the first that anybody hears of tails.
    let tails = pendingTails
    if wake.snapshot != tails || !wake.lost.isEmpty {
      (wake.snapshot, wake.lost) = (tails, [])
      recordedWake = nil
    }
    failures = 0
    phase = .leased(wake, holder: worker, until: now + Int64(plan.lease))
    return wake
  }

  /// Refuses whoever does not have the present wake (7.3). A webhook that seemed to have failed may be at work all the same.
  func checkHolder(_ token: WakeToken, wake: String?, generation: Int?, now: Int64) throws(SubscriptionFailure) {
    guard let current = phase.wake, token.generation == self.generation, generation == Int(self.generation),
      token.wake == current.id, wake == current.id
    else { throw .fenced }
    if case .leased(_, _, let until) = phase, until <= now { throw .fenced }
  }

  /// All or none. A cursor never goes back, nor beyond what is there; what is said of a stream that was told and is gone, or
  /// another one by now, changes nothing.
  mutating func acknowledge(_ offsets: [(name: StreamName, offset: Offset)]) throws(SubscriptionFailure) {
    let lost = phase.wake?.lost ?? []
    let meant = offsets.filter { !lost.contains($0.name) }
    for (name, offset) in meant {
      guard let link = links[name] else {
        throw .badAcknowledgement("\"\(name.path.prefix(100))\" is no stream of this subscription")
      }
      guard offset <= link.tail else { throw .badAcknowledgement("\(offset) is beyond the tail of \"\(name)\"") }
    }
    for (name, offset) in meant { acknowledge(name, offset) }
  }

  private mutating func acknowledge(_ name: StreamName, _ offset: Offset) {
    guard let link = links[name], offset > link.acked else { return }
    links[name]?.acked = offset
    changed.insert(name)
  }

  /// The worker was heard of.
  mutating func heartbeat(now: Int64) {
    guard var wake = phase.wake else { return }
    var worker: String?
    if case .leased(_, let holder, _) = phase { worker = holder }
    wake.isTaken = true
    failures = 0
    phase = .leased(wake, holder: worker, until: now + Int64(plan.lease))
  }

  mutating func release() { rest() }

  // MARK: Kept

  /// Everything: it needs no earlier record. What has changed is none the less in the next one, which may stand behind an
  /// older record that waits to be written.
  var wholeRecord: JSONValue {
    record(
      of: links.keys.sorted(), tails: nil,
      after: [
        JSONMember("id", .string(id)), JSONMember("plan", plan.json), JSONMember("createdAt", .int(Int(createdAt))),
        JSONMember("base", .string(base)),
      ])
  }

  /// What is to be kept since the last time.
  mutating func takeRecord() -> JSONValue {
    let wake = phase.wake?.id
    let record = record(of: changed.sorted(), tails: wake == recordedWake ? changedTails : nil)
    (changed, changedTails) = ([], [])
    recordedWake = wake
    return record
  }

  /// `tails`: those of the wake that have changed; nil: all of them.
  private func record(
    of names: [StreamName], tails: Set<StreamName>?, after first: [JSONMember] = []
  ) -> JSONValue {
    var members = first
    members.append(JSONMember("generation", .int(Int(generation))))
    if failures > 0 { members.append(JSONMember("failures", .int(failures))) }
    if let wake = phase.wake {
      var told = [JSONMember("id", .string(wake.id))]
      let known = (tails ?? wake.lost.union(wake.snapshot.keys)).sorted().map { name in
        // Null: it was told, and is lost.
        JSONMember(name.path, wake.snapshot[name].map { .string($0.description) } ?? .null)
      }
      if tails == nil || !known.isEmpty {
        told.append(JSONMember(tails == nil ? "tails" : "changed_tails", .object(known)))
      }
      if wake.isTaken { told.append(JSONMember("taken", .bool(true))) }
      members.append(JSONMember("wake", .object(told)))
      switch phase {
      case .idle, .woken(_, nil): break
      case .woken(_, let retryAt?): members.append(JSONMember("next_attempt_at", .int(Int(retryAt))))
      case .leased(_, let holder, let until):
        members.append(JSONMember("until", .int(Int(until))))
        if let holder { members.append(JSONMember("holder", .string(holder))) }
      }
    }
    let list = names.map { JSONMember($0.path, links[$0]?.json ?? .null) }
    if !list.isEmpty { members.append(JSONMember("links", .object(list))) }
    return .object(members)
  }

  /// What a whole record says; nil: it is none that this wrote. What is there of its streams is to be looked up.
  init?(whole record: JSONValue) {
    guard let id = record["id"]?.string, let plan = record["plan"].flatMap({ try? SubscriptionPlan($0) }),
      let createdAt = record["createdAt"]?.int, let base = record["base"]?.string
    else { return nil }
    self.init(id: id, plan: plan, createdAt: Int64(createdAt), base: base)
    guard apply(record) else { return nil }
  }

  /// What has changed after that, record by record. Answers false: it is none that this wrote.
  mutating func apply(_ record: JSONValue) -> Bool {
    guard let generation = record["generation"]?.int, generation >= 0 else { return false }
    self.generation = UInt64(generation)
    failures = record["failures"]?.int ?? 0
    let earlier = phase.wake
    phase = .idle
    if let json = record["wake"], let id = json["id"]?.string {
      var wake = earlier?.id == id && json["tails"] == nil ? earlier : nil
      wake = wake ?? Wake(id: id, snapshot: [:])
      for member in (json["tails"] ?? json["changed_tails"])?.members ?? [] {
        guard let name = try? StreamName(member.name) else { return false }
        let tail = member.value.string.flatMap { Offset($0) }
        wake?.snapshot[name] = tail
        if tail == nil { wake?.lost.insert(name) } else { wake?.lost.remove(name) }
      }
      wake?.isTaken = json["taken"]?.bool == true
      guard let wake else { return false }
      if let until = record["until"]?.int {
        phase = .leased(wake, holder: record["holder"]?.string, until: Int64(until))
      } else {
        phase = .woken(wake, retryAt: record["next_attempt_at"]?.int.map { Int64($0) })
      }
    }
    recordedWake = phase.wake?.id
    for member in record["links"]?.members ?? [] {
      guard let name = try? StreamName(member.name) else { return false }
      links[name] = Link(member.value)
    }
    return true
  }

  /// After a restart, when all streams were looked at: what may not have been told is told again.
  mutating func restarted(now: Int64) {
    restIfDone()
    if case .woken(let wake, nil) = phase { phase = .woken(wake, retryAt: now) }
  }
}

extension Subscription.Phase {
  fileprivate mutating func changeWake(_ change: (inout Subscription.Wake) -> Void) {
    switch self {
    case .idle: break
    case .woken(var wake, let retryAt):
      change(&wake)
      self = .woken(wake, retryAt: retryAt)
    case .leased(var wake, let holder, let until):
      change(&wake)
      self = .leased(wake, holder: holder, until: until)
    }
  }
}

extension Subscription.Link {
  /// It may make room: the pattern finds it again.
  fileprivate var isIdle: Bool { !isExplicit && !isPending }

  fileprivate var json: JSONValue {
    var members = [
      JSONMember("explicit", .bool(isExplicit)), JSONMember("glob", .bool(isGlob)),
      JSONMember("acked", .string(acked.description)),
    ]
    if let createdAt { members.append(JSONMember("made", .int(Int(createdAt)))) }
    return .object(members)
  }

  /// Nil: it is no link any more.
  fileprivate init?(_ json: JSONValue) {
    guard let acked = json["acked"]?.string.flatMap({ Offset($0) }) else { return nil }
    self.init(
      isExplicit: json["explicit"]?.bool == true, isGlob: json["glob"]?.bool == true,
      createdAt: json["made"]?.int.map { Int64($0) }, acked: acked, tail: acked)
  }
}
