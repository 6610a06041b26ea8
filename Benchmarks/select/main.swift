/// What an event costs on its way through `select`. Prints one line of JSON for Benchmarks/sources.py:
///
///     SelectBenchmark queues N    three queues in two bands → machine → a Swift closure; thread's CPU time
///     SelectBenchmark lines       standard input → `EventLoop.select` → `for try await`; the process's CPU time
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

func lines() async throws {
  let start = cpu(CLOCK_PROCESS_CPUTIME_ID)
  var count = 0
  for try await event in Weir.EventLoop.select([.lines(name: "in")]) {
    if case .text = event { count += 1 }
  }
  print("{\"events\": \(count), \"ns\": \((cpu(CLOCK_PROCESS_CPUTIME_ID) - start) / Double(max(1, count)))}")
}

switch CommandLine.arguments.dropFirst().first {
case "queues": try queues(CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 1_000_000 : 1_000_000)
case "lines": try await lines()
default: preconditionFailure("SelectBenchmark queues N | lines")
}
