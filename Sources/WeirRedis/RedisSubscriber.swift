import WeirCore
import WeirStore
import WeirWire

/// Channels of a Redis, however many, over one connection of their own (RESP2: a connection with a subscription takes no other
/// commands). A channel costs one command when it is added; while nothing is published, nothing happens but a PING now and then,
/// without which a partition would look like silence.
final class RedisSubscriber {
  /// Without channels the connection is closed after so long.
  static let idleLimit = Duration.seconds(30)

  /// The channel is listened to from now on. Called again after a loss: what was published between is not known.
  var onListening: (String) -> Void = { _ in }
  /// The connection, or an attempt to make it. Another one follows while there are channels.
  var onLost: () -> Void = {}
  var onMessage: (_ channel: String, _ message: String) -> Void = { _, _ in }

  private let loop: any Loop
  private let link: RedisLink
  private let limits: RedisConnection.Limits
  private var channels: Set<String> = []
  private var isConnected = false
  private var lastHeard: Instant
  private var timer: (any Cancellable)?
  private var idleSince: Instant?
  private var echoes: ArraySlice<() -> Void> = []

  init(_ address: RedisAddress, world: World, limits: RedisConnection.Limits) {
    loop = world.loop
    self.limits = limits
    lastHeard = world.loop.now
    link = RedisLink(address, world: world, limits: limits, scripts: [])
    link.onOpen = { [weak self] in self?.opened($0) }
    link.onLost = { [weak self] _ in self?.lost() }
  }

  func listen(to channel: String) {
    channels.insert(channel)
    idleSince = nil
    if isConnected { link.connection?.send(RESPWriter.command(["SUBSCRIBE", channel]), nil) } else { link.want() }
  }

  func forget(_ channel: String) {
    guard channels.remove(channel) != nil else { return }
    if isConnected { link.connection?.send(RESPWriter.command(["UNSUBSCRIBE", channel]), nil) }
    if channels.isEmpty { idleSince = loop.now }
  }

  /// Calls when everything published before has been told; at once when there is no connection.
  func settle(_ done: @escaping () -> Void) {
    guard isConnected else {
      // A connection that is being made will say so for each channel.
      return channels.isEmpty ? loop.soon(done) : echoes.append(done)
    }
    echoes.append(done)
    ping(Self.echo)
  }

  private func opened(_ connection: RedisConnection) {
    isConnected = true
    lastHeard = loop.now
    connection.onMessage = { [weak self] in self?.received($0) }
    for channel in channels { connection.send(RESPWriter.command(["SUBSCRIBE", channel]), nil) }
    for _ in echoes { ping(Self.echo) }
    watchSilence()
  }

  private func lost() {
    isConnected = false
    timer?.cancel()
    timer = nil
    if channels.isEmpty { return }
    link.want()
    onLost()
  }

  private func received(_ value: RESPValue) {
    lastHeard = loop.now
    // Without a subscription it answers as to anybody.
    if value.text == Self.echo { return echoed() }
    guard let words = value.elements, let kind = words.first?.text else {
      if case .error(let error) = value {
        link.connection?.lose(.passing("it refuses a subscription: \(error.message)"))
      }
      return
    }
    switch (kind, words.count) {
    case ("message", 3):
      guard let channel = words[1].text, let message = words[2].text else { return }
      onMessage(channel, message)
    case ("subscribe", 3): if let channel = words[1].text, channels.contains(channel) { onListening(channel) }
    case ("pong", 2): if words[1].text == Self.echo { echoed() }
    default: break
    }
  }

  private static let echo = "settled"
  private func echoed() { echoes.popFirst()?() }

  private func ping(_ word: String) { link.connection?.send(RESPWriter.command(["PING", word]), nil) }

  private func watchSilence() {
    timer = loop.after(lastHeard + limits.heartbeat - loop.now) { [weak self] in self?.checkSilence() }
  }

  private func checkSilence() {
    guard isConnected else { return }
    if let idleSince, loop.now - idleSince >= Self.idleLimit {
      isConnected = false
      timer = nil
      return link.close()
    }
    let heard = lastHeard
    if loop.now - heard < limits.heartbeat { return watchSilence() }
    ping("alive")
    timer = loop.after(limits.answerTimeout) { [weak self] in
      guard let self, isConnected else { return }
      if lastHeard > heard { return watchSilence() }
      link.connection?.lose(.passing("it did not answer within \(limits.answerTimeout.text)"))
    }
  }

  func close() {
    channels = []
    echoes = []
    isConnected = false
    timer?.cancel()
    timer = nil
    link.close()
  }
}
