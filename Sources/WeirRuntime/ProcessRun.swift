import WeirCore
import WeirFlow
import WeirLang

/// One `exec`: a process from its start to its end, with what it said, within bounds of time and size.
///
/// What is beyond the bound is read and dropped: a program that is cut off in the middle of its work because it talks
/// would be worse than a text that is cut off.
final class ProcessRun {
  enum Outcome {
    case ended(ProcessExit, output: [UInt8], error: [UInt8], isTruncated: Bool)
    case failed(ProcessFailure)
    case timedOut(Duration)
  }

  private let loop: any Loop
  private let limit: Int
  private var answer: ((Outcome) -> Void)?
  private var start: (any Cancellable)?
  private var process: Subprocess?
  private var timer: (any Cancellable)?
  private var output: [UInt8] = []
  private var error: [UInt8] = []
  private var isTruncated = false

  /// Exactly one answer unless cancelled.
  init(
    _ command: String, _ arguments: [String], in table: ProcessTable, loop: any Loop,
    _ answer: @escaping (Outcome) -> Void
  ) {
    self.loop = loop
    limit = table.policy.outputLimit
    self.answer = answer
    if let timeout = table.policy.timeout {
      timer = loop.after(timeout) { [self] in finish(.timedOut(timeout)) }
    }
    do throws(ProcessFailure) {
      start = try table.start(command, arguments) { [self] result in started(result) }
    } catch {
      let failure = error
      loop.soon { [self] in finish(.failed(failure)) }
    }
  }

  func cancel() {
    answer = nil
    end()
  }

  private func started(_ result: Result<Subprocess, ProcessFailure>) {
    switch result {
    case .failure(let failure): finish(.failed(failure))
    case .success(let process):
      self.process = process
      process.onOutput = { [self] bytes, stream in
        if stream == .output { keep(bytes, &output) } else { keep(bytes, &error) }
      }
      process.onComplete = { [self] exit in
        finish(.ended(exit, output: output, error: error, isTruncated: isTruncated))
      }
    }
  }

  private func keep(_ bytes: [UInt8], _ kept: inout [UInt8]) {
    let room = limit - kept.count
    if bytes.count > room { isTruncated = true }
    kept += bytes.prefix(room)
  }

  private func finish(_ outcome: Outcome) {
    let told = answer
    answer = nil
    end()
    told?(outcome)
  }

  private func end() {
    timer?.cancel()
    timer = nil
    start?.cancel()
    start = nil
    guard let process else { return }
    self.process = nil
    process.onOutput = nil
    process.onComplete = nil
    if process.exit == nil { process.stop() }
  }
}
