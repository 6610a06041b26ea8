import Testing
import WeirCore
import WeirTesting

@testable import Weir

/// The project file on a real disk: folders of their own for each test, removed at its end.
@Suite struct ProjectTests {
  static let provider = """
    [[ai_provider]]
    schema_version = 1
    name = "NAME"
    endpoint = "https://api.test/v1/chat/completions"
    request_shape = "openai_chat"
    auth = { type = "bearer", env = "KEY" }

    """

  private func provider(_ name: String) -> String {
    Self.provider.split(separator: "NAME", omittingEmptySubsequences: false).joined(separator: name)
  }

  private func load(_ files: [String: String], near program: String = "app.weir", config: String? = nil) throws
    -> Project
  {
    try TemporaryFolder.with(files) { folder in
      try Project.load(near: Path.join(folder, program), explicit: config.map { Path.join(folder, $0) })
    }
  }

  @Test func withoutAFileNothingIsSaid() throws {
    let project = try load([:])
    #expect(project.files == [] && project.capabilities == nil && project.providers.isEmpty)
  }

  @Test func theNearestFileUpwardsCounts() throws {
    let files = [
      "weir.toml": "caps = [\"Net\"]", "a/weir.toml": "caps = [\"AI\", \"Stream\"]\n" + provider("mine"),
      "a/b/c/app.weir": "",
    ]
    let near = try load(files, near: "a/b/c/app.weir")
    #expect(near.capabilities == ["AI", "Stream"])
    #expect(near.providers.map(\.name) == ["mine"])
    #expect(near.files.count == 1)
    #expect(try load(files, near: "b.weir").capabilities == ["Net"])
    #expect(try load(files, near: "a/../a/./b/app.weir").capabilities == ["AI", "Stream"])
  }

  @Test func anotherConfigurationBesideIsReadToo() throws {
    let both = try load([
      "weir.toml": "caps = [\"AI\"]\n" + provider("one"), "ailang.toml": "[package]\nname = \"x\"\n" + provider("two"),
    ])
    #expect(both.providers.map(\.name) == ["one", "two"])
    #expect(both.capabilities == ["AI"])
    #expect(try load(["ailang.toml": "edition = 1\n" + provider("two")]).providers.map(\.name) == ["two"])
  }

  @Test func theFileThatWasNamedCountsAlone() throws {
    let files = ["weir.toml": "caps = [\"AI\"]", "other.toml": "caps = [\"Net\"]"]
    #expect(try load(files, config: "other.toml").capabilities == ["Net"])
  }

  static let broken: [(files: [String: String], config: String?, says: [String])] = [
    (["weir.toml": "caps = [\n\"AI\""], nil, ["weir.toml", "line 2", "column"]),
    (["weir.toml": "a = 1\na = 2"], nil, ["line 2"]),
    (["weir.toml": "cap = [\"AI\"]"], nil, ["unknown key \"cap\"", "caps"]),
    (["weir.toml": "colour = 1"], nil, ["unknown key \"colour\"", "known keys: caps, ai_provider"]),
    (["weir.toml": "caps = \"AI\""], nil, ["caps must be a list"]),
    (["weir.toml": "caps = [1]"], nil, ["caps must be a list"]),
    (["weir.toml": "[[ai_provider]]\nname = \"x\""], nil, ["weir.toml"]),
    (["weir.toml": provider, "ailang.toml": provider], nil, ["NAME", "as well"]),
    (["ailang.toml": "= 1"], nil, ["ailang.toml", "line 1"]),
    ([:], "none.toml", ["none.toml"]),
    (["mine.toml": "cpas = []"], "mine.toml", ["unknown key \"cpas\"", "did you mean \"caps\"?"]),
    (["weir.toml": "x = \"\u{0}\""], nil, ["line 1"]),
  ]

  @Test(arguments: 0..<broken.count) func mistakesAreNamedWithTheirPlace(_ number: Int) {
    let (files, config, says) = Self.broken[number]
    do {
      _ = try load(files, config: config)
      Issue.record("\(files) was taken")
    } catch {
      guard let failure = error as? ProjectFailure else {
        Issue.record("\(error)")
        return
      }
      let text = failure.message + " " + (failure.hint ?? "")
      for part in says { #expect(text.contains(part), "\(text)") }
    }
  }

  @Test func aFileThatIsTooLargeIsRefused() {
    #expect(throws: ProjectFailure.self) {
      try load(["weir.toml": String(repeating: "# long\n", count: Project.byteLimit / 7 + 1)])
    }
  }

  @Test func pathsAreResolvedAsTexts() {
    for (path, wanted) in [
      ("/a/../b", "/b"), ("/../a", "/a"), ("/a/./b//c/", "/a/b/c"), ("a/../../b", "../b"), ("/", "/"), ("./a", "a"),
    ] { #expect(Path.normalised(path) == wanted, "\(path)") }
    for (path, wanted) in [("/a/b", "/a"), ("/a", "/"), ("a", "."), ("a/b", "a"), ("/", "/")] {
      #expect(Path.folder(of: path) == wanted, "\(path)")
    }
  }
}
