import WeirAI
import WeirCore
import WeirLang

/// `std/ai/streaming`: model calls by provider name (spec/ai.md, Functions).
enum AIModule {
  static let errorRecord = RecordTag(64, ["code", "message", "retryable", "status", "retryAfterMs"])

  static var module: LibraryModule {
    LibraryModule(
      name: "std/ai/streaming",
      source: """
        // Model calls by provider name, whole or piece by piece.
        import std/stream (StreamConn, Stream, StreamErrorKind, StreamEvent, onEvent, runEventLoop, disconnect)

        /// Why a call failed. `retryable`: the same call may succeed a little later.
        export type AIError = {code: string, message: string, retryable: bool, status?: int, retryAfterMs?: int}

        /// Sends `messages`, a JSON array of `{role, content}`, and answers the whole text once the model has finished.
        /// An answer that was cut off is an error (`Truncated`), never a success.
        export extern func callStream(provider: string, model: string, messages: string) -> Result[string, AIError] ! {AI, Stream, Net}

        /// Tokens that a call took, as the provider counted them, or an estimate.
        export type Usage = {input_tokens: int, output_tokens: int, estimated: bool}
        /// A whole answer, and what led to it.
        export type ChatReply = {text: string, reasoning: string, usage: Option[Usage], finish: string}
        /// A piece of a tool call: `id` and `name` come once, `arguments` in pieces.
        export type ToolDelta = {index: int, id: string, name: string, arguments: string}
        /// A piece of an answer. `done`: the model said that nothing follows.
        export type TokenDelta = {
          text: string, reasoning: string, done: bool, tool?: ToolDelta, usage?: Usage, finish?: string
        }
        /// What a call may say about itself; what is left out is the provider's.
        export type CallOptions = {temperature?: float, max_tokens?: int, system?: string}

        /// The whole text with what the model thought, what it cost and why it ended.
        export extern func callStreamWithReasoning(
          provider: string, model: string, messages: string
        ) -> Result[ChatReply, AIError] ! {AI, Stream, Net}
        /// Opens the answer of a provider that speaks OpenAI's dialect, as events for `onEvent`.
        export extern func openaiCompatStream(
          provider: string, model: string, messages: string
        ) -> Result[StreamConn, StreamErrorKind] ! {AI, Stream, Net}
        /// Opens the answer of a provider that speaks Anthropic's dialect, as events for `onEvent`.
        export extern func anthropicStream(
          provider: string, model: string, messages: string
        ) -> Result[StreamConn, StreamErrorKind] ! {AI, Stream, Net}
        /// Opens the answer of any provider, as events for `onEvent`.
        export extern func aiStream(
          provider: string, model: string, messages: string, options: CallOptions
        ) -> Result[StreamConn, StreamErrorKind] ! {AI, Stream, Net}
        /// What an event of a provider says; None when it says nothing of the answer.
        export extern func parseDelta(provider: string, event: StreamEvent) -> Option[TokenDelta]
        /// The answer piece by piece, instead of events.
        export extern func tokens(conn: StreamConn) -> Stream[TokenDelta] ! {Stream}
        """,
      natives: [
        raw("callStream", arity: 3) { arguments, context in
          let instance = try ProgramInstance.of(context)
          let name = try arguments.get(0, as: String.self)
          let model = try arguments.get(1, as: String.self)
          let request = ChatRequest(messages: .json(try arguments.get(2)), model: model)
          return try answer(context) { sink in
            do throws(RunFailure) {
              let provider = try instance.sessions.registry.provider(name)
              return instance.client.start(request, provider: provider, sink: sink)
            } catch {
              return RefusedCall(error, sink: sink, loop: instance.world.loop)
            }
          }
        }
      ],
      records: [errorRecord],
      absent: absent(
        "callStreamWithReasoning", "openaiCompatStream", "anthropicStream", "aiStream", "parseDelta", "tokens")
    )
  }

  /// Parks the fiber until a call has ended: `Result[string, AIError]`. Cancelling the fiber stops the call.
  static func answer(
    _ context: NativeContext, start: (any RunEventSink) throws -> any ChatCall
  ) throws -> NativeResult {
    let suspension = context.suspend()
    let accumulator = ChatAccumulator { outcome in
      switch outcome.result {
      case .success(let text): suspension.resume(.ok(.string(text)))
      case .failure(let failure): suspension.resume(.err(error(failure)))
      }
    }
    let call = try start(accumulator)
    suspension.onCancel { call.stop() }
    return .suspended
  }

  static func error(_ failure: RunFailure) -> Value {
    errorRecord.value([
      "code": .string(failure.code),
      "message": .string(failure.message),
      "retryable": .bool(failure.retryable),
      "status": failure.status.map { Value.some(.int($0)) } ?? .none,
      "retryAfterMs": failure.retryAfterMs.map { Value.some(.int($0)) } ?? .none,
    ])
  }
}
