import WeirCore

/// Standard input by lines, for whoever asks for one. Nothing is read before the first is asked for, and at most a piece
/// ahead of what was asked.
final class InputLines {
  /// A longer line is handed out in parts of this size.
  static let lineLimit = 16 << 20

  private let loop: EventLoop
  private let descriptor: Int32
  private var input: StandardInput?
  private var waiting: [(String?) -> Void] = []
  private var bytes: [UInt8] = []
  private var scanned = 0
  private var isEnded = false

  init(_ loop: EventLoop, descriptor: Int32 = 0) {
    self.loop = loop
    self.descriptor = descriptor
  }

  /// Answers in the order asked, in a later job; nil at the end of input.
  func next(_ answer: @escaping (String?) -> Void) {
    waiting.append(answer)
    loop.soon { self.deliver() }
  }

  private func deliver() {
    while !waiting.isEmpty, let line = nextLine() { waiting.removeFirst()(line.text) }
  }

  /// nil: more has to be read first, which is under way.
  private func nextLine() -> (text: String?, Void)? {
    if let end = bytes[scanned...].firstIndex(of: 0x0A) { return (take(end, skipping: 1), ()) }
    scanned = bytes.count
    if bytes.count >= Self.lineLimit { return (take(bytes.count, skipping: 0), ()) }
    if isEnded { return (bytes.isEmpty ? nil : take(bytes.count, skipping: 0), ()) }
    if let input {
      input.isReading = true
    } else {
      input = StandardInput(loop, descriptor: descriptor) { [unowned self] in arrived($0) }
    }
    return nil
  }

  private func take(_ end: Int, skipping: Int) -> String {
    let hasReturn = skipping == 1 && end > 0 && bytes[end - 1] == 0x0D
    let line = String(decoding: bytes[..<(hasReturn ? end - 1 : end)], as: UTF8.self)
    bytes.removeSubrange(..<(end + skipping))
    scanned = 0
    return line
  }

  private func arrived(_ piece: [UInt8]?) {
    if let piece { bytes += piece } else { isEnded = true }
    input?.isReading = false
    deliver()
  }
}
