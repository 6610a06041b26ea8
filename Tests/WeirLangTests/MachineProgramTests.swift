/// Programs in `Programs/`, run from their text: parser, checker, emitter and machine together.
///
/// A folder is a chapter of the language, a file one rule of it, said by its name. A program says what it must do in
/// comments, wherever they stand:
///
///     // expect: one line of standard output, in order
///     // expect trap: Code message…       it fails with this code, and a message that begins like this
///     // expect error: E0301              it is refused, with this code on this line (and with no other error)
///     // expect warning: W0401            a warning with this code on this line
///     // stdin: a line of standard input
///     // env: NAME=value
///
/// `main` is run, or the top-level statements. Relative imports are read beside the program; files in folders named
/// `parts` are only imported.
import Foundation
import Testing

@testable import WeirLang

@Suite struct MachineProgramTests {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Programs")
  static let programs: [String] = {
    let names = (try? FileManager.default.subpathsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(".weir") && !$0.contains("parts/") }.sorted()
  }()

  @Test func thereArePrograms() { #expect(Self.programs.count >= 15) }

  @Test(arguments: programs) func program(_ name: String) throws {
    let faults = try ProgramRun(name).faults()
    #expect(faults.isEmpty, "\(name): \(faults.joined(separator: "\n"))")
  }
}

/// One program, checked and run, and what it did not do as its comments say.
struct ProgramRun {
  let name: String
  let lines: [String]

  init(_ name: String) throws {
    self.name = name
    let text = try String(contentsOf: MachineProgramTests.folder.appending(path: name), encoding: .utf8)
    lines = text.components(separatedBy: "\n")
  }

  func faults() throws -> [String] {
    let output = notes("expect: ").map(\.text)
    let trap = notes("expect trap: ").first?.text
    let errors = notes("expect error: ")
    let warnings = notes("expect warning: ")
    if output.isEmpty && trap == nil && errors.isEmpty && warnings.isEmpty { return ["it expects nothing"] }

    let library = Library.language
    let home = MachineProgramTests.folder.appending(path: name).deletingLastPathComponent()
    let file = String(name.split(separator: "/").last ?? "")
    let checked = Checker.check(name: file, bytes: Array(lines.joined(separator: "\n").utf8), library: library) {
      (try? Data(contentsOf: home.appending(path: $0))).map { [UInt8]($0) }
    }
    let shown = DiagnosticPrinter(checked.sources).text(checked.diagnostics)
    func at(_ isError: Bool) -> [String] {
      checked.diagnostics.filter { $0.isError == isError }.map { found in
        let source = checked.sources.source(of: found.span)
        return "\(source?.position(of: Int(found.span.start)).line ?? 0) \(found.code)"
      }
    }
    let found = at(true).sorted()
    let wanted = errors.map { "\($0.line) \($0.text)" }.sorted()
    if found != wanted { return ["errors \(found) are not \(wanted)\n\(shown)"] }
    let warned = warnings.map { "\($0.line) \($0.text)" }.sorted()
    if !warned.isEmpty, at(false).sorted() != warned {
      return ["warnings \(at(false).sorted()) are not \(warned)\n\(shown)"]
    }
    guard let core = checked.program else { return [] }
    return try run(core, library, output, trap)
  }

  private func run(_ core: CoreProgram, _ library: Library, _ wanted: [String], _ trap: String?) throws -> [String] {
    let running = try Running(core, library)
    running.host.input = notes("stdin: ").map(\.text)
    for note in notes("env: ") {
      let parts = note.text.split(separator: "=", maxSplits: 1)
      running.host.variables[String(parts[0])] = String(parts[1])
    }
    var result = running.initialise()
    if case .success? = result, let entry = running.program.entry {
      running.scheduler.spawn(entry) { result = $0 }
      running.loop.run()
    }
    var faults: [String] = []
    var lines = running.host.output.components(separatedBy: "\n")
    if lines.last == "" { lines.removeLast() }
    if lines != wanted {
      let first = zip(lines, wanted).first { $0 != $1 }.map { "`\($0)` is not `\($1)`" }
      faults.append("printed \(lines.count) lines, not \(wanted.count): \(first ?? "\(lines.suffix(3))")")
    }
    switch result {
    case .success?: if let trap { faults.append("it should have failed: \(trap)") }
    case .failure(let failure)?:
      let said = "\(failure.code) \(failure.message)"
      if trap.map({ said.hasPrefix($0) }) != true {
        faults.append("it failed: \(said) \(failure.trace.map(\.function))")
      }
    case nil: if running.host.exitCode == nil { faults.append("it waits for ever") }
    }
    return faults
  }

  private func notes(_ label: String) -> [(line: Int, text: String)] {
    lines.enumerated().compactMap { index, line in
      line.range(of: "// " + label).map { (index + 1, String(line[$0.upperBound...])) }
    }
  }
}
