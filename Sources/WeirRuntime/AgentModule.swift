import WeirAI
import WeirCore
import WeirLang

/// `std/agent`: what `provider NAME { … }` and `agent NAME { … }` mean. The checker turns each block into a call of a
/// function of this module, so a misspelt field is an ordinary type error.
enum AgentModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/agent",
      source: """
        // What `provider`, `agent` and `tool` blocks mean, and how an agent is asked.
        import std/stream (Stream)
        import std/ai/streaming (AIError, Usage)

        /// A model service that agents can use: an address, a key, a dialect.
        export extern type Provider
        /// A model with instructions and a memory.
        export extern type Agent
        /// What an agent remembers of a session.
        export extern type Memory
        /// A function that a model may ask for. Made by `tool NAME(…) { … }`.
        export extern type Tool

        /// The fields of a `provider` block. A block named like a built-in provider starts from that one.
        export type ProviderFields = {
          api_key?: string, api_key_env?: string, model?: string, endpoint?: string, temperature?: float,
          max_tokens?: int, shape?: string, headers?: Map[string, string], allow_http?: bool,
          fallback?: [string]
        }
        /// Made by `provider NAME { … }`.
        export extern func provider(name: string, fields: ProviderFields) -> Provider

        /// The fields of an `agent` block. `model` may name the provider as well: `"openai/gpt-4o"`.
        export type AgentFields = {
          provider?: Provider, model?: string, system?: string, tools?: [Tool], handoffs?: [Agent], memory?: Memory,
          temperature?: float, max_tokens?: int, max_steps?: int, timeout?: int, output?: string
        }
        /// Made by `agent NAME { … }`.
        export extern func agent(name: string, fields: AgentFields) -> Agent

        /// What a `tool` block says: `schema` is the JSON schema of its parameters.
        export type ToolFields = {description: string, schema: string}
        /// Made by `tool NAME(…) { … }`.
        export extern func tool(name: string, fields: ToolFields, handler: any) -> Tool
        extern func _tools(tools: [Tool]) -> [Tool]
        extern func _handoffs(agents: [Agent]) -> [Agent]
        extern func _output(schema: string) -> string

        /// The last `max_turns` turns of a session (a turn is a question and its answer).
        export extern func conversation(max_turns: int) -> Memory
        /// The conversation so far in at most `max_tokens` tokens of the model's own words.
        export extern func summary(max_tokens: int) -> Memory
        /// No memory: every question is the first one.
        export extern func none() -> Memory

        /// The answer as it is written. Without a session the conversation is a fresh one.
        export extern func stream(agent: Agent, text: string, session: string = "") -> Stream[string] ! {AI, Stream, Net}
        /// The whole answer, once it is there. Without a session the conversation is a fresh one.
        export extern func ask(agent: Agent, text: string, session: string = "") -> Result[string, AIError] ! {AI, Stream, Net}
        /// An answer, and what led to it.
        export type AgentReply = {
          reply: string, usage: Option[Usage], finish: string, tools: [string], handed_off_to: Option[string]
        }
        /// The whole answer, with what led to it.
        export extern func run(agent: Agent, text: string, session: string = "") -> Result[AgentReply, AIError] ! {AI, Stream, Net}
        """,
      natives: [
        raw("provider", arity: 2) { arguments, context in
          let name = try arguments.get(0, as: String.self)
          let fields = try RecordReader(arguments[1], context)
          var declared: [(name: String, value: ProviderDeclaration.Field)] = []
          for (field, value) in try fields.present() {
            let json = try value.jsonValue(context.names)
            switch (field, json) {
            case ("api_key_env", .string(let variable)): declared.append(("api_key", .environment(variable)))
            default: declared.append((field, .value(json)))
            }
          }
          let instance = try ProgramInstance.of(context)
          do throws(ConfigFailure) {
            try instance.sessions.registry.declare(ProviderDeclaration(name: name, fields: declared))
          } catch {
            throw Trap(error)
          }
          return .value(.handle(ProviderHandle(name: name)))
        },
        raw("agent", arity: 2) { arguments, context in
          let name = try arguments.get(0, as: String.self)
          let instance = try ProgramInstance.of(context)
          return .value(.handle(try AgentHandle(name: name, RecordReader(arguments[1], context), instance)))
        },
        raw("tool", arity: 3) { arguments, context in
          let fields = try RecordReader(arguments[1], context)
          return .value(
            .handle(
              ToolHandle(
                name: try arguments.get(0), description: try fields.string("description") ?? "",
                schema: try fields.string("schema") ?? "{}", handler: arguments[2])))
        },
        raw("conversation", arity: 1) { arguments, _ in
          let turns = try arguments.get(0, as: Int.self)
          guard (1...MemoryHandle.turnLimit).contains(turns) else {
            throw Trap("BadArgument", "conversation(max_turns: \(turns)): from 1 to \(MemoryHandle.turnLimit)")
          }
          return .value(.handle(MemoryHandle(.conversation(maxTurns: turns))))
        },
        raw("none", arity: 0) { _, _ in .value(.handle(MemoryHandle(.none))) },
        raw("stream", arity: 3) { arguments, context in
          let agent = try AgentHandle.of(arguments[0])
          let stream = AgentStream()
          stream.feed.call = try agent.start(
            arguments.get(1), session: arguments.get(2), sink: stream.feed, context)
          return .value(.handle(stream))
        },
        raw("ask", arity: 3) { arguments, context in
          let agent = try AgentHandle.of(arguments[0])
          return try AIModule.answer(context) { sink in
            try agent.start(arguments.get(1), session: arguments.get(2), sink: sink, context)
          }
        },
      ],
      records: [AIValues.error],
      absent: absent("summary", "run").merging([
        "_tools": "`tools` of an agent", "_handoffs": "`handoffs` of an agent", "_output": "`output` of an agent",
      ]) { first, _ in first }
    )
  }
}

