import Testing
import WeirCore

@testable import WeirAI

/// `parseDelta`: one event by itself.
struct TokenDeltaTests {
  @Test func events() {
    func parse(_ data: String, _ type: String = "message") -> TokenDelta? {
      TokenDelta(openAIProvider(), event: type, data: Array(data.utf8))
    }
    #expect(parse("[DONE]")?.done == true)
    let both = parse(
      "{\"choices\":[{\"delta\":{\"content\":\"a\",\"reasoning_content\":\"b\"},\"finish_reason\":\"length\"}]}")
    #expect(both?.text == "a" && both?.reasoning == "b" && both?.finish == "length" && both?.done == false)
    let tool = parse(
      "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"i\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}],\"usage\":{\"prompt_tokens\":1}}"
    )
    #expect(
      tool?.tool == TokenDelta.Tool(index: 0, id: "i", name: "f", arguments: "{") && tool?.usage?.inputTokens == 1)
    #expect(parse("{\"choices\":[]}") == parse("{}") && parse("{}")?.text == "")
    #expect(parse("{\"choices\":[") == nil && parse("") == nil && parse("nonsense") == nil)
    #expect(parse("{\"error\":{\"message\":\"m\",\"code\":429}}")?.failure?.code == "RateLimit")
  }
}
