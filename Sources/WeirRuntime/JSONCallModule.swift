import WeirAI
import WeirCore
import WeirLang

/// `std/ai`: whole answers of the program's own model (`--ai`, `--model`), as text or as JSON that is checked.
enum JSONCallModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/ai",
      source: """
        // Whole answers of a model, as text or as JSON. Which model: `--ai` and `--model`.
        import std/ai/streaming (AIError)

        /// The answer to a question.
        export extern func call(input: string) -> Result[string, AIError] ! {AI, Net}
        /// An answer that is JSON and valid against this JSON schema. One that is not is an error (`SchemaValidation`).
        export extern func callJson(input: string, schema: string) -> Result[string, AIError] ! {AI, Net}
        /// An answer that is JSON, whatever kind of.
        export extern func callJsonSimple(input: string) -> Result[string, AIError] ! {AI, Net}
        /// An answer of this provider and model that is JSON and valid against the schema; `""`: any JSON.
        export extern func callJsonWith[messages](
          provider: string, model: string, messages: messages, schema: string
        ) -> Result[string, AIError] ! {AI, Net}
        """,
      natives: [
        asking("call", arity: 1) { _ in nil },
        asking("callJson", arity: 2) { arguments in .some(try arguments.get(1, as: String.self)) },
        asking("callJsonSimple", arity: 1) { _ in .some(nil) },
        raw("callJsonWith", arity: 4) { arguments, context in
          if let failure = AIModule.exhaustion(context, "callJsonWith") { return .value(.err(AIValues.error(failure))) }
          let schema = try arguments.get(3, as: String.self)
          let request = ChatRequest(
            messages: try AIValues.messages(arguments[2], context.names), model: try arguments.get(1, as: String.self))
          return try ask(context, arguments.get(0, as: String.self), request, .some(schema.isEmpty ? nil : schema))
        }.answeringExhaustion(),
      ])
  }

  /// `wanted`: nil for text, a schema or nil for JSON.
  private static func asking(
    _ name: String, arity: Int, _ wanted: @escaping (Arguments) throws -> String??
  ) -> Native {
    raw(name, arity: arity) { arguments, context in
      if let failure = AIModule.exhaustion(context, name) { return .value(.err(AIValues.error(failure))) }
      let request = ChatRequest(messages: .typed([ChatMessage("user", try arguments.get(0))]))
      return try ask(context, nil, request, wanted(arguments))
    }.answeringExhaustion()
  }

  private static func ask(
    _ context: NativeContext, _ name: String?, _ request: ChatRequest, _ wanted: String??
  ) throws -> NativeResult {
    let instance = try ProgramInstance.of(context)
    var request = request
    request.isStreaming = false
    let provider: ProviderConfig
    var structured: StructuredAnswer?
    do throws(RunFailure) {
      if let name {
        provider = try instance.sessions.registry.provider(name)
      } else {
        let model: String?
        (provider, model) = try instance.ownModel()
        request.model = model
      }
      if let schema = wanted {
        let asked = try StructuredAnswer(schema: schema)
        structured = asked
        request.answer = asked.answer
        if let words = asked.instructions(for: provider) { request.prepend(ChatMessage("system", words)) }
      }
    } catch {
      return .value(.err(AIValues.error(error)))
    }
    let shape: (ChatAccumulator) -> Result<Value, RunFailure> = { [structured] outcome in
      outcome.result.flatMap { text in
        guard let structured else { return .success(.string(text)) }
        do throws(RunFailure) {
          return .success(.string(try structured.checked(text)))
        } catch {
          return .failure(error)
        }
      }
    }
    return try AIModule.answer(context, shape) { instance.client.start(request, provider: provider, sink: $0) }
  }
}

extension ProgramInstance {
  /// What `--ai` and `--model` name, both or either; a model may have its provider in front.
  func ownModel() throws(RunFailure) -> (provider: ProviderConfig, model: String?) {
    let registry = sessions.registry
    guard let name = options.provider else {
      guard let model = options.model else {
        throw RunFailure(
          .providerNotFound, "no model was chosen", hint: "weir run --ai PROVIDER --model MODEL, or --ai eliza")
      }
      return try registry.resolve(model)
    }
    let provider = try registry.provider(name)
    let model = options.model.map { $0.hasPrefix(name + "/") ? String($0.dropFirst(name.count + 1)) : $0 }
    return (provider, model)
  }
}
