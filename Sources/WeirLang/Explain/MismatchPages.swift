/// Pages of a type that is not the one wanted: E0301, E0320 to E0343. One for each place, see `Reason`.
extension ErrorPage {
  static let mismatches = ##"""
    === E0301 an argument of the wrong type
    What is handed over is not what the parameter takes. Where the two are the same mistake everywhere, an int for a float, an
    Option for its value, the code is another one.
    --- wrong
    func area(width: int, height: int) -> int { width * height }
    func main() {
      println(area("2", 3))
    }
    --- right
    func area(width: int, height: int) -> int {
      width * height
    }

    func main() {
      println(area(2, 3))
    }
    --- why
    Nothing is converted in silence: a number that came as text may be no number.

    === E0320 the result of a function
    The last expression of a function is its value, and does not fit the result that is written.
    --- wrong
    func name(n: int) -> string {
      len("n${n}")
    }
    --- right
    func name(n: int) -> int {
      len("n${n}")
    }
    --- why
    The written result is what callers rely on, so the body is blamed.

    === E0321 a `return` that does not fit
    What `return` gives is not of the result's type.
    --- wrong
    func name(n: int) -> string {
      if n == 0 {
        return n
      }
      "n${n}"
    }
    --- right
    func name(n: int) -> string {
      if n == 0 { return "none" }
      "n${n}"
    }
    --- why
    All ends of a function give one type.

    === E0322 `?` in a function that hands back something else
    `e?` takes the value out, or leaves the function with `None` or `Err`. So its result is an Option or a Result too.
    --- wrong
    import std/string (toInt)

    func double(text: string) -> int { toInt(text)? * 2 }
    --- right
    import std/string (toInt)

    func double(text: string) -> Option[int] {
      Some(toInt(text)? * 2)
    }
    --- why
    Where the failure ends, somebody looks at it: with `match`, or `unwrapOr`.

    === E0323 branches of an `if`
    Both branches give one type.
    --- wrong
    func main() {
      let size = if 1 < 2 then "small" else 3
      println(size)
    }
    --- right
    func main() {
      let size = if 1 < 2 then "small" else "3"
      println(size)
    }
    --- why
    What follows has to know what it works on. Things of different types make a sum.

    === E0324 arms of a `match`
    All arms give one type.
    --- wrong
    func size(n: int) -> string {
      let text = match n {
        0 => "none",
        _ => n
      }
      text
    }
    --- right
    func size(n: int) -> string {
      let text = match n {
        0 => "none"
        _ => show(n)
      }
      text
    }
    --- why
    The first arm decides when nothing else says what is wanted.

    === E0325 a condition that is no bool
    `if`, `while`, guards and `assert` take a bool.
    --- wrong
    func main() {
      let items = [1]
      if items {
        println("some")
      }
    }
    --- right
    func main() {
      let items = [1]
      if len(items) > 0 { println("some") }
    }
    --- why
    Which lists, texts and numbers would count as true differs between languages.

    === E0326 an operand of the wrong type
    Each operator takes certain types, the same on both sides.
    --- wrong
    func main() {
      println("total: " ++ 3)
    }
    --- right
    func main() {
      println("total: ${3}")
    }
    --- why
    `++` joins text, lists or bytes, and does not turn one into another.

    === E0327 elements of a list
    All elements are of one type.
    --- wrong
    func main() {
      println([1, 2, "three"])
    }
    --- right
    func main() {
      println(["1", "2", "three"])
    }
    --- why
    A few values of different types are a tuple: `(1, "two")`.

    === E0328 an element of a list of known type
    The place where the list goes says what it holds.
    --- wrong
    func count(xs: [int]) -> int { len(xs) }
    func main() {
      println(count([1, "two"]))
    }
    --- right
    func count(xs: [int]) -> int {
      len(xs)
    }

    func main() {
      println(count([1, 2]))
    }
    --- why
    The element is blamed, not the whole list.

    === E0329 entries of a map
    All keys are of one type, and all values.
    --- wrong
    func main() {
      println({"a": 1, "b": "two"})
    }
    --- right
    func main() {
      println({a: 1, b: "two"})
    }
    --- why
    With keys that are known beforehand, it is a record.

    === E0330 a written type
    The value does not have the type that is written for the name.
    --- wrong
    let port: int = "8080"
    --- right
    let port: int = 8080
    --- why
    Types of locals need not be written. Who writes one wants to be told.

    === E0331 a field of the wrong type
    The value of a field is not what the record's type says.
    --- wrong
    type User = {name: string, age: int}

    func main() {
      let u: User = {name: "ann", age: "30"}
      println(u)
    }
    --- right
    type User = {name: string, age: int}

    func main() {
      let u: User = {name: "ann", age: 30}
      println(u)
    }
    --- why
    The field is blamed, not the whole record.

    === E0332 an index of the wrong type
    A list is indexed by a place, a map by its keys.
    --- wrong
    func main() {
      println([10, 20]["0"])
    }
    --- right
    func main() {
      println([10, 20][0])
    }
    --- why
    An index of a map gives an Option, one of a list must exist.

