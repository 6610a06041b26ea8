import WeirAI
import WeirCore
import WeirNet

/// Where spans go: a file with one document a line (`--trace`), a collector by OTLP/HTTP in JSON
/// (`OTEL_EXPORTER_OTLP_ENDPOINT`), or both. Neither holds up a call: what a collector does not take in time is dropped, and
/// the number of dropped spans is told at the end.
final class TraceExport: SpanSink {
  struct Options {
    /// `--trace`
    var file: String?
    var wantsContent = false
    var version = ""
  }

  /// A batch is sent when it is full or a second old.
  static let batchLimit = 64
  static let batchDelay = Duration.seconds(1)
  /// Spans that wait; further ones are dropped.
  static let queueLimit = 2_048
  /// A collector that takes longer has not taken it.
  static let timeout = Duration.seconds(5)

  let wantsContent: Bool
  private let version: String
  private let world: World
  private let secrets: Secrets
  private let file: RecordingFile?
  private let collector: HTTPClientRequest?
  private var waiting: [CallSpan] = []
  private var timer: (any Cancellable)?
  private var sending: HTTPCall?
  private var dropped = 0
  private var refused: String?
  private var closed: ((String?) -> Void)?

  /// Nil: nobody wants spans.
  init?(_ options: Options, world: World, keyVariables: Set<String>) {
    let environment = world.environment
    var secrets = Secrets()
    collector = Self.collector(environment, &secrets)
    for name in keyVariables { if let value = environment[name] { secrets.add(value) } }
    guard options.file != nil || collector != nil else { return nil }
    wantsContent = options.wantsContent
    version = options.version
    self.world = world
    self.secrets = secrets
    file = options.file.map { RecordingFile($0, world: world) }
  }

  /// The variables of OpenTelemetry's own exporters.
  private static func collector(_ environment: any Environment, _ secrets: inout Secrets) -> HTTPClientRequest? {
    func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    let own = value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    guard var url = own ?? value("OTEL_EXPORTER_OTLP_ENDPOINT") else { return nil }
    if own == nil {
      while url.hasSuffix("/") { url.removeLast() }
      url += "/v1/traces"
    }
    var headers: [(name: String, value: String)] = [("Content-Type", "application/json")]
    let written = value("OTEL_EXPORTER_OTLP_TRACES_HEADERS") ?? value("OTEL_EXPORTER_OTLP_HEADERS") ?? ""
    for pair in written.split(separator: ",") {
      // W3C Baggage: values are percent-encoded, blanks around both are nothing.
      let parts = pair.split(separator: "=", maxSplits: 1).map { part in
        var text = part.drop { $0 == " " }
        while text.last == " " { text.removeLast() }
        return text
      }
      guard parts.count == 2 else { continue }
      let (name, value) = (String(parts[0]), String(decoding: PercentEncoding.decode(parts[1]), as: UTF8.self))
      guard HeaderText.isName(name), HeaderText.isValue(value) else { continue }
      headers.append((name, value))
    }
    secrets = Secrets(headers: headers)
    return HTTPClientRequest(method: "POST", url: url, headers: headers)
  }

  /// Before anything runs, so that a file which cannot be written is not found out at the end.
  func open(_ answer: @escaping (DiskFailure?) -> Void) {
    guard let file else { return answer(nil) }
    file.open(answer)
  }

  func ended(_ span: CallSpan) {
    if let file { file.append(Array((text([span]) + "\n").utf8)) }
    guard collector != nil else { return }
    guard waiting.count < Self.queueLimit else {
      dropped += 1
      return
    }
    waiting.append(span)
    if waiting.count >= Self.batchLimit {
      send()
    } else if timer == nil {
      timer = world.loop.after(Self.batchDelay) { [weak self] in
        self?.timer = nil
        self?.send()
      }
    }
  }

  /// Where a secret could be: what somebody said. Numbers, times and names of fields are our own.
  private func redacted(_ span: CallSpan) -> CallSpan {
    var span = span
    if let failure = span.failure { span.failure?.message = secrets.redact(failure.message) }
    span.answeredModel = span.answeredModel.map(secrets.redact)
    span.input = span.input.map(secrets.redact)
    span.output = span.output.map(secrets.redact)
    return span
  }

  private func text(_ spans: [CallSpan]) -> String {
    CallSpan.document(spans.map(redacted), version: version).text
  }

  private func send() {
    guard sending == nil, var request = collector, !waiting.isEmpty else { return told() }
    let batch = Array(waiting.prefix(Self.batchLimit))
    waiting.removeFirst(batch.count)
    request.body = Array(text(batch).utf8)
    var limits = HTTPCall.Limits()
    limits.timeout = Self.timeout
    sending = HTTPCall(request, limits: limits, world: world) { [weak self] result in
      guard let self else { return }
      sending = nil
      switch result {
      case .success(let answer) where (200..<300).contains(answer.head.status): break
      case .success(let answer): lost(batch.count, "it answered HTTP \(answer.head.status)")
      case .failure(let problem): lost(batch.count, problem.message)
      }
      send()
    }
  }

  private func lost(_ count: Int, _ why: String) {
    dropped += count
    refused = why
    // A collector that is not there is not asked again for each batch of the rest.
    if closed != nil {
      dropped += waiting.count
      waiting = []
    }
  }

  /// Calls back when everything is out or given up, with what there is to complain of.
  func close(_ done: @escaping (String?) -> Void) {
    timer?.cancel()
    closed = done
    send()
  }

  private func told() {
    guard sending == nil, waiting.isEmpty, let done = closed.take() else { return }
    var complaint: String?
    if dropped > 0 {
      complaint = "spans that did not reach the collector: \(dropped)"
      if let refused { complaint = "\(complaint ?? "") (\(secrets.redact(refused)))" }
    }
    guard let file else { return done(complaint) }
    file.close { failure in done(failure.map { "the trace is not complete: \($0.message)" } ?? complaint) }
  }
}
