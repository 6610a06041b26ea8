import WeirLang

/// `std/pipeline` (spec/pipelines.md, spec/serve.md): what `exec`, `guard`, `step`, `stream e`, `e with {…}` and a
/// workflow's `onerror` mean. The checker turns each into a call of a function of this module, so their parts have
/// ordinary types and effects. Declared, so that such programs can be checked; this build cannot run them yet.
enum PipelineModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/pipeline",
      source: """
        // Stages, guards, steps and other programs' output: what `exec`, `guard`, `step` and `with` mean.
        import std/stream (Stream, next)
        import std/json (Json)

        /// What a guard decides about a text.
        export type Verdict = Allowed | Changed(string) | Denied(string) | Again(string)
        /// Lets the text pass. In a guard `allow` alone lets it pass as it is.
        export func allow(changed: string) -> Verdict { Changed(changed) }
        /// Stops it; the reason is told to whoever asked.
        export func deny(why: string) -> Verdict { Denied(why) }
        /// In a guard: the guarded call is made once more with this hint.
        export func again(hint: string) -> Verdict { Again(hint) }

        /// In a stage: runs the stage before it once more, with a hint (at most 10 times for a stage, 20 in all).
        export extern func retry[a](hint: string) -> a
        /// Which run of this stage it is, from 1.
        export extern func attempt() -> int
        /// What `retry` said; "" at the first run.
        export extern func hint() -> string

        /// Behind `with`. `stream: "buffer"` validates the whole first and streams then.
        export type PipelineOptions = {stream?: bool, buffer?: bool, limit?: int, pace?: int, format?: string}
        /// The arguments of `@retry`: `delay` in milliseconds, multiplied by `backoff` each time.
        export type RetryOptions = {max?: int, delay?: int, backoff?: float}
        /// Why a workflow ended early.
        export type RunError = {code: string, message: string}

        /// Everything that a stream of text gives, as one text.
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
        """,
      natives: [],
      absent: absent("retry", "attempt", "hint").merging([
        "_streamOf": "text handed to a stage that takes a stream", "_exec": "`exec` functions",
        "_execStream": "`exec` functions", "_guard": "`guard`", "_step": "`step`",
        "_stream": "`stream` before an expression", "_streamPrinted": "`stream` before an expression",
        "_with": "`with {…}`", "_onError": "`onerror`", "_onSuccess": "`onsuccess`", "_onCancel": "`oncancel`",
      ]) { first, _ in first }
    )
  }
}
