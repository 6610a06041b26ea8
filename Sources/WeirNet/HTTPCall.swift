import WeirCore

/// One request to elsewhere whose whole answer is wanted: collects it within limits of size and time, answers once.
///
/// Confined to its loop. The transport holds it until the answer is complete; `cancel` ends it without an answer. Knows no
/// policy: whoever makes the request has asked whether it may be made.
package final class HTTPCall: Cancellable, HTTPResponseHandler {
  package struct Limits: Sendable {
    /// From the start to the last byte of the answer.
    package var timeout = Duration.seconds(30)
    /// Bytes of the answer's body, decompressed.
    package var response = 16 << 20
    package var redirects = 5
    package init() {}
  }

  package struct Response: Sendable {
    package var head: HTTPResponseHead
    package var body: [UInt8]
  }

  package enum Problem: Failure {
    case network(NetworkFailure)
    case timedOut(Duration)
    case tooLarge(limit: Int)

    package var code: String {
      switch self {
      case .network(let failure): failure.code
      case .timedOut: "Timeout"
      case .tooLarge: "ResponseTooLarge"
      }
    }
    package var message: String {
      switch self {
      case .network(let failure): failure.message
      case .timedOut(let limit): "no complete answer within \(limit.text)"
      case .tooLarge(let limit): "the answer is larger than \(limit) bytes"
      }
    }
    package var hint: String? { if case .network(let failure) = self { failure.hint } else { nil } }
  }

  private let limits: Limits
  private var answer: ((Result<Response, Problem>) -> Void)?
  private var exchange: (any HTTPExchange)?
  private var timer: (any Cancellable)?
  private var head: HTTPResponseHead?
  private var body: [UInt8] = []

  /// `request.redirectLimit` is set from the limits.
  @discardableResult
  package init(
    _ request: HTTPClientRequest, limits: Limits, world: World,
    _ answer: @escaping (Result<Response, Problem>) -> Void
  ) {
    self.limits = limits
    self.answer = answer
    var request = request
    request.redirectLimit = limits.redirects
    request.connectTimeout = min(request.connectTimeout, limits.timeout)
    timer = world.loop.after(limits.timeout) { [weak self] in self?.end(.failure(.timedOut(limits.timeout))) }
    exchange = world.http.start(request, handler: self)
  }

  package func cancel() {
    answer = nil
    close()
  }

  package func httpReceived(head: HTTPResponseHead) {
    self.head = head
    // A server that says so need not be listened to.
    if let length = head["content-length"].flatMap({ Int($0) }), length > limits.response {
      end(.failure(.tooLarge(limit: limits.response)))
    }
  }

  package func httpReceived(body bytes: Span<UInt8>) {
    guard answer != nil else { return }
    guard body.count + bytes.count <= limits.response else { return end(.failure(.tooLarge(limit: limits.response))) }
    bytes.withUnsafeBufferPointer { body.append(contentsOf: $0) }
  }

  package func httpFinished(_ failure: NetworkFailure?) {
    exchange = nil
    if let failure { return end(.failure(.network(failure))) }
    guard let head else { return end(.failure(.network(.closedEarly))) }
    end(.success(Response(head: head, body: body)))
  }

  private func end(_ result: Result<Response, Problem>) {
    let told = answer
    cancel()
    told?(result)
  }

  private func close() {
    timer?.cancel()
    timer = nil
    exchange?.cancel()
    exchange = nil
  }
}
