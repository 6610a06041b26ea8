/// What an event costs on its way through `select`. Prints one line of JSON for Benchmarks/sources.py:
///
///     SelectBenchmark queues N    three queues in two bands → machine → a Swift closure; thread's CPU time
///     SelectBenchmark lines            standard input → `EventLoop.select` → `for try await`; the process's CPU time
///     SelectBenchmark process FILE     the same of `cat FILE`
///     SelectBenchmark websocket URL    of a server that sends messages and closes
///     SelectBenchmark sse URL          of one that sends events and ends
///     SelectBenchmark spawns N         processes started and read to their end, one after the other
import Glibc
import Weir
import WeirCore
import WeirFlow
import WeirIO

func cpu(_ clock: clockid_t) -> Double {
  var time = timespec()
  clock_gettime(clock, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

func queues(_ count: Int) throws {
  let queues = (0..<3).map { _ in EventQueue(limit: 100) }
  let loop = WeirIO.EventLoop()
  let select = try SelectLoop(
    zip(queues, [1, 1, 0]).map { .init($0, priority: $1) }, loop: loop,
    deadlines: .init(idle: .seconds(60), duration: .seconds(3600)))
  var seen = 0
  func handle(_ event: StreamEvent) -> Bool {
    if case .sourceText(_, let text) = event { seen += text.utf8.count }
    return true
  }
  let line = "a line of some forty bytes, as they often are"
  let events = (0..<3).map { StreamEvent.sourceText(source: "source \($0)", line) }
  var made = 0
  let start = cpu(CLOCK_THREAD_CPUTIME_ID)
  while made < count {
    for _ in 0..<30 { for (queue, event) in zip(queues, events) { queue.push(event) } }
    made += 90
    while case .event(let event, _) = select.next() { if !handle(event) { break } }
  }
  let spent = cpu(CLOCK_THREAD_CPUTIME_ID) - start
  precondition(seen == made * line.utf8.count, "every event was handled")
  print("{\"events\": \(made), \"ns\": \(spent / Double(made))}")
}

/// Counts what one source yields until it has ended.
func select(_ make: () async throws -> Weir.EventLoop.Source) async throws {
  let clock = ContinuousClock()
  let (begun, start) = (clock.now, cpu(CLOCK_PROCESS_CPUTIME_ID))
  var count = 0
  for try await event in Weir.EventLoop.select([try await make()]) {
    switch event {
    case .text, .message, .sse: count += 1
    default: break
    }
  }
  report(count, cpu(CLOCK_PROCESS_CPUTIME_ID) - start, begun.duration(to: clock.now))
}

func report(_ count: Int, _ nanoseconds: Double, _ time: Duration) {
  let seconds = Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18
  print(
    "{\"events\": \(count), \"ns\": \(nanoseconds / Double(max(1, count))), \"rate\": \(Double(count) / seconds)}")
}

/// What a process costs: started, its line and its exit read, gone. The descriptors that are open at the end are those
/// of the start.
func spawns(_ count: Int) async throws {
  let clock = ContinuousClock()
  let (begun, start) = (clock.now, cpu(CLOCK_PROCESS_CPUTIME_ID))
  for _ in 0..<count {
    for try await _ in try await ProcessSource.start("/bin/true") {}
  }
  report(count, cpu(CLOCK_PROCESS_CPUTIME_ID) - start, begun.duration(to: clock.now))
}

let arguments = CommandLine.arguments + ["", "", ""]
switch arguments[1] {
case "queues": try queues(Int(arguments[2]) ?? 1_000_000)
case "lines": try await select { .lines(name: "in") }
case "process": try await select { .process(try await ProcessSource.start("cat", [arguments[2]]), name: "cat") }
case "websocket": try await select { .webSocket(try await WebSocket.connect(arguments[2]), name: "ws") }
case "sse": try await select { .sse(try await SSE.connect(arguments[2]), name: "sse") }
case "spawns": try await spawns(Int(arguments[2]) ?? 1000)
default: preconditionFailure("SelectBenchmark queues N | lines | process FILE | websocket URL | sse URL | spawns N")
}
