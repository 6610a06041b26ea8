import WeirCore

/// The file of `--record`: what it is given is written in that order, one write under way at a time. After a failure
/// nothing more is written, and `close` tells of it.
package final class RecordingFile {
  private let path: String
  private let disk: any Disk
  private var file: (any DiskFile)?
  private var waiting: [UInt8] = []
  private var written = 0
  private var isWriting = false
  private var failure: DiskFailure?
  private var closed: ((DiskFailure?) -> Void)?

  package init(_ path: String, world: World) {
    self.path = path
    disk = world.disk
  }

  /// Begins anew if there is such a file. What was appended before is written first. What a program heard may be private:
  /// nobody else can read the file.
  package func open(_ answer: @escaping (DiskFailure?) -> Void) {
    disk.open(path, .secret) { [self] result in
      switch result {
      case .failure(let failure):
        self.failure = failure
        answer(failure)
      case .success(let file):
        self.file = file
        answer(nil)
        writeNext()
      }
    }
  }

  /// Nothing, once writing has failed.
  package func append(_ bytes: [UInt8]) {
    if failure != nil { return }
    waiting += bytes
    writeNext()
  }

  /// Calls back when all of it is written, or nothing more will be.
  package func close(_ done: @escaping (DiskFailure?) -> Void) {
    closed = done
    writeNext()
  }

  private func writeNext() {
    guard !isWriting else { return }
    guard let file, failure == nil, !waiting.isEmpty else {
      closed.take()?(failure)
      return
    }
    isWriting = true
    let bytes = waiting
    waiting = []
    file.write(bytes, at: written) { [self] failure in
      isWriting = false
      written += bytes.count
      self.failure = failure
      writeNext()
    }
  }
}
