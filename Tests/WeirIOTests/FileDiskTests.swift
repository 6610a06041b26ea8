import Glibc
import Testing
import WeirCore

@testable import WeirIO

/// A directory of its own for each test, gone afterwards.
func onDisk(
  _ body: @escaping (EventLoop, FileDisk, _ directory: String, _ done: @escaping () -> Void) -> Void
) throws {
  var template = Array("/tmp/weir-disk-XXXXXX".utf8CString)
  let made = try #require(mkdtemp(&template))
  let directory = String(cString: made)
  defer { system("rm -rf \(directory)") }
  let pool = ThreadPool(name: "files")
  onLoop { loop, done in
    let disk = FileDisk(loop, pool)
    body(loop, disk, directory, done)
  }
}

@Suite struct FileDiskTests {
  @Test func writesReadsAndTruncates() throws {
    try onDisk { _, disk, directory, done in
      let path = directory + "/log"
      disk.open(path, .create) { result in
        guard case .success(let file) = result else { return refuse("\(result)") }
        var seen: [String] = []
        file.write(Array("hello world".utf8), at: 0) {
          #expect($0 == nil)
          seen.append("write")
        }
        file.write(Array("W".utf8), at: 6) { _ in seen.append("write") }
        file.synchronize {
          #expect($0 == nil)
          seen.append("sync")
        }
        file.size {
          #expect($0 == .success(11))
          seen.append("size")
        }
        file.truncate(to: 7) { _ in seen.append("truncate") }
        file.read(at: 6, count: 1 << 40) {
          #expect($0 == .success(Array("W".utf8)))
          seen.append("read")
        }
        file.read(at: -1, count: 10) { #expect($0.failure?.code == "DiskError") }
        file.read(at: 100, count: 10) {
          #expect($0 == .success([]))
          #expect(seen == ["write", "write", "sync", "size", "truncate", "read"])
          disk.read(path, limit: 100) { #expect($0 == .success(Array("hello W".utf8))) }
          disk.read(path, limit: 6) {
            #expect($0 == .failure(.tooLarge(path, limit: 6)))
            done()
          }
        }
        file.close()
        file.size { #expect($0.failure?.message.hasSuffix("the file is closed") == true) }
      }
    }
  }

  @Test func modesMeanWhatTheySay() throws {
    try onDisk { _, disk, directory, done in
      let path = directory + "/f"
      disk.open(path, .read) { #expect($0.failure == .notFound(path)) }
      disk.open(path, .readWrite) { #expect($0.failure == .notFound(path)) }
      disk.open(path, .append) { result in
        guard case .success(let file) = result else { return refuse("\(result)") }
        file.write([1, 2], at: 0) { _ in }
        file.write([3], at: 0) { _ in
          disk.open(path, .create) { #expect($0.failure == .exists(path)) }
          disk.open(directory, .read) { #expect($0.failure == .other(directory, "is a directory")) }
          disk.open("/dev/null", .read) { #expect($0.failure == .other("/dev/null", "is not a regular file")) }
          disk.open(path + "/x", .read) { #expect($0.failure == .notFound(path + "/x")) }
          disk.open(path + "\u{0}x", .read) { #expect($0.failure?.code == "DiskError") }
          disk.open(path, .read) { result in
            guard case .success(let reader) = result else { return refuse("\(result)") }
            reader.write([9], at: 0) { #expect($0?.code == "DiskError") }
            reader.read(at: 0, count: 10) {
              #expect($0 == .success([1, 2, 3]))
              done()
            }
          }
        }
      }
    }
  }

  @Test func namesComeAndGo() throws {
    try onDisk { _, disk, directory, done in
      disk.makeDirectory(directory + "/b") { #expect($0 == nil) }
      disk.makeDirectory(directory + "/b") { #expect($0 == .exists(directory + "/b")) }
      disk.makeDirectory(directory + "/x/y") { #expect($0 == .notFound(directory + "/x/y")) }
      disk.open(directory + "/c", .create) { _ in }
      disk.rename(directory + "/c", directory + "/a") { #expect($0 == nil) }
      disk.rename(directory + "/none", directory + "/a") { #expect($0 == .notFound(directory + "/none")) }
      disk.synchronizeDirectory(directory) { #expect($0 == nil) }
      disk.synchronizeDirectory(directory + "/none") { #expect($0 == .notFound(directory + "/none")) }
      disk.list(directory) { #expect($0 == .success(["a", "b"])) }
      disk.list(directory + "/none") { #expect($0 == .failure(.notFound(directory + "/none"))) }
      disk.remove(directory + "/a") { #expect($0 == nil) }
      disk.remove(directory + "/b") { #expect($0 == nil) }
      disk.remove(directory + "/b") {
        #expect($0 == .notFound(directory + "/b"))
        done()
      }
    }
  }

  @Test func filesWithoutASizeAreReadToTheirEnd() throws {
    try onDisk { _, disk, _, done in
      disk.read("/proc/self/status", limit: 1 << 20) {
        guard case .success(let bytes) = $0 else { return refuse("\($0)") }
        #expect(String(decoding: bytes, as: UTF8.self).contains("VmRSS"))
        done()
      }
    }
  }

  @Test(arguments: [
    (ENOSPC, DiskFailure.full("/x")), (EDQUOT, .full("/x")), (EACCES, .denied("/x")), (EROFS, .denied("/x")),
    (ENOTDIR, .notFound("/x")), (EIO, .other("/x", "Input/output error")),
  ])
  func kernelErrorsHaveMeanings(_ number: Int32, _ failure: DiskFailure) {
    #expect(DiskFailure.of(number, "/x") == failure)
  }

  @Test func manyFilesKeepTheirOrder() throws {
    try onDisk { _, disk, directory, done in
      var left = 16
      for number in 0..<16 {
        disk.open("\(directory)/\(number)", .append) { result in
          guard case .success(let file) = result else { return refuse("\(result)") }
          var answered = 0
          for index in 0..<200 {
            file.write([UInt8(index)], at: 0) { _ in
              #expect(answered == index)
              answered += 1
            }
          }
          file.read(at: 0, count: 1000) {
            #expect($0 == .success((0..<200).map { UInt8($0) }))
            left -= 1
            if left == 0 { done() }
          }
        }
      }
    }
  }
}
