/// An event stream's bytes in, events out: the WHATWG `text/event-stream` algorithm, exactly.
///
/// Pure: knows no HTTP, no socket, no clock, and does not reconnect. Input comes from a response body cut anywhere;
/// any cut of the same bytes gives the same events. There are two ways to read it:
///
///     try parser.parse(chunk) { head, data in … }          // no copy: `data` is usually a slice of `chunk`
///     parser.receive(chunk); while let event = try parser.next() { … }
///
/// Lines are found with `memchr` over whole chunks. A `data` value that lies whole in one chunk is never copied; only
/// several `data` lines of one event, or an event that a chunk's end cuts, go through `data`.
package struct SSEParser: Sendable {
  /// Bytes of one event (its lines together, comments not counted) before the stream is refused: one event is held in
  /// memory whole, and 16 MiB is far above any image or document that a provider sends in one.
  package static let eventByteLimit = 16 << 20

  private let limit: Int

  /// The ID that a reconnecting client sends as `Last-Event-ID`: set by the last *dispatched* block, kept for good.
  package private(set) var lastEventID: String
  /// What the server last asked for with `retry:`.
  package private(set) var reconnectionTime: Duration?

  // The block being read.
  private var type = ""
  private var id: String
  /// `data` lines read so far, joined by LF, unless the only one is still in the chunk (`held`).
  private var data: [UInt8] = []
  private var hasData = false
  /// Place in the current chunk of the only `data` value of this block.
  private var held: Range<Int>?
  private var blockBytes = 0

  // The line being read. Invariant: `line` is empty while `inComment`.
  private var line: [UInt8] = []
  private var inComment = false
  /// The last byte was a CR that ended a line: an LF that follows belongs to it.
  private var afterCR = false
  /// Bytes of a byte order mark matched at the very start; 3 = the start is behind us.
  private var markBytes = 0

  // The chunk being read: where the next line ends are, so that each byte is scanned once for each of the two.
  private var position = 0
  private var nextCR = SSEParser.unknown
  private var nextLF = SSEParser.unknown
  private static let unknown = -1

  /// Input of the `receive`/`next` form. Invariant: consumed up to `position`.
  private var input: [UInt8] = []
  private var failure: SSEFailure?

  /// `lastEventID`: of the connection before, when this one is a reconnection.
  package init(lastEventID: String = "", eventByteLimit: Int = SSEParser.eventByteLimit) {
    self.limit = eventByteLimit
    self.lastEventID = lastEventID
    self.id = lastEventID
  }

  /// For the next connection to the same stream: what outlives one is kept.
  package init(continuing earlier: SSEParser) {
    self.init(lastEventID: earlier.lastEventID, eventByteLimit: earlier.limit)
    reconnectionTime = earlier.reconnectionTime
  }

  // MARK: The two ways to read

  /// Hands every event that `bytes` completes to `visit`, in order. The data is valid during the call only.
  package mutating func parse(
    _ bytes: Span<UInt8>, _ visit: (_ head: SSEHead, _ data: Span<UInt8>) -> Void
  ) throws(SSEFailure) {
    while let event = try next() { visit(SSEHead(type: event.type, lastEventID: event.lastEventID), event.data.span) }
    input.removeAll(keepingCapacity: true)
    beginChunk()
    try bytes.withUnsafeBufferPointer { (chunk) throws(SSEFailure) in
      while true {
        visitPlainBlocks(chunk, visit)
        guard let found = try advance(chunk) else { break }
        let head = SSEHead(type: type.isEmpty ? SSEHead.defaultType : type, lastEventID: lastEventID)
        if let range = found.inChunk {
          visit(head, chunk.slice(range).span)
        } else {
          visit(head, data.span)
        }
        endBlock()
      }
    }
    beginChunk()
  }

  /// Takes bytes for `next`. Empty the parser with `next` before giving it more.
  package mutating func receive(_ bytes: Span<UInt8>) {
    guard failure == nil else { return }
    if position > 0 { input.removeSubrange(0..<position) }
    bytes.withUnsafeBufferPointer { input.append(contentsOf: $0) }
    beginChunk()
  }

  /// The next whole event, or nil: needs more bytes. A failed parser stays failed.
  package mutating func next() throws(SSEFailure) -> SSEEvent? {
    if position == input.count, failure == nil { return nil }
    let input = self.input
    return try input.span.withUnsafeBufferPointer { (chunk) throws(SSEFailure) -> SSEEvent? in
      guard let found = try advance(chunk) else { return nil }
      var event = SSEEvent(type: type.isEmpty ? SSEHead.defaultType : type, data: [], lastEventID: lastEventID)
      if let range = found.inChunk {
        event.data = Array(chunk[range])
      } else {
        swap(&event.data, &data)
      }
      endBlock()
      return event
    }
  }

  /// The body ended. A block without its blank line is dropped, as the standard says; whole events not yet taken with
  /// `next` are still there.
  package mutating func finish() {
    guard position == input.count else { return }
    endBlock()
    line = []
    inComment = false
  }

  // MARK: The algorithm

  /// A block is ready to be delivered: its data is in the chunk, or in `data` if nil.
  private struct Found { var inChunk: Range<Int>? }

  private mutating func beginChunk() {
    position = 0
    nextCR = Self.unknown
    nextLF = Self.unknown
  }

  /// Reads on from `position` until a block is ready or the chunk is used up (nil; nothing then refers to the chunk).
  private mutating func advance(_ chunk: UnsafeBufferPointer<UInt8>) throws(SSEFailure) -> Found? {
    if let failure { throw failure }
    if markBytes < 3 { skipByteOrderMark(chunk) }
    while position < chunk.count {
      if afterCR {
        afterCR = false
        if chunk[position] == .lineFeed {
          position += 1
          continue
        }
      }
      let start = position
      let end = lineEnd(chunk)
      if end == chunk.count {
        position = end
        try keepPartialLine(chunk.slice(start..<end))
        break
      }
      position = end + 1
      afterCR = chunk[end] == .carriageReturn
      if inComment {
        inComment = false
      } else if !line.isEmpty {
        try keepPartialLine(chunk.slice(start..<end))
        let whole = line
        line.removeAll(keepingCapacity: false)
        whole.withUnsafeBufferPointer { field($0, at: nil, chunk) }
        blockBytes += whole.count
      } else if start == end {
        lastEventID = id
        if hasData {
          if let held { return Found(inChunk: held) }
          return Found(inChunk: nil)
        }
        endBlock()
      } else if chunk[start] != .colon {
        blockBytes += end - start
        if blockBytes > limit { throw fail() }
        field(chunk.slice(start..<end), at: start, chunk)
      }
    }
    releaseChunk(chunk)
    return nil
  }

  /// The shape that most streams have nothing but: one `data` line and an empty one, each ended by LF, whole in the
  /// chunk. It touches no state: 2.5 × as fast as `advance` on the smallest events (docs/performance.md). Stops where
  /// anything else begins.
  private mutating func visitPlainBlocks(
    _ chunk: UnsafeBufferPointer<UInt8>, _ visit: (_ head: SSEHead, _ data: Span<UInt8>) -> Void
  ) {
    guard isBetweenBlocks, failure == nil else { return }
    if nextCR < position { nextCR = chunk.firstIndex(of: .carriageReturn, in: position..<chunk.count) }
    let head = SSEHead(type: SSEHead.defaultType, lastEventID: lastEventID)
    var at = position
    while at + 8 <= chunk.count, chunk.word(at: at) & 0xFF_FFFF_FFFF == Self.dataColon {
      let start = chunk[at + 5] == .space ? at + 6 : at + 5
      let end = chunk.lineFeed(from: start)
      guard end + 1 < nextCR, chunk[end + 1] == .lineFeed, end - at <= limit else { break }
      visit(head, chunk.slice(start..<end).span)
      at = end + 2
    }
    position = at
  }

  /// `data:` as the low bytes of a little-endian word.
  private static let dataColon: UInt64 = 0x3A_6174_6164

  /// Nothing of a block or a line was read. Then `id` is `lastEventID`.
  private var isBetweenBlocks: Bool {
    blockBytes == 0 && !hasData && !afterCR && !inComment && line.isEmpty && type.isEmpty && markBytes == 3
  }

  private mutating func lineEnd(_ chunk: UnsafeBufferPointer<UInt8>) -> Int {
    if nextLF < position { nextLF = chunk.firstIndex(of: .lineFeed, in: position..<chunk.count) }
    if nextCR < position { nextCR = chunk.firstIndex(of: .carriageReturn, in: position..<chunk.count) }
    return min(nextLF, nextCR)
  }

  private mutating func skipByteOrderMark(_ chunk: UnsafeBufferPointer<UInt8>) {
    while markBytes < 3, position < chunk.count {
      if chunk[position] == Self.byteOrderMark[markBytes] {
        markBytes += 1
        position += 1
      } else {
        line.append(contentsOf: Self.byteOrderMark[..<markBytes])  // it was text after all
        markBytes = 3
      }
    }
  }
  private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private mutating func keepPartialLine(_ bytes: UnsafeBufferPointer<UInt8>) throws(SSEFailure) {
    if inComment || (line.isEmpty && bytes.first == .colon) {
      inComment = true  // an endless comment costs nothing
      return
    }
    if blockBytes + line.count + bytes.count > limit { throw fail() }
    line.append(contentsOf: bytes)
  }

  /// One line that is neither blank nor a comment. `at` is its place in the chunk, nil if it was put together in `line`.
  private mutating func field(_ line: UnsafeBufferPointer<UInt8>, at place: Int?, _ chunk: UnsafeBufferPointer<UInt8>) {
    let colon = line.scan(for: .colon)
    let name = line.slice(0..<colon)
    var start = min(colon + 1, line.count)
    if start < line.count, line[start] == .space { start += 1 }
    let value = line.slice(start..<line.count)

    if name.equals("data") {
      if !hasData, let place {
        held = (place + start)..<(place + line.count)
      } else {
        releaseChunk(chunk)
        if hasData { data.append(.lineFeed) }
        data.append(contentsOf: value)
      }
      hasData = true
    } else if name.equals("event") {
      type = String(decoding: value, as: UTF8.self)
    } else if name.equals("id") {
      if value.scan(for: 0) == value.count { id = String(decoding: value, as: UTF8.self) }
    } else if name.equals("retry") {
      if let time = Self.milliseconds(value) { reconnectionTime = time }
    }
  }

  /// ASCII digits only, at least one; a number beyond all use saturates.
  private static func milliseconds(_ value: UnsafeBufferPointer<UInt8>) -> Duration? {
    guard !value.isEmpty, value.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    var number: Int64 = 0
    for digit in value { number = min(number * 10 + Int64(digit - 0x30), 1 << 50) }
    return .milliseconds(number)
  }

  /// Copies what still refers to the chunk.
  private mutating func releaseChunk(_ chunk: UnsafeBufferPointer<UInt8>) {
    guard let range = held else { return }
    data.append(contentsOf: chunk.slice(range))
    held = nil
  }

  private mutating func endBlock() {
    type = ""
    hasData = false
    held = nil
    blockBytes = 0
    // Emptying costs a tenth of a small event, and most have nothing here. One huge event must not keep its memory for
    // the life of the stream.
    if !data.isEmpty { data.removeAll(keepingCapacity: data.capacity <= Self.keptCapacity) }
  }
  private static let keptCapacity = 64 << 10

  private mutating func fail() -> SSEFailure {
    let failure = SSEFailure.eventTooLarge(limit: limit)
    self.failure = failure
    data = []
    line = []
    held = nil
    return failure
  }
}

/// What comes with an event's data.
package struct SSEHead: Equatable, Sendable {
  package static let defaultType = "message"
  package var type: String
  package var lastEventID: String
}

/// One dispatched event. `data` is the bytes as they came; `text` decodes them as the standard says.
package struct SSEEvent: Equatable, Sendable {
  package var type: String
  package var data: [UInt8]
  package var lastEventID: String
  /// UTF-8 with U+FFFD for what is not.
  package var text: String { String(decoding: data, as: UTF8.self) }

  package init(type: String = SSEHead.defaultType, data: [UInt8], lastEventID: String = "") {
    self.type = type
    self.data = data
    self.lastEventID = lastEventID
  }
}
