/// The promise of the checker, from seeds: a program it accepts never fails with a type error when it runs.
///
/// `ProgramGenerator` writes well-typed programs: each must check without an error and run. Then tokens are deleted,
/// replaced and swapped: each mutant is refused, or runs without a broken promise of the compiler (`InternalError`, which
/// is also what a native says to an argument of the wrong kind). A failure prints the seed; `WEIR_SEED=n` repeats it.
import Foundation
import Testing
import WeirTesting

@testable import WeirLang

@Suite struct PropertyTypedProgramTests {
  static let seed = ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1
  /// Rounds that fit a run of all tests; `WEIR_ROUNDS=20` makes twenty times as many, for a search at night.
  static func rounds(_ count: Int) -> Int {
    count * (ProcessInfo.processInfo.environment["WEIR_ROUNDS"].flatMap { Int($0) } ?? 1)
  }
  /// Turns of the loop that a mutant gets before its run is given up: it may loop for ever, and that is no type error.
  static let turnLimit = 40
  /// What a correct program may still fail with.
  static let honest: Set<String> = [
    "Overflow", "DivisionByZero", "OutOfBounds", "TooDeep", "TooLarge", "AssertionFailed", "Unmatched", "LimitReached",
    "RangeTooLarge", "NegativeExponent", "NoJobs", "ReadBeforeSet",
  ]

  static func check(_ text: String) -> CheckResult {
    Checker.check(name: "random.weir", bytes: Array(text.utf8), library: .language)
  }

  /// nil when it ran without a broken promise.
  static func fault(_ core: CoreProgram) -> String? {
    guard let running = try? Running(core, .language) else { return "it does not emit" }
    var failure: Trap?
    for start in [running.program.initialiser, running.program.entry].compactMap(\.self) where failure == nil {
      running.scheduler.spawn(start) { if case .failure(let trap) = $0 { failure = trap } }
      running.loop.run(turnLimit: turnLimit)
    }
    return failure.flatMap { honest.contains($0.code) ? nil : "\($0.code): \($0.message)" }
  }

  @Test func wellTypedProgramsCheckAndRun() {
    for round in 0..<Self.rounds(50) {
      let seed = Self.seed &* 1_000_003 &+ UInt64(round)
      let generator = ProgramGenerator(SeededRandom(seed: seed))
      let text = generator.program()
      let result = Self.check(text)
      guard let core = result.program else {
        Issue.record("seed \(seed): refused\n\(text)\n\(DiagnosticPrinter(result.sources).text(result.diagnostics))")
        return
      }
      if let fault = Self.fault(core) {
        Issue.record("seed \(seed): \(fault)\n\(text)")
        return
      }
    }
  }

  @Test func mutantsAreRefusedOrRun() {
    var accepted = 0
    for round in 0..<Self.rounds(200) {
      let seed = Self.seed &* 2_000_003 &+ UInt64(round)
      let random = SeededRandom(seed: seed)
      let text = Self.mutant(ProgramGenerator(random).program(statements: 4), random)
      let result = Self.check(text)
      guard let core = result.program else {
        #expect(result.diagnostics.hasErrors, "seed \(seed): refused without a word\n\(text)")
        continue
      }
      accepted += 1
      if let fault = Self.fault(core) {
        Issue.record("seed \(seed): \(fault)\n\(text)")
        return
      }
    }
    // A test that refuses everything proves nothing.
    #expect(accepted > 2, "\(accepted)")
  }

  /// The programs of the chapters, damaged: more constructs than the generator knows.
  @Test func damagedProgramsAreRefusedOrRun() throws {
    let names = MachineProgramTests.programs
    var accepted = 0
    for round in 0..<Self.rounds(300) {
      let seed = Self.seed &* 3_000_017 &+ UInt64(round)
      let random = SeededRandom(seed: seed)
      let name = names[random.int(below: names.count)]
      let text = try String(contentsOf: MachineProgramTests.folder.appending(path: name), encoding: .utf8)
      if text.utf8.count > 1_500 { continue }
      let damaged = Self.mutant(text, random)
      let result = Self.check(damaged)
      guard let core = result.program else {
        #expect(result.diagnostics.hasErrors, "seed \(seed): \(name) refused without a word\n\(damaged)")
        continue
      }
      accepted += 1
      if let fault = Self.fault(core) {
        Issue.record("seed \(seed): \(name): \(fault)\n\(damaged)")
        return
      }
    }
    #expect(accepted > 12, "\(accepted)")
  }

