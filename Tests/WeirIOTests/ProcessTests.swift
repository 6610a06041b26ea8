import Glibc
import Synchronization
import Testing
import WeirCore

@testable import WeirIO

@Suite struct ProcessTests {
  private func makePipe() -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    pipe(&ends)
    return (ends[0], ends[1])
  }

  private func readAll(_ fd: Int32) -> String {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(fd, &bytes, bytes.count)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }

  @Test func aTurnsOutputLeavesTogetherAndInOrder() {
    let both = makePipe()
    defer {
      close(both.read)
      close(both.write)
    }
    onLoop { loop, done in
      let console = ProcessConsole(loop, output: both.write, error: both.write)
      loop.soon {
        console.write("one ", to: .output)
        console.write("two ", to: .error)
        console.write("three", to: .output)
        console.write(" four", to: .output)
      }
      _ = loop.after(.milliseconds(5)) {
        #expect(readAll(both.read) == "one two three four")
        #expect(!console.isBroken(.output))
        done()
      }
    }
  }

  @Test func aReaderThatHasGoneEndsQuietly() {
    let gone = makePipe()
    let there = makePipe()
    close(gone.read)
    defer {
      for fd in [gone.write, there.read, there.write] { close(fd) }
    }
    onLoop { loop, done in
      let console = ProcessConsole(loop, output: gone.write, error: there.write)
      console.write("lost", to: .output)
      console.flush()
      #expect(console.isBroken(.output))
      console.write("lost too", to: .output)
      console.write("still heard", to: .error)
      console.flush()
      #expect(!console.isBroken(.error))
      #expect(readAll(there.read) == "still heard")
      done()
    }
  }

  @Test func aSlowReaderGetsEverything() {
    let slow = makePipe()
    _ = fcntl(slow.write, F_SETFL, O_NONBLOCK)
    let total = 4 << 20
    let received = Tally()
    let reader = LoopThread(name: "reader") {
      var bytes = [UInt8](repeating: 0, count: 8192)
      while case let count = read(slow.read, &bytes, bytes.count), count > 0 {
        received.count.add(count, ordering: .relaxed)
      }
    }
    onLoop { loop, done in
      let console = ProcessConsole(loop, output: slow.write)
      for _ in 0..<(total / 1024) { console.write(String(repeating: "x", count: 1024), to: .output) }
      console.flush()
      done()
    }
    close(slow.write)
    reader.join()
    close(slow.read)
    #expect(received.count.load(ordering: .relaxed) == total)
  }

  private final class Tally: Sendable {
    let count = Atomic<Int>(0)
  }

  @Test func inputComesFromPipesAndFilesToItsEnd() throws {
    let ends = makePipe()
    let path = "/tmp/weir-input-\(getpid())"
    let file = Glibc.open(path, O_RDWR | O_CREAT, 0o600)
    unlink(path)
    defer {
      close(ends.read)
      close(file)
    }
    let content = [UInt8]((0..<200_000).map { UInt8(truncatingIfNeeded: $0) })
    #expect(write(file, content, content.count) == content.count)
    lseek(file, 0, SEEK_SET)
    var fromFile: [UInt8] = []
    var fromPipe: [String] = []
    onLoop { loop, done in
      var open = 2
      func end() {
        open -= 1
        if open == 0 { done() }
      }
      _ = StandardInput(loop, descriptor: file) { if let piece = $0 { fromFile += piece } else { end() } }
      _ = StandardInput(loop, descriptor: ends.read) {
        guard let piece = $0 else { return end() }
        fromPipe.append(String(decoding: piece, as: UTF8.self))
        if fromPipe.count == 1 { write(ends.write, "two", 3) } else { close(ends.write) }
      }
      write(ends.write, "one", 3)
    }
    #expect(fromFile == content)
    #expect(fromPipe == ["one", "two"])
  }

  @Test func cancelledInputSaysNothingMore() {
    let ends = makePipe()
    defer {
      close(ends.read)
      close(ends.write)
    }
    onLoop { loop, done in
      let input = StandardInput(loop, descriptor: ends.read) { _ in refuse("a piece after cancel") }
      input.cancel()
      write(ends.write, "x", 1)
      _ = loop.after(.milliseconds(20), done)
    }
  }

  @Test func environmentIsTheProcesss() {
    let environment = ProcessEnvironment()
    #expect(environment["PATH"]?.isEmpty == false)
    #expect(environment["WEIR_NO_SUCH_VARIABLE"] == nil)
    #expect(environment["PATH\u{0}X"] == nil)
  }

  @Test func randomNumbersDoNotRepeat() {
    let random = SystemRandom()
    let many = (0..<10_000).map { _ in random.next() }
    #expect(Set(many).count == many.count)
    #expect(SystemRandom().identifier() != SystemRandom().identifier())
    let ones = many.reduce(0) { $0 + $1.nonzeroBitCount }
    #expect((310_000...330_000).contains(ones))
  }

  /// In a process of its own: signals belong to all of it.
  @Test func signalsArriveOnTheLoopUntilCancelled() async {
    await #expect(processExitsWith: .signal(SIGTERM)) {
      var seen: [Signal] = []
      var wasOnLoop = true
      try onLoop { loop, done in
        var signals: Signals?
        signals = try Signals(loop) {
          seen.append($0)
          wasOnLoop = wasOnLoop && loop.isCurrent
          if seen.count == 3 {
            signals?.cancel()
            done()
          }
        }
        loop.soon { for signal in [SIGHUP, SIGINT, SIGTERM] { kill(getpid(), signal) } }
      }
      guard Set(seen) == Set(Signal.allCases), wasOnLoop else { exit(1) }
      kill(getpid(), SIGTERM)
      while true { pause() }
    }
  }

  @Test func thePoolIsBoundedAndUsesSeveralThreads() {
    let pool = ThreadPool(name: "test", threadLimit: 3, queueLimit: 5)
    let gate = Gate()
    var taken = 0
    while taken < 100, pool.submit({ gate.wait() }) { taken += 1 }
    // Threads take jobs out of the queue as they come: at least the queue, at most the queue and the threads.
    #expect((5...8).contains(taken))
    gate.open(taken)
    gate.finished(taken)
  }

  /// Holds threads until opened.
  private final class Gate: Sendable {
    private let ends: (read: Int32, write: Int32)
    private let done: (read: Int32, write: Int32)
    init() {
      var a: [Int32] = [0, 0]
      var b: [Int32] = [0, 0]
      pipe(&a)
      pipe(&b)
      ends = (a[0], a[1])
      done = (b[0], b[1])
    }
    deinit { for fd in [ends.read, ends.write, done.read, done.write] { close(fd) } }
    func wait() {
      var byte: UInt8 = 0
      _ = read(ends.read, &byte, 1)
      _ = write(done.write, &byte, 1)
    }
    func open(_ count: Int) { for _ in 0..<count { _ = write(ends.write, "x", 1) } }
    func finished(_ count: Int) {
      var byte: UInt8 = 0
      for _ in 0..<count { _ = read(done.read, &byte, 1) }
    }
  }

  @Test func theRealWorldIsComplete() throws {
    onLoop { loop, done in
      let world = RealWorld.make(loop: loop)
      #expect(world.random.identifier().utf8.count == 26)
      #expect(world.loop.wallClock > 1_700_000_000_000)
      #expect(world.environment["PATH"] != nil)
      world.disk.list("/") {
        #expect($0.failure == nil)
        _ = world.network.connect(
          SocketAddress(host: "no-such-host.invalid", port: 1), tls: nil, timeout: .seconds(10)
        ) {
          if case .success = $0 { refuse("connected to nowhere") }
          done()
        }
      }
    }
  }
}
