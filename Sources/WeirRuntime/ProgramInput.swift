import WeirCore
import WeirFlow
import WeirLang

/// The program's standard input: one reading of it for all who ask, so that nothing is lost between a `readLine` and a
/// source. Nothing is read before somebody asks, and at most one piece beyond what was asked for.
///
///     World.console → pieces → InputCutter → lines for `readLine`, first
///                                          → one source's queue, until it is full
package final class ProgramInput {
  private enum Cut {
    case lines
    case chunks(Int)
  }

  /// The one source that standard input has at a time.
  private struct Feed {
    let queue: EventQueue
    let name: String
    let cut: Cut
  }

  private let console: any Console
  private let loop: any Loop
  private var cutter = InputCutter()
  private var reading: (any InputReading)?
  private var isEnded = false
  private var waiting: [(String?) -> Void] = []
  private var feed: Feed?
  private var isDelivering = false

  package init(world: World) {
    console = world.console
    loop = world.loop
  }

  /// Answers in the order asked, in a later job; nil at the end of input.
  func readLine(_ answer: @escaping (String?) -> Void) {
    waiting.append(answer)
    loop.soon { self.deliver() }
  }

  /// `SourceText(name, line)` for each line.
  package func lines(name: String, limit: Int) throws(Trap) -> EventQueue { try source(name, .lines, limit) }

  /// `SourceBytes(name, chunk)`: full chunks, the last may be short.
  package func chunks(of size: Int, name: String, limit: Int) throws(Trap) -> EventQueue {
    try source(name, .chunks(size), limit)
  }

  private func source(_ name: String, _ cut: Cut, _ limit: Int) throws(Trap) -> EventQueue {
    guard feed == nil else {
      throw Trap(
        "InputTaken", "another source reads standard input", hint: "there is one input: cancel that source first")
    }
    let queue = EventQueue(limit: limit)
    queue.onRoom = { [weak self] in self?.deliver() }
    queue.onCancel = { [weak self] in
      self?.feed = nil
      self?.reading?.isReading = false
    }
    feed = Feed(queue: queue, name: name, cut: cut)
    loop.soon { [weak self] in self?.deliver() }
    return queue
  }

  private func deliver() {
    // A full queue that gets room calls from inside `push`.
    if isDelivering { return }
    isDelivering = true
    defer { isDelivering = false }
    while !waiting.isEmpty {
      let line = cutter.nextLine()
      guard line != nil || isEnded else { return readOn() }
      waiting.removeFirst()(line)
    }
    while let feed, !feed.queue.isFull {
      guard let event = next(for: feed) else {
        if !isEnded { return readOn() }
        self.feed = nil
        return feed.queue.finish()
      }
      feed.queue.push(event)
    }
    reading?.isReading = false
  }

  private func next(for feed: Feed) -> StreamEvent? {
    switch feed.cut {
    case .lines: cutter.nextLine().map { .sourceText(source: feed.name, $0) }
    case .chunks(let size): cutter.nextChunk(size).map { .sourceBytes(source: feed.name, $0) }
    }
  }

  private func readOn() {
    if let reading {
      reading.isReading = true
    } else {
      reading = console.readInput { [weak self] piece in self?.arrived(piece) }
    }
  }

  private func arrived(_ piece: [UInt8]?) {
    if let piece {
      cutter.receive(piece)
    } else {
      cutter.finish()
      isEnded = true
    }
    deliver()
  }
}
