import WeirCore
import WeirStore
import WeirWire

/// Commands to a Redis, answered in the order they were asked: over one connection, many under way at once, and over the next one
/// when that is lost.
///
/// **A command that changes something is done once.** The writer numbers them, and Redis keeps, in the writer's session, the number of
/// the last one that was done and the answers of the last 256. A new connection begins by taking the session over: from then
/// on nothing of an older connection is done, and the answer tells which of the unanswered commands had been. Those get the
/// answer they missed, the others are sent again, in their order.
///
///     waiting ──▶ under way ──▶ answered
///        ▲            │ error that passes, connection lost
///        └────────────┘
///
/// What is not answered within `operationTimeout` fails, wherever it is; large ones have the time that a slow line takes.
final class RedisPipeline {
  struct Limits: Sendable {
    var operationTimeout = Duration.seconds(15)
    /// Of commands that wait or are under way.
    var bytesLimit = 64 << 20
    var countLimit = 100_000
    /// Bytes a second that the way to Redis carries: what waits to be sent has so much more time.
    var slowest = 1 << 20
  }

  /// Under way at once: the session's answers are as many (`RedisScript`).
  static let windowLimit = 256
  /// Handed to the connection and not sent: the rest waits here, where it can be joined and given up.
  private static let unsentLimit = 4 << 20

  final class Command {
    enum Body {
      /// For a stream, or for all ("").
      case script(RedisScript, String)
      case plain([String])
    }
    fileprivate(set) var body: Body
    fileprivate(set) var arguments: [[UInt8]]
    fileprivate let timeout: Duration
    fileprivate let deadline: Instant
    fileprivate var answer: ((Result<RESPValue, StoreFailure>) -> Void)?
    fileprivate var size: Int
    /// Of a command that changes something: its number, when it was sent.
    fileprivate var number: UInt64?
    /// It was done, and this came of it.
    fileprivate var outcome: RESPValue?
    /// It may not be changed any more.
    fileprivate(set) var wasSent = false

    fileprivate var isMutation: Bool {
      if case .script(let script, _) = body { script.isMutation } else { false }
    }
    fileprivate var makesRoom: Bool {
      if case .script(let script, _) = body { script.makesRoom } else { false }
    }

    fileprivate init(_ body: Body, _ arguments: [[UInt8]], timeout: Duration, deadline: Instant) {
      self.body = body
      self.timeout = timeout
      self.arguments = arguments
      self.deadline = deadline
      size = Self.size(arguments)
    }

    fileprivate static func size(_ arguments: [[UInt8]]) -> Int {
      200 + arguments.reduce(0) { $0 + $1.count + 16 }
    }
  }

  private enum Session { case none, asked, open }

  /// Every command ever asked for.
  private(set) var askedCount = 0
  /// By how much the scripts' clock is ahead of the server's.
  var clockShift = Duration.zero

  private let address: RedisAddress
  private let loop: any Loop
  private let limits: Limits
  private let link: RedisLink
  private let writer: String
  private var waiting: ArraySlice<Command> = []
  private var underWay: ArraySlice<Command> = []
  private var bytes = 0
  private var session = Session.none
  /// Of the connection; a later one's is greater.
  private var generation: UInt64 = 0
  private var nextNumber: UInt64 = 1
  private var answeredNumber: UInt64 = 0
  /// Not done, because one before them failed: they are asked again when everything under way is answered.
  private var refused: ArraySlice<Command>?
  private var refusal: StoreFailure?
  private var isPumpAsked = false
  private var timer: (deadline: Instant, timer: any Cancellable)?
  private var lastTrouble: RedisTrouble?
  private var isClosed = false

  init(_ address: RedisAddress, world: World, limits: Limits, connection: RedisConnection.Limits) {
    self.address = address
    self.limits = limits
    loop = world.loop
    writer = world.random.identifier()
    link = RedisLink(address, world: world, limits: connection, scripts: RedisScript.all)
    link.onOpen = { [weak self] _ in self?.opened() }
    link.onLost = { [weak self] in self?.lost($0) }
  }

  var isIdle: Bool { waiting.isEmpty && underWay.isEmpty }

  // MARK: Asking

  /// One answer, in a later job, within `timeout`; nil: `operationTimeout`.
  @discardableResult
  func ask(
    _ body: Command.Body, _ arguments: [[UInt8]] = [], within timeout: Duration? = nil,
    _ answer: @escaping (Result<RESPValue, StoreFailure>) -> Void
  ) -> Command {
    let timeout = (timeout ?? limits.operationTimeout) + .seconds((bytes + Command.size(arguments)) / limits.slowest)
    let command = Command(body, arguments, timeout: timeout, deadline: loop.now + timeout)
    command.answer = answer
    askedCount += 1
    if isClosed {
      failLater(command, "the store is closed")
    } else if bytes + command.size > limits.bytesLimit {
      failLater(command, "more than \(limits.bytesLimit) bytes wait for it")
    } else if waiting.count + underWay.count >= limits.countLimit {
      failLater(command, "more than \(limits.countLimit) commands wait for it")
    } else {
      bytes += command.size
      waiting.append(command)
      setTimer(command.deadline)
      pumpLater()
    }
    return command
  }