  /// Bytes and words in any order through the whole checker: it ends, and says something or gives a program.
  @Test func anyBytesAreChecked() {
    for round in 0..<Self.rounds(150) {
      let seed = Self.seed &* 4_000_037 &+ UInt64(round)
      let random = SeededRandom(seed: seed)
      let bytes = (0..<random.int(below: 80)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      let result = Checker.check(name: "random.weir", bytes: bytes, library: .language)
      #expect(result.program != nil || result.diagnostics.hasErrors, "seed \(seed): \(bytes)")
    }
  }

  @Test func anyWordsInsideAFunctionAreChecked() {
    for round in 0..<Self.rounds(150) {
      let seed = Self.seed &* 5_000_011 &+ UInt64(round)
      let random = SeededRandom(seed: seed)
      var text = "type T = A | B(int)\nfunc f(n: int) -> int { n }\nfunc main() {\n"
      for _ in 0..<random.int(below: 40) { text += random.pick(strayWords) + " " }
      let result = Self.check(text + "\n}\n")
      #expect(result.program != nil || result.diagnostics.hasErrors, "seed \(seed): \(text)")
      if let core = result.program, let fault = Self.fault(core) {
        Issue.record("seed \(seed): \(fault)\n\(text)")
        return
      }
    }
  }

  // MARK: Mutation

  /// One or two tokens deleted, replaced or swapped.
  static func mutant(_ text: String, _ random: SeededRandom) -> String {
    var tokens = words(of: text)
    let solid = tokens.indices.filter { tokens[$0].contains { !$0.isWhitespace } }
    guard solid.count > 3 else { return text }
    for _ in 0...random.int(below: 2) {
      let at = random.pick(solid)
      switch random.int(below: 5) {
      case 0: tokens[at] = ""
      case 1: tokens[at] = random.pick(strayWords)
      case 2: tokens.swapAt(at, random.pick(solid))
      case 3: tokens[at] = tokens[random.pick(solid)]
      default: tokens[at] += " " + tokens[random.pick(solid)]
      }
    }
    return tokens.joined()
  }

  /// Names, numbers and single signs, with what stands between them: joined again they are the text.
  private static func words(of text: String) -> [String] {
    var parts: [String] = []
    var isWord = false
    for character in text {
      let joins = character.isLetter || character.isNumber || character == "_"
      if joins && isWord { parts[parts.count - 1].append(character) } else { parts.append(String(character)) }
      isWord = joins
    }
    return parts
  }
}

/// Words a mutant gets: of every kind, and values of every type.
private let strayWords = [
  "1", "0", "2.5", "\"s\"", "true", "nil", "Some", "None", "Ok", "Err", "[]", "()", "{}", "x", "n", "xs", "r", "f", "p",
  "main", "show", "len", "A", "B", "int", "string", "float", "bool", "(", ")", "[", "]", "{", "}", ",", ":", ".", "..",
  "+", "-", "*", "/", "%", "**", "++", "::", "==", "<", "&&", "||", "|>", "?", "!", "=>", "->", "=", "|", "\\x.", "if",
  "then", "else", "match", "let", "var", "in", "for", "while", "return", "break", "func", "_", ";", "\n", "defer",
  "assert", "(x) => x", "parallel [1, 2]", "race [1]", "{a: 1}", "{\"k\": 1}", "(1, \"t\")", "0..3",
]

extension SeededRandom {
  fileprivate func pick<T>(_ items: [T]) -> T { items[int(below: items.count)] }
}
