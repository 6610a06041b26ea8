import WeirCore

/// Requests that are made as ever, and written down: bytes as they came, cut where they were cut. Nothing that was sent is in it.
package final class RecordedTransport: HTTPTransport {
  static let kind = "exchange"
  /// What an answer's meaning may hang on; all others stay out.
  static let headers = ["content-type", "content-encoding", "retry-after", "retry-after-ms"]

  private let inner: any HTTPTransport
  private let recorder: StreamRecorder

  package init(_ inner: any HTTPTransport, _ recorder: StreamRecorder) {
    self.inner = inner
    self.recorder = recorder
  }

  /// The method and the URL without what may be secret in it.
  static func name(_ request: HTTPClientRequest) -> String {
    request.method + " " + ((try? URLParts(request.url))?.shown ?? "(not a URL)")
  }

  package func start(_ request: HTTPClientRequest, handler: any HTTPResponseHandler) -> any HTTPExchange {
    recorder.hide(request.secrets)
    let exchange = RecordedExchange(
      recorder, recorder.began(kind: Self.kind, name: Self.name(request)), handler: handler)
    exchange.inner = inner.start(request, handler: exchange)
    return exchange
  }
}

/// Between a request and who made it. A secret that the provider says back may be cut anywhere, so the piece that ends in what
/// may be the beginning of one waits for the next.
private final class RecordedExchange: HTTPExchange, HTTPResponseHandler {
  private let recorder: StreamRecorder
  private let source: Int
  private var handler: (any HTTPResponseHandler)?
  var inner: (any HTTPExchange)?
  private var waiting: [(at: Int, count: Int)] = []
  private var bytes: [UInt8] = []

  init(_ recorder: StreamRecorder, _ source: Int, handler: any HTTPResponseHandler) {
    self.recorder = recorder
    self.source = source
    self.handler = handler
  }

  var isReading: Bool {
    get { inner?.isReading ?? false }
    set { inner?.isReading = newValue }
  }

  func cancel() {
    guard handler != nil else { return }
    write(keeping: 0)
    recorder.heard(source, at: recorder.elapsed, .cancelled)
    handler = nil
    inner?.cancel()
    inner = nil
  }

  func httpReceived(head: HTTPResponseHead) {
    let kept = RecordedTransport.headers.compactMap { name in head[name].map { Recording.Header(name, $0) } }
    recorder.heard(source, at: recorder.elapsed, .head(head.status, kept))
    handler?.httpReceived(head: head)
  }

  func httpReceived(body: Span<UInt8>) {
    waiting.append((recorder.elapsed, body.count))
    body.withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    write(keeping: recorder.openCount(in: bytes))
    handler?.httpReceived(body: body)
  }

  func httpFinished(_ failure: NetworkFailure?) {
    write(keeping: 0)
    recorder.heard(source, at: recorder.elapsed, .finished(failure))
    let told = handler
    handler = nil
    inner = nil
    told?.httpFinished(failure)
  }

  /// Writes every piece down of which nothing is among the last `open` bytes.
  private func write(keeping open: Int) {
    if waiting.isEmpty { return }
    // Invariant: what is masked is whole, since the beginning of what may follow stays here.
    recorder.mask(&bytes)
    var start = 0
    while let (at, count) = waiting.first, start + count <= bytes.count - open {
      recorder.heard(source, at: at, .body(Array(bytes[start..<(start + count)])))
      start += count
      waiting.removeFirst()
    }
    bytes.removeFirst(start)
  }
}
