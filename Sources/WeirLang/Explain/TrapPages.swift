/// Pages of failures at run time: what ends a program although it was checked.
extension ErrorPage {
  static let traps = ##"""
    === AssertionFailed an `assert` did not hold
    `assert condition, message` stops the program, or fails the test, when the condition is false.
    --- wrong
    func main() {
      let total = 1 + 1
      assert total == 3, "arithmetic"
    }
    --- says
    arithmetic
    --- right
    func main() {
      let total = 1 + 1
      assert total == 2, "arithmetic"
    }
    --- why
    Without a message the condition itself is shown.

    === BadArgument a value that a function of the library cannot take
    The type is right, the value is out of range; the message names the function and the range.
    --- wrong
    import std/clock (sleep)

    func main() {
      sleep(-1)
    }
    --- says
    sleep(-1): from 0 to 2147483647000 milliseconds
    --- right
    import std/clock (sleep)

    func main() {
      sleep(1)
    }
    --- why
    Types cannot say everything.

    === Cancelled the work was cancelled
    Somebody did not wait for it any longer: the other side of a `race` was faster, the run was stopped, or a deadline passed.
    --- none
    Whoever is told so has stopped waiting: `race` answers with the winner, a stopped run has ended.
    --- why
    Cancelling ends work at the next point where it waits; `defer` still runs.

    === DivisionByZero division by zero
    An int was divided by 0, or its remainder taken.
    --- wrong
    func main() {
      let none = 0
      println(1 / none)
    }
    --- says
    division by zero
    --- right
    func main() {
      println(1.0 / 0.0)
    }
    --- why
    Floats give infinity, as everywhere. Ints have no such value.

    === InternalError a promise of the implementation was broken
    Never the program's fault. Please report it, with the program.
    --- none
    A program that gets it is a bug of Weir.
    --- why
    A native that gets a value of another type than its signature says stops the program instead of going on with nonsense.

    === LimitReached an effect was used too often
    A row like `! {AI @limit=5}` counts the uses in each call of the function; the next one ends that call.
    --- wrong
    func greet() -> unit ! {IO @limit=1} {
      println("hello")
      println("again")
    }
    func main() {
      greet()
    }
    --- says
    `println` would be use 2 of the effect IO, which is limited to 1 here
    --- right
    func greet() -> unit ! {IO @limit=2} {
      println("hello")
      println("again")
    }

    func main() {
      greet()
    }
    --- why
    What costs money or reaches out can be bounded where it is used. Calls of std/stream and std/ai hand it back as a value.

    === NativeFailed a part of the runtime failed
    A failure of the system, or of a library below, without a code of its own; the message is its own.
    --- none
    It takes a system that fails, not a program.
    --- why
    Failures that programs can expect are Results, not this.

    === NegativeExponent a negative power of an int
    `2 ** -1` is no int.
    --- wrong
    func main() {
      let exponent = 0 - 1
      println(2 ** exponent)
    }
    --- says
    an int cannot be raised to -1
    --- right
    func main() {
      println(2.0 ** -1.0)
    }
    --- why
    Rounding it to 0 would hide a mistake.

    === ProgramChanged the program is another one than the run began with
    A run that is taken up again reads what its earlier life has kept: results of steps. One of them is not of the type that the
    program now says.
    --- none
    It takes a run that was cut off, and a program that was changed before the run was taken up again.
    --- why
    A guess would be worse than an end: resume a run with the program that began it, or start a new one.

    === ProgramExited a test ended the program
    A test called `exit`, so whether what it tests is right was never said.
    --- none
    It takes `weir test`.
    --- why
    `exit` ends the whole program, and `weir test` runs many tests. Return early, or test the function that decides
    about the exit code instead of the one that exits.

    === TimeLimit a test took too long
    A test did not end within its limit (60 seconds, or what `--time-limit` says). The message shows where it was.
    --- none
    It takes `weir test`, and time.
    --- why
    A test that waits for ever would hide every test after it. If it only needs longer, say so: `weir test --time-limit 5m`.

    === NoJobs nothing to wait for
    `race` and `first` of std/task were given an empty list.
    --- wrong
    import std/task (race)

    func main() {
      let jobs: [() -> int] = []
      println(race(jobs))
    }
    --- says
    there is no job to wait for
    --- right
    import std/task (race)

    func main() {
      println(race([() => 1]))
    }
    --- why
    It would wait for ever.

    === NotGranted an effect that was not granted
    The program reached something that it was not given. `weir run` checks that before anything runs and exits with 3; at
    run time only code that was loaded later can come here.
    --- none
    `weir run` finds it before the program begins.
    --- why
    Nothing is reachable without a capability: `--caps Net,IO`, or `caps` in `weir.toml`.

    === NotJSON a value that JSON does not have
    Functions, streams, connections and the like cannot be written as JSON, nor can floats that are not finite.
    --- wrong
    import std/json (encode)

    func main() {
      println(encode({f: (n: int) => n}))
    }
    --- says
    <function \n> cannot be written as JSON
    --- right
    import std/json (encode)

    func main() {
      println(encode({f: 1}))
    }
    --- why
    Leaving them out would lose something in silence.

    === NoRoute a workflow without a route
    A workflow is served that has no `@post("/path")` above it.
    --- wrong
    import std/http as http

    workflow Hello(name: string) -> string {
      "hello " ++ name
    }

