import WeirCore
import WeirStore
import WeirWire

/// Who waits for which stream of a Redis, and how they learn of its changes.
///
/// Every change of a stream has a version, greater than all before it. A watched stream's last one is known here, from three sides:
/// the answers to this store's own commands, the messages that the scripts publish, and a look at the stream itself, taken when the first
/// watcher comes and whenever the subscription has begun to be heard. A version that was not seen wakes; one that was, does not: so
/// each change wakes once, and none is missed, neither between the first look and the subscription nor while that was lost.
final class StreamWatches {
  private enum Beginning { case asked, known, lost }

  private final class Watched {
    let list: WatcherList
    var seen: UInt64 = 0
    /// Of messages that came before the first look was answered: which of them are news is told by it.
    var heard: UInt64 = 0
    /// Whether `seen` is what the first watcher began with: the answer to the first look is to come, was given, or did not come in time.
    var beginning = Beginning.asked
    /// A look is under way, and another one is wanted behind it.
    var isLooking = false
    var isLookWanted = false
    /// Keeps a stream that goes when it is idle, since somebody waits for it.
    var use: (any Cancellable)?
    init(_ list: WatcherList) { self.list = list }
  }

  /// A watched stream has a lifetime: it may be over by itself.
  var onLifetime: () -> Void = {}

  private let address: RedisAddress
  private let pipeline: RedisPipeline
  private let subscriber: RedisSubscriber
  private let loop: any Loop
  private var watched: [StreamName: Watched] = [:]
  private let channelPrefix: String
  private var isClosed = false

  init(_ address: RedisAddress, _ pipeline: RedisPipeline, _ subscriber: RedisSubscriber, loop: any Loop) {
    self.address = address
    self.pipeline = pipeline
    self.subscriber = subscriber
    self.loop = loop
    channelPrefix = address.prefix + "changed:"
    subscriber.onListening = { [weak self] channel in
      guard let self, let name = name(channel), let entry = watched[name] else { return }
      look(name, entry)
    }
    // Until there is another subscription, the looks tell of changes: one for each attempt to make it.
    subscriber.onLost = { [weak self] in
      guard let self else { return }
      for (name, entry) in watched { look(name, entry) }
    }
    subscriber.onMessage = { [weak self] channel, message in
      guard let self, let name = name(channel), let entry = watched[name] else { return }
      let words = message.split(separator: " ")
      if let version = words.first.flatMap({ UInt64($0) }) { heard(version, entry) }
      if words.count > 1 { lives(name, entry, idleSeconds: RedisReply.idleSeconds(words[1])) }
    }
  }

  var count: Int { watched.values.reduce(0) { $0 + $1.list.liveCount } }

  func add(_ name: StreamName, _ wake: @escaping () -> Void) -> any Cancellable {
    if isClosed { return WatcherList {}.add(wake) }
    if let entry = watched[name] { return entry.list.add(wake) }
    let list = WatcherList { [weak self] in self?.forget(name) }
    let entry = Watched(list)
    watched[name] = entry
    look(name, entry)
    subscriber.listen(to: channelPrefix + name.path)
    return list.add(wake)
  }

  private func forget(_ name: StreamName) {
    watched.removeValue(forKey: name)?.use?.cancel()
    subscriber.forget(channelPrefix + name.path)
  }

  private func name(_ channel: String) -> StreamName? {
    // By bytes: what follows the prefix may be a combining mark, and would be one character with its end.
    guard channel.utf8.starts(with: channelPrefix.utf8) else { return nil }
    return try? StreamName(String(decoding: channel.utf8.dropFirst(channelPrefix.utf8.count), as: UTF8.self))
  }

  // MARK: Versions

  /// A command of this store changed it.
  func changed(_ name: StreamName, version: String) {
    guard let entry = watched[name], let version = UInt64(version) else { return }
    if entry.beginning == .asked {
      // Answers come in the order of the commands: this one was asked for before the stream was watched.
      entry.seen = max(entry.seen, version)
    } else {
      saw(version, entry)
    }
  }

  private func heard(_ version: UInt64, _ entry: Watched) {
    if entry.beginning == .asked { entry.heard = max(entry.heard, version) } else { saw(version, entry) }
  }

  private func saw(_ version: UInt64, _ entry: Watched) {
    guard version > entry.seen else { return }
    entry.seen = version
    entry.list.changed(on: loop)
  }

  /// Asks the stream itself for its version, one question at a time.
  private func look(_ name: StreamName, _ entry: Watched) {
    if entry.isLooking {
      entry.isLookWanted = true
      return
    }
    entry.isLooking = true
    let before = entry.seen
    let words = ["HMGET", "\(address.prefix)meta:\(name)", "v", "idle", "until"]
    pipeline.ask(.plain(words)) { [weak self] result in
      guard let self, watched[name] === entry else { return }
      entry.isLooking = false
      guard case .success(let value) = result, let words = value.elements, words.count == 3 else {
        if entry.beginning == .asked { entry.beginning = .lost }
        entry.isLookWanted = false
        _ = loop.after(Self.lookDelay) { [weak self] in
          if let self, watched[name] === entry { look(name, entry) }
        }
        return
      }
      looked(at: entry, words[0].text.flatMap { UInt64($0) } ?? 0, before: before)
      if words[1] != .null || words[2] != .null {
        lives(name, entry, idleSeconds: words[1].text.flatMap(RedisReply.idleSeconds))
      }
      if entry.isLookWanted {
        entry.isLookWanted = false
        look(name, entry)
      }
    }
  }

  /// After a look that was not answered.
  private static let lookDelay = Duration.seconds(1)

  private func looked(at entry: Watched, _ version: UInt64, before: UInt64) {
    switch entry.beginning {
    case .asked:
      entry.seen = max(entry.seen, version)
      saw(entry.heard, entry)
    case .lost:
      // What has happened since it was watched is not known; whoever reads will see.
      entry.seen = max(entry.seen, version)
      entry.list.changed(on: loop)
    case .known:
      // Less than before: it was deleted, or Redis has lost its last changes.
      if version > entry.seen || version < entry.seen && entry.seen == before {
        entry.seen = version
        entry.list.changed(on: loop)
      }
    }
    entry.beginning = .known
  }

  // MARK: Lifetimes

  private func lives(_ name: StreamName, _ entry: Watched, idleSeconds: Int64?) {
    if let idleSeconds, entry.use == nil { keep(name, entry, idleSeconds) }
    onLifetime()
  }

  private func keep(_ name: StreamName, _ entry: Watched, _ seconds: Int64) {
    entry.use = loop.after(.milliseconds(seconds * 500)) { [weak self] in
      guard let self, watched[name] === entry else { return }
      pipeline.ask(.script(.touch, name.path)) { _ in }
      keep(name, entry, seconds)
    }
  }

  /// Of all streams that go when they are idle.
  func use() {
    for (name, entry) in watched where entry.use != nil { pipeline.ask(.script(.touch, name.path)) { _ in } }
  }

  // MARK: Ending

  /// Calls when everybody is woken for what was published before.
  func settle(_ done: @escaping () -> Void) { subscriber.settle(done) }

  func close() {
    isClosed = true
    for entry in watched.values { entry.use?.cancel() }
    watched = [:]
    subscriber.close()
  }
}
