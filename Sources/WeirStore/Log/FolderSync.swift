import WeirCore

/// Makes a folder's names durable. Whoever asks while that is under way shares the next time with everybody else who does.
final class FolderSync {
  private let disk: any Disk
  private let directory: String
  private var isBusy = false
  private var waiting: [(DiskFailure?) -> Void] = []
  /// After a failure a later success would be a lie, as with files.
  private var failed: DiskFailure?

  init(_ disk: any Disk, _ directory: String) {
    self.disk = disk
    self.directory = directory
  }

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
    disk.synchronizeDirectory(directory) { [self] failure in
      isBusy = false
      if case .busy? = failure {} else { failed = failure }
      if let failed {
        let late = waiting
        waiting = []
        for answer in asked + late { answer(failed) }
        return
      }
      if !waiting.isEmpty { next() }
      for answer in asked { answer(failure) }
    }
  }
}
