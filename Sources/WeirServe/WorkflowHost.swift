import WeirCore
import WeirStore

/// What the server needs from whoever runs workflows (the runtime, or a test): a list of routes, and the two verbs
/// start and stop. Everything else goes through the store.
///
/// The contract, which is law 1: `start` has the run registered, makes its stream (of `RunTicket.contentType`), answers with its name, and from then on writes
/// `RunEvent`s to it (`RunEventCodec`, one item each) and ends it after exactly one `.end`. The server never asks the
/// host for output: it tails the stream, so any number of readers may come, go and come back without the run
/// noticing. This file knows no HTTP beyond a method and a path.
package protocol WorkflowHost: AnyObject {
  /// Fixed once the server listens.
  var routes: [WorkflowRoute] { get }

  /// Starts one run with arguments that were checked against `route.parameters`: every parameter without a default
  /// is there with its type (absent options are there as null), defaults are filled in, in declared order.
  /// Once the run has a name, and before anything of it is made, it calls `register` and waits for its answer, so that a run that
  /// is there is one that is known, whenever the process ends. A failure of `register` is the start's.
  /// Answered once, inside the call or later. A failure means that nothing runs; whether a stream was made is for the store to say.
  func start(
    _ route: WorkflowRoute, arguments: [JSONMember],
    register: @escaping (_ ticket: RunTicket, _ done: @escaping (RunFailure?) -> Void) -> Void,
    answer: @escaping (Result<RunTicket, RunFailure>) -> Void)

  /// It is being begun, runs, waits to be taken up, or something of it has yet to end.
  func isUnderWay(run id: String) -> Bool

  /// Ends a run as `aborted`. An unknown or finished run is left alone: stopping twice is not an error.
  func stop(run id: String)
}

/// One workflow as the outside sees it.
package struct WorkflowRoute: Equatable, Sendable {
  /// What a run gives.
  package enum Kind: Sendable {
    /// Tokens: `.text` events as they come. Clients get SSE unless they ask for JSON.
    case stream
    /// One value, as a `.value` event. Clients get its JSON unless they ask for SSE.
    case value
  }

  /// What becomes of a run when its last reader is gone.
  package enum DisconnectPolicy: Sendable { case `continue`, cancel }

  package var name: String
  package var method: String
  /// Starts with `/`; matched literally.
  package var path: String
  package var parameters: [WorkflowParameter]
  package var kind: Kind
  package var title: String?
  package var description: String?
  package var onDisconnect: DisconnectPolicy

  package init(
    name: String, method: String, path: String, parameters: [WorkflowParameter], kind: Kind, title: String? = nil,
    description: String? = nil, onDisconnect: DisconnectPolicy = .continue
  ) {
    self.name = name
    self.method = method
    self.path = path
    self.parameters = parameters
    self.kind = kind
    self.title = title
    self.description = description
    self.onDisconnect = onDisconnect
  }
}

package struct WorkflowParameter: Equatable, Sendable {
  package indirect enum ParameterType: Equatable, Sendable {
    case string, int, float, bool, json
    case list(ParameterType)
    case option(ParameterType)
  }

  package var name: String
  package var type: ParameterType
  /// May be left out by the caller: it has a default, or its type is an option.
  package var isOptional: Bool
  package var defaultValue: JSONValue?

  package init(name: String, type: ParameterType, optional: Bool = false, defaultValue: JSONValue? = nil) {
    self.name = name
    self.type = type
    if case .option = type { isOptional = true } else { isOptional = optional || defaultValue != nil }
    self.defaultValue = defaultValue
  }
}

/// A run that was started: its id (at least 128 random bits, `RandomSource.identifier()`: letters, digits, `-`, `_`)
/// and the stream it writes.
package struct RunTicket: Equatable, Sendable {
  package var id: String
  package var stream: StreamName

  /// The content type with which a host creates a run's stream; it is how readers know run events from other items.
  package static let contentType = "application/vnd.weir.run+json"

  package init(id: String, stream: StreamName) {
    self.id = id
    self.stream = stream
  }

  /// The usual name, `runs/<id>`: a server that was restarted and no longer has the run in its index finds the
  /// stream by it, so a client that comes back with `Last-Event-ID` resumes rather than starting a second run.
  package init(id: String) throws(StoreFailure) {
    self.init(id: id, stream: try Self.stream(forRun: id))
  }

  package static func stream(forRun id: String) throws(StoreFailure) -> StreamName {
    try StreamName("runs/\(id)")
  }

  /// The run whose answer a stream is, by its name. What a run writes by name besides is nobody's answer.
  package static func run(of stream: StreamName) -> String? {
    guard stream.path.hasPrefix("runs/") else { return nil }
    let id = stream.path.dropFirst("runs/".count)
    return id.contains("/") ? nil : String(id)
  }
}
