import Testing
import WeirLang
import WeirTesting

import struct Foundation.Data
import class Foundation.ProcessInfo

/// What holds for any bytes: a tree comes out, spans lie in the file, nodes are within the depth limit, the work is linear
/// in the bytes (counted, not timed), and the messages can be shown. A failure prints the seed; `WEIR_SEED=n` repeats it.
@Suite struct SyntaxPropertyTests {
  static let seed = ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1

  /// The sources of the goldens: every construct, and every mistake.
  static let programs: [[UInt8]] = (SyntaxGoldenTests.cases("trees") + SyntaxGoldenTests.cases("errors")).map { name in
    let data = (try? Data(contentsOf: SyntaxGoldenTests.folder.appendingPathComponent(name))) ?? Data()
    let marker = Data("=== expected\n".utf8)
    return [UInt8](data.range(of: marker).map { data[..<$0.lowerBound] } ?? data)
  }

  /// Steps for each byte and a little; measured at most 9 for dense programs.
  static let stepsPerByte = 24

  /// Nil when all is well.
  static func fault(_ bytes: [UInt8]) -> String? {
    let source = Source(name: "random", bytes: bytes)
    let result = Parser.parse(source)
    if result.steps > stepsPerByte * bytes.count + 200 { return "\(result.steps) steps for \(bytes.count) bytes" }
    if result.diagnostics.count > Parser.diagnosticLimit + 1 { return "\(result.diagnostics.count) diagnostics" }
    for diagnostic in result.diagnostics {
      for span in [diagnostic.span] + diagnostic.related.map(\.span)
      where span.start > span.end || span.end > bytes.count {
        return "\(diagnostic.code) outside of the file: \(span)"
      }
    }
    if let fault = SyntaxTreeCheck.fault(result.tree, length: bytes.count) { return fault }
    let shown = DiagnosticPrinter(source).text(Array(result.diagnostics.prefix(5)))
    if shown.utf8.contains(where: { $0 < 0x20 && $0 != 0x0A }) { return "a control character is shown" }
    return nil
  }

  @Test func anyBytes() {
    let random = SeededRandom(seed: Self.seed)
    for round in 0..<1500 {
      let bytes = (0..<random.int(below: 120)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let fault = Self.fault(bytes)
      #expect(fault == nil, "seed \(Self.seed), round \(round): \(bytes)")
    }
  }

  @Test func anyWords() {
    let words =
      Token.Kind.keywords.keys.sorted()
      + [
        "x", "Some", "stream", "parallel", "race", "step", "with", "exec", "agent", "tool", "workflow", "guard",
        "before",
        "test", "provider", "extern", "sh", "limit", "onerror", "1", "2.5", "\"s\"", "\"a${", "}\"", "\"\"\"", "\"",
        "(", ")",
        "[", "]", "{", "}", "(", ")", "{", "}", ",", ";", ":", "::", ".", "..", "..=", "...", "=", "==", "=>", "->",
        "!", "-",
        "++", "*", "||", "|", "|>", "&&", "\\", "@", "?", "/*", "*/", "//", "///", "r\"", "\\x.", "${", "'", "#", "\n",
        "\n", "\n",
      ]
    let random = SeededRandom(seed: Self.seed)
    for round in 0..<4000 {
      var text = ""
      for _ in 0..<random.int(below: 60) {
        text += words[random.int(below: words.count)]
        if random.int(below: 4) > 0 { text += " " }
      }
      let fault = Self.fault(Array(text.utf8))
      #expect(fault == nil, "seed \(Self.seed), round \(round): \(text.debugDescription)")
    }
  }

  @Test func everyTruncation() {
    for program in Self.programs {
      for end in 0...program.count {
        let fault = Self.fault(Array(program[..<end]))
        #expect(fault == nil, "cut at \(end): \(String(decoding: program[..<end].suffix(40), as: UTF8.self))")
      }
    }
  }

  @Test func everyLineLeftOut() {
    for program in Self.programs {
      let lines = program.split(separator: 0x0A, omittingEmptySubsequences: false)
      for i in lines.indices {
        let rest = Array((lines[..<i] + lines[(i + 1)...]).joined(separator: [0x0A]))
        #expect(Self.fault(rest) == nil, "without line \(i + 1): \(String(decoding: lines[i], as: UTF8.self))")
      }
    }
  }

  @Test func mutations() {
    let random = SeededRandom(seed: Self.seed)
    let bytes = Array("(){}[]\"\\,;:.=|>-!?@$ \n/*`'x1_é".utf8)
    for round in 0..<2000 {
      var program = Self.programs[random.int(below: Self.programs.count)]
      for _ in 0...random.int(below: 4) where !program.isEmpty {
        let at = random.int(below: program.count)
        switch random.int(below: 3) {
        case 0: program.remove(at: at)
        case 1: program.insert(bytes[random.int(below: bytes.count)], at: at)
        default: program[at] = bytes[random.int(below: bytes.count)]
        }
      }
      let fault = Self.fault(program)
      #expect(
        fault == nil, "seed \(Self.seed), round \(round): \(String(decoding: program, as: UTF8.self).debugDescription)")
    }
  }

  /// A valid program has the same tree with either line break, and with a blank line or a comment between any two lines.
  @Test func lineBreaksAndCommentsChangeNothing() {
    for name in SyntaxGoldenTests.cases("trees") where !name.contains("strings") && !name.contains("services") {
      let program = Self.programs[(SyntaxGoldenTests.cases("trees")).firstIndex(of: name) ?? 0]
      let text = String(decoding: program, as: UTF8.self)
      let dump = TreePrinter.text(Parser.parse(Source(name: name, text: text)).tree)
      for other in ["\r\n", "\n\n", " // note\n", " -- note\n", " /* note */\n", "\n/* a\n b */\n"] {
        let changed = text.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: other)
        let result = Parser.parse(Source(name: name, text: changed))
        #expect(TreePrinter.text(result.tree) == dump, "\(name) with \(other.debugDescription)")
      }
    }
  }
}
