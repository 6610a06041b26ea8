/// CRC-32C (Castagnoli; RFC 3720, appendix B.4): what tells a record of a log that was torn or has rotted from one that is whole.
///
/// Eight bytes a step over tables made once: about a gigabyte a second, far beyond what a disk takes.
package enum CRC32C {
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for byte in 0..<256 {
      var value = UInt32(byte)
      for _ in 0..<8 { value = value & 1 == 0 ? value >> 1 : value >> 1 ^ 0x82F6_3B78 }
      tables[byte] = value
    }
    for byte in 0..<256 {
      for table in 1..<8 {
        let before = tables[(table - 1) * 256 + byte]
        tables[table * 256 + byte] = tables[Int(before & 0xFF)] ^ before >> 8
      }
    }
    return tables
  }()

  /// Of `bytes` behind what gave `start`.
  package static func of(_ bytes: UnsafeRawBufferPointer, from start: UInt32 = 0) -> UInt32 {
    tables.withUnsafeBufferPointer { t in
      var crc = ~start
      var at = 0
      while at + 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) ^ UInt64(crc)
        func table(_ number: Int, _ shift: UInt64) -> UInt32 {
          t[number * 256 + Int(truncatingIfNeeded: word >> shift & 0xFF)]
        }
        let low = table(7, 0) ^ table(6, 8) ^ table(5, 16) ^ table(4, 24)
        crc = low ^ table(3, 32) ^ table(2, 40) ^ table(1, 48) ^ table(0, 56)
        at += 8
      }
      while at < bytes.count {
        crc = t[Int((crc ^ UInt32(bytes[at])) & 0xFF)] ^ crc >> 8
        at += 1
      }
      return ~crc
    }
  }
}
