import Testing
import WeirTesting

@Suite struct EveryCutTests {
  /// Counts lines as a careless parser would: a terminator that is cut in two is seen as none.
  private func lines(_ pieces: [[UInt8]]) -> Int {
    pieces.reduce(0) { sum, piece in
      sum + zip(piece, piece.dropFirst()).filter { $0 == 0x0D && $1 == 0x0A }.count
    }
  }

  @Test func findsAParserThatCaresAboutCuts() throws {
    #expect(throws: CutMismatch.self) { try everyCut("a\r\nb\r\n") { lines($0) } }
  }

  @Test func returnsTheOutcomeOfTheWhole() throws {
    let bytes = try everyCut("héllo") { pieces in pieces.flatMap { $0 } }
    #expect(bytes == Array("héllo".utf8))
    #expect(try everyCut("") { $0.flatMap { $0 } } == [])
  }

  @Test func triesOneByteAtATimeEveryPlaceAndRandomCuts() throws {
    var seen: [[Int]] = []
    try everyCut([1, 2, 3], randomCuts: 4) {
      seen.append($0.map(\.count))
      return $0.flatMap { $0 }
    }
    #expect(seen.count == 1 + 1 + 4 + 4)
    for wanted in [[3], [1, 1, 1], [0, 3], [1, 2], [2, 1], [3, 0]] { #expect(seen.contains(wanted)) }
  }

  @Test func longInputIsCutInBoundedlyManyPlaces() throws {
    var runs = 0
    try everyCut([UInt8](repeating: 7, count: 5000), randomCuts: 10, everyPlaceLimit: 100) {
      runs += 1
      return $0.joined().count
    }
    #expect(runs == 1 + 1 + 100 + 10)
  }
}
