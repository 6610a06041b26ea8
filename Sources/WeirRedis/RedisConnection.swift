import WeirCore
import WeirStore
import WeirWire

/// One connection to a Redis: dialled, entered (AUTH, SELECT), with the scripts it wants known there; then commands in, answers out in the order of the
/// commands. Lost once, and then for good: who wants another one makes it.
///
/// Knows nothing of streams, and does not try again. What is sent within a turn leaves in one write. While answers are awaited
/// and nothing at all comes or can be sent for `answerTimeout`, it is lost: a partition says nothing by itself.
final class RedisConnection: ByteStreamHandler {
  struct Limits: Sendable {
    /// Name, TCP, TLS and entering together.
    var connectTimeout = Duration.seconds(5)
    var answerTimeout = Duration.seconds(5)
    /// PING after so long without a word, where nothing is asked that would tell of a loss.
    var heartbeat = Duration.seconds(10)
    /// Between attempts to connect.
    var longestDelay = Duration.seconds(5)
  }

  typealias Reply = (RESPValue) -> Void

  /// What comes unasked: messages of a subscription.
  var onMessage: (RESPValue) -> Void = { _ in }
  var onLost: (RedisTrouble) -> Void = { _ in }

  private let address: RedisAddress
  private let loop: any Loop
  private let limits: Limits
  private let stream: any ByteStream
  private var isOpen = true
  private var parser = RESPParser()
  private var awaited: ArraySlice<Reply> = []
  private var output: [UInt8] = []
  private var isFlushAsked = false
  private var isBlocked = false
  /// When anything last went either way.
  private var lastHeard: Instant
  private var silence: (any Cancellable)?

  private init(_ stream: any ByteStream, _ address: RedisAddress, _ loop: any Loop, _ limits: Limits) {
    self.stream = stream
    self.address = address
    self.loop = loop
    self.limits = limits
    lastHeard = loop.now
    stream.handler = self
  }

  // MARK: Entering

  /// One answer unless cancelled; then what came of it is closed.
  static func open(
    _ address: RedisAddress, world: World, limits: Limits, scripts: [RedisScript],
    _ answer: @escaping (Result<RedisConnection, RedisTrouble>) -> Void
  ) -> any Cancellable {
    let entry = Entry(answer)
    let tls =
      address.isEncrypted
      ? ClientTLS(serverName: address.socket.host, trustFile: world.environment["SSL_CERT_FILE"]) : nil
    entry.timer = world.loop.after(limits.connectTimeout) {
      entry.finish(.failure(.passing("it did not answer within \(limits.connectTimeout.text)")))
    }
    entry.dialling = world.network.connect(address.socket, tls: tls, timeout: limits.connectTimeout) { result in
      entry.dialling = nil
      switch result {
      case .failure(let failure): entry.finish(.failure(RedisTrouble(failure)))
      case .success(let stream): enter(RedisConnection(stream, address, world.loop, limits), address, scripts, entry)
      }
    }
    return entry
  }

  private static func enter(
    _ connection: RedisConnection, _ address: RedisAddress, _ scripts: [RedisScript], _ entry: Entry
  ) {
    entry.connection = connection
    connection.onLost = { trouble in entry.finish(.failure(trouble)) }
    var commands: [[String]] = []
    if let password = address.password {
      commands.append(["AUTH"] + (address.user.map { [$0] } ?? []) + [password.value])
    }
    commands.append(["PING"])
    if address.database != 0 { commands.append(["SELECT", String(address.database)]) }
    if !scripts.isEmpty { commands.append(["SCRIPT", "EXISTS"] + scripts.map(\.hash)) }
    ask(connection, commands, address, entry) { command, value in
      if command[0] == "PING", value.text != "PONG" {
        return entry.finish(.failure(.lasting("it does not answer as a Redis does")))
      }
      guard command == commands.last else { return }
      // All of them together are some thirty kilobytes, and they outlive connections.
      let known = value.elements ?? []
      let missing = scripts.enumerated().filter { $0.offset >= known.count || known[$0.offset] != .integer(1) }
      let loads = missing.map { ["SCRIPT", "LOAD", $0.element.text] }
      if loads.isEmpty { return entry.finish(.success(connection)) }
      ask(connection, loads, address, entry) { load, _ in
        if load == loads.last { entry.finish(.success(connection)) }
      }
    }
  }

