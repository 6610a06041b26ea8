import Testing
import WeirCore
import WeirStore

@testable import WeirIO

/// Changes of a real directory, as the kernel tells them.
@Suite struct DirectoryWatchTests {
  @Test func tellsOfEveryChangeAndOfNothingElse() throws {
    try onDisk { loop, disk, folder, done in
      var told: [DirectoryChange] = []
      var isExpected: ([DirectoryChange]) -> Bool = { _ in false }
      var then: () -> Void = {}
      func wait(_ condition: @escaping ([DirectoryChange]) -> Bool, _ next: @escaping () -> Void) {
        (isExpected, then) = (condition, next)
        if condition(told) { loop.soon(next) }
      }
      disk.watch(
        folder,
        { change in
          told.append(change)
          guard isExpected(told) else { return }
          isExpected = { _ in false }
          loop.soon(then)
        }
      ) { result in
        guard case .success(let watch) = result else { return refuse("\(result)") }
        disk.open(folder + "/a", .create) { opened in
          guard case .success(let file) = opened else { return refuse("\(opened)") }
          wait({ $0 == [.name("a")] }) {
            told = []
            file.write([1, 2, 3], at: 0) { #expect($0 == nil) }
            wait({ $0 == [.content("a")] }) {
              told = []
              file.truncate(to: 1) { #expect($0 == nil) }
              wait({ $0 == [.content("a")] }) {
                told = []
                disk.rename(folder + "/a", folder + "/b") { #expect($0 == nil) }
                wait({ $0 == [.name("a"), .name("b")] }) {
                  told = []
                  watch.cancel()
                  watch.cancel()
                  disk.remove(folder + "/b") { failure in
                    #expect(failure == nil && told.isEmpty)
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

  @Test func aDirectoryThatGoesIsTold() throws {
    try onDisk { loop, disk, folder, done in
      disk.makeDirectory(folder + "/inner") { _ in
        var watch: (any Cancellable)?
        disk.watch(
          folder + "/inner",
          { change in
            guard change == .unknown, let last = watch else { return }
            watch = nil
            last.cancel()
            done()
          }
        ) { result in
          guard case .success(let begun) = result else { return refuse("\(result)") }
          watch = begun
          disk.remove(folder + "/inner") { #expect($0 == nil) }
        }
      }
    }
  }

  @Test func whatIsNoDirectoryCannotBeWatched() throws {
    try onDisk { loop, disk, folder, done in
      disk.watch(folder + "/none", { _ in }) { result in
        guard case .failure(let failure) = result else { return refuse("watched") }
        #expect(failure.code == "FileNotFound")
        done()
      }
    }
  }

  /// A store follows another one over real files: woken by each append, until the stream ends.
  @Test func aStoreFollowsAnotherOne() throws {
    try onDisk { loop, disk, folder, done in
      let directory = folder + "/streams"
      guard let name = try? StreamName("Runs/é/1") else { return refuse("the name") }
      FileStreamStore.open(directory: directory, disk: disk, loop: loop) { result in
        guard case .success(let writer) = result else { return refuse("\(result)") }
        FileStreamStore.follow(directory: directory, disk: disk, loop: loop) { result in
          guard case .success(let follower) = result else { return refuse("\(result)") }
          var seen: [[UInt8]] = []
          var isReading = false
          var isAgain = false
          var watch: (any Cancellable)?
          func read() {
            if isReading {
              isAgain = true
              return
            }
            isReading = true
            follower.read(name, from: Offset(UInt64(seen.count)), byteLimit: 1000) { result in
              isReading = false
              guard case .success(let batch) = result else { return }
              seen += batch.items.map(\.bytes)
              if batch.ending != nil {
                #expect(seen == (0..<100).map { Array("item \($0)".utf8) })
                watch?.cancel()
                return done()
              }
              if isAgain || !batch.items.isEmpty {
                isAgain = false
                loop.soon(read)
              }
            }
          }
          watch = follower.watch(name, read)
          writer.create(name, contentType: "text/plain") { _ in
            func append(_ number: Int) {
              writer.append(name, [Array("item \(number)".utf8)], ending: number == 99 ? .closed : nil) { result in
                #expect(result == .success(Offset(UInt64(number + 1))))
                if number < 99 { append(number + 1) }
              }
            }
            append(0)
          }
        }
      }
    }
  }
}
