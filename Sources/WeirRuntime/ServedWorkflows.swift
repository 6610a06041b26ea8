import WeirCore
import WeirLang
import WeirServe

/// The workflows of one `http.Server([…])` as its routes. Runs themselves are in the program's one `RunTable`: a run can
/// be stopped and read at each of its servers, and started only where its workflow was given.
final class ServedWorkflows: WorkflowHost {
  private let runs: RunTable
  private var workflows: [Workflow] = []

  init(_ runs: RunTable) { self.runs = runs }

  var routes: [WorkflowRoute] { workflows.map(\.route) }

  func add(_ workflow: Workflow) throws(Trap) {
    guard !workflows.contains(where: { $0 === workflow }) else { return }
    let route = workflow.route
    guard !route.path.isEmpty else {
      throw Trap(
        "NoRoute", "workflow \(route.name) has no route", hint: "put @post(\"/\(route.name.lowercased())\") above it")
    }
    if let other = routes.first(where: { $0.path == route.path && $0.method == route.method }) {
      throw Trap("RouteTaken", "\(route.method) \(route.path) belongs to workflow \(other.name) already")
    }
    workflows.append(workflow)
  }

  func start(
    _ route: WorkflowRoute, arguments: [JSONMember],
    register: @escaping (_ ticket: RunTicket, _ done: @escaping (RunFailure?) -> Void) -> Void,
    answer: @escaping (Result<RunTicket, RunFailure>) -> Void
  ) {
    guard let workflow = workflows.first(where: { $0.route.name == route.name }) else {
      return answer(.failure(RunFailure(code: "WorkflowNotFound", message: "no workflow \"\(route.name)\"")))
    }
    runs.start(workflow, arguments: arguments, register: register, answer: answer)
  }

  func isUnderWay(run id: String) -> Bool { runs.isUnderWay(id) }

  func stop(run id: String) { runs.stop(run: id) }
}
