import Foundation
import Testing
import WeirLang
import WeirTesting

@testable import WeirLang

/// What holds for the formatter on any program: the same meaning, the same comments in order, and nothing left to do a second
/// time. A failure prints the seed; `WEIR_SEED=n` repeats it.
@Suite struct FormatPropertyTests {
  static let seed = ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1

  static let rounds = ProcessInfo.processInfo.environment["WEIR_ROUNDS"].flatMap { Int($0) } ?? 150

  /// Every valid program of these tests and of the examples.
  static let programs: [(name: String, text: String)] = {
    let here = URL(filePath: #filePath).deletingLastPathComponent()
    let root = here.deletingLastPathComponent().deletingLastPathComponent()
    var found: [(String, String)] = []
    for folder in [here.appending(path: "Programs"), here.appending(path: "golden"), root.appending(path: "examples")] {
      for case let file as URL in FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)!
      where file.pathExtension == "weir" {
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { continue }
        let program = text.components(separatedBy: "\n=== ")[0] + "\n"
        if Parser.parse(Source(name: "p", text: program)).diagnostics.isEmpty {
          found.append((file.lastPathComponent, program))
        }
      }
    }
    for module in Library.language.modules { found.append((module.name, module.source)) }
    return found.sorted { $0.0 < $1.0 }
  }()

  /// Nil when all is well.
  static func fault(_ text: String) -> String? {
    let source = Source(name: "p", text: text)
    guard case .formatted(let once) = Formatter.format(source) else {
      if ProcessInfo.processInfo.environment["WEIR_SHOW"] != nil { print(text) }
      return "not formatted"
    }
    let again = Source(name: "p", text: once)
    let parsed = Parser.parse(again)
    if TreePrinter.meaning(parsed.tree) != TreePrinter.meaning(Parser.parse(source).tree) { return "another meaning" }
    let comments = Comments(source, Lexer.lex(source)).all.map(\.text)
    if Comments(again, Lexer.lex(again)).all.map(\.text) != comments { return "other comments" }
    guard case .formatted(let twice) = Formatter.format(again) else { return "not formatted twice" }
    if twice != once {
      let (a, b) = (once.components(separatedBy: "\n"), twice.components(separatedBy: "\n"))
      let at = zip(a, b).prefix { $0 == $1 }.count
      let around = max(0, at - 3)
      return "changed again:\n" + a[around...].prefix(9).joined(separator: "\n") + "\n--- is now\n"
        + b[around...].prefix(9).joined(separator: "\n")
    }
    return nil
  }

  @Test func everyProgramHere() {
    #expect(Self.programs.count > 40)
    for (name, text) in Self.programs {
      let fault = Self.fault(text)
      #expect(fault == nil, "\(name): \(fault ?? "")")
    }
  }

  /// Types and effects are what they were, and so is what the program may say.
  @Test func formattedProgramsCheckTheSame() {
    var checked = 0
    for (name, text) in Self.programs where !name.contains("/") {
      guard case .formatted(let formatted) = Formatter.format(Source(name: name, text: text)) else { continue }
      let before = Checker.check(name: name, bytes: Array(text.utf8), library: .language)
      let after = Checker.check(name: name, bytes: Array(formatted.utf8), library: .language)
      #expect(before.signatures.map { "\($0)" } == after.signatures.map { "\($0)" }, "\(name)")
      #expect(before.diagnostics.map(\.code).sorted() == after.diagnostics.map(\.code).sorted(), "\(name)")
      if !before.signatures.isEmpty { checked += 1 }
    }
    #expect(checked > 20)
  }

  @Test func generatedPrograms() {
    var valid = 0
    for round in 0..<Self.rounds {
      let random = SeededRandom(seed: Self.seed &+ UInt64(round))
      var generator = FormatProgramGenerator(random)
      let text = generator.program()
      let parsed = Parser.parse(Source(name: "generated", text: text))
      guard !parsed.diagnostics.hasErrors else {
        if ProcessInfo.processInfo.environment["WEIR_SHOW"] != nil {
          print(DiagnosticPrinter(Source(name: "generated", text: text)).text(Array(parsed.diagnostics.prefix(1))))
        }
        continue
      }
      valid += 1
      let fault = Self.fault(text)
      #expect(fault == nil, "seed \(Self.seed &+ UInt64(round)): \(fault ?? "")")
    }
    // The generator is meant to know the grammar.
    #expect(valid * 10 > Self.rounds * 9, "only \(valid) of \(Self.rounds) generated programs are valid")
  }
}
