import WeirCore
import WeirLang

/// `std/rand`: chance from the world's one source, which nobody can guess outside and a seed repeats in simulation.
enum RandomModule {
  /// Bytes that one call may ask for.
  static let byteLimit = 1 << 20

  static var module: LibraryModule {
    LibraryModule(
      name: "std/rand",
      source: """
        // Chance, from a source that nobody can guess.

        /// A whole number from `low` to `high`, both included; each is equally likely.
        export extern func randInt(low: int, high: int) -> int ! {Rand}
        /// From 0.0 up to, not including, 1.0.
        export extern func randFloat() -> float ! {Rand}
        /// True or false, equally likely.
        export func randBool() -> bool ! {Rand} { randInt(0, 1) == 1 }
        /// This many bytes, at most 1 MiB at once.
        export extern func randBytes(count: int) -> bytes ! {Rand}
        /// 26 characters that nobody can guess.
        export extern func randId() -> string ! {Rand}
        /// The items in any order; each order is equally likely.
        export extern func shuffle[a](xs: [a]) -> [a] ! {Rand}
        /// One of the items; None of an empty list.
        export func choice[a](xs: [a]) -> Option[a] ! {Rand} {
          if len(xs) == 0 then None else Some(xs[randInt(0, len(xs) - 1)])
        }
        """,
      natives: [
        contextual("randInt") { (context: NativeContext, low: Int, high: Int) in
          guard low <= high else { throw Trap("BadArgument", "randInt(\(low), \(high)): the first is the larger one") }
          let random = try ProgramInstance.of(context).world.random
          // The distance of two ints always fits 64 unsigned bits.
          return low &+ Int(bitPattern: UInt(uniform(random, UInt64(UInt(bitPattern: high &- low)))))
        },
        contextual("randFloat") { (context: NativeContext) in
          Double(try ProgramInstance.of(context).world.random.next() >> 11) * 0x1p-53
        },
        contextual("randBytes") { (context: NativeContext, count: Int) in
          guard (0...byteLimit).contains(count) else {
            throw Trap("BadArgument", "randBytes(\(count)): from 0 to \(byteLimit)")
          }
          let random = try ProgramInstance.of(context).world.random
          return Bytes((0..<count).map { _ in UInt8(truncatingIfNeeded: random.next() >> 56) })
        },
        contextual("randId") { (context: NativeContext) in try ProgramInstance.of(context).world.random.identifier() },
        raw("shuffle", arity: 1) { arguments, context in
          guard var items = arguments[0].asList?.array else {
            throw Trap("BadArgument", "shuffle needs a list")
          }
          let random = try ProgramInstance.of(context).world.random
          for last in stride(from: items.count - 1, to: 0, by: -1) {
            items.swapAt(last, Int(uniform(random, UInt64(last))))
          }
          return .value(.list(List(items)))
        },
      ]
    )
  }

  /// From 0 to `top`, each equally likely: draws that would favour small numbers are thrown away.
  private static func uniform(_ random: any RandomSource, _ top: UInt64) -> UInt64 {
    if top == .max { return random.next() }
    let count = top + 1
    let usable = UInt64.max - UInt64.max % count
    while true {
      let draw = random.next()
      if draw < usable { return draw % count }
    }
  }
}
