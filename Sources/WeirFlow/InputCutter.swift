/// Cuts bytes into lines or into full chunks: what standard input and the output of processes are delivered in.
///
/// Bytes in, pieces out, and any cut of the same bytes gives the same pieces. Nothing is searched or moved twice.
package struct InputCutter {
  /// A longer line is handed out in parts of this size.
  package static let lineLimit = 16 << 20
  /// Largest chunk that can be asked for.
  package static let chunkLimit = 16 << 20

  private var bytes: [UInt8] = []
  private var first = 0
  /// No line ends before this place.
  private var scanned = 0
  private var isFinished = false
  private let lineLimit: Int

  package init(lineLimit: Int = InputCutter.lineLimit) { self.lineLimit = lineLimit }

  package mutating func receive(_ more: [UInt8]) {
    if first == bytes.count {
      bytes = more
      scanned = 0
      first = 0
    } else {
      if first > bytes.count / 2 {
        bytes.removeFirst(first)
        scanned -= first
        first = 0
      }
      bytes += more
    }
  }

  /// No more bytes: what is left is a line or chunk as well.
  package mutating func finish() { isFinished = true }

  /// Nothing is left and nothing will come.
  package var isEnded: Bool { isFinished && first == bytes.count }

  /// The next line without its `\n` or `\r\n`; nil: it is not complete yet.
  package mutating func nextLine() -> String? {
    let limit = min(bytes.count, first + lineLimit + 1)
    if let end = bytes[max(scanned, first)..<max(limit, scanned)].firstIndex(of: 0x0A) {
      let hasReturn = end > first && bytes[end - 1] == 0x0D
      return text(upTo: hasReturn ? end - 1 : end, next: end + 1)
    }
    scanned = max(limit, scanned)
    if bytes.count - first > lineLimit { return text(upTo: first + lineLimit, next: first + lineLimit) }
    return isFinished && first < bytes.count ? text(upTo: bytes.count, next: bytes.count) : nil
  }

  /// The next `size` bytes, at the end what is left; nil: there are not as many yet.
  package mutating func nextChunk(_ size: Int) -> [UInt8]? {
    let count = bytes.count - first
    guard count >= size || (isFinished && count > 0) else { return nil }
    let chunk = Array(bytes[first..<first + min(size, count)])
    first += chunk.count
    scanned = max(scanned, first)
    return chunk
  }

  private mutating func text(upTo end: Int, next: Int) -> String {
    let line = String(decoding: bytes[first..<end], as: UTF8.self)
    first = next
    scanned = max(scanned, next)
    return line
  }
}
