import Foundation
import Testing
import WeirCore

@testable import Weir

/// Which files an operand means.
@Suite struct ProgramFilesTests {
  private func names(_ files: [String: String], _ links: [(String, String)] = [], _ operand: String = "") throws
    -> [String]
  {
    try TemporaryFolder.with(files) { folder in
      for (name, to) in links {
        try FileManager.default.createSymbolicLink(atPath: folder + "/" + name, withDestinationPath: to)
      }
      return try ProgramFiles.named(operand.isEmpty ? folder : folder + "/" + operand).map {
        String($0.dropFirst(folder.count + 1))
      }
    }
  }

  @Test func whatAFolderHolds() throws {
    let files = [
      "b.weir": "", "a.weir": "", "a.txt": "", ".hidden.weir": "", ".git/x.weir": "", "d/c.weir": "", "d/e/f.weir": "",
    ]
    #expect(try names(files) == ["a.weir", "b.weir", "d/c.weir", "d/e/f.weir"])
    #expect(try names(files, [], "d") == ["d/c.weir", "d/e/f.weir"])
    #expect(try names(files, [], "a.txt") == ["a.txt"], "a file that is named is meant, whatever its name")
    #expect(try names(files, [], "gone.weir") == ["gone.weir"], "whoever reads it says that it is not there")
    #expect(try names(["x.txt": ""]) == [])
  }

  @Test func linksAreFollowedOnce() throws {
    let files = ["d/a.weir": ""]
    #expect(try names(files, [("d/up", ".."), ("d/self", "."), ("e", "d")]) == ["d/a.weir"])
    #expect(try names(files, [("lost.weir", "/nowhere")]) == ["d/a.weir", "lost.weir"], "a lost link is not left out")
  }

  @Test func depthIsLimited() throws {
    let deep = (0..<ProgramFiles.depthLimit).map { "d\($0)/" }.joined()
    #expect { try names([deep + "a.weir": ""]) } throws: {
      ($0 as? DiskFailure)?.message.contains("64 folders") == true
    }
    #expect(try names([deep.dropFirst("d0/".count) + "a.weir": ""]).count == 1)
  }
}

/// `weir fmt` between disk and formatter.
@Suite struct FormatRunTests {
  static let table: [(text: String, outcome: String)] = [
    ("func main() {\n  println(1)\n}\n", "unchanged"), ("fn main() { println(1) }", "changed"), ("", "unchanged"),
    ("func main( {", "unreadable"), ("let x = \"\u{0}\"\n", "unchanged"),
  ]

  @Test func outcomes() {
    for (text, outcome) in Self.table {
      #expect("\(FormatRun.format("x.weir", Array(text.utf8), color: false))".hasPrefix(outcome), "\(text)")
    }
    guard case .unreadable(let words) = FormatRun.format("x.weir", [0x66, 0xFF, 0xFE], color: false) else {
      Issue.record("read")
      return
    }
    #expect(words.contains("x.weir:1"))
  }

  @Test func whatIsWrittenIsRead() throws {
    try TemporaryFolder.with(["a.weir": "fn f() { }"]) { folder in
      try FormatRun.write(folder + "/a.weir", "func f() {}\n")
      let bytes = try FormatRun.read(folder + "/a.weir")
      #expect(bytes == Array("func f() {}\n".utf8))
      #expect(throws: DiskFailure.self) { try FormatRun.read(folder) }
      #expect(throws: DiskFailure.self) { try FormatRun.write(folder + "/none/a.weir", "") }
    }
  }
}
