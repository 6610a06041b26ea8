import WeirCore

/// The command line as data: which commands there are, what each takes, and how arguments are read against that.
///
/// Pure: texts in, a `ParsedCommand` or a usage error out. Help texts are made from the same table, so they can't lie.
struct CommandSpec {
  var name: String
  var summary: String
  /// As shown in usage: `FILE`, `FILE…`, or "" for none.
  var operand: String
  var operandRange: ClosedRange<Int>
  var options: [OptionSpec]

  struct OptionSpec {
    var name: String
    var short: Character?
    /// Name of the value in help; nil for a switch.
    var value: String?
    var help: String
    init(_ name: String, short: Character? = nil, value: String? = nil, _ help: String) {
      self.name = name
      self.short = short
      self.value = value
      self.help = help
    }
  }
}

struct ParsedCommand {
  var name: String
  var operands: [String] = []
  /// After `--`, or after the program's file: the program's own.
  var rest: [String] = []
  private var values: [String: [String]] = [:]

  fileprivate init(name: String) { self.name = name }
  fileprivate mutating func add(_ option: String, _ value: String) { values[option, default: []].append(value) }

  /// Which were given, in the order of their names.
  var options: [String] { values.keys.sorted() }
  func has(_ option: String) -> Bool { values[option] != nil }
  subscript(_ option: String) -> String? { values[option]?.last }
  func all(_ option: String) -> [String] { values[option] ?? [] }

  /// `--color` is one of its words.
  func checkColor() throws(UsageFailure) {
    guard let word = self["color"], !["auto", "always", "never"].contains(word) else { return }
    throw UsageFailure("--color is auto, always or never, not \"\(word)\"", command: name)
  }

  /// A whole number in a range.
  func number(_ option: String, in range: ClosedRange<Int>) throws(UsageFailure) -> Int? {
    guard let text = self[option] else { return nil }
    guard let number = Int(text), range.contains(number) else {
      throw UsageFailure(
        "--\(option) needs a number from \(range.lowerBound) to \(range.upperBound), not \"\(text)\"", command: name)
    }
    return number
  }
}

extension ParsedCommand {
  /// A time as people write it.
  func duration(_ option: String) throws(UsageFailure) -> Duration? {
    guard let text = self[option] else { return nil }
    guard let duration = Duration(text: text) else {
      throw UsageFailure("--\(option) needs a time such as 500ms, 10s or 1m30s, not \"\(text)\"", command: name)
    }
    return duration
  }
}

/// Exit status 2: the command was not understood, nothing was done.
struct UsageFailure: Failure {
  var code: String { "Usage" }
  var message: String
  var hint: String?
  init(_ message: String, hint: String? = nil, command: String? = nil) {
    self.message = message
    self.hint = hint ?? "weir help\(command.map { " \($0)" } ?? "") shows what there is"
  }
}

enum CommandLineParser {
  /// `arguments` without the program's name; not empty.
  static func parse(_ arguments: [String], commands: [CommandSpec]) throws(UsageFailure) -> ParsedCommand {
    guard let first = arguments.first else { throw UsageFailure("which command?") }
    guard let spec = commands.first(where: { $0.name == first }) else {
      let near = Spelling.nearest(to: first, among: commands.map(\.name))
      throw UsageFailure("there is no command \"\(first)\"", hint: near.map { "did you mean `weir \($0)`?" })
    }
    var parsed = ParsedCommand(name: spec.name)
    var index = 1
    while index < arguments.count {
      let argument = arguments[index]
      index += 1
      if argument == "--" {
        parsed.rest = Array(arguments[index...])
        break
      }
      if argument.hasPrefix("--") {
        let pieces = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(pieces[0])
        guard let option = spec.options.first(where: { $0.name == name }) else {
          throw unknown(
            "--\(name)", spec, near: Spelling.nearest(to: name, among: spec.options.map(\.name)).map { "--\($0)" })
        }
        try take(option, inline: pieces.count > 1 ? String(pieces[1]) : nil, arguments, &index, spec, &parsed)
      } else if argument.hasPrefix("-"), argument.count > 1 {
        let letter = argument[argument.index(after: argument.startIndex)]
        guard argument.count == 2, let option = spec.options.first(where: { $0.short == letter }) else {
          throw unknown(argument, spec, near: nil)
        }
        try take(option, inline: nil, arguments, &index, spec, &parsed)
      } else if parsed.operands.count == spec.operandRange.upperBound {
        // `weir run app.weir a b`: what follows the file is the program's.
        guard spec.name == "run" else {
          throw UsageFailure("`weir \(spec.name)` takes no \"\(argument)\" here", command: spec.name)
        }
        parsed.rest = Array(arguments[(index - 1)...])
        break
      } else {
        parsed.operands.append(argument)
      }
    }
    if !parsed.has("help"), parsed.operands.count < spec.operandRange.lowerBound {
      throw UsageFailure("`weir \(spec.name)` needs \(spec.operand)", command: spec.name)
    }
    return parsed
  }

  private static func take(
    _ option: CommandSpec.OptionSpec, inline: String?, _ arguments: [String], _ index: inout Int, _ spec: CommandSpec,
    _ parsed: inout ParsedCommand
  ) throws(UsageFailure) {
    guard let value = option.value else {
      if inline != nil { throw UsageFailure("--\(option.name) takes no value", command: spec.name) }
      parsed.add(option.name, "")
      return
    }
    if let inline {
      parsed.add(option.name, inline)
    } else if index < arguments.count {
      parsed.add(option.name, arguments[index])
      index += 1
    } else {
      throw UsageFailure("--\(option.name) needs a value: \(value)", command: spec.name)
    }
  }

  private static func unknown(_ text: String, _ spec: CommandSpec, near: String?) -> UsageFailure {
    UsageFailure(
      "`weir \(spec.name)` has no option \(text)", hint: near.map { "did you mean \($0)?" }, command: spec.name)
  }

  // MARK: help

  static func overview(_ commands: [CommandSpec]) -> String {
    let width = commands.map(\.name.count).max() ?? 0
    let lines = commands.map { "  weir \(padded($0.name, width))  \($0.summary)" }
    return """
      Weir: a streaming runtime for AI programs.

      \(lines.joined(separator: "\n"))

      weir help COMMAND shows the options of a command.

      """
  }

  static func help(_ spec: CommandSpec) -> String {
    var text = "\(spec.summary).\n\n  weir \(spec.name) [options] \(spec.operand)"
    if spec.name == "run" { text += " [arguments of the program]" }
    text += "\n"
    let rows = spec.options.map { option in
      let short = option.short.map { "-\($0), " } ?? "    "
      return ("  \(short)--\(option.name)\(option.value.map { " \($0)" } ?? "")", option.help)
    }
    let width = rows.map(\.0.count).max() ?? 0
    if !rows.isEmpty { text += "\nOptions:\n" }
    for (left, right) in rows { text += "\(padded(left, width))  \(right)\n" }
    return text
  }

  private static func padded(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}

extension String {
  var trimmed: String {
    var text = Substring(self)
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }
}
