import WeirCore
import WeirLang

/// The arguments of the entry function, from `--args-json` or from the words after the program's file.
package struct EntryArguments {
  private var arguments: [(json: JSONValue, shape: TypeShape, name: String)] = []

  package init(_ file: ProgramFile, json text: String?, words: [String]) throws(EntryArgumentFailure) {
    guard let entry = file.result.entry else { return }
    if let text {
      let object: JSONValue
      do throws(JSONFailure) {
        object = try JSONValue.parse(text)
      } catch {
        throw EntryArgumentFailure("--args-json: \(error.message)")
      }
      guard let members = object.members else { throw EntryArgumentFailure("--args-json is not an object") }
      for member in members where !entry.parameters.contains(where: { $0.name == member.name }) {
        throw EntryArgumentFailure("\(entry.name) has no parameter \"\(member.name)\"", Self.usage(entry))
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
    guard let json = json ?? (parameter.shape.isOption ? .null : nil) else {
      throw EntryArgumentFailure("\(entry.name) needs an argument \"\(parameter.name)\"", Self.usage(entry))
    }
    arguments.append((json, parameter.shape, parameter.name))
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

  func values(_ names: ProgramNames) throws(EntryArgumentFailure) -> [Value] {
    var values: [Value] = []
    for argument in arguments {
      do throws(Value.Mismatch) {
        values.append(try Value.decode(argument.json, as: argument.shape, names, path: argument.name))
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
}
