// What a store costs: one JSON line for each measurement that is named on the command line, in a folder of its own.
//
//     DurableBenchmark FOLDER memory relaxed synced streams live resume reopen replay
//
// CPU is the whole process's, threads of the disk and the system's share included. Run by Benchmarks/durable.py.
import Glibc
import WeirCore
import WeirIO
import WeirStore

nonisolated func clock(_ id: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(id, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
nonisolated func wall() -> Double { clock(CLOCK_MONOTONIC) }
nonisolated func cpu() -> Double { clock(CLOCK_PROCESS_CPUTIME_ID) }
nonisolated func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
nonisolated func median(_ values: [Double]) -> Double { values.isEmpty ? 0 : values.sorted()[values.count / 2] }

nonisolated func report(_ what: String, _ numbers: [(String, Double)]) {
  let fields = numbers.map { #","\#($0.0)":\#(rounded($0.1))"# }.joined()
  print(#"{"what":"\#(what)"\#(fields)}"#)
}

/// An answer that a measurement cannot go on without.
nonisolated func must<Value>(_ result: Result<Value, StoreFailure>) -> Value {
  switch result {
  case .success(let value): return value
  case .failure(let failure):
    print("DurableBenchmark: \(failure)")
    exit(1)
  }
}

nonisolated func name(_ path: String) -> StreamName {
  guard let name = try? StreamName(path) else { preconditionFailure("\(path) names no stream") }
  return name
}

final class Durable {
  let folder: String
  let loop = EventLoop()
  let disk: any Disk
  /// A token delta's size.
  let item = [UInt8](repeating: 0x61, count: 40)
  private var folders = 0

  init(_ folder: String) {
    self.folder = folder
    disk = RealWorld.make(loop: loop).disk
  }

  /// Runs the loop until `done` is called.
  @discardableResult
  func wait<Value>(_ work: (@escaping (Value) -> Void) -> Void) -> Value {
    var value: Value?
    work {
      value = $0
      self.loop.stop()
    }
    while value == nil { loop.run() }
    guard let value else { preconditionFailure("the loop ended without an answer") }
    return value
  }

  func open(_ directory: String, _ synchronization: FileStreamStore.Synchronization = .always) -> FileStreamStore {
    must(
      wait {
        FileStreamStore.open(
          directory: directory, disk: disk, loop: loop, synchronization: synchronization, $0)
      })
  }

  func newFolder() -> String {
    folders += 1
    return folder + "/\(folders)"
  }

  func make(_ store: any StreamStore, _ stream: StreamName) {
    _ = must(wait { store.create(stream, contentType: "text/plain", $0) })
  }

  /// Appends `count` items, `depth` of them under way at a time, spread over the streams. Seconds until each was answered.
  @discardableResult
  func append(
    _ store: any StreamStore, _ streams: [StreamName], count: Int, depth: Int, item: [UInt8]? = nil, timed: Bool = false
  ) -> [Double] {
    var asked = 0
    var answered = 0
    var times: [Double] = []
    let item = item ?? self.item
    wait { (done: @escaping (Bool) -> Void) in
      func next(_ stream: StreamName) {
        guard asked < count else { return }
        asked += 1
        let start = timed ? wall() : 0
        store.append(stream, [item], ending: nil) { result in
          _ = must(result)
          if timed { times.append(wall() - start) }
          answered += 1
          if answered == count { return done(true) }
          // A later job, as a writer that is told of it in its own turn.
          self.loop.soon { next(stream) }
        }
      }
      for index in 0..<depth { next(streams[index % streams.count]) }
    }
    return times
  }

  /// Items of a whole stream, batch by batch.
  func read(_ store: any StreamStore, _ stream: StreamName, from: UInt64 = 0, byteLimit: Int) -> (
    items: Int, bytes: Int
  ) {
    var items = 0
    var bytes = 0
    wait { (done: @escaping (Bool) -> Void) in
      func next(_ offset: Offset) {
        store.read(stream, from: offset, byteLimit: byteLimit) { result in
          let batch = must(result)
          if batch.items.isEmpty { return done(true) }
          items += batch.items.count
          for item in batch.items { bytes += item.bytes.count }
          self.loop.soon { next(batch.next) }
        }
      }
      next(Offset(from))
    }
    return (items, bytes)
  }

  // MARK: Measurements

  /// The costs of a store itself, without a loop's turn between: awaitly's numbers are of the same kind.
  func memory() {
    let count = 500_000
    let stream = name("memory")
    var write: [Double] = []
    var read: [Double] = []
    for _ in 0..<5 {
      let store = MemoryStreamStore(loop: loop)
      make(store, stream)
      let items = [item]
      var start = cpu()
      for _ in 0..<count { store.append(stream, items, ending: nil) { _ = must($0) } }
      write.append((cpu() - start) / Double(count))
      start = cpu()
      var offset = Offset.start
      var seen = 0
      while seen < count {
        store.read(stream, from: offset, byteLimit: 16 << 10) {
          let batch = must($0)
          seen += batch.items.count
          offset = batch.next
        }
      }
      read.append((cpu() - start) / Double(count))
    }
    report("memory", [("write_us", (write.min() ?? 0) * 1e6), ("read_us", (read.min() ?? 0) * 1e6)])
  }

  /// Answered when the system has it: what an append costs, whatever the stream's length.
  func relaxed() {
    for depth in [64, 1] {
      let store = open(newFolder(), .everyMilliseconds(100))
      let stream = name("relaxed")
      make(store, stream)
      append(store, [stream], count: 1_000, depth: depth)
      var length = 1_000
      for upTo in [10_000, 100_000, 1_000_000] where depth > 1 || upTo <= 100_000 {
        // The last tenth of what leads there: what an append costs at that length.
        let measured = upTo / 10
        append(store, [stream], count: upTo - measured - length, depth: depth)
        let (start, begun) = (cpu(), wall())
        append(store, [stream], count: measured, depth: depth)
        let (used, took) = (cpu() - start, wall() - begun)
        length = upTo
        report(
          "relaxed",
          [
            ("depth", Double(depth)), ("length", Double(upTo)), ("cpu_us", used / Double(measured) * 1e6),
            ("wall_us", took / Double(measured) * 1e6),
          ])
      }
    }
  }

  /// What the disk takes for one append without a store: a write behind the last one, and fdatasync.
  func raw(_ count: Int) -> [Double] {
    let path = folder + "/raw"
    let file = Glibc.open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    precondition(file >= 0, "no file \(path)")
    defer { _ = Glibc.close(file) }
    let bytes = [UInt8](repeating: 0x61, count: item.count + 46)
    return (0..<count).map { index in
      let start = wall()
      _ = pwrite(file, bytes, bytes.count, index * bytes.count)
      _ = fdatasync(file)
      return wall() - start
    }
  }

  /// By turns with the bare disk, whose speed changes with what else it is asked.
  func synced() {
    let store = open(newFolder())
    let stream = name("synced")
    make(store, stream)
    var (own, bare): ([Double], [Double]) = ([], [])
    for _ in 0..<10 {
      bare += raw(50)
      own += append(store, [stream], count: 50, depth: 1, timed: true)
    }
    report(
      "synced, 1 writer",
      [("median_us", median(own) * 1e6), ("raw_median_us", median(bare) * 1e6), ("ratio", median(own) / median(bare))])
    many(store, [stream], "synced, 64 writers, 1 stream", count: 50_000)
  }

  func streams() {
    for number in [4, 64] {
      let store = open(newFolder())
      let streams = (0..<number).map { name("s/\($0)") }
      for stream in streams { make(store, stream) }
      many(store, streams, "synced, 64 writers, \(number) streams", count: 8_000)
    }
  }

  private func many(_ store: any StreamStore, _ streams: [StreamName], _ what: String, count: Int) {
    let (start, begun) = (cpu(), wall())
    let times = append(store, streams, count: count, depth: 64, timed: true)
    let (used, took) = (cpu() - start, wall() - begun)
    report(
      what,
      [
        ("per_second", Double(count) / took), ("median_us", median(times) * 1e6),
        ("cpu_us", used / Double(count) * 1e6),
      ])
  }

  /// From an append to a reader that waited for it and has read it: what the store adds to the disk.
  func live() {
    let memory = MemoryStreamStore(loop: loop)
    let relaxed = open(newFolder(), .everyMilliseconds(100))
    let stream = name("live")
    for (what, store) in [("live, memory", memory), ("live, file", relaxed)] as [(String, any StreamStore)] {
      make(store, stream)
      var times: [Double] = []
      wait { (done: @escaping (Bool) -> Void) in
        var start = 0.0
        var offset = Offset.start
        func write() {
          start = wall()
          store.append(stream, [self.item], ending: nil) { _ = must($0) }
        }
        let watch = store.watch(stream) {
          store.read(stream, from: offset, byteLimit: 1 << 16) { result in
            let batch = must(result)
            if batch.items.isEmpty { return }
            times.append(wall() - start)
            offset = batch.next
            if times.count == 5_000 { return done(true) }
            self.loop.soon { write() }
          }
        }
        write()
        withExtendedLifetime(watch) {}
      }
      report(what, [("median_us", median(times) * 1e6), ("p99_us", times.sorted()[times.count * 99 / 100] * 1e6)])
    }
  }

  /// A reader that comes back near the end of a long stream. Leaves that stream for `reopen`, by another process.
  func resume() {
    let store = open(folder + "/resume", .everyMilliseconds(1000))
    let stream = name("resume")
    make(store, stream)
    append(store, [stream], count: 100_000, depth: 256)
    wait { (done: @escaping (StoreFailure?) -> Void) in store.synchronize(done) }
    let times = (0..<101).map { _ -> Double in
      let start = wall()
      _ = read(store, stream, from: 99_990, byteLimit: 1 << 20)
      return wall() - start
    }
    report("resume, store open", [("median_ms", median(times) * 1e3)])
  }

  /// The same from nothing: the store is opened, and its stream is.
  func reopen() {
    let start = wall()
    let store = open(folder + "/resume")
    let opened = wall()
    precondition(read(store, name("resume"), from: 99_990, byteLimit: 1 << 20).items == 10, "the last ten")
    report(
      "resume, store just opened",
      [
        ("open_ms", (opened - start) * 1e3), ("first_read_ms", (wall() - opened) * 1e3),
        ("together_ms", (wall() - start) * 1e3),
      ])
  }

  func replay() {
    let directory = newFolder()
    let stream = name("replay")
    let store = open(directory, .everyMilliseconds(1000))
    make(store, stream)
    let bytes = [UInt8](repeating: 0x62, count: 1000)
    append(store, [stream], count: 1_000_000, depth: 1024, item: bytes)
    for limit in [64 << 10, 1 << 20] {
      let (start, begun) = (cpu(), wall())
      let seen = read(store, stream, byteLimit: limit)
      let (used, took) = (cpu() - start, wall() - begun)
      precondition(seen.items == 1_000_000, "all was read")
      report(
        "replay of 1 GB, \(limit >> 10) KiB at a time",
        [("mb_per_second", Double(seen.bytes) / took / 1e6), ("cpu_us_per_item", used)])
    }
  }
}

let arguments = Array(CommandLine.arguments.dropFirst())
guard let folder = arguments.first, arguments.count > 1 else {
  print("DurableBenchmark FOLDER memory relaxed synced streams live resume reopen replay")
  exit(2)
}
let bench = Durable(folder)
for what in arguments.dropFirst() {
  switch what {
  case "memory": bench.memory()
  case "relaxed": bench.relaxed()
  case "synced": bench.synced()
  case "streams": bench.streams()
  case "live": bench.live()
  case "resume": bench.resume()
  case "reopen": bench.reopen()
  case "replay": bench.replay()
  default:
    print("DurableBenchmark: there is no measurement \"\(what)\"")
    exit(2)
  }
}
