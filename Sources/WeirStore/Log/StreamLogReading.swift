import WeirCore

/// How items are found in a stream's files.
extension StreamLog {
  /// Read at once when looking for items.
  private static let readLength = 128 << 10
  private static let readEndsLimit = 8

  /// What memory has; nil: files must be read.
  func recentBatch(from position: UInt64, byteLimit: Int) -> StreamBatch? {
    guard position >= recentFrom, position <= tail else { return nil }
    let start = Int(position - recentFrom)
    var end = start
    var size = 0
    while end < recent.count, end == start || size < byteLimit {
      size += recent[end].bytes.count
      end += 1
    }
    return batch(Array(recent[start..<end]), from: position)
  }

  private func batch(_ items: [StreamItem], from position: UInt64) -> StreamBatch {
    let next = position + UInt64(items.count)
    return StreamBatch(
      items: items, next: Offset(next), ending: next == tail ? ending : nil, createdAt: createdAt,
      reachedTail: next == tail && !items.isEmpty && damage == nil)
  }

  /// Items from `position`, which is at most the tail.
  func read(from position: UInt64, byteLimit: Int, _ answer: @escaping Answer<StreamBatch>) {
    if let batch = recentBatch(from: position, byteLimit: byteLimit) { return answer(.success(batch)) }
    guard let number = segments.lastIndex(where: { $0.base <= position }) else {
      return answer(.failure(damage ?? .unavailable("stream \"\(name)\": the file of its beginning is missing")))
    }
    open(number) { result in
      switch result {
      case .failure(let failure): answer(.failure(failure))
      case .success(let file):
        let base = self.segments[number].base
        let known = self.readEnds.firstIndex { $0.base == base && $0.position == position }
        let place = known.map { self.readEnds.remove(at: $0).place } ?? self.segments[number].index?.place(of: position)
        guard let place else {
          return answer(.failure(self.damaged(at: position)))
        }
        let end = number + 1 < self.segments.count ? self.segments[number + 1].base : self.tail
        self.collect(file, number, at: place, length: Self.readLength, from: position, until: end, byteLimit, answer)
      }
    }
  }

  /// The file of a segment, with its index made.
  private func open(_ number: Int, _ answer: @escaping Answer<any DiskFile>) {
    let segment = segments[number]
    if number == segments.count - 1 { return answer(.success(file)) }
    if let older, older.base == segment.base, segment.index != nil { return answer(.success(older.file)) }
    let path = self.path(segment.base)
    files.disk.open(path, .read) { opened in
      guard case .success(let file) = opened else {
        return answer(.failure(StoreFailure(opened.failure ?? .notFound(path))))
      }
      self.keepOlder(segment.base, file)
      if segment.index != nil { return answer(.success(file)) }
      Self.readAll(file, self.files) { result in
        switch result {
        case .failure(let failure): answer(.failure(StoreFailure(failure)))
        case .success(let bytes):
          let scan = LogScan(bytes)
          guard scan.header?.name == self.name.path, scan.base == segment.base else {
            return answer(.failure(self.damaged(at: segment.base)))
          }
          // What lies before the damage can still be read.
          self.segments[number].index = scan.index
          self.segments[number].end = scan.end
          answer(.success(file))
        }
      }
    }
  }

  /// Reads a piece and takes records from it: items from `position` on and before `until`.
  private func collect(
    _ file: any DiskFile, _ number: Int, at place: Int, length: Int, from position: UInt64, until end: UInt64,
    _ byteLimit: Int, _ answer: @escaping Answer<StreamBatch>
  ) {
    let segment = segments[number]
    let wanted = min(length, segment.end - place)
    file.read(at: place, count: wanted) { result in
      guard case .success(let bytes) = result else {
        return answer(.failure(StoreFailure(result.failure ?? .notFound(self.name.path))))
      }
      var items: [StreamItem] = []
      var size = 0
      var at = 0
      var readOn = 0
      while items.isEmpty || size < byteLimit {
        guard case .record(let record, let next) = LogRecord.read(bytes, at: at) else { break }
        readOn = at
        at = next
        guard case .items(let append, let time) = record.body else { continue }
        let added = append.items
        if record.position > position, items.isEmpty { break }
        var skipped = position > record.position ? Int(min(UInt64(added.count), position - record.position)) : 0
        while skipped < added.count, items.isEmpty || size < byteLimit,
          record.position + UInt64(skipped) < end
        {
          size += added[skipped].count
          items.append(StreamItem(bytes: added[skipped], time: time))
          skipped += 1
        }
        if skipped == added.count { readOn = next }
      }
      if !items.isEmpty {
        self.readEnds.append((segment.base, position + UInt64(items.count), place + readOn))
        if self.readEnds.count > Self.readEndsLimit { self.readEnds.removeFirst() }
        return answer(.success(self.batch(items, from: position)))
      }
      // The record that is wanted does not fit the piece, lies behind it, or is not what it was.
      switch LogRecord.read(bytes, at: at) {
      // A file that has become shorter would be read for ever.
      case .more(let needed) where place + needed <= segment.end && bytes.count == wanted:
        self.collect(
          file, number, at: place + at, length: max(Self.readLength, needed - at), from: position, until: end,
          byteLimit, answer)
      default:
        answer(.failure(self.damaged(at: position)))
      }
    }
  }
}

extension Result {
  var failure: Failure? { if case .failure(let failure) = self { failure } else { nil } }
}
