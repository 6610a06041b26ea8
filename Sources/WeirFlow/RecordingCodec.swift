import WeirCore

/// Lines of a recording: what each means is drawn at `Recording`.
package enum RecordingCodec {
  package static let header = Array("{\"weir\":\"recording\",\"version\":\(Recording.version)}\n".utf8)

  /// With its line end.
  package static func append(_ line: Recording.Line, to out: inout [UInt8]) {
    let members: [JSONMember] =
      switch line {
      case .source(let source, let kind, let name, let failure):
        [.init("source", .int(source)), .init("kind", .string(kind)), .init("name", .string(name))]
          + (failure.map(members) ?? [])
      case .event(let at, let source, let event): arrival(at, source) + members(event)
      case .take(let source): [.init("take", .int(source))]
      case .deadline(let at, let source, let message): arrival(at, source) + [.init("deadline", .string(message))]
      case .end(let at, let source): arrival(at, source) + [.init("end", true)]
      case .outcome(let at, let source, let outcome): arrival(at, source) + members(outcome)
      case .refusedWrite(let at, let source, let write, let failure):
        arrival(at, source) + [.init("write", .int(write)), .init("error", .string(failure.code))]
      case .exchange(let at, let source, let fact): arrival(at, source) + members(fact)
      }
    JSONWriter.append(.object(members), to: &out)
    out.append(0x0A)
  }

  private static func arrival(_ at: Int, _ source: Int) -> [JSONMember] {
    [.init("at", .int(at)), .init("source", .int(source))]
  }

  private static func members(_ event: StreamEvent) -> [JSONMember] {
    func make(_ name: String, _ members: (String, JSONValue)...) -> [JSONMember] {
      [.init("event", .string(name))] + members.map { JSONMember($0.0, $0.1) }
    }
    func base64(_ bytes: [UInt8]) -> JSONValue { .string(Base64.encode(bytes)) }
    switch event {
    // The program says the URL again when it is replayed; here it might hold a key.
    case .opened: return make("Opened")
    case .message(let text): return make("Message", ("text", .string(text)))
    case .binary(let bytes): return make("Binary", ("data", base64(bytes)))
    case .ping(let bytes): return make("Ping", ("data", base64(bytes)))
    case .sse(let type, let data): return make("SSEData", ("type", .string(type)), ("text", .string(data)))
    case .closed(let code, let reason): return make("Closed", ("code", .int(code)), ("reason", .string(reason)))
    case .error(let kind): return make("StreamError") + members(kind)
    case .sourceText(let name, let text): return make("SourceText", ("name", .string(name)), ("text", .string(text)))
    case .sourceBytes(let name, let bytes): return make("SourceBytes", ("name", .string(name)), ("data", base64(bytes)))
    case .sourceExit(let name, let code): return make("SourceExit", ("name", .string(name)), ("code", .int(code)))
    }
  }

  private static func members(_ outcome: Recording.Outcome) -> [JSONMember] {
    switch outcome {
    case .output(let output, let error, let code, let isTruncated):
      [
        .init("outcome", "output"), .init("stdout", .string(Base64.encode(output))),
        .init("stderr", .string(Base64.encode(error))), .init("code", .int(code)),
        .init("truncated", .bool(isTruncated)),
      ]
    case .failed(let failed):
      [.init("outcome", "failed"), .init("error", .string(failed.code)), .init("message", .string(failed.message))]
        + (failed.hint.map { [.init("hint", .string($0))] } ?? [])
    case .cancelled: [.init("outcome", "cancelled")]
    }
  }

  private static func members(_ fact: Recording.ExchangeFact) -> [JSONMember] {
    switch fact {
    case .head(let status, let headers):
      let values = headers.map { JSONMember($0.name, .string($0.value)) }
      return [.init("head", .int(status)), .init("headers", .object(values))]
    case .body(let bytes):
      // A piece that ends inside a character is no text.
      guard let text = String(validating: bytes, as: UTF8.self) else {
        return [.init("data", .string(Base64.encode(bytes)))]
      }
      return [.init("body", .string(text))]
    case .finished(nil): return [.init("finished", true)]
    case .finished(let failure?):
      return [.init("failed", .string(failure.code)), .init("detail", .string(failure.detail))]
    case .cancelled: return [.init("cancelled", true)]
    }
  }

  private static func members(_ kind: StreamErrorKind) -> [JSONMember] {
    [.init("error", .string(kind.code)), .init("message", .string(kind.message))]
  }

  // MARK: Reading

  static func checkHeader(_ text: ArraySlice<UInt8>) throws(RecordingFailure) {
    guard let value = try? JSONValue.parse(Array(text)), value["weir"]?.string == "recording" else {
      throw RecordingFailure(line: 1, "this is no recording of Weir")
    }
    guard value["version"]?.int == Recording.version else {
      throw RecordingFailure(line: 1, "this build reads version \(Recording.version) only")
    }
  }

  static func decode(_ text: ArraySlice<UInt8>, line: Int) throws(RecordingFailure) -> Recording.Line {
    let fields: Fields
    do throws(JSONFailure) {
      fields = Fields(value: try JSONValue.parse(Array(text)), line: line)
    } catch {
      throw RecordingFailure(line: line, "\(error.message)")
    }
    if fields.has("take") { return .take(try fields.int("take")) }
    let source = try fields.int("source")
    if fields.has("kind") {
      return .source(
        source, kind: try fields.string("kind"), name: try fields.string("name"),
        failure: fields.has("error") ? try fields.failure() : nil)
    }
    let at = try fields.int("at")
    guard (0...Int(Duration.textLimit.nanoseconds / 1000)).contains(at) else { throw fields.refuse("at") }
    if fields.has("end") { return .end(at: at, source: source) }
    if fields.has("outcome") { return .outcome(at: at, source: source, try outcome(fields)) }
    if fields.has("write") {
      guard let failure = ProcessInputFailure(code: try fields.string("error")) else { throw fields.refuse("error") }
      return .refusedWrite(at: at, source: source, write: try fields.int("write"), failure)
    }
    if let fact = try exchange(fields) { return .exchange(at: at, source: source, fact) }
    if fields.has("deadline") { return .deadline(at: at, source: source, try fields.string("deadline")) }
    return .event(at: at, source: source, try event(fields))
  }

  private static func event(_ fields: Fields) throws(RecordingFailure) -> StreamEvent {
    switch try fields.string("event") {
    case "Opened": .opened(url: "")
    case "Message": .message(try fields.string("text"))
    case "Binary": .binary(try fields.bytes())
    case "Ping": .ping(try fields.bytes())
    case "SSEData": .sse(type: try fields.string("type"), data: try fields.string("text"))
    case "Closed": .closed(code: try fields.int("code"), reason: try fields.string("reason"))
    case "StreamError": .error(try fields.failure())
    case "SourceText": .sourceText(source: try fields.string("name"), try fields.string("text"))
    case "SourceBytes": .sourceBytes(source: try fields.string("name"), try fields.bytes())
    case "SourceExit": .sourceExit(source: try fields.string("name"), code: try fields.int("code"))
    default: throw fields.refuse("event")
    }
  }

  private static func exchange(_ fields: Fields) throws(RecordingFailure) -> Recording.ExchangeFact? {
    if fields.has("head") {
      let status = try fields.int("head")
      guard (100...999).contains(status) else { throw fields.refuse("head") }
      return .head(status, try fields.headers())
    }
    if fields.has("body") { return .body(Array(try fields.string("body").utf8)) }
    if fields.has("finished") { return .finished(nil) }
    if fields.has("cancelled") { return .cancelled }
    if fields.has("failed") {
      guard let failure = NetworkFailure(code: try fields.string("failed"), detail: try fields.string("detail")) else {
        throw fields.refuse("failed")
      }
      return .finished(failure)
    }
    return fields.has("data") && !fields.has("event") ? .body(try fields.bytes()) : nil
  }

  private static func outcome(_ fields: Fields) throws(RecordingFailure) -> Recording.Outcome {
    switch try fields.string("outcome") {
    case "output":
      return .output(
        try fields.bytes("stdout"), error: try fields.bytes("stderr"), code: try fields.int("code"),
        isTruncated: try fields.bool("truncated"))
    case "failed":
      let hint = fields.has("hint") ? try fields.string("hint") : nil
      return .failed(.init(code: try fields.string("error"), message: try fields.string("message"), hint: hint))
    case "cancelled": return .cancelled
    default: throw fields.refuse("outcome")
    }
  }

  private struct Fields {
    let value: JSONValue
    let line: Int

    func has(_ name: String) -> Bool { value[name] != nil }
    func refuse(_ name: String) -> RecordingFailure {
      RecordingFailure(line: line, "\"\(name)\" is missing or not what it should be")
    }
    func int(_ name: String) throws(RecordingFailure) -> Int {
      guard let number = value[name]?.int else { throw refuse(name) }
      return number
    }
    func string(_ name: String) throws(RecordingFailure) -> String {
      guard let text = value[name]?.string else { throw refuse(name) }
      return text
    }
    func bool(_ name: String) throws(RecordingFailure) -> Bool {
      guard let bool = value[name]?.bool else { throw refuse(name) }
      return bool
    }
    func bytes(_ name: String = "data") throws(RecordingFailure) -> [UInt8] {
      guard let bytes = Base64.decode(try string(name)) else { throw refuse(name) }
      return bytes
    }
    func headers() throws(RecordingFailure) -> [Recording.Header] {
      guard let members = value["headers"]?.members else { throw refuse("headers") }
      var headers: [Recording.Header] = []
      for member in members {
        guard let text = member.value.string else { throw refuse("headers") }
        headers.append(Recording.Header(member.name, text))
      }
      return headers
    }
    func failure() throws(RecordingFailure) -> StreamErrorKind {
      let message = try string("message")
      switch try string("error") {
      case "ConnectionFailed": return .connectionFailed(message)
      case "Timeout": return .timeout(message)
      case "BudgetExhausted": return .budgetExhausted(message)
      case "ProtocolError": return .protocolError(message)
      case "MessageTooLarge": return .messageTooLarge(message)
      default: throw refuse("error")
      }
    }
  }
}

