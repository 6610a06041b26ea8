import WeirCore

/// Why a request is refused: whose rule it breaks, and the status that tells the client. After one of these the
/// connection is closed, since where the next request would begin is not known.
package enum HTTPFailure: Failure, Equatable {
  /// 400: not HTTP/1.1 as RFC 9112 has it, or a shape that two readers could understand differently.
  case malformed(String)
  /// 413
  case bodyTooLarge(limit: Int)
  /// 414
  case lineTooLong(limit: Int)
  /// 417
  case expectation
  /// 431
  case headTooLarge(String)
  /// 501
  case notImplemented(String)
  /// 505
  case version

  package var status: Int {
    switch self {
    case .malformed: 400
    case .bodyTooLarge: 413
    case .lineTooLong: 414
    case .expectation: 417
    case .headTooLarge: 431
    case .notImplemented: 501
    case .version: 505
    }
  }

  package var code: String {
    switch self {
    case .malformed: "BadRequest"
    case .bodyTooLarge: "BodyTooLarge"
    case .lineTooLong: "RequestLineTooLong"
    case .expectation: "ExpectationFailed"
    case .headTooLarge: "HeadTooLarge"
    case .notImplemented: "NotImplemented"
    case .version: "HTTPVersionNotSupported"
    }
  }

  package var message: String {
    switch self {
    case .malformed(let why): why
    case .bodyTooLarge(let limit): "the request body is larger than \(limit) bytes"
    case .lineTooLong(let limit): "the request line is longer than \(limit) bytes"
    case .expectation: "the only expectation that can be met is 100-continue"
    case .headTooLarge(let what): what
    case .notImplemented(let what): what
    case .version: "only HTTP/1.1 and HTTP/1.0 are spoken here"
    }
  }

  package var hint: String? {
    switch self {
    case .lineTooLong: "send long parameters in the body of a POST"
    default: nil
    }
  }
}
