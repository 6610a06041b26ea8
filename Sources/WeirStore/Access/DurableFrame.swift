/// A part of a run that has names of its own, and items that it wrote: the run itself, a step, an operation over a stream, one of
/// that operation's items.
///
///     the run ── think ── look
///             ├─ think#2                 a name that is used again
///             └─ each:orders ── 17 ── charge
///
/// Its path tells it from all others in every life of the run: a name counts inside its frame alone, and whatever would make two
/// paths one is escaped; an empty name is `%`, which no other is. What earlier lives have left of it is read from the journal
/// (`RunJournal`) and taken out as this life comes past; what it writes now is noted as ranges of places, for the record of its
/// end. Confined to a loop.
package final class DurableFrame {
  package typealias Places = [String: RangeSet<UInt64>]

  package let path: String
  private let component: String
  /// Not the run, which would never end, and no operation of it: nobody would ask.
  private let keepsWrites: Bool
  package private(set) weak var outer: DurableFrame?

  // MARK: Left by earlier lives

  /// Steps of it that are done, until they are passed over.
  var results: [String: RunJournal.Step] = [:]
  /// What of it has not ended.
  package private(set) var children: [String: DurableFrame] = [:]
  /// Of an operation over a stream.
  package var progress: RunJournal.Progress?
  /// Places of items that it has written, by namespace, and that its next writes repeat.
  private(set) var repeats: Places = [:]

  // MARK: In this life

  private var uses: [String: Int] = [:]
  /// Places of the items that it has written or passed over, by namespace, with those of ended frames inside it.
  package private(set) var writes: Places = [:]
  /// Of an item.
  package private(set) var isBegun = false
  /// Its end is in the journal, or on its way there.
  package var isOver = false
  /// Tries of it are left.
  package var isTried = false
  /// Steps of it that are done, for the next try of it or of what is around it: the journal need not be read for that.
  private var done: [String: RunJournal.Step] = [:]
  /// Something is done in it of which only the journal knows.
  package private(set) var isOnlyInJournal = false
  /// Whoever was in it has left: what it still writes counts for the frame around it.
  private var isLeft = false
  /// Writes in the store's hands, of it and of frames inside it, and ends of those. Not kept of the run itself.
  private var underWay = 0
  /// The frame around it, which counts them as well.
  private var waitingOuter: DurableFrame?
  private var onSettled: [() -> Void] = []

  package init() {
    path = ""
    component = ""
    keepsWrites = false
  }

  private init(_ component: String, in outer: DurableFrame) {
    self.component = component
    self.outer = outer
    path = outer.isRun ? component : outer.path + "/" + component
    keepsWrites = !outer.isRun || !component.hasPrefix(Self.each)
  }

  package var isRun: Bool { path.isEmpty }

  // MARK: Names

  /// The next frame of that name: `think`, then `think#2`.
  package func use(step name: String) -> String { use(name.isEmpty ? "%" : Self.escaped(name)) }
  package func use(each name: String) -> String { use(Self.each + Self.escaped(name)) }
  package func use(call agent: String) -> String { use("ask:" + Self.escaped(agent)) }
  private static let each = "each:"

  private func use(_ component: String) -> String {
    let use = (uses[component] ?? 0) + 1
    uses[component] = use
    return use == 1 ? component : "\(component)#\(use)"
  }

  private static func escaped(_ name: String) -> String {
    guard name.utf8.contains(where: { $0 == 0x25 || $0 == 0x2F || $0 == 0x23 || $0 == 0x3A }) else { return name }
    var text = ""
    for scalar in name.unicodeScalars {
      switch scalar {
      case "%": text += "%25"
      case "/": text += "%2F"
      case "#": text += "%23"
      case ":": text += "%3A"
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text
  }

  static func components(of path: String) -> [String] {
    path.isEmpty ? [] : path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
  }

  // MARK: The tree

  package func child(_ component: String) -> DurableFrame {
    if let known = children[component] { return known }
    let child = DurableFrame(component, in: self)
    children[component] = child
    return child
  }

  /// An item of an operation over a stream.
  package func item(_ place: UInt64) -> DurableFrame {
    let item = child(String(place))
    item.isBegun = true
    return item
  }

  /// A step of it that is done is passed over. Nil: it is not done.
  package func pass(_ component: String) -> RunJournal.Step? {
    guard let step = results.removeValue(forKey: component) else { return nil }
    if keepsDone { done[component] = step }
    passed(step.writes)
    return step
  }

  /// It is done, and that is written down.
  package func finished(_ step: RunJournal.Step) {
    guard let outer, outer.keepsDone else { return }
    outer.done[component] = step
    outer.children[component] = nil
  }

  /// What is done in it is not kept here.
  package func leaveToJournal() {
    isOnlyInJournal = true
    outer?.leaveToJournal()
  }

  private var keepsDone: Bool { !isOnlyInJournal && (isTried || outer?.keepsDone == true) }

  /// What is done below it, and what became of it, is another's from now on.
  func adopt(_ other: DurableFrame) {
    (results, progress, repeats) = (other.results, other.progress, other.repeats)
    (children, isOnlyInJournal) = ([:], false)
    for child in other.children.values {
      child.outer = self
      children[child.component] = child
    }
  }

  func drop(_ component: String) { children[component] = nil }
  func drop(where isDropped: (String) -> Bool) {
    for component in children.keys where isDropped(component) { children[component] = nil }
  }

  /// It has ended: its items count for the frame around it.
  package func leave() {
    guard let outer else { return }
    outer.passed(writes)
    isLeft = true
    let isKept = outer.keepsDone && outer.done[component] == nil && !uses.isEmpty
    if outer.children[component] === self, leftover.isEmpty, !isKept { outer.children[component] = nil }
  }

  /// It is tried again: its names count anew, and what was done in it is passed over.
  package func restart() {
    outer?.passed(writes)
    forget()
    reset()
  }

  private func reset() {
    results.merge(done) { $1 }
    (done, writes, uses) = ([:], [:], [:])
    (isOver, isLeft) = (false, false)
    for child in children.values { child.reset() }
  }

  // MARK: Items

  /// The item that its next write repeats; nil: the write is new.
  func next(in namespace: String) -> UInt64? { repeats[namespace]?.ranges.first?.lowerBound }

  /// It was written by an earlier life, after what `repeats` has.
  func owns(_ places: Range<UInt64>, in namespace: String) {
    repeats[namespace, default: RangeSet()].insert(contentsOf: places)
  }

  func wrote(_ places: Range<UInt64>, in namespace: String) {
    repeats[namespace]?.remove(contentsOf: places)
    if repeats[namespace]?.isEmpty == true { repeats[namespace] = nil }
    note(places, in: namespace)
  }

  private func note(_ places: Range<UInt64>, in namespace: String) {
    guard keepsWrites else { return }
    writes[namespace, default: RangeSet()].insert(contentsOf: places)
    if isLeft { outer?.note(places, in: namespace) }
  }

  /// What an ended frame inside it has written.
  package func passed(_ places: Places) {
    guard keepsWrites else { return }
    writes.formUnion(places)
    if isLeft { outer?.passed(places) }
  }

  /// The store is given a write, or a step inside it ends.
  package func began() {
    if isRun { return }
    underWay += 1
    waitingOuter = outer
    waitingOuter?.began()
  }

  /// The store has answered it.
  package func settled() {
    if isRun { return }
    underWay -= 1
    let outer = waitingOuter
    if underWay == 0 {
      waitingOuter = nil
      let waiting = onSettled
      onSettled = []
      for job in waiting { job() }
    }
    outer?.settled()
  }

  /// Calls when it is known what it has done and written: a task that was cut may have left an item on its way, which is this
  /// frame's. At once where nothing is under way.
  package func whenSettled(_ job: @escaping () -> Void) {
    if underWay == 0 { job() } else { onSettled.append(job) }
  }

  /// All that is left to be repeated, here and below.
  package var leftover: Places {
    var all = repeats
    for child in children.values { all.formUnion(child.leftover) }
    return all
  }

  func leftover(in namespace: String) -> UInt64? {
    var first = next(in: namespace)
    for child in children.values {
      if let other = child.leftover(in: namespace) { first = min(first ?? other, other) }
    }
    return first
  }

  /// Nothing is left to be repeated: it was a try that failed.
  package func forget() {
    repeats = [:]
    for child in children.values { child.forget() }
  }

  /// Items that others have accounted for.
  func forget(_ places: Places) {
    for (namespace, places) in places where repeats[namespace] != nil {
      repeats[namespace]?.subtract(places)
      if repeats[namespace]?.isEmpty == true { repeats[namespace] = nil }
    }
    for child in children.values { child.forget(places) }
  }

  /// Items from there on never came to be.
  func forget(from place: UInt64, in namespace: String) {
    repeats[namespace]?.remove(contentsOf: place..<UInt64.max)
    if repeats[namespace]?.isEmpty == true { repeats[namespace] = nil }
    for child in children.values { child.forget(from: place, in: namespace) }
  }
}

extension DurableFrame.Places {
  /// In place: what is there may be much more than what comes.
  package mutating func formUnion(_ other: DurableFrame.Places) {
    for (namespace, places) in other { self[namespace, default: RangeSet()].formUnion(places) }
  }

  package func union(_ other: DurableFrame.Places) -> DurableFrame.Places {
    var all = self
    all.formUnion(other)
    return all
  }
}
