import Glibc
import Synchronization
import Testing
import WeirCore

@testable import WeirIO

/// What one thread sets and another waits for.
private final class Flag: Sendable {
  let isSet = Atomic<Bool>(false)
}

/// What the store builds on, and only the machine's own files can show.
@Suite struct DiskPromisesTests {
  /// A write was made, and then thousands of jobs came: what belongs to it is done, in its order, and not refused.
  @Test func aSynchronisationIsNeverRefused() throws {
    try onDisk { loop, _, directory, done in
      let pool = ThreadPool(name: "narrow", threadLimit: 1, queueLimit: 1)
      let disk = FileDisk(loop, pool)
      disk.open(directory + "/f", .create) { result in
        guard case .success(let file) = result else { return refuse("\(result)") }
        file.write([1, 2, 3], at: 0) { failure in
          #expect(failure == nil)
          // The one thread is at work, and the one place is taken.
          let (isAtWork, isReleased) = (Flag(), Flag())
          _ = pool.submit {
            isAtWork.isSet.store(true, ordering: .releasing)
            while !isReleased.isSet.load(ordering: .acquiring) { sched_yield() }
          }
          while !isAtWork.isSet.load(ordering: .acquiring) { sched_yield() }
          while pool.submit({}) {}
          var seen: [String] = []
          file.write([4], at: 3) { seen.append($0?.code ?? "ok") }
          file.synchronize { seen.append($0?.code ?? "synchronised") }
          file.truncate(to: 2) { seen.append($0?.code ?? "truncated") }
          file.size {
            #expect($0 == .success(2))
            #expect(seen == ["DiskBusy", "synchronised", "truncated"])
            done()
          }
          _ = loop.after(.milliseconds(5)) { isReleased.isSet.store(true, ordering: .releasing) }
        }
      }
    }
  }

  @Test func aFileThatWasRemovedSaysSo() throws {
    try onDisk { _, disk, directory, done in
      disk.makeDirectory(directory + "/d") { _ in }
      disk.open(directory + "/d", .directory) { folder in
        guard case .success(let folder) = folder else { return refuse("\(folder)") }
        folder.synchronize { #expect($0 == nil) }
        disk.open(directory + "/d/f", .create) { file in
          guard case .success(let file) = file else { return refuse("\(file)") }
          let write = DiskWrite(file: nil, bytes: [], at: 0, entry: [1, 2, 3])
          // Each step behind the answer to the one before: paths and files are not one queue.
          disk.commit([write], to: file, at: 0, padding: 0) {
            #expect($0.logFailure == nil)
            // Moved elsewhere: nobody would look for it there.
            disk.rename(directory + "/d/f", directory + "/d/g") { _ in
              disk.commit([write], to: file, at: 0, padding: 0) {
                #expect($0.logFailure == .removed(directory + "/d/f"))
                file.synchronize {
                  #expect($0 == nil)
                  disk.remove(directory + "/d/g") { _ in
                    file.synchronize {
                      #expect($0 == .removed(directory + "/d/f"))
                      disk.remove(directory + "/d") { _ in
                        folder.synchronize {
                          #expect($0 == .removed(directory + "/d"))
                          done()
                        }
                      }
                    }
                  }
                }
              }
            }
          }
        }
      }
    }
  }

  /// A look at a lock sees who has it, and has nothing afterwards.
  @Test func aLockIsLookedAt() throws {
    try onDisk { _, disk, directory, done in
      let path = directory + "/lock"
      disk.open(path, .unlocked) { #expect($0.failure == .notFound(path)) }
      disk.open(path, .lock) { result in
        guard case .success(let lock) = result else { return refuse("\(result)") }
        disk.open(path, .unlocked) {
          #expect($0.failure == .locked(path, by: Int(getpid())))
          lock.close()
          disk.open(path, .unlocked) { seen in
            guard case .success = seen else { return refuse("\(seen)") }
            disk.open(path, .lock) {
              #expect($0.failure == nil)
              withExtendedLifetime(seen) {}
              done()
            }
          }
        }
      }
    }
  }

  /// Few files, each by itself, and many, all at once.
  @Test(arguments: [3, 200]) func manyFilesAreSettled(_ count: Int) throws {
    try onDisk { _, disk, directory, done in
      disk.open(directory + "/0", .create) { _ in }
      let patches = (0..<count).map { number in
        DiskPatch(
          path: directory + "/\(number)", makes: number % 2 == 0,
          pieces: [(0, Array("abc".utf8)), (2, Array("C\(number)".utf8))])
      }
      disk.settle(patches, in: directory) { failure in
        #expect(failure == nil)
        disk.list(directory) { #expect((try? $0.get())?.count == (count + 1) / 2) }
        disk.read(directory + "/2", limit: 100) {
          #expect($0 == .success(Array("abC2".utf8)))
          done()
        }
      }
    }
  }
}
