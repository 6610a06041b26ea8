/// Pages of arguments, patterns, effects and limits: the rest of E03xx, E04xx, E05xx, E09xx.
extension ErrorPage {
  static let calls = ##"""
    === E0304 too many arguments
    The call has more arguments than the function has parameters.
    --- wrong
    func area(width: int, height: int) -> int { width * height }
    func main() {
      println(area(1, 2, 3))
    }
    --- right
    func area(width: int, height: int) -> int {
      width * height
    }

    func main() {
      println(area(1, 2))
    }
    --- why
    The first argument too many is the place shown.

    === E0305 no parameter of that name
    An argument is given by a name that the function does not have.
    --- wrong
    func area(width: int, height: int) -> int { width * height }
    func main() {
      println(area(1, heigth: 2))
    }
    --- right
    func area(width: int, height: int) -> int {
      width * height
    }

    func main() {
      println(area(1, height: 2))
    }
    --- why
    The message shows the function's head.

    === E0315 parts of a constructor
    A constructor takes just the parts it is declared with; one without parts is written without parentheses.
    --- wrong
    type Shape = Circle(float) | Empty

    func main() {
      println([Circle(), Empty])
    }
    --- right
    type Shape = Circle(float) | Empty

    func main() {
      println([Circle(1.0), Empty])
    }
    --- why
    Constructors have no default values: what they hold is what a pattern finds.

    === E0316 an argument is missing
    Every parameter without a default value needs an argument.
    --- wrong
    func area(width: int, height: int) -> int { width * height }
    func main() {
      println(area(1))
    }
    --- right
    func area(width: int, height: int = 1) -> int {
      width * height
    }

    func main() {
      println(area(1))
    }
    --- why
    A call with fewer arguments is no function of the others; write `(h) => area(1, h)`.

    === E0317 arguments of a function value
    A lambda, or a function in a variable, is called with another number of arguments than it takes.
    --- wrong
    func main() {
      let add = (a, b) => a + b
      println(add(1))
    }
    --- right
    func main() {
      let add = (a, b) => a + b
      println(add(1, 2))
    }
    --- why
    Function values have no default values.

    === E0318 names for a function value
    Only functions that were declared with a name have names for their parameters.
    --- wrong
    func main() {
      let add = (a, b) => a + b
      println(add(a: 1, b: 2))
    }
    --- right
    func main() {
      let add = (a, b) => a + b
      println(add(1, 2))
    }
    --- why
    Which lambda a variable holds may differ from run to run, and so would its names.

    === E0319 an argument twice
    A parameter is given twice, by name or by name and place.
    --- wrong
    func area(width: int, height: int) -> int { width * height }
    func main() {
      println(area(width: 1, width: 2))
    }
    --- right
    func area(width: int, height: int) -> int {
      width * height
    }

    func main() {
      println(area(width: 1, height: 2))
    }
    --- why
    One of the two would be lost.

    === E0401 a case is missing
    A `match` covers every value. The message names one that no arm fits.
    --- wrong
    type Shape = Circle(float) | Rect(float, float) | Empty

    func area(s: Shape) -> float {
      match s {
        Circle(r) => r * r,
        Empty => 0.0
      }
    }
    --- right
    type Shape = Circle(float) | Rect(float, float) | Empty

    func area(s: Shape) -> float {
      match s {
        Circle(r) => r * r
        Rect(w, h) => w * h
        Empty => 0.0
      }
    }
    --- why
    Whoever adds a case to a type is shown every place that has to know it. An arm with a guard covers nothing for sure.

    === E0402 parts of a pattern
    A pattern names as many parts as the constructor has.
    --- wrong
    type Shape = Rect(float, float) | Empty

    func width(s: Shape) -> float {
      match s {
        Rect(w) => w,
        Empty => 0.0
      }
    }
    --- right
    type Shape = Rect(float, float) | Empty

    func width(s: Shape) -> float {
      match s {
        Rect(w, _) => w
        Empty => 0.0
      }
    }
    --- why
    What is not wanted is `_`.

    === E0403 names of alternatives
    All sides of `|` in a pattern bind the same names.
    --- wrong
    type Shape = Circle(float) | Rect(float, float)

    func size(s: Shape) -> float {
      match s {
        Circle(r) | Rect(w, _) => r
      }
    }
    --- right
    type Shape = Circle(float) | Rect(float, float)

    func size(s: Shape) -> float {
      match s {
        Circle(r) | Rect(r, _) => r
      }
    }
    --- why
    The arm's body is one for all of them.

    === E0404 a name twice in a pattern
    A pattern binds each name once.
    --- wrong
    func same(p: (int, int)) -> bool {
      match p {
        (a, a) => true,
        _ => false
      }
    }
    --- right
    func same(p: (int, int)) -> bool {
      match p {
        (a, b) if a == b => true
        _ => false
      }
    }
    --- why
    A pattern does not compare two parts with each other; a guard does.

