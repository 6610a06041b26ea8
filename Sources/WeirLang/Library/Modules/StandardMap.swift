/// std/map: ordered, persistent maps.
extension LibraryModule {
  static var map: LibraryModule {
    LibraryModule(
      name: "std/map",
      source: #"""
        // Maps from keys to values, in the order in which keys were first put. They are values, like lists.

        /// A map without entries; `{}` of a known type is the same.
        export extern func empty[k, v]() -> Map[k, v]
        /// A map of these entries; of two with the same key the later one counts.
        export extern func fromList[k, v](entries: [(k, v)]) -> Map[k, v]
        /// In order of first insertion.
        export extern func toList[k, v](m: Map[k, v]) -> [(k, v)]
        /// The keys, in order of first insertion.
        export extern func keys[k, v](m: Map[k, v]) -> [k]
        /// The values, in order of their keys.
        export extern func values[k, v](m: Map[k, v]) -> [v]
        /// How many entries there are.
        export extern func length[k, v](m: Map[k, v]) -> int
        /// The value of a key.
        export extern func get[k, v](m: Map[k, v], key: k) -> Option[v]
        /// The value of a key, or `otherwise` when there is none.
        export extern func getOr[k, v](m: Map[k, v], key: k, otherwise: v) -> v
        /// Whether there is an entry of this key.
        export extern func has[k, v](m: Map[k, v], key: k) -> bool
        /// With the key set to the value; a new key comes last.
        export extern func put[k, v](m: Map[k, v], key: k, value: v) -> Map[k, v]
        /// Without this key; the same map when it has none.
        export extern func remove[k, v](m: Map[k, v], key: k) -> Map[k, v]
        /// All entries of both; where both have a key, the second's value.
        export extern func merge[k, v](m: Map[k, v], other: Map[k, v]) -> Map[k, v]

        /// Whether there is no entry.
        export func isEmpty[k, v](m: Map[k, v]) -> bool { length(m) == 0 }
        /// Every key with `f` of its value.
        export func mapValues[k, v, w](m: Map[k, v], f: (v) -> w) -> Map[k, w] {
          var out = empty()
          for entry in toList(m) {
            let (key, value) = entry
            out = put(out, key, f(value))
          }
          out
        }
        /// The entries for which `keep` holds.
        export func filter[k, v](m: Map[k, v], keep: (k, v) -> bool) -> Map[k, v] {
          var out = m
          for entry in toList(m) {
            let (key, value) = entry
            if keep(key, value) == false { out = remove(out, key) }
          }
          out
        }
        /// From the first entry to the last.
        export func fold[k, v, s](m: Map[k, v], start: s, f: (s, k, v) -> s) -> s {
          var state = start
          for entry in toList(m) {
            let (key, value) = entry
            state = f(state, key, value)
          }
          state
        }
        /// With the key's value changed by f, which gets None when there is none.
        export func update[k, v](m: Map[k, v], key: k, f: (Option[v]) -> v) -> Map[k, v] {
          put(m, key, f(get(m, key)))
        }
        """#,
      natives: mapNatives)
  }

  private static func map(_ arguments: Arguments, _ index: Int = 0) throws(Trap) -> Map {
    guard let map = arguments[index].asMap else { throw .badArgument(index, wanted: "a map", arguments[index]) }
    return map
  }

  private static var mapNatives: [Native] {
    [
      raw("empty", arity: 0) { _, _ in .value(.map(Map().root)) },
      raw("fromList", arity: 1) { arguments, _ in
        guard let entries = arguments[0].asList else { throw Trap.badArgument(0, wanted: "a list", arguments[0]) }
        var map = Map()
        for entry in entries.array {
          guard let pair = entry.asFields, pair.count == 2 else { throw Trap.broken("an entry is not a pair") }
          map = map.setting(pair[0], pair[1])
        }
        return .value(.map(map.root))
      },
      raw("toList", arity: 1) { arguments, _ in
        .value(.list(List(try map(arguments).entries.map { .tuple($0.key, $0.value) })))
      },
      raw("keys", arity: 1) { arguments, _ in .value(.list(List(try map(arguments).keys))) },
      raw("values", arity: 1) { arguments, _ in .value(.list(List(try map(arguments).entries.map(\.value)))) },
      raw("length", arity: 1) { arguments, _ in .value(.int(try map(arguments).count)) },
      raw("get", arity: 2) { arguments, _ in
        .value(try map(arguments)[arguments[1]].map { Value.some($0) } ?? Value.none)
      },
      raw("getOr", arity: 3) { arguments, _ in .value(try map(arguments)[arguments[1]] ?? arguments[2]) },
      raw("has", arity: 2) { arguments, _ in .value(.bool(try map(arguments)[arguments[1]] != nil)) },
      raw("put", arity: 3) { arguments, _ in
        .value(.map(try map(arguments).setting(arguments[1], arguments[2]).root))
      },
      raw("remove", arity: 2) { arguments, _ in .value(.map(try map(arguments).removing(arguments[1]).root)) },
      raw("merge", arity: 2) { arguments, _ in
        var sum = try map(arguments)
        try map(arguments, 1).visit { key, value in sum = sum.setting(key, value) }
        return .value(.map(sum.root))
      },
    ]
  }
}
