import WeirCore
import WeirLang
import WeirNet

/// What a program says about a connection that it opens: the record `StreamConfig` of the language.
struct StreamConfig {
  var headers: [(name: String, value: String)] = []
  var subprotocols: [String] = []
  var reconnect: SSERequest.Reconnect?

  init(_ value: Value, _ context: NativeContext) throws {
    let record = try RecordReader(value, context)
    for header in try record.value("headers")?.asList?.array ?? [] {
      let pair = try RecordReader(header, context)
      headers.append((try pair.string("name") ?? "", try pair.string("value") ?? ""))
    }
    subprotocols = try record.value("subprotocols")?.asList?.array.compactMap(\.asString) ?? []
    if let reconnect = try record.value("reconnect") {
      let fields = try RecordReader(reconnect, context)
      guard let max = try fields.int("max"), let backoff = try fields.int("backoffMs"), max >= 0, backoff >= 0 else {
        throw Trap("BadArgument", "reconnect: max and backoffMs must not be negative")
      }
      self.reconnect = .init(max: max, backoff: .milliseconds(min(backoff, 1 << 40)))
    }
  }
}
