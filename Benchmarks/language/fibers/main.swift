/// What a fiber costs: made, parked five calls deep, resumed, kept. Prints one line of JSON for Benchmarks/run.py; the same in
/// Lua is Benchmarks/language/coroutines.lua. CPU time of this thread; bytes are what the process grew by.
import Glibc
import WeirLang

let count = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 10_000 : 10_000
let rounds = 100

let program = """
  import std/bench (pause)
  func wait(sum: int) -> int { let given = pause(); if given < 0 then sum else wait(sum + given) }
  func deep(calls: int) -> int { if calls == 0 then wait(0) else 1 + deep(calls - 1) }
  export func main() -> int { deep(4) }
  """

final class Silent: ProgramHost {
  let arguments: [String] = []
  func write(_ text: String, to stream: ProgramOutput) {}
  func flush() {}
  func readLine(_ answer: @escaping (String?) -> Void) { answer(nil) }
  func exit(_ code: Int) {}
  func environment(_ name: String) -> String? { nil }
}

/// The loop: jobs in order.
final class Jobs {
  private var waiting: [() -> Void] = []
  func soon(_ job: @escaping () -> Void) { waiting.append(job) }
  func run() {
    while !waiting.isEmpty {
      let batch = waiting
      waiting = []
      for job in batch { job() }
    }
  }
}

func cpu() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
}

var parked: [Answer<Int>] = []
parked.reserveCapacity(count)
let bench = LibraryModule(
  name: "std/bench", source: "export extern func pause() -> int",
  natives: [suspending("pause") { (answer: Answer<Int>) in parked.append(answer) }])
let library = Library.language + [bench]
let checked = Checker.check(name: "fibers.weir", bytes: Array(program.utf8), library: library)
guard let core = checked.program else { preconditionFailure("\(checked.diagnostics)") }
let jobs = Jobs()
let code = try Emitter.emit(core, library: library)
let scheduler = Scheduler(program: code, host: Silent()) { jobs.soon($0) }
guard let entry = code.entry else { preconditionFailure("the program has no main") }

/// Answers everybody who waits; they park again or end.
@MainActor func resume(with value: Int) {
  let answers = parked
  parked.removeAll(keepingCapacity: true)
  for answer in answers { answer.resume(value) }
  jobs.run()
}

func residentBytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 200)
  fgets(&line, Int32(line.count), file)
  let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self).split(
    separator: " ")
  return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}

var sum = 0
@MainActor func spawn() {
  scheduler.spawn(entry) { if case .success(let value) = $0 { sum += value.asInt ?? 0 } }
}

// First, while the heap has no holes that fibers could be put into.
let before = residentBytes()
for _ in 0..<count { spawn() }
jobs.run()
let bytes = (residentBytes() - before) / count

var resumed = Double.infinity
for _ in 0..<rounds {
  let begun = cpu()
  resume(with: 1)
  resumed = min(resumed, (cpu() - begun) / Double(count))
}
resume(with: -1)

var life = Double.infinity
for _ in 0..<3 {
  let begun = cpu()
  for _ in 0..<count {
    spawn()
    jobs.run()
    resume(with: -1)
  }
  life = min(life, (cpu() - begun) / Double(count))
}
print("{\"life_ns\": \(Int(life)), \"resume_ns\": \(Int(resumed)), \"bytes\": \(bytes), \"sum\": \(sum)}")
