import WeirCore

/// One record of a stream's log, and how it stands in a segment. docs/store-format.md draws every byte.
///
///      0  marker    "WRec"
///      4  length    of the body, bytes
///      8  position  of the record's first item; of a segment's header: the position it begins at
///     16  synced    bytes of this segment that were known to be on disk when this was written
///     24  checksum  CRC-32C of bytes 4 to 24 and of the body
///     28  body
///
/// Numbers are little-endian. `synced` is what tells damage from a torn tail: a bad record is damage when a good one behind
/// it says that the bad one had reached the disk.
struct LogRecord: Equatable {
  enum Body: Equatable {
    case header(Header)
    /// Added in one step, with how the stream ended if it ended in it.
    case items([[UInt8]], time: Int64, ending: StreamEnding?)
  }

  /// The first record of every segment says all that is known of the stream.
  struct Header: Equatable {
    var name: String
    var contentType: String
    var createdAt: Int64
  }

  var position: UInt64
  var synced: UInt64
  var body: Body

  static let marker: [UInt8] = Array("WRec".utf8)
  static let headLength = 28
  /// A body that says to be longer is no record. An append of more is refused (`StoreFull`).
  static let bodyLimit = 64 << 20
}

extension LogRecord {
  private enum Kind { static let header: UInt8 = 1, items: UInt8 = 2 }
  private enum Flags { static let closed: UInt8 = 1, aborted: UInt8 = 2 }

  func append(to out: inout [UInt8]) {
    let start = out.count
    out += Self.marker
    out.append(little: UInt32(0))
    out.append(little: position)
    out.append(little: synced)
    out.append(little: UInt32(0))
    switch body {
    case .header(let header):
      out.append(Kind.header)
      out.append(little: UInt64(bitPattern: header.createdAt))
      out.append(text: header.name)
      out.append(text: header.contentType)
    case .items(let items, let time, let ending):
      out.append(Kind.items)
      out.append(little: UInt64(bitPattern: time))
      var reason: String?
      switch ending {
      case nil: out.append(0)
      case .closed: out.append(Flags.closed)
      case .aborted(let why):
        out.append(Flags.aborted)
        reason = why
      }
      out.append(little: UInt32(items.count))
      for item in items {
        out.append(little: UInt32(item.count))
        out += item
      }
      if let reason { out.append(text: reason) }
    }
    out.store(little: UInt32(out.count - start - Self.headLength), at: start + 4)
    out.store(little: Self.checksum(out, start, out.count), at: start + 24)
  }

  /// What `append` makes longer, at most.
  static func size(of items: [[UInt8]], ending: StreamEnding?) -> Int {
    var size = headLength + 14
    for item in items { size += 4 + item.count }
    if case .aborted(let reason)? = ending { size += 4 + reason.utf8.count }
    return size
  }

  enum Reading: Equatable {
    /// And where it ends.
    case record(LogRecord, end: Int)
    /// A good beginning that needs bytes up to `upTo`.
    case more(upTo: Int)
    case bad
  }

  /// The record that begins at `at`. `bytes` may stop anywhere.
  static func read(_ bytes: [UInt8], at: Int) -> Reading {
    guard at + headLength <= bytes.count else {
      let there = bytes[min(at, bytes.count)...]
      return marker.starts(with: there.prefix(4)) ? .more(upTo: at + headLength) : .bad
    }
    guard bytes[at..<at + 4].elementsEqual(marker) else { return .bad }
    let length = Int(bytes.little32(at: at + 4))
    guard length <= bodyLimit else { return .bad }
    let end = at + headLength + length
    guard end <= bytes.count else { return .more(upTo: end) }
    guard checksum(bytes, at, end) == bytes.little32(at: at + 24) else { return .bad }
    // No stream is that long: whoever wrote this wants sums to overflow.
    guard bytes.little64(at: at + 8) <= Offset.limit else { return .bad }
    var reader = LogReader(bytes: bytes, at: at + headLength, end: end)
    guard let body = reader.body(), reader.at == end else { return .bad }
    return .record(
      LogRecord(position: bytes.little64(at: at + 8), synced: bytes.little64(at: at + 16), body: body), end: end)
  }

  /// What seems to be a record's head says, before anything is checked: bytes synchronised before it, and its own length.
  static func claim(_ bytes: [UInt8], at: Int) -> (synced: Int, length: Int)? {
    guard at + headLength <= bytes.count, bytes[at..<at + 4].elementsEqual(marker) else { return nil }
    guard let synced = Int(exactly: bytes.little64(at: at + 16)) else { return nil }
    return (synced, Int(bytes.little32(at: at + 4)))
  }

  private static func checksum(_ bytes: [UInt8], _ start: Int, _ end: Int) -> UInt32 {
    bytes.withUnsafeBytes { all in
      let head = CRC32C.of(UnsafeRawBufferPointer(rebasing: all[start + 4..<start + 24]))
      return CRC32C.of(UnsafeRawBufferPointer(rebasing: all[start + headLength..<end]), from: head)
    }
  }

  /// Fields of a body, each nil when the body is too short for it.
  private struct LogReader {
    let bytes: [UInt8]
    var at: Int
    let end: Int

    mutating func body() -> Body? {
      guard let kind = byte(), let time = number64() else { return nil }
      switch kind {
      case Kind.header:
        guard let name = text(), let type = text() else { return nil }
        return .header(Header(name: name, contentType: type, createdAt: Int64(bitPattern: time)))
      case Kind.items:
        guard let flags = byte(), let count = number32() else { return nil }
        var items: [[UInt8]] = []
        items.reserveCapacity(min(count, (end - at) / 4))
        for _ in 0..<count {
          guard let item = piece() else { return nil }
          items.append(Array(item))
        }
        var ending: StreamEnding?
        switch flags {
        case 0: break
        case Flags.closed: ending = .closed
        case Flags.aborted:
          guard let reason = text() else { return nil }
          ending = .aborted(reason: reason)
        default: return nil
        }
        return .items(items, time: Int64(bitPattern: time), ending: ending)
      default: return nil
      }
    }

    private mutating func byte() -> UInt8? {
      guard at < end else { return nil }
      defer { at += 1 }
      return bytes[at]
    }
    private mutating func number32() -> Int? {
      guard at + 4 <= end else { return nil }
      defer { at += 4 }
      return Int(bytes.little32(at: at))
    }
    private mutating func number64() -> UInt64? {
      guard at + 8 <= end else { return nil }
      defer { at += 8 }
      return bytes.little64(at: at)
    }
    private mutating func piece() -> ArraySlice<UInt8>? {
      guard let count = number32(), count <= end - at else { return nil }
      defer { at += count }
      return bytes[at..<at + count]
    }
    private mutating func text() -> String? { piece().map { String(decoding: $0, as: UTF8.self) } }
  }
}

extension [UInt8] {
  fileprivate mutating func append(little number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }
  fileprivate mutating func append(text: String) {
    append(little: UInt32(text.utf8.count))
    append(contentsOf: text.utf8)
  }
  fileprivate mutating func store(little number: UInt32, at place: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: number.littleEndian, toByteOffset: place, as: UInt32.self) }
  }
  fileprivate func little32(at place: Int) -> UInt32 {
    withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt32.self)) }
  }
  fileprivate func little64(at place: Int) -> UInt64 {
    withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt64.self)) }
  }
}
