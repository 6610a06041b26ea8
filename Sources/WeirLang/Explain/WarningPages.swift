/// Pages of warnings and notes: W…, N….
extension ErrorPage {
  static let warnings = ##"""
    === W0221 statements beside `main`
    A file with `main` starts there; its top-level statements do not run.
    --- wrong
    println("never")
    func main() { println("main") }
    --- right
    func main() {
      println("first")
      println("main")
    }
    --- why
    A file is a script or has a `main`. Running both would leave their order to guessing.

    === N0201 an import that nothing uses
    The word does not stand anywhere else in the file.
    --- wrong
    import std/list (map, filter)

    func main() {
      println(map([1, 2], (n) => n * 2))
    }
    --- right
    import std/list (map)

    func main() {
      println(map([1, 2], (n) => n * 2))
    }
    --- why
    Imports tell a reader what a file has to do with. This is a note: `weir check` shows it, `weir run` does not.

    === N0202 a local that nothing reads
    A name is bound in a function, and nothing looks at it. Names that begin with `_` are exempt.
    --- wrong
    func area(width: int, height: int) -> int {
      let size = width * height
      width * 2
    }
    --- right
    func area(width: int, height: int) -> int {
      let size = width * height
      size
    }
    --- why
    Mostly another name was meant. To do something for its effect alone, write `_ = …`.

    === N0203 a declaration that hides an import
    The file declares what it also imports. Its own one counts.
    --- wrong
    import std/list (length)

    func length(text: string) -> int { len(text) }
    func main() {
      println(length("abc"))
    }
    --- right
    func length(text: string) -> int {
      len(text)
    }

    func main() {
      println(length("abc"))
    }
    --- why
    A reader who sees the import expects the other one.

    === W0301 a Result nobody looks at
    The call may fail, and the failure would be lost.
    --- wrong
    import std/fs (writeFile)

    func main() {
      writeFile("notes.txt", "hello")
      println("done")
    }
    --- right
    import std/fs (writeFile)

    func main() {
      match writeFile("notes.txt", "hello") {
        Ok(_) => println("done")
        Err(why) => println(why)
      }
    }
    --- why
    To ignore it on purpose, write `_ = writeFile(…)`.

    === W0302 a value nothing is done with
    A statement computes something and drops it.
    --- wrong
    func main() {
      var x = 1
      x == 2
      println(x)
    }
    --- right
    func main() {
      var x = 1
      x = 2
      println(x)
    }
    --- why
    Mostly `=` was meant, or a line was cut in two.

    === W0303 never reached
    The block is left before this.
    --- wrong
    func main() {
      return
      println("x")
    }
    --- right
    func main() {
      println("x")
      return
    }
    --- why
    Code that never runs misleads whoever reads it.

    === W0304 a key twice
    The later entry of a key wins, the earlier is lost.
    --- wrong
    func main() {
      println({"a": 1, "a": 2})
    }
    --- right
    func main() {
      println({"a": 1, "b": 2})
    }
    --- why
    Nobody writes an entry to have it dropped.

    === W0305 a step that changes what is outside of it
    A run that is taken up again has the values of the steps that were done, and does not do them again: what such a step did to a variable is not known then.
    --- wrong
    func main() {
      var total = 0
      step "count" {
        total = total + 3
      }
      println(total)
    }
    --- right
    func main() {
      let total = step "count" {
        0 + 3
      }
      println(total)
    }
    --- why
    The value of a step is what is kept of it. A program that is killed behind this step would print 0.

    === W0401 an arm that is never reached
    The arms before it fit every value that it would fit.
    --- wrong
    func name(n: int) -> string {
      match n {
        1 => "one",
        other => "n${other}",
        2 => "two"
      }
    }
    --- right
    func name(n: int) -> string {
      match n {
        1 => "one"
        2 => "two"
        other => "n${other}"
      }
    }
    --- why
    Arms are tried in written order. A small name fits everything, also one that was meant as a constructor.

    === W0402 an event that nobody handles
    The type belongs to the library and may get more cases, as `StreamEvent` does, so a missing one is only a warning.
    --- wrong
    import std/stream (Message, Closed)

    func text(event: StreamEvent) -> string {
      match event {
        Message(text) => text,
        Closed(_, _) => "closed"
      }
    }
    --- right
    import std/stream (Message, Closed)

    func text(event: StreamEvent) -> string {
      match event {
        Message(text) => text
        Closed(_, _) => "closed"
        _ => ""
      }
    }
    --- why
    With `_` the program also runs with a later library.

    === W0501 `main` declares what it does not use
    The row of `main` names an effect that nothing reachable from it has.
    --- wrong
    func main() -> unit ! {IO, Net} {
      println("x")
    }
    --- right
    func main() -> unit ! {IO} {
      println("x")
    }
    --- why
    The row of `main` is what a user is asked to grant.
    """##
}
