import Testing
import WeirCore

@testable import WeirRuntime

/// What may be started, and with which variables: pure tables.
@Suite struct ProcessPolicyTests {
  private static let there = ["echo": "/bin/echo", "git": "/usr/bin/git", "sox": "/usr/local/bin/sox"]

  /// list, command, arguments → the file that runs, or the code and what it names
  static let matrix: [(list: String, command: String, arguments: [String], result: String)] = [
    ("echo", "echo", [], "/bin/echo"), ("echo", "echo", ["any", "thing"], "/bin/echo"),
    ("echo", "/bin/echo", [], "/bin/echo"), ("echo", "/usr/bin/echo", [], "NotAllowed \"/usr/bin/echo\""),
    ("echo", "rm", ["-rf", "/"], "NotAllowed \"rm\""), ("echo", "./echo", [], "NotAllowed \"./echo\""),
    ("echo", "ech", [], "NotAllowed \"ech\""), ("echo", "", [], "NotAllowed \"\""),
    ("", "echo", [], "NotAllowed \"echo\""),
    ("echo,git", "git", ["push"], "/usr/bin/git"), ("git:status", "git", ["status"], "/usr/bin/git"),
    ("git:status", "git", ["status", "--short"], "/usr/bin/git"),
    ("git:status", "git", ["push"], "NotAllowed \"git push\""),
    ("git:status", "git", [], "NotAllowed \"git\""),
    ("git:status", "git", ["-c", "x=y", "status"], "NotAllowed \"git -c\""),
    ("git:status", "git", ["statusx"], "NotAllowed \"git statusx\""),
    ("git:remote:show", "git", ["remote", "show", "origin"], "/usr/bin/git"),
    ("git:remote:show", "git", ["remote", "add"], "NotAllowed \"git remote\""),
    ("git:status,git:log", "git", ["log"], "/usr/bin/git"), ("git:status,git", "git", ["push"], "/usr/bin/git"),
    ("/usr/bin/sox", "/usr/bin/sox", [], "/usr/bin/sox"), ("/usr/bin/sox", "sox", [], "/usr/bin/sox"),
    ("/usr/bin/sox", "/usr/local/bin/sox", [], "NotAllowed \"/usr/local/bin/sox\""),
    ("/usr/bin/sox:-n", "sox", ["-n", "x"], "/usr/bin/sox"), ("/usr/bin/sox:-n", "sox", ["x"], "NotAllowed \"sox x\""),
    ("missing", "missing", [], "ProgramNotFound"), ("missing", "echo", [], "NotAllowed \"echo\""),
  ]

  @Test(arguments: matrix.indices) func allowlist(_ index: Int) throws {
    let (list, command, arguments, wanted) = Self.matrix[index]
    let names = list.split(separator: ",").map(String.init)
    let allowlist = try ProcessAllowlist(names) { Self.there[$0] }
    do throws(ProcessFailure) {
      #expect(try allowlist.path(of: command, arguments) == wanted, "\(list) \(command) \(arguments)")
    } catch {
      #expect(wanted.hasPrefix(error.code), "\(list) \(command) \(arguments): \(error)")
      if case .notAllowed = error {
        let named = wanted.dropFirst("NotAllowed ".count)
        #expect(error.message == "\(named) is not allowed by --process-allowlist \"\(list)\"")
      }
    }
  }

  @Test(arguments: [":status", "git:", "git::x", "./tool", "bin/tool", "a\0b"])
  func badEntriesAreRefused(_ entry: String) {
    #expect(throws: AllowlistFailure(entry: entry)) { try ProcessAllowlist([entry]) { _ in nil } }
  }

  /// A name means what it meant at the start, whatever PATH finds later.
  @Test func namesArePinned() throws {
    var asked: [String] = []
    let allowlist = try ProcessAllowlist(["echo", "/bin/cat"]) {
      asked.append($0)
      return "/first/\($0)"
    }
    for _ in 0..<3 { #expect(try allowlist.path(of: "echo", []) == "/first/echo") }
    #expect(asked == ["echo"])
  }

  static let secrets: [(name: String, value: String, isSecret: Bool)] = [
    ("OPENAI_API_KEY", "sk-1", true), ("AWS_SECRET_ACCESS_KEY", "x", true), ("GITHUB_TOKEN", "x", true),
    ("DB_PASSWORD", "x", true), ("npm_token", "x", true), ("PGPASSWORD", "x", true), ("API_KEYS", "x", true),
    ("DATABASE_URL", "postgres://u:p@db/x", true), ("DATABASE_URL", "postgres://db/x", false),
    ("HTTPS_PROXY", "http://user:pw@proxy:3128", true), ("HTTPS_PROXY", "http://proxy:3128", false),
    ("HOMEPAGE", "https://host/a:b@c", false), ("PATH", "/bin", false), ("HOME", "/root", false),
    ("KEYBOARD", "de", false), ("MONKEY", "x", false), ("SSH_AUTH_SOCK", "/run/agent", false),
    ("TOKEN_FILE", "/run/t", false), ("LANG", "C", false), ("EMPTY", "", false),
  ]

  @Test(arguments: secrets.indices) func whatLooksLikeASecret(_ index: Int) {
    let (name, value, isSecret) = Self.secrets[index]
    #expect(ChildEnvironment.isSecret(name, value) == isSecret, "\(name)=\(value)")
  }

  @Test func secretsAreInheritedWhenAskedFor() {
    let all = [("PATH", "/bin"), ("MY_LLM", "k"), ("GITHUB_TOKEN", "t")] as [EnvironmentVariable]
    func names(_ asked: [String]) -> [String] {
      ChildEnvironment.inherited(all, keys: ["MY_LLM"], asked: asked).map(\.name)
    }
    #expect(names([]) == ["PATH"])
    #expect(names(["MY_LLM"]) == ["PATH", "MY_LLM"])
    #expect(names(["GITHUB_TOKEN", "NOT_THERE"]) == ["PATH", "GITHUB_TOKEN"])
    #expect(names(["*"]) == ["PATH", "MY_LLM", "GITHUB_TOKEN"])
  }
}
