/// std/option and std/result: written in the language, so that their callbacks can suspend.
extension LibraryModule {
  static var option: LibraryModule {
    LibraryModule(
      name: "std/option",
      source: #"""
        export func map[a, b](option: Option[a], f: (a) -> b) -> Option[b] {
          match option { Some(x) => Some(f(x)), None => None }
        }
        export func flatMap[a, b](option: Option[a], f: (a) -> Option[b]) -> Option[b] {
          match option { Some(x) => f(x), None => None }
        }
        export func filter[a](option: Option[a], keep: (a) -> bool) -> Option[a] {
          match option { Some(x) => if keep(x) then Some(x) else None, None => None }
        }
        export func isSome[a](option: Option[a]) -> bool { match option { Some(_) => true, None => false } }
        export func isNone[a](option: Option[a]) -> bool { match option { Some(_) => false, None => true } }
        export func unwrapOr[a](option: Option[a], otherwise: a) -> a {
          match option { Some(x) => x, None => otherwise }
        }
        export func unwrapOrElse[a](option: Option[a], otherwise: () -> a) -> a {
          match option { Some(x) => x, None => otherwise() }
        }
        export func orElse[a](option: Option[a], otherwise: Option[a]) -> Option[a] {
          match option { Some(x) => Some(x), None => otherwise }
        }
        export func okOr[a, e](option: Option[a], failure: e) -> Result[a, e] {
          match option { Some(x) => Ok(x), None => Err(failure) }
        }
        export func toList[a](option: Option[a]) -> [a] { match option { Some(x) => [x], None => [] } }
        """#,
      natives: [], types: [.option])
  }

  static var result: LibraryModule {
    LibraryModule(
      name: "std/result",
      source: #"""
        export func map[a, b, e](result: Result[a, e], f: (a) -> b) -> Result[b, e] {
          match result { Ok(x) => Ok(f(x)), Err(e) => Err(e) }
        }
        export func mapErr[a, e, f](result: Result[a, e], change: (e) -> f) -> Result[a, f] {
          match result { Ok(x) => Ok(x), Err(e) => Err(change(e)) }
        }
        export func flatMap[a, b, e](result: Result[a, e], f: (a) -> Result[b, e]) -> Result[b, e] {
          match result { Ok(x) => f(x), Err(e) => Err(e) }
        }
        export func isOk[a, e](result: Result[a, e]) -> bool { match result { Ok(_) => true, Err(_) => false } }
        export func isErr[a, e](result: Result[a, e]) -> bool { match result { Ok(_) => false, Err(_) => true } }
        export func unwrapOr[a, e](result: Result[a, e], otherwise: a) -> a {
          match result { Ok(x) => x, Err(_) => otherwise }
        }
        export func unwrapOrElse[a, e](result: Result[a, e], otherwise: (e) -> a) -> a {
          match result { Ok(x) => x, Err(e) => otherwise(e) }
        }
        export func ok[a, e](result: Result[a, e]) -> Option[a] { match result { Ok(x) => Some(x), Err(_) => None } }
        export func err[a, e](result: Result[a, e]) -> Option[e] { match result { Ok(_) => None, Err(e) => Some(e) } }
        """#,
      natives: [], types: [.result])
  }
}
