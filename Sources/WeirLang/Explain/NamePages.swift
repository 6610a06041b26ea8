/// Pages of names, imports and declarations: most of E02xx.
extension ErrorPage {
  static let names = ##"""
    === E0201 an unknown name
    Nothing of this name is bound, declared or imported here. Where a module of the library has it, the hint is the import.
    --- wrong
    func main() {
      println(toUpper("a"))
    }
    --- right
    import std/string (toUpper)

    func main() {
      println(toUpper("a"))
    }
    --- why
    Only a handful of names exist without import, so that a program shows where its words come from.

    === E0202 an unknown type
    Nothing of this name is a type here. The types of the library need no import.
    --- wrong
    func size(text: String) -> int {
      len(text)
    }
    --- right
    func size(text: string) -> int {
      len(text)
    }
    --- why
    The plain types are written small: `int float bool string bytes unit`. A type of one case is written with its bar:
    `type Door = | Open`; without it, it names another type.

    === E0203 an unknown module
    A module of the library is named without quotes, `std/list`; a file of yours with quotes, relative to the importing file.
    --- wrong
    import std/lists (map)

    func main() {
      println(map([1, 2], (n) => n * 2))
    }
    --- right
    import std/list (map)

    func main() {
      println(map([1, 2], (n) => n * 2))
    }
    --- why
    Names of what could not be imported are not complained about again.

    === E0204 not exported
    The module has no such name for others.
    --- wrong
    import std/list (mapp)

    func main() {
      println(mapp([1, 2], (n) => n * 2))
    }
    --- right
    import std/list (map)

    func main() {
      println(map([1, 2], (n) => n * 2))
    }
    --- why
    `weir doc std/list` prints what there is.

    === E0205 declared twice
    A name is declared once in a file. There is no overloading.
    --- wrong
    func size(n: int) -> int { n }
    func size(s: string) -> int { len(s) }
    --- right
    func size(n: int) -> int {
      n
    }

    func sizeOfText(s: string) -> int {
      len(s)
    }
    --- why
    One name, one meaning: nobody has to know the types to find out what is called.

    === E0206 a constructor of several types
    Two types have a constructor of this name, and nothing here says which is meant.
    --- wrong
    type Door = Open | Shut
    type Shop = Open | Closed

    func main() {
      let state = Open
      println(state)
    }
    --- right
    type Door = Open | Shut
    type Shop = Open | Closed

    func main() {
      let state: Door = Open
      println(state)
    }
    --- why
    Where a type is expected, as an argument, a result or a written type, both can be used as they are.

    === E0207 modules that import each other
    A module is complete before another one imports it, so imports cannot go round.
    --- wrong
    import "./a.weir" (a)

    func main() {
      println(a())
    }
    // FILE a.weir
    import "./b.weir" (b)

    export func a() -> int { b() }
    // FILE b.weir
    import "./a.weir" (a)

    export func b() -> int { a() }
    --- right
    import "./a.weir" (a)

    func main() {
      println(a())
    }
    // FILE a.weir
    import "./b.weir" (b)

    export func a() -> int {
      b()
    }
    // FILE b.weir
    export func b() -> int {
      1
    }
    --- why
    The order in which things are initialised is then never a riddle. What both need goes into a third module.

    === E0208 a parameter without type
    Parameters of functions with a name have written types. Results, effects, locals and the parameters of lambdas are
    inferred.
    --- wrong
    func greet(name) { println("hello ${name}") }
    --- right
    func greet(name: string) {
      println("hello ${name}")
    }
    --- why
    The head of a function is what its callers read, and an error inside it stays inside it.

    === E0209 a type defined by itself
    `type` with a record or another type on the right is only a second name. Something that contains itself needs a sum.
    --- wrong
    type Tree = {value: int, children: [Tree]}
    --- right
    type Tree = Tree({value: int, children: [Tree]})
    --- why
    A second name is replaced by what it stands for, and that would never end.

