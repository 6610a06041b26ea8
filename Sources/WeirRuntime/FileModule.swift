import WeirCore
import WeirLang

/// `std/fs`: files by path, through the world's disk; no call blocks the loop. Failures are values, in words.
enum FileModule {
  /// Bytes that a program may read or write as one value.
  static let byteLimit = 64 << 20

  static var module: LibraryModule {
    LibraryModule(
      name: "std/fs",
      source: """
        // Files and directories. What goes wrong is an `Err` with words for a person.

        /// A file's text. What is not UTF-8 is an error: `readBytes` takes any file.
        export extern func readFile(path: string) -> Result[string, string] ! {FS}
        /// A file's bytes, at most 64 MiB.
        export extern func readBytes(path: string) -> Result[bytes, string] ! {FS}
        /// Writes a file anew; what was there is replaced.
        export extern func writeFile(path: string, text: string) -> Result[unit, string] ! {FS}
        /// Writes a file anew, from bytes.
        export extern func writeBytes(path: string, data: bytes) -> Result[unit, string] ! {FS}
        /// Writes behind what is there; a file that is not there is made.
        export extern func appendFile(path: string, text: string) -> Result[unit, string] ! {FS}
        /// Whether there is a file or directory of this path.
        export extern func exists(path: string) -> bool ! {FS}
        /// Names in a directory, sorted.
        export extern func list(path: string) -> Result[[string], string] ! {FS}
        /// Makes a directory; the one it is in must be there.
        export extern func makeDirectory(path: string) -> Result[unit, string] ! {FS}
        /// Removes a file, or a directory that is empty.
        export extern func remove(path: string) -> Result[unit, string] ! {FS}
        /// Gives a file or directory another path; a file that is there already is replaced.
        export extern func rename(path: string, to: string) -> Result[unit, string] ! {FS}
        """,
      natives: [
        suspending("readFile") { (answer: Answer<Outcome<String, String>>, path: String) in
          try disk(answer).read(path, limit: byteLimit) { result in
            switch result {
            case .success(let bytes):
              answer.resume(
                String(validating: bytes, as: UTF8.self).map { .ok($0) } ?? .err("\(path) is not UTF-8 text"))
            case .failure(let failure): answer.resume(.err(failure.message))
            }
          }
        },
        suspending("readBytes") { (answer: Answer<Outcome<Bytes, String>>, path: String) in
          try disk(answer).read(path, limit: byteLimit) { result in
            switch result {
            case .success(let bytes): answer.resume(.ok(Bytes(bytes)))
            case .failure(let failure): answer.resume(.err(failure.message))
            }
          }
        },
        suspending("writeFile") { (answer: Answer<Outcome<Unit, String>>, path: String, text: String) in
          try write(Array(text.utf8), to: path, .replace, answer)
        },
        suspending("writeBytes") { (answer: Answer<Outcome<Unit, String>>, path: String, data: Bytes) in
          try write(data.array, to: path, .replace, answer)
        },
        suspending("appendFile") { (answer: Answer<Outcome<Unit, String>>, path: String, text: String) in
          try write(Array(text.utf8), to: path, .append, answer)
        },
        suspending("exists") { (answer: Answer<Bool>, path: String) in
          let disk = try disk(answer)
          disk.open(path, .read) { result in
            switch result {
            case .success(let file):
              file.close()
              answer.resume(true)
            case .failure(.denied): answer.resume(true)
            case .failure: disk.list(path) { answer.resume((try? $0.get()) != nil) }
            }
          }
        },
        suspending("list") { (answer: Answer<Outcome<[String], String>>, path: String) in
          try disk(answer).list(path) { result in
            switch result {
            case .success(let names):
              answer.resume(.ok(names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }))
            case .failure(let failure): answer.resume(.err(failure.message))
            }
          }
        },
        suspending("makeDirectory") { (answer: Answer<Outcome<Unit, String>>, path: String) in
          try disk(answer).makeDirectory(path) { done($0, answer) }
        },
        suspending("remove") { (answer: Answer<Outcome<Unit, String>>, path: String) in
          try disk(answer).remove(path) { done($0, answer) }
        },
        suspending("rename") { (answer: Answer<Outcome<Unit, String>>, path: String, to: String) in
          try disk(answer).rename(path, to) { done($0, answer) }
        },
      ]
    )
  }

  private enum Placement { case replace, append }

  private static func disk<R>(_ answer: Answer<R>) throws -> any Disk {
    try ProgramInstance.of(answer.context).world.disk
  }

  private static func done(_ failure: DiskFailure?, _ answer: Answer<Outcome<Unit, String>>) {
    answer.resume(failure.map { .err($0.message) } ?? .ok(Unit()))
  }

  /// Opens the file or makes it, empties it or finds its end, writes, closes.
  private static func write(
    _ bytes: [UInt8], to path: String, _ placement: Placement, _ answer: Answer<Outcome<Unit, String>>
  ) throws {
    guard bytes.count <= byteLimit else {
      return answer.resume(.err("\(path): more than \(byteLimit) bytes at once"))
    }
    let disk = try disk(answer)
    var isNew = false
    func opened(_ result: Result<any DiskFile, DiskFailure>) {
      switch result {
      case .failure(.notFound) where placement == .replace && !isNew:
        isNew = true
        disk.open(path, .create, opened)
      case .failure(let failure): answer.resume(.err(failure.message))
      case .success(let file):
        func end(_ failure: DiskFailure?) {
          file.close()
          done(failure, answer)
        }
        switch placement {
        case .replace where isNew: file.write(bytes, at: 0, end)
        case .replace:
          file.truncate(to: 0) { failure in
            if let failure { return end(failure) }
            file.write(bytes, at: 0, end)
          }
        case .append:
          file.size { size in
            switch size {
            case .success(let size): file.write(bytes, at: size, end)
            case .failure(let failure): end(failure)
            }
          }
        }
      }
    }
    disk.open(path, placement == .append ? .append : .readWrite, opened)
  }
}
