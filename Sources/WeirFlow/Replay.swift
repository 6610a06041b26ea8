import WeirCore

/// Plays a recording to a program: sources of it stand in for the real ones, and loops take in the recorded order.
///
/// What has arrived when an event is taken is what had arrived then, so the machine that decides, decides the same,
/// however fast this machine is. With a speed an event does not come before its time; the order stays.
package final class Replay {
  private let recording: Recording
  private let loop: any Loop
  /// nil: as fast as the program takes.
  private let speed: Double?
  private let start: Instant
  /// Places of sources that were not opened yet, by kind and name.
  private var unopened: [Key: ArraySlice<Int>] = [:]
  private var queues: [Int: EventQueue] = [:]
  private var urls: [Int: String] = [:]
  private var next: [Int]

  package init(_ recording: Recording, loop: any Loop, speed: Double?) {
    self.recording = recording
    self.loop = loop
    self.speed = speed
    start = loop.now
    for (place, source) in recording.sources.enumerated() {
      unopened[Key(kind: source.kind, name: source.name), default: []].append(place)
    }
    next = Array(repeating: 0, count: recording.sources.count)
  }

  private struct Key: Hashable {
    let kind: String
    let name: String
  }

  package enum Opened {
    case source(EventQueue)
    case failed(StreamErrorKind)
    /// A program that could not be started.
    case refused(Recording.Failed)
  }

  /// A program that was started: what came of it, and what its writes are answered with.
  package struct Program {
    /// nil: the recording ends before it did.
    package let outcome: Recording.Outcome?
    /// With a speed: when that is due.
    package let due: Instant?
    package let input: ReplayedInput
  }

  /// The next recorded source of this kind and name; nil: the recording has no other. `url` is what `Opened` says.
  package func open(kind: String, name: String, url: String = "") -> Opened? {
    guard let place = take(kind, name) else { return nil }
    if let failure = recording.sources[place].failure { return .failed(failure) }
    if case .failed(let failed) = recording.sources[place].outcome { return .refused(failed) }
    // Never full: what it holds is what the recorded one held.
    let queue = EventQueue(limit: .max, byteLimit: .max)
    queue.recorded = place + 1
    queues[place] = queue
    urls[place] = url
    return .source(queue)
  }

  private func take(_ kind: String, _ name: String) -> Int? { unopened[Key(kind: kind, name: name)]?.popFirst() }

  /// The next recorded program of this kind and name; nil: the recording has no other.
  package func program(kind: String, name: String) -> Program? {
    guard let place = take(kind, name) else { return nil }
    let source = recording.sources[place]
    return Program(
      outcome: source.outcome, due: due(source.outcomeAt), input: ReplayedInput(refused: source.refusedWrites))
  }

  /// What came of the next recorded request of this name; nil: the recording has no other.
  func exchange(name: String) -> [Recording.Timed]? {
    take(RecordedTransport.kind, name).map { recording.sources[$0].exchange }
  }

  /// Of a process that `open` gave as a source.
  package func input(of events: EventQueue) -> ReplayedInput {
    ReplayedInput(refused: recording.sources[events.recorded - 1].refusedWrites)
  }

  /// Reads these sources, each of which `open` gave.
  package func reader(_ inputs: [(events: EventQueue, priority: Int)]) throws(SelectFailure) -> any EventReader {
    let select = try SelectLoop(
      inputs.map { .init($0.events, priority: $0.priority) }, loop: loop, deadlines: .init())
    return ReplayLoop(select, inputs.map { $0.events.recorded - 1 }, self)
  }

  fileprivate enum Progress {
    /// A take, or nothing more: the machine decides.
    case decide
    case until(Instant)
    case deadline(String)
  }

  /// Lets arrive what arrived before the next take of one of these sources.
  fileprivate func advance(_ sources: [Int]) -> Progress {
    while let source = sources.filter({ next[$0] < recording.sources[$0].entries.count })
      .min(by: { recording.sources[$0].entries[next[$0]].place < recording.sources[$1].entries[next[$1]].place })
    {
      let fact = recording.sources[source].entries[next[source]].fact
      switch fact {
      case .take: break
      case .event(let at, _), .deadline(let at, _), .end(let at):
        if let due = due(at), loop.now < due { return .until(due) }
      }
      next[source] += 1
      switch fact {
      case .take: return .decide
      case .deadline(_, let message): return .deadline(message)
      case .end: queues[source]?.finish()
      case .event(_, .opened): queues[source]?.push(.opened(url: urls[source] ?? ""))
      case .event(_, let event): queues[source]?.push(event)
      }
    }
    return .decide
  }

  func due(_ at: Int) -> Instant? {
    speed.map { start + .nanoseconds(Int64((Double(at) * 1000 / $0).rounded())) }
  }

  fileprivate func wait(until due: Instant, _ wake: @escaping () -> Void) -> any Cancellable {
    loop.after(due - loop.now, wake)
  }
}

/// The standard input of a process that does not run: a write is answered as it was, and goes nowhere.
package final class ReplayedInput {
  private let refused: [Int: ProcessInputFailure]
  private var count = 0
  private var isClosed = false

  init(refused: [Int: ProcessInputFailure]) { self.refused = refused }

  package func write() -> ProcessInputFailure? {
    defer { count += 1 }
    return refused[count] ?? (isClosed ? .closed : nil)
  }

  package func close() { isClosed = true }
}

/// A loop over recorded sources. Its deadlines are the recorded ones.
private final class ReplayLoop: EventReader {
  private let select: SelectLoop
  private let sources: [Int]
  private let replay: Replay
  private var due: Instant?
  private var timer: (any Cancellable)?
  private var end: SelectMachine.End?

  init(_ select: SelectLoop, _ sources: [Int], _ replay: Replay) {
    self.select = select
    self.sources = sources
    self.replay = replay
  }

  func next() -> SelectLoop.Step {
    if let end { return .end(end) }
    switch replay.advance(sources) {
    case .until(let due):
      self.due = due
      return .wait
    case .deadline(let message):
      finish(.timedOut(.idle))
      return .event(.error(.timeout(message)), source: nil)
    case .decide:
      let step = select.next()
      // The recording is over, although its sources were not: so is the loop.
      if case .wait = step { finish(.allSourcesEnded) }
      if let end { return .end(end) }
      return step
    }
  }

  func wait(_ wake: @escaping () -> Void) {
    guard let due else { return }
    timer = replay.wait(until: due, wake)
  }

  func close() {
    timer?.cancel()
    select.close()
  }

  private func finish(_ end: SelectMachine.End) {
    self.end = end
    close()
  }
}