extension NetworkFailure {
  /// What its code does not say of it.
  fileprivate var detail: String {
    switch self {
    case .portInUse(let address), .notPermitted(let address), .refused(let address): "\(address.host):\(address.port)"
    case .badAddress(let text), .nameNotFound(let text), .timedOut(let text), .tls(let text), .badURL(let text): text
    case .notAllowed(let text, _), .protocolViolation(let text), .unavailable(let text), .other(let text): text
    case .tooManyRedirects(let count): "\(count)"
    case .reset, .closedEarly: ""
    }
  }

  /// Of what a request to elsewhere may come to; nil for other codes.
  fileprivate init?(code: String, detail: String) {
    switch code {
    case "NameNotFound": self = .nameNotFound(host: detail)
    case "ConnectionRefused":
      guard let colon = detail.lastIndex(of: ":"), let port = Int(detail[detail.index(after: colon)...]) else {
        return nil
      }
      self = .refused(SocketAddress(host: String(detail[..<colon]), port: port))
    case "Timeout": self = .timedOut(what: detail)
    case "ConnectionReset": self = .reset
    case "ConnectionClosed": self = .closedEarly
    case "TLSError": self = .tls(detail)
    case "BadURL": self = .badURL(detail)
    case "NotAllowed": self = .notAllowed(detail, hint: "")
    case "TooManyRedirects":
      guard let count = Int(detail) else { return nil }
      self = .tooManyRedirects(count)
    case "ProtocolError": self = .protocolViolation(detail)
    case "Unavailable": self = .unavailable(detail)
    case "NetworkError": self = .other(detail)
    default: return nil
    }
  }
}
