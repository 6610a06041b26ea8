import Testing
import WeirCore

@testable import WeirServe

/// What the page is made of is looked at in a browser (`Tests/Product`); here is what it must not be.
@Suite struct ChatPageTests {
  @Test func isServedWithAPolicyThatAllowsOnlyItself() throws {
    let bench = try Bench { $0.ui = true }
    let page = bench.ask("GET", "/")
    let policy = try #require(page["Content-Security-Policy"])
    #expect(page.status == 200)
    #expect(page["Content-Type"] == "text/html; charset=utf-8")
    #expect(policy.hasPrefix("default-src 'none'; script-src 'sha256-"))
    #expect(!policy.contains("unsafe") && !policy.contains("*") && !policy.contains("none';;"))
    // 32 bytes are 44 characters of base 64.
    #expect(policy.split(separator: "'").filter { $0.hasPrefix("sha256-") }.map(\.utf8.count) == [51, 51])
  }

  @Test func isSmallAndNeedsNothingElse() throws {
    let bench = try Bench { $0.ui = true }
    let page = bench.ask("GET", "/").text
    #expect(page.utf8.count < 60 << 10)
    #expect(!page.contains("@BACKENDS@"))
    for banned in [
      "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "src=\"", "@import", "onclick=\"",
    ] {
      #expect(!page.contains(banned), "\(banned)")
    }
    for wanted in ["role=\"log\"", "role=\"status\"", "prefers-color-scheme: dark", "name=\"viewport\""] {
      #expect(page.contains(wanted), "\(wanted)")
    }
  }

  @Test func theTokenMovesFromTheLinkIntoACookie() throws {
    let bench = try Bench {
      $0.ui = true
      $0.token = "s3cret"
    }
    #expect(bench.ask("GET", "/").status == 401)
    #expect(bench.ask("GET", "/?token=wrong").status == 401)
    let login = bench.ask("GET", "/?token=s3cret")
    #expect(login.status == 303)
    #expect(login["Location"] == "/")
    #expect(login["Set-Cookie"] == "weir_token=s3cret; Path=/; HttpOnly; SameSite=Strict")
    #expect(bench.ask("GET", "/", [("Cookie", "weir_token=s3cret")]).status == 200)
  }

  @Test func backendsAreWrittenAsText() {
    let page = String(decoding: ChatPage.reply(backends: ["a\"><script>:1", "b&c"]).body, as: UTF8.self)
    #expect(page.contains(#"content="[&quot;a\&quot;>&lt;script>:1&quot;,&quot;b&amp;c&quot;]""#))
  }
}
