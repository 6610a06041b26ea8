import Testing
import WeirCore
import WeirTesting

@testable import WeirRuntime

/// Agents as programs declare them: whom they ask, with which limits, and what they remember.
@Suite struct AgentTests {
  private func asking(_ agent: String, provider: String = Programs.provider, _ text: String = "hi") -> String {
    provider + "agent A {\n\(agent)\n}\n"
      + "func main() { match A.ask(\"\(text)\") { Ok(t) => println(t), Err(e) => println(\"${e.code}: ${e.message}\") } }\n"
  }

  static let refused: [(agent: String, environment: [String: String], code: String, says: String)] = [
    ("  model: \"nope\"", [:], "ProviderNotFound", "no provider \"nope\""),
    ("  system: \"x\"", [:], "ProviderNotFound", "names neither a provider nor a model"),
    ("  provider: model", [:], "AuthFailed", "env var KEY is unset (required for provider \"model\")"),
  ]

  @Test func whatCantBeAskedIsTheCallsErrorAndNotTheStarts() throws {
    for (agent, environment, code, says) in Self.refused {
      let bench = try Bench(asking(agent), environment: environment).run()
      #expect(bench.output.hasPrefix(code + ": "), "\(agent): \(bench.output)")
      #expect(bench.output.contains(says), "\(agent): \(bench.output)")
      #expect(bench.simulation.http.exchanges.isEmpty && bench.exits == [0], "\(agent)")
    }
  }

  @Test func theCommandLineNamesWhatTheProgramLeftOpen() throws {
    let open = asking("  system: \"s\"")
    let bench = try Bench(open, configure: { $0.provider = "model" }).run()
    #expect(bench.asked[0].text.contains(#""model":"m""#) && bench.asked[0].text.contains(#""content":"s""#))
    let both = try Bench(
      open,
      configure: {
        $0.provider = "model"
        $0.model = "other"
      }
    ).run()
    #expect(both.asked[0].text.contains(#""model":"other""#))
    let one = try Bench(open, configure: { $0.model = "model/third" }).run()
    #expect(one.asked[0].text.contains(#""model":"third""#))
    let named = try Bench(asking("  provider: model, model: \"mine\""), configure: { $0.model = "other" }).run()
    #expect(named.asked[0].text.contains(#""model":"mine""#))
    let offline = try Bench(open, configure: { $0.provider = "eliza" }).run()
    offline.simulation.loop.advance(by: .seconds(30))
    #expect(!offline.output.isEmpty && offline.exits == [0] && offline.simulation.http.exchanges.isEmpty)
  }

  static let bounds: [(fields: String, says: String?)] = [
    ("timeout: 1", nil), ("timeout: 86400", nil), ("timeout: 0", "timeout is 0 seconds"),
    ("timeout: 86401", "timeout is 86401 seconds"), ("memory: conversation(max_turns: 1)", nil),
    ("memory: conversation(max_turns: 0)", "from 1 to 10000"),
    ("memory: conversation(max_turns: 10001)", "from 1 to 10000"),
    ("memory: none()", nil),
  ]

  @Test func limitsHaveBounds() throws {
    for (fields, says) in Self.bounds {
      let bench = try Bench(asking("  provider: model\n  \(fields)")).run()
      #expect(bench.asked.count == (says == nil ? 1 : 0), "\(fields)")
      if let says {
        #expect(bench.exits == [1] && bench.errors.contains(says), "\(fields): \(bench.errors)")
      }
    }
  }

  @Test func anAnswerHasATimeout() throws {
    let bench = try Bench(asking("  provider: model\n  timeout: 3")).run()
    bench.simulation.loop.advance(by: .seconds(4))
    #expect(bench.output.hasPrefix("Timeout: "))
    #expect(bench.asked[0].isCancelled)
  }

  @Test func aSessionRemembersItsLastTurnsAndNoOther() throws {
    let bench = try Bench(
      Programs.provider + """
        agent A {
          provider: model
          memory: conversation(max_turns: 2)
        }
        @post("/chat") workflow Chat(m: string, s: string) -> stream { return A.stream(m, session: s) }
        """
    ).serve()
    var last: SimulatedHTTPExchange?
    for (number, session) in ["x", "x", "y", "x", "x"].enumerated() {
      bench.post("/chat", #"{"m":"q\#(number)","s":"\#(session)"}"#)
      last = bench.asked.last
      last?.answer("a\(number)")
      bench.settle()
    }
    let messages = try JSONValue.parse(last?.request.body ?? [])["messages"]?.array ?? []
    #expect(messages.map { $0["content"]?.string } == ["q1", "a1", "q3", "a3", "q4"])
  }

  @Test func aProviderThatMakesNoSenseStopsTheStart() throws {
    let bench = try Bench("provider odd {\n  endpoint: \"ftp://x\"\n}\nfunc main() { println(\"no\") }").run()
    #expect(bench.exits == [1] && bench.output.isEmpty && bench.errors.contains("endpoint"))
  }
}
