import WeirCore

/// One model call as a span of OpenTelemetry, with the names of its conventions for generative AI (`gen_ai.*`).
///
/// Holds what was measured and said; where spans go is a `SpanSink`'s business. Texts only if the sink asks for them.
/// Source: OpenTelemetry, "Semantic conventions for generative client AI spans".
package struct CallSpan: Sendable {
  package var traceID: String
  package var spanID: String
  package var provider: String
  package var server: String?
  package var model: String
  package var answeredModel: String?
  package var temperature: Double?
  package var maxTokens: Int?
  /// Milliseconds since 1970.
  package var startedAt: Int64
  package var took: Duration = .zero
  package var firstChunk: Duration?
  package var tries = 1
  package var usage: Usage?
  package var usd: Double?
  package var end = EndState.completed
  package var failure: RunFailure?
  /// JSON texts, where they were asked for.
  package var input: String?
  package var output: String?

  package var name: String { "chat \(model)" }

  /// As OTLP/HTTP has a span in JSON.
  package var json: JSONValue {
    let start = startedAt * 1_000_000
    var members: [JSONMember] = [
      JSONMember("traceId", .string(traceID)), JSONMember("spanId", .string(spanID)),
      JSONMember("name", .string(name)),
      JSONMember("kind", 3),  // a client
      JSONMember("startTimeUnixNano", .string("\(start)")),
      JSONMember("endTimeUnixNano", .string("\(start + took.nanoseconds)")),
      JSONMember("attributes", .array(attributes)),
    ]
    if let failure { members.append(JSONMember("status", ["code": 2, "message": .string(failure.message)])) }
    return .object(members)
  }

  private var attributes: [JSONValue] {
    var all: [JSONValue] = []
    func add(_ key: String, _ value: JSONValue) { all.append(["key": .string(key), "value": value]) }
    func text(_ key: String, _ value: String?) { if let value { add(key, ["stringValue": .string(value)]) } }
    func number(_ key: String, _ value: Int?) { if let value { add(key, ["intValue": .string("\(value)")]) } }
    func real(_ key: String, _ value: Double?) { if let value { add(key, ["doubleValue": .double(value)]) } }
    text("gen_ai.operation.name", "chat")
    text("gen_ai.provider.name", provider == "gemini" ? "gcp.gemini" : provider == "mistral" ? "mistral_ai" : provider)
    text("gen_ai.request.model", model)
    text("gen_ai.response.model", answeredModel)
    real("gen_ai.request.temperature", temperature)
    number("gen_ai.request.max_tokens", maxTokens)
    text("server.address", server)
    real("gen_ai.response.time_to_first_chunk", firstChunk.map { Double($0.nanoseconds) / 1e9 })
    number("gen_ai.usage.input_tokens", usage?.inputTokens)
    number("gen_ai.usage.output_tokens", usage?.outputTokens)
    if let cached = usage?.cachedInputTokens, cached > 0 { number("gen_ai.usage.cache_read.input_tokens", cached) }
    if usage?.estimated == true { add("weir.usage.estimated", ["boolValue": true]) }
    real("weir.cost.usd", usd)
    add(
      "gen_ai.response.finish_reasons",
      ["arrayValue": ["values": [["stringValue": .string(end == .completed ? "stop" : end.rawValue)]]]])
    text("weir.end_state", end.rawValue)
    if tries > 1 { number("weir.tries", tries) }
    text("error.type", failure?.code)
    number("http.response.status_code", failure?.status)
    text("gen_ai.input.messages", input)
    text("gen_ai.output.messages", output)
    return all
  }

  /// The document that collectors take: these spans of this program.
  package static func document(_ spans: [CallSpan], version: String) -> JSONValue {
    [
      "resourceSpans": [
        [
          "resource": ["attributes": [["key": "service.name", "value": ["stringValue": "weir"]]]],
          "scopeSpans": [
            ["scope": ["name": "weir", "version": .string(version)], "spans": .array(spans.map(\.json))]
          ],
        ]
      ]
    ]
  }
}

/// Takes the spans of calls that have ended.
package protocol SpanSink: AnyObject {
  /// What was asked and answered goes into them (`--trace-content`).
  var wantsContent: Bool { get }
  func ended(_ span: CallSpan)
}

/// Measures one call for a sink.
struct CallTrace {
  let sink: any SpanSink
  private let started: Instant
  private var span: CallSpan
  private var answer = ""

  init(_ request: ChatRequest, _ provider: ProviderConfig, _ sink: any SpanSink, _ world: World) {
    self.sink = sink
    started = world.loop.now
    func hex(_ words: Int) -> String {
      (0..<words).map { _ in
        let text = String(world.random.next(), radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
      }.joined()
    }
    span = CallSpan(
      traceID: hex(2), spanID: hex(1), provider: provider.name, model: request.model ?? provider.defaults.model ?? "",
      startedAt: world.loop.wallClock)
    span.server = (try? URLParts(provider.url(isStreaming: request.isStreaming)))?.host
    span.temperature = request.temperature ?? provider.defaults.temperature
    span.maxTokens = request.maxTokens ?? provider.defaults.maxTokens
    if sink.wantsContent {
      span.input =
        switch request.messages {
        case .json(let text): text
        case .typed(let messages): JSONValue.array(messages.map(\.json)).text
        }
    }
  }

  mutating func firstContent(_ now: Instant) { span.firstChunk = now - started }
  mutating func said(_ text: String) { if sink.wantsContent { answer += text } }

  mutating func ended(
    _ state: EndState, _ failure: RunFailure?, _ usage: Usage?, answeredBy model: String?, provider: ProviderConfig,
    tries: Int, now: Instant
  ) {
    span.end = state
    span.failure = failure
    span.usage = usage
    span.usd = usage.flatMap { provider.cost?.usd($0) }
    span.answeredModel = model
    span.tries = tries
    span.took = now - started
    if sink.wantsContent {
      span.output = JSONValue.array([["role": "assistant", "content": .string(answer)]]).text
    }
    sink.ended(span)
  }
}
