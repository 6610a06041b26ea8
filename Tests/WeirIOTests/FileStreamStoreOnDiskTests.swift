import Testing
import WeirCore
import WeirStore

@testable import WeirIO

/// The file store over the machine's own files: what a simulation cannot say, locks and real descriptors.
@Suite struct FileStreamStoreOnDiskTests {
  @Test func whatIsAppendedIsThereWhenTheStoreIsOpenedAgain() throws {
    try onDisk { loop, disk, folder, done in
      let directory = folder + "/streams"
      var limits = FileStreamStore.Limits()
      limits.segmentLimit = 2_000
      func open(_ then: @escaping (FileStreamStore) -> Void) {
        FileStreamStore.open(directory: directory, disk: disk, loop: loop, limits: limits) { result in
          guard case .success(let store) = result else { return refuse("\(result)") }
          then(store)
        }
      }
      guard let name = try? StreamName("Runs/é/1") else { return refuse("the name") }
      let count = 300
      open { first in
        var store: FileStreamStore? = first
        // Held: nobody else writes here, not even this process once more.
        FileStreamStore.open(directory: directory, disk: disk, loop: loop) { second in
          guard case .failure(let failure) = second else { return refuse("a second writer") }
          #expect(failure.code == "StoreHeld" && failure.message.contains("another process ("))
          store?.create(name, contentType: "text/plain") { _ in }
          for item in 0..<count {
            store?.append(name, [Array("item \(item)".utf8)], ending: item == count - 1 ? .closed : nil) { result in
              #expect(result == .success(Offset(UInt64(item + 1))))
              guard item == count - 1 else { return }
              loop.soon {
                store = nil
                loop.soon { open { again in Self.read(again, name, count, done) } }
              }
            }
          }
        }
      }
    }
  }

  /// A thread may hold on to a file that it has answered with for as long as the system lets it wait.
  @Test(arguments: [false, true]) func aLockGoesWithItsHandle(_ isClosed: Bool) throws {
    try onDisk { loop, disk, folder, done in
      disk.open(folder + "/lock", .lock) { result in
        guard case .success(let opened) = result else { return refuse("\(result)") }
        var held = opened as? FileHandle
        let file = held?.file
        disk.open(folder + "/lock", .lock) { second in
          guard case .failure(.locked) = second else { return refuse("\(second)") }
          if isClosed { held?.close() } else { held = nil }
          disk.open(folder + "/lock", .lock) { third in
            guard case .success = third else { return refuse("\(third)") }
            // All this time somebody had the file.
            withExtendedLifetime(file) {}
            done()
          }
        }
      }
    }
  }

  private static func read(_ store: FileStreamStore, _ name: StreamName, _ count: Int, _ done: @escaping () -> Void) {
    var found: [String] = []
    func next(_ offset: Offset) {
      store.read(name, from: offset, byteLimit: 500) { result in
        guard case .success(let batch) = result else { return refuse("\(result)") }
        found += batch.items.map { String(decoding: $0.bytes, as: UTF8.self) }
        if batch.items.isEmpty {
          #expect(batch.ending == .closed)
          #expect(found == (0..<count).map { "item \($0)" })
          // The store lives until here.
          _ = store.watcherCount
          return done()
        }
        next(batch.next)
      }
    }
    next(.start)
  }
}
