import WeirCore

/// A folder of which somebody reads who may not settle its journal: its files are as they will be once its writer has.
///
/// After a crash the journal may have what the files have lost. That counts as long as nobody writes to the folder; whoever does
/// settles it first, and changes the files from then on.
final class JournaledDisk: Disk {
  private let disk: any Disk
  private let directory: String
  private var content = JournalContent()

  init(_ disk: any Disk, _ directory: String) {
    self.disk = disk
    self.directory = directory
  }

  /// Reads the journal, unless somebody writes: then the files have all of it.
  func look(on loop: any Loop, _ answer: @escaping (StoreFailure?) -> Void) {
    disk.open(directory + "/" + StoreFolder.lockName, .unlocked) { [self] result in
      switch result {
      case .success(let lock): lock.close()
      // A copy of a folder, without it.
      case .failure(.notFound): break
      // Whose lock cannot be looked at may be writing.
      case .failure: return answer(nil)
      }
      JournalContent.read(directory, disk, on: loop) { [self] result in
        switch result {
        case .success(let content):
          self.content = content
          answer(nil)
        case .failure(let failure): answer(failure)
        }
      }
    }
  }

  /// Somebody writes. False: that changes nothing here.
  func drop() -> Bool {
    let isChange = !content.patches.isEmpty
    content = JournalContent()
    return isChange
  }

  private func name(_ path: String) -> String? {
    guard path.utf8.starts(with: directory.utf8) else { return nil }
    let name = String(path.dropFirst(directory.count + 1))
    return content.patches[name] == nil ? nil : name
  }

  func open(_ path: String, _ mode: DiskMode, _ answer: @escaping (Result<any DiskFile, DiskFailure>) -> Void) {
    guard mode == .read, let name = name(path) else { return disk.open(path, mode, answer) }
    let content = self.content
    disk.open(path, mode) { result in
      switch result {
      case .success(let file): answer(.success(PatchedFile(file, name, content)))
      case .failure(.notFound) where content.made.contains(name):
        answer(.success(PatchedFile(nil, name, content)))
      case .failure: answer(result)
      }
    }
  }

  func read(_ path: String, limit: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void) {
    guard let name = name(path) else { return disk.read(path, limit: limit, answer) }
    let content = self.content
    disk.read(path, limit: limit) { result in
      switch result {
      case .failure(.notFound) where content.made.contains(name): answer(.success(content.patched(name, [])))
      default: answer(result.map { content.patched(name, $0) })
      }
    }
  }

  func list(_ directory: String, _ answer: @escaping (Result<[String], DiskFailure>) -> Void) {
    disk.list(directory) { [content] result in
      if content.made.isEmpty { return answer(result) }
      answer(result.map { Set($0).union(content.made).sorted() })
    }
  }

  func makeDirectory(_ path: String, isPrivate: Bool, _ answer: @escaping (DiskFailure?) -> Void) {
    disk.makeDirectory(path, isPrivate: isPrivate, answer)
  }
  func remove(_ path: String, _ answer: @escaping (DiskFailure?) -> Void) { disk.remove(path, answer) }
  func rename(_ from: String, _ to: String, _ answer: @escaping (DiskFailure?) -> Void) {
    disk.rename(from, to, answer)
  }
  func synchronizeDirectory(_ path: String, _ answer: @escaping (DiskFailure?) -> Void) {
    disk.synchronizeDirectory(path, answer)
  }
  func watch(
    _ directory: String, _ changed: @escaping (DirectoryChange) -> Void,
    _ answer: @escaping (Result<any Cancellable, DiskFailure>) -> Void
  ) { disk.watch(directory, changed, answer) }
}

/// A file as it will be, or one that will be made.
private final class PatchedFile: DiskFile {
  private let file: (any DiskFile)?
  private let name: String
  private let content: JournalContent

  init(_ file: (any DiskFile)?, _ name: String, _ content: JournalContent) {
    self.file = file
    self.name = name
    self.content = content
  }

  func read(at place: Int, count: Int, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void) {
    let patched = { [name, content] (result: Result<[UInt8], DiskFailure>) in
      answer(result.map { content.patched(name, $0, from: place, count: count) })
    }
    if let file { file.read(at: place, count: count, patched) } else { patched(.success([])) }
  }

  func size(_ answer: @escaping (Result<Int, DiskFailure>) -> Void) {
    let own = content.size(of: name)
    guard let file else { return answer(.success(own)) }
    file.size { answer($0.map { max($0, own) }) }
  }

  func write(_ bytes: [UInt8], at: Int, _ answer: @escaping (DiskFailure?) -> Void) { answer(.denied(name)) }
  func synchronize(_ answer: @escaping (DiskFailure?) -> Void) { answer(.denied(name)) }
  func truncate(to: Int, _ answer: @escaping (DiskFailure?) -> Void) { answer(.denied(name)) }
  func close() { file?.close() }
}
