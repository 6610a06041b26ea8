/// Which source's event is delivered next. Pure: it is told what happened to sources by their place in the list, and
/// answers what to do; the driver is `SelectLoop`.
///
///     priority 9   [ a ]          each round: bands from the top, in each from its rotation,
///     priority 5   [ b  c  d ]    the first source that is ready; one event; the band's rotation
///     priority 0   [ e ]     ▲    moves past it; then a new round from the top
///                            rotation
///
/// Invariant: what is delivered depends on which sources are ready when a round begins and on the rotations, never on
/// the order in which they became ready.
package struct SelectMachine {
  package enum Action: Equatable, Sendable {
    /// One event of this source.
    case deliver(Int)
    /// The handler is told of the deadline; the loop ends whatever it says.
    case timeOut(Deadline)
    /// Nothing is ready: until a source is, or a deadline passes.
    case wait
    case end(End)
  }

  package enum Deadline: Equatable, Sendable { case idle, duration }

  package enum End: Equatable, Sendable {
    /// The handler said so, or whoever reads gave up.
    case stopped
    case allSourcesEnded
    case timedOut(Deadline)
  }

  private struct Band {
    let members: [Int]
    /// Where in `members` the next round begins to look.
    var rotation = 0
    var readyCount = 0
  }

  private enum Source { case quiet, ready, ended }

  /// High priorities first.
  private var bands: [Band] = []
  private var bandOf: [Int]
  private var sources: [Source]
  private var openCount: Int
  private var passed: Deadline?
  private var end: End?

  package init(priorities: [Int]) {
    bandOf = Array(repeating: 0, count: priorities.count)
    sources = Array(repeating: .quiet, count: priorities.count)
    openCount = priorities.count
    for priority in Set(priorities).sorted(by: >) {
      let members = priorities.indices.filter { priorities[$0] == priority }
      for member in members { bandOf[member] = bands.count }
      bands.append(Band(members: members))
    }
  }

  // MARK: Facts

  package mutating func sourceBecameReady(_ source: Int) {
    guard sources[source] == .quiet else { return }
    sources[source] = .ready
    bands[bandOf[source]].readyCount += 1
  }

  /// The event was taken, and there is no other one now.
  package mutating func sourceRanDry(_ source: Int) {
    guard sources[source] == .ready else { return }
    sources[source] = .quiet
    bands[bandOf[source]].readyCount -= 1
  }

  package mutating func sourceEnded(_ source: Int) {
    sourceRanDry(source)
    guard sources[source] == .quiet else { return }
    sources[source] = .ended
    openCount -= 1
  }

  /// The idle time counts while nothing is delivered, so it is the driver's business that it passed while waiting. A
  /// duration that is over is the one that is told.
  package mutating func deadlinePassed(_ deadline: Deadline) {
    if passed != .duration { passed = deadline }
  }

  package mutating func stopped() { end = end ?? .stopped }

  // MARK: Action

  /// The last event is handled and the next one wanted. Deadlines come first: a busy source cannot run past them.
  package mutating func eventWanted() -> Action {
    if let end { return .end(end) }
    if let passed {
      end = .timedOut(passed)
      return .timeOut(passed)
    }
    for place in bands.indices where bands[place].readyCount > 0 {
      let count = bands[place].members.count
      var at = bands[place].rotation
      while sources[bands[place].members[at]] != .ready { at = at + 1 == count ? 0 : at + 1 }
      bands[place].rotation = at + 1 == count ? 0 : at + 1
      return .deliver(bands[place].members[at])
    }
    if openCount > 0 { return .wait }
    end = .allSourcesEnded
    return .end(.allSourcesEnded)
  }
}
