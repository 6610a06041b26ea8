import WeirCore

/// What `weir explain E0101` shows: the rule behind a code, an example of breaking it, one of keeping it, and why it is a rule.
///
/// The pages are texts in the files beside this one, grouped as the codes are:
///
///     === E0101 title             a code of the compiler, or of a failure at run time (`=== DivisionByZero …`)
///     the rule
///     --- wrong [--entry NAME]    a program that gets this code and no other error (`// FILE path` starts another file)
///     --- right                   one that is fine, in canonical format
///     --- none                    instead of the two: why there is no example
///     --- why
///
/// What the compiler says about the wrong example is not written down: the example is checked when the page is shown.
/// Of a failure at run time it is the `--- says` part. `ErrorPageTests` holds every page to all of this.
package struct ErrorPage: Sendable {
  package struct Example: Sendable {
    package var text: String
    package var entry: String

    /// The first is the program, the others are what it imports, by path.
    package var files: [(path: String, text: String)] {
      var files: [(path: String, text: String)] = [("example.weir", "")]
      for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
        if line.hasPrefix(ErrorPage.fileMark) {
          files.append((String(line.dropFirst(ErrorPage.fileMark.count)), ""))
        } else {
          files[files.count - 1].text += line + "\n"
        }
      }
      return files
    }
  }

  package var code: String
  package var title: String
  package var rule: String
  /// nil where no short program can show it; `noExample` says why.
  package var wrong: Example?
  package var right: Example?
  package var noExample: String?
  /// What a failure at run time says.
  package var says: String?
  package var why: String

  private static let fileMark = "// FILE "

  /// A code of the compiler, not of a run.
  package var isDiagnostic: Bool { code.dropFirst().allSatisfy(\.isNumber) }

  /// All of them, as they are grouped.
  package static let all: [ErrorPage] = [
    syntax, names, services, types, mismatches, calls, warnings, traps, sources, store,
  ].flatMap(read)

  package static func page(_ code: String) -> ErrorPage? {
    let wanted = code.lowercased()
    return all.first { $0.code.lowercased() == wanted }
  }

  private static func read(_ text: String) -> [ErrorPage] {
    var pages: [ErrorPage] = []
    var part = ""
    var lines: [Substring] = []
    func end() {
      guard !pages.isEmpty else { return }
      while lines.last?.isEmpty == true { lines.removeLast() }
      pages[pages.count - 1].take(part, lines)
      lines = []
    }
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("=== ") {
        end()
        let words = line.dropFirst(4).split(separator: " ", maxSplits: 1)
        let title = words.count > 1 ? String(words[1]) : ""
        pages.append(ErrorPage(code: String(words[0]), title: title, rule: "", why: ""))
        part = "rule"
      } else if line.hasPrefix("--- ") {
        end()
        part = String(line.dropFirst(4))
      } else {
        lines.append(line)
      }
    }
    end()
    return pages
  }

  private mutating func take(_ part: String, _ lines: [Substring]) {
    let text = lines.joined(separator: "\n")
    let words = part.split(separator: " ").map(String.init)
    switch words.first {
    case "rule": rule = text
    case "wrong": wrong = Example(text: text, entry: words.count > 2 ? words[2] : "main")
    case "none": noExample = text
    case "right": right = Example(text: text, entry: "main")
    case "says": says = text
    default: why = text
    }
  }
}

extension ErrorPage {
  /// Diagnostics of an example, and the sources to show them with.
  package static func check(_ example: Example, library: Library) -> CheckResult {
    let files = example.files
    return Checker.check(
      name: files[0].path, bytes: Array(files[0].text.utf8), entry: example.entry, library: library
    ) { path in files.first { $0.path == path }.map { Array($0.text.utf8) } }
  }