    === E0333 another type assigned
    A `var` keeps the type of its first value.
    --- wrong
    func main() {
      var total = 0
      total = "none"
      println(total)
    }
    --- right
    func main() {
      var total = 0
      total = 1
      println(total)
    }
    --- why
    A value that may be missing is an Option from the beginning: `var total = Some(0)`.

    === E0334 the wrong type elsewhere
    A place with a fixed type: the message of `assert`, what is indexed, what a step is called.
    --- wrong
    func main() {
      assert 1 == 1, "is ${1}" == "is 1"
    }
    --- right
    func main() {
      assert 1 == 1, "is ${1}"
    }
    --- why
    The message names the place and its type.

    === E0335 a pattern that does not fit the value
    The pattern is of another type than what is matched.
    --- wrong
    func name(n: int) -> string {
      match n {
        "one" => "1",
        _ => "other"
      }
    }
    --- right
    func name(n: int) -> string {
      match n {
        1 => "1"
        _ => "other"
      }
    }
    --- why
    Such an arm could never be taken.

    === E0336 int and float
    `int` and `float` are not turned into each other in silence. A whole number that is written down is a float where one is
    needed.
    --- wrong
    func half(x: float) -> float { x / 2 }
    func main() {
      let n = len("abc")
      println(half(n))
    }
    --- right
    import std/math (toFloat)

    func half(x: float) -> float {
      x / 2
    }

    func main() {
      let n = len("abc")
      println(half(toFloat(n)))
    }
    --- why
    Large ints lose digits as floats, and floats lose their fraction as ints.

    === E0337 text is joined with `++`
    `+` adds numbers.
    --- wrong
    func greet(name: string) -> string { "hello " + name }
    --- right
    func greet(name: string) -> string {
      "hello " ++ name
    }
    --- why
    Two operators, so that `1 + "1"` has no two answers. `"hello ${name}"` needs neither.

    === E0338 an Option is not its value
    An Option may be `None`, so its value has to be taken out.
    --- wrong
    import std/string (toInt)

    func main() {
      let n: int = toInt("4")
      println(n)
    }
    --- right
    import std/string (toInt)

    func main() {
      let n: int = match toInt("4") {
        Some(value) => value
        None => 0
      }
      println(n)
    }
    --- why
    This is where other languages have a null that nobody thought of.

    === E0339 a Result is not its value
    A Result may be `Err`, so its value has to be taken out.
    --- wrong
    import std/json (decode, asString)

    func main() {
      println(asString(decode("1")))
    }
    --- right
    import std/json (decode, asString)

    func main() {
      match decode("1") {
        Ok(json) => println(asString(json))
        Err(why) => println(why)
      }
    }
    --- why
    In a function that gives a Result as well, `decode(text)?` hands the failure on.

    === E0340 a function with other parameters
    A function is handed over that takes fewer or more arguments than it will be given.
    --- wrong
    import std/list (map)

    func main() {
      println(map([1, 2], (i, x) => x))
    }
    --- right
    import std/list (map)

    func main() {
      println(map([1, 2], (x) => x))
    }
    --- why
    An argument that is not wanted is named `_`.

    === E0341 a type parameter is any type
    In `func f[a]` the caller chooses `a`. The body cannot take it for a type it knows.
    --- wrong
    func first[a](xs: [a]) -> a { 0 }
    --- right
    func first[a](xs: [a], otherwise: a) -> a {
      match xs {
        [x, ...] => x
        [] => otherwise
      }
    }
    --- why
    What is needed of it comes in as a parameter.

    === E0342 a function where its value is needed
    A function is named, not called.
    --- wrong
    func limit() -> int { 5 }
    func main() {
      let n: int = limit
      println(n)
    }
    --- right
    func limit() -> int {
      5
    }

    func main() {
      let n: int = limit()
      println(n)
    }
    --- why
    Functions are values, so both are possible, and of different types.

    === E0343 a bare value where an Option or Result is needed
    The value is there, only not wrapped.
    --- wrong
    func find(key: string) -> Option[int] {
      if key == "a" {
        return 1
      }
      None
    }
    --- right
    func find(key: string) -> Option[int] {
      if key == "a" { return Some(1) }
      None
    }
    --- why
    Only fields written with `?` wrap by themselves.

    === E0348 a value that JSON cannot hold, or whose type is not known
    What is kept (items of a durable stream, results of steps) is kept as JSON and read back as a value of its type, so the type
    must be known at that place, and it must have such a form: functions, connections and streams have none, and of an option of
    what is null itself (`Option[unit]`, an option of an option) nobody could tell `Some(None)` from `None`.
    --- wrong
    import std/json (decodeAs)

    func load[a](text: string) -> Result[a, string] { decodeAs(text) }
    func main() {
      let n: Result[int, string] = load("1")
      println(n)
    }
    --- right
    import std/json (decodeAs)

    func load(text: string) -> Result[int, string] {
      decodeAs(text)
    }

    func main() {
      println(load("1"))
    }
    --- why
    A program is compiled once for all types that its functions are used with; only where the type is written is it known.
    """##
}
