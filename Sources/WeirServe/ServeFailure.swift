import WeirCore
import WeirStore

/// What the server can object to in a request, each with its HTTP status. The body is always
/// `{"error": {"code", "message", "hint"}}`, so a client needs one way to read errors.
package enum ServeFailure: Failure, Equatable {
  case notFound(path: String)
  case methodNotAllowed(method: String, path: String, allow: [String])
  case notAcceptable(accept: String, offered: [String])
  case unsupportedMediaType(String)
  case unsupportedContentCoding(String)
  case bodyTooLarge(limit: Int)
  case badBody(String)
  case badQuery(String)
  case missingArgument(name: String, type: String)
  case badArgument(name: String, type: String, found: String)
  case badFormat(String)
  case badOffset(String)
  case runNotFound(String)
  case runElsewhere(String)
  case sessionNotFound(String)
  case sessionBusy(String)
  case streamNotFound(String)
  case badStreamName(String)
  case badStreamBody(String)
  case badHeader(String)
  case badLink(String)
  case notInLink(String)
  case store(StoreFailure)
  case unauthorized
  case forbiddenOrigin(String)
  case forbiddenHost(String)
  case tooManyReaders(limit: Int)
  case storeUnavailable(String)
  case backendUnavailable(address: String, why: String)
  case badBackend(String)
  case stopping

  package var status: Int {
    switch self {
    case .notFound, .runNotFound, .sessionNotFound, .streamNotFound: 404
    case .methodNotAllowed: 405
    case .sessionBusy, .runElsewhere: 409
    case .notAcceptable: 406
    case .unsupportedMediaType, .unsupportedContentCoding: 415
    case .bodyTooLarge: 413
    case .badBody, .badQuery, .missingArgument, .badArgument, .badFormat, .badOffset,
      .badStreamName, .badStreamBody, .badHeader, .badBackend:
      400
    case .unauthorized: 401
    case .forbiddenOrigin, .badLink, .notInLink: 403
    case .forbiddenHost: 421
    case .tooManyReaders, .storeUnavailable, .stopping: 503
    case .backendUnavailable: 502
    case .store(let failure): Self.status(of: failure)
    }
  }

  /// As the Durable Streams Protocol has it (4.2, 5).
  private static func status(of failure: StoreFailure) -> Int {
    switch failure {
    case .notFound: 404
    case .gone: 410
    case .conflict, .ended, .otherContentType, .producerGap, .sequenceRegression: 409
    case .staleProducer: 403
    case .beyondTail, .badFork, .badFirstSequence, .badName: 400
    case .full: 507
    case .tooLarge: 413
    case .damaged: 500
    case .held, .takenOver, .folder, .unavailable: 503
    }
  }

  package var code: String {
    switch self {
    case .notFound: "NotFound"
    case .methodNotAllowed: "MethodNotAllowed"
    case .notAcceptable: "NotAcceptable"
    case .unsupportedMediaType: "UnsupportedMediaType"
    case .unsupportedContentCoding: "UnsupportedContentCoding"
    case .bodyTooLarge: "BodyTooLarge"
    case .badBody: "BadBody"
    case .badQuery: "BadQuery"
    case .missingArgument: "MissingArgument"
    case .badArgument: "BadArgument"
    case .badFormat: "BadFormat"
    case .badOffset: "BadOffset"
    case .runNotFound: "RunNotFound"
    case .runElsewhere: "RunElsewhere"
    case .sessionNotFound: "SessionNotFound"
    case .sessionBusy: "SessionBusy"
    case .streamNotFound: "StreamNotFound"
    case .badStreamName: "BadStreamName"
    case .badStreamBody: "BadStreamBody"
    case .badHeader: "BadHeader"
    case .badLink: "BadLink"
    case .notInLink: "NotInLink"
    case .store(let failure): failure.code
    case .unauthorized: "Unauthorized"
    case .forbiddenOrigin: "ForbiddenOrigin"
    case .forbiddenHost: "ForbiddenHost"
    case .tooManyReaders: "TooManyReaders"
    case .storeUnavailable: "StoreUnavailable"
    case .backendUnavailable: "BackendUnavailable"
    case .badBackend: "BadBackend"
    case .stopping: "ServerStopping"
    }
  }

  package var message: String {
    switch self {
    case .notFound(let path): "nothing is served at \(path)"
    case .methodNotAllowed(let method, let path, _): "\(path) does not answer \(method)"
    case .notAcceptable(let accept, let offered):
      "\"\(accept)\" accepts none of what this route can send (\(offered.joined(separator: ", ")))"
    case .unsupportedMediaType(let type): "a body of type \"\(type)\" can't be read as arguments"
    case .unsupportedContentCoding(let coding): "a body in the coding \"\(coding)\" is not taken"
    case .bodyTooLarge(let limit): "the body is larger than \(limit) bytes"
    case .badBody(let why): "the body can't be read: \(why)"
    case .badQuery(let why): "the query can't be read: \(why)"
    case .missingArgument(let name, let type): "the argument \"\(name)\" (\(type)) is missing"
    case .badArgument(let name, let type, let found): "the argument \"\(name)\" must be \(type), not \(found)"
    case .badFormat(let name): "there is no output format \"\(name)\""
    case .badOffset(let text): "\"\(text)\" is not a place in a stream"
    case .runNotFound(let id): "no run \"\(id)\""
    case .runElsewhere(let id): "run \"\(id)\" has not ended, and this process does not run it"
    case .sessionNotFound(let id): "no session \"\(id)\""
    case .sessionBusy(let id): "a run of session \"\(id)\" is still under way"
    case .streamNotFound(let name): "no stream \"\(name)\""
    case .badStreamName(let why): why
    case .badStreamBody(let why): "the body can't be appended: \(why)"
    case .badHeader(let why): why
    case .badLink(let why): "this link is not good: \(why)"
    case .notInLink(let what): "this link does not give the right to \(what)"
    case .store(let failure): failure.message
    case .unauthorized: "this server needs its token"
    case .forbiddenOrigin(let origin): "a page from \(origin) may not change anything here"
    case .forbiddenHost(let host): "this server does not answer to the name \"\(host)\""
    case .tooManyReaders(let limit): "\(limit) readers are connected already"
    case .storeUnavailable(let why): why
    case .backendUnavailable(let address, let why): "the backend \(address) does not answer: \(why)"
    case .badBackend(let what): "not usable as backends: \(what)"
    case .stopping: "the server is stopping"
    }
  }

  package var hint: String? {
    switch self {
    case .notFound: "GET /_weir/workflows lists what there is"
    case .methodNotAllowed(_, _, let allow): "use \(allow.joined(separator: " or "))"
    case .notAcceptable(_, let offered): "ask for \(offered.first ?? "*/*"), or leave Accept out"
    case .unsupportedContentCoding: "send it without Content-Encoding"
    case .unsupportedMediaType: "send application/json, or application/x-www-form-urlencoded"
    case .bodyTooLarge: "the limit is --max-body"
    case .badBody: "send one JSON object with the arguments as members, as Content-Type: application/json"
    case .badQuery: "write name=value pairs joined by &, percent-encoded"
    case .missingArgument(let name, _): "add \"\(name)\" to the body, or to the query string"
    case .badFormat: "use one of \(OutputFormat.allCases.map(\.rawValue).joined(separator: ", "))"
    case .badOffset: "use -1 for the beginning, or an offset or event id that this server sent"
    case .runNotFound, .sessionNotFound: "it may have left the index; its stream is still there by its own name"
    case .runElsewhere: "stop it at the server that started it"
    case .unauthorized: "send Authorization: Bearer <token>"
    case .forbiddenOrigin: "call from the server's own page, or from outside a browser"
    case .forbiddenHost: "use the address it was started with, or name the host with --allow-host"
    case .tooManyReaders: "the limit is --max-readers"
    case .sessionBusy: "stop it first"
    case .backendUnavailable: "is the server running there?"
    case .badBackend: "name each as host:port"
    case .badStreamBody: "send bytes; to a stream of application/json one value, or an array of messages"
    case .badLink, .notInLink: "ask whoever gave it to you for another one"
    case .store(let failure): failure.hint
    case .badHeader: "docs/durable-http.md has the headers"
    case .badArgument, .streamNotFound, .badStreamName, .storeUnavailable, .stopping: nil
    }
  }
}
