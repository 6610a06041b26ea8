import WeirCore

/// How a stream's files are opened or made, and looked at again.
extension StreamLog {
  // MARK: Making and opening

  /// A new stream with its first items, if there are any: its first segment is durable, and so is its name, before the
  /// answer. One record says that it was made: a crash leaves all of that or nothing.
  static func create(
    _ name: StreamName, _ header: LogRecord.Header, base: UInt64, first: StreamAppend, expectsLifetime: Bool = false,
    _ files: Files, _ answer: @escaping Answer<StreamLog>
  ) {
    var header = header
    header.hasFirstItems = !first.isNothing
    let kind = expectsLifetime && header.kind == .log ? .kept : header.kind
    begin(LogFileName.stem(name), header, base: base, kind, first, isFirst: true, files) { result in
      answer(
        result.map { file, bytes, isJournaled in
          let scan = LogScan(bytes)
          let log = StreamLog(
            name, files, file, kind, [Segment(base: base, index: scan.index, end: scan.end)], scan)
          log.begins(with: first.items, isJournaled: isJournaled)
          return log
        })
    }
  }

  /// The stream that has the files `found`. Success of nil: there is none; a file that a crash left half made is removed.
  /// `debt`: what was left to do when its files were closed.
  static func open(
    _ name: StreamName, _ found: StreamFiles, _ debt: Debt? = nil, _ files: Files, isSecondLook: Bool = false,
    _ answer: @escaping Answer<StreamLog?>
  ) {
    guard let base = found.bases.last else { return answer(.success(nil)) }
    let path = files.directory + "/" + found.name(LogFileName.stem(name), base)
    func failed(_ failure: DiskFailure) {
      // Its writer has deleted it since it was listed.
      if files.isReadOnly, failure.code == "FileNotFound" { return answer(.success(nil)) }
      answer(.failure(StoreFailure(failure)))
    }
    files.disk.open(path, files.isReadOnly ? .read : .readWrite) { opened in
      guard case .success(let file) = opened else { return failed(opened.failure ?? .notFound(path)) }
      func closed(_ failure: DiskFailure) {
        file.close()
        failed(failure)
      }
      readAll(file, files) { result in
        guard case .success(let bytes) = result else { return closed(result.failure ?? .notFound(path)) }
        let scan = LogScan(bytes)
        guard debt != nil || !scan.isUnmade else {
          // Nobody was told that this segment exists.
          file.close()
          let earlier = StreamFiles(bases: found.bases.dropLast(), first: found.first)
          if files.isReadOnly { return open(name, earlier, nil, files, answer) }
          return files.disk.remove(path) { failure in
            if let failure { return failed(failure) }
            files.folder.synchronize { failure in
              if let failure { return failed(failure) }
              open(name, earlier, nil, files, answer)
            }
          }
        }
        end(before: scan, name, found, files) { end in
          switch end {
          case .failure(let failure): closed(failure)
          case .success(let end):
            let scan = end.map { LogScan(bytes, behind: $0) } ?? scan
            finish(file, scan, bytes.count)
          }
        }
      }
      func finish(_ file: any DiskFile, _ scan: LogScan, _ size: Int) {
        let segments =
          found.bases.dropLast().map { Segment(base: $0, index: nil, end: .max) } + [
            Segment(base: base, index: scan.index, end: scan.end)
          ]
        let kind = found.first ?? .log
        let log = StreamLog(name, files, file, kind, segments, scan)
        let isOther = scan.header.map { $0.name != name.path || scan.base != base || !kind.holds($0.kind) }
        // The bytes of an answered append have gone from the file since it was closed. The journal has what is missing, and is
        // kept until the store is opened again.
        if let debt, debt.failure != nil || scan.end < debt.end || scan.verdict == .damaged || isOther != false {
          if isOther != false { log.refuse(from: base) }
          return log.lost(debt.failure ?? Self.isNotKept(path)) { _ in answer(.success(log)) }
        }
        if isOther == true {
          // Another stream's file.
          log.refuse(from: base)
          return answer(.success(log))
        }
        if scan.verdict == .damaged {
          // It may have been read while its writer wrote over its last record.
          if files.isReadOnly, !isSecondLook {
            log.close()
            return open(name, found, debt, files, isSecondLook: true, answer)
          }
          if scan.header == nil { log.refuse(from: base) } else { log.damage = log.damaged(at: scan.tail) }
          return answer(.success(log))
        }
        if files.isReadOnly { return answer(.success(log)) }
        // Whatever came through the crash is made durable before anything is promised on top of it.
        func synchronize() {
          if let debt {
            // The journal has what is not durable here.
            log.takeOver(debt)
            return answer(.success(log))
          }
          file.synchronize { failure in
            if let failure { return closed(failure) }
            answer(.success(log))
          }
        }
        if scan.end == size { return synchronize() }
        file.truncate(to: scan.end) { failure in
          if let failure { return closed(failure) }
          synchronize()
        }
      }
    }
  }

