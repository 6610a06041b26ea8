import WeirCore
import WeirFlow
import WeirLang

/// Processes as sources of events.
extension StreamModule {
  /// Bytes of an event when `processSource` is not told.
  static let chunkSize = 4096

  static var processes: [Native] {
    [
      suspending("asyncExecProcess") {
        (
          answer: Answer<StreamSource>, command: String, arguments: [String], name: String, priority: Int, size: Int
        ) in
        try checkChunkSize(size)
        let options = ProcessEvents.Options(name: name, cut: .chunks(size))
        try start(command, arguments, options, priority, input: .null, answer.suspension)
      },
      raw("processSource", arity: 3) { arguments, context in
        let command = try arguments.get(0, as: String.self)
        let words = try arguments.get(1, as: [String].self)
        let fields = try RecordReader(arguments[2], context)
        let size = try fields.int("chunkSize")
        let isLines = try fields.bool("lines") ?? false
        if let size {
          if isLines { throw Trap("BadArgument", "processSource: lines or chunks, not both", hint: "drop chunkSize") }
          try checkChunkSize(size)
        }
        var options = ProcessEvents.Options(
          name: try fields.string("name") ?? command, cut: isLines ? .lines : .chunks(size ?? chunkSize))
        options.deliversErrors = try fields.bool("stderr") ?? false
        options.deliversExit = try fields.bool("exit") ?? false
        try start(command, words, options, try fields.int("priority") ?? 0, input: .pipe, context.suspend())
        return .suspended
      },
      native("processOf") { (source: StreamSource) in
        guard let process = source.process else {
          throw Trap("BadArgument", "\(source.name) is not a process", hint: "processSource makes one")
        }
        return process
      },
    ]
  }

  private static func start(
    _ command: String, _ arguments: [String], _ options: ProcessEvents.Options, _ priority: Int,
    input: ProcessRequest.Stream, _ suspension: Suspension
  ) throws {
    let instance = try ProgramInstance.of(suspension.context)
    let start = try instance.streams.process(
      command, arguments, options, priority: priority, input: input, in: instance.processes, for: suspension.fiber
    ) { result in
      switch result {
      case .success(let source): suspension.resume(.handle(source))
      case .failure(let trap): suspension.fail(trap)
      }
    }
    suspension.onCancel { start.cancel() }
  }
}
