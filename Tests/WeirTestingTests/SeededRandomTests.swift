import Testing
import WeirTesting

@Suite struct SeededRandomTests {
  @Test func aSeedIsASequence() {
    // The reference values of SplitMix64 for seed 1234567.
    let random = SeededRandom(seed: 1_234_567)
    let expected: [UInt64] = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
    #expect(expected.map { _ in random.next() } == expected)
  }

  @Test func rangesAreKeptAndReached() {
    let random = SeededRandom(seed: 3)
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<7000 { counts[random.int(-3...3) + 3] += 1 }
    #expect(counts.allSatisfy { $0 > 800 })
    for _ in 0..<100 {
      #expect(
        (Duration.milliseconds(2)...Duration.seconds(1)).contains(random.duration(.milliseconds(2) ... .seconds(1))))
    }
    #expect(random.duration(.seconds(1) ... .seconds(1)) == .seconds(1))
    _ = random.int(Int.min...Int.max)
  }

  @Test func chanceIsCertainAtTheEnds() {
    let random = SeededRandom(seed: 9)
    for _ in 0..<100 {
      #expect(!random.chance(0))
      #expect(random.chance(1))
    }
    let hits = (0..<10_000).count { _ in random.chance(0.25) }
    #expect((2200...2800).contains(hits))
  }

  @Test func cutsJoinToTheSame() {
    let random = SeededRandom(seed: 4)
    for count in [0, 1, 2, 100] {
      let bytes = random.bytes(count)
      let pieces = random.cut(bytes, pieceLimit: 5)
      #expect(Array(pieces.joined()) == bytes)
      #expect(pieces.allSatisfy { (1...5).contains($0.count) })
    }
  }
}
