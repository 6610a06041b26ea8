import CWeir
import Glibc
import WeirCore

/// A running program as a `ChildProcess`: its pidfd and our ends of its pipes, each watched on the loop.
///
/// It knows no deadline and sends no signal by itself. The loop holds it until the child has been reaped, so that one
/// which everybody forgot leaves no zombie.
final class SpawnedProcess: ChildProcess {
  private let loop: EventLoop
  let pid: Int32
  private let pidfd: PolledDescriptor
  private var input: PolledDescriptor?
  private var outputs: [PolledDescriptor?]
  var handler: (any ProcessHandler)?
  private var hasExited = false
  private var awaitsRoom = false

  var isReading = true {
    didSet { if isReading { for pipe in outputs { pipe?.interest = .readable } } }
  }

  init(_ loop: EventLoop, _ launch: Launch) {
    self.loop = loop
    pid = launch.pid
    func polled(_ fd: Int32) -> PolledDescriptor? { fd < 0 ? nil : PolledDescriptor(loop, fd) }
    pidfd = PolledDescriptor(loop, launch.pidfd)
    input = polled(launch.pipes[0])
    outputs = [polled(launch.pipes[1]), polled(launch.pipes[2])]
    pidfd.onReady = { [self] in reap() }
    pidfd.interest = .readable
    for (index, pipe) in outputs.enumerated() {
      pipe?.onReady = { [self] in read(index) }
      pipe?.interest = .readable
    }
    input?.onReady = { [self] in inputReady() }
  }

  // MARK: What it writes

  private func read(_ index: Int) {
    guard let pipe = outputs[index] else { return }
    guard isReading else {
      pipe.interest = []
      return
    }
    let stream = index == 0 ? ConsoleStream.output : .error
    let buffer = loop.receiveBuffer
    let count = Glibc.read(pipe.descriptor, buffer.baseAddress, buffer.count)
    if count > 0 {
      let bytes = UnsafeRawBufferPointer(rebasing: buffer[..<count]).assumingMemoryBound(to: UInt8.self)
      handler?.processWrote(bytes.span, to: stream)
    } else if count == 0 || (errno != EAGAIN && errno != EINTR) {
      pipe.close()
      outputs[index] = nil
      handler?.processEnded(stream)
      settle()
    }
  }

  func closeOutputs() {
    for pipe in outputs { pipe?.close() }
    outputs = [nil, nil]
    settle()
  }

  // MARK: What it reads

  func write(_ bytes: Span<UInt8>) -> Int {
    guard let input, !awaitsRoom, bytes.count > 0 else { return 0 }
    let taken = bytes.withUnsafeBufferPointer { Glibc.write(input.descriptor, $0.baseAddress, $0.count) }
    if taken == bytes.count { return taken }
    if taken < 0, errno != EAGAIN, errno != EINTR {
      closeInput()
      loop.soon { [self] in handler?.processInputClosed() }
      return 0
    }
    awaitsRoom = true
    input.interest = .writable
    return max(0, taken)
  }

  private func inputReady() {
    awaitsRoom = false
    input?.interest = []
    handler?.processInputHasRoom()
  }

  func closeInput() {
    input?.close()
    input = nil
  }

  // MARK: Its end

  private func reap() {
    var code: Int32 = 0
    var signal: Int32 = 0
    let ended = weir_child_reap(pidfd.descriptor, &code, &signal)
    if ended == 0 { return }
    hasExited = true
    // Not closed: it still names the group.
    pidfd.interest = []
    pidfd.onReady = {}
    handler?.processExited(ended < 0 ? .unknown : signal == 0 ? .code(Int(code)) : .signal(Int(signal)))
    settle()
  }

  func signal(_ signal: ProcessSignal) {
    _ = weir_group_signal(pidfd.descriptor, pid, signal.rawValue)
    // A stopped process (it read from the terminal, or somebody pressed a key) would look at it only when it goes on.
    if signal == .terminate { _ = weir_group_signal(pidfd.descriptor, pid, SIGCONT) }
  }

  var isGroupAlive: Bool { !hasExited || weir_group_signal(pidfd.descriptor, pid, 0) != -ESRCH }

  func forget() {
    handler = nil
    closeInput()
    closeOutputs()
  }

  /// Nothing more will be told: whoever listened may go.
  private func settle() {
    guard hasExited, outputs[0] == nil, outputs[1] == nil else { return }
    closeInput()
    handler = nil
  }
}

/// A descriptor that is this object's own, watched while somebody is interested in it.
///
/// Without interest it is not watched at all: the poller tells of a pipe that hung up whether asked or not, turn after
/// turn.
private final class PolledDescriptor: ReadinessHandler {
  let descriptor: Int32
  var onReady: () -> Void = {}
  private let loop: EventLoop
  private var isOpen = true

  var interest: Readiness = [] {
    didSet {
      guard isOpen, interest != oldValue else { return }
      if interest.isEmpty {
        loop.unwatch(descriptor)
      } else if oldValue.isEmpty {
        _ = loop.watch(descriptor, interest, self)
      } else {
        loop.rewatch(descriptor, interest)
      }
    }
  }

  init(_ loop: EventLoop, _ descriptor: Int32) {
    self.loop = loop
    self.descriptor = descriptor
  }

  deinit { if isOpen { closeDescriptor(descriptor) } }

  func close() {
    interest = []
    onReady = {}
    if isOpen { closeDescriptor(descriptor) }
    isOpen = false
  }

  func becameReady(_ ready: Readiness) { onReady() }
}