  /// More for a command that was not sent yet. False: too late, or too much.
  func extend(_ command: Command, with arguments: [[UInt8]]) -> Bool {
    let size = arguments.reduce(0) { $0 + $1.count + 16 }
    guard !command.wasSent, command.answer != nil, bytes + size <= limits.bytesLimit else { return false }
    command.arguments += arguments
    command.size += size
    bytes += size
    return true
  }

  private func failLater(_ command: Command, _ why: String) {
    loop.soon { [address] in command.answer.take()?(.failure(.unavailable("\(address): \(why)"))) }
  }

  private func pumpLater() {
    if isPumpAsked { return }
    isPumpAsked = true
    // Not now: what is asked in one turn leaves in one write, and appends to one stream are joined.
    loop.atEndOfTurn { [weak self] in
      self?.isPumpAsked = false
      self?.pump()
    }
  }

  private func pump() {
    if isClosed { return }
    guard let connection = link.connection else {
      if !isIdle { link.want() }
      return
    }
    defer { connection.flush() }
    while refused == nil, let command = waiting.first {
      if command.answer == nil {
        waiting.removeFirst()
        continue
      }
      guard underWay.count < Self.windowLimit, connection.unsentBytes < Self.unsentLimit else { return }
      if command.isMutation, session != .open {
        if session == .none { askForSession(connection) }
        return
      }
      waiting.removeFirst()
      underWay.append(command)
      send(command, connection)
    }
  }

  private func send(_ command: Command, _ connection: RedisConnection) {
    var output: [UInt8] = []
    if command.outcome != nil {
      // Nothing is left to do but to be answered in its turn.
      output = RESPWriter.command(["PING"])
    } else {
      if command.isMutation {
        command.number = nextNumber
        nextNumber += 1
      }
      command.wasSent = true
      output.reserveCapacity(command.size + 200)
      switch command.body {
      case .plain(let words): output = RESPWriter.command(words)
      case .script(let script, let name):
        RESPWriter.begin(count: 4 + (script.isMutation ? 6 : 3) + command.arguments.count, to: &output)
        RESPWriter.append("EVALSHA", to: &output)
        RESPWriter.append(script.hash, to: &output)
        RESPWriter.append("1", to: &output)
        RESPWriter.append("\(address.prefix)meta:\(name)", to: &output)
        RESPWriter.append(address.prefix, to: &output)
        RESPWriter.append(name, to: &output)
        RESPWriter.append(String(clockShift.milliseconds), to: &output)
        if script.isMutation {
          RESPWriter.append(writer, to: &output)
          RESPWriter.append(String(generation), to: &output)
          RESPWriter.append(String(command.number ?? 0), to: &output)
        }
        for argument in command.arguments { RESPWriter.append(argument, to: &output) }
      }
    }
    connection.send(output, isHeld: true) { [weak self] in self?.answered($0) }
  }

  // MARK: Answers

  private func answered(_ value: RESPValue) {
    guard let command = underWay.popFirst() else { return }
    if let outcome = command.outcome {
      finish(command, outcome.text == "lost" ? .failure(unknown("its answer was lost")) : .success(outcome))
    } else if case .error(let error) = value {
      failed(command, error)
    } else if command.isMutation {
      mutated(command, value)
    } else {
      finish(command, .success(value))
    }
    if underWay.isEmpty, let again = refused {
      refused = nil
      refusal = nil
      nextNumber = answeredNumber + 1
      for command in again { command.number = nil }
      waiting = again + waiting
    }
    if !waiting.isEmpty { pumpLater() }
  }

  private func mutated(_ command: Command, _ value: RESPValue) {
    switch value.text {
    case "early"?:
      if let refusal, !command.makesRoom { return finish(command, .failure(refusal)) }
      refused = (refused ?? []) + [command]
    case "fenced"?: askAgain(command, .passing("another connection has taken its place"))
    default:
      answeredNumber = command.number ?? answeredNumber
      finish(command, value.text == "lost" ? .failure(unknown("its answer was lost")) : .success(value))
    }
  }

