/// Every page of `weir explain` is true: its wrong example gets its code and no other, its right example nothing at all, and
/// every code of the sources has a page. `docs/errors.md` lists the pages: `WEIR_UPDATE_GOLDEN=1` writes it.
import Foundation
import Synchronization
import Testing
import WeirCore
import WeirLang
import _StringProcessing

@testable import Weir

@Suite struct ErrorPageTests {
  static let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../..").standardized
  static var library: Library { ProgramFile.library }

  private static func codes(_ patterns: [String]) throws -> Set<String> {
    var codes: Set<String> = []
    let sources = root.appendingPathComponent("Sources")
    for pattern in patterns {
      let regex = try Regex(pattern)
      let names = try FileManager.default.subpathsOfDirectory(atPath: sources.path)
      for name in names where name.hasSuffix(".swift") {
        let text = try String(contentsOf: sources.appendingPathComponent(name), encoding: .utf8)
        for match in text.matches(of: regex) { if let code = match[1].substring { codes.insert(String(code)) } }
      }
    }
    return codes
  }

  /// The codes of failures that end a program or keep it from being run: what stands in quotes between the type's name
  /// and its `message`.
  private static func failures(_ types: String...) throws -> Set<String> {
    let between = types.map { "\($0): Failure[\\s\\S]*?var code: String([\\s\\S]*?)var message" }
    var codes: Set<String> = []
    for text in try Self.codes(between) {
      codes.formUnion(text.matches(of: /"([A-Z][A-Za-z]+)"/).map { String($0.1) })
    }
    return codes
  }

  @Test func everyCodeHasAPageAndEveryPageACode() throws {
    let diagnostics = try Self.codes(["\"([EWN][0-9]{4})\""])
    let traps = try Self.codes(["Trap\\(\\s*\"([A-Z][A-Za-z]+)\"", "fail\\(\\s*code: \"([A-Z][A-Za-z]+)\""])
      .union(Self.failures("SelectFailure", "ProcessFailure", "RecordingFailure", "AllowlistFailure", "StoreFailure"))
    #expect(diagnostics.count >= 140 && traps.count >= 20, "\(diagnostics.count) \(traps.count)")
    let pages = ErrorPage.all.map(\.code)
    #expect(Set(pages).count == pages.count)
    #expect(diagnostics.union(traps).subtracting(pages).sorted() == [], "these have no page")
    #expect(Set(pages).subtracting(diagnostics).subtracting(traps).sorted() == ["NativeFailed"], "nothing makes these")
    for page in ErrorPage.all {
      #expect(!page.title.isEmpty && !page.rule.isEmpty && !page.why.isEmpty, "\(page.code)")
      #expect(!page.title.hasSuffix("."), "\(page.code): a title is no sentence")
      #expect((page.wrong == nil) == (page.noExample != nil), "\(page.code): an example, or why there is none")
    }
  }

  @Test func theWrongExampleGetsTheCode() {
    for page in ErrorPage.all where page.isDiagnostic {
      guard let wrong = page.wrong else { continue }
      let result = ErrorPage.check(wrong, library: Self.library)
      let found = result.diagnostics.filter { page.code.hasPrefix("N") || $0.severity != .note }
      let shown = DiagnosticPrinter(result.sources).text(result.diagnostics)
      #expect(Set(found.map(\.code)) == [page.code], "\(page.code):\n\(shown)")
      #expect(found.count <= 3, "\(page.code): one mistake is enough\n\(shown)")
      #expect(page.message(library: Self.library)?.contains(page.code) == true)
    }
  }

  @Test func theRightExampleIsFineAndWellFormatted() throws {
    for page in ErrorPage.all {
      guard let right = page.right else {
        #expect(page.wrong == nil, "\(page.code)")
        continue
      }
      let result = ErrorPage.check(right, library: Self.library)
      let shown = DiagnosticPrinter(result.sources).text(result.diagnostics)
      #expect(shown == "", "\(page.code):\n\(shown)")
      for file in right.files {
        switch FormatRun.format(file.path, Array(file.text.utf8), color: false) {
        case .unchanged: break
        case .changed(let text): Issue.record("\(page.code) is not in canonical format, which is\n\(text)")
        default: Issue.record("\(page.code) cannot be formatted")
        }
      }
    }
  }

  @Test func failuresAtRunTimeSayWhatThePageSays() async throws {
    for page in ErrorPage.all where !page.isDiagnostic {
      guard let wrong = page.wrong, let right = page.right else {
        #expect(page.says == nil, "\(page.code)")
        continue
      }
      let failure = await Self.run(wrong.text)
      #expect(failure?.code == page.code, "\(page.code): \(failure.map { "\($0)" } ?? "it ran")")
      #expect(failure?.message == page.says, "\(page.code)")
      let other = await Self.run(right.text)
      #expect(other == nil, "\(page.code): \(other.map { "\($0)" } ?? "")")
    }
  }

  private static func run(_ text: String) async -> WeirError? {
    var options = RunOptions(capabilities: Set(RunOptions.Capability.allCases))
    options.output = { _, _ in }
    do {
      _ = try await WeirProgram(source: text).run(options)
      return nil
    } catch {
      return error
    }
  }

  @Test func theIndexIsCurrent() throws {
    let file = Self.root.appendingPathComponent("docs/errors.md")
    let index = ErrorPage.index
    if ProcessInfo.processInfo.environment["WEIR_UPDATE_GOLDEN"] != nil {
      try index.write(to: file, atomically: true, encoding: .utf8)
    }
    let written = try String(contentsOf: file, encoding: .utf8)
    #expect(written == index, "WEIR_UPDATE_GOLDEN=1 swift test --filter ErrorPage")
  }
}
