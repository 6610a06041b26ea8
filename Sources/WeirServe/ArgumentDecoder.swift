import WeirCore
import WeirWire

/// A request as the arguments of a workflow: a JSON body, a form body or the query string, checked against the
/// declared parameters. Pure; nothing runs on a request that this refuses, and each refusal names the parameter.
///
/// Members that the workflow does not declare are left out: clients send more than one version of a program knows.
package struct ArgumentDecoder {
  package var parameters: [WorkflowParameter]

  package init(_ parameters: [WorkflowParameter]) {
    self.parameters = parameters
  }

  /// What a request brought: members of a JSON body win over fields of a form, those over the query.
  package struct Input {
    package var body: JSONValue?
    package var form: QueryString?
    package var query: QueryString?

    /// Reads the body by its media type. No type at all is JSON, which is what `curl -d '{…}'` users mean;
    /// an empty body is no body whatever its type.
    package init(request body: [UInt8], contentType: String?, query: QueryString?) throws(ServeFailure) {
      self.query = query
      guard !body.isEmpty else { return }
      let type = contentType.map { MediaType($0)?.essence ?? $0 } ?? "application/json"
      switch type {
      case "application/x-www-form-urlencoded":
        // `curl -d '{"message": …}'` without -H sends JSON under this name; no form begins with a brace.
        if body.first(where: { $0 != 0x20 && $0 != 0x09 && $0 != 0x0A && $0 != 0x0D }) == UInt8(ascii: "{") {
          self.body = try Self.object(body)
        } else {
          do { form = try QueryString(form: body) } catch { throw .badQuery(error.message) }
        }
      case _ where type == "application/json" || type == "text/json" || type.hasSuffix("+json"):
        self.body = try Self.object(body)
      default:
        throw .unsupportedMediaType(type)
      }
    }

    private static func object(_ bytes: [UInt8]) throws(ServeFailure) -> JSONValue {
      let value: JSONValue
      do { value = try JSONValue.parse(bytes) } catch { throw .badBody(error.message) }
      guard case .object = value else { throw .badBody("it is \(describe(value)), not an object") }
      return value
    }

    /// A text member that is not one of the declared parameters (`session_id` of a workflow without sessions).
    package func text(_ name: String) -> String? { body?[name]?.string ?? form?[name] ?? query?[name] }
  }

  /// Every declared parameter in its order, or the first that is wrong.
  package func arguments(_ input: Input) throws(ServeFailure) -> [JSONMember] {
    var arguments: [JSONMember] = []
    arguments.reserveCapacity(parameters.count)
    for parameter in parameters {
      if let value = try value(of: parameter, in: input) {
        arguments.append(JSONMember(parameter.name, value))
      } else if let value = parameter.defaultValue {
        arguments.append(JSONMember(parameter.name, value))
      } else if parameter.isOptional {
        arguments.append(JSONMember(parameter.name, .null))
      } else {
        throw .missingArgument(name: parameter.name, type: parameter.type.description)
      }
    }
    return arguments
  }

  private func value(of parameter: WorkflowParameter, in input: Input) throws(ServeFailure) -> JSONValue? {
    if let given = input.body?[parameter.name] {
      if let value = checked(given, parameter.type) { return value }
      // null for a parameter that may be left out is the same as leaving it out.
      if given == .null, parameter.isOptional { return nil }
      throw .badArgument(name: parameter.name, type: parameter.type.description, found: describe(given))
    }
    for fields in [input.form, input.query] {
      let texts = fields?.all(parameter.name) ?? []
      guard let last = texts.last else { continue }
      if let value = read(texts, parameter.type) { return value }
      throw .badArgument(name: parameter.name, type: parameter.type.description, found: "\"\(last.prefix(40))\"")
    }
    return nil
  }

  /// The value as the type wants it, or nil. An integer is a float too; nothing else is converted.
  private func checked(_ value: JSONValue, _ type: WorkflowParameter.ParameterType) -> JSONValue? {
    switch (type, value) {
    case (.string, .string), (.int, .int), (.bool, .bool), (.float, .double), (.json, _), (.option, .null): return value
    case (.float, .int(let number)): return .double(Double(number))
    case (.option(let wrapped), _): return checked(value, wrapped)
    case (.list(let element), .array(let items)):
      var list: [JSONValue] = []
      list.reserveCapacity(items.count)
      for item in items {
        guard let item = checked(item, element) else { return nil }
        list.append(item)
      }
      return .array(list)
    default: return nil
    }
  }

  /// Fields are text: read as the type wants it.
  private func read(_ texts: [String], _ type: WorkflowParameter.ParameterType) -> JSONValue? {
    guard let text = texts.last else { return nil }
    switch type {
    case .string: return .string(text)
    case .int: return Int(text).map { .int($0) }
    case .float: return Double(text).flatMap { $0.isFinite ? .double($0) : nil }
    case .bool:
      switch text {
      case "true", "1", "on": return .bool(true)
      case "false", "0", "off", "": return .bool(false)
      default: return nil
      }
    case .json: return try? JSONValue.parse(text)
    case .option(.string): return .string(text)
    case .option(let wrapped): return text.isEmpty ? .null : read(texts, wrapped)
    case .list(let element):
      if texts.count == 1, text.utf8.first == UInt8(ascii: "["), let value = try? JSONValue.parse(text) {
        return checked(value, type)
      }
      var list: [JSONValue] = []
      for text in texts {
        guard let item = read([text], element) else { return nil }
        list.append(item)
      }
      return .array(list)
    }
  }
}

/// A value's kind in words, for messages: never its content, which may be long or private.
func describe(_ value: JSONValue) -> String {
  switch value {
  case .null: "null"
  case .bool: "a bool"
  case .int: "an int"
  case .double: "a float"
  case .string: "a string"
  case .array: "a list"
  case .object: "an object"
  }
}

extension WorkflowParameter.ParameterType: CustomStringConvertible {
  package var description: String {
    switch self {
    case .string: "string"
    case .int: "int"
    case .float: "float"
    case .bool: "bool"
    case .json: "json"
    case .list(let element): "[\(element)]"
    case .option(let wrapped): "\(wrapped)?"
    }
  }
}
