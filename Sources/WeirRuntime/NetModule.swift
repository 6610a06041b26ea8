import WeirAI
import WeirCore
import WeirLang
import WeirNet

/// `std/net`: requests over the world's HTTP transport. Whatever goes wrong is a value; no status is an error.
enum NetModule {
  static let errorType = TypeTag(
    192, "NetError", ["BadRequest", "NotAllowed", "ConnectionFailed", "Timeout", "TooLarge"])
  static let header = RecordTag(192, ["name", "value"])
  static let response = RecordTag(193, ["body", "data", "headers", "status"])

  static var module: LibraryModule {
    LibraryModule(
      name: "std/net",
      source: """
        // HTTP requests whose whole answer is read at once.
        //
        // An answer of any status is `Ok`. Redirects are followed (`--net-redirects`, 5), the answer may have 16 MiB
        // (`--net-max-response`) and must be complete within 30 seconds (`--net-timeout`). For answers that are written
        // piece by piece see std/stream and std/ai/streaming.
        import std/string

        /// Why there is no answer: the request makes no sense, is not allowed here, could not be sent or was cut off, took
        /// too long, or its answer is larger than may be read.
        export type NetError = BadRequest(string) | NotAllowed(string) | ConnectionFailed(string) | Timeout(string)
          | TooLarge(string)
        /// A header of a request or an answer. Names of an answer are as the server wrote them.
        export type HttpHeader = {name: string, value: string}
        /// An answer: `data` as it came, `body` the same as text (what is not UTF-8 becomes U+FFFD).
        export type HttpResponse = {status: int, headers: [HttpHeader], body: string, data: bytes}

        /// Asks for a page or document.
        export func httpGet(url: string) -> Result[HttpResponse, NetError] ! {Net} { httpRequest("GET", url, [], "") }
        /// Sends a body, JSON unless `contentType` says otherwise.
        export func httpPost(
          url: string, body: string, contentType: string = "application/json"
        ) -> Result[HttpResponse, NetError] ! {Net} {
          httpRequest("POST", url, [{name: "Content-Type", value: contentType}], body)
        }
        /// Any method, with headers; an empty body is none.
        export extern func httpRequest(
          method: string, url: string, headers: [HttpHeader], body: string
        ) -> Result[HttpResponse, NetError] ! {Net}
        /// The value of an answer's first header of this name, in whatever case it is written.
        export func headerOf(response: HttpResponse, name: string) -> Option[string] {
          for header in response.headers { if string.toLower(header.name) == string.toLower(name) { return Some(header.value) } }
          None
        }
        """,
      natives: [
        raw("httpRequest", arity: 4) { arguments, context in
          let instance = try ProgramInstance.of(context)
          let request: HTTPClientRequest
          do {
            request = try NetModule.request(
              method: arguments.get(0), url: arguments.get(1), headers: headers(arguments[2], context),
              body: arguments.get(3), policy: instance.options.network)
          } catch let refusal as Refusal {
            return .value(.err(error(refusal.kind, refusal.message)))
          }
          let suspension = context.suspend()
          let call = HTTPCall(request, limits: instance.options.net, world: instance.world) { result in
            switch result {
            case .success(let answer): suspension.resume(.ok(value(answer)))
            case .failure(let problem): suspension.resume(.err(value(problem)))
            }
          }
          suspension.onCancel { call.cancel() }
          return .suspended
        }
      ],
      types: [errorType],
      records: [header, response])
  }
}

extension NetModule {
  /// Why a request is not sent at all.
  struct Refusal: Error {
    var kind: String
    var message: String
  }

  /// The same policy decides again about every redirect and address, where they are dialled.
  private static func admit(_ url: String, _ policy: NetworkPolicy) throws(Refusal) {
    do throws(NetworkFailure) {
      _ = try policy.permit(URLParts(url, schemes: ["http", "https"]))
    } catch {
      throw Refusal(kind: kind(of: error), message: words(error))
    }
  }

  private static func request(
    method: String, url: String, headers: [(name: String, value: String)], body: String, policy: NetworkPolicy
  ) throws(Refusal) -> HTTPClientRequest {
    try admit(url, policy)
    guard HeaderText.isName(method) else { throw Refusal(kind: "BadRequest", message: "not a method") }
    for header in headers {
      guard HeaderText.isName(header.name), HeaderText.isValue(header.value) else {
        // The value may be a secret.
        throw Refusal(kind: "BadRequest", message: "the header \(JSONValue.string(header.name).text) cannot be sent")
      }
      if ["content-length", "transfer-encoding"].contains(header.name.lowercased()) {
        throw Refusal(kind: "BadRequest", message: "the header \(header.name) is not the program's to send")
      }
    }
    var request = HTTPClientRequest(
      method: method, url: url, headers: headers, body: body.isEmpty ? nil : Array(body.utf8))
    request.policy = policy
    return request
  }

  private static func headers(_ value: Value, _ context: NativeContext) throws -> [(name: String, value: String)] {
    guard let list = value.asList else { throw Trap.badArgument(2, wanted: "a list", value) }
    return try list.array.map { item in
      let record = try RecordReader(item, context)
      return (try record.string("name") ?? "", try record.string("value") ?? "")
    }
  }

  private static func value(_ answer: HTTPCall.Response) -> Value {
    let headers = answer.head.headers.map { header.value(["name": .string($0.name), "value": .string($0.value)]) }
    return response.value([
      "body": .string(String(decoding: answer.body, as: UTF8.self)), "data": .bytes(answer.body),
      "headers": .list(List(headers)), "status": .int(answer.head.status),
    ])
  }

  private static func value(_ problem: HTTPCall.Problem) -> Value {
    switch problem {
    case .timedOut: error("Timeout", problem.message)
    case .tooLarge: error("TooLarge", problem.message)
    case .network(let failure): error(kind(of: failure), words(failure))
    }
  }

  private static func kind(of failure: NetworkFailure) -> String {
    switch failure {
    case .timedOut: "Timeout"
    case .badURL: "BadRequest"
    case .notAllowed: "NotAllowed"
    default: "ConnectionFailed"
    }
  }

  /// A refusal says what would allow it.
  private static func words(_ failure: NetworkFailure) -> String {
    guard case .notAllowed(let what, let hint) = failure else { return failure.message }
    return "\(what); \(hint)"
  }

  private static func error(_ kind: String, _ message: String) -> Value {
    guard let constructor = errorType[kind] else { preconditionFailure("no NetError.\(kind)") }
    return .variant(constructor, Fields.of([.string(message)]))
  }
}
