import WeirCore

/// Makes a folder's names durable. Whoever asks while that is under way shares the next time with everybody else who does.
final class FolderSync {
  private let disk: any Disk
  private let directory: String
  private var isBusy = false
  private var waiting: [(DiskFailure?) -> Void] = []

  init(_ disk: any Disk, _ directory: String) {
    self.disk = disk
    self.directory = directory
  }

  /// Answers when all names that the folder has now are durable.
  func synchronize(_ answer: @escaping (DiskFailure?) -> Void) {
    waiting.append(answer)
    if !isBusy { next() }
  }

  private func next() {
    isBusy = true
    let asked = waiting
    waiting = []
    disk.synchronizeDirectory(directory) { [self] failure in
      isBusy = false
      if !waiting.isEmpty { next() }
      for answer in asked { answer(failure) }
    }
  }
}
