import WeirCore

/// Deleting the files of a stream, so that a crash on the way leaves the stream or nothing of it.
extension StreamLog {
  /// The first segment goes first, and its going is durable before the others': a stream without it is none, whatever a crash
  /// leaves. The sign that it was kept for its forks goes last. Answers the segments that are still there, and why.
  static func delete(
    _ name: StreamName, _ found: StreamFiles, isGone: Bool, _ files: Files,
    _ answer: @escaping (StreamFiles, StoreFailure?) -> Void
  ) {
    let stem = LogFileName.stem(name)
    var names = found.bases.map { found.name(stem, $0) }
    if isGone { names.append(LogFileName.gone(stem)) }
    func left(_ count: Int) -> StreamFiles {
      let removed = names.count - count
      return StreamFiles(
        bases: Array(found.bases.dropFirst(removed)), first: removed == 0 ? found.first : nil)
    }
    func next(_ rest: ArraySlice<String>) {
      guard let file = rest.first else {
        return files.folder.synchronize { answer(left(0), $0.map(StoreFailure.init)) }
      }
      files.disk.remove(files.directory + "/" + file) { failure in
        if let failure, failure.code != "FileNotFound" { return answer(left(rest.count), StoreFailure(failure)) }
        guard file == names.first, rest.count > 1 else { return next(rest.dropFirst()) }
        files.folder.synchronize { failure in
          if let failure { return answer(left(rest.count - 1), StoreFailure(failure)) }
          next(rest.dropFirst())
        }
      }
    }
    next(names[...])
  }

  /// A durable sign that the stream is deleted and kept for its forks. Answers whether it is there: it may be, and not be durable.
  static func markGone(
    _ name: StreamName, _ files: Files, _ answer: @escaping (_ isMarked: Bool, StoreFailure?) -> Void
  ) {
    let path = files.directory + "/" + LogFileName.gone(LogFileName.stem(name))
    files.disk.open(path, .create) { result in
      switch result {
      case .failure(let failure) where failure.code != "FileExists": return answer(false, StoreFailure(failure))
      case .failure: break
      case .success(let file): file.close()
      }
      files.folder.synchronize { answer(true, $0.map(StoreFailure.init)) }
    }
  }
}
