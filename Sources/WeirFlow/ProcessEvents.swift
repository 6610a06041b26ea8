import WeirCore

/// What a process says, as a source: its output in lines or full chunks, its errors by lines and its exit if asked for.
///
///     pipes → InputCutter ─┬─▶ EventQueue, until it is full: then the pipes are not read, and the process waits
///                          └── what is cut and not queued yet: one read's worth
///
/// The source ends with its output; with `deliversExit`, behind the exit. Cancelling it stops the process.
package final class ProcessEvents {
  package enum Cut: Sendable {
    case lines
    case chunks(Int)
  }

  package struct Options: Sendable {
    package var name: String
    package var cut: Cut
    /// Lines of its standard error, under the name with `:stderr` behind it.
    package var deliversErrors = false
    package var deliversExit = false
    package init(name: String, cut: Cut) {
      self.name = name
      self.cut = cut
    }
  }

  package let queue: EventQueue
  private let options: Options
  private let process: Subprocess
  private var output = InputCutter()
  private var error = InputCutter()
  private var exit: ProcessExit?
  private var isPumping = false

  /// To be called in the answer of `Subprocess.start`. The queue holds the source until it has ended or was cancelled.
  package init(_ process: Subprocess, _ options: Options, limit: Int) {
    self.process = process
    self.options = options
    queue = EventQueue(limit: limit)
    if !options.deliversErrors { error.finish() }
    process.onOutput = { [self] bytes, stream in
      if stream == .output { output.receive(bytes) } else { error.receive(bytes) }
      pump()
    }
    process.onOutputEnded = { [self] stream in
      if stream == .output { output.finish() } else { error.finish() }
      pump()
    }
    process.onComplete = { [self] exit in
      self.exit = exit
      output.finish()
      error.finish()
      pump()
    }
    queue.onRoom = { [self] in pump() }
    queue.onCancel = { [self] in
      letGo()
      self.process.stop()
    }
  }

  private func letGo() {
    process.onOutput = nil
    process.onOutputEnded = nil
    process.onComplete = nil
  }

  private func pump() {
    // A queue that is read inside `push` asks for more there.
    if isPumping { return }
    isPumping = true
    defer { isPumping = false }
    while !queue.isFull {
      if let event = nextEvent() {
        queue.push(event)
        continue
      }
      process.isReading = true
      guard output.isEnded, error.isEnded, exit != nil || !options.deliversExit else { return }
      letGo()
      if options.deliversExit, let exit { queue.push(.sourceExit(source: options.name, code: exit.shellCode)) }
      queue.finish()
      return
    }
    process.isReading = false
  }

  private func nextEvent() -> StreamEvent? {
    let said: StreamEvent? =
      switch options.cut {
      case .lines: output.nextLine().map { .sourceText(source: options.name, $0) }
      case .chunks(let size): output.nextChunk(size).map { .sourceBytes(source: options.name, $0) }
      }
    return said ?? error.nextLine().map { .sourceText(source: options.name + ":stderr", $0) }
  }
}
