import Testing
import WeirAI
import WeirCore
import WeirLang
import WeirServe
import WeirStore
import WeirTesting

@testable import WeirRuntime

/// What the tests of this room stand on: a program as text, checked, emitted and run in a simulated world, with a model
/// server that the test plays and clients that speak HTTP over the simulated network.
final class Bench {
  static var library: Library { Library.language + RuntimeLibrary.modules }
  static let model = "https://model.test/"

  let simulation: SimulatedWorld
  let store: any StreamStore
  /// What the model was asked, in order; the test answers.
  private(set) var asked: [SimulatedHTTPExchange] = []
  private(set) var instance: ProgramInstance!
  private(set) var exits: [Int] = []

  init(
    _ text: String, library: Library = Bench.library, seed: UInt64 = 1, faults: SimulatedFaults = .calm,
    environment: [String: String] = ["KEY": "key-12345678"],
    store: (SimulatedLoop) -> any StreamStore = { MemoryStreamStore(loop: $0) }, in world: SimulatedWorld? = nil,
    configure: (inout ProgramInstance.Options) -> Void = { _ in }
  ) throws {
    simulation = world ?? SimulatedWorld(seed: seed, faults: faults, environment: environment)
    self.store = store(simulation.loop)
    let checked = Self.check(text, library: library)
    guard let core = checked.program else {
      throw NotAProgram(description: DiagnosticPrinter(checked.sources, color: false).text(checked.diagnostics))
    }
    var options = ProgramInstance.Options()
    options.server.port = 8080
    configure(&options)
    let console = simulation.console
    instance = ProgramInstance(
      program: try Emitter.emit(core, library: library), world: simulation.world, store: self.store,
      providers: ProviderRegistry(environment: simulation.environment), options: options
    ) { trap in console.write("\(trap.code): \(trap.message)\n", to: .error) }
    instance.onExit = { [unowned self] in exits.append($0) }
    simulation.http.serve(Self.model) { [unowned self] in asked.append($0) }
  }

  static func check(
    _ text: String, name: String = "test.weir", entry: String = "main", files: [String: String] = [:],
    library: Library = library
  ) -> CheckResult {
    Checker.check(name: name, bytes: Array(text.utf8), entry: entry, library: library) { path in
      files[path].map { Array($0.utf8) }
    }
  }

  /// Lets the program go, so that a test can ask what is left of it.
  func drop() { instance = nil }

  @discardableResult
  func serve() -> Self {
    instance.serve()
    settle()
    return self
  }

  @discardableResult
  func run(_ arguments: Value?...) -> Self {
    instance.run(entryArguments: arguments)
    settle()
    return self
  }

  /// Long enough for any number of calm round trips, far shorter than any limit of the product.
  func settle() { simulation.loop.advance(by: .milliseconds(200)) }

  var output: String { simulation.console.output }
  var errors: String { simulation.console.error }

  // MARK: Requests

  @discardableResult
  func ask(
    _ method: String, _ target: String, _ body: String? = nil, headers: String = "", port: Int = 8080
  ) -> TestClient {
    let client = TestClient(simulation.network, port: port)
    client.send(method, target, body, headers: headers)
    settle()
    return client
  }

  @discardableResult
  func post(_ target: String, _ body: String, headers: String = "") -> TestClient {
    ask("POST", target, body, headers: headers)
  }

  // MARK: Runs

  /// The runs that the store knows, by name, in no particular order.
  var runs: [StreamStatus] {
    var found: [StreamStatus] = []
    store.list(prefix: "runs/", after: nil, limit: 1000) { found = (try? $0.get()) ?? [] }
    return found
  }

  func run(_ client: TestClient) throws -> StreamStatus {
    let id = try #require(client["Stream-Id"], "\(client.text)")
    return try #require(runs.first { $0.name.path == id })
  }

  func events(_ run: StreamStatus) -> [RunEvent] {
    var events: [RunEvent] = []
    store.read(run.name, from: .start, byteLimit: 1 << 30) { batch in
      for item in (try? batch.get().items) ?? [] {
        if let event = try? RunEventCodec.decode(item.bytes) { events.append(event) }
      }
    }
    return events
  }

  func events(_ client: TestClient) throws -> [RunEvent] { events(try run(client)) }

  func stop(_ client: TestClient) throws {
    let id = try #require(client["Run-Id"])
    let answer = post("/_weir/runs/\(id)/stop", "{}")
    #expect((200..<300).contains(answer.status ?? 0), "\(answer.text)")
  }

  /// Nothing of any run is left: what a test ends with.
  func expectQuiet(_ comment: String = "", sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(instance.runs.count == 0, "\(comment)", sourceLocation: sourceLocation)
    #expect(simulation.http.openExchangeCount == 0, "\(comment)", sourceLocation: sourceLocation)
  }
}

/// The test's own mistake.
struct NotAProgram: Error, CustomStringConvertible {
  var description: String
}

extension [RunEvent] {
  var text: String { reduce(into: "") { if case .text(let more) = $1 { $0 += more } } }
  var ends: [EndState] { compactMap { if case .end(let state) = $0 { state } else { nil } } }
  var failure: RunFailure? {
    for case .error(let failure) in self { return failure }
    return nil
  }
}

/// One chunk of an `openai_chat` stream.
func delta(_ text: String, finish: String? = nil) -> String {
  let reason = finish.map { "\"\($0)\"" } ?? "null"
  return
    "data: {\"model\":\"m-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\(JSONValue.string(text).text)},\"finish_reason\":\(reason)}]}\n\n"
}

let done = "data: [DONE]\n\n"

extension SimulatedHTTPExchange {
  /// The whole answer, word by word.
  func answer(_ words: String..., finish: String? = "stop") {
    head(200, [("content-type", "text/event-stream")])
    for word in words { body(delta(word), after: .milliseconds(1)) }
    if let finish { body(delta("", finish: finish) + done) }
    self.finish()
  }
}

/// Programs that the tests share.
enum Programs {
  static let provider = """
    provider model {
      endpoint: "https://model.test/v1/chat/completions"
      api_key: env("KEY")
      model: "m"
    }

    """
  static let agent =
    provider + """
      agent A {
        provider: model
        memory: conversation(max_turns: 5)
      }

      """
  static let chat =
    agent + """
      @post("/chat")
      workflow Chat(message: string, session_id: string = "") -> stream {
        return A.stream(message, session: session_id)
      }

      """
}