  /// What is said about the wrong example: of the first diagnostic with this code, as a terminal shows it.
  package func message(library: Library, color: Bool = false) -> String? {
    guard isDiagnostic else { return says }
    guard let wrong else { return nil }
    let result = Self.check(wrong, library: library)
    let printer = DiagnosticPrinter(result.sources, color: color)
    return result.diagnostics.first { $0.code == code }.map { printer.text($0) }
  }
}

extension ErrorPage {
  /// The page as a terminal shows it.
  package func text(library: Library, color: Bool = false) -> String {
    var parts = ["\(code): \(title)\n\n\(rule)\n"]
    if let wrong {
      parts.append("Wrong:\n\n\(Self.indented(wrong.text))")
      if let message = message(library: library, color: color) {
        parts.append("which gets\n\n\(Self.indented(message))")
      }
    }
    if let right { parts.append("Right:\n\n\(Self.indented(right.text))") }
    if let noExample { parts.append("There is no example:\n\n\(noExample)\n") }
    parts.append("Why:\n\n\(why)\n")
    return parts.joined(separator: "\n")
  }

  private static func indented(_ text: String) -> String {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    while lines.last?.isEmpty == true { lines.removeLast() }
    return lines.map { $0.isEmpty ? "\n" : "    \($0)\n" }.joined()
  }

  /// Every code in one line, as `weir explain` lists them.
  package static var list: String {
    let width = all.map(\.code.count).max() ?? 0
    return all.map { $0.code + String(repeating: " ", count: width + 2 - $0.code.count) + $0.title + "\n" }.joined()
  }

  package func json(library: Library) -> JSONValue {
    .object([
      JSONMember("code", .string(code)), JSONMember("title", .string(title)), JSONMember("rule", .string(rule)),
      JSONMember("wrong", wrong.map { .string($0.text + "\n") } ?? .null),
      JSONMember("message", message(library: library).map { .string($0) } ?? .null),
      JSONMember("right", right.map { .string($0.text + "\n") } ?? .null), JSONMember("why", .string(why)),
    ])
  }

  /// `docs/errors.md`.
  package static var index: String {
    let groups = [
      ("E00", "Characters, strings, numbers"), ("E01", "Grammar"), ("E02", "Names, imports, declarations"),
      ("E03", "Types and calls"), ("E04", "Patterns"), ("E05", "Effects"), ("E09", "Limits"), ("W", "Warnings"),
      ("N", "Notes: shown by `weir check`, not by a run"), ("", "Failures at run time"),
    ]
    var text = """
      # Codes

      What `weir` says has a code, and `weir explain CODE` shows its page: the rule, an example of breaking it and what is said
      about that, one of keeping it, and why it is a rule. This list is made from those pages.

      ## For editors

      `weir check --json FILE…` prints one object, `{"diagnostics": […]}`, sorted by place for each file, and exits 1 if any of
      them is an error. Each has all of these members; later versions may add others.

      | member | what |
      |---|---|
      | `code` | as below; of a file that cannot be read, such as `FileNotFound` |
      | `severity` | `error`, `warning` or `note` |
      | `title` | one line |
      | `file` | as it was named, or where an import found it |
      | `line`, `column` | of its first character, from 1; columns count Unicode code points |
      | `endLine`, `endColumn` | behind its last character |
      | `label` | what stands beside the place; may be empty |
      | `related` | other places: `file`, `line`, `column`, `endLine`, `endColumn`, `label` |
      | `notes` | expected, found, how it came about |
      | `hint` | the next step, or null |

      """
    var rest = all.sorted { $0.code < $1.code }
    for (prefix, heading) in groups {
      let these = rest.filter { prefix.isEmpty ? !$0.isDiagnostic : $0.isDiagnostic && $0.code.hasPrefix(prefix) }
      rest.removeAll { page in these.contains { $0.code == page.code } }
      text += "\n## \(heading)\n\n| code | about |\n|---|---|\n"
      text += these.map { "| \($0.code) | \($0.title.split(separator: "|").joined(separator: "\\|")) |\n" }.joined()
    }
    return text
  }
}