/// What a model is told of a tool, and the function that runs it.
final class ToolHandle: Handle {
  let name: String
  let description: String
  let schema: String
  let handler: Value
  init(name: String, description: String, schema: String, handler: Value) {
    self.name = name
    self.description = description
    self.schema = schema
    self.handler = handler
    super.init(kind: "Tool")
  }
}

final class ProviderHandle: Handle {
  let name: String
  init(name: String) {
    self.name = name
    super.init(kind: "Provider")
  }
}

final class MemoryHandle: Handle {
  /// Turns that a conversation may remember: more than any model's context holds.
  static let turnLimit = 10_000
  let memory: Agent.Memory
  init(_ memory: Agent.Memory) {
    self.memory = memory
    super.init(kind: "Memory")
  }
}

/// An agent of the program. Which provider it uses is looked up at each call, so that an agent whose provider can't
/// be reached does not keep the program from starting.
final class AgentHandle: Handle {
  let agent: Agent

  init(name: String, _ fields: RecordReader, _ instance: ProgramInstance) throws {
    var agent = Agent(
      name: name, provider: (try fields.value("provider")?.asHandle as? ProviderHandle)?.name,
      model: try fields.string("model"), system: try fields.string("system"),
      temperature: try fields.float("temperature"), maxTokens: try fields.int("max_tokens"))
    if agent.provider == nil, agent.model == nil { agent.provider = instance.options.provider }
    if agent.model == nil { agent.model = instance.options.model }
    if let memory = try fields.value("memory")?.asHandle as? MemoryHandle { agent.memory = memory.memory }
    if let seconds = try fields.int("timeout") {
      guard (1...Self.timeoutLimit).contains(seconds) else {
        throw Trap("BadArgument", "agent \(name): timeout is \(seconds) seconds; from 1 to \(Self.timeoutLimit)")
      }
      agent.timeout = .seconds(seconds)
    }
    self.agent = agent
    super.init(kind: "Agent")
  }

  /// A day: longer than any model writes.
  static let timeoutLimit = 86_400

  static func of(_ value: Value) throws -> AgentHandle {
    guard let agent = value.asHandle as? AgentHandle else { throw Trap.broken("not an agent") }
    return agent
  }

  /// Never throws for what a provider does: that comes as events.
  func start(
    _ text: String, session: String, sink: any RunEventSink, _ context: NativeContext
  ) throws -> any ChatCall {
    // Only of a workflow's run: what the program itself does has no stream of what was said.
    let run = (context.fiber.attachment as? RunFrame)?.run.id
    let instance = try ProgramInstance.of(context)
    let at = session.isEmpty ? nil : instance.run(of: context.fiber).place(ofCall: agent.name)
    return instance.sessions.start(agent, text: text, session: session, run: run, at: at, sink: sink)
  }
}
