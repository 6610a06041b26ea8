/// Pages of workflows, `exec` functions, guards and what runs at once: the rest of E02xx.
extension ErrorPage {
  static let services = ##"""
    === E0222 an unknown decorator
    Workflows have `@get @post @put @delete @webhook @webui`, steps have `@retry`.
    --- wrong
    @pst("/chat")
    workflow Chat(message: string) -> string { message }
    --- right
    @post("/chat")
    workflow Chat(message: string) -> string {
      message
    }
    --- why
    A decorator that nobody understands would be ignored, and the route would be missing.

    === E0223 a route without path
    The path of a route is a text that begins with `/`.
    --- wrong
    @get("chat")
    workflow Chat(message: string) -> string { message }
    --- right
    @get("/chat")
    workflow Chat(message: string) -> string {
      message
    }
    --- why
    Paths are absolute: there is nothing they could be relative to.

    === E0224 two workflows with one route
    A method and a path lead to one workflow.
    --- wrong
    @post("/chat")
    workflow Chat(message: string) -> string { message }

    @post("/chat")
    workflow Other(message: string) -> string { message }
    --- right
    @post("/chat")
    workflow Chat(message: string) -> string {
      message
    }

    @post("/other")
    workflow Other(message: string) -> string {
      message
    }
    --- why
    Which of the two answers should not depend on their order.

    === E0225 `onerror` and its like in the wrong place
    `onerror`, `onsuccess` and `oncancel` stand in the body of a workflow itself.
    --- wrong
    func main() {
      onerror e {
        println(e.message)
      }
    }
    --- right
    func main() {
      defer println("done")
      println("work")
    }
    --- why
    They are about the end of a run. A function ends with a value: use `match`, or `defer` for what happens in any case.

    === E0236 unknown words of the page
    `@webui` takes `title:` and `description:`, both texts.
    --- wrong
    @post("/chat")
    @webui(titel: "Chat")
    workflow Chat(message: string) -> string { message }
    --- right
    @post("/chat")
    @webui(title: "Chat")
    workflow Chat(message: string) -> string {
      message
    }
    --- why
    A misspelt word would leave the page without its title, and nobody would be told.

    === E0240 leaving what runs at once
    `return`, `break`, `continue` and `?` cannot leave a branch of `||`, `parallel`, `race` or a turn of `for parallel`.
    --- wrong
    func one() -> int { 1 }
    func both(r: Result[int, string]) -> Result[int, string] {
      let values = r? || one()
      Ok(len(values))
    }
    --- right
    func one() -> int {
      1
    }

    func both(r: Result[int, string]) -> Result[int, string] {
      let n = r?
      let values = n || one()
      Ok(len(values))
    }
    --- why
    Each branch runs on its own, and the others are still running when it ends.

    === E0241 not for another program
    What an `exec` function hands to its program is text, numbers, bools, or lists and records of those; what comes back is
    text.
    --- wrong
    exec count(text: string) -> int = sh { echo "$text" | wc -l }
    --- right
    exec count(text: string) -> string = sh { echo "$text" | wc -l }
    --- why
    A program has arguments, an environment and a stream of bytes, and nothing else.

    === E0242 an unknown parameter in a command
    `$name` in a `cmd` body is a parameter of the function. Nothing else is put in.
    --- wrong
    exec claude(prompt: string) = cmd { claude -p $promt }
    --- right
    exec claude(prompt: string) = cmd { claude -p $prompt }
    --- why
    A shell would put in an empty text.

    === E0243 a guard of something that is no text
    A guard is given the text that goes in or comes out, as a string. `keep` is for `during` guards.
    --- wrong
    exec shout(text: string) = sh { echo "$text" | tr a-z A-Z }

    guard before shout(n: int) {
      allow
    }
    --- right
    exec shout(text: string) = sh { echo "$text" | tr a-z A-Z }

    guard before shout(text) {
      allow
    }
    --- why
    What a model or a program is told, and what it answers, is text.

    === E0244 a guard of nothing
    A guard names an agent, an `exec` function or a workflow of this file, or all of a kind: `agent(..)`.
    --- wrong
    agent Writer {
      model: "m"
    }

    guard before Writter(input) {
      allow
    }
    --- right
    agent Writer {
      model: "m"
    }

    guard before Writer(input) {
      allow
    }
    --- why
    A guard that watches nothing is worse than none.

    === E0245 `for parallel` with a counter
    The turns of `for parallel` run at once, so there is no turn number.
    --- wrong
    func main() {
      let doubled = for parallel i, x in [1, 2] { x * i }
      println(doubled)
    }
    --- right
    import std/list (enumerate)

    func main() {
      let doubled = for parallel (i, x) in enumerate([1, 2]) {
        x * i
      }
      println(doubled)
    }
    --- why
    `enumerate` gives each item its place before anything runs.
    """##
}
