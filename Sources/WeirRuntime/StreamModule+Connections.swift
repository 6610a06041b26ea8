import WeirCore
import WeirFlow
import WeirLang

/// What every kind of connection has in common once it is open. How each is opened stands in a file of its own.
extension StreamModule {
  static var connections: [Native] {
    [
      raw("onEvent", arity: 2) { arguments, context in
        let conn: StreamConn = try arguments.get(0)
        conn.handler = arguments[1]
        return .value(.unit)
      },
      contextual("disconnect") { (context: NativeContext, conn: StreamConn) in
        conn.connection.close()
        return Unit()
      },
      raw("status", arity: 1) { arguments, context in
        let conn: StreamConn = try arguments.get(0)
        return .value(StreamValue.of(conn.connection.status))
      },
      transmitting("transmit") { .text(try $0.get(1)) },
      transmitting("transmitBinary") { .binary(try $0.get(1, as: Bytes.self).array) },
      contextual("sourceOfConn") { (context: NativeContext, conn: StreamConn, name: String, priority: Int) in
        StreamSource(conn, name: name, priority: priority)
      },
    ]
  }

  private static func transmitting(
    _ name: String, _ message: @escaping (Arguments) throws -> StreamMessage
  ) -> Native {
    raw(name, arity: 2) { arguments, context in
      if let spent = exhaustion(context, name) { return .value(.err(StreamValue.of(spent))) }
      let conn: StreamConn = try arguments.get(0)
      let suspension = context.suspend()
      conn.connection.transmit(try message(arguments)) { failure in
        suspension.resume(failure.map { .err(StreamValue.of($0)) } ?? .ok(.unit))
      }
      return .suspended
    }.answeringExhaustion()
  }

  /// A native that opens a connection to its first argument, a URL, with its last, a `StreamConfig`, and answers
  /// `Result[StreamConn, StreamErrorKind]`. Limits, recording and replay are the same for every kind; `dial` makes one
  /// and answers once, unless it is cancelled, as it is with the fiber.
  static func opening(
    _ name: String, arity: Int,
    _ dial:
      @escaping (
        Arguments, NativeContext, @escaping (Result<any StreamConnection, StreamErrorKind>) -> Void
      ) throws -> any Cancellable
  ) -> Native {
    raw(name, arity: arity) { arguments, context in
      if let failure = exhaustion(context, name) { return .value(.err(StreamValue.of(failure))) }
      let instance = try ProgramInstance.of(context)
      let config = try StreamConfig(arguments[arity - 1], context)
      let secrets = Secrets(headers: config.headers, environmentValues: instance.environmentValues)
      let suspension = context.suspend()
      let dialling = try instance.streams.connect(
        kind: name, url: arguments.get(0), secrets: secrets, for: context.fiber,
        dial: { try dial(arguments, context, $0) }
      ) { result in
        switch result {
        // Nobody waits for it any more: dropping it closes it.
        case .success(let conn): suspension.resume(.ok(.handle(conn)))
        case .failure(let kind): suspension.resume(.err(StreamValue.of(kind)))
        }
      }
      if let dialling { suspension.onCancel { dialling.cancel() } }
      return .suspended
    }.answeringExhaustion()
  }

  private static func exhaustion(_ context: NativeContext, _ name: String) -> StreamErrorKind? {
    context.exhausted.map { .budgetExhausted(Trap.limitReached($0.effect, limit: $0.count, native: name).message) }
  }
}
