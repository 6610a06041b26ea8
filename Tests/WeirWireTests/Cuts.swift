import Testing

/// Law 3: runs `read` over the same bytes cut in every single place, in every pair of places near each other, byte by
/// byte, and at random; each must give what the whole gives.
func checkEveryCut<Value: Equatable>(
  _ bytes: [UInt8], seed: UInt64 = 1, at place: SourceLocation = #_sourceLocation,
  _ read: ([[UInt8]]) -> Value
) {
  let whole = read([bytes])
  func check(_ pieces: [[UInt8]], _ how: @autoclosure () -> String) {
    let value = read(pieces)
    if value != whole {
      Issue.record("cut \(how()) gives \(value), whole gives \(whole), input \(readable(bytes))", sourceLocation: place)
    }
  }
  check(bytes.map { [$0] }, "byte by byte")
  check(bytes.flatMap { [[], [$0]] }, "byte by byte with empty pieces")
  for cut in 0...bytes.count {
    check([Array(bytes[..<cut]), Array(bytes[cut...])], "at \(cut)")
    for second in cut...min(cut + 4, bytes.count) {
      check([Array(bytes[..<cut]), Array(bytes[cut..<second]), Array(bytes[second...])], "at \(cut), \(second)")
    }
  }
  var random = SeededGenerator(seed)
  for _ in 0..<20 {
    var pieces: [[UInt8]] = []
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = Int.random(in: 1...max(1, min(rest.count, 1 + bytes.count / 3)), using: &random)
      pieces.append(Array(rest.prefix(count)))
      rest = rest.dropFirst(count)
    }
    check(pieces, "\(pieces.map(\.count)) (seed \(seed))")
  }
}

func readable(_ bytes: [UInt8]) -> String {
  String(decoding: bytes.prefix(400), as: UTF8.self).debugDescription + (bytes.count > 400 ? "… \(bytes.count)" : "")
}

/// SplitMix64: the seed a failure prints is all it needs to happen again.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
