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

  /// A native that opens a connection and answers `Result[StreamConn, StreamErrorKind]`: limits are the same for every
  /// kind, `dial` makes one. Cancelling the fiber cancels the dial.
  static func opening(
    _ name: String, arity: Int,
    _ dial:
      @escaping (
        Arguments, NativeContext, @escaping (Result<any StreamConnection, StreamErrorKind>) -> Void
      ) throws -> any Cancellable
  ) -> Native {
    raw(name, arity: arity) { arguments, context in
      let streams = try StreamTable.of(context)
      if let failure = exhaustion(context, name) ?? streams.refusal {
        return .value(.err(StreamValue.of(failure)))
      }
      let suspension = context.suspend()
      let dialling = try dial(arguments, context) { result in
        switch result {
        case .success(let connection):
          guard !suspension.isOver else { return connection.close() }
          suspension.resume(.ok(.handle(streams.opened(connection, for: suspension.fiber))))
        case .failure(let kind): suspension.resume(.err(StreamValue.of(kind)))
        }
      }
      suspension.onCancel { dialling.cancel() }
      return .suspended
    }.answeringExhaustion()
  }

  private static func exhaustion(_ context: NativeContext, _ name: String) -> StreamErrorKind? {
    context.exhausted.map { .budgetExhausted(Trap.limitReached($0.effect, limit: $0.count, native: name).message) }
  }
}
