import WeirCore
import WeirWire

/// Reads `gemini`: whole `GenerateContentResponse`s one after the other, as events or as items of one JSON array.
/// Source: Google's API reference, "Method: models.streamGenerateContent".
///
/// Nothing marks the end but a `finishReason`; usage may follow it, so the end of the body is the end. Function calls come
/// whole, often without an ID.
final class GeminiDecoder: FramedDecoder {
  private enum Slot: Int, CaseIterable {
    case parts, finish, usage, model, blocked, index, error, text, reasoning
  }

  private static let candidate: [JSONPath.Step] = [.name("candidates"), .index(0)]
  private static func path(_ slot: Slot) -> JSONPath {
    switch slot {
    case .parts: JSONPath(candidate + [.name("content"), .name("parts")])
    case .finish: JSONPath(candidate + [.name("finishReason")])
    case .usage: JSONPath([.name("usageMetadata")])
    case .model: JSONPath([.name("modelVersion")])
    case .blocked: JSONPath([.name("promptFeedback"), .name("blockReason")])
    case .index: JSONPath(candidate + [.name("index")])
    case .error: JSONPath([.name("error")])
    case .text, .reasoning: nowhere
    }
  }
  private static let nowhere = JSONPath([.name("")])
  private static let plain = JSONScanner(Slot.allCases.map(path))

  private var scanner = GeminiDecoder.plain
  /// The configuration says where the text is.
  private let hasOwnPath: Bool

  init(_ config: ProviderConfig, model: String) {
    let streaming = config.streaming
    hasOwnPath = streaming.deltaPath != nil
    if streaming.deltaPath != nil || streaming.reasoningPath != nil {
      scanner = JSONScanner(
        Slot.allCases.map { slot in
          switch slot {
          case .text: streaming.deltaPath ?? Self.nowhere
          case .reasoning: streaming.reasoningPath ?? Self.nowhere
          default: Self.path(slot)
          }
        })
    }
    super.init(config.streaming.format, model: model, provider: config.name)
  }

  override func receive(event type: String, data: Span<UInt8>, into events: inout [RunEvent]) {
    guard !isEnded, scan(&scanner, type, data, into: &events) else { return }
    if Self.isError(scanner[Slot.error.rawValue]) { return fail(data, into: &events) }
    start(string(.model, data), into: &events)
    if let said = scanner.value(Slot.usage.rawValue, in: data) { count(said) }
    if let index = scanner.int(Slot.index.rawValue, in: data), index != 0 { return }
    reasoning(string(.reasoning, data), into: &events)
    if hasOwnPath { text(string(.text, data), into: &events) }
    for part in scanner.value(Slot.parts.rawValue, in: data)?.array ?? [] {
      if let call = part["functionCall"] {
        var members = [JSONMember("arguments", call["args"] ?? .object([]))]
        for name in ["id", "name"] { if let value = call[name] { members.append(JSONMember(name, value)) } }
        tool(.object(members), into: &events)
      } else if part["thought"]?.bool == true {
        reasoning(part["text"]?.string, into: &events)
      } else if !hasOwnPath {
        text(part["text"]?.string, into: &events)
      }
    }
    if let reason = string(.finish, data), !reason.isEmpty, reason != "FINISH_REASON_UNSPECIFIED" { finished(reason) }
    // The question was refused: there is no candidate, and nothing will follow.
    if string(.blocked, data) != nil { finished("safety") }
  }

  /// Thoughts are billed as output and counted beside it.
  private func count(_ said: JSONValue) {
    func number(_ name: String) -> Int { Usage.bounded(said[name]?.int ?? 0) }
    guard said["promptTokenCount"] != nil || said["candidatesTokenCount"] != nil else { return }
    usage = Usage(
      inputTokens: number("promptTokenCount") + number("toolUsePromptTokenCount"),
      outputTokens: number("candidatesTokenCount") + number("thoughtsTokenCount"),
      cachedInputTokens: number("cachedContentTokenCount"))
  }

  private func string(_ slot: Slot, _ data: Span<UInt8>) -> String? { scanner.string(slot.rawValue, in: data) }
}
