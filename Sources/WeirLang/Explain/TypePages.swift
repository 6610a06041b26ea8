/// Pages of what a type does not have: fields, parts, calls, items.
extension ErrorPage {
  static let types = ##"""
    === E0302 no such field
    Records are closed: one of a written type has just its fields.
    --- wrong
    type User = {name: string, email: string}

    func main() {
      let u: User = {name: "ann", emial: "a@b"}
      println(u)
    }
    --- right
    type User = {name: string, email: string}

    func main() {
      let u: User = {name: "ann", email: "a@b"}
      println(u)
    }
    --- why
    A misspelt field would otherwise be one field too many and one too few.

    === E0303 a field is missing
    A record needs all fields of its type, but for those that are written with `?`.
    --- wrong
    type User = {name: string, email: string}

    func mail(u: User) -> string { u.email }
    func main() {
      println(mail({name: "ann"}))
    }
    --- right
    type User = {name: string, email?: string}

    func mail(u: User) -> Option[string] {
      u.email
    }

    func main() {
      println(mail({name: "ann"}))
    }
    --- why
    There is no null that a forgotten field could be. An optional one reads as an Option.

    === E0306 not a function
    Something that is no function is called.
    --- wrong
    func main() {
      let total = 3
      println(total())
    }
    --- right
    func main() {
      let total = 3
      println(total)
    }
    --- why
    Also where a line begins with `(`: it belongs to the line before when that ends in an operator or a comma.

    === E0307 a type inside itself
    The types would have to contain each other for ever.
    --- wrong
    func main() {
      let f = (x) => x(x)
      println("never")
    }
    --- right
    type Function = Function((Function) -> int)

    func main() {
      let f = (x: Function) => match x {
        Function(g) => g(x)
      }
      println(f(Function((_) => 1)))
    }
    --- why
    Mostly an argument too few or too many. A type that is meant to contain itself is a sum.

    === E0308 type arguments
    `List` and `Option` take one type, `Map` and `Result` two, types of yours as many as they declare.
    --- wrong
    func first(r: Result[int]) -> int {
      match r {
        Ok(n) => n,
        Err(_) => 0
      }
    }
    --- right
    func first(r: Result[int, string]) -> int {
      match r {
        Ok(n) => n
        Err(_) => 0
      }
    }
    --- why
    A type that is left out would have to be guessed from what a function happens to do.

    === E0309 an `if` without `else` as a value
    Without `else` an `if` does something, it is no value.
    --- wrong
    func main() {
      let size = if 1 < 2 { "small" }
      println(size)
    }
    --- right
    func main() {
      let size = if 1 < 2 then "small" else "large"
      println(size)
    }
    --- why
    There is no null for the other case.

    === E0310 comparing functions
    `==`, `<`, and what needs them (`contains`, `sort`, `unique` …) compare values by their structure. Functions have none.
    --- wrong
    func twice(n: int) -> int { n * 2 }
    func main() {
      println(twice == twice)
    }
    --- right
    func twice(n: int) -> int {
      n * 2
    }

    func main() {
      println(twice(2) == twice(2))
    }
    --- why
    Whether two functions always do the same cannot be found out.

    === E0311 nothing to index
    Lists, maps, bytes and Json have parts in `[ ]`.
    --- wrong
    func main() {
      let name = "ann"
      println(name[0])
    }
    --- right
    import std/string (charAt)

    func main() {
      let name = "ann"
      println(charAt(name, 0))
    }
    --- why
    A character of a string is not at a fixed place in its bytes; `charAt` says what it does.

    === E0312 a method without call
    What stands behind the point is a function of that type.
    --- wrong
    func main() {
      println("abc".length)
    }
    --- right
    func main() {
      println("abc".length())
    }
    --- why
    A call looks like a call.

    === E0313 a field of something unknown
    A lambda reads a field, and nothing says what its parameter is.
    --- wrong
    func main() {
      let name = (user) => user.name
      println("x")
    }
    --- right
    func main() {
      let name = (user: {name: string}) => user.name
      println(name({name: "ann"}))
    }
    --- why
    Handed over directly, `map(users, (u) => u.name)`, a lambda gets its types from the call.

    === E0314 changing fields of no record
    `{r | field: value}` makes a record with another value in a field.
    --- wrong
    func main() {
      let n = 1
      println({n | x: 2})
    }
    --- right
    func main() {
      let point = {x: 1, y: 1}
      println({point | x: 2})
    }
    --- why
    Sums are taken apart with `match` and made anew.

    === E0344 `for` through something else
    `for` goes through lists, maps, ranges, strings' lines as a list, and streams.
    --- wrong
    func main() {
      for n in 5 {
        println(n)
      }
    }
    --- right
    func main() {
      for n in 0..5 {
        println(n)
      }
    }
    --- why
    `0..5` leaves its end out, `0..=5` does not.

    === E0345 nothing to run at once
    `parallel`, `race` and `first` take a list of calls.
    --- wrong
    func main() {
      println(race [])
    }
    --- right
    func one() -> int {
      1
    }

    func main() {
      println(race [one(), one()])
    }
    --- why
    A race of nobody would wait for ever.

    === E0346 no fields
    Only records have fields, and tuples places: `pair.0`.
    --- wrong
    func main() {
      let pair = (1, "one")
      println(pair.2)
    }
    --- right
    func main() {
      let pair = (1, "one")
      println(pair.1)
    }
    --- why
    Sums are taken apart with `match`.

    === E0347 `?` on something that cannot fail
    `e?` takes the value out of an Option or a Result.
    --- wrong
    func half(n: int) -> Option[int] { Some(n? / 2) }
    --- right
    func half(n: int) -> Option[int] {
      Some(n / 2)
    }
    --- why
    A `?` that does nothing would make a reader look for the failure.
    """##
}
