import WeirCore
import WeirStore
import WeirWire

/// Streams in a Redis: any number of writers and readers, on any machine (docs/redis.md: keys, promises, failures).
///
///     RedisStreamStore.open(url: "redis://localhost", world: world) { result in … }
///
/// **An answered append is as durable as this Redis makes it** (`appendfsync`, replicas), and is done once, whatever happens to the
/// connection it was asked over (`RedisPipeline`). Every operation is one script, so it is done as a whole, in one order for all machines.
/// Appending and reading at an offset cost O(log n). Appends to one stream that wait to be sent leave as one command.
///
/// Readers are woken by this store's own answers and by what the scripts publish, over one connection however many they are;
/// nothing polls (`StreamWatches`). What Redis does not answer within `operationTimeout` fails as `.unavailable`.
package final class RedisStreamStore: StreamStore {
  package struct Limits: Sendable {
    /// Name, TCP, TLS and password.
    package var connectTimeout = Duration.seconds(5)
    /// Without a byte for so long while an answer is due, a connection counts as lost.
    package var answerTimeout = Duration.seconds(5)
    /// While streams are watched and nothing changes, Redis is asked so often whether it is still there.
    package var heartbeat = Duration.seconds(10)
    /// Between attempts to connect; they begin with 50 ms.
    package var reconnectDelay = Duration.seconds(5)
    /// Of opening the store, with all attempts: a Redis may be starting as well.
    package var openTimeout = Duration.seconds(5)
    /// Of every operation, with all attempts.
    package var operationTimeout = Duration.seconds(15)
    /// Of an append: Redis holds it whole in memory, and does nothing else while it takes it.
    package var appendBytesLimit = 64 << 20
    package var appendItemsLimit = 100_000
    /// Of all that waits for Redis.
    package var waitingBytesLimit = 128 << 20
    package init() {}
  }

  /// Of a batch, whatever was asked for: Redis does nothing else while it reads it.
  package static let batchBytesLimit = 8 << 20
  package static let batchItemsLimit = 16_384
  /// Bytes of a stream's content type.
  package static let contentTypeLimit = 1024
  /// Appends are joined up to so much.
  private static let joinedBytesLimit = 1 << 20
  private static let joinedItemsLimit = 1024
  /// Names looked at in one step of a listing.
  private static let pageLimit = 500
  /// Redis' scripts count in doubles.
  static let countLimit: UInt64 = 1 << 53 - 1

  package let address: RedisAddress
  /// Reading renews the lifetime of a stream that may be idle. False: whoever reads only looks at what there is.
  package var isReadingUse = true
  private let loop: any Loop
  private let limits: Limits
  private let pipeline: RedisPipeline
  private let watches: StreamWatches
  /// Appends that were not sent yet and may take more.
  private var joinable: [StreamName: JoinedAppend] = [:]
  private var sweepTimer: (deadline: Instant, timer: any Cancellable)?
  private var isSweeping = false

  /// Answers the store when Redis has answered it, within `openTimeout`; a wrong URL or password, or what is no Redis, at once.
  package static func open(
    url: String, world: World, limits: Limits = Limits(), _ answer: @escaping Answer<RedisStreamStore>
  ) {
    let address: RedisAddress
    do throws(StoreFailure) { address = try RedisAddress(url) } catch {
      return world.loop.soon { answer(.failure(error)) }
    }
    let store = RedisStreamStore(address, world, limits)
    store.pipeline.ask(.script(.sweep, ""), [Array("100".utf8)], within: limits.openTimeout) { result in
      switch result {
      case .success(let value):
        store.swept(value)
        answer(.success(store))
      case .failure(let failure):
        store.close()
        answer(.failure(failure))
      }
    }
  }

  private init(_ address: RedisAddress, _ world: World, _ limits: Limits) {
    self.address = address
    self.limits = limits
    loop = world.loop
    var connection = RedisConnection.Limits()
    connection.connectTimeout = limits.connectTimeout
    connection.answerTimeout = limits.answerTimeout
    connection.heartbeat = limits.heartbeat
    connection.longestDelay = limits.reconnectDelay
    var waiting = RedisPipeline.Limits()
    waiting.operationTimeout = limits.operationTimeout
    waiting.bytesLimit = limits.waitingBytesLimit
    pipeline = RedisPipeline(address, world: world, limits: waiting, connection: connection)
    watches = StreamWatches(
      address, pipeline, RedisSubscriber(address, world: world, limits: connection), loop: world.loop)
    watches.onLifetime = { [weak self] in self?.sweep() }
  }

  deinit { close() }

  /// Watches that are not cancelled: 0 when all readers are gone, or something leaks.
  package var watcherCount: Int { watches.count }

  /// By how much streams' lifetimes are looked at ahead of Redis' own clock, so that a test need not wait for them.
  package var clockShift: Duration {
    get { pipeline.clockShift }
    set {
      pipeline.clockShift = newValue
      watches.use()
      sweep()
    }
  }

  /// Other processes write to the same streams: that is what it is for.
  package var isExclusive: Bool { false }

  /// Gives up what waits, and lets Redis go. Everything asked afterwards fails.
  package func close() {
    sweepTimer?.timer.cancel()
    sweepTimer = nil
    watches.close()
    pipeline.close()
  }

  /// Answers when all that was asked before is answered, and everybody is woken for what changed before: false when somebody asked
  /// for something meanwhile.
  package func settle(_ answer: @escaping (Bool) -> Void) {
    var asked = pipeline.askedCount
    func round(_ left: Int) {
      // A command that was refused for one before it is asked again behind others.
      if left == 0, pipeline.isIdle {
        return loop.soon { [pipeline] in answer(pipeline.askedCount == asked) }
      }
      asked += 1
      pipeline.ask(.plain(["PING"])) { [watches] _ in watches.settle { round(max(0, left - 1)) } }
    }
    round(2)
  }

  // MARK: Making and deleting

  package func create(_ name: StreamName, _ creation: StreamCreation, _ answer: @escaping Answer<StreamStatus>) {
    joinable[name] = nil
    let type = creation.contentType ?? (creation.fork == nil ? StreamContentType.bytes : "")
    guard type.utf8.count <= Self.contentTypeLimit else {
      return later(answer, .unavailable("a content type of more than \(Self.contentTypeLimit) bytes"))
    }
    if let failure = tooMuch(creation.items) { return later(answer, failure) }
    var words = [type, "", "", "", "", "0"]
    words[1...2] = Self.words(creation.lifetime)[...]
    if let fork = creation.fork {
      joinable[fork.source] = nil
      words[3] = fork.source.path
      words[4] = fork.offset.map { String($0.value) } ?? ""
      words[5] = String(fork.subOffset)
    }
    let arguments = (words + Self.words(creation.ending)).map { Array($0.utf8) } + creation.items
    mutate(.create, name, arguments, answer) { [self] reply throws(StoreFailure) in
      switch reply.outcome {
      case "existed":
        var status = try reply.status(from: 1)
        status.existed = true
        if let conflict = creation.conflict(with: status) { throw conflict }
        return status
      case "made":
        let status = try reply.status(from: 2)
        watches.changed(name, version: reply[1])
        if let left = Int64(reply[14]) { sweep(after: .milliseconds(left)) }
        return status
      default: throw reply.failure(creation)
      }
    }
  }

  package func delete(_ name: StreamName, _ answer: @escaping Answer<Void>) {
    joinable[name] = nil
    mutate(.delete, name, [], answer) { [watches] reply throws(StoreFailure) in
      guard reply.outcome == "deleted" else { throw reply.failure() }
      watches.changed(name, version: reply[1])
    }
  }

  // MARK: Appending

  /// One command for the appends of several callers: all or none of them, in their order.
  private final class JoinedAppend {
    var command: RedisPipeline.Command?
    let contentType: String?
    var items = 0
    var bytes = 0
    /// And how many items came up to each.
    var answers: [(items: Int, Answer<StreamAppended>)] = []
    init(contentType: String?) { self.contentType = contentType }
  }

  package func append(_ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>) {
    if let failure = tooMuch(append.items) ?? Self.uncountable(append.producer) { return later(answer, failure) }
    let isPlain =
      append.ending == nil && append.producer == nil && append.sequence == nil && append.lifetime == nil
      && !append.items.isEmpty
    guard isPlain else {
      joinable[name] = nil
      send(name, append, answer)
      return
    }
    let size = append.items.reduce(0) { $0 + $1.count }
    if let joined = joinable[name], let command = joined.command, joined.contentType == append.contentType,
      joined.items + append.items.count <= Self.joinedItemsLimit, joined.bytes + size <= Self.joinedBytesLimit,
      pipeline.extend(command, with: append.items)
    {
      joined.items += append.items.count
      joined.bytes += size
      joined.answers.append((joined.items, answer))
      return
    }
    let joined = JoinedAppend(contentType: append.contentType)
    (joined.items, joined.bytes) = (append.items.count, size)
    joined.answers = [(joined.items, answer)]
    joinable[name] = joined
    joined.command = send(name, append) { [weak self, address] result in
      if let self, joinable[name] === joined { joinable[name] = nil }
      joined.command = nil
      for (items, answer) in joined.answers {
        answer(
          result.flatMap { all in
            var own = all
            let (tail, isOdd) = all.tail.value.subtractingReportingOverflow(UInt64(joined.items - items))
            own.tail = Offset(tail)
            return isOdd ? .failure(RedisReply.odd(address)) : .success(own)
          })
      }
    }
  }

  @discardableResult
  private func send(
    _ name: StreamName, _ append: StreamAppend, _ answer: @escaping Answer<StreamAppended>
  ) -> RedisPipeline.Command {
    let stamp = append.producer
    let words =
      Self.words(append.ending) + [
        append.contentType ?? "", stamp.map { "=" + $0.id.text } ?? "", String(stamp?.epoch ?? 0),
        stamp.map { String($0.sequence) } ?? "", append.sequence == nil ? "0" : "1", append.sequence ?? "",
      ] + Self.words(append.lifetime)
    return mutate(.append, name, words.map { Array($0.utf8) } + append.items, answer) {
      [watches, weak self] reply throws(StoreFailure) in
      switch reply.outcome {
      case "ok":
        watches.changed(name, version: reply[1])
        if append.lifetime != nil { self?.sweep() }
        return StreamAppended(
          tail: try reply.offset(2), sequence: UInt64(reply[3]), ending: StreamEnding(reply[4], reply[5]))
      case "repeat":
        return StreamAppended(
          tail: try reply.offset(1), isRepeat: true, sequence: UInt64(reply[2]),
          ending: StreamEnding(reply[3], reply[4]))
      default: throw reply.failure(append)
      }
    }
  }

  /// "" none, c closed, a aborted; and why.
  private static func words(_ ending: StreamEnding?) -> [String] {
    switch ending {
    case nil: ["", ""]
    case .closed?: ["c", ""]
    case .aborted(let reason)?: ["a", reason]
    }
  }

  /// Idle seconds, or the moment at which it is over.
  private static func words(_ lifetime: StreamLifetime?) -> [String] {
    switch lifetime {
    case nil: ["", ""]
    case .idle(let seconds)?: [String(seconds), ""]
    case .until(let moment)?: ["", String(moment)]
    }
  }

  private func tooMuch(_ items: [[UInt8]]) -> StoreFailure? {
    guard items.count <= limits.appendItemsLimit else {
      return .full("an append of \(items.count) items is more than the \(limits.appendItemsLimit) of one step")
    }
    let size = items.reduce(0) { $0 + $1.count }
    return size <= limits.appendBytesLimit
      ? nil : .full("an append of \(size) bytes is more than the \(limits.appendBytesLimit) of one step")
  }

  private static func uncountable(_ stamp: ProducerStamp?) -> StoreFailure? {
    guard let stamp, max(stamp.epoch, stamp.sequence) > countLimit else { return nil }
    return .unavailable("a producer's epoch and sequence are at most \(countLimit)")
  }

  // MARK: Looking

  package func status(_ name: StreamName, _ answer: @escaping Answer<StreamStatus>) {
    joinable[name] = nil
    look(.status, name, [], answer) { reply throws(StoreFailure) in
      guard reply.outcome == "ok" else { throw reply.failure() }
      return try reply.status(from: 1)
    }
  }

  package func read(
    _ name: StreamName, from offset: Offset, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    joinable[name] = nil
    let words = [
      String(offset.value), String(min(max(0, byteLimit), Self.batchBytesLimit)), String(Self.batchItemsLimit),
      isReadingUse ? "1" : "0",
    ]
    pipeline.ask(.script(.read, name.path), words.map { Array($0.utf8) }) { [address] result in
      answer(
        result.flatMap { value in
          do throws(StoreFailure) { return .success(try RedisReply.batch(value, from: offset, address)) } catch {
            return .failure(error)
          }
        })
    }
  }

  package func list(prefix: String, after: StreamName?, limit: Int, _ answer: @escaping Answer<[StreamStatus]>) {
    guard limit > 0 else { return loop.soon { answer(.success([])) } }
    joinable = [:]
    var start = prefix.isEmpty ? "-" : "[" + prefix
    if let after, !after.path.utf8.lexicographicallyPrecedes(prefix.utf8) { start = "(" + after.path }
    page(from: start, prefix, limit, [], answer)
  }

  private func page(
    from start: String, _ prefix: String, _ limit: Int, _ found: [StreamStatus],
    _ answer: @escaping Answer<[StreamStatus]>
  ) {
    let count = min(limit - found.count, Self.pageLimit)
    let words = [start, prefix, String(count)]
    pipeline.ask(.script(.list, ""), words.map { Array($0.utf8) }) { [weak self, address] result in
      do throws(StoreFailure) {
        let (looked, last, statuses) = try RedisReply.page(try result.get(), address)
        let all = found + statuses
        guard looked == count, all.count < limit, let self else { return answer(.success(all)) }
        page(from: "(" + last, prefix, limit, all, answer)
      } catch { answer(.failure(error)) }
    }
  }

  package func watch(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
    // What is appended from now on is news, what was appended before is not: they are not one command.
    joinable[name] = nil
    return watches.add(name, wake)
  }

  // MARK: Asking

  private func later<Value>(_ answer: @escaping Answer<Value>, _ failure: StoreFailure) {
    loop.soon { answer(.failure(failure)) }
  }

  @discardableResult
  private func mutate<Value>(
    _ script: RedisScript, _ name: StreamName, _ arguments: [[UInt8]], _ answer: @escaping Answer<Value>,
    _ read: @escaping (RedisReply) throws(StoreFailure) -> Value
  ) -> RedisPipeline.Command {
    pipeline.ask(.script(script, name.path), arguments) { [address] result in
      do throws(StoreFailure) {
        let value = try read(try RedisReply(packed: try result.get(), name, address))
        answer(.success(value))
      } catch { answer(.failure(error)) }
    }
  }

  private func look<Value>(
    _ script: RedisScript, _ name: StreamName, _ arguments: [[UInt8]], _ answer: @escaping Answer<Value>,
    _ read: @escaping (RedisReply) throws(StoreFailure) -> Value
  ) {
    pipeline.ask(.script(script, name.path), arguments) { [address] result in
      do throws(StoreFailure) {
        let value = try read(try RedisReply(list: try result.get(), name, address))
        answer(.success(value))
      } catch { answer(.failure(error)) }
    }
  }

  // MARK: Lifetimes

  /// Streams whose lifetime is over go when somebody asks for them; those that nobody asks for go by this, at their moment.
  private func sweep() {
    if isSweeping { return }
    isSweeping = true
    pipeline.ask(.script(.sweep, ""), [Array("100".utf8)]) { [weak self] result in
      guard let self else { return }
      isSweeping = false
      switch result {
      case .success(let value): swept(value)
      case .failure: sweep(after: .seconds(60))
      }
    }
  }

  private func swept(_ value: RESPValue) {
    if let wait = value.text.flatMap({ Int64($0) }) { sweep(after: .milliseconds(wait)) }
  }

  private func sweep(after delay: Duration) {
    // A clock may be set: it is looked at again after an hour. And not oftener than this, whatever Redis says.
    let deadline = loop.now + min(max(delay, .milliseconds(5)), .seconds(3600))
    if let sweepTimer, sweepTimer.deadline <= deadline { return }
    sweepTimer?.timer.cancel()
    sweepTimer = (
      deadline,
      loop.after(deadline - loop.now) { [weak self] in
        self?.sweepTimer = nil
        self?.sweep()
      }
    )
  }
}
