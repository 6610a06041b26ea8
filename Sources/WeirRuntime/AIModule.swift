import WeirAI
import WeirCore
import WeirLang

/// `std/ai/streaming`: model calls by provider name (spec/ai.md, Functions).
enum AIModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/ai/streaming",
      source: """
        // Model calls by provider name, whole or piece by piece.
        import std/stream (StreamConn, Stream, StreamErrorKind, StreamEvent, onEvent, runEventLoop, disconnect)

        /// Why a call failed. `retryable`: the same call may succeed a little later.
        export type AIError = {code: string, message: string, retryable: bool, status?: int, retryAfterMs?: int}

        /// A call of a tool in a message: what the model wrote as its `arguments`, which is JSON.
        export type ToolCall = {id: string, name: string, arguments: string}
        /// A message of a conversation. `role`: system, user, assistant, or tool for the result of the call `tool_call_id`.
        /// Wherever `messages` are asked for, a list of these will do, any list of records with `role` and `content`, or JSON
        /// as text or value: that is sent as it is.
        export type Message = {role: string, content: string, tool_calls?: [ToolCall], tool_call_id?: string}

        /// Sends the messages and answers the whole text once the model has finished.
        /// An answer that was cut off is an error (`Truncated`), never a success.
        export extern func callStream[messages](
          provider: string, model: string, messages: messages
        ) -> Result[string, AIError] ! {AI, Stream, Net}

        /// Tokens that a call took, as the provider counted them, or an estimate.
        export type Usage = {input_tokens: int, output_tokens: int, estimated: bool}
        /// A whole answer, and what led to it. `finish`: completed, length, filtered or tool_calls.
        export type ChatReply = {text: string, reasoning: string, usage: Option[Usage], finish: string}
        /// A piece of a tool call. Its arguments come in pieces, which belong together by `index`.
        export type ToolDelta = {index: int, id: string, name: string, arguments: string}
        /// A piece of an answer. `done`: the model said that nothing follows.
        export type TokenDelta = {
          text: string, reasoning: string, done: bool, tool?: ToolDelta, usage?: Usage, finish?: string
        }
        /// What a call may say about itself; what is left out is the provider's.
        export type CallOptions = {temperature?: float, max_tokens?: int, system?: string}

        /// The whole text with what the model thought, what it cost and why it ended.
        export extern func callStreamWithReasoning[messages](
          provider: string, model: string, messages: messages
        ) -> Result[ChatReply, AIError] ! {AI, Stream, Net}
        /// Opens the answer of a provider that speaks OpenAI's dialect (or another that a configuration describes): its events,
        /// as they come, for `onEvent`. What is wrong before anything is sent is a `ProtocolError("[Code] …")`.
        export extern func openaiCompatStream[messages](
          provider: string, model: string, messages: messages
        ) -> Result[StreamConn, StreamErrorKind] ! {AI, Stream, Net}
        /// Opens the answer of a provider that speaks Anthropic's dialect, as events for `onEvent`.
        export extern func anthropicStream[messages](
          provider: string, model: string, messages: messages
        ) -> Result[StreamConn, StreamErrorKind] ! {AI, Stream, Net}
        /// Opens the answer of any provider, as events for `onEvent`.
        export extern func aiStream[messages](
          provider: string, model: string, messages: messages, options: CallOptions
        ) -> Result[StreamConn, StreamErrorKind] ! {AI, Stream, Net}
        /// What an event of a provider says: an empty text where it says nothing new; None when it is not an event of an
        /// answer. Of an event with pieces of several tool calls this is the first; `tokens` gives all.
        export extern func parseDelta(provider: string, event: StreamEvent) -> Option[TokenDelta]
        /// The answer piece by piece, instead of events. Ends when the model is done; an answer that is not whole stops the
        /// program with its error.
        export extern func tokens(conn: StreamConn) -> Stream[TokenDelta] ! {Stream}
        """,
      natives: calls + connections + deltas,
      records: AIValues.streamingRecords)
  }

  private static var calls: [Native] {
    [
      calling("callStream") { outcome in outcome.result.map { .string($0) } },
      calling("callStreamWithReasoning") { outcome in outcome.result.map { _ in AIValues.reply(outcome) } },
    ]
  }

  private static func calling(
    _ name: String, _ shape: @escaping (ChatAccumulator) -> Result<Value, RunFailure>
  ) -> Native {
    raw(name, arity: 3) { arguments, context in
      if let failure = exhaustion(context, name) { return .value(.err(AIValues.error(failure))) }
      let instance = try ProgramInstance.of(context)
      let provider = try arguments.get(0, as: String.self)
      let request = ChatRequest(
        messages: try AIValues.messages(arguments[2], context.names), model: try arguments.get(1, as: String.self))
      return try answer(context, shape) { sink in instance.call(provider, request, sink: sink) }
    }.answeringExhaustion()
  }

  static func exhaustion(_ context: NativeContext, _ name: String) -> RunFailure? {
    context.exhausted.map {
      RunFailure(.budgetExhausted, Trap.limitReached($0.effect, limit: $0.count, native: name).message)
    }
  }

  /// Parks the fiber until a call has ended: `Result[a, AIError]`. Cancelling the fiber stops the call.
  static func answer(
    _ context: NativeContext,
    _ shape: @escaping (ChatAccumulator) -> Result<Value, RunFailure> = { $0.result.map { .string($0) } },
    start: (any RunEventSink) throws -> any ChatCall
  ) throws -> NativeResult {
    let suspension = context.suspend()
    let accumulator = ChatAccumulator { outcome in
      switch shape(outcome) {
      case .success(let value): suspension.resume(.ok(value))
      case .failure(let failure): suspension.resume(.err(AIValues.error(failure)))
      }
    }
    let call = try start(accumulator)
    suspension.onCancel { call.stop() }
    return .suspended
  }

  // MARK: Connections

  private static var connections: [Native] {
    [
      opening("openaiCompatStream", [.openaiChat, .simpleCompletion, .custom, .eliza]),
      opening("anthropicStream", [.anthropicMessages]), opening("aiStream", RequestShape.allCases),
    ]
  }

  /// What opens an answer of this dialect.
  private static func opener(_ shape: RequestShape) -> String {
    switch shape {
    case .openaiChat, .simpleCompletion, .custom, .eliza: "openaiCompatStream"
    case .anthropicMessages: "anthropicStream"
    case .openaiResponses, .gemini, .ollamaChat: "aiStream"
    }
  }

  private static func opening(_ name: String, _ shapes: [RequestShape]) -> Native {
    let takesOptions = name == "aiStream"
    return raw(name, arity: takesOptions ? 4 : 3) { arguments, context in
      func refused(_ failure: RunFailure) -> NativeResult {
        let kind: StreamErrorKind =
          failure.code == AIErrorCode.budgetExhausted.rawValue
          ? AIValues.errorKind(failure) : .protocolError("[\(failure.code)] \(failure.message)")
        return .value(.err(StreamValue.of(kind)))
      }
      if let failure = exhaustion(context, name) { return refused(failure) }
      let instance = try ProgramInstance.of(context)
      var request = ChatRequest(
        messages: try AIValues.messages(arguments[2], context.names), model: try arguments.get(1, as: String.self))
      if takesOptions { try options(RecordReader(arguments[3], context), into: &request) }
      let named = try arguments.get(0, as: String.self)
      let provider: ProviderConfig
      let secrets: Secrets
      do throws(RunFailure) {
        provider = try instance.sessions.registry.provider(named)
        guard shapes.contains(provider.shape) else {
          throw RunFailure(
            .capabilityNotSupported,
            "provider \"\(provider.name)\" speaks \(provider.shape.rawValue): use `\(Self.opener(provider.shape))`")
        }
        secrets = try ChatPreflight.prepare(request, provider, instance.world.environment).secrets
      } catch {
        return refused(error)
      }
      // Whoever answers in its place may say its own key back.
      for name in provider.fallback {
        guard let (other, _) = try? instance.sessions.registry.resolve(name),
          let chat = try? ChatPreflight.prepare(request, other, instance.world.environment)
        else { continue }
        instance.streams.recorder?.hide(chat.secrets)
      }
      let suspension = context.suspend()
      let url = provider.shape == .eliza ? provider.name : provider.url(isStreaming: true)
      let opening = try instance.streams.connect(
        kind: name, url: url, secrets: secrets, for: context.fiber,
        dial: { answer in
          // Its events are recorded, as those of any connection.
          ProviderConnection.open(
            request, provider: provider, client: instance.client.over(instance.world),
            queueLimit: instance.options.streams.connectionQueue, answer)
        }
      ) { result in
        switch result {
        case .success(let conn):
          conn.provider = provider
          suspension.resume(.ok(.handle(conn)))
        case .failure(let kind): suspension.resume(.err(StreamValue.of(kind)))
        }
      }
      if let opening { suspension.onCancel { opening.cancel() } }
      return .suspended
    }.answeringExhaustion()
  }

  private static func options(_ fields: RecordReader, into request: inout ChatRequest) throws {
    request.temperature = try fields.float("temperature")
    request.maxTokens = try fields.int("max_tokens")
    if let system = try fields.string("system") { request.prepend(ChatMessage("system", system)) }
  }

  // MARK: Deltas

  private static var deltas: [Native] {
    [
      raw("parseDelta", arity: 2) { arguments, context in
        let instance = try ProgramInstance.of(context)
        guard let provider = try? instance.sessions.registry.provider(arguments.get(0, as: String.self)),
          case .variant(let tag, let fields) = arguments[1], tag == StreamValue.event["SSEData"],
          let type = fields[0].asString, let data = fields[1].asString,
          let delta = TokenDelta(provider, event: type, data: Array(data.utf8))
        else { return .value(.none) }
        return .value(.some(AIValues.delta(delta)))
      },
      raw("tokens", arity: 1) { arguments, context in
        let conn: StreamConn = try arguments.get(0)
        guard let provider = conn.provider else {
          throw Trap(
            "BadArgument", "`tokens` reads a model's answer, and this connection is something else",
            hint: "open it with openaiCompatStream, anthropicStream or aiStream")
        }
        let loop = try StreamTable.of(context).loop(of: conn)
        return .value(.handle(TokenStream(conn, provider, loop: loop)))
      },
    ]
  }
}

extension ProgramInstance {
  /// A call by the provider's name; one that can't be made ends like one that failed.
  func call(_ name: String, _ request: ChatRequest, sink: any RunEventSink) -> any ChatCall {
    do throws(RunFailure) {
      return client.start(request, provider: try sessions.registry.provider(name), sink: sink)
    } catch {
      return RefusedCall(error, sink: sink, loop: world.loop)
    }
  }
}
