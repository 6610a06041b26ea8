// memchr is pure: the one thing this room takes from the C library. glibc picks AVX2 or AVX-512 at run time; hand-written
// SIMD in Swift was slower by two orders of magnitude (DESIGN, dependencies). Nothing else may be imported here.
#if canImport(Glibc)
  import func Glibc.memchr
#elseif canImport(Musl)
  import func Musl.memchr
#elseif canImport(Darwin)
  import func Darwin.memchr
#endif

extension UnsafeBufferPointer<UInt8> {
  /// Index of the first `byte` in `range`, or `range.upperBound` if there is none. `range` must lie within the buffer.
  @inline(__always)
  func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int {
    guard let base = baseAddress, !range.isEmpty,
      let found = memchr(base + range.lowerBound, Int32(byte), range.count)
    else { return range.upperBound }
    return UnsafeRawPointer(found) - UnsafeRawPointer(base)
  }

  /// Index of the first `byte`, or `count`.
  @inline(__always)
  func scan(for byte: UInt8) -> Int { firstIndex(of: byte, in: 0..<count) }

  /// Eight bytes as a little-endian word; `index + 8` must not be beyond the end.
  @inline(__always)
  func word(at index: Int) -> UInt64 {
    UInt64(littleEndian: UnsafeRawPointer(baseAddress! + index).loadUnaligned(as: UInt64.self))
  }

  /// Index of the first LF from `start` on, or `count`. Eight bytes are looked at before `memchr` is called: that call
  /// costs as much as the smallest events.
  @inline(__always)
  func lineFeed(from start: Int) -> Int {
    if start + 8 <= count {
      // The lowest byte that is 0 keeps its top bit (Hacker's Delight 6-1); those above it may be wrong.
      let other = word(at: start) ^ 0x0A0A_0A0A_0A0A_0A0A
      let hits = (other &- 0x0101_0101_0101_0101) & ~other & 0x8080_8080_8080_8080
      if hits != 0 { return start + hits.trailingZeroBitCount / 8 }
    }
    return firstIndex(of: .lineFeed, in: start..<count)
  }

  /// The bytes of `range` as a buffer of their own (no copy; same lifetime).
  @inline(__always)
  func slice(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
    UnsafeBufferPointer(rebasing: self[range])
  }

  /// Equal to the bytes of a literal.
  @inline(__always)
  func equals(_ literal: StaticString) -> Bool {
    guard count == literal.utf8CodeUnitCount else { return false }
    for i in 0..<count where self[i] != literal.utf8Start[i] { return false }
    return true
  }
}
