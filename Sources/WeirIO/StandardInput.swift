import Glibc
import WeirCore

/// The process's input as pieces on the loop, whatever it is: terminal, pipe or file.
///
/// A thread of its own reads it. Polling would need O_NONBLOCK, which belongs to the open file and so to the shell as
/// well, and regular files cannot be polled at all. One piece is under way at a time: a loop that is slow to take it
/// holds up the reader, and by that the writer.
package final class StandardInput: InputReading {
  /// Bytes handed over at once at most: a pipe's capacity.
  package static let pieceLimit = 65_536

  private let loop: EventLoop
  private let descriptor: Int32
  private let thread = ThreadPool(name: "weir-stdin", threadLimit: 1, queueLimit: 1)
  private var receive: (([UInt8]?) -> Void)?
  private var isUnderWay = false
  /// While false no further piece is asked for; the one under way still comes.
  package var isReading = true { didSet { if isReading, !oldValue { readNext() } } }

  /// Reads from now on, until the end (told as nil) or `cancel`.
  package init(_ loop: EventLoop, descriptor: Int32 = 0, _ receive: @escaping ([UInt8]?) -> Void) {
    self.loop = loop
    self.descriptor = descriptor
    self.receive = receive
    readNext()
  }

  /// Nothing is called afterwards. A read that waits for somebody to type goes on waiting, and its piece is lost.
  package func cancel() { receive = nil }

  private func readNext() {
    guard receive != nil, isReading, !isUnderWay else { return }
    isUnderWay = true
    let box = LoopBox(loop, self)
    let (loop, descriptor) = (self.loop, self.descriptor)
    _ = thread.submit {
      let piece = Self.readPiece(descriptor)
      loop.post { box.take()?.received(piece) }
    }
  }

  private func received(_ piece: [UInt8]) {
    isUnderWay = false
    let isEnd = piece.isEmpty
    let receive = self.receive
    if isEnd { self.receive = nil }
    receive?(isEnd ? nil : piece)
    readNext()
  }

  /// Blocks. Empty at the end; an input that fails has ended, too.
  private static func readPiece(_ descriptor: Int32) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: pieceLimit) { buffer, used in
      var count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      while count < 0, errno == EINTR || errno == EAGAIN {
        // EAGAIN: somebody else made the shared descriptor non-blocking.
        var ready = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        poll(&ready, 1, -1)
        count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      }
      used = max(0, count)
    }
  }
}
