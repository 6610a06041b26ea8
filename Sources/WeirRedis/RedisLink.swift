import WeirCore

/// Keeps one connection to a Redis for somebody who wants it: makes it when it is asked for, and says when it is there and when it
/// is lost. The one policy of reconnecting: after a loss or a failed attempt it waits, twice as long each time and by chance a bit
/// less, up to the limit; after a connection that lasted, it begins again with the shortest delay.
final class RedisLink {
  static let shortestDelay = Duration.milliseconds(50)
  /// Where somebody lets us in it is not waited longer than after so many failures: it may be a replica that becomes a master.
  private static let enteredFailures = 2
  /// A connection that lived so long was a good one.
  static let goodLife = Duration.seconds(10)

  var onOpen: (RedisConnection) -> Void = { _ in }
  /// Also of an attempt that failed. Whoever still wants a connection says so again.
  var onLost: (RedisTrouble) -> Void = { _ in }

  private let address: RedisAddress
  private let world: World
  private let limits: RedisConnection.Limits
  private let scripts: [RedisScript]
  private(set) var connection: RedisConnection?
  private var opening: (any Cancellable)?
  private var delay: (any Cancellable)?
  private var openedAt: Instant?
  /// Since the last good connection.
  private var failures = 0
  /// Before it the next attempt is not made.
  private var notBefore: Instant?

  init(_ address: RedisAddress, world: World, limits: RedisConnection.Limits, scripts: [RedisScript]) {
    self.address = address
    self.world = world
    self.limits = limits
    self.scripts = scripts
  }

  func want() {
    guard connection == nil, opening == nil, delay == nil else { return }
    if let notBefore, notBefore > world.loop.now {
      delay = world.loop.after(notBefore - world.loop.now) { [weak self] in
        self?.delay = nil
        self?.open()
      }
    } else {
      open()
    }
  }

  private func open() {
    opening = RedisConnection.open(address, world: world, limits: limits, scripts: scripts) { [weak self] result in
      guard let self else { return }
      opening = nil
      switch result {
      case .failure(let trouble): lost(trouble)
      case .success(let connection):
        self.connection = connection
        openedAt = world.loop.now
        connection.onLost = { [weak self] in self?.lost($0) }
        onOpen(connection)
      }
    }
  }

  private func lost(_ trouble: RedisTrouble) {
    if let openedAt { failures = world.loop.now - openedAt >= Self.goodLife ? 0 : min(failures, Self.enteredFailures) }
    connection = nil
    openedAt = nil
    notBefore = world.loop.now + Self.delay(after: failures, limit: limits.longestDelay, world.random.next())
    failures += 1
    onLost(trouble)
  }

  /// Between half of the longest delay after so many failures and all of it.
  static func delay(after failures: Int, limit: Duration, _ chance: UInt64) -> Duration {
    let longest = min(limit.nanoseconds, shortestDelay.nanoseconds << min(failures, 20))
    return .nanoseconds(longest / 2 + Int64(chance % UInt64(longest / 2 + 1)))
  }

  /// Nothing is called afterwards.
  func close() {
    opening?.cancel()
    delay?.cancel()
    connection?.close()
    (opening, delay, connection, openedAt) = (nil, nil, nil, nil)
  }
}
