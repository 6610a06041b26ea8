import CWeir
import Glibc
import WeirCore

/// What the outside may tell a process.
package enum Signal: UInt8, Sendable, CaseIterable {
  case hangUp = 1
  case interrupt = 2
  case terminate = 15
}

/// Delivers signals on a loop, in order of arrival, until cancelled: then they do again what they did by default.
///
/// One watcher for each signal and process. A handler that writes to a pipe rather than a signalfd: a blocked signal
/// would stay blocked in every child, and would still kill through a thread that was there before the block.
package final class Signals: Cancellable, ReadinessHandler {
  private let loop: EventLoop
  private let signals: [Signal]
  private var deliver: ((Signal) -> Void)?
  private var pipe: (read: Int32, write: Int32)

  package init(
    _ loop: EventLoop, _ signals: [Signal] = Signal.allCases, _ deliver: @escaping (Signal) -> Void
  ) throws(NetworkFailure) {
    var ends: [Int32] = [-1, -1]
    let refused = weir_pipe(&ends)
    if refused < 0 { throw .unavailable("no descriptor left for signals: \(errorText(-refused))") }
    self.loop = loop
    self.signals = signals
    self.deliver = deliver
    pipe = (ends[0], ends[1])
    _ = loop.watch(pipe.read, .readable, self)
    for signal in signals { _ = weir_signal_watch(Int32(signal.rawValue), pipe.write) }
  }

  package func cancel() {
    guard deliver != nil else { return }
    deliver = nil
    for signal in signals { _ = weir_signal_unwatch(Int32(signal.rawValue)) }
    loop.unwatch(pipe.read)
    closeDescriptor(pipe.read)
    closeDescriptor(pipe.write)
  }

  package func becameReady(_ ready: Readiness) {
    var numbers = [UInt8](repeating: 0, count: 64)
    let count = read(pipe.read, &numbers, numbers.count)
    guard count > 0 else { return }
    for number in numbers.prefix(count) {
      if let signal = Signal(rawValue: number) { deliver?(signal) }
    }
  }
}
