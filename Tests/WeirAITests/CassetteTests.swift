import Foundation
import Testing
import WeirCore
import WeirFlow
import WeirTesting

@testable import WeirAI

/// Answers of model servers as `weir chat --record` wrote them down (scripts/cassettes makes them): what each means, that no cut
/// of its bytes means anything else, and how near the guesses at its tokens are.
struct CassetteTests {
  struct Cassette: Sendable, CustomTestStringConvertible {
    var name: String
    var provider: ProviderConfig
    var recording: Recording
    var facts: [Recording.Timed] { recording.sources[0].exchange }
    var pieces: [[UInt8]] { facts.compactMap { if case .body(let bytes) = $0.fact { bytes } else { nil } } }
    var status: Int { if case .head(let status, _)? = facts.first?.fact { status } else { 0 } }
    var testDescription: String { name }
  }

  static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Cassettes")
  static let all: [Cassette] =
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted().compactMap { file in
      guard file.hasSuffix(".jsonl"), let data = try? Data(contentsOf: folder.appendingPathComponent(file)),
        let shape = RequestShape(rawValue: String(file.prefix { $0 != "." })),
        let recording = try? Recording(Array(data)), recording.sources.count == 1
      else { return nil }
      var provider = FaultWire(shape: shape).provider
      let request = recording.sources[0].name
      provider.endpoint = String(request.dropFirst("POST ".count))
      provider.allowHTTP = true
      return Cassette(name: String(file.dropLast(6)), provider: provider, recording: recording)
    }

  static func seed() -> UInt64 { ProcessInfo.processInfo.environment["WEIR_SEED"].flatMap { UInt64($0) } ?? 1 }

  /// The whole call, over the transport that plays recordings.
  static func play(_ cassette: Cassette, speed: Double? = nil) -> EventRecorder {
    let simulation = SimulatedWorld(seed: 1, faults: .calm)
    var world = simulation.world
    let replay = Replay(cassette.recording, loop: simulation.loop, speed: speed)
    world.http = ReplayedTransport(replay, loop: simulation.loop)
    let recorder = EventRecorder()
    recorder.onEvent = { if case .end = $0 { recorder.endedAfter = simulation.loop.elapsed } }
    ChatClient(world: world).start(request(), provider: cassette.provider, sink: recorder)
    simulation.loop.run()
    return recorder
  }

  static func shown(_ recorder: EventRecorder) -> String {
    var reasoning = ""
    var tools: [(id: String, name: String, arguments: String)] = []
    for event in recorder.events {
      switch event {
      case .reasoning(let more): reasoning += more
      case .toolDelta(let id, let name, let arguments):
        if tools.last?.id == id {
          tools[tools.count - 1].arguments += arguments
        } else {
          tools.append((id, name, arguments))
        }
      default: break
      }
    }
    var parts: [String] = []
    if !reasoning.isEmpty { parts.append("thought \(JSONValue.string(reasoning).text)") }
    let text = recorder.text
    if !text.isEmpty {
      parts.append("said \(JSONValue.string(String(text.prefix(60))).text) (\(text.utf8.count) bytes)")
    }
    for tool in tools { parts.append("called \(tool.name) with \(tool.arguments)") }
    if let usage = recorder.usage {
      let cached = usage.cachedInputTokens > 0 ? " (\(usage.cachedInputTokens) cached)" : ""
      parts.append("\(usage.estimated ? "about " : "")\(usage.inputTokens)\(cached) → \(usage.outputTokens) tokens")
    }
    parts.append(recorder.end?.rawValue ?? "no end")
    if let failure = recorder.failure { parts.append("\(failure.code): \(failure.message)") }
    return parts.joined(separator: "; ")
  }

  @Test func whatEachMeans() throws {
    #expect(Set(Self.all.map(\.provider.shape)) == Set(RequestShape.configurable))
    #expect(Self.all.count >= 50)
    let said = Self.all.map { "\($0.name): \(Self.shown(Self.play($0)))\n" }.joined()
    let file = Self.folder.appendingPathComponent("meaning.txt")
    if ProcessInfo.processInfo.environment["WEIR_UPDATE"] != nil {
      try said.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == said, "WEIR_UPDATE=1 swift test --filter CassetteTests")
  }