    func main() {
      _ = http.Server([Hello])
    }
    --- says
    workflow Hello has no route
    --- right
    import std/http as http

    @post("/hello")
    workflow Hello(name: string) -> string {
      "hello " ++ name
    }

    func main() {
      _ = http.Server([Hello])
    }
    --- why
    Nobody could ask for it.

    === ReadBeforeSet a value that was read before it was set
    A function value ran while the program was starting, and read a top-level value that a later line sets.
    --- wrong
    import std/list (map)

    let doubled = map([1, 2], (n) => n * factor)
    let factor = 2

    println(doubled)
    --- says
    `factor` is read before it is set
    --- right
    import std/list (map)

    let factor = 2
    let doubled = map([1, 2], (n) => n * factor)

    println(doubled)
    --- why
    What surely reads too early is refused before anything runs: `E0247`. Whether a function value is called at once or later
    is not known before.

    === RouteTaken a route twice
    Two workflows that are served together have one method and path.
    --- none
    It takes two files: in one, the compiler refuses it as E0224.
    --- why
    The compiler finds it in one file; this is about two servers of a program, or two files.

    === AlreadyListening a server that listens already
    `listen` was called twice on one server.
    --- wrong
    import std/http as http

    func main() {
      let server = http.Server([])
      _ = server.listen(0) || server.listen(0)
    }
    --- says
    this server listens already
    --- right
    import std/clock (sleep)
    import std/http as http
    import std/task (race)

    func main() {
      let server = http.Server([])
      race([() => server.listen(0), () => sleep(1)])
    }
    --- why
    For another port make another `http.Server`.

    === OutOfBounds no such item
    A list was indexed outside of `0` to its length less one.
    --- wrong
    func main() {
      println([1, 2, 3][3])
    }
    --- says
    index 3 of a list of 3 items
    --- right
    import std/list (get)

    func main() {
      println(get([1, 2, 3], 3))
    }
    --- why
    Where a place may not exist, `get` of std/list answers with an Option.

    === Overflow a number that does not fit an int
    Ints have 64 bits. A sum, product or power beyond that is an error.
    --- wrong
    func main() {
      let large = 9223372036854775807
      println(large + 1)
    }
    --- says
    the result does not fit an int
    --- right
    func main() {
      let large = 9.2e18
      println(large + 1)
    }
    --- why
    Numbers that wrap round are found by customers.

    === RangeTooLarge a range that would be too long a list
    A range as a value is a list of its numbers.
    --- wrong
    func main() {
      let all = 0..9000000000
      println(len(all))
    }
    --- says
    a list of more than 10000000 numbers
    --- right
    func main() {
      var count = 0
      for n in 0..1000 {
        count = count + n
      }
      println(count)
    }
    --- why
    `for` goes through a range without making the list.

    === StepFailed a step of a workflow failed
    `e?` in a step met a failure, and all its retries did too.
    --- none
    Steps run in a workflow, which takes a server and a request.
    --- why
    What the failure said is the message. `onerror` of the workflow gets it.

    === StreamBusy two readers of one stream
    Another task waits for the next value of this stream.
    --- wrong
    import std/stream (next)

    agent Listener {
      model: "eliza/eliza"
    }

    func main() {
      let words = Listener.stream("hello")
      println(next(words) || next(words))
    }
    --- says
    another task waits for this stream's next value
    --- right
    import std/stream (next)

    agent Listener {
      model: "eliza/eliza"
    }

    func main() {
      let words = Listener.stream("hello")
      println("${next(words)} ${next(words)}")
    }
    --- why
    Values would go to whoever is faster. Let one task read, and hand on what it gets.

    === StreamTaken a stream was handed on already
    A stream can be read once: by a `for`, or by whoever it was given to.
    --- none
    It takes a workflow whose stream was returned to a request.
    --- why
    What is durable can be read often: that is std/streaming.

    === TooDeep too many calls inside each other
    Calls nest at most 10 000 deep. A call in tail position does not count.
    --- wrong
    func count(n: int) -> int { 1 + count(n + 1) }
    func main() {
      println(count(0))
    }
    --- says
    more than 10000 calls inside each other
    --- right
    func count(n: int, total: int) -> int {
      if n == 0 then total else count(n - 1, total + 1)
    }

    func main() {
      println(count(100000, 0))
    }
    --- why
    Endless recursion ends with a message and a place, never with a crash.

    === TooLarge a value that would be too large
    A string, list or document beyond the size that values may have.
    --- wrong
    import std/string (repeat)

    func main() {
      println(len(repeat("ab", 9000000000)))
    }
    --- says
    a string of more than 67108864 bytes
    --- right
    import std/string (repeat)

    func main() {
      println(len(repeat("ab", 9)))
    }
    --- why
    A few bytes of a request should not take the memory of a server.

    === Unmatched no arm fits
    A `match` on a type of the library met a case that has no arm. The compiler warned about it: W0402.
    --- wrong
    import std/stream (selectEvents, timerSource, Message)

    func main() {
      selectEvents([timerSource("tick", 1, 1)], (event) => match event {
        Message(_) => true
      })
    }
    --- says
    no case of this match fits the value
    --- right
    import std/stream (selectEvents, timerSource, Message)

    func main() {
      selectEvents([timerSource("tick", 1, 1)], (event) => match event {
        Message(_) => true
        _ => false
      })
    }
    --- why
    An arm `_ => …` takes whatever is added later.
    """##
}
