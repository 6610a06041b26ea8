import CWeir
import Glibc
import WeirCore

/// The `Console` port over descriptors 1 and 2.
///
/// What a turn of the loop prints leaves in one write at its end, in the order printed across both streams. A reader
/// that is slow holds the program up, as with any filter; one that has gone ends its stream quietly: `isBroken` says so.
package final class ProcessConsole: Console {
  /// Text that waits for the end of the turn at most; more is written at once.
  static let bufferLimit = 65_536

  private let loop: EventLoop
  private let descriptors: (output: Int32, error: Int32)
  private var waiting: [UInt8] = []
  private var waitingFor = ConsoleStream.output
  private var isFlushAsked = false
  private var broken: Set<ConsoleStream> = []
  private var outputWatch: OutputWatch?

  package init(_ loop: EventLoop, output: Int32 = 1, error: Int32 = 2) {
    self.loop = loop
    descriptors = (output, error)
    weir_ignore_write_signals()
  }

  package func readInput(_ receive: @escaping ([UInt8]?) -> Void) -> any InputReading { StandardInput(loop, receive) }

  package func isBroken(_ stream: ConsoleStream) -> Bool { broken.contains(stream) }

  /// Called once, in a later job, when standard output takes nothing any more: its reader went away, or the disk is full.
  package var onOutputLost: (() -> Void)?

  /// Why standard output takes nothing any more; nil when it is that its reader has seen enough.
  package private(set) var outputLoss: String?

  package func write(_ text: String, to stream: ConsoleStream) { write(text.utf8, to: stream) }

  /// Bytes as they are: items of a stream need not be text.
  package func write(_ bytes: some Sequence<UInt8>, to stream: ConsoleStream) {
    if stream != waitingFor { flush() }
    waitingFor = stream
    waiting.append(contentsOf: bytes)
    if waiting.count >= Self.bufferLimit {
      flush()
    } else if !isFlushAsked {
      isFlushAsked = true
      loop.atEndOfTurn { [self] in
        isFlushAsked = false
        flush()
      }
    }
  }

  package func flush() {
    if waiting.isEmpty { return }
    defer { waiting.removeAll(keepingCapacity: waiting.count <= Self.bufferLimit) }
    let fd = waitingFor == .output ? descriptors.output : descriptors.error
    var offset = 0
    while offset < waiting.count, !broken.contains(waitingFor) {
      let taken = waiting.withUnsafeBytes { Glibc.write(fd, $0.baseAddress! + offset, waiting.count - offset) }
      if taken >= 0 {
        offset += taken
        continue
      }
      switch errno {
      case EINTR: break
      case EAGAIN:
        // Somebody else made it non-blocking (it is shared with the shell): wait for room all the same.
        var room = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
        poll(&room, 1, -1)
      default:
        let number = errno
        broken.insert(waitingFor)
        if waitingFor == .output { outputLost(number == EPIPE ? nil : errorText(number)) }
      }
    }
  }

  private func outputLost(_ why: String?) {
    outputLoss = why
    guard let lost = onOutputLost else { return }
    onOutputLost = nil
    loop.soon(lost)
  }

  /// Calls `onOutputLost` also when the reader of a pipe goes away while nothing is written.
  package func watchOutput() {
    // A file, which cannot be polled, has no reader that could go.
    outputWatch = OutputWatch { [weak self] in
      self?.stopWatchingOutput()
      self?.broken.insert(.output)
      self?.outputLost(nil)
    }
    if let outputWatch, loop.watch(descriptors.output, [], outputWatch) != 0 { self.outputWatch = nil }
  }

  private func stopWatchingOutput() {
    if outputWatch != nil { loop.unwatch(descriptors.output) }
    outputWatch = nil
  }
}

/// Told when whoever reads a pipe has gone.
private final class OutputWatch: ReadinessHandler {
  private let gone: () -> Void
  init(gone: @escaping () -> Void) { self.gone = gone }
  func becameReady(_ ready: Readiness) { if ready.contains(.broken) { gone() } }
}

/// The `Environment` port over the process's own variables.
package final class ProcessEnvironment: Environment {
  package init() {}
  package subscript(_ name: String) -> String? {
    if name.utf8.contains(0) { return nil }
    return getenv(name).map { String(cString: $0) }
  }

  package var all: [EnvironmentVariable] {
    var variables: [EnvironmentVariable] = []
    var next = environ
    while let text = next.pointee {
      let line = UnsafeRawBufferPointer(start: text, count: strlen(text))
      if let equals = line.firstIndex(of: UInt8(ascii: "=")) {
        variables.append(
          (String(decoding: line[..<equals], as: UTF8.self), String(decoding: line[(equals + 1)...], as: UTF8.self)))
      }
      next += 1
    }
    return variables
  }
}

/// The `RandomSource` port over the kernel's generator, fetched by the half kilobyte.
package final class SystemRandom: RandomSource {
  private var pool = [UInt64](repeating: 0, count: 64)
  private var next64 = 64

  package init() {}

  package func next() -> UInt64 {
    if next64 == pool.count {
      let failure = pool.withUnsafeMutableBytes { weir_random($0.baseAddress, $0.count) }
      // Without it no identifier of ours would be unguessable: better no program than a predictable one.
      precondition(failure == 0, "the kernel gives no random bytes")
      next64 = 0
    }
    defer {
      // What was given out must not be found in memory later.
      pool[next64] = 0
      next64 += 1
    }
    return pool[next64]
  }
}
