/// A store in a Redis, from a process of its own: what Tests/Product/redis_test.py and Benchmarks/redis_store.py start.
///
///     RedisStreams append URL STREAM COUNT WRITERS   items of fifty bytes by so many writers at once; one line of JSON: what each cost
///     RedisStreams read URL STREAM                   from the start to the end, 64 KiB at a time; the same
///     RedisStreams wake URL STREAM COUNT             an item at a time, each read by a watcher before the next; microseconds
///     RedisStreams write URL STREAM NAME COUNT       "NAME n" for n below COUNT, one after the other; a line "n tail" for each answer
///     RedisStreams follow URL STREAM FROM            a line "position text" for each item, to the end
///     RedisStreams close URL STREAM
import Glibc
import WeirCore
import WeirIO
import WeirRedis
import WeirStore

func cpu() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func wall() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func fail(_ failure: StoreFailure) -> Never {
  print("\(failure)")
  exit(1)
}

final class Program {
  let loop: EventLoop
  let store: RedisStreamStore
  let name: StreamName

  init(_ loop: EventLoop, _ store: RedisStreamStore, _ name: StreamName) {
    (self.loop, self.store, self.name) = (loop, store, name)
  }

  func create(_ then: @escaping () -> Void) {
    store.create(name, contentType: "text/plain") {
      if case .failure(let failure) = $0 { fail(failure) } else { then() }
    }
  }

  func done() {
    fflush(nil)
    store.close()
    loop.stop()
  }

  // MARK: Measured

  func append(_ count: Int, writers: Int) {
    let item = Array("fifty bytes, as many as a token's event often has.".utf8)
    let (start, begun) = (cpu(), wall())
    var (asked, answered) = (0, 0)
    func next() {
      if asked == count { return }
      asked += 1
      store.append(name, [item], ending: nil) { [self] in
        if case .failure(let failure) = $0 { fail(failure) }
        answered += 1
        if answered < count { return next() }
        report(count, cpu() - start, wall() - begun)
        store.append(name, [], ending: .closed) { [self] _ in done() }
      }
    }
    for _ in 0..<writers { next() }
  }

  func read() {
    let (start, begun) = (cpu(), wall())
    var count = 0
    func next(_ offset: Offset) {
      store.read(name, from: offset, byteLimit: 65_536) { [self] in
        guard case .success(let batch) = $0 else { return done() }
        count += batch.items.count
        if batch.ending == nil { return next(batch.next) }
        report(count, cpu() - start, wall() - begun)
        done()
      }
    }
    next(.start)
  }

  private func report(_ count: Int, _ cpu: Double, _ time: Double) {
    print("{\"items\": \(count), \"cpu_us\": \(cpu / Double(count) / 1000), \"per_s\": \(Double(count) / time * 1e9)}")
  }

  func wake(_ count: Int) {
    var times: [Double] = []
    var sent = 0.0
    func send() {
      sent = wall()
      store.append(name, [[1]], ending: nil) { _ in }
    }
    var watch: (any Cancellable)?
    watch = store.watch(name) { [self] in
      store.read(name, from: Offset(UInt64(times.count)), byteLimit: 1000) { [self] in
        guard case .success(let batch) = $0, !batch.items.isEmpty else { return }
        times.append((wall() - sent) / 1000)
        if times.count < count { return send() }
        times.sort()
        print("{\"items\": \(count), \"p50_us\": \(times[count / 2]), \"p99_us\": \(times[count * 99 / 100])}")
        watch?.cancel()
        done()
      }
    }
    _ = loop.after(.milliseconds(100)) { send() }
  }

  // MARK: Checked

  /// By a producer's stamp, so that an append that was given up and may have been done can be repeated.
  func write(_ writer: String, _ count: Int) {
    func next(_ number: Int) {
      guard number < count else { return done() }
      var append = StreamAppend(items: [Array("\(writer) \(number)".utf8)])
      append.producer = ProducerStamp(id: writer, epoch: 0, sequence: UInt64(number))
      store.append(name, append) { [self] in
        switch $0 {
        case .success(let answer):
          print("\(number) \(answer.isRepeat ? "repeat" : String(answer.tail.value))")
          fflush(nil)
          next(number + 1)
        case .failure(.unavailable): again { next(number) }
        case .failure(let failure): fail(failure)
        }
      }
    }
    next(0)
  }

  func follow(_ from: UInt64) {
    var next = Offset(from)
    var isReading = false
    var isStale = false
    var watch: (any Cancellable)?
    func readOn() {
      if isReading {
        isStale = true
        return
      }
      (isReading, isStale) = (true, false)
      store.read(name, from: next, byteLimit: 4096) { [self] in
        isReading = false
        switch $0 {
        case .failure(.unavailable): again(readOn)
        case .failure(let failure): fail(failure)
        case .success(let batch):
          for (index, item) in batch.items.enumerated() {
            print("\(next.value + UInt64(index)) \(String(decoding: item.bytes, as: UTF8.self))")
          }
          fflush(nil)
          next = batch.next
          if batch.ending != nil {
            watch?.cancel()
            done()
          } else if !batch.items.isEmpty || isStale {
            readOn()
          }
        }
      }
    }
    watch = store.watch(name, readOn)
    readOn()
  }

  private func again(_ what: @escaping () -> Void) { _ = loop.after(.milliseconds(20), what) }
}

let arguments = CommandLine.arguments + ["", "", "", ""]
let loop = EventLoop()
let world = RealWorld.make(loop: loop)
guard let name = try? StreamName(arguments[3]) else {
  preconditionFailure("append | read | wake | write | follow | close URL STREAM")
}
RedisStreamStore.open(url: arguments[2], world: world) { result in
  switch result {
  case .failure(let failure): fail(failure)
  case .success(let store):
    let program = Program(loop, store, name)
    let (first, second) = (arguments[4], arguments[5])
    switch arguments[1] {
    case "append": program.create { program.append(Int(first) ?? 1000, writers: Int(second) ?? 1) }
    case "read": program.read()
    case "wake": program.create { program.wake(Int(first) ?? 1000) }
    case "write": program.create { program.write(first, Int(second) ?? 100) }
    case "follow": program.create { program.follow(UInt64(first) ?? 0) }
    case "close": store.append(name, [], ending: .closed) { _ in program.done() }
    default: preconditionFailure("append | read | wake | write | follow | close")
    }
  }
}
loop.run()
