import WeirCore

/// Gives one event after the other. `SelectLoop` reads sources, `ReplayLoop` a recording.
package protocol EventReader: AnyObject {
  func next() -> SelectLoop.Step
  /// After `next` said so: calls back once, in a job of its own, when there is something to ask for.
  func wait(_ wake: @escaping () -> Void)
  /// Gives back what it has borrowed. Whoever waits is not called any more.
  func close()
}

/// Drives `SelectMachine` over sources and the loop's timers, for whoever wants one event after the other: the natives
/// of `selectEvents`, and the Swift `AsyncSequence`.
///
/// Sources are borrowed from `init` to `close` and given back with whatever was not taken. The idle time runs while
/// nothing is ready and somebody waits; a slow handler is not idle.
package final class SelectLoop: EventReader {
  package struct Input {
    package var source: any EventSource
    package var priority: Int
    package init(_ source: any EventSource, priority: Int) {
      self.source = source
      self.priority = priority
    }
  }

  /// nil: no such deadline.
  package struct Deadlines: Sendable {
    package var idle: Duration?
    package var duration: Duration?
    package init(idle: Duration? = nil, duration: Duration? = nil) {
      self.idle = idle
      self.duration = duration
    }
  }

  package enum Step {
    /// `source` is its place in the list; nil for a deadline, which no source brings.
    case event(StreamEvent, source: Int?)
    /// Ask again when `wait` calls back.
    case wait
    case end(SelectMachine.End)
  }

  private let loop: any Loop
  private let inputs: [Input]
  private let deadlines: Deadlines
  private var machine: SelectMachine
  private let endsAt: Instant?
  private var wake: (() -> Void)?
  private var isRoundAsked = false
  private var idleTimer: (any Cancellable)?
  private var durationTimer: (any Cancellable)?
  private var isClosed = false

  package init(_ inputs: [Input], loop: any Loop, deadlines: Deadlines) throws(SelectFailure) {
    if inputs.isEmpty { throw .noSources }
    guard Set(inputs.map { ObjectIdentifier($0.source) }).count == inputs.count else { throw .sourceTwice }
    guard inputs.allSatisfy({ $0.source.onReady == nil }) else { throw .sourceBusy }
    self.loop = loop
    self.inputs = inputs
    self.deadlines = deadlines
    machine = SelectMachine(priorities: inputs.map(\.priority))
    endsAt = deadlines.duration.map { loop.now + $0 }
    for (place, input) in inputs.enumerated() {
      input.source.onReady = { [weak self] in self?.sourceChanged(place) }
      note(place)
    }
  }

  deinit { giveBack() }

  package func close() {
    machine.stopped()
    giveBack()
  }

  package func next() -> Step {
    if let endsAt, loop.now >= endsAt { machine.deadlinePassed(.duration) }
    switch machine.eventWanted() {
    case .deliver(let place):
      // Ready as it was told to be, so there is one.
      guard let event = inputs[place].source.next() else {
        note(place)
        return next()
      }
      if !inputs[place].source.isReady { note(place) }
      return .event(event, source: place)
    case .timeOut(.idle):
      return .event(.error(.timeout("idle timeout after \((deadlines.idle ?? .zero).text)")), source: nil)
    case .timeOut(.duration):
      return .event(.error(.timeout("max duration \((deadlines.duration ?? .zero).text) exceeded")), source: nil)
    case .wait: return .wait
    case .end(let end):
      giveBack()
      return .end(end)
    }
  }

  package func wait(_ wake: @escaping () -> Void) {
    self.wake = wake
    if let idle = deadlines.idle {
      idleTimer = loop.after(idle) { [weak self] in self?.passed(.idle) }
    }
    if let endsAt, durationTimer == nil {
      durationTimer = loop.after(endsAt - loop.now) { [weak self] in self?.passed(.duration) }
    }
  }

  private func passed(_ deadline: SelectMachine.Deadline) {
    // Between two events the clock is read instead.
    guard wake != nil else { return }
    machine.deadlinePassed(deadline)
    askForRound()
  }

  private func sourceChanged(_ place: Int) {
    note(place)
    if wake != nil { askForRound() }
  }

  private func note(_ place: Int) {
    let source = inputs[place].source
    if source.isReady {
      machine.sourceBecameReady(place)
    } else if source.isEnded {
      machine.sourceEnded(place)
    } else {
      machine.sourceRanDry(place)
    }
  }

  /// A round begins in a later job, so that all that became ready in this turn takes part in it.
  private func askForRound() {
    if isRoundAsked { return }
    isRoundAsked = true
    idleTimer?.cancel()
    idleTimer = nil
    loop.soon { [weak self] in
      guard let self else { return }
      isRoundAsked = false
      wake.take()?()
    }
  }

  private func giveBack() {
    if isClosed { return }
    isClosed = true
    wake = nil
    idleTimer?.cancel()
    durationTimer?.cancel()
    for input in inputs { input.source.onReady = nil }
  }
}

/// The list of sources is not one that can be read. Nothing was borrowed.
package enum SelectFailure: Failure, Equatable {
  case noSources
  case sourceTwice
  case sourceBusy

  package var code: String {
    switch self {
    case .noSources: "NoSources"
    case .sourceTwice: "SourceTwice"
    case .sourceBusy: "SourceBusy"
    }
  }

  package var message: String {
    switch self {
    case .noSources: "there are no sources to read: the list is empty"
    case .sourceTwice: "the same source is in the list twice"
    case .sourceBusy: "another event loop is reading this source"
    }
  }

  package var hint: String? {
    switch self {
    case .noSources: "hand over at least one, such as asyncReadStdinLines(\"stdin\", 0)"
    case .sourceTwice: "name each once; an event goes to one handler"
    case .sourceBusy: "let that loop end first"
    }
  }
}
