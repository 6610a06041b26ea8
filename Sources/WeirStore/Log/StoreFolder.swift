import WeirCore

/// A store's folder as it is found: locked, its segments listed, and what a crash left half deleted cleared away.
struct StoreFolder {
  static let lockName = "lock"

  let lock: any DiskFile
  /// Where the segments of each stream begin, ascending.
  let bases: [StreamName: [UInt64]]

  static func open(_ directory: String, _ disk: any Disk, _ answer: @escaping Answer<StoreFolder>) {
    disk.makeDirectory(directory) { failure in
      if let failure, failure.code != "FileExists" { return answer(.failure(StoreFailure(failure))) }
      disk.open(directory + "/" + lockName, .lock) { result in
        switch result {
        case .failure(let failure): answer(.failure(StoreFailure(failure)))
        case .success(let lock):
          disk.list(directory) { result in
            switch result {
            case .failure(let failure):
              lock.close()
              answer(.failure(StoreFailure(failure)))
            case .success(let names): sort(names, directory, disk, lock, answer)
            }
          }
        }
      }
    }
  }

  private static func sort(
    _ names: [String], _ directory: String, _ disk: any Disk, _ lock: any DiskFile,
    _ answer: @escaping Answer<StoreFolder>
  ) {
    var stems: [String: [UInt64]] = [:]
    for (stem, base) in names.compactMap(LogFileName.parse) { stems[stem, default: []].append(base) }
    var leftovers: [String] = []
    var bases: [StreamName: [UInt64]] = [:]
    var hashed: [(stem: String, bases: [UInt64])] = []
    for (stem, found) in stems.sorted(by: { $0.key < $1.key }) {
      let found = found.sorted()
      // Its first segment is gone: it was being deleted.
      if found.first != 0 {
        leftovers += found.map { LogFileName.file(stem, base: $0) }
      } else if let name = LogFileName.name(stem) {
        bases[name] = found
      } else if stem.hasPrefix("=") {
        hashed.append((stem, found))
      }
    }
    func failed(_ failure: DiskFailure) {
      lock.close()
      answer(.failure(StoreFailure(failure)))
    }
    func clear(_ rest: ArraySlice<String>) {
      guard let name = rest.first else { return answer(.success(StoreFolder(lock: lock, bases: bases))) }
      disk.remove(directory + "/" + name) { failure in
        // A stream made anew under its name would take it for its own.
        if let failure, failure.code != "FileNotFound" { return failed(failure) }
        clear(rest.dropFirst())
      }
    }
    // The names behind hashes are in their files: a header is shorter than this.
    let limit = 2 * FileStreamStore.contentTypeLimit
    func look(_ rest: ArraySlice<(stem: String, bases: [UInt64])>) {
      guard let (stem, found) = rest.first else { return clear(leftovers[...]) }
      disk.open(directory + "/" + LogFileName.file(stem, base: 0), .read) { result in
        switch result {
        case .failure(let failure): failed(failure)
        case .success(let file):
          file.read(at: 0, count: limit) { result in
            file.close()
            switch result {
            case .failure(let failure): failed(failure)
            case .success(let bytes):
              if case .record(let record, _) = LogRecord.read(bytes, at: 0), case .header(let header) = record.body,
                let name = try? StreamName(header.name), LogFileName.stem(name) == stem
              {
                bases[name] = found
              } else if found.count == 1, bytes.count < limit, LogScan(bytes).verdict == .torn {
                // It was being made, and nobody was told of it. Anything else stays, and whoever makes that stream is told.
                leftovers += found.map { LogFileName.file(stem, base: $0) }
              }
              look(rest.dropFirst())
            }
          }
        }
      }
    }
    look(hashed[...])
  }
}
