/// Which streams a subscription is about, by their names: `*` is any one part of a path, `**` any number of them, none too
/// (Durable Streams Protocol, 6.2). Everything else stands for itself. Pure.
struct PathPattern: Equatable, Sendable {
  private enum Part: Equatable, Sendable {
    case exactly([UInt8])
    case one
    case many
  }

  let text: String
  private let parts: [Part]

  /// What is below these is written by its owner, and named by what is secret: only a pattern that says the word is about it.
  private static let owned = ["runs", "memory", "_weir"].map { Array($0.utf8) }

  /// Names have at most 16 parts and 255 bytes.
  static let partLimit = 32
  static let byteLimit = 512

  /// Nil: an empty part, a star inside of one, a character that no name has, or too long.
  init?(_ text: String) {
    let words = Self.words(text)
    guard text.utf8.count <= Self.byteLimit, words.count <= Self.partLimit else { return nil }
    var parts: [Part] = []
    let (star, dot) = (UInt8(ascii: "*"), UInt8(ascii: "."))
    for word in words {
      if word.elementsEqual([star]) {
        parts.append(.one)
      } else if word.elementsEqual([star, star]) {
        parts.append(.many)
      } else {
        guard !word.isEmpty, word.count > 2 || word.contains(where: { $0 != dot }),
          !word.contains(where: {
            $0 == star || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "\\") || $0 < 0x20 || $0 == 0x7F
          })
        else { return nil }
        parts.append(.exactly(Array(word)))
      }
    }
    self.text = text
    self.parts = parts
  }

  /// As names are: bytes, where a slash with a mark above it is a slash all the same.
  private static func words(_ text: String) -> [Substring.UTF8View] {
    text.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
  }

  /// What every matching name begins with.
  var prefix: String {
    // Without a star it is one name.
    guard parts.contains(where: { $0 == .one || $0 == .many }) else { return text }
    var words: [[UInt8]] = []
    for case .exactly(let word) in parts.prefix(while: { $0 != .one && $0 != .many }) { words.append(word) }
    // `a/**` is about `a` as well.
    if !words.isEmpty, parts[words.count...].contains(where: { $0 != .many }) { words.append([]) }
    return String(decoding: Array(words.joined(separator: [UInt8(ascii: "/")])), as: UTF8.self)
  }

  /// It is about what its owner alone writes.
  var namesOwned: Bool {
    guard parts.count > 1, case .exactly(let word)? = parts.first else { return false }
    return Self.owned.contains(word)
  }

  /// One row of the table of "these parts match those words": whatever the pattern, no more than parts times words.
  func matches(_ path: String) -> Bool {
    let words = Self.words(path)
    if parts.first == .one || parts.first == .many, words.count > 1,
      Self.owned.contains(where: { words[0].elementsEqual($0) })
    {
      return false
    }
    var row = [Bool](repeating: false, count: words.count + 1)
    row[0] = true
    for part in parts {
      var next = [Bool](repeating: false, count: words.count + 1)
      if part == .many { next[0] = row[0] }
      for (index, word) in words.enumerated() {
        switch part {
        case .one: next[index + 1] = row[index]
        case .many: next[index + 1] = row[index + 1] || next[index]
        case .exactly(let text): next[index + 1] = row[index] && word.elementsEqual(text)
        }
      }
      row = next
    }
    return row[words.count]
  }
}
