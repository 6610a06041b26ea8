import Testing
import WeirCore
import WeirIO
import WeirLang

@testable import Weir

@Suite struct NewProjectTests {
  static let names: [(name: String, isGood: Bool)] = [
    ("a", true), ("chat-bot_2", true), ("Z9", true), (String(repeating: "n", count: 64), true),
    (String(repeating: "n", count: 65), false), ("", false), (".", false), ("..", false), ("/", false), ("-x", false),
    ("1a", false), (".hidden", false), ("a b", false), ("a\nb", false), ("a\0b", false), ("ä", false), ("a\"b", false),
    ("a;rm", false), ("$HOME", false),
  ]

  @Test func whatMayBeAName() {
    for (name, isGood) in Self.names {
      for folder in [name, "some/where/" + name, name + "/"] where name == folder || !["", "/"].contains(name) {
        let project = try? NewProject(folder, .chat)
        #expect((project != nil) == isGood, "\(folder)")
      }
    }
  }

  @Test(arguments: ProjectTemplate.allCases) func everyTemplateIsFineAsItIs(_ template: ProjectTemplate) throws {
    try TemporaryFolder.with([:]) { folder in
      let made = try NewProject(folder + "/demo", template).make()
      #expect(made.map(Path.name) == ["weir.toml", "main.weir", "main_test.weir", ".gitignore", "README.md"])
      for path in made where path.hasSuffix(".weir") {
        let file = try ProgramFile(path)
        #expect(file.rendered(color: false, withNotes: false) == "")
        #expect(file.unrunnable == nil)
        let bytes = try FormatRun.read(path)
        guard case .unchanged = FormatRun.format(path, bytes, color: false) else {
          Issue.record("weir fmt would change \(path)")
          continue
        }
      }
      let granted = try Project.load(near: folder + "/demo/main.weir", explicit: nil).capabilities ?? []
      let effects = granted.reduce(into: EffectSet.io) { $0.formUnion(EffectSet($1) ?? .none) }
      let program = try ProgramFile(folder + "/demo/main.weir")
      #expect(program.refusal(template == .chat ? .serve : .entry, granted: effects) == nil)
      #expect { try NewProject(folder + "/demo", template).make() } throws: {
        ($0 as? NewProjectFailure)?.code == "FileExists"
      }
    }
  }

  @Test func whatIsThereStays() throws {
    try TemporaryFolder.with(["taken": "mine", "d/x": ""]) { folder in
      for name in ["taken", "d"] {
        #expect(throws: NewProjectFailure.self) { try NewProject(folder + "/" + name, .script).make() }
      }
      let bytes = try HostProcess.read(folder + "/taken", limit: 9)
      let names = try HostProcess.list(folder + "/d")
      #expect(bytes == Array("mine".utf8) && names == ["x"])
    }
  }
}
