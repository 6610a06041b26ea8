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
    /// Added in one step, with how the stream ended if it ended in it. Its content type is the stream's.
    case items(StreamAppend, time: Int64)
    /// Somebody used the stream: what its lifetime is counted from.
    case use(time: Int64)
  }

  /// The first record of every segment says all that is known of the stream, so that only the last one must be read.
  struct Header: Equatable {
    var name: String
    var contentType: String
    var createdAt: Int64
    var lifetime: StreamLifetime?
    /// With its offset.
    var fork: StreamFork?
    /// The stream was made with the items in the next record: without them it was not made.
    var hasFirstItems = false
    /// When this segment was begun, the stream had last been used then, by these writers.
    var usedAt: Int64
    var writers = StreamWriters()

    /// Whether a store must know of it before it is asked for the stream (`LogFileName.Kind.origin`).
    var kind: LogFileName.Kind { lifetime == nil && fork == nil ? .log : .origin }
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
  private enum Kind { static let header: UInt8 = 1, items: UInt8 = 2, use: UInt8 = 3 }
  private enum Flags {
    static let closed: UInt8 = 1, aborted: UInt8 = 2, producer: UInt8 = 4, sequence: UInt8 = 8, lifetime: UInt8 = 16
    static let idle: UInt8 = 1, until: UInt8 = 2, fork: UInt8 = 4, firstItems: UInt8 = 8, sequenced: UInt8 = 16
  }

  /// Of a record of use, which is written over the last one.
  static let useSize = headLength + 9
  /// A header at its longest, without the writers it remembers.
  static let headerLimit = 4096

  func append(to out: inout [UInt8]) {
    let start = out.count
    out += Self.marker
    out.append(little: UInt32(0))
    out.append(little: position)
    out.append(little: synced)
    out.append(little: UInt32(0))
    switch body {
    case .header(let header): Self.append(header, to: &out)
    case .items(let append, let time): Self.append(append, time, to: &out)
    case .use(let time):
      out.append(Kind.use)
      out.append(little: UInt64(bitPattern: time))
    }
    out.store(little: UInt32(out.count - start - Self.headLength), at: start + 4)
    out.store(little: Self.checksum(out, start, out.count), at: start + 24)
  }

  private static func append(_ header: Header, to out: inout [UInt8]) {
    out.append(Kind.header)
    out.append(little: UInt64(bitPattern: header.createdAt))
    var flags: UInt8 = header.hasFirstItems ? Flags.firstItems : 0
    var life: Int64 = 0
    if let lifetime = header.lifetime {
      let written = Self.written(lifetime)
      (flags, life) = (flags | written.flag, written.life)
    }
    if header.fork != nil { flags |= Flags.fork }
    if header.writers.sequence != nil { flags |= Flags.sequenced }
    out.append(flags)
    out.append(text: header.name)
    out.append(text: header.contentType)
    out.append(little: UInt64(bitPattern: life))
    out.append(little: UInt64(bitPattern: header.usedAt))
    if let fork = header.fork {
      out.append(text: fork.source.path)
      out.append(little: fork.offset?.value ?? 0)
      out.append(little: fork.subOffset)
    }
    if let sequence = header.writers.sequence { out.append(text: sequence) }
    out.append(little: UInt32(header.writers.producers.count))
    for (id, producer) in header.writers.producers.sorted(by: { $0.key < $1.key }) {
      out.append(text: id.text)
      out.append(little: producer.epoch)
      out.append(little: producer.sequence)
      out.append(little: UInt64(bitPattern: producer.time))
    }
  }

  private static func append(_ append: StreamAppend, _ time: Int64, to out: inout [UInt8]) {
    out.append(Kind.items)
    out.append(little: UInt64(bitPattern: time))
    var flags: UInt8 = 0
    var reason: String?
    switch append.ending {
    case nil: break
    case .closed: flags = Flags.closed
    case .aborted(let why): (flags, reason) = (Flags.aborted, why)
    }
    if append.producer != nil { flags |= Flags.producer }
    if append.sequence != nil { flags |= Flags.sequence }
    if append.lifetime != nil { flags |= Flags.lifetime }
    out.append(flags)
    out.append(little: UInt32(append.items.count))
    for item in append.items {
      out.append(little: UInt32(item.count))
      out += item
    }
    if let reason { out.append(text: reason) }
    if let producer = append.producer {
      out.append(text: producer.id.text)
      out.append(little: producer.epoch)
      out.append(little: producer.sequence)
    }
    if let sequence = append.sequence { out.append(text: sequence) }
    if let lifetime = append.lifetime {
      let (flag, life) = Self.written(lifetime)
      out.append(flag)
      out.append(little: UInt64(bitPattern: life))
    }
  }

  private static func written(_ lifetime: StreamLifetime) -> (flag: UInt8, life: Int64) {
    switch lifetime {
    case .idle(let seconds): (Flags.idle, seconds)
    case .until(let moment): (Flags.until, moment)
    }
  }

  /// What `append` makes longer, at most.
  static func size(of append: StreamAppend) -> Int {
    var size = headLength + 14
    for item in append.items { size += 4 + item.count }
    if case .aborted(let reason)? = append.ending { size += 4 + reason.utf8.count }
    if let producer = append.producer { size += 20 + producer.id.text.utf8.count }
    if let sequence = append.sequence { size += 4 + sequence.utf8.count }
    if append.lifetime != nil { size += 9 }
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

  /// Whether good records stand from the first byte up to `end`.
  static func areWhole(_ bytes: [UInt8], upTo end: Int) -> Bool {
    var at = 0
    while at < end {
      guard case .record(_, let next) = read(bytes, at: at) else { return false }
      at = next
    }
    return true
  }

  enum Next {
    case none
    case record(LogRecord, at: Int)
    /// So much looks like records that nobody can be told.
    case tooMany
  }

  /// The first good record behind `place` of which `isWanted` (what it says to have been synchronised before it, and where it
  /// begins). Bytes that look like records over and over would be checksummed over and over: there is a limit to that.
  static func next(_ bytes: [UInt8], behind place: Int, where isWanted: (_ synced: Int, _ at: Int) -> Bool) -> Next {
    var at = place + 1
    var worth = 4 * bytes.count
    while let first = bytes[min(at, bytes.count)...].firstIndex(of: marker[0]) {
      at = first + 1
      guard let claim = claim(bytes, at: first), isWanted(claim.synced, first) else { continue }
      worth -= headLength + min(claim.length, bytes.count)
      if worth < 0 { return .tooMany }
      if case .record(let record, _) = read(bytes, at: first) { return .record(record, at: first) }
    }
    return .none
  }

  /// Of a head of 28 bytes, whose checksum stands at 24, and of the body behind it.
  static func checksum(_ bytes: [UInt8], _ start: Int, _ end: Int) -> UInt32 {
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
      guard let kind = byte(), let time = moment() else { return nil }
      switch kind {
      case Kind.header: return header(createdAt: time).map { .header($0) }
      case Kind.items: return items().map { .items($0, time: time) }
      case Kind.use: return .use(time: time)
      default: return nil
      }
    }

    private mutating func header(createdAt: Int64) -> Header? {
      guard let flags = byte(), let name = text(), let type = text(), let life = number64(), let used = moment()
      else {
        return nil
      }
      var header = Header(name: name, contentType: type, createdAt: createdAt, usedAt: used)
      header.hasFirstItems = flags & Flags.firstItems != 0
      if flags & (Flags.idle | Flags.until) != 0 {
        guard let lifetime = lifetime(flags, Int64(bitPattern: life)) else { return nil }
        header.lifetime = lifetime
      }
      if flags & Flags.fork != 0 {
        guard let path = text(), let source = try? StreamName(path), let offset = number64(), offset <= Offset.limit,
          let subOffset = number64()
        else { return nil }
        header.fork = StreamFork(source: source, offset: Offset(offset), subOffset: subOffset)
      }
      var sequence: String?
      if flags & Flags.sequenced != 0 {
        guard let last = text() else { return nil }
        sequence = last
      }
      guard let count = number32(), count <= StreamWriters.producersLimit else { return nil }
      var producers: [ProducerID: StreamWriters.Producer] = [:]
      for _ in 0..<count {
        guard let id = text(), let epoch = number64(), let sequence = number64(), let time = moment() else {
          return nil
        }
        producers[ProducerID(id)] = StreamWriters.Producer(epoch: epoch, sequence: sequence, time: time)
      }
      header.writers = StreamWriters(producers: producers, sequence: sequence)
      return header
    }

    private func lifetime(_ flags: UInt8, _ life: Int64) -> StreamLifetime? {
      // Nobody is granted more: whoever wrote this wants sums to overflow.
      guard flags & Flags.idle != 0 else {
        return flags & Flags.until != 0 && Self.isMoment(life) ? .until(life) : nil
      }
      return (0...StreamLifetime.secondsLimit).contains(life) ? .idle(seconds: life) : nil
    }

    private mutating func items() -> StreamAppend? {
      guard let flags = byte(), let count = number32() else { return nil }
      var items: [[UInt8]] = []
      items.reserveCapacity(min(count, (end - at) / 4))
      for _ in 0..<count {
        guard let item = piece() else { return nil }
        items.append(Array(item))
      }
      var append = StreamAppend(items: items)
      switch flags & (Flags.closed | Flags.aborted) {
      case 0: break
      case Flags.closed: append.ending = .closed
      case Flags.aborted:
        guard let reason = text() else { return nil }
        append.ending = .aborted(reason: reason)
      default: return nil
      }
      if flags & Flags.producer != 0 {
        guard let id = text(), let epoch = number64(), let sequence = number64() else { return nil }
        append.producer = ProducerStamp(id: id, epoch: epoch, sequence: sequence)
      }
      if flags & Flags.sequence != 0 {
        guard let sequence = text() else { return nil }
        append.sequence = sequence
      }
      if flags & Flags.lifetime != 0 {
        guard let kind = byte(), let life = number64(), let lifetime = lifetime(kind, Int64(bitPattern: life)) else {
          return nil
        }
        append.lifetime = lifetime
      }
      return flags < 2 * Flags.lifetime ? append : nil
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
    /// Milliseconds since 1970.
    private mutating func moment() -> Int64? {
      guard let number = number64().map({ Int64(bitPattern: $0) }), Self.isMoment(number) else { return nil }
      return number
    }
    private static func isMoment(_ number: Int64) -> Bool {
      (-StreamLifetime.momentLimit...StreamLifetime.momentLimit).contains(number)
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
  mutating func append(little number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }
  mutating func append(text: String) {
    append(little: UInt32(text.utf8.count))
    append(contentsOf: text.utf8)
  }
  mutating func store(little number: UInt32, at place: Int) {
    withUnsafeMutableBytes { $0.storeBytes(of: number.littleEndian, toByteOffset: place, as: UInt32.self) }
  }
  func little32(at place: Int) -> UInt32 {
    withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt32.self)) }
  }
  func little64(at place: Int) -> UInt64 {
    withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: place, as: UInt64.self)) }
  }
}
