import WeirCore

/// Law 3 as a test: any cut of the same bytes gives the same outcome.
///
/// `run` gets the bytes as pieces, feeds them to a fresh parser, decoder or guard, and returns what came out (events,
/// errors as values, end state). It is called for the whole, for one byte at a time, for every cut in two (also with
/// an empty piece at either end), and for random cuts of a printed seed. The outcome of the whole is returned, so that
/// the test can say what it should be; the first cut that gives another one is thrown.
///
///     let events = try everyCut(bytes) { pieces in
///       var parser = SSEParser()
///       return try pieces.flatMap { try parser.drain($0.span) }
///     }
///
/// Longer inputs than `everyPlaceLimit` bytes are cut in two at that many random places, since trying each would take
/// quadratic time.
@discardableResult
package func everyCut<Outcome: Equatable>(
  _ bytes: [UInt8], randomCuts: Int = 50, seed: UInt64 = 1, everyPlaceLimit: Int = 2048,
  _ run: (_ pieces: [[UInt8]]) throws -> Outcome
) throws -> Outcome {
  let whole = try run([bytes])
  func compare(_ pieces: [[UInt8]], _ how: @autoclosure () -> String) throws {
    let outcome = try run(pieces)
    if outcome != whole {
      throw CutMismatch(how: how(), expected: String(describing: whole), found: String(describing: outcome))
    }
  }

  try compare(bytes.map { [$0] }, "one byte at a time")

  let random = SeededRandom(seed: seed)
  let places =
    bytes.count <= everyPlaceLimit
    ? Array(0...bytes.count) : (0..<everyPlaceLimit).map { _ in random.int(0...bytes.count) }
  for place in places {
    try compare([Array(bytes[..<place]), Array(bytes[place...])], "in two at byte \(place)")
  }

  for round in 0..<randomCuts where bytes.count > 1 {
    // Small, middling and large pieces, since each finds other mistakes.
    let pieces = random.cut(bytes, pieceLimit: random.pick([2, 3, 7, 64, bytes.count]))
    try compare(pieces, "at random, seed \(seed), round \(round), lengths \(pieces.map(\.count))")
  }
  return whole
}

/// The same for text.
@discardableResult
package func everyCut<Outcome: Equatable>(
  _ text: String, randomCuts: Int = 50, seed: UInt64 = 1, everyPlaceLimit: Int = 2048,
  _ run: (_ pieces: [[UInt8]]) throws -> Outcome
) throws -> Outcome {
  try everyCut(Array(text.utf8), randomCuts: randomCuts, seed: seed, everyPlaceLimit: everyPlaceLimit, run)
}

package struct CutMismatch: Failure {
  package var how: String
  package var expected: String
  package var found: String
  package var code: String { "CutMatters" }
  package var message: String { "cut \(how), the outcome is another one\n  whole: \(expected)\n  cut:   \(found)" }
}
