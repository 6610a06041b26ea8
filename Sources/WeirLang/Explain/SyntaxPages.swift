/// Pages of what lexer and parser find: E00xx and E01xx.
extension ErrorPage {
  static let syntax = ##"""
    === E0001 a character that has no meaning
    Outside of strings and comments a program is made of letters, digits, `_` and the signs of the language. Any other
    character is refused where it stands.
    --- wrong
    # this is how others comment
    func main() {
      println("hello")
    }
    --- right
    // this is how Weir comments
    func main() {
      println("hello")
    }
    --- why
    A character that is silently skipped changes what a program means without anybody seeing it.

    === E0002 a string that is never closed
    A string ends at the next `"`. It may go over several lines, so a forgotten quote would swallow what follows; the place
    shown is where the string begins.
    --- wrong
    func main() {
      println("hello)
    }
    --- right
    func main() {
      println("hello")
    }
    --- why
    Texts of many lines are best written as `"""…"""`, which strips the common indentation.

    === E0003 an escape that does not exist
    A backslash in a string begins one of `\n \t \r \\ \" \0 \e \xHH \u{…} \${`. Anything else is a mistake.
    --- wrong
    func main() {
      println("C:\temp\data")
    }
    --- right
    func main() {
      println(r"C:\temp\data")
    }
    --- why
    Languages that keep an unknown backslash make `"\d"` work until the day somebody writes `"\n"`. A raw string `r"…"` has
    no escapes at all.

    === E0004 an escape that is not complete
    `\x` is followed by two hexadecimal digits, `\u` by a code point in braces.
    --- wrong
    let smile = "\u1F600"
    --- right
    let smile = "\u{1F600}"
    --- why
    With braces a code point may have one digit or six, and nobody has to count zeros.

    === E0005 a comment that is never closed
    `/*` begins a comment that ends at its `*/`. Comments nest: each `/*` inside needs a `*/` of its own.
    --- wrong
    func main() {
      /* was: /* old */
      println("x")
    }
    --- right
    func main() {
      /* was: /* old */ */
      println("x")
    }
    --- why
    Because they nest, any piece of a program can be commented out as it is.

    === E0006 not a number
    Numbers are `42`, `1_000`, `0xFF`, `0o7`, `0b1`, `1.5`, `1e-3`. An underscore stands between two digits, and a name cannot
    follow directly.
    --- wrong
    let timeout = 30s
    --- right
    let timeout = 30
    --- why
    Units are not part of numbers: a parameter's name says what is counted, `sleep(ms: 500)`.

    === E0007 a number that is too large
    `int` has 64 bits, from -9223372036854775808 to 9223372036854775807; `float` goes to about 1.8e308.
    --- wrong
    let many = 9223372036854775808
    --- right
    let many = 9.223372036854775808e18
    --- why
    A number that wraps round or becomes infinite in silence is worse than one that is refused. Identifiers of other systems
    are best kept as strings.

    === E0008 a character that looks like another
    Word processors and web pages replace quotes, minus signs and operators by characters that only look the same.
    --- wrong
    func main() {
      println(“hello”)
    }
    --- right
    func main() {
      println("hello")
    }
    --- why
    The eye cannot find this one, so the message names both characters.

    === E0009 not UTF-8
    A program is UTF-8 text. The place shown is the first byte that does not belong to any character. Most often the file was
    saved in an older encoding, or is no program at all.
    --- none
    This page is UTF-8 itself: it cannot hold a byte that is not.
    --- why
    Guessing the encoding would turn texts of the program into other texts.

    === E0010 a hole in a string that is never closed
    `${` in a string begins an expression that ends at `}`.
    --- wrong
    func main() {
      println("sum: ${1 + 2")
    }
    --- right
    func main() {
      println("sum: ${1 + 2}")
    }
    --- why
    For the two characters themselves write `\${`.

    === E0011 the program of an exec that is never closed
    The body of an `exec` function goes to the `}` that belongs to its `{`. Braces inside are counted, except in quotes and
    comments of that language.
    --- wrong
    exec count(text: string) = sh { if [ -z "$text" ]; then { echo none; fi }
    --- right
    exec count(text: string) = sh { if [ -z "$text" ]; then { echo none; } fi }
    --- why
    What stands inside is another language. Weir reads it only as far as it must to find its end.

    === E0012 an operator of another language
    Weir has no `+=`, `:=`, `===`, `<>`, `&` and `|` for bits, `++` and `--` for counting; the message says what to write.
    --- wrong
    func main() {
      var n = 0
      n += 1
      println(n)
    }
    --- right
    func main() {
      var n = 0
      n = n + 1
      println(n)
    }
    --- why
    There is one way to write each thing, and `++` is taken: it joins strings, lists and bytes.

    === E0101 something else is expected here
    The text up to here can only go on with what the message names.
    --- wrong
    func name(n: int) -> string {
      match n {
        0 -> "zero"
        _ => "many"
      }
    }
    --- right
    func name(n: int) -> string {
      match n {
        0 => "zero"
        _ => "many"
      }
    }
    --- why
    After such a place the rest of the file is still read, so that one run shows all mistakes. What is found out about the
    declaration around it is not shown until it can be read.

    === E0102 a comma is missing
    Elements of lists, fields, arguments and parameters are separated by commas, line breaks or not. Only the arms of a
    `match` may leave them out, on lines of their own.
    --- wrong
    let point = {
      x: 1
      y: 2
    }
    --- right
    let point = {x: 1, y: 2}
    --- why
    Inside brackets a line break means nothing, so that long expressions can be broken anywhere.

    === E0103 `=` where `==` is meant
    `=` gives a name a value and is a statement. A condition compares with `==`.
    --- wrong
    func main() {
      let x = 1
      if x = 1 {
        println("one")
      }
    }
    --- right
    func main() {
      let x = 1
      if x == 1 { println("one") }
    }
    --- why
    An assignment that counts as a condition is one of the oldest bugs there is.

    === E0104 a bracket that is never closed
    Each `(`, `[` and `{` needs its partner. The place shown is the opening one; `-` marks where its lack was noticed. Where
    the indentation tells that an inner brace is the likelier one, that one is blamed.
    --- wrong
    func first(x: int) {
      if x > 0 {
        println("positive")
    }

    func second() {
      println("fine")
    }
    --- right
    func first(x: int) {
      if x > 0 { println("positive") }
    }

    func second() {
      println("fine")
    }
    --- why
    A declaration cannot stand inside a function, so the next one tells that something before it is still open.

    === E0105 a bracket that closes nothing
    A closing bracket without its opening one, or one of another kind than the one that is open.
    --- wrong
    func main() {
      println("a"))
    }
    --- right
    func main() {
      println("a")
    }
    --- why
    Brackets are paired before anything else is read. One too many costs one error, not a page of them.

    === E0106 a word of the language as a name
    `module import as export pub pure func fn let var in if then else match type return for while break continue defer true
    false not and or nil assert` cannot be names. Behind a point and before a colon they may stand: `event.type`, `{type: 1}`.
    --- wrong
    func show(match: int) -> int {
      match
    }
    --- right
    func show(found: int) -> int {
      found
    }
    --- why
    All other words, `stream`, `step`, `test`, `exec`, `limit` …, are words of the language only where they begin something.

    === E0107 a misspelt word
    A line begins with something that is almost a word of the language.
    --- wrong
    fucn main() {
      println("x")
    }
    --- right
    func main() {
      println("x")
    }
    --- why
    The rest is read as if it had been spelt well, so that one slip is one error.

    === E0108 chained comparisons
    `a < b < c` is refused: say which two comparisons are meant.
    --- wrong
    func inside(x: int) -> bool {
      0 < x < 10
    }
    --- right
    func inside(x: int) -> bool {
      0 < x && x < 10
    }
    --- why
    In some languages it means both comparisons, in others it compares a bool with a number.

    === E0109 a record or block where a brace opens something else
    Behind `match`, `if` and `while` the first `{` opens the arms or the body. A record or block before it needs parentheses.
    --- wrong
    func main() {
      match {a: 1} {
        r => println(r.a)
      }
    }
    --- right
    func main() {
      match ({a: 1}) {
        r => println(r.a)
      }
    }
    --- why
    Otherwise one would have to read to the end to know what a brace means.

    === E0110 two statements on one line
    A statement ends at the end of the line, or at `;`.
    --- wrong
    func main() {
      println("a") println("b")
    }
    --- right
    func main() {
      println("a")
      println("b")
    }
    --- why
    Most often an operator, a comma or a point is missing between the two.

    === E0111 a declaration inside a block
    Functions with a name, types, imports, agents and so on stand at the top of a file.
    --- wrong
    func outer() -> int {
      func inner(x: int) -> int { x + 1 }
      inner(1)
    }
    --- right
    func outer() -> int {
      let inner = func(x: int) -> int { x + 1 }
      inner(1)
    }
    --- why
    What a file declares can be seen without reading its bodies. A function that is needed in one place is a value.

    === E0112 not assignable
    Only a `var` can be given another value, not a field or an item.
    --- wrong
    func main() {
      var user = {name: "ann", age: 30}
      user.age = 31
      println(user)
    }
    --- right
    func main() {
      var user = {name: "ann", age: 30}
      user = {user | age: 31}
      println(user)
    }
    --- why
    Values do not change, so whoever holds one can rely on it; `{r | field: value}` makes a new one and shares the rest.

    === E0113 capital or small letter
    Types and constructors begin with a capital.
    --- wrong
    type shape = Circle(float) | Square(float)
    --- right
    type Shape = Circle(float) | Square(float)
    --- why
    In a pattern a small name binds and a capital one compares; the letter is what tells them apart.

    === E0114 a decorator that belongs to nothing
    `@post("/chat")`, `@webui` … stand directly before what they describe.
    --- wrong
    func main() {
      println("x")
    }

    @get("/y")
    --- right
    @get("/y")
    workflow Greet(name: string) -> string {
      "hello ${name}"
    }
    --- why
    A route without a workflow would be forgotten in silence.

    === E0115 `=` in a field
    Fields, settings and named arguments are written with `:`.
    --- wrong
    let config = {host = "localhost", port = 80}
    --- right
    let config = {host: "localhost", port: 80}
    --- why
    `=` binds names; a field's name is part of a value.

    === E0116 an exec in an unknown language
    The body of an `exec` is one of `sh`, `bash`, `cmd`, `node`, `python`.
    --- wrong
    exec hello() = ruby { puts "hello" }
    --- right
    exec hello() = sh { echo hello }
    --- why
    How parameters reach a program safely differs for each, so the list is closed. Any program can be called from `cmd`.

    === E0117 a function without a body
    A function has `{ … }` or `= expression`.
    --- wrong
    func twice(n: int) -> int
    --- right
    func twice(n: int) -> int = n * 2
    --- why
    Only the library declares functions that are written elsewhere.

    === E0118 `...` in an expression
    `...rest` takes a list apart in a pattern; it does not put one together.
    --- wrong
    func withOne(xs: [int]) -> [int] { [1, ...xs] }
    --- right
    func withOne(xs: [int]) -> [int] {
      1 :: xs
    }
    --- why
    `x :: xs` and `xs ++ ys` say the same, and both say what they cost.

    === E0119 not exportable
    Functions, types and constants can be exported; tests, guards and variables cannot.
    --- wrong
    export var counter = 1
    --- right
    export let start = 1
    --- why
    A variable that others can see would be state without an owner.

    === E0120 not a pattern
    A pattern is `_`, a name, a literal, `C(p, …)`, `(p, q)`, `[p, ...rest]`, `p :: q` or `{f, g: p}`.
    --- wrong
    func isHalf(n: int, half: (int) -> int) -> bool {
      match n {
        half(10) => true
        _ => false
      }
    }
    --- right
    func isHalf(n: int, half: (int) -> int) -> bool {
      match n {
        m if m == half(10) => true
        _ => false
      }
    }
    --- why
    A pattern says what a value looks like; computing is for guards.

    === E0121 a word of another language
    `def`, `const`, `elif`, `switch`, `class`, `null` … have another spelling here, which the message names.
    --- wrong
    def main() {
      println("x")
    }
    --- right
    func main() {
      println("x")
    }
    --- why
    Everybody's fingers know some other language.

    === E0122 a field without a value
    A record's field is `name: value`, even if both are spelt the same.
    --- wrong
    func user(name: string) -> {kind: string, name: string} { {kind: "user", name} }
    --- right
    func user(name: string) -> {kind: string, name: string} {
      {kind: "user", name: name}
    }
    --- why
    `{name}` is a block with a value; a comma more should not make it a record.

    === E0123 an `else` without `if`
    An `else` belongs to the `if` directly before it, on the line of its `}` or at the beginning of the next.
    --- wrong
    func main() {
      println("a")
      else println("b")
    }
    --- right
    func main() {
      if 1 < 2 then println("a") else println("b")
    }
    --- why
    Mostly a brace too many closed the `if` before.
    """##
}
