import WeirCore
import WeirIO
import WeirLang

/// A file of a program as `weir test` sees it: checked for the sake of its tests, with the project it belongs to.
package struct TestFile {
  package let file: ProgramFile
  package let project: Project
  /// Those whose name contains the filter, in written order.
  package let tests: [Test]
  /// All of them.
  package let names: [String]
  package var path: String { file.path }

  /// One `test "name" { … }`.
  package struct Test {
    package let name: String
    package let line: Int
    /// Its place among the exports of the program.
    let export: Int
  }

  package init(_ path: String, filter: String?, config: String?) throws {
    file = try ProgramFile(path, entry: nil)
    project = try Project.load(near: path, explicit: config)
    let core = file.result.program
    let all = (core?.exports ?? []).enumerated().filter { $0.element.kind == .test }
    names = all.map(\.element.name)
    let sources = file.result.sources
    tests = all.filter { filter.map($0.element.name.contains) ?? true }.map { index, export in
      let span = core?.functions[export.function].span ?? .none
      let line = sources.source(of: span)?.position(of: Int(span.start)).line ?? 1
      return Test(name: export.name, line: line, export: index)
    }
  }

  /// What the tests would reach and was not granted: nil if nothing.
  package func refusal(granted: EffectSet) -> String? {
    file.result.effects.missing(granted: granted, command: "weir test")
  }

  /// Files with tests that an operand means. Of a folder those that have none are left out.
  package static func paths(_ operand: String) throws(TestFailure) -> [String] {
    do throws(DiskFailure) {
      let found = try ProgramFiles.named(operand)
      if found == [operand] { return found }
      let tested = found.filter(mayHaveTests)
      guard tested.isEmpty else { return tested }
    } catch {
      throw .unreadable(error)
    }
    throw .noTests(operand)
  }

  package static func identity(_ path: String) -> [UInt64]? { HostProcess.identity(path) }

  /// What cannot be read is not left out in silence.
  private static func mayHaveTests(_ path: String) -> Bool {
    guard let bytes = try? HostProcess.read(path, limit: ProgramFile.byteLimit) else { return true }
    let source = Source(name: path, bytes: bytes)
    return Parser.parse(source).tree.declarations.contains { if case .test = $0.kind { true } else { false } }
  }
}

package enum TestFailure: Failure {
  /// A file, or a folder with everything below it.
  case noTests(String)
  case noneNamed(filter: String, nearest: String?)
  case unreadable(DiskFailure)

  package var code: String {
    switch self {
    case .noTests, .noneNamed: "NoTests"
    case .unreadable(let failure): failure.code
    }
  }
  package var message: String {
    switch self {
    case .noTests(let path): "there are no tests in \(path)"
    case .noneNamed(let filter, _): "no test's name contains \"\(filter)\""
    case .unreadable(let failure): failure.message
    }
  }
  package var hint: String? {
    switch self {
    case .noTests: "a test is `test \"what it shows\" { assert 1 + 1 == 2 }`"
    case .noneNamed(_, let near): near.map { "did you mean \"\($0)\"?" }
    case .unreadable(let failure): failure.hint
    }
  }
}
