import WeirCore

/// An answer that has to be JSON: how it is asked for, and whether it is (`callJson`, `callJsonSimple`).
///
/// A service that can be held to a schema is; one that can only be asked for JSON, or not even that, is told in words. What
/// comes is checked here in every case.
package struct StructuredAnswer {
  private let schema: JSONSchema?

  /// `schema` nil: any JSON. What is wrong with the schema itself is said before anything is sent.
  package init(schema text: String?) throws(RunFailure) {
    guard let text else {
      schema = nil
      self.answer = .json
      return
    }
    do {
      let value = try JSONValue.parse(text)
      schema = try JSONSchema(value)
      self.answer = .schema(value)
    } catch let failure as JSONSchemaFailure {
      throw RunFailure(.schemaValidation, "the schema: \(failure.message)")
    } catch {
      throw RunFailure(.schemaValidation, "the schema is \(error)")
    }
  }

  package let answer: ChatRequest.Answer

  /// Instructions for a provider that can't be held to it by other means.
  package func instructions(for provider: ProviderConfig) -> String? {
    let can = provider.capabilities
    // Some services refuse their JSON mode unless the messages mention JSON.
    let words = "Answer with JSON alone: no words around it, no code fence."
    switch answer {
    case .text: return nil
    case .json: return words
    case .schema(let schema):
      let isHeld: Bool =
        switch provider.shape {
        case .openaiChat, .openaiResponses, .gemini, .ollamaChat: can.structuredOutputs
        default: false
        }
      return isHeld ? nil : "\(words) It must be valid against this JSON schema: \(schema.text)"
    }
  }

  /// The JSON of an answer, compact.
  package func checked(_ text: String) throws(RunFailure) -> String {
    let value: JSONValue
    do throws(JSONFailure) {
      value = try JSONValue.parse(Self.unfenced(text))
    } catch {
      throw RunFailure(
        .schemaValidation,
        "the answer is \(error.message): " + ProviderError.bounded(text, ChatAccumulator.quotedByteLimit))
    }
    if let mismatch = schema?.mismatch(value) {
      throw RunFailure(
        .schemaValidation,
        "the answer is not as the schema says: \(mismatch.message): "
          + ProviderError.bounded(text, ChatAccumulator.quotedByteLimit))
    }
    return value.text
  }

  /// Models like to put JSON between ``` lines, whatever they were told.
  private static func unfenced(_ text: String) -> String {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    while lines.first?.allSatisfy(\.isWhitespace) == true { lines.removeFirst() }
    while lines.last?.allSatisfy(\.isWhitespace) == true { lines.removeLast() }
    guard lines.count > 2, lines[0].hasPrefix("```"), lines.last == "```" else { return text }
    return lines[1..<(lines.count - 1)].joined(separator: "\n")
  }
}
