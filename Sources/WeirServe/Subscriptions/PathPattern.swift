/// Which streams a subscription is about, by their names: `*` is any one part of a path, `**` any number of them, none too
/// (Durable Streams Protocol, 6.2). Everything else stands for itself. Pure.
struct PathPattern: Equatable, Sendable {
  private enum Part: Equatable, Sendable {
    case exactly(String)
    case one
    case many
  }

  let text: String
  private let parts: [Part]

  /// Names have at most 16 parts and 255 bytes.
  static let partLimit = 32
  static let byteLimit = 512

  /// Nil: an empty part, a star inside of one, a character that no name has, or too long.
  init?(_ text: String) {
    let words = text.split(separator: "/", omittingEmptySubsequences: false)
    guard text.utf8.count <= Self.byteLimit, words.count <= Self.partLimit else { return nil }
    var parts: [Part] = []
    for word in words {
      switch word {
      case "*": parts.append(.one)
      case "**": parts.append(.many)
      default:
        guard !word.isEmpty, word != ".", word != "..",
          !word.unicodeScalars.contains(where: {
            $0 == "*" || $0 == ":" || $0 == "\\" || $0.value < 0x20 || $0.value == 0x7F
          })
        else { return nil }
        parts.append(.exactly(String(word)))
      }
    }
    self.text = text
    self.parts = parts
  }

  /// What every matching name begins with.
  var prefix: String {
    var prefix = ""
    for part in parts {
      guard case .exactly(let word) = part else { break }
      prefix += word + "/"
    }
    // Without a star it is one name.
    return parts.contains { $0 == .one || $0 == .many } ? prefix : text
  }

  /// One row of the table of "these parts match those words": whatever the pattern, no more than parts times words.
  func matches(_ path: String) -> Bool {
    let words = path.split(separator: "/", omittingEmptySubsequences: false)
    var row = [Bool](repeating: false, count: words.count + 1)
    row[0] = true
    for part in parts {
      var next = [Bool](repeating: false, count: words.count + 1)
      if part == .many { next[0] = row[0] }
      for (index, word) in words.enumerated() {
        switch part {
        case .one: next[index + 1] = row[index]
        case .many: next[index + 1] = row[index + 1] || next[index]
        case .exactly(let text): next[index + 1] = row[index] && text.utf8.elementsEqual(word.utf8)
        }
      }
      row = next
    }
    return row[words.count]
  }
}
