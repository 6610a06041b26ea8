import WeirCore

/// The newest frames of a feed, encoded once and read by every reader that keeps up: a list of segments, each a
/// run of bytes. Pure; it knows neither readers nor formats.
///
///     items      … 41 │ 42    43  44 │ 45   46        next
///     segments        │ ███████████  │ █████████
///     positions       base        base          head
///
/// A *position* counts the bytes that the feed has ever encoded; a cursor is one integer. Frames sit back to back
/// and never across segments, so what a reader lacks is one slice, two at a segment's edge.
/// Invariant: an item always encodes to the same bytes, so (item, bytes of it already sent) names the same place in
/// the window and in the log: readers can leave the window for the log and come back (law 4).
struct FrameWindow {
  struct Segment {
    var base: Int
    var first: Offset
    var bytes: [UInt8] = []
    /// Where each frame ends in `bytes`. Frame k is item `first + k`.
    var ends: [UInt32] = []
  }

  /// A new segment begins once one holds this much: large enough that a reader rarely needs two sends, small enough
  /// that dropping one frees memory in steps.
  static let segmentSize = 32 << 10
  /// Buffers up to this capacity are kept when the window is emptied, so a steady stream allocates nothing.
  static let keptCapacity = 32 << 10

  /// Oldest first, never empty.
  private(set) var segments: ContiguousArray<Segment>
  /// The item after the last frame.
  private(set) var next: Offset
  /// The position after the last byte.
  private(set) var head: Int

  init(at offset: Offset) {
    segments = [Segment(base: 0, first: offset)]
    next = offset
    head = 0
  }

  var start: Int { segments[0].base }
  var first: Offset { segments[0].first }
  var byteCount: Int { head - start }

  /// Adds the frame of item `next`. A frame may be empty (an item that a format does not show).
  mutating func append(_ encode: (inout [UInt8]) -> Void) {
    var last = segments.count - 1
    if segments[last].bytes.count >= Self.segmentSize {
      segments.append(Segment(base: head, first: next))
      last += 1
    }
    encode(&segments[last].bytes)
    segments[last].ends.append(UInt32(segments[last].bytes.count))
    head = segments[last].base + segments[last].bytes.count
    next = next + 1
  }

  /// Drops the oldest segment; the last one always stays. Take `place` of the cursors in it before.
  mutating func dropOldest() {
    if segments.count > 1 { segments.removeFirst() }
  }

  /// Forgets all frames; positions and offsets go on from the head.
  mutating func clear() {
    if segments.count > 1 { segments.removeFirst(segments.count - 1) }
    let isLarge = segments[0].bytes.capacity > Self.keptCapacity
    segments[0].bytes.removeAll(keepingCapacity: !isLarge)
    segments[0].ends.removeAll(keepingCapacity: !isLarge)
    segments[0].base = head
    segments[0].first = next
  }

  /// Gives the buffers back: a feed that has fallen silent should cost next to nothing.
  mutating func shrink() {
    guard byteCount == 0 else { return }
    segments = [Segment(base: head, first: next)]
  }

  /// Starts over at another item: the feed leaps ahead of what it has read.
  mutating func leap(to offset: Offset) {
    next = offset
    clear()
  }

  /// The segment that holds the byte at `position` (`start` ... `head`): nearly always the last.
  func segment(at position: Int) -> Int {
    var index = segments.count - 1
    while index > 0, segments[index].base > position { index -= 1 }
    return index
  }

  /// Item and bytes into its frame at `position`.
  func place(at position: Int) -> (item: Offset, skip: Int) {
    let segment = segments[segment(at: position)]
    let local = UInt32(position - segment.base)
    // First frame that ends after the position: binary search.
    var low = 0
    var high = segment.ends.count
    while low < high {
      let middle = (low + high) / 2
      if segment.ends[middle] > local { high = middle } else { low = middle + 1 }
    }
    let begin = low == 0 ? 0 : segment.ends[low - 1]
    return (segment.first + low, Int(local - begin))
  }

  /// The position `skip` bytes into the frame of `item`, which must be within `first` ... `next`.
  func position(of item: Offset, skip: Int) -> Int {
    if item == next { return head }
    var index = segments.count - 1
    while index > 0, segments[index].first > item { index -= 1 }
    let segment = segments[index]
    let frame = Int(item.value - segment.first.value)
    return segment.base + (frame == 0 ? 0 : Int(segment.ends[frame - 1])) + skip
  }
}
