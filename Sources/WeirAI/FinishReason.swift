import WeirCore

/// What a provider's reason to stop means. The words of all dialects are one vocabulary: none of them means two things.
enum FinishReason {
  /// Nil: a word that is not known, which is the model's own way to say that it was done.
  static func state(_ reason: String) -> EndState? {
    switch reason.lowercased() {
    // `pause_turn` (Anthropic): the service interrupts a long turn, which can be continued.
    case "length", "max_tokens", "model_length", "max_output_tokens", "model_context_window_exceeded", "pause_turn":
      .length
    case "content_filter", "filtered", "safety", "refusal", "prohibited_content", "recitation", "language", "blocklist",
      "spii", "image_safety", "image_prohibited_content", "image_recitation", "content_filtered",
      "guardrail_intervened",
      "other":
      .filtered
    case "tool_calls", "tool_use", "function_call": .toolCalls
    case "error", "insufficient_system_resource", "malformed_function_call", "unexpected_tool_call",
      "too_many_tool_calls", "malformed_response":
      .error
    case "abort", "aborted", "cancelled": .truncated
    default: nil
    }
  }

  /// The model wrote something that is no call of a tool: asking again is the only remedy.
  static func isModelMistake(_ reason: String) -> Bool {
    switch reason.lowercased() {
    case "malformed_function_call", "unexpected_tool_call", "too_many_tool_calls", "malformed_response": true
    default: false
    }
  }
}