  private static func ask(
    _ connection: RedisConnection, _ commands: [[String]], _ address: RedisAddress, _ entry: Entry,
    _ answered: @escaping (_ command: [String], RESPValue) -> Void
  ) {
    for command in commands {
      connection.send(RESPWriter.command(command)) { value in
        guard case .error(let error) = value else { return answered(command, value) }
        entry.finish(.failure(RedisTrouble(error, address.secrets)))
      }
    }
  }

  /// On the way to a connection.
  private final class Entry: Cancellable {
    private var answer: ((Result<RedisConnection, RedisTrouble>) -> Void)?
    var timer: (any Cancellable)?
    var dialling: (any Cancellable)?
    var connection: RedisConnection?

    init(_ answer: @escaping (Result<RedisConnection, RedisTrouble>) -> Void) { self.answer = answer }

    func cancel() {
      answer = nil
      hangUp()
    }

    func finish(_ result: Result<RedisConnection, RedisTrouble>) {
      guard let answer = answer.take() else { return }
      if case .success(let connection) = result {
        connection.onLost = { _ in }
        self.connection = nil
      }
      hangUp()
      answer(result)
    }

    private func hangUp() {
      timer?.cancel()
      timer = nil
      dialling?.cancel()
      dialling = nil
      connection?.close()
      connection = nil
    }
  }

  // MARK: Asking

  /// A whole command. With `reply`, its answer is awaited in its turn; without, what comes goes to `onMessage`. It leaves at the end of
  /// the turn, or with `flush` if that `isHeld` for.
  func send(_ command: [UInt8], isHeld: Bool = false, _ reply: Reply?) {
    guard isOpen else { return }
    if let reply {
      awaited.append(reply)
      if silence == nil { listen(from: loop.now) }
    }
    if output.isEmpty { output = command } else { output += command }
    if isFlushAsked || isBlocked || isHeld { return }
    isFlushAsked = true
    loop.atEndOfTurn { [weak self] in
      self?.isFlushAsked = false
      self?.flush()
    }
  }

  /// What was sent and has not left: the caller's own limit is on it.
  var unsentBytes: Int { output.count }

  func flush() {
    guard isOpen, !isBlocked, !output.isEmpty else { return }
    let bytes = output  // another reference, so that nothing the stream does can overlap this access
    let taken = stream.send(bytes.span)
    // Nothing can be answered that has not arrived: the time for it begins with the last byte.
    if taken > 0 { lastHeard = loop.now }
    isBlocked = taken < bytes.count
    if isBlocked { output.removeFirst(taken) } else { output = [] }
  }

  func byteStreamBecameWritable() {
    isBlocked = false
    flush()
  }

  // MARK: Hearing

  func byteStreamReceived(_ bytes: Span<UInt8>) {
    guard isOpen else { return }
    lastHeard = loop.now
    parser.receive(bytes)
    do throws(RESPFailure) {
      while isOpen, let value = try parser.next() {
        if awaited.isEmpty { onMessage(value) } else { awaited.removeFirst()(value) }
      }
    } catch { lose(RedisTrouble(error)) }
    if awaited.isEmpty {
      silence?.cancel()
      silence = nil
    }
  }

  func byteStreamEnded() { lose(.passing("it closed the connection")) }
  func byteStreamFailed(_ failure: NetworkFailure) { lose(RedisTrouble(failure)) }

  private func listen(from start: Instant) {
    let deadline = start + limits.answerTimeout
    silence = loop.after(deadline - loop.now) { [weak self] in
      guard let self, !awaited.isEmpty else { return }
      silence = nil
      if lastHeard > start { return listen(from: lastHeard) }
      lose(.passing("it did not answer within \(limits.answerTimeout.text)"))
    }
  }

  /// Gives the connection up, and says so to its owner.
  func lose(_ trouble: RedisTrouble) {
    guard isOpen else { return }
    close()
    onLost(trouble)
  }

  func close() {
    guard isOpen else { return }
    isOpen = false
    silence?.cancel()
    silence = nil
    awaited = []
    output = []
    stream.close()
  }
}
