import Glibc
import Testing
import WeirCore

@testable import WeirIO

/// Files of the command line's first milliseconds, on a real disk.
@Suite struct HostProcessTests {
  private func inFolder(_ body: (String) throws -> Void) throws {
    var template = Array("/tmp/weir-host-XXXXXX".utf8CString)
    let folder = String(cString: try #require(mkdtemp(&template)))
    defer { system("chmod -R u+rwx \(folder); rm -rf \(folder)") }
    try body(folder)
  }

  private func text(_ path: String) -> String? {
    (try? HostProcess.read(path, limit: 1 << 20)).map { String(decoding: $0, as: UTF8.self) }
  }

  @Test func kinds() throws {
    try inFolder { folder in
      system("cd \(folder); mkdir d; echo x > f; ln -s d ld; ln -s f lf; ln -s nowhere ln; mkfifo p; ln -s loop loop")
      let table: [(String, HostProcess.Kind)] = [
        ("d", .folder), ("f", .file), ("ld", .folder), ("lf", .file), ("ln", .missing), ("p", .other),
        ("loop", .missing),
        ("none", .missing), ("f/x", .missing), ("f\0x", .missing),
      ]
      for (name, kind) in table { #expect(HostProcess.kind("\(folder)/\(name)") == kind, "\(name)") }
      #expect(HostProcess.identity(folder + "/d") == HostProcess.identity(folder + "/ld"))
      #expect(HostProcess.identity(folder + "/d") != HostProcess.identity(folder))
      #expect(HostProcess.identity(folder + "/ln") == nil)
      let names = try HostProcess.list(folder)
      #expect(names == ["d", "f", "ld", "lf", "ln", "loop", "p"])
    }
  }

  @Test func replacingKeepsWhatMattersAndLeavesNothingBeside() throws {
    try inFolder { folder in
      let path = folder + "/f"
      try HostProcess.replace(path, with: Array("one".utf8))
      #expect(text(path) == "one")
      chmod(path, 0o751)
      symlink("f", folder + "/link")
      try HostProcess.replace(folder + "/link", with: [])
      #expect(text(path) == "")
      var status = stat()
      #expect(lstat(folder + "/link", &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
      #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o751)
      let names = try HostProcess.list(folder)
      #expect(names == ["f", "link"])
    }
  }

  @Test func makingTakesNothingThatIsThere() throws {
    try inFolder { folder in
      try HostProcess.makeFolder(folder + "/new")
      try HostProcess.create(folder + "/new/f", with: [1, 2])
      let bytes = try HostProcess.read(folder + "/new/f", limit: 2)
      #expect(bytes == [1, 2])
      for failing: () throws -> Void in [
        { try HostProcess.makeFolder(folder + "/new") }, { try HostProcess.create(folder + "/new/f", with: []) },
      ] {
        #expect { try failing() } throws: { ($0 as? DiskFailure)?.code == "FileExists" }
      }
      HostProcess.takeBack(folder + "/new")
      #expect(HostProcess.isFolder(folder + "/new"), "it is not empty")
      HostProcess.takeBack(folder + "/new/f")
      HostProcess.takeBack(folder + "/new")
      #expect(HostProcess.kind(folder + "/new") == .missing)
    }
  }

  @Test func whatCannotBeDoneIsSaid() throws {
    try inFolder { folder in
      try HostProcess.create(folder + "/f", with: [1, 2, 3])
      let table: [(String, String, () throws -> Void)] = [
        ("missing", "FileNotFound", { _ = try HostProcess.read(folder + "/x", limit: 9) }),
        ("through a file", "FileNotFound", { _ = try HostProcess.read(folder + "/f/x", limit: 9) }),
        ("a folder", "DiskError", { _ = try HostProcess.read(folder, limit: 9) }),
        ("too large", "FileTooLarge", { _ = try HostProcess.read(folder + "/f", limit: 2) }),
        ("endless", "FileTooLarge", { _ = try HostProcess.read("/dev/zero", limit: 1 << 20) }),
        ("NUL", "DiskError", { _ = try HostProcess.read(folder + "/f\0.txt", limit: 9) }),
        ("NUL", "DiskError", { try HostProcess.replace(folder + "/f\0.txt", with: []) }),
        ("NUL", "DiskError", { try HostProcess.create(folder + "/g\0", with: []) }),
        ("NUL", "DiskError", { try HostProcess.makeFolder(folder + "/g\0") }),
        ("NUL", "DiskError", { _ = try HostProcess.list(folder + "\0") }),
        ("no folder", "FileNotFound", { _ = try HostProcess.list(folder + "/f") }),
        ("no parent", "FileNotFound", { try HostProcess.makeFolder(folder + "/x/y") }),
        ("no parent", "FileNotFound", { try HostProcess.replace(folder + "/x/y", with: []) }),
        (
          "a name too long", "DiskError",
          { try HostProcess.makeFolder(folder + "/" + String(repeating: "n", count: 300)) }
        ),
      ]
      for (what, code, attempt) in table {
        #expect("\(what)") { try attempt() } throws: { ($0 as? DiskFailure)?.code == code }
      }
      let bytes = try HostProcess.read(folder + "/f", limit: 3)
      #expect(bytes == [1, 2, 3])
    }
  }
}