  /// How the stream ended in the segment before: earlier versions gave a stream that had ended its lifetime in a segment of its own.
  private static func end(
    before scan: LogScan, _ name: StreamName, _ found: StreamFiles, _ files: Files,
    _ answer: @escaping (Result<LogScan.End?, DiskFailure>) -> Void
  ) {
    guard scan.header != nil, scan.tail == scan.base, scan.ending == nil, found.bases.count > 1 else {
      return answer(.success(nil))
    }
    let path = files.directory + "/" + found.name(LogFileName.stem(name), found.bases[found.bases.count - 2])
    files.disk.read(path, limit: segmentBound(files)) { result in
      switch result {
      case .success(let bytes): answer(.success(LogScan(bytes).asEnd))
      case .failure(.notFound): answer(.success(nil))
      case .failure(let failure): answer(.failure(failure))
      }
    }
  }

  /// Does what was left to do when the stream's files were closed. Nothing is asked of them meanwhile.
  static func settle(
    _ name: StreamName, _ found: StreamFiles, _ debt: Debt, _ files: Files, _ answer: @escaping (Settling) -> Void
  ) {
    guard let base = found.bases.last else { return answer(.settled) }
    let path = files.directory + "/" + found.name(LogFileName.stem(name), base)
    files.disk.open(path, .readWrite) { opened in
      switch opened {
      case .failure(let failure): answer(.untried(failure))
      case .success(let file):
        func done(_ outcome: Settling) {
          file.close()
          answer(outcome)
        }
        // The system tells a descriptor that was opened later of writes that failed before, if nobody was told.
        file.synchronize { failure in
          if let failure { return done(.failed(failure)) }
          // Unless it has forgotten the file meanwhile: then what is read comes from the disk.
          file.read(at: debt.settled, count: debt.end - debt.settled) { result in
            guard case .success(let bytes) = result else { return done(.untried(result.failure ?? isNotKept(path))) }
            guard LogRecord.areWhole(bytes, upTo: debt.end - debt.settled) else {
              return done(.failed(isNotKept(path)))
            }
            guard debt.isNew else { return done(.settled) }
            files.folder.synchronize { done($0.map { .failed($0) } ?? .settled) }
          }
        }
      }
    }
  }

  private static func isNotKept(_ path: String) -> DiskFailure {
    .other(path, "it did not keep what was written to a file")
  }

  enum Settling {
    case settled
    case untried(DiskFailure)
    case failed(DiskFailure)
  }

  /// A segment is not followed by another one before it has `segmentLimit` bytes, and the append that takes it there is at most as
  /// large as what is written at once.
  private static func segmentBound(_ files: Files) -> Int {
    2 * max(files.segmentLimit, 8 << 20) + LogRecord.bodyLimit + LogRecord.headLength
  }

  static func readAll(
    _ file: any DiskFile, _ files: Files, _ answer: @escaping (Result<[UInt8], DiskFailure>) -> Void
  ) {
    let limit = segmentBound(files)
    file.size { size in
      switch size {
      case .failure(let failure): answer(.failure(failure))
      case .success(let size) where size > limit: answer(.failure(.tooLarge(files.directory, limit: limit)))
      case .success(let size): file.read(at: 0, count: size, answer)
      }
    }
  }

  // MARK: Following

  /// Takes in what another process has written to the last segment since it was looked at. A record that is not whole is not
  /// there yet.
  func follow(_ answer: @escaping (StoreFailure?) -> Void) {
    if damage != nil { return answer(nil) }
    look(from: scan.resumePlace, answer)
  }

  private func look(from place: Int, isSecond: Bool = false, _ answer: @escaping (StoreFailure?) -> Void) {
    file.size { result in
      guard case .success(let size) = result else { return answer(result.failure.map(StoreFailure.init)) }
      // Shorter: an append that failed was taken back.
      if size < self.scan.end, place > 0 { return self.look(from: 0, answer) }
      self.file.read(at: place, count: min(size, Self.segmentBound(self.files)) - place) { result in
        guard case .success(let bytes) = result else { return answer(result.failure.map(StoreFailure.init)) }
        var scan = place == 0 ? LogScan(behind: self.scan.before) : self.scan
        scan.goOn(bytes, from: place)
        // It was read while it was written over, or other records stand there by now.
        if scan.verdict == .damaged, !isSecond { return self.look(from: 0, isSecond: true, answer) }
        if scan.verdict == .torn, place > 0, scan.end == place { return self.look(from: 0, answer) }
        self.take(scan)
        answer(nil)
      }
    }
  }
}
