import WeirCore
import WeirLang
import WeirServe

/// A workflow of the program: its route, and how arguments become values and results become JSON.
final class Workflow: Handle, BridgedHandle {
  static var typeName: String { "Workflow" }

  private(set) var route: WorkflowRoute
  let handler: Value
  let export: CoreExport
  /// Values of the parameters' default expressions, by the parameter's place; computed once, before anything is served.
  private var defaults: [Int: Value] = [:]

  init(route: WorkflowRoute, handler: Value, export: CoreExport) {
    self.route = route
    self.handler = handler
    self.export = export
    super.init(kind: "Workflow")
  }

  /// In declared order. The server has checked names and simple types; what has structure is checked here.
  func values(for arguments: [JSONMember], in instance: ProgramInstance) throws(RunFailure) -> [Value] {
    var values: [Value] = []
    for (index, parameter) in export.parameters.enumerated() {
      let given = arguments.last { $0.name == parameter.name }?.value ?? .null
      if given == .null, let value = defaults[index] {
        values.append(value)
        continue
      }
      do throws(Value.Mismatch) {
        values.append(try Value.decode(given, as: parameter.shape, instance.program.names, path: parameter.name))
      } catch {
        throw RunFailure(code: "BadArgument", message: error.message, status: 400)
      }
    }
    return values
  }

  /// The next parameter whose default has to be computed, as the function that does.
  func missingDefault(in program: Program) -> (index: Int, function: FunctionRef)? {
    for (index, parameter) in export.parameters.enumerated() where defaults[index] == nil {
      if let function = parameter.defaultValue { return (index, program.functions[function]) }
    }
    return nil
  }

  func setDefault(_ index: Int, _ value: Value, in instance: ProgramInstance) {
    defaults[index] = value
    route.parameters[index].defaultValue = json(value, in: instance)
  }

  /// nil: the result is something that has no JSON form, such as a function.
  func json(_ value: Value, in instance: ProgramInstance) -> JSONValue? {
    try? value.jsonValue(instance.program.names)
  }

  /// What a parameter's type is to the server; structure is `json` there and checked by `values`.
  static func parameterType(of shape: TypeShape) -> WorkflowParameter.ParameterType {
    switch shape {
    // Bytes are base64 text in JSON; `values` decodes it.
    case .string, .bytes: .string
    case .int: .int
    case .float: .float
    case .bool: .bool
    case .list(let item): .list(parameterType(of: item))
    case .option(let some): .option(parameterType(of: some))
    default: .json
    }
  }
}
