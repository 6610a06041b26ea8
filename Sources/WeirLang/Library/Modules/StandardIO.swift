/// std/io: the program's own output and input, through `ProgramHost`; std/env: what it was started with.
extension LibraryModule {
  static var io: LibraryModule {
    LibraryModule(
      name: "std/io",
      source: #"""
        // What a program writes and reads: standard output, standard error, standard input.

        /// Writes a value to standard output: a string as it is, anything else as `show` prints it.
        export extern func print[a](value: a) -> unit ! {IO}
        /// Writes a value and a newline to standard output: a string as it is, anything else as `show` prints it.
        export extern func println[a](value: a) -> unit ! {IO}
        /// Writes a line to standard error.
        export extern func printErr[a](value: a) -> unit ! {IO}
        /// The next line of standard input without its newline; "" at the end of the input.
        export extern func readLine() -> string ! {IO}
        /// The next line of standard input without its newline; None at the end of the input.
        export extern func readLineOpt() -> Option[string] ! {IO}
        /// Hands what was written so far to the terminal or pipe.
        export extern func flush() -> unit ! {IO}
        /// Ends the program with this exit code.
        export extern func exit[a](code: int) -> a ! {IO}
        /// Writes a string to standard output at once.
        export extern func _io_print(text: string) -> unit ! {IO}
        /// Writes a string and a newline to standard output.
        export extern func _io_println(text: string) -> unit ! {IO}
        """#,
      natives: [
        writer("print", .output, end: ""),
        writer("println", .output, end: "\n"),
        writer("printErr", .error, end: "\n"),
        writer("_io_print", .output, end: ""),
        writer("_io_println", .output, end: "\n"),
        suspending("readLine") { (answer: Answer<String>) in
          answer.context.host.readLine { answer.resume($0 ?? "") }
        },
        suspending("readLineOpt") { (answer: Answer<String?>) in
          answer.context.host.readLine { answer.resume($0) }
        },
        contextual("flush") { (context: NativeContext) in
          context.host.flush()
          return Unit()
        },
        raw("exit", arity: 1) { arguments, context in
          let code: Int = try arguments.get(0)
          _ = context.suspend()
          context.host.exit(code)
          return .suspended
        },
      ])
  }

  private static func writer(_ name: String, _ stream: ProgramOutput, end: String) -> Native {
    raw(name, arity: 1) { arguments, context in
      context.host.write(arguments[0].text(context.names) + end, to: stream)
      return .value(.unit)
    }
  }

  static var environment: LibraryModule {
    LibraryModule(
      name: "std/env",
      source: #"""
        // What a program was started with: environment variables and arguments.

        /// An environment variable; None when it is not set.
        export extern func getEnv(name: string) -> Option[string] ! {Env}
        /// An environment variable, or `otherwise` when it is not set.
        export extern func getEnvOr(name: string, otherwise: string) -> string ! {Env}
        /// An environment variable; "" when it is not set.
        export func env(name: string) -> string ! {Env} { getEnvOr(name, "") }
        /// Whether an environment variable is set, be it to "".
        export func hasEnv(name: string) -> bool ! {Env} {
          match getEnv(name) { Some(_) => true, None => false }
        }
        /// The arguments behind the program's name.
        export extern func getArgs() -> [string] ! {Env}
        """#,
      natives: [
        contextual("getEnv") { (context: NativeContext, name: String) in context.host.environment(name) },
        contextual("getEnvOr") { (context: NativeContext, name: String, otherwise: String) in
          context.host.environment(name) ?? otherwise
        },
        contextual("getArgs") { (context: NativeContext) in context.host.arguments },
      ])
  }

  /// What every program has without import. `Option`, `Result` and their constructors are the checker's own.
  static var prelude: LibraryModule {
    LibraryModule(
      name: "std/prelude",
      source: #"""
        // What every program has without import.
        import std/io (print, println, _io_print, _io_println)
        import std/env (env)
        /// Any value as text; strings are quoted.
        export extern func show[a](value: a) -> string
        /// Items of a list or map, characters of a string, bytes. Of Json the same; what has no parts there counts 0.
        export extern func len[measured](value: measured) -> int
        """#,
      natives: [
        raw("show", arity: 1) { arguments, context in .value(.string(arguments[0].shown(context.names))) },
        raw("len", arity: 1) { arguments, _ in .value(.int(arguments[0].length)) },
      ])
  }
}

extension Value {
  /// What `len` gives, of the types that its signature admits.
  fileprivate var length: Int {
    switch self {
    case .list(let list): list.count
    case .map(let root): Map(root: root).count
    case .string(let text): text.scalarCount
    case .bytes(let bytes): bytes.count
    case .variant(_, let fields): fields[0].length
    default: 0
    }
  }

  /// As interpolation and `print` write it: a string is itself.
  package func text(_ names: ProgramNames) -> String {
    if case .string(let text) = self { text } else { shown(names) }
  }
}
