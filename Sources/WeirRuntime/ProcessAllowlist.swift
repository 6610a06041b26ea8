import WeirCore

/// Which programs may be started (`--process-allowlist`): names that were looked up once, at the start, paths as they are,
/// and for each the arguments that a call must begin with.
///
///     echo              the program that `echo` meant when Weir was started, with any arguments
///     git:remote:show   git, called with `remote show` and more
///     /usr/bin/sox      this file, by its path or as `sox`
///
/// Pure: what a name means is asked of `pin`.
package struct ProcessAllowlist: Sendable {
  private struct Entry: Sendable {
    let command: String
    let arguments: [String]
    /// nil: there was no such program when it was looked up.
    let path: String?

    func means(_ text: String) -> Bool {
      text == command || text == path
        || (command.hasPrefix("/") && command.hasSuffix("/" + text) && !text.contains("/"))
    }
  }

  private let texts: [String]
  private let entries: [Entry]

  /// Empty texts are passed over: an empty list allows nothing.
  package init(_ texts: [String], pin: (String) -> String?) throws(AllowlistFailure) {
    let texts = texts.filter { !$0.isEmpty }
    var entries: [Entry] = []
    for text in texts {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
      guard !parts.contains(""), !text.utf8.contains(0) else { throw AllowlistFailure(entry: text) }
      let isPath = parts[0].contains("/")
      guard !isPath || parts[0].hasPrefix("/") else { throw AllowlistFailure(entry: text) }
      entries.append(Entry(command: parts[0], arguments: Array(parts[1...]), path: isPath ? parts[0] : pin(parts[0])))
    }
    self.texts = texts
    self.entries = entries
  }

  /// The file to run.
  package func path(of command: String, _ arguments: [String]) throws(ProcessFailure) -> String {
    let named = entries.filter { $0.means(command) }
    guard let entry = named.first(where: { arguments.starts(with: $0.arguments) }) else {
      throw .notAllowed(
        ([command] + (named.isEmpty ? [] : arguments.prefix(1))).joined(separator: " "),
        list: texts.joined(separator: ","))
    }
    guard let path = entry.path else { throw .notFound(command) }
    return path
  }
}

package struct AllowlistFailure: Failure, Equatable {
  package let entry: String
  package var code: String { "BadAllowlist" }
  package var message: String { "\"\(entry)\" in the process allow-list is not a program" }
  package var hint: String? { "name, /absolute/path, or either with leading arguments: git:status" }
}
