import Testing
import WeirCore
import WeirLang

@testable import Weir

/// The shapes of program that the language was made for, in both of the spellings that it reads: an event loop over a
/// connection, several sources at once, a process and its input, a model's tokens, a served agent. Each checks with the
/// effects it declares; in its canonical spelling it checks again and means the same: same signatures, same effects, same
/// Core.
@Suite struct FirstProgramsTests {
  static let programs: [(name: String, entry: String, effects: String, text: String)] = [
    (
      "a connection and its handler", "main", "! {IO, Stream}",
      #"""
      module my/listener
      import std/stream (connect, transmit, onEvent, runEventLoop, disconnect,
      StreamEvent, Message, Closed, StreamError)
      import std/result (Result, Ok, Err)

      export func main() -> unit ! {Stream, IO} {
      match connect("wss://example.org/room", {headers: []}) {
      Ok(room) => {
      onEvent(room, \event. match event {
      Message(text) => { println("heard: " ++ text); true },
      Closed(code, why) => false,
      StreamError(_) => false,
      _ => true
      });
      _ = transmit(room, "here I am");
      runEventLoop(room);
      disconnect(room)
      },
      Err(_) => println("nobody is there")
      }
      }
      """#
    ),
    (
      "two sources at once", "main", "! {IO, Process, Stream}",
      #"""
      import std/stream (asyncExecProcess, asyncReadStdinLines, selectEvents, StreamEvent, SourceText, SourceBytes)
      import std/bytes (toString)

      func handler(event: StreamEvent) -> bool ! {IO} {
      match event {
      SourceBytes(from, data) => { println(from ++ ": " ++ toString(data)); true },
      SourceText(from, line) => { println(from ++ "> " ++ line); line != "quit" },
      _ => true
      }
      }

      export func main() -> unit ! {Stream, Process, IO} {
      -- in pieces of 1024 bytes
      let clock = asyncExecProcess("date", ["-u"], "clock", 3, 1024);
      let keys = asyncReadStdinLines("keys", 10);
      selectEvents([clock, keys], handler)
      }
      """#
    ),
    (
      "lines of standard input", "main", "! {IO, Stream}",
      #"""
      import std/stream (
      asyncReadStdinLines, selectEvents,
      StreamEvent, SourceText, Closed, StreamError
      )

      func handler(event: StreamEvent) -> bool ! {IO} {
      match event {
      SourceText(_, line) => { println("[" ++ line ++ "]"); true },
      Closed(_, _) => false,
      StreamError(_) => false,
      _ => true
      }
      }

      export func main() -> unit ! {Stream, IO} {
      let lines = asyncReadStdinLines("stdin", 10);
      selectEvents([lines], handler)
      }
      """#
    ),
    (
      "a process is written to", "main", "! {IO, Process}",
      #"""
      import std/process (spawnProcess, writeProcessStdin, closeProcessStdin, ProcessHandle)
      import std/bytes (fromString)
      import std/result (Result, Ok, Err)

      export func main() -> () ! {Process, IO} {
      -- sort prints when its input ends
      let sorter = spawnProcess("sort", []);
      match writeProcessStdin(sorter, fromString("b\na\n")) {
      Ok(_) => println("written"),
      Err(e) => println("not written: " ++ e)
      };

      closeProcessStdin(sorter)
      }
      """#
    ),
    (
      "one answer of a model", "main", "! {AI, IO, Net, Stream}",
      #"""
      import std/ai/streaming (callStream, AIError)
      import std/io (println)
      import std/result (Result, Ok, Err)
      export func main() -> () ! {AI, Stream, Net, IO} {
      let body = "[{\"role\":\"user\",\"content\":\"Name a river.\"}]" in
      match callStream("mine", "small", body) {
      Ok(text) => println(text),
      Err(e) => println("no answer: " ++ e.code ++ (if e.retryable then ", later" else ""))
      }
      }
      """#
    ),
    (
      "a model's events", "main", "! {AI, IO, Net, Stream}",
      #"""
      import std/ai/streaming (openaiCompatStream, onEvent, runEventLoop, disconnect)
      import std/stream (SSEData, Closed, StreamError) -- the constructors
      import std/io (println)
      import std/result (Result, Ok, Err)
      export func handler(event: StreamEvent) -> bool {
      match event {
      SSEData(_, data) => if data == "[DONE]" then false else { _io_print(data ++ "."); true },
      Closed(_, _) => false,
      StreamError(_) => false,
      _ => true
      }
      }
      export func main() -> () ! {AI, Stream, Net, IO} {
      let body = "[]" in
      match openaiCompatStream("mine", "small", body) {
      Ok(answer) => {
      onEvent(answer, handler);
      runEventLoop(answer);
      disconnect(answer)
      },
      Err(_) => println("failed")
      }
      }
      """#
    ),
    (
      "fields of a token", "handler", "! {IO}",
      #"""
      import std/stream (StreamEvent, SSEData)
      import std/json (decode)
      import std/result (Result, Ok, Err)
      -- Text and thoughts of one event.
      export func parts(raw: string) -> {text: string, thought: string} {
      if raw == "[DONE]" then {text: "", thought: ""}
      else match decode(raw) {
      Ok(json) => {
      let text = leaf(json, ["delta", "content"]) in
      let thought = leaf(json, ["delta", "reasoning"]) in
      {text: text, thought: thought}
      },
      Err(_) => {text: "", thought: ""}
      }
      }
      func leaf(j: Json, path: [string]) -> string {
      "" -- nothing yet
      }
      export func handler(event: StreamEvent) -> bool {
      match event {
      SSEData(_, raw) => {
      let found = parts(raw) in
      if found.text != "" then _io_print(found.text) else ();
      if found.thought != "" then think(found.thought) else ();
      true
      },
      _ => false
      }
      }
      func think(text: string) -> () ! {IO} {
      _io_print("(");
      _io_println(text ++ ")")
      }
      """#
    ),
    (
      "a served agent", "main", "! {AI, IO, Net, Serve, Stream}",
      #"""
      import "io"
      import "http"

      provider local {
          api_key: env("LOCAL_KEY")
          model: "small"
      }

      agent Guide {
          provider: local
          system: "You know every path."
          memory: conversation(max_turns: 4)
          temperature: 0.2
      }

      @post("/api/ask")
      workflow Ask(message: string, session_id: string) -> stream {
          return Guide.stream(message, session: session_id)
      }

      fn main() {
          server = http.Server([Ask])
          io.println("listening")
          server.listen(8081)
      }
      """#
    ),
  ]

  private static func check(_ text: String, _ entry: String) -> CheckResult {
    Checker.check(name: "first.weir", bytes: Array(text.utf8), entry: entry, library: ProgramFile.library)
  }

  /// Core as text, without the places in the file.
  private static func core(_ result: CheckResult) throws -> String {
    var program = try #require(result.program)
    // Their order is that of the imports, which are sorted in the canonical spelling; they are found by number.
    program.types.sort { $0.id < $1.id }
    let unit = "Optional(WeirLang.Core(node: WeirLang.Core.Node.literal(WeirLang.CoreLiteral.unit), span: WeirLang.))"
    // `else ()` says what no `else` says.
    return "\(program)".replacing(/Span\(file: \d+, start: \d+, end: \d+\)/, with: "").replacing(unit, with: "nil")
  }

  @Test(arguments: programs.indices) func checksAndKeepsItsMeaning(_ index: Int) throws {
    let (name, entry, effects, text) = Self.programs[index]
    let before = Self.check(text, entry)
    #expect(before.diagnostics.filter(\.isError).isEmpty, "\(name): \(before.diagnostics.map(\.title))")
    let signatures = before.signatures.map { "\($0.name): \($0.type)" }
    #expect(signatures.contains { $0.hasPrefix("\(entry): ") && $0.hasSuffix(effects) }, "\(name): \(signatures)")

    guard case .formatted(let canonical) = Formatter.format(Source(name: "first.weir", text: text)) else {
      Issue.record("\(name) is not formatted")
      return
    }
    #expect(canonical != text)
    let after = Self.check(canonical, entry)
    #expect(after.signatures.map { "\($0.name): \($0.type)" } == signatures, "\(name)")
    #expect(after.diagnostics.map(\.code) == before.diagnostics.map(\.code), "\(name)")
    let (one, other) = (try Self.core(before), try Self.core(after))
    let same = zip(one, other).prefix { $0 == $1 }.count
    #expect(
      one.count > 500 && one == other,
      "\(name): \(one.dropFirst(same - 80).prefix(250))\n\(other.dropFirst(same - 80).prefix(250))")
  }
}
