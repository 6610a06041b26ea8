import WeirCore

/// A dialect's paths compiled for scanning: made once where it can be, because every answer needs it.
struct DeltaPlan: Sendable {
  let paths: DeltaPaths
  let slots: Slots
  /// Never scanned with itself: each decoder has its own copy.
  let scanner: JSONScanner

  /// Places in the scanner's list of paths.
  struct Slots {
    var text = 0
    var reasoning: Range<Int> = 0..<0
    var finish: Int?
    var usage: Range<Int> = 0..<0
    var error: Range<Int> = 0..<0
    var whole: Int?
    var model = 0
    // openai_chat alone
    var delta = -1
    var message = -1
    var toolCalls = -1
    var functionCall = -1
    var refusal = -1
    var choiceIndex = -1
  }

  /// Servers that speak plain OpenAI: nearly all.
  private static let openAIChat: DeltaPlan = {
    var config = ProviderConfig(name: "", endpoint: "", shape: .openaiChat)
    config.streaming = plainStreaming
    return DeltaPlan(DeltaPaths(config))
  }()

  private static let plainStreaming: ProviderStreaming = {
    var streaming = ProviderStreaming()
    streaming.doneSentinel = "[DONE]"
    return streaming
  }()

  static func of(_ config: ProviderConfig) -> DeltaPlan {
    var streaming = config.streaming
    streaming.endpoint = nil
    let isPlain =
      config.shape == .openaiChat && streaming == plainStreaming && config.responsePath == nil
      && config.errorPath == nil
    return isPlain ? openAIChat : DeltaPlan(DeltaPaths(config))
  }

  init(_ paths: DeltaPaths) {
    self.paths = paths
    var list: [JSONPath] = []
    func add(_ path: JSONPath) -> Int {
      if let known = list.firstIndex(of: path) { return known }
      list.append(path)
      return list.count - 1
    }
    func addAll(_ paths: [JSONPath]) -> Range<Int> {
      let start = list.count
      list += paths
      return start..<list.count
    }
    var slots = Slots()
    slots.reasoning = addAll(paths.reasoning)
    slots.usage = addAll(paths.usage)
    slots.error = addAll(paths.error)
    slots.text = add(paths.text)
    slots.finish = paths.finish.map(add)
    slots.whole = paths.whole.map(add)
    slots.model = add(JSONPath([.name("model")]))
    if paths.isOpenAIChat {
      slots.delta = add(JSONPath(DeltaPaths.delta))
      slots.message = add(JSONPath(DeltaPaths.message))
      slots.toolCalls = add(JSONPath(DeltaPaths.delta + [.name("tool_calls")]))
      slots.functionCall = add(JSONPath(DeltaPaths.delta + [.name("function_call")]))
      slots.refusal = add(JSONPath(DeltaPaths.delta + [.name("refusal")]))
      slots.choiceIndex = add(JSONPath(DeltaPaths.choice + [.name("index")]))
    }
    self.slots = slots
    scanner = JSONScanner(list)
  }
}
