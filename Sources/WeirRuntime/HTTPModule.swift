import WeirCore
import WeirLang
import WeirServe

/// `std/http`: workflows as routes, and the server that carries them.
enum HTTPModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/http",
      source: """
        // Workflows as routes of an HTTP server.

        /// A workflow of this program with its route. Made by `workflow NAME(…) { … }`.
        export extern type Workflow
        /// A server with its workflows.
        export extern type Server

        /// What the decorators of a workflow say.
        export type WorkflowFields = {
          method: string, path: string, returns: string, title?: string, description?: string
        }
        /// Made by `workflow NAME(…) { … }`.
        export extern func workflow(name: string, route: WorkflowFields, handler: any) -> Workflow

        /// A server for these workflows. Nothing listens yet.
        export extern func Server(workflows: [Workflow]) -> Server
        /// Listens on `port` of the address that `--host` names (127.0.0.1) and serves until the program is stopped.
        /// `WEIR_PORT` and `--port` win over `port`.
        export extern func listen(server: Server, port: int) -> unit ! {Serve}
        """,
      natives: [
        raw("workflow", arity: 3) { arguments, context in
          let name = try arguments.get(0, as: String.self)
          let fields = try RecordReader(arguments[1], context)
          guard let export = context.program.export(name) else { throw Trap.broken("workflow \(name) is not exported") }
          let policy: WorkflowRoute.DisconnectPolicy
          switch disconnectPolicy(of: export) {
          case nil, "continue": policy = .continue
          case "cancel": policy = .cancel
          case let other?:
            throw Trap("BadArgument", "workflow \(name): on_disconnect is \"continue\" or \"cancel\", not \"\(other)\"")
          }
          let returnsStream = try fields.string("returns") == "stream"
          let route = WorkflowRoute(
            name: name, method: try fields.string("method") ?? "POST", path: try fields.string("path") ?? "",
            parameters: export.parameters.map { parameter in
              WorkflowParameter(
                name: parameter.name, type: Workflow.parameterType(of: parameter.shape),
                optional: parameter.defaultValue != nil)
            },
            kind: returnsStream ? .stream : .value, title: try fields.string("title"),
            description: try fields.string("description"), onDisconnect: policy)
          let workflow = Workflow(route: route, handler: arguments[2], export: export)
          try ProgramInstance.of(context).declared.append(workflow)
          return .value(.handle(workflow))
        },
        raw("Server", arity: 1) { arguments, context in
          let instance = try ProgramInstance.of(context)
          guard let list = arguments[0].asList else { throw Trap("BadArgument", "expected a list of workflows") }
          let workflows = try (0..<list.count).map { index in
            guard let workflow = list[index].asHandle as? Workflow else { throw Trap("BadArgument", "not a workflow") }
            return workflow
          }
          return .value(.handle(try ProgramServer(workflows, instance: instance)))
        },
        raw("listen", arity: 2) { arguments, context in
          let instance = try ProgramInstance.of(context)
          guard let server = arguments[0].asHandle as? ProgramServer else { throw Trap("BadArgument", "not a server") }
          let port = try arguments.get(1, as: Int.self)
          guard (0...65535).contains(port) else { throw Trap("BadArgument", "\(port) is not a port") }
          guard !server.isListening else {
            throw Trap(
              "AlreadyListening", "this server listens already", hint: "make another http.Server for another port")
          }
          let suspension = context.suspend()
          // In a script this is its top level, and nothing has computed the workflows' defaults yet.
          instance.computeDefaults { result in
            if case .failure(let trap) = result { return suspension.fail(trap) }
            guard !suspension.isOver, instance.start(server, port: port) else { return }
            server.onClosed = { suspension.resume(.unit) }
            suspension.onCancel { instance.close(server) }
          }
          return .suspended
        },
      ]
    )
  }

  /// `@post("/chat", on_disconnect: "cancel")`
  private static func disconnectPolicy(of export: CoreExport) -> String? {
    for attribute in export.attributes {
      for argument in attribute.arguments where argument.name == "on_disconnect" {
        if case .string(let policy) = argument.value { return policy }
        return "\(argument.value)"
      }
    }
    return nil
  }
}