  private func failed(_ command: Command, _ error: RESPError) {
    // Forgotten by SCRIPT FLUSH: the next connection loads them again.
    if error.code == "NOSCRIPT" { return askAgain(command, .passing("it has forgotten the store's scripts")) }
    let trouble = RedisTrouble(error, address.secrets)
    if case .passing = trouble { return askAgain(command, trouble) }
    let failure = trouble.failure(address)
    if command.isMutation {
      // It has not used its number up, so those behind it come too early.
      refused = refused ?? []
      if case .full = trouble { refusal = failure }
    }
    finish(command, .failure(failure))
  }

  /// By another connection, with everything that is under way.
  private func askAgain(_ command: Command, _ trouble: RedisTrouble) {
    underWay = [command] + underWay
    link.connection?.lose(trouble)
  }

  private func finish(_ command: Command, _ result: Result<RESPValue, StoreFailure>) {
    guard let answer = command.answer.take() else { return }
    bytes -= command.size
    answer(result)
  }

  private func unknown(_ why: String) -> StoreFailure {
    .unavailable("\(address): \(why); it is not known whether what was asked has been done")
  }

  // MARK: The session

  private func askForSession(_ connection: RedisConnection) {
    session = .asked
    generation += 1
    let base = answeredNumber
    let words = [
      "EVALSHA", RedisScript.session.hash, "1", "\(address.prefix)writer:\(writer)", address.prefix, "", "0", writer,
      String(generation), String(base),
    ]
    connection.send(RESPWriter.command(words), isHeld: true) { [weak self] in self?.sessionAnswered($0, base: base) }
  }

  private func sessionAnswered(_ value: RESPValue, base: UInt64) {
    if case .error(let error) = value {
      session = .none
      if error.code == "NOSCRIPT" { link.connection?.lose(.passing("it has forgotten the store's scripts")) }
      let trouble = RedisTrouble(error, address.secrets)
      if case .passing = trouble { link.connection?.lose(trouble) } else { refuseMutations(trouble) }
      return
    }
    guard let answers = value.elements, let last = answers.first?.text.flatMap(RedisReply.count), last >= base
    else {
      session = .none
      link.connection?.lose(.lasting("it answers what the store's scripts do not"))
      return
    }
    session = .open
    for command in waiting {
      guard let number = command.number else { continue }
      command.number = nil
      if number > base, number <= last {
        let index = Int(number - base)
        command.outcome = index < answers.count ? answers[index] : .simple("lost")
      }
    }
    nextNumber = last + 1
    answeredNumber = last
    pumpLater()
  }

  private func refuseMutations(_ trouble: RedisTrouble) {
    let mutations = waiting.filter(\.isMutation)
    waiting = waiting.filter { !$0.isMutation }[...]
    for command in mutations {
      finish(
        command, .failure(command.wasSent ? unknown(trouble.text) : trouble.failure(address)))
    }
    pumpLater()
  }

  // MARK: The connection

  private func opened() {
    session = .none
    lastTrouble = nil
    pumpLater()
  }

  private func lost(_ trouble: RedisTrouble) {
    session = .none
    lastTrouble = trouble
    waiting = ((refused ?? []) + underWay).filter { $0.answer != nil } + waiting
    (underWay, refused, refusal) = ([], nil, nil)
    if case .passing = trouble {
      if !waiting.isEmpty { link.want() }
      return
    }
    giveUp(trouble.failure(address), because: trouble.text)
  }

  private func giveUp(_ failure: StoreFailure, because why: String) {
    let all = waiting
    waiting = []
    for command in all { finish(command, .failure(command.isMutation && command.wasSent ? unknown(why) : failure)) }
  }

  // MARK: Time

  private func setTimer(_ deadline: Instant) {
    if let timer, timer.deadline <= deadline { return }
    timer?.timer.cancel()
    timer = (deadline, loop.after(deadline - loop.now) { [weak self] in self?.timeIsUp() })
  }

  private func timeIsUp() {
    timer = nil
    // Oldest first; what is under way keeps its place, for its answer may still come.
    let late = ((refused ?? []) + underWay + waiting).filter { $0.answer != nil && $0.deadline <= loop.now }
    for command in late {
      let why = "\(lastTrouble?.text ?? "it did not answer"), and gave no answer within \(command.timeout.text)"
      finish(
        command,
        .failure(command.isMutation && command.wasSent ? unknown(why) : .unavailable("\(address): \(why)")))
    }
    waiting = waiting.filter { $0.answer != nil }[...]
    let next = ((refused ?? []) + underWay + waiting).filter { $0.answer != nil }.map(\.deadline).min()
    if let next { setTimer(next) }
  }

  func close() {
    isClosed = true
    timer?.timer.cancel()
    timer = nil
    link.close()
    waiting = (refused ?? []) + underWay + waiting
    (underWay, refused) = ([], nil)
    giveUp(.unavailable("\(address): the store is closed"), because: "the store was closed")
  }
}
