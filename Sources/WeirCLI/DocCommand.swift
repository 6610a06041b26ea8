import Weir
import WeirCore
import WeirLang

/// `weir doc [MODULE|NAME|FILE…]`: signatures and what is said about them; without an operand, which modules there are.
enum DocCommand {
  static func run(_ command: ParsedCommand) throws(UsageFailure) -> Int {
    try command.checkColor()
    let catalogue = DocumentationCatalogue(ProgramFile.library)
    if command.has("markdown") {
      guard command.operands.isEmpty, !command.has("json") else {
        throw UsageFailure("--markdown is the whole library, without operands or --json", command: command.name)
      }
      Terminal.say(DocumentationWriter.markdown(catalogue.modules))
      return 0
    }
    if command.operands.isEmpty {
      let all = catalogue.modules
      Terminal.say(command.has("json") ? DocumentationWriter.json(all).text + "\n" : DocumentationWriter.overview(all))
      return 0
    }
    var found: [ModuleDocumentation] = []
    var failed = false
    for operand in command.operands {
      do {
        found += try Self.found(operand, catalogue, color: Terminal.usesColor(command["color"]))
      } catch {
        Terminal.complain(error)
        failed = true
      }
    }
    if command.has("json") {
      Terminal.say(DocumentationWriter.json(found).text + "\n")
    } else if !found.isEmpty {
      Terminal.say(found.map(DocumentationWriter.text).joined(separator: "\n"))
    }
    return failed ? 1 : 0
  }

  private static func found(
    _ operand: String, _ catalogue: DocumentationCatalogue, color: Bool
  ) throws -> [ModuleDocumentation] {
    if ProgramFile.isPath(operand) {
      let file = try ProgramFile(operand)
      Terminal.talk(file.rendered(color: color, withNotes: false))
      guard !file.result.diagnostics.hasErrors else { throw UndocumentedFailure(file: operand) }
      return [file.documentation]
    }
    switch catalogue.find(operand) {
    case .module(let module): return [module]
    case .entries(let modules): return modules
    case .nothing(let nearest): throw UndocumentedFailure(name: operand, nearest: nearest)
    }
  }
}

struct UndocumentedFailure: Failure {
  var code: String
  var message: String
  var hint: String?

  init(file: String) {
    code = "CheckFailed"
    message = "\(file) has errors: what it offers is not known"
    hint = nil
  }

  init(name: String, nearest: String?) {
    code = "NotDocumented"
    message = "no module of the library is called \"\(name)\" or has such a name"
    hint =
      nearest.map { "did you mean `weir doc \($0)`?" }
      ?? "`weir doc` lists the modules; a file needs its path: ./\(name)"
  }
}
