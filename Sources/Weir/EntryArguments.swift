import WeirCore
import WeirLang

/// The arguments of the entry function, from `--args-json` or from the words after the program's file.
///
/// A null that is no value of a parameter's type is an argument left out.
package struct EntryArguments {
  /// nil: left out, and the parameter has a default.
  private var arguments: [(json: JSONValue?, shape: TypeShape, name: String)] = []

  /// For a program whose entry is not run.
  package init() {}

  package init(_ file: ProgramFile, json text: String?, words: [String]) throws(EntryArgumentFailure) {
    try self.init(file.result.entry, json: text, words: words)
  }

  init(_ entry: EntrySignature?, json text: String?, words: [String]) throws(EntryArgumentFailure) {
    guard let entry else {
      if text != nil {
        throw EntryArgumentFailure("--args-json: a script has no parameters", "read words with getArgs()")
      }
      return
    }
    if let text {
      let object: JSONValue
      do throws(JSONFailure) {
        object = try JSONValue.parse(text)
      } catch {
        throw EntryArgumentFailure("--args-json: \(error.message)")
      }
      guard let members = object.members else { throw EntryArgumentFailure("--args-json is not an object") }
      for member in members where !entry.parameters.contains(where: { $0.name == member.name }) {
        let name = JSONValue.string(member.name).text
        throw EntryArgumentFailure("\(entry.name) has no parameter \(name)", Self.usage(entry))
      }
      for parameter in entry.parameters { try add(parameter, object[parameter.name], entry) }
    } else {
      // A program without parameters reads its words with `getArgs`.
      guard words.count <= entry.parameters.count || entry.parameters.isEmpty else {
        throw EntryArgumentFailure(
          "\(entry.name) takes \(entry.parameters.count) arguments, not \(words.count)", Self.usage(entry))
      }
      for (index, parameter) in entry.parameters.enumerated() {
        try add(parameter, words.indices.contains(index) ? Self.json(words[index], parameter.shape) : nil, entry)
      }
    }
  }

  private mutating func add(
    _ parameter: EntrySignature.Parameter, _ json: JSONValue?, _ entry: EntrySignature
  ) throws(EntryArgumentFailure) {
    let given = json == .null && !parameter.shape.takesNull ? nil : json
    guard given != nil || parameter.isOptional || parameter.shape.isOption else {
      throw EntryArgumentFailure("\(entry.name) needs an argument \"\(parameter.name)\"", Self.usage(entry))
    }
    arguments.append((given ?? (parameter.isOptional ? nil : JSONValue.null), parameter.shape, parameter.name))
  }

  /// A word of the command line as the JSON of a type: text stays text, everything else is read.
  private static func json(_ word: String, _ shape: TypeShape) -> JSONValue {
    switch shape {
    case .string, .bytes: .string(word)
    case .option(let some): json(word, some)
    default: (try? JSONValue.parse(word)) ?? .string(word)
    }
  }

  private static func usage(_ entry: EntrySignature) -> String {
    entry.parameters.isEmpty
      ? "\(entry.name) has no parameters"
      : "\(entry.name)(" + entry.parameters.map { "\($0.name): \($0.type)" }.joined(separator: ", ") + ")"
  }

  /// One for each parameter of the entry; nil stands for its default.
  func values(_ names: ProgramNames) throws(EntryArgumentFailure) -> [Value?] {
    var values: [Value?] = []
    for argument in arguments {
      guard let json = argument.json else {
        values.append(nil)
        continue
      }
      do throws(Value.Mismatch) {
        values.append(try Value.decode(json, as: argument.shape, names, path: argument.name))
      } catch {
        throw EntryArgumentFailure(error.message)
      }
    }
    return values
  }
}

package struct EntryArgumentFailure: Failure {
  package var code: String { "BadArguments" }
  package var message: String
  package var hint: String?
  init(_ message: String, _ hint: String? = nil) {
    self.message = message
    self.hint = hint
  }
}

extension TypeShape {
  fileprivate var isOption: Bool { if case .option = self { true } else { false } }
  fileprivate var takesNull: Bool { isOption || self == .json || self == .unit }
}
