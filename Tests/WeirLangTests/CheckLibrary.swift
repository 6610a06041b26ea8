/// The part of the library that checker tests need: signatures only, as the real modules write them.
@testable import WeirLang

enum CheckLibrary {
  static let modules: [ModuleText] = [
    ModuleText(
      name: "std/prelude",
      source: """
        import std/io (print, println, _io_print, _io_println)
        import std/env (env)
        export extern func show(x: any) -> string
        export extern func len(x: any) -> int
        """),
    ModuleText(
      name: "std/io",
      source: """
        export extern func print(text: string) -> unit ! {IO}
        export extern func println(text: string) -> unit ! {IO}
        export extern func _io_print(text: string) -> unit ! {IO}
        export extern func _io_println(text: string) -> unit ! {IO}
        export extern func readLine() -> string ! {IO}
        """),
    ModuleText(name: "std/env", source: "export extern func env(name: string) -> string ! {Env}"),
    ModuleText(
      name: "std/result",
      source: """
        export type Result[a, e] = Ok(a) | Err(e)
        export func map[a, b, e](r: Result[a, e], f: (a) -> b) -> Result[b, e] {
          match r { Ok(x) => Ok(f(x)), Err(e) => Err(e) }
        }
        export func unwrapOr[a, e](r: Result[a, e], other: a) -> a { match r { Ok(x) => x, Err(_) => other } }
        """),
    ModuleText(name: "std/option", source: "export type Option[a] = Some(a) | None"),
    ModuleText(
      name: "std/json",
      source: """
        export type Json = JNull | JBool(bool) | JNumber(float) | JString(string) | JArray([Json]) | JObject(Map[string, Json])
        export extern func decode(text: string) -> Result[Json, string]
        export extern func encode(json: Json) -> string
        export extern func toJson[a](value: a) -> Json
        export extern func getString(json: Json, key: string) -> Option[string]
        export extern func asString(json: Json) -> Option[string]
        """, typeIDs: ["Json": 3]),
    ModuleText(
      name: "std/bytes",
      source: """
        export extern func fromString(text: string) -> bytes
        export extern func toString(data: bytes) -> string
        export extern func toBase64(data: bytes) -> string
        """),
    ModuleText(name: "std/string", source: "export extern func length(text: string) -> int"),
    ModuleText(
      name: "std/list",
      source: """
        export extern func length[a](xs: [a]) -> int
        export func map[a, b](xs: [a], f: (a) -> b) -> [b] {
          match xs { [] => [], x :: rest => f(x) :: map(rest, f) }
        }
        export func foldl[a, b](xs: [a], start: b, f: (b, a) -> b) -> b {
          match xs { [] => start, x :: rest => foldl(rest, f(start, x), f) }
        }
        """),
    ModuleText(
      name: "std/stream",
      source: """
        export extern type StreamConn
        export extern type StreamSource
        export extern type Stream[a]
        export type StreamErrorKind = ConnectionFailed(string) | Timeout(string) | BudgetExhausted(string)
          | ProtocolError(string) | MessageTooLarge(string)
        export type StreamEvent = Message(string) | Binary(string) | Opened(string) | Closed(int, string)
          | StreamError(StreamErrorKind) | Ping(string) | SSEData(string, string) | SourceText(string, string)
          | SourceBytes(string, bytes)
        export type StreamStatus = Connecting | Open | Closing | StreamClosed
        export type StreamHeader = {name: string, value: string}
        export type StreamConfig = {headers: [StreamHeader], subprotocols?: [string]}
        export extern func connect(url: string, config: StreamConfig) -> Result[StreamConn, StreamErrorKind] ! {Stream}
        export extern func ssePost(url: string, body: string, config: StreamConfig) -> Result[StreamConn, StreamErrorKind] ! {Stream}
        export extern func transmit(conn: StreamConn, text: string) -> Result[unit, StreamErrorKind] ! {Stream}
        export extern func onEvent(conn: StreamConn, handler: (StreamEvent) -> bool ! e) -> unit ! {Stream, e}
        export extern func nextEvent(conn: StreamConn) -> Option[StreamEvent] ! {Stream}
        export extern func runEventLoop(conn: StreamConn) -> unit ! {Stream}
        export extern func disconnect(conn: StreamConn) -> unit ! {Stream}
        export extern func status(conn: StreamConn) -> StreamStatus ! {Stream}
        export extern func sourceOfConn(conn: StreamConn, name: string, priority: int) -> StreamSource ! {Stream}
        export extern func asyncReadStdinLines(name: string, priority: int) -> StreamSource ! {Stream}
        export extern func asyncExecProcess(cmd: string, args: [string], name: string, priority: int, chunkSize: int) -> StreamSource ! {Stream, Process}
        export extern func pickEvent(sources: [StreamSource]) -> Option[StreamEvent] ! {Stream}
        export extern func next[a](stream: Stream[a]) -> Option[a] ! {Stream}
        export func selectEvents(sources: [StreamSource], handler: (StreamEvent) -> bool ! e) -> unit ! {Stream, e} {
          match pickEvent(sources) {
            Some(event) => if handler(event) then selectEvents(sources, handler) else (),
            None => ()
          }
        }
        """),
    ModuleText(
      name: "std/process",
      source: """
        export extern type ProcessHandle
        export type ProcessError = NotAllowed(string) | Timeout(string)
        export extern func spawnProcess(cmd: string, args: [string]) -> ProcessHandle ! {Process}
        export extern func writeProcessStdin(handle: ProcessHandle, data: bytes) -> Result[(), string] ! {Process}
        export extern func closeProcessStdin(handle: ProcessHandle) -> () ! {Process}
        export extern func exec(cmd: string, args: [string]) -> Result[string, ProcessError] ! {Process}
        """),
    ModuleText(
      name: "std/ai/streaming",
      source: """
        import std/stream (onEvent, runEventLoop, disconnect, StreamConn, StreamErrorKind)
        export type AIError = {code: string, message: string, retryable: bool, status: Option[int], retryAfterMs: Option[int]}
        export extern func callStream(provider: string, model: string, messages: string) -> Result[string, AIError] ! {AI, Stream, Net}
        export extern func openaiCompatStream(provider: string, model: string, messages: string) -> Result[StreamConn, StreamErrorKind] ! {AI, Stream, Net}
        """),
    ModuleText(
      name: "std/agent",
      source: """
        import std/stream (Stream)
        export extern type Provider
        export extern type Agent
        export extern type Memory
        export extern type Tool
        export type ProviderFields = {api_key?: string, api_key_env?: string, model?: string, endpoint?: string,
          temperature?: float, max_tokens?: int, shape?: string, headers?: Map[string, string]}
        export type AgentFields = {provider?: Provider, model?: string, system?: string, tools?: [Tool],
          handoffs?: [Agent], memory?: Memory, temperature?: float, max_tokens?: int, max_steps?: int, timeout?: int,
          output?: string}
        export type ToolParam = {name: string, type: string, optional: bool}
        export type ToolFields = {description: string, schema: string, params: [ToolParam]}
        export extern func provider(name: string, fields: ProviderFields) -> Provider
        export extern func agent(name: string, fields: AgentFields) -> Agent
        export extern func tool(name: string, fields: ToolFields, handler: any) -> Tool
        export extern func conversation(max_turns: int) -> Memory
        export extern func none() -> Memory
        export extern func stream(agent: Agent, text: string, session: string = "") -> Stream[string] ! {AI, Stream, Net}
        export extern func ask(agent: Agent, text: string, session: string = "") -> Result[string, string] ! {AI, Stream, Net}
        """),
    ModuleText(
      name: "std/http",
      source: """
        export extern type Workflow
        export extern type Server
        export type WorkflowParam = {name: string, type: string, optional: bool, default?: Json}
        export type WorkflowFields = {method: string, path: string, params: [WorkflowParam], returns: string,
          title?: string, description?: string}
        export extern func workflow(name: string, route: WorkflowFields, handler: any) -> Workflow
        export extern func Server(workflows: [Workflow]) -> Server
        export extern func listen(server: Server, port: int) -> unit ! {Serve}
        """),
    ModuleText(
      name: "std/task",
      source: """
        export type TaskFailure = {code: string, index: int, message: string}
        export extern func all[a](jobs: [() -> a ! e], limit: int) -> [a] ! e
        export extern func race[a](jobs: [() -> a ! e]) -> a ! e
        export extern func first[a](jobs: [() -> a ! e]) -> Result[a, TaskFailure] ! e
        """),
    ModuleText(
      name: "std/pipeline",
      source: """
        import std/stream (Stream, next)
        import std/json (Json)
        export type Verdict = Allowed | Changed(string) | Denied(string) | Again(string)
        export func allow(changed: string) -> Verdict { Changed(changed) }
        export func deny(why: string) -> Verdict { Denied(why) }
        export func again(hint: string) -> Verdict { Again(hint) }
        export extern func retry[a](hint: string) -> a
        export type PipelineOptions = {stream?: bool, buffer?: bool, limit?: int, pace?: int, format?: string}
        export type RetryOptions = {max?: int, delay?: int, backoff?: float}
        export type RunError = {code: string, message: string}
        export func collect(stream: Stream[string]) -> string ! {Stream} {
          var text = ""
          for piece in stream { text = text ++ piece }
          text
        }
        extern func _streamOf(text: string) -> Stream[string]
        extern func _exec(
          language: string, code: string, arguments: Map[string, Json], input: Option[string], options: PipelineOptions
        ) -> string ! {Process}
        extern func _execStream(
          language: string, code: string, arguments: Map[string, Json], input: Option[string], options: PipelineOptions
        ) -> Stream[string] ! {Process}
        extern func _guard(moment: string, kind: string, name: string, keep: int, decide: any) -> unit
        extern func _step[a](name: string, retry: RetryOptions, body: () -> a ! e) -> a ! e
        extern func _stream[a](job: () -> a ! e) -> a ! e
        extern func _streamPrinted[a](job: () -> a ! e) -> a ! {IO, e}
        extern func _with[a](options: PipelineOptions, job: () -> a ! e) -> a ! e
        extern func _onError(handler: (RunError) -> unit ! e) -> unit ! e
        extern func _onSuccess(handler: () -> unit ! e) -> unit ! e
        extern func _onCancel(handler: () -> unit ! e) -> unit ! e
        """),
    ModuleText(name: "std/fs", source: "export extern func readFile(path: string) -> Result[string, string] ! {FS}"),
  ]

  static func check(
    _ text: String, name: String = "test.weir", entry: String = "main", files: [String: String] = [:]
  ) -> CheckResult {
    Checker.check(name: name, bytes: Array(text.utf8), entry: entry, modules: modules) { path in
      files[path].map { Array($0.utf8) }
    }
  }
}
