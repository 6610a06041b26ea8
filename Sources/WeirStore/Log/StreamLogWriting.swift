import WeirCore

/// What is written to a stream's files, and what makes it durable.
extension StreamLog {
  struct Files {
    var disk: any Disk
    var directory: String
    var segmentLimit: Int
    /// Makes names of the folder durable.
    var folder: FolderSync
    /// False: an append is answered when the system has it, and `synchronize` is called later.
    var synchronizesAppends: Bool
    /// What makes small appends durable, if they are to be.
    var journal: CommitJournal?
    /// Files of streams that are open.
    let open = OpenFiles()
    /// Another process writes: nothing is changed here, and what it has not finished is not there yet.
    var isReadOnly = false
  }

  final class OpenFiles {
    var count = 0
  }

  /// A file with a header and, with `first`, the record of a stream's first items. Answers what was written, and whether it is
  /// the journal that keeps it. Behind other segments of the stream (not `isFirst`) those are durable.
  static func begin(
    _ stem: String, _ header: LogRecord.Header, base: UInt64, _ kind: LogFileName.Kind, _ first: StreamAppend?,
    isFirst: Bool, _ files: Files, _ answer: @escaping Answer<(file: any DiskFile, bytes: [UInt8], isJournaled: Bool)>
  ) {
    var bytes: [UInt8] = []
    LogRecord(position: base, synced: 0, body: .header(header)).append(to: &bytes)
    if let first, !first.isNothing {
      LogRecord(position: base, synced: 0, body: .items(first, time: header.createdAt)).append(to: &bytes)
    }
    let name = LogFileName.segment(stem, base: base, kind)
    let path = files.directory + "/" + name
    func make() {
      files.disk.open(path, .create) { opened in
        switch opened {
        case .failure(let failure): answer(.failure(StoreFailure(failure)))
        case .success(let file):
          // What a failure leaves is a file without a good header: it is removed when it is met again.
          func failed(_ failure: DiskFailure) {
            file.close()
            files.disk.remove(path) { _ in
              // The journal may have it all the same, and would make it again.
              forget(stem, files) { _ in answer(.failure(StoreFailure(failure))) }
            }
          }
          write(bytes, at: 0, in: file, name, stem, isNew: true, files) { outcome in
            switch outcome {
            case .unwritten(let failure): failed(failure)
            case .durable: answer(.success((file, bytes, true)))
            case .unjournaled:
              file.synchronize { failure in
                if let failure { return failed(failure) }
                files.folder.synchronize { failure in
                  if let failure { return failed(failure) }
                  answer(.success((file, bytes, false)))
                }
              }
            }
          }
        }
      }
    }
    // Of a stream that could not be made before, the journal may have a part.
    guard isFirst else { return make() }
    forget(stem, files) { failure in if let failure { answer(.failure(failure)) } else { make() } }
  }

  /// What the journal has of a stream, all of which is durable in its own files or is to go, is for nobody any more.
  static func forget(_ stem: String, _ files: Files, _ answer: @escaping (StoreFailure?) -> Void) {
    guard let journal = files.journal else { return answer(nil) }
    journal.forget(stem, answer)
  }

  /// By the journal if there is one and it is worth it.
  static func write(
    _ bytes: [UInt8], at place: Int, in file: any DiskFile, _ name: String, _ stem: String, isNew: Bool, _ files: Files,
    _ answer: @escaping (CommitJournal.Outcome) -> Void
  ) {
    if let journal = files.journal, bytes.count <= CommitJournal.writeLimit {
      return journal.write(bytes, at: place, in: file, name, stem, isNew: isNew, answer)
    }
    file.write(bytes, at: place) { answer($0.map { .unwritten($0) } ?? .unjournaled) }
  }
}
