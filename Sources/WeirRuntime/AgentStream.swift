import WeirAI
import WeirCore
import WeirLang

/// A value of type `Stream[string]` that a model call feeds: what `Agent.stream` returns.
///
/// The call is under way from the beginning. Dropped before anybody took its events, it stops the call: nobody could
/// ever read them. The feed is an object of its own because the call holds its sink for as long as it runs.
final class AgentStream: PulledStream {
  let feed = AgentFeed()
  /// Made when a program first reads it.
  private(set) var pulling: StreamReader?

  deinit {
    // Nobody took it, or only a loop of the program that is over now.
    if !feed.isTaken || pulling != nil { feed.stop() }
  }

  override var isWaited: Bool { pulling?.isWaited ?? false }

  override func pull(_ answer: @escaping (Result<Value, RunFailure>) -> Void) throws(Trap) {
    try reader().next { result in answer(result.map { text in text.map { .some(.string($0)) } ?? .none }) }
  }

  override func stop() { feed.stop() }
  override func letGo() { pulling?.letGo() }

  /// For a program that reads it in a loop: the one reader, made at first use.
  func reader() throws(Trap) -> StreamReader {
    if let pulling { return pulling }
    let reader = StreamReader(feed)
    guard feed.deliver(to: reader) else {
      throw Trap("StreamTaken", "this stream was handed on already", hint: "a stream can be read once")
    }
    pulling = reader
    return reader
  }
}

/// Takes a call's events and keeps them until there is a reader; from then on hands them through.
final class AgentFeed: RunEventSink, RunSource {
  /// Events kept for a reader that has not come yet; then the provider is no longer read.
  static let bufferLimit = 256

  private var buffer: [RunEvent] = []
  private var sink: (any RunEventSink)?
  private var isEnded = false
  /// Set right after the call was started, which may have ended it already.
  var call: (any ChatCall)? {
    didSet { if isEnded { call = nil } }
  }

  var isTaken: Bool { sink != nil }

  func runEvent(_ event: RunEvent) {
    if case .end = event {
      isEnded = true
      call = nil
    }
    if let sink {
      sink.runEvent(event)
    } else {
      buffer.append(event)
      if buffer.count >= Self.bufferLimit { call?.isReading = false }
    }
  }

  /// Hands over what has come and whatever will come. False: somebody else has taken this stream already.
  func deliver(to sink: any RunEventSink) -> Bool {
    guard self.sink == nil else { return false }
    self.sink = sink
    let waiting = buffer
    buffer = []
    // First, because the reader may find that this is already as much as it holds.
    call?.isReading = true
    for event in waiting { sink.runEvent(event) }
    return true
  }

  var isReading: Bool {
    get { call?.isReading ?? false }
    set { call?.isReading = newValue }
  }

  func stop() { call?.stop() }
}
