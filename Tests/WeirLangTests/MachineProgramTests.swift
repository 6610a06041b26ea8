/// Programs in `Programs/`, run from their text: parser, checker, emitter and machine together.
///
/// A program says what it must do in comments, wherever they stand:
///
///     // expect: one line of standard output, in order
///     // expect trap: Code message…       it fails with this code, and a message that begins like this
///     // stdin: a line of standard input
///     // env: NAME=value
///
/// `main` is run, or the top-level statements. A file whose name begins with `large_` may run long.
import Foundation
import Testing

@testable import WeirLang

@Suite struct MachineProgramTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Programs")
  static let programs: [String] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".weir") }.sorted()
  }()

  @Test func thereArePrograms() { #expect(Self.programs.count >= 15) }

  @Test(arguments: programs) func program(_ name: String) throws {
    let text = try String(contentsOf: Self.folder.appending(path: name), encoding: .utf8)
    let wanted = Self.notes("expect: ", in: text)
    let trap = Self.notes("expect trap: ", in: text).first
    #expect(!wanted.isEmpty || trap != nil, "\(name) expects nothing")

    let library = Library.language
    let checked = Checker.check(name: name, bytes: Array(text.utf8), library: library)
    let problems = checked.diagnostics.filter { $0.severity == .error }
    guard let core = checked.program, problems.isEmpty else {
      Issue.record("\(DiagnosticPrinter(checked.sources).text(problems))")
      return
    }
    let running = try Running(core, library)
    running.host.input = Self.notes("stdin: ", in: text)
    for note in Self.notes("env: ", in: text) {
      let parts = note.split(separator: "=", maxSplits: 1)
      running.host.variables[String(parts[0])] = String(parts[1])
    }
    var result = running.initialise()
    if case .success? = result, let entry = running.program.entry {
      running.scheduler.spawn(entry) { result = $0 }
      running.loop.run()
    }
    var lines = running.host.output.components(separatedBy: "\n")
    if lines.last == "" { lines.removeLast() }
    #expect(lines == wanted)
    switch result {
    case .success?: #expect(trap == nil, "\(name) should have failed")
    case .failure(let failure)?:
      let said = "\(failure.code) \(failure.message)"
      #expect(trap.map { said.hasPrefix($0) } == true, "\(name) failed: \(said) \(failure.trace.map(\.function))")
    case nil: #expect(running.host.exitCode != nil, "\(name) waits for ever")
    }
  }

  private static func notes(_ label: String, in text: String) -> [String] {
    text.components(separatedBy: "\n").compactMap { line in
      line.range(of: "// " + label).map { String(line[$0.upperBound...]) }
    }
  }
}
