import WeirCore

/// One entry of the journal, and how it stands in the journal's file. docs/store-format.md draws every byte.
///
///      0  marker    "WJnl"
///      4  length    of the body, bytes
///      8  round     of the journal: the files are written over, and what an earlier round left is not this one's
///     16  synced    bytes of this file that were known to be on disk when this was written
///     24  checksum  CRC-32C of bytes 4 to 24 and of the body
///     28  key       of the journal, drawn anew each time a store is opened
///     36  body
///
/// The key is what nobody outside knows: what a client appends stands in entries as it is, and may look like entries itself.
struct JournalEntry: Equatable {
  enum Body: Equatable {
    /// These bytes are at `place` in a file of the folder. `isNew`: the file itself may not be there after power loss.
    case write(file: String, isNew: Bool, place: Int, bytes: [UInt8])
    /// The stream with this stem was deleted: what came before is about another one.
    case forget(stem: String)
    /// Everything up to this round has been made durable where it belongs.
    case done(round: UInt64)
  }

  var key: UInt64
  var round: UInt64
  var synced: UInt64
  var body: Body

  private static let marker: [UInt8] = Array("WJnl".utf8)
  private static let headLength = 36
  /// The part of the head before the key, which is a record's.
  private static let keyPlace = LogRecord.headLength
  private static let bodyLimit = 1 << 20
  /// No segment is that long.
  private static let placeLimit: UInt64 = 256 << 20
  private enum Kind { static let write: UInt8 = 1, create: UInt8 = 2, forget: UInt8 = 3, done: UInt8 = 4 }

  func append(to out: inout [UInt8]) {
    let start = out.count
    out += Self.marker
    out.append(little: UInt32(0))
    out.append(little: round)
    out.append(little: synced)
    out.append(little: UInt32(0))
    out.append(little: key)
    switch body {
    case .write(let file, let isNew, let place, let bytes):
      out.append(isNew ? Kind.create : Kind.write)
      out.append(little: UInt64(place))
      out.append(text: file)
      out += bytes
    case .forget(let stem):
      out.append(Kind.forget)
      out.append(little: UInt64(0))
      out.append(text: stem)
    case .done(let round):
      out.append(Kind.done)
      out.append(little: round)
      out.append(text: "")
    }
    out.store(little: UInt32(out.count - start - Self.headLength), at: start + 4)
    out.store(little: LogRecord.checksum(out, start, out.count), at: start + 24)
  }

  /// Nil: no good entry begins at `at`.
  private static func read(_ bytes: [UInt8], at: Int) -> (entry: JournalEntry, end: Int)? {
    guard at + headLength <= bytes.count, bytes[at..<at + 4].elementsEqual(marker) else { return nil }
    let end = at + headLength + Int(bytes.little32(at: at + 4))
    let name = at + headLength + 13
    guard end - at <= headLength + bodyLimit, end <= bytes.count, name <= end,
      LogRecord.checksum(bytes, at, end) == bytes.little32(at: at + 24)
    else { return nil }
    let number = bytes.little64(at: at + headLength + 1)
    let rest = name + Int(bytes.little32(at: name - 4))
    guard rest <= end else { return nil }
    let text = String(decoding: bytes[name..<rest], as: UTF8.self)
    let body: Body
    switch bytes[at + headLength] {
    case Kind.write, Kind.create:
      // Only a file of this folder, wherever the bytes come from.
      guard LogFileName.parse(text) != nil, !text.utf8.contains(UInt8(ascii: "/")), number <= placeLimit else {
        return nil
      }
      body = .write(
        file: text, isNew: bytes[at + headLength] == Kind.create, place: Int(number), bytes: Array(bytes[rest..<end]))
    case Kind.forget: body = .forget(stem: text)
    case Kind.done: body = .done(round: number)
    default: return nil
    }
    return (
      JournalEntry(
        key: bytes.little64(at: at + keyPlace), round: bytes.little64(at: at + 8),
        synced: bytes.little64(at: at + 16), body: body), end
    )
  }

  /// What a journal's file holds.
  struct Scan: Equatable {
    /// Of one round, from the start on.
    var entries: [JournalEntry] = []
    /// Where they end.
    var end = 0

    init() {}

    init(_ bytes: [UInt8]) { while goOn(bytes, limit: .max) {} }

    /// Takes at most so many entries more. False: there are none.
    mutating func goOn(_ bytes: [UInt8], limit: Int) -> Bool {
      var left = limit
      while left > 0, let (entry, next) = JournalEntry.read(bytes, at: end),
        entry.round == entries.first?.round ?? entry.round, entry.key == entries.first?.key ?? entry.key
      {
        entries.append(entry)
        end = next
        left -= 1
      }
      return left == 0
    }

    /// Good entries behind `end` which say that everything up to there had been on disk. Nil: of whatever key.
    func stranded(_ bytes: [UInt8], key: UInt64?) -> [JournalEntry] {
      var found: [JournalEntry] = []
      var at = end
      // Without a key anybody's bytes may look like entries, over and over.
      var checks = key == nil ? 1000 : Int.max
      while checks > 0, let first = bytes[min(at, bytes.count)...].firstIndex(of: marker[0]) {
        at = first + 1
        guard first + headLength <= bytes.count, bytes[first..<first + 4].elementsEqual(marker),
          key == nil || bytes.little64(at: first + keyPlace) == key,
          (UInt64(end) + 1...UInt64(max(first, end + 1))).contains(bytes.little64(at: first + 16))
        else { continue }
        checks -= 1
        guard let (entry, next) = JournalEntry.read(bytes, at: first) else { continue }
        found.append(entry)
        at = next
      }
      return found
    }
  }
}
