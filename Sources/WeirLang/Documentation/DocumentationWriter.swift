import WeirCore

/// Documentation as a terminal shows it, as a page of Markdown, and as JSON for tools.
package enum DocumentationWriter {
  static let absentNote = "Programs that use this can be checked; this build refuses to run them."

  /// One line for each module.
  package static func overview(_ modules: [ModuleDocumentation]) -> String {
    let width = modules.map(\.name.count).max() ?? 0
    return modules.map { module in
      module.name + String(repeating: " ", count: width - module.name.count + 2) + module.summary + "\n"
    }.joined()
  }

  /// Signatures with what is said about them below, indented.
  package static func text(_ module: ModuleDocumentation) -> String {
    var out = module.name + (module.summary.isEmpty ? "" : ": " + module.summary) + "\n"
    if !module.text.isEmpty { out += "\n" + module.text + "\n" }
    for entry in module.entries {
      out += "\n" + entry.signature + "\n"
      for line in notes(entry) { out += "    " + line + "\n" }
    }
    for (other, names) in module.handedOn {
      out += "\nalso here: \(names.joined(separator: ", ")) (weir doc \(other))\n"
    }
    return out
  }

  /// Every module on one page.
  package static func markdown(_ modules: [ModuleDocumentation]) -> String {
    var out = """
      # The standard library

      Made by `weir doc --markdown` from the modules themselves; a test keeps it current. `weir doc std/list` shows one
      module in a terminal, `weir doc sortBy` finds a name.

      | module | |
      |---|---|

      """
    for module in modules { out += "| [\(module.name)](#\(anchor(module.name))) | \(module.summary) |\n" }
    for module in modules {
      out += "\n## \(module.name)\n\n\(module.summary)\n"
      if !module.text.isEmpty { out += "\n\(module.text)\n" }
      for (other, names) in module.handedOn {
        let list = names.map { "`\($0)`" }.joined(separator: ", ")
        out += "\nAlso here: \(list), of [\(other)](#\(anchor(other))).\n"
      }
      if module.entries.isEmpty { continue }
      let entries = module.entries.map { entry in
        notes(entry).map { "/// \($0)\n" }.joined() + entry.signature + "\n"
      }
      out += "\n```text\n\(entries.joined(separator: "\n"))```\n"
    }
    return out
  }

  package static func json(_ modules: [ModuleDocumentation]) -> JSONValue {
    let all = modules.map { module in
      JSONValue.object([
        JSONMember("name", .string(module.name)), JSONMember("summary", .string(module.summary)),
        JSONMember("text", .string(module.text)),
        JSONMember(
          "entries",
          .array(
            module.entries.map { entry in
              [
                "name": .string(entry.name), "kind": .string(entry.kind.rawValue),
                "signature": .string(entry.signature), "documentation": .string(entry.text),
                "runs": .bool(!entry.isAbsent),
              ]
            })),
      ])
    }
    return ["modules": .array(all)]
  }

  private static func notes(_ entry: ModuleDocumentation.Entry) -> [String] {
    entry.text.split(separator: "\n").map(String.init) + (entry.isAbsent ? [absentNote] : [])
  }

  /// As GitHub makes them from headings.
  private static func anchor(_ name: String) -> String { String(name.filter { $0 != "/" }) }
}
