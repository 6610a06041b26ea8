import WeirCore

/// Writes what a journal has to the files where it belongs, makes that durable, and removes the journal.
///
/// Doing it again changes nothing: after another crash on the way it begins anew. A journal that is damaged is kept beside the
/// others under another name, for `StoreCheck`.
enum JournalRecovery {
  static let damagedSuffix = ".damaged"

  /// The folder's lock is held.
  static func run(
    _ directory: String, _ disk: any Disk, on loop: any Loop, _ answer: @escaping (StoreFailure?) -> Void
  ) {
    JournalContent.read(directory, disk, on: loop) { result in
      switch result {
      case .failure(let failure): answer(failure)
      case .success(let content):
        if content.files.isEmpty { return answer(nil) }
        let patches = content.patches.map { name, pieces in
          DiskPatch(path: directory + "/" + name, makes: content.made.contains(name), pieces: pieces)
        }
        disk.settle(patches.sorted { $0.path < $1.path }, in: directory) { failure in
          if let failure { return answer(StoreFailure(failure, opening: directory)) }
          remove(content, content.files[...], directory, disk, answer)
        }
      }
    }
  }

  private static func remove(
    _ content: JournalContent, _ rest: ArraySlice<String>, _ directory: String, _ disk: any Disk,
    _ answer: @escaping (StoreFailure?) -> Void
  ) {
    guard let name = rest.first else { return answer(nil) }
    let path = directory + "/" + name
    func failed(_ failure: DiskFailure) { answer(StoreFailure(failure, opening: directory)) }
    let gone = { (failure: DiskFailure?) in
      if let failure { return failed(failure) }
      disk.synchronizeDirectory(directory) { failure in
        if let failure { failed(failure) } else { remove(content, rest.dropFirst(), directory, disk, answer) }
      }
    }
    if content.damaged.contains(name) {
      disk.rename(path, path + damagedSuffix, gone)
    } else {
      disk.remove(path, gone)
    }
  }
}