    === E0210 no such method
    `x.m(a)` is a field of a record, else a function of the module of x's type, else a function `m(x, a)` that is in scope.
    --- wrong
    func main() {
      println("a,b".spilt(","))
    }
    --- right
    func main() {
      println("a,b".split(","))
    }
    --- why
    The message lists what the type does have.

    === E0212 nothing of that name to start
    `--entry NAME` names a function of the file; without it that is `main`.
    --- wrong --entry start
    func mian() {
      println("x")
    }
    --- right
    func main() {
      println("x")
    }
    --- why
    A file without `main` runs its top-level statements. One that is started by name must have that name.

    === E0213 an imported file that runs something
    A file that others import only declares things.
    --- wrong
    import "./lib.weir" (one)

    func main() {
      println(one())
    }
    // FILE lib.weir
    export func one() -> int { 1 }
    println("loaded")
    --- right
    import "./lib.weir" (one)

    func main() {
      println(one())
    }
    // FILE lib.weir
    export func one() -> int {
      1
    }
    --- why
    Importing does nothing but give names: what a program does begins at one place.

    === E0215 `extern` in a program
    `extern func` and `extern type` declare what is written in Swift; only the library can have those.
    --- wrong
    extern func now() -> int
    --- right
    import std/clock (now)

    func seconds() -> int {
      now() / 1000
    }
    --- why
    A native without a body could not be run.

    === E0216 `var` with a pattern
    `var` declares one name. A pattern is taken apart with `let`.
    --- wrong
    func main() {
      var (width, height) = (1, 2)
      println(width + height)
    }
    --- right
    func main() {
      let (width, height) = (1, 2)
      println(width + height)
    }
    --- why
    Which of several names changes should be said one by one.

    === E0217 changing what `let` binds
    A name bound by `let`, a parameter or a pattern keeps its value. What changes is declared with `var`.
    --- wrong
    func main() {
      let total = 0
      for n in [1, 2] {
        total = total + n
      }
      println(total)
    }
    --- right
    func main() {
      var total = 0
      for n in [1, 2] {
        total = total + n
      }
      println(total)
    }
    --- why
    Most names never change, and a reader can rely on it.

    === E0218 a module is no value
    `import std/list as list` gives a name to put before a point.
    --- wrong
    import std/list as list

    func main() {
      println(list)
    }
    --- right
    import std/list as list

    func main() {
      println(list.length([1, 2]))
    }
    --- why
    A module is known before the program runs; it cannot be stored or handed on.

    === E0219 `break` or `continue` outside of a loop
    Both leave the innermost `for` or `while` of the same function. A lambda in a loop is a function of its own.
    --- wrong
    func first(xs: [int]) -> int {
      if len(xs) == 0 {
        break
      }
      xs[0]
    }
    --- right
    func first(xs: [int]) -> int {
      if len(xs) == 0 { return 0 }
      xs[0]
    }
    --- why
    A function is left with `return`.

    === E0226 a field twice
    Each field stands once in a record and in a record type.
    --- wrong
    let user = {name: "ann", name: "bob"}
    --- right
    let user = {name: "ann", nick: "bob"}
    --- why
    One of the two values would be lost.

    === E0227 a constructor twice
    The constructors of a type have different names.
    --- wrong
    type Color = Red | Green | Red
    --- right
    type Color = Red | Green | Blue
    --- why
    Nothing could tell them apart.

    === E0228 a parameter twice
    The parameters of a function have different names.
    --- wrong
    func area(width: int, width: int) -> int { width * width }
    --- right
    func area(width: int, height: int) -> int {
      width * height
    }
    --- why
    Arguments can be given by name.

    === E0229 `return` outside of a function
    Top-level statements of a script are no function.
    --- wrong
    println("start")
    return
    --- right
    func main() {
      println("start")
      return
    }
    --- why
    A script ends with its last statement, or with `exit(0)` of std/io.