  /// As recorded, whole, byte by byte, cut in two at 200 random bytes of each (over all of them more than 10,000), and cut into
  /// pieces at random, `WEIR_ROUNDS` times.
  @Test(arguments: all) func anyCutMeansTheSame(_ cassette: Cassette) throws {
    guard cassette.status == 200 else { return }
    let bytes = Array(cassette.pieces.joined())
    let rounds = ProcessInfo.processInfo.environment["WEIR_ROUNDS"].flatMap { Int($0) } ?? 8
    let seed = Self.seed()
    let events = try everyCut(bytes, randomCuts: rounds, seed: seed, everyPlaceLimit: 200) { pieces in
      DeltaDecoderTests.decode(pieces, cassette.provider)
    }
    #expect(events == DeltaDecoderTests.decode(cassette.pieces, cassette.provider), "\(cassette.name)")
    // Broken off anywhere: the beginning of the same events, and an end that is no success unless its marker was there.
    let random = SeededRandom(seed: seed)
    for _ in 0..<rounds {
      let length = random.int(0...bytes.count)
      let begun = DeltaDecoderTests.decode([Array(bytes[..<length])], cassette.provider, cut: "reset")
      let text = begun.reduce(into: "") { if case .text(let more) = $1 { $0 += more } }
      let whole = events.reduce(into: "") { if case .text(let more) = $1 { $0 += more } }
      #expect(whole.hasPrefix(text), "\(cassette.name) at \(length), WEIR_SEED=\(seed)")
      #expect(begun.last == .end(.truncated) || begun.last == events.last, "\(cassette.name) at \(length)")
    }
  }

  @Test func timesComeBack() throws {
    for cassette in Self.all.filter({ $0.status == 200 }).prefix(8) {
      let whole = Self.play(cassette, speed: 1)
      let last = try #require(cassette.facts.last)
      #expect(whole.events == Self.play(cassette).events)
      #expect(whole.endedAfter <= .microseconds(last.at) + .milliseconds(100), "\(cassette.name)")
    }
  }

  /// OpenAI's tokenizer counted these. Chinese is a matter of what it is about: of that more has to be known.
  @Test func guessesAreNear() {
    for (cassette, answer, said) in Self.counted(by: "openai_chat.litellm-") {
      let limit = cassette.name.contains("chinese") ? 0.6 : 0.1
      #expect(abs(Double(answer.tokens) / Double(said) - 1) <= limit, "\(cassette.name): \(answer.tokens) of \(said)")
    }
  }

  /// A provider that has answered alike before, whatever its vocabulary.
  @Test(arguments: ["litellm", "llamacpp"]) func guessesAreNearOnceThereWereAnswers(_ peer: String) {
    for (cassette, answer, said) in Self.counted(by: peer) {
      let ratios = TokenRatios()
      for _ in 0..<6 { ratios.learn(answer, said: said) }
      let guess = ratios.tokens(answer)
      #expect(abs(Double(guess) / Double(said) - 1) <= 0.1, "\(cassette.name): \(guess) of \(said)")
    }
  }

  /// What LiteLLM says in Anthropic's dialect is the same for any text, and nothing to go by.
  private static func counted(by name: String) -> [(Cassette, TokenCounter, said: Int)] {
    let found = all.filter { $0.name.contains(name) && !$0.name.hasPrefix("anthropic_messages.litellm") }.map {
      cassette in
      let recorder = play(cassette)
      var answer = TokenCounter()
      answer.add(recorder.text)
      return (cassette, answer, recorder.usage?.estimated == false ? recorder.usage?.outputTokens ?? 0 : 0)
    }
    #expect(found.count >= 4 && found.allSatisfy { $0.2 > 0 })
    return found
  }
}
