import WeirCore

/// Randomness that a seed determines, for simulations and random tests: the same seed gives the same numbers on every
/// machine and in every version. SplitMix64 (Steele, Lea, Flood 2014): one addition and three multiplications a
/// number, passes BigCrush, and any two seeds give unrelated sequences. Not for secrets.
package final class SeededRandom: RandomSource, RandomNumberGenerator {
  package let seed: UInt64
  private var state: UInt64

  package init(seed: UInt64) {
    self.seed = seed
    state = seed
  }

  package func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// An independent sequence, so that what one part draws doesn't shift what another part gets.
  package func fork() -> SeededRandom { SeededRandom(seed: next()) }

  /// True with the given probability. 0 and 1 are certain, and draw nothing.
  package func chance(_ probability: Double) -> Bool {
    if probability <= 0 { return false }
    if probability >= 1 { return true }
    return Double(next() >> 11) * 0x1p-53 < probability
  }

  package func int(_ range: ClosedRange<Int>) -> Int {
    let width = UInt64(bitPattern: Int64(range.upperBound &- range.lowerBound))
    guard width < .max else { return Int(truncatingIfNeeded: next()) }
    return range.lowerBound &+ Int(truncatingIfNeeded: next().multipliedFullWidth(by: width + 1).high)
  }

  package func int(below bound: Int) -> Int { int(0...(bound - 1)) }

  package func duration(_ range: ClosedRange<Duration>) -> Duration {
    let low = range.lowerBound.nanoseconds
    return .nanoseconds(low + Int64(int(0...Int(range.upperBound.nanoseconds - low))))
  }

  package func bytes(_ count: Int) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      for i in 0..<count { buffer.initializeElement(at: i, to: UInt8(truncatingIfNeeded: next() >> 32)) }
      filled = count
    }
  }

  package func pick<T>(_ choices: [T]) -> T { choices[int(below: choices.count)] }

  /// Cuts bytes into random pieces, none empty.
  package func cut(_ bytes: [UInt8], pieceLimit: Int) -> [[UInt8]] {
    var pieces: [[UInt8]] = []
    var at = 0
    while at < bytes.count {
      let end = min(bytes.count, at + int(1...max(1, pieceLimit)))
      pieces.append(Array(bytes[at..<end]))
      at = end
    }
    return pieces
  }
}
