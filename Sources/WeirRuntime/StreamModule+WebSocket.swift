import WeirCore
import WeirLang
import WeirNet

/// `connect`: a WebSocket as a `StreamConn`.
extension StreamModule {
  static var webSocket: Native {
    opening("connect", arity: 2) { arguments, context, answer in
      let instance = try ProgramInstance.of(context)
      let limits = instance.options.streams
      let config = try StreamConfig(arguments[1], context)
      var request = WebSocketRequest(
        url: try arguments.get(0), headers: config.headers, subprotocols: config.subprotocols,
        policy: instance.options.network, environmentValues: instance.environmentValues)
      request.connectTimeout = limits.connectTimeout
      request.limits.messageBytes = limits.messageBytes
      request.limits.queuedEvents = limits.connectionQueue
      return WebSocketDial.open(request, world: instance.world) { answer($0.map { $0 }) }
    }
  }
}
