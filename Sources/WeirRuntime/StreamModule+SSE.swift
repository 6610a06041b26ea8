import WeirCore
import WeirFlow
import WeirLang
import WeirNet

/// How connections for server-sent events are opened.
extension StreamModule {
  static var eventStreams: [Native] {
    [
      opening("sseConnect", arity: 2) { arguments, context, answer in
        try eventStream(arguments.get(0), body: nil, arguments[1], context, answer)
      },
      opening("ssePost", arity: 3) { arguments, context, answer in
        try eventStream(arguments.get(0), body: arguments.get(1, as: String.self), arguments[2], context, answer)
      },
    ]
  }

  private static func eventStream(
    _ url: String, body: String?, _ config: Value, _ context: NativeContext,
    _ answer: @escaping (Result<any StreamConnection, StreamErrorKind>) -> Void
  ) throws -> any Cancellable {
    let instance = try ProgramInstance.of(context)
    let config = try StreamConfig(config, context)
    let limits = instance.options.streams
    var request = SSERequest(
      url: url, headers: config.headers, body: body, reconnect: config.reconnect, policy: instance.options.network,
      environmentValues: instance.environmentValues)
    request.connectTimeout = limits.connectTimeout
    request.eventByteLimit = limits.eventBytes
    request.queueLimit = limits.connectionQueue
    return SSEConnection.open(request, world: instance.world) { answer($0.map { $0 }) }
  }
}