    === E0230 `?` outside of a function
    `e?` hands a failure to the function around it; a script has none.
    --- wrong
    import std/string (toInt)

    let n = toInt("12")?
    println(n)
    --- right
    import std/string (toInt)

    match toInt("12") {
      Some(n) => println(n)
      None => println("not a number")
    }
    --- why
    Somebody has to look at the failure.

    === E0231 a constructor that is not imported
    The type is known here, its constructors are not.
    --- wrong
    import std/json (decode)

    func main() {
      match decode("1") {
        Ok(JNumber(n)) => println(n),
        _ => println("no number")
      }
    }
    --- right
    import std/json (decode, JNumber)

    func main() {
      match decode("1") {
        Ok(JNumber(n)) => println(n)
        _ => println("no number")
      }
    }
    --- why
    Types of the library need no import, values do: two modules may have constructors of one name.

    === E0232 no such constructor
    The type of the value has no constructor of this name.
    --- wrong
    type Color = Red | Green

    func name(c: Color) -> string {
      match c {
        Red => "red",
        Gren => "green"
      }
    }
    --- right
    type Color = Red | Green

    func name(c: Color) -> string {
      match c {
        Red => "red"
        Green => "green"
      }
    }
    --- why
    Unlike a small name, which would fit everything, a capital one has to exist.

    === E0233 not in that module
    Behind the name of a module stands something that it exports.
    --- wrong
    import std/list as list

    func main() {
      println(list.lenght([1]))
    }
    --- right
    import std/list as list

    func main() {
      println(list.length([1]))
    }
    --- why
    `weir doc std/list` prints what there is.

    === E0234 declared there, but not exported
    The file has this name for itself.
    --- wrong
    import "./lib.weir" (hidden)

    func main() {
      println(hidden())
    }
    // FILE lib.weir
    func hidden() -> int { 1 }
    --- right
    import "./lib.weir" (hidden)

    func main() {
      println(hidden())
    }
    // FILE lib.weir
    export func hidden() -> int {
      1
    }
    --- why
    What is not exported can be changed without asking anybody.

    === E0235 an unknown module in a pattern
    Before the point of `json.JNumber(n)` stands a module that was imported with `as`.
    --- wrong
    func orZero(o: Option[int]) -> int {
      match o {
        opt.Some(n) => n,
        _ => 0
      }
    }
    --- right
    func orZero(o: Option[int]) -> int {
      match o {
        Some(n) => n
        _ => 0
      }
    }
    --- why
    `Some`, `None`, `Ok` and `Err` need no import at all.

    === E0237 `_` as a value
    `_` stands where a value is not wanted, so it has none.
    --- wrong
    import std/list (map)

    func main() {
      println(map([1, 2], (_) => _ + 1))
    }
    --- right
    import std/list (map)

    func main() {
      println(map([1, 2], (n) => n + 1))
    }
    --- why
    In some languages `_` is the argument of a short lambda; here a lambda names it.

    === E0246 one name of two modules
    Two imports give the same name to different things.
    --- wrong
    import std/string (length)
    import std/list (length)

    func main() {
      println(length("x"))
    }
    --- right
    import std/list (length as count)
    import std/string (length)

    func main() {
      println(length("x") + count([1]))
    }
    --- why
    Only constructors are told apart by their type.

    === E0247 a value that is read before it is set
    Top-level statements and constants of a script run from top to bottom. This one reads, by itself or through a function
    that it calls, a value that a later line sets.
    --- wrong
    func greet() {
      println("Hello, ${name}")
    }

    greet()
    let name = "Ada"
    --- right
    func greet() {
      println("Hello, ${name}")
    }

    let name = "Ada"
    greet()
    --- why
    Functions may be declared in any order, for nothing happens until they are called. A function value that may run too early
    is caught when it does: `ReadBeforeSet`.
    """##
}
