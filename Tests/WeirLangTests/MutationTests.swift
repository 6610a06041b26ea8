/// One small mistake in a good program is at most three errors, the first of them where the mistake is.
///
/// The good programs are those of `Programs/` that run through. A failure prints its seed and the program:
/// `WEIR_SEED=n swift test --filter Mutation` begins with it, `WEIR_ROUNDS=2000` looks at as many.
import Foundation
import Testing
import WeirTesting

@testable import WeirLang

@Suite struct MutationTests {
  static let seed = ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
  static let rounds = ProcessInfo.processInfo.environment["WEIR_ROUNDS"].flatMap { Int($0) } ?? 60

  /// The key is made of the name, so that a program that is added changes few of the rounds.
  static let programs: [(key: UInt64, text: String)] = MachineProgramTests.programs.compactMap { name in
    let file = MachineProgramTests.folder.appending(path: name)
    guard !name.hasPrefix("lexical/"), let text = try? String(contentsOf: file, encoding: .utf8),
      !text.contains("// expect error"), !text.contains("import \".")
    else { return nil }
    return (name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }, text)
  }

  static func program(_ seed: UInt64) -> String {
    let weighed = programs.map { (SeededRandom(seed: $0.key ^ seed).next(), $0.text) }
    return weighed.min { $0.0 < $1.0 }?.1 ?? ""
  }

  static func check(_ text: String) -> CheckResult {
    Checker.check(name: "program.weir", bytes: Array(text.utf8), library: .language)
  }

  /// A kind of slip: which tokens it can happen to, and what stands there instead.
  struct Slip: Sendable {
    var name: String
    var fits: @Sendable (_ index: Int, _ tokens: [Token], _ text: (Int) -> String) -> Bool
    var replacement: @Sendable (String) -> String
    /// False: it gives another good type to something that may be used far away, and only the use is wrong.
    var showsWhereItIs = true
  }

  static let slips: [Slip] = [
    Slip(name: "drop a comma", fits: { i, tokens, _ in tokens[i].kind == .comma }, replacement: { _ in "" }),
    Slip(
      name: "drop a bracket",
      fits: { i, tokens, _ in
        [.roundOpen, .roundClose, .squareOpen, .squareClose, .curlyOpen, .curlyClose].contains(tokens[i].kind)
      }, replacement: { _ in "" }),
    Slip(
      name: "double a closing bracket",
      fits: { i, tokens, _ in [.roundClose, .squareClose, .curlyClose].contains(tokens[i].kind) },
      replacement: { $0 + $0 }),
    Slip(
      name: "drop the first quote", fits: { i, tokens, _ in [.string, .stringStart].contains(tokens[i].kind) },
      replacement: { String($0.dropFirst()) }),
    Slip(
      name: "drop the last quote", fits: { i, tokens, _ in [.string, .stringEnd].contains(tokens[i].kind) },
      replacement: { String($0.dropLast()) }),
    Slip(name: "= for ==", fits: { i, tokens, _ in tokens[i].kind == .equal }, replacement: { _ in "=" }),
    Slip(name: "== for =", fits: { i, tokens, _ in tokens[i].kind == .assign }, replacement: { _ in "==" }),
    Slip(name: "drop an arrow", fits: { i, tokens, _ in tokens[i].kind == .arrow }, replacement: { _ in "" }),
    Slip(name: "the other arrow", fits: { i, tokens, _ in tokens[i].kind == .arrow }, replacement: { _ in "->" }),
    Slip(name: "drop a colon", fits: { i, tokens, _ in tokens[i].kind == .colon }, replacement: { _ in "" }),
    Slip(name: "drop a point", fits: { i, tokens, _ in tokens[i].kind == .dot }, replacement: { _ in " " }),
    Slip(
      name: "misspell a name",
      fits: { i, tokens, text in
        // Not where it is declared: then only its uses are wrong.
        tokens[i].kind == .name && text(i).utf8.count > 2 && (1..<max(i, 1)).contains { text($0) == text(i) }
          && tokens[i - 1].kind != .kAs && tokens[i - 1].kind != .kLet
      },
      replacement: { String($0.first!) + "x" + $0.dropFirst(2) }),
    Slip(
      name: "misspell a word", fits: { i, tokens, _ in tokens[i].kind.isKeyword },
      replacement: { $0.count > 2 ? String($0.prefix(1)) + String($0.dropFirst().reversed()) : $0 + "x" }),
    Slip(name: "drop a word", fits: { i, tokens, _ in tokens[i].kind.isKeyword }, replacement: { _ in "" }),
    Slip(
      name: "a number for a text", fits: { i, tokens, _ in tokens[i].kind == .string }, replacement: { _ in "17" },
      showsWhereItIs: false),
    Slip(
      name: "a text for a number", fits: { i, tokens, _ in tokens[i].kind == .int }, replacement: { _ in "\"x\"" },
      showsWhereItIs: false),
    Slip(
      name: "drop a value",
      fits: { i, tokens, _ in [.int, .float, .string].contains(tokens[i].kind) }, replacement: { _ in "" }),
  ]

  @Test func oneMistakeIsFewErrorsNearIt() {
    #expect(Self.programs.count > 100)
    var (made, errors) = (0, 0)
    for round in 0..<Self.rounds {
      let seed = Self.seed &+ UInt64(round)
      guard let (slip, mutated, lines) = Self.mutate(SeededRandom(seed: seed)) else { continue }
      made += 1
      let result = Self.check(mutated)
      let found = result.diagnostics.filter(\.isError)
      guard let first = found.first else { continue }
      errors += 1
      let places = ([first.primary] + first.related).map { label in
        result.sources.source(of: label.span)?.position(of: Int(label.span.start)).line ?? -9
      }
      let isNear = !slip.showsWhereItIs || places.contains { place in lines.contains { abs($0 - place) <= 1 } }
      if found.count > 3 || !isNear {
        let shown = DiagnosticPrinter(result.sources).text(found)
        let numbered = mutated.components(separatedBy: "\n").enumerated().map { "\($0.offset + 1)\t\($0.element)\n" }
        Issue.record(
          "WEIR_SEED=\(seed): \(slip.name) in line \(lines), \(found.count) errors\n\(numbered.joined())\n\(shown)")
      }
    }
    #expect(errors * 2 > made, "most slips are mistakes: \(errors) of \(made)")
  }

  /// The program with one slip, and the lines where it may be noticed: its own, and its bracket's partner's.
  private static func mutate(_ random: SeededRandom) -> (slip: Slip, text: String, lines: [Int])? {
    let text = program(random.seed)
    let slip = random.pick(slips)
    let source = Source(name: "program.weir", text: text)
    let lexed = Lexer.lex(source)
    func spelling(_ index: Int) -> String {
      source.text(Int(lexed.tokens[index].start)..<Int(lexed.tokens[index].end))
    }
    let fitting = lexed.tokens.indices.filter { slip.fits($0, lexed.tokens, spelling) }
    guard !fitting.isEmpty else { return nil }
    let index = random.pick(fitting)
    let token = lexed.tokens[index]
    var bytes = Array(source.bytes[..<Int(token.start)])
    bytes += Array(slip.replacement(spelling(index)).utf8)
    bytes += source.bytes[Int(token.end)...]
    var lines = [source.position(of: Int(token.start)).line, source.position(of: Int(token.end)).line]
    if lexed.partner[index] >= 0 {
      lines.append(source.position(of: Int(lexed.tokens[Int(lexed.partner[index])].start)).line)
    }
    return (slip, String(decoding: bytes, as: UTF8.self), lines)
  }
}
