import Testing
import WeirCore
import WeirTesting

@testable import WeirAI

/// The offline model: deterministic, honest about itself, and a call like any other.
struct ElizaTests {
  func reply(_ turns: String...) -> String { Eliza.reply(to: turns.map { ChatMessage("user", $0) }) }

  @Test func reflections() {
    #expect(Eliza.reflect(["i", "am", "afraid", "of", "my", "boss"]) == "you are afraid of your boss")
    let rows: [(String, String)] = [
      ("I am sad about my cat.", "What is it like to be sad about your cat?"),
      ("Well, I'm tired!", "What is it like to be tired?"), ("I need a holiday", "Why a holiday, of all things?"),
      ("You are so clever", "Would it please you if I were so clever?"), ("xyzzy", "Go on."),
      ("My dog likes your dog", "Why do you say your dog likes my dog?"), ("", "Go on."),
      ("I am", "You are? Tell me more."),
    ]
    for (said, answer) in rows { #expect(reply("hello", said) == answer) }
  }

  @Test func itSaysWhatItIs() {
    #expect(reply("hello").hasPrefix(ElizaScript.introduction))
    #expect(reply("Who are you?").contains("I'm eliza"))
    #expect(reply("a", "Are you an AI?").contains("small program"))
    #expect(Eliza.reply(to: [ChatMessage("system", "x")]) == ElizaScript.introduction)
  }

  @Test func sameMessagesSameReplyAndNoHoleIsLeft() {
    let random = SeededRandom(seed: 3)
    let words = ElizaScript.rules.flatMap(\.keys).flatMap { $0 } + ["*", "my", "you", "", "\u{0}", "🙂", ".", "?"]
    for _ in 0..<500 {
      let said = (0..<random.int(0...8)).map { _ in random.pick(words) }.joined(separator: " ")
      let turns = (0..<random.int(1...6)).map { _ in ChatMessage("user", said) }
      let answer = Eliza.reply(to: turns)
      #expect(answer == Eliza.reply(to: turns) && !answer.isEmpty)
      if !said.contains("*") { #expect(!answer.contains("*")) }
      #expect(Eliza.words(answer).joined() == answer)
    }
  }

  @Test func wordByWordInItsTime() throws {
    let simulation = SimulatedWorld(seed: 1)
    let registry = ProviderRegistry(environment: simulation.environment)
    let recorder = EventRecorder()
    recorder.onEvent = { if case .end = $0 { recorder.endedAfter = simulation.loop.elapsed } }
    let chat = ChatRequest(messages: .json("[{\"role\":\"user\",\"content\":\"hello there\"}]"))
    ChatClient(world: simulation.world).start(chat, provider: try registry.provider("eliza"), sink: recorder)
    simulation.loop.run()
    let text = Eliza.reply(to: [ChatMessage("user", "hello there")])
    let count = Eliza.words(text).count
    #expect(recorder.events.first == .start(model: "eliza") && recorder.text == text && recorder.end == .completed)
    #expect(recorder.usage == Usage(inputTokens: 2, outputTokens: count))
    #expect(recorder.events.count == count + 3 && recorder.endedAfter == .milliseconds(30) * count)
    #expect(simulation.http.exchanges.isEmpty)
  }

  @Test func limitsStopsAndBackpressure() throws {
    let simulation = SimulatedWorld(seed: 1, environment: ["WEIR_ELIZA_DELAY": "1s"])
    let provider = try ProviderRegistry(environment: simulation.environment).provider("eliza")
    let client = ChatClient(world: simulation.world)
    let short = EventRecorder()
    client.start(
      ChatRequest(messages: .typed([ChatMessage("user", "hi")]), maxTokens: 2), provider: provider, sink: short)
    simulation.loop.run()
    #expect(short.end == .length && short.text == "I'm eliza,")

    let stopped = EventRecorder()
    let call = client.start(request(), provider: provider, sink: stopped)
    simulation.loop.advance(by: .milliseconds(1_500))
    call.isReading = false
    simulation.loop.advance(by: .seconds(60))
    #expect(stopped.text == "I'm")
    call.isReading = true
    simulation.loop.advance(by: .seconds(1))
    call.stop()
    simulation.loop.run()
    #expect(stopped.text == "I'm eliza," && stopped.end == .aborted && stopped.endCount == 1)
    #expect(stopped.usage == Usage(inputTokens: 1, outputTokens: 2) && simulation.loop.pendingTimerCount == 0)

    let early = EventRecorder()
    client.start(request(), provider: provider, sink: early).stop()
    simulation.loop.run()
    #expect(early.end == .aborted && early.text.isEmpty && early.endCount == 1)
  }
}