    === E0405 a pattern that may not fit
    `let`, parameters and `for` have no other arm, so their patterns fit every value.
    --- wrong
    func main() {
      let [first, second] = [1, 2]
      println(first + second)
    }
    --- right
    func main() {
      match [1, 2] {
        [first, second] => println(first + second)
        _ => println("not two")
      }
    }
    --- why
    A program would stop at the value that does not fit.

    === E0406 a range gives numbers
    `for` through a range names one number.
    --- wrong
    func main() {
      for (a, b) in 0..3 {
        println("pair")
      }
    }
    --- right
    func main() {
      for a in 0..3 {
        println(a)
      }
    }
    --- why
    There is nothing in a number to take apart.

    === E0501 an effect that is not declared
    A written row, `! {IO}`, is all that the function may do, itself or through what it calls. The message shows the chain
    of calls that leads to the effect.
    --- wrong
    import std/env (getEnvOr)

    func name() -> string { getEnvOr("USER", "you") }
    func greeting() -> string { "hello ${name()}" }
    func main() -> unit ! {IO} {
      println(greeting())
    }
    --- right
    import std/env (getEnvOr)

    func name() -> string {
      getEnvOr("USER", "you")
    }

    func greeting() -> string {
      "hello ${name()}"
    }

    func main() -> unit ! {Env, IO} {
      println(greeting())
    }
    --- why
    A function without a row has whatever effects its body has. A written one is a promise.

    === E0502 an unknown effect
    The effects are `IO FS Net Stream Process AI Env Clock Rand Store Serve`.
    --- wrong
    func main() -> unit ! {IO, Network} {
      println("x")
    }
    --- right
    func main() -> unit ! {IO} {
      println("x")
    }
    --- why
    Effects are what can be granted to a program from outside, so their list is fixed. Small names stand for rows.

    === E0503 a limit below one
    `! {AI @limit=5}` allows that many uses in one call of the function.
    --- wrong
    func main() -> unit ! {IO @limit=0} {
      println("x")
    }
    --- right
    func main() -> unit ! {IO @limit=1} {
      println("x")
    }
    --- why
    To forbid an effect, leave it out of the row.

    === E0504 a function with too many effects
    The parameter says what its function may do, and the one that is handed over does more.
    --- wrong
    func quietly(f: () -> unit ! {}) -> unit { f() }
    func main() {
      quietly(() => println("x"))
    }
    --- right
    func quietly(f: () -> unit) -> unit {
      f()
    }

    func main() {
      quietly(() => println("x"))
    }
    --- why
    A function type without a row takes any function, and passes its effects on to the caller.

    === E0505 an effect limited twice
    Each effect has one limit in a row.
    --- wrong
    func main() -> unit ! {IO @limit=1, IO @limit=2} {
      println("x")
    }
    --- right
    func main() -> unit ! {IO @limit=2} {
      println("x")
    }
    --- why
    One of the two would not count.

    === E0506 pure, but not
    `pure func` promises no effects at all.
    --- wrong
    pure func double(n: int) -> int {
      println(n)
      n * 2
    }
    --- right
    pure func double(n: int) -> int {
      n * 2
    }
    --- why
    The same arguments give the same result, and nothing else happens.

    === E0507 an effect of a lambda that is not declared
    A lambda with a written row keeps to it.
    --- wrong
    func main() {
      let f = func(n: int) -> int ! {} { println(n); n }
      println(f(1))
    }
    --- right
    func main() {
      let f = func(n: int) -> int ! {} { n + 1 }
      println(f(1))
    }
    --- why
    As with functions that have a name.

    === E0901 nested too deep
    Brackets, branches and functions may stand 100 levels inside each other, and expressions nest 200 levels.
    --- none
    It would be a line of 101 brackets.
    --- why
    A hostile file cannot exhaust the stack. Long chains of `++` and `||` do not count.

    === E0902 a file that is too large
    A source file has at most 16 MiB.
    --- none
    It would be a file of 16 MiB.
    --- why
    No program that somebody wrote is larger. Data belongs into a file of its own, read with std/fs.

    === E0903 too many mistakes
    After 100 mistakes in a file, or 200 in a program, the rest is counted.
    --- none
    It would be a hundred mistakes.
    --- why
    Nobody reads more, and it mostly means that the file is no program.

    === E0904 a type that is too large
    A type is written out where it is used; more than some ten thousand parts are refused.
    --- wrong
    type A1 = (int, int, int, int, int, int, int, int, int, int)
    type A2 = (A1, A1, A1, A1, A1, A1, A1, A1, A1, A1)
    type A3 = (A2, A2, A2, A2, A2, A2, A2, A2, A2, A2)
    type A4 = (A3, A3, A3, A3, A3, A3, A3, A3, A3, A3)
    --- right
    type A1 = A1(int, int, int, int, int, int, int, int, int, int)
    type A2 = A2(A1, A1, A1, A1, A1, A1, A1, A1, A1, A1)
    type A3 = A3(A2, A2, A2, A2, A2, A2, A2, A2, A2, A2)
    type A4 = A4(A3, A3, A3, A3, A3, A3, A3, A3, A3, A3)
    --- why
    A few lines of types that double each other would take for ever. Sums have a name and are not written out.
    """##
}
