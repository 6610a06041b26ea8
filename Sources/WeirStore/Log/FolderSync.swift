import WeirCore

/// Makes a folder's names durable. Whoever asks while that is under way shares the next time with everybody else who does.
///
/// The folder stays open: a process that has no descriptor left can still make its names durable.
final class FolderSync {
  private let disk: any Disk
  private let directory: String
  private var folder: (any DiskFile)?
  private var isBusy = false
  private var waiting: [(DiskFailure?) -> Void] = []
  /// After a failure a later success would be a lie, as with files.
  private var failed: DiskFailure?

  init(_ disk: any Disk, _ directory: String) {
    self.disk = disk
    self.directory = directory
  }

  deinit { folder?.close() }

  /// Answers when all names that the folder has now are durable.
  func synchronize(_ answer: @escaping (DiskFailure?) -> Void) {
    if let failed { return answer(failed) }
    waiting.append(answer)
    if !isBusy { next() }
  }

  private func next() {
    isBusy = true
    let asked = waiting
    waiting = []
    guard let folder else {
      return disk.open(directory, .directory) { [self] result in
        switch result {
        case .success(let file):
          folder = file
          waiting = asked + waiting
          next()
        // Nothing was tried: whoever asks next tries again.
        case .failure(let failure): finish(asked, failure)
        }
      }
    }
    folder.synchronize { [self] failure in
      failed = failure
      if failure == nil { return finish(asked, nil) }
      let late = waiting
      waiting = []
      finish(asked + late, failure)
    }
  }

  private func finish(_ asked: [(DiskFailure?) -> Void], _ failure: DiskFailure?) {
    isBusy = false
    if !waiting.isEmpty { next() }
    for answer in asked { answer(failure) }
  }
}
