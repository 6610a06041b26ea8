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
    /// What comes before it has been worked through.
    var acked: Offset
    var tail: Offset
    var isPending: Bool { tail > acked }
  }

  struct Wake: Equatable {
    var id: String
    /// The streams that had work, and their tails, as they were told with it.
    var snapshot: [String: Offset]
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
  private(set) var links: [String: Link] = [:]
  private(set) var generation: UInt64 = 0
  private(set) var phase = Phase.idle
  /// Deliveries that failed since one that did not.
  private(set) var failures = 0
  /// Paths whose links have changed since `takeRecord`.
  private var changed: Set<String> = []
  /// The wake whose tails are in a record: they are long, and stay as they are.
  private var recordedWake: String?

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

  func concerns(_ path: String) -> Bool { links[path] != nil || plan.pattern?.matches(path) == true }

  /// A stream that the pattern may match is there, with everything before `acked` worked through. A link that is there stays.
  /// Answers whether anything is to be kept.
  mutating func found(_ path: String, acked: Offset, tail: Offset) -> Bool {
    if links[path] != nil {
      links[path]?.tail = tail
      return false
    }
    guard plan.pattern?.matches(path) == true else { return false }
    // One that is worked through is found again when something comes.
    if links.count >= Self.linksLimit {
      guard let idle = links.first(where: { !$0.value.isExplicit && !$0.value.isPending })?.key else { return false }
      links[idle] = nil
      changed.insert(idle)
    }
    links[path] = Link(isGlob: true, acked: acked, tail: tail)
    changed.insert(path)
    return true
  }

  /// A stream was made where there was none: what the links of an earlier one say is of no use.
  mutating func made(_ path: String, from start: Offset, tail: Offset) -> Bool {
    guard links[path] != nil else { return found(path, acked: start, tail: tail) }
    links[path]?.acked = start
    links[path]?.tail = tail
    changed.insert(path)
    return true
  }

  mutating func deleted(_ path: String) -> Bool {
    guard forget(path) else { return false }
    restIfDone()
    return true
  }

  private mutating func forget(_ path: String) -> Bool {
    guard let link = links[path] else { return false }
    links[path] = link.isExplicit ? Link(isExplicit: true, isGlob: link.isGlob, acked: .start, tail: .start) : nil
    changed.insert(path)
    return true
  }

  /// Linked by name. Answers false: there is no room.
  mutating func add(_ path: String, tail: Offset) -> Bool {
    if links[path]?.isExplicit == true { return true }
    guard links[path] != nil || links.count < Self.linksLimit else { return false }
    links[path, default: Link(isGlob: plan.pattern?.matches(path) == true, acked: tail, tail: tail)].isExplicit = true
    changed.insert(path)
    return true
  }

  /// No longer linked by name; a pattern that matches goes on.
  mutating func remove(_ path: String) {
    guard let link = links[path], link.isExplicit else { return }
    if link.isGlob { links[path]?.isExplicit = false } else { links[path] = nil }
    changed.insert(path)
    restIfDone()
  }

  /// Woken for what is not there any more: nobody needs to come, and the next work wakes anew.
  private mutating func restIfDone() {
    if case .woken = phase, !hasWork { phase = .idle }
  }

  // MARK: Wakes

  /// There is work, and nobody is woken or at it.
  var mayWake: Bool { phase == .idle && hasWork }

  /// A webhook's lease begins with the wake.
  mutating func wake(id: String, now: Int64) -> Bool {
    guard mayWake else { return false }
    generation += 1
    let wake = Wake(id: id, snapshot: links.filter(\.value.isPending).mapValues(\.tail))
    phase = isWebhook ? .leased(wake, holder: nil, until: now + Int64(plan.lease)) : .woken(wake, retryAt: nil)
    return true
  }

  /// What was told did not arrive: once more, with the same wake. `jitter` is from 0 to 1.
  mutating func deliveryFailed(_ wakeID: String, now: Int64, jitter: Double) -> Bool {
    guard let wake = phase.wake, wake.id == wakeID else { return false }
    // Claimed, although its event was not written: somebody is at it.
    if case .leased(_, .some, _) = phase { return false }
    failures += 1
    let range = Self.backoffRange
    let wait = min(range.lowerBound << Int64(min(failures - 1, 20)), range.upperBound)
    phase = .woken(wake, retryAt: now + Int64(Double(wait) * (0.8 + 0.4 * jitter)))
    restIfDone()
    return true
  }

  /// It is told again now.
  mutating func retry(now: Int64) -> Bool {
    guard case .woken(let wake, let retryAt?) = phase, retryAt <= now else { return false }
    phase = isWebhook ? .leased(wake, holder: nil, until: now + Int64(plan.lease)) : .woken(wake, retryAt: nil)
    return true
  }

  /// It arrived. `isDone`: with it all that was told is worked through.
  mutating func delivered(_ wakeID: String, isDone: Bool) -> Bool {
    guard let wake = phase.wake, wake.id == wakeID else { return false }
    let recovered = failures > 0
    failures = 0
    guard isDone else { return recovered }
    for (path, tail) in wake.snapshot { acknowledge(path, min(tail, links[path]?.tail ?? tail)) }
    phase = .idle
    return true
  }

  /// The wake whose lease is over.
  func overdue(now: Int64) -> Wake? {
    guard case .leased(let wake, _, let until) = phase, until <= now else { return nil }
    return wake
  }

  mutating func leaseEnded(now: Int64) -> Bool {
    guard overdue(now: now) != nil else { return false }
    phase = .idle
    return true
  }

  // MARK: Workers

  /// `id` is that of the wake if there was none. With nothing to do it is idle, which is to be kept.
  mutating func claim(by worker: String, id: String, now: Int64) throws(SubscriptionFailure) -> Wake {
    guard !isWebhook else { throw .badRequest("a webhook's work is not claimed") }
    if case .leased(_, let holder?, let until) = phase, until > now {
      throw .claimed(by: holder, generation: generation)
    }
    _ = leaseEnded(now: now)
    restIfDone()
    guard hasWork else { throw .nothingToDo }
    _ = wake(id: id, now: now)
    guard let wake = phase.wake else { throw .nothingToDo }
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

  /// All or none. A cursor never goes back, nor beyond what is there.
  mutating func acknowledge(_ offsets: [(path: String, offset: Offset)]) throws(SubscriptionFailure) {
    for (path, offset) in offsets {
      guard let link = links[path] else {
        throw .badAcknowledgement("\"\(path.prefix(100))\" is no stream of this subscription")
      }
      guard offset >= link.acked else {
        throw .badAcknowledgement("\(offset) is before what was acknowledged of \"\(path)\"")
      }
      guard offset <= link.tail else { throw .badAcknowledgement("\(offset) is beyond the tail of \"\(path)\"") }
    }
    for (path, offset) in offsets { acknowledge(path, offset) }
  }

  private mutating func acknowledge(_ path: String, _ offset: Offset) {
    guard let link = links[path], offset > link.acked else { return }
    links[path]?.acked = offset
    changed.insert(path)
  }

  mutating func heartbeat(now: Int64) {
    guard let wake = phase.wake else { return }
    var worker: String?
    if case .leased(_, let holder, _) = phase { worker = holder }
    phase = .leased(wake, holder: worker, until: now + Int64(plan.lease))
  }

  mutating func release() { phase = .idle }

  // MARK: Kept

  /// Everything: it needs no earlier record. What has changed is none the less in the next one, which may stand behind an
  /// older record that waits to be written.
  var wholeRecord: JSONValue {
    record(
      of: links.keys.sorted(), withTails: true,
      after: [
        JSONMember("id", .string(id)), JSONMember("plan", plan.json), JSONMember("createdAt", .int(Int(createdAt))),
        JSONMember("base", .string(base)),
      ])
  }

  /// What is to be kept since the last time.
  mutating func takeRecord() -> JSONValue {
    let wake = phase.wake?.id
    let record = record(of: changed.sorted(), withTails: wake != recordedWake)
    changed = []
    recordedWake = wake
    return record
  }

  private func record(of paths: [String], withTails: Bool, after first: [JSONMember] = []) -> JSONValue {
    var members = first
    members.append(JSONMember("generation", .int(Int(generation))))
    if failures > 0 { members.append(JSONMember("failures", .int(failures))) }
    if let wake = phase.wake {
      var told = [JSONMember("id", .string(wake.id))]
      if withTails {
        let tails = wake.snapshot.sorted { $0.key < $1.key }.map { JSONMember($0.key, .string($0.value.description)) }
        told.append(JSONMember("tails", .object(tails)))
      }
      members.append(JSONMember("wake", .object(told)))
      switch phase {
      case .idle, .woken(_, nil): break
      case .woken(_, let retryAt?): members.append(JSONMember("next_attempt_at", .int(Int(retryAt))))
      case .leased(_, let holder, let until):
        members.append(JSONMember("until", .int(Int(until))))
        if let holder { members.append(JSONMember("holder", .string(holder))) }
      }
    }
    let list = paths.map { path in
      JSONMember(
        path,
        links[path].map {
          ["explicit": .bool($0.isExplicit), "glob": .bool($0.isGlob), "acked": .string($0.acked.description)]
        }
          ?? .null)
    }
    if !list.isEmpty { members.append(JSONMember("links", .object(list))) }
    return .object(members)
  }

  /// What a whole record says; nil: it is none that this wrote. Tails of streams are to be looked up.
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
    if let wake = record["wake"], let id = wake["id"]?.string {
      var tails = earlier?.id == id ? earlier?.snapshot ?? [:] : [:]
      for member in wake["tails"]?.members ?? [] { tails[member.name] = member.value.string.flatMap { Offset($0) } }
      let wake = Wake(id: id, snapshot: tails)
      if let until = record["until"]?.int {
        phase = .leased(wake, holder: record["holder"]?.string, until: Int64(until))
      } else {
        phase = .woken(wake, retryAt: record["next_attempt_at"]?.int.map { Int64($0) })
      }
    }
    recordedWake = phase.wake?.id
    for member in record["links"]?.members ?? [] {
      guard let acked = member.value["acked"]?.string.flatMap({ Offset($0) }) else {
        links[member.name] = nil
        continue
      }
      links[member.name] = Link(
        isExplicit: member.value["explicit"]?.bool == true, isGlob: member.value["glob"]?.bool == true, acked: acked,
        tail: acked)
    }
    return true
  }

  /// After a restart, when all tails are known: what may not have been told is told again.
  mutating func restarted(now: Int64) {
    restIfDone()
    if case .woken(let wake, nil) = phase { phase = .woken(wake, retryAt: now) }
  }

  /// What is there now of a stream that is linked; nil: it is not there. `restarted` follows.
  mutating func setTail(_ path: String, _ tail: Offset?) {
    guard let tail else {
      _ = forget(path)
      return
    }
    links[path]?.tail = tail
    // Shorter than what was worked through: another stream of that name.
    if let link = links[path], link.acked > tail { links[path]?.acked = .start }
  }
}
