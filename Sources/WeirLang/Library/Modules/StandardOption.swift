/// std/option and std/result: written in the language, so that their callbacks can suspend.
extension LibraryModule {
  static var option: LibraryModule {
    LibraryModule(
      name: "std/option",
      source: #"""
        // A value that may be missing: `Some(x)` or `None`, also written `T?`.

        /// `Some(f(x))` of `Some(x)`.
        export func map[a, b](option: Option[a], f: (a) -> b) -> Option[b] {
          match option { Some(x) => Some(f(x)), None => None }
        }
        /// `f(x)` of `Some(x)`: for steps that may find nothing themselves.
        export func flatMap[a, b](option: Option[a], f: (a) -> Option[b]) -> Option[b] {
          match option { Some(x) => f(x), None => None }
        }
        /// `None` unless `keep` holds.
        export func filter[a](option: Option[a], keep: (a) -> bool) -> Option[a] {
          match option { Some(x) => if keep(x) then Some(x) else None, None => None }
        }
        /// Whether there is a value.
        export func isSome[a](option: Option[a]) -> bool { match option { Some(_) => true, None => false } }
        /// Whether there is none.
        export func isNone[a](option: Option[a]) -> bool { match option { Some(_) => false, None => true } }
        /// The value, or `otherwise`.
        export func unwrapOr[a](option: Option[a], otherwise: a) -> a {
          match option { Some(x) => x, None => otherwise }
        }
        /// The value, or what `otherwise()` gives; it is called only then.
        export func unwrapOrElse[a](option: Option[a], otherwise: () -> a) -> a {
          match option { Some(x) => x, None => otherwise() }
        }
        /// The first of the two that has a value.
        export func orElse[a](option: Option[a], otherwise: Option[a]) -> Option[a] {
          match option { Some(x) => Some(x), None => otherwise }
        }
        /// `Ok(x)` of `Some(x)`, else `Err(failure)`.
        export func okOr[a, e](option: Option[a], failure: e) -> Result[a, e] {
          match option { Some(x) => Ok(x), None => Err(failure) }
        }
        /// A list of one item, or of none.
        export func toList[a](option: Option[a]) -> [a] { match option { Some(x) => [x], None => [] } }
        """#,
      natives: [], types: [.option])
  }

  static var result: LibraryModule {
    LibraryModule(
      name: "std/result",
      source: #"""
        // What an operation came to: `Ok(value)` or `Err(why)`. `e?` hands a failure on.

        /// `Ok(f(x))` of `Ok(x)`; a failure stays.
        export func map[a, b, e](result: Result[a, e], f: (a) -> b) -> Result[b, e] {
          match result { Ok(x) => Ok(f(x)), Err(e) => Err(e) }
        }
        /// `Err(change(e))` of `Err(e)`; a success stays.
        export func mapErr[a, e, f](result: Result[a, e], change: (e) -> f) -> Result[a, f] {
          match result { Ok(x) => Ok(x), Err(e) => Err(change(e)) }
        }
        /// `f(x)` of `Ok(x)`: for steps that may fail themselves.
        export func flatMap[a, b, e](result: Result[a, e], f: (a) -> Result[b, e]) -> Result[b, e] {
          match result { Ok(x) => f(x), Err(e) => Err(e) }
        }
        /// Whether it succeeded.
        export func isOk[a, e](result: Result[a, e]) -> bool { match result { Ok(_) => true, Err(_) => false } }
        /// Whether it failed.
        export func isErr[a, e](result: Result[a, e]) -> bool { match result { Ok(_) => false, Err(_) => true } }
        /// The value, or `otherwise`.
        export func unwrapOr[a, e](result: Result[a, e], otherwise: a) -> a {
          match result { Ok(x) => x, Err(_) => otherwise }
        }
        /// The value, or what `otherwise` makes of the failure.
        export func unwrapOrElse[a, e](result: Result[a, e], otherwise: (e) -> a) -> a {
          match result { Ok(x) => x, Err(e) => otherwise(e) }
        }
        /// The value; a failure is `None`.
        export func ok[a, e](result: Result[a, e]) -> Option[a] { match result { Ok(x) => Some(x), Err(_) => None } }
        /// The failure; a success is `None`.
        export func err[a, e](result: Result[a, e]) -> Option[e] { match result { Ok(_) => None, Err(e) => Some(e) } }
        """#,
      natives: [], types: [.result])
  }
}
