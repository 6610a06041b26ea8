/// std/list. What takes a callback is written in the language; `out ++ [x]` appends in place (`List`).
extension LibraryModule {
  static var list: LibraryModule {
    LibraryModule(
      name: "std/list",
      source: #"""
        // Lists. They are values: every function gives a new one.

        /// How many items there are.
        export extern func length[a](xs: [a]) -> int
        /// Whether there is no item.
        export func isEmpty[a](xs: [a]) -> bool { length(xs) == 0 }
        /// The first item.
        export func head[a](xs: [a]) -> Option[a] { match xs { [] => None, [x, ...] => Some(x) } }
        /// All but the first item; [] of an empty list.
        export func tail[a](xs: [a]) -> [a] { match xs { [] => [], [_, ...rest] => rest } }
        /// The last item.
        export extern func last[a](xs: [a]) -> Option[a]
        /// The item at a place, counted from 0.
        export extern func get[a](xs: [a], index: int) -> Option[a]
        /// The items in the other order.
        export extern func reverse[a](xs: [a]) -> [a]
        /// The list with `x` behind it.
        export extern func append[a](xs: [a], x: a) -> [a]
        /// Lists one behind the other.
        export extern func concat[a](lists: [[a]]) -> [a]
        /// The first `count` items, fewer when there are not so many.
        export extern func take[a](xs: [a], count: int) -> [a]
        /// Without the first `count` items.
        export extern func drop[a](xs: [a], count: int) -> [a]
        /// Items `from` up to, not including, `to`; places outside the list are left out.
        export extern func slice[a](xs: [a], from: int, to: int) -> [a]
        /// Whether an item equals x.
        export extern func contains[comparable](xs: [comparable], x: comparable) -> bool
        /// The place of the first item that equals x.
        export extern func indexOf[comparable](xs: [comparable], x: comparable) -> Option[int]
        /// Pairs of the items at the same place, as many as the shorter list has.
        export extern func zip[a, b](xs: [a], ys: [b]) -> [(a, b)]
        /// `(place, item)` of every item.
        export extern func enumerate[a](xs: [a]) -> [(int, a)]
        /// The ints `from` up to, not including, `to`.
        export extern func range(from: int, to: int) -> [int]
        /// In rising order; items that are equal keep theirs.
        export extern func sort[comparable](xs: [comparable]) -> [comparable]
        /// Without repetitions; the first of equal items stays.
        export extern func unique[comparable](xs: [comparable]) -> [comparable]
        /// `count` times the same item.
        export extern func fill[a](x: a, count: int) -> [a]
        extern func _sortByKeys[a, comparable](xs: [a], keys: [comparable]) -> [a]

        /// `f` of every item.
        export func map[a, b](xs: [a], f: (a) -> b) -> [b] {
          var out = []
          for x in xs { out = append(out, f(x)) }
          out
        }
        /// The items for which `keep` holds.
        export func filter[a](xs: [a], keep: (a) -> bool) -> [a] {
          var out = []
          for x in xs { if keep(x) { out = append(out, x) } }
          out
        }
        /// What `f` gives `Some` for, in order.
        export func filterMap[a, b](xs: [a], f: (a) -> Option[b]) -> [b] {
          var out = []
          for x in xs {
            match f(x) {
              Some(y) => { out = append(out, y) }
              None => ()
            }
          }
          out
        }
        /// The lists that `f` gives, one behind the other.
        export func flatMap[a, b](xs: [a], f: (a) -> [b]) -> [b] {
          var out = []
          for x in xs { out = out ++ f(x) }
          out
        }
        /// From the first item to the last: `f(f(start, first), second)` …
        export func foldl[a, s](xs: [a], start: s, f: (s, a) -> s) -> s {
          var state = start
          for x in xs { state = f(state, x) }
          state
        }
        /// From the first item to the last, as `foldl`.
        export func fold[a, s](xs: [a], start: s, f: (s, a) -> s) -> s { foldl(xs, start, f) }
        /// From the last item to the first: `f(last, start)`, then `f(the one before, …)`.
        export func foldr[a, s](xs: [a], start: s, f: (a, s) -> s) -> s {
          var state = start
          for x in reverse(xs) { state = f(x, state) }
          state
        }
        /// Calls `f` with every item, in order.
        export func each[a](xs: [a], f: (a) -> unit) -> unit { for x in xs { f(x) } }
        /// The first item for which it holds.
        export func find[a](xs: [a], wanted: (a) -> bool) -> Option[a] {
          for x in xs { if wanted(x) { return Some(x) } }
          None
        }
        /// Whether it holds for an item; stops at the first.
        export func any[a](xs: [a], holds: (a) -> bool) -> bool {
          for x in xs { if holds(x) { return true } }
          false
        }
        /// Whether it holds for every item; stops at the first for which it does not.
        export func all[a](xs: [a], holds: (a) -> bool) -> bool {
          for x in xs { if holds(x) == false { return false } }
          true
        }
        /// For how many items it holds.
        export func count[a](xs: [a], holds: (a) -> bool) -> int {
          var n = 0
          for x in xs { if holds(x) { n = n + 1 } }
          n
        }
        /// Those for which it holds, and the others.
        export func partition[a](xs: [a], holds: (a) -> bool) -> ([a], [a]) {
          var yes = []
          var no = []
          for x in xs { if holds(x) { yes = append(yes, x) } else { no = append(no, x) } }
          (yes, no)
        }
        /// In rising order of a key that is computed once for each item.
        export func sortBy[a, k](xs: [a], key: (a) -> k) -> [a] { _sortByKeys(xs, map(xs, key)) }
        """#,
      natives: natives)
  }

  /// Items of a list that a native makes from a number: a slip of the pen should not take all memory.
  static let fillLimit = 10_000_000

  private static func list(_ arguments: Arguments, _ index: Int = 0) throws(Trap) -> List {
    guard let list = arguments[index].asList else { throw .badArgument(index, wanted: "a list", arguments[index]) }
    return list
  }

  private static func option(_ value: Value?) -> NativeResult { .value(value.map { Value.some($0) } ?? Value.none) }

  private static var natives: [Native] {
    [
      raw("length", arity: 1) { arguments, _ in .value(.int(try list(arguments).count)) },
      raw("last", arity: 1) { arguments, _ in
        let xs = try list(arguments)
        return option(xs.isEmpty ? nil : xs[xs.count - 1])
      },
      raw("get", arity: 2) { arguments, _ in
        let xs = try list(arguments)
        let place: Int = try arguments.get(1)
        return option(place >= 0 && place < xs.count ? xs[place] : nil)
      },
      raw("reverse", arity: 1) { arguments, _ in .value(.list(List(try list(arguments).array.reversed()))) },
      raw("append", arity: 2) { arguments, _ in
        .value(.list(try list(arguments).appending(List(buffer: Fields.of(arguments[1]), from: 0, to: 1))))
      },
      raw("concat", arity: 1) { arguments, _ in
        var sum = List()
        for part in try list(arguments).array { sum = sum.appending(part.asList ?? List()) }
        return .value(.list(sum))
      },
      raw("take", arity: 2) { arguments, _ in
        let xs = try list(arguments)
        return .value(.list(xs.slice(0, min(max(0, try arguments.get(1)), xs.count))))
      },
      raw("drop", arity: 2) { arguments, _ in
        let xs = try list(arguments)
        return .value(.list(xs.rest(min(max(0, try arguments.get(1)), xs.count))))
      },
      raw("slice", arity: 3) { arguments, _ in
        let xs = try list(arguments)
        let to = min(max(0, try arguments.get(2, as: Int.self)), xs.count)
        let from = min(max(0, try arguments.get(1, as: Int.self)), to)
        return .value(.list(xs.slice(from, to)))
      },
      raw("contains", arity: 2) { arguments, _ in
        .value(.bool(try place(of: arguments[1], in: list(arguments)) != nil))
      },
      raw("indexOf", arity: 2) { arguments, _ in
        option(try place(of: arguments[1], in: list(arguments)).map { .int($0) })
      },
      raw("zip", arity: 2) { arguments, _ in
        let xs = try list(arguments)
        let ys = try list(arguments, 1)
        return .value(.list(List((0..<min(xs.count, ys.count)).map { .tuple(xs[$0], ys[$0]) })))
      },
      raw("enumerate", arity: 1) { arguments, _ in
        .value(.list(List(try list(arguments).array.enumerated().map { .tuple(.int($0.offset), $0.element) })))
      },
      raw("range", arity: 2) { arguments, _ in .value(try Machine.range(arguments.get(0), arguments.get(1))) },
      raw("sort", arity: 1) { arguments, _ in
        .value(.list(List(try list(arguments).array.sorted { (Value.order($0, $1) ?? 0) < 0 })))
      },
      raw("_sortByKeys", arity: 2) { arguments, _ in
        let xs = try list(arguments).array
        let keys = try list(arguments, 1).array
        let order = xs.indices.sorted { (Value.order(keys[$0], keys[$1]) ?? 0) < 0 }
        return .value(.list(List(order.map { xs[$0] })))
      },
      raw("unique", arity: 1) { arguments, _ in
        var seen = Map()
        for x in try list(arguments).array where seen[x] == nil { seen = seen.setting(x, .unit) }
        return .value(.list(List(seen.keys)))
      },
      raw("fill", arity: 2) { arguments, _ in
        let count = max(0, try arguments.get(1, as: Int.self))
        guard count <= fillLimit else { throw Trap("TooLarge", "a list of more than \(fillLimit) items") }
        return .value(.list(List(Array(repeating: arguments[0], count: count))))
      },
    ]
  }

  private static func place(of x: Value, in xs: List) -> Int? {
    (0..<xs.count).first { Value.areEqual(xs[$0], x) }
  }
}
