import WeirCore

/// What is wrong inside one segment, found by reading all of it, also behind the first thing that is wrong.
///
/// Pure: bytes in, a verdict out. `LogScan` says what the store would do with these bytes; this says what they had in them.
struct SegmentCheck {
  /// Bytes that are no record, or a good record where it cannot be.
  struct Flaw: Equatable {
    var place: Int
    /// The position that was due there.
    var position: UInt64
    var why: String
    /// The next good record behind it; nil: there is none, or nobody can be told which one of a great many is.
    var next: (place: Int, position: UInt64)?

    static func == (a: Flaw, b: Flaw) -> Bool {
      a.place == b.place && a.position == b.position && a.why == b.why && a.next?.place == b.next?.place
        && a.next?.position == b.next?.position
    }
  }

  let scan: LogScan
  private(set) var flaw: Flaw?

  init(_ bytes: [UInt8]) {
    scan = LogScan(bytes)
    guard scan.end < bytes.count else { return }
    var why = "no record stands there"
    switch LogRecord.read(bytes, at: scan.end) {
    case .record(let record, _): why = misplaced(record)
    case .more(let needed):
      why = "a record of \(needed - scan.end) bytes begins there, and \(bytes.count - scan.end) are left"
    case .bad:
      if LogRecord.claim(bytes, at: scan.end) != nil {
        why = "the record there is not what was written: its checksum differs"
      }
    }
    var flaw = Flaw(place: scan.end, position: scan.tail, why: why)
    if case .record(let record, let at) = LogRecord.next(bytes, behind: scan.end, where: { _, _ in true }) {
      flaw.next = (at, record.position)
    }
    self.flaw = flaw
  }

  private func misplaced(_ record: LogRecord) -> String {
    if case .header = record.body { return "a second header stands there" }
    if scan.header == nil { return "the segment does not begin with a header" }
    if scan.ending != nil { return "the stream has ended before it, and a record stands there" }
    return "the record there begins at position \(record.position), and \(scan.tail) was due"
  }
}
