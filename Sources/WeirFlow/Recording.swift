import WeirCore

/// What the sources of a program yielded, when, and in which order its loops took it. As text, one JSON object a line:
///
///     {"weir":"recording","version":1}
///     {"source":1,"kind":"stdin","name":"typed"}                                 opened; sources count from 1
///     {"source":2,"kind":"connect","name":"wss://a.test/x","error":"Timeout","message":"…"}   could not be opened
///     {"at":15230,"source":1,"event":"SourceText","text":"hello"}                arrived: µs after the start
///     {"take":1}                                                                 a loop took its oldest event
///     {"at":60015230,"source":1,"deadline":"idle timeout after 1m0s"}            a loop that reads it was ended
///     {"at":60015300,"source":1,"end":true}                                      nothing more arrived
///     {"source":3,"kind":"exec","name":"uname"}                                  a program: `exec`, `spawnProcess`, or a source
///     {"at":60020000,"source":3,"outcome":"output","stdout":"TGludXgK","stderr":"","code":0,"truncated":false}
///     {"at":60020000,"source":3,"outcome":"failed","error":"NotFound","message":"…"}      or: it did not run, or not to its end
///     {"at":60020000,"source":3,"outcome":"cancelled"}                                    or: nobody waits for it any more
///     {"at":60020000,"source":4,"write":7,"error":"WriteBufferFull"}             its eighth write was not taken
///     {"source":5,"kind":"exchange","name":"POST https://a.test/v1/chat"}        a request to a model's provider
///     {"at":60030000,"source":5,"head":200,"headers":{"content-type":"text/event-stream"}}
///     {"at":60031000,"source":5,"body":"data: {\"choices\":…"}                   bytes as one read gave them; `data` in base64 if no text
///     {"at":60040000,"source":5,"finished":true}                                 as its framing says; or "failed" and "detail"
///     {"at":60040000,"source":5,"cancelled":true}                                or: nobody wanted more
///
/// Nothing that was sent is in it: no header, no query of a URL, no argument. `RecordingCodec` reads and writes lines, `StreamRecorder`
/// makes a recording, `Replay` plays one.
package struct Recording: Equatable, Sendable {
  package static let version = 1
  /// A larger file is refused: it is read whole.
  package static let byteLimit = 256 << 20
  package static let sourceLimit = 1_000_000

  package enum Line: Equatable, Sendable {
    case source(Int, kind: String, name: String, failure: StreamErrorKind?)
    case event(at: Int, source: Int, StreamEvent)
    case take(Int)
    case deadline(at: Int, source: Int, String)
    case end(at: Int, source: Int)
    case outcome(at: Int, source: Int, Outcome)
    case refusedWrite(at: Int, source: Int, write: Int, ProcessInputFailure)
    case exchange(at: Int, source: Int, ExchangeFact)
  }

  /// What came of a request, in this order: perhaps a head, then pieces of its body, then one of the last two.
  package enum ExchangeFact: Equatable, Sendable {
    case head(Int, [Header])
    case body([UInt8])
    case finished(NetworkFailure?)
    case cancelled
  }

  package struct Header: Equatable, Sendable {
    package var name: String
    package var value: String
    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// What came of a program that was started.
  package enum Outcome: Equatable, Sendable {
    case output([UInt8], error: [UInt8], code: Int, isTruncated: Bool)
    case failed(Failed)
    case cancelled
  }

  package struct Failed: Failure, Equatable {
    package let code: String
    package let message: String
    package let hint: String?
    package init(code: String, message: String, hint: String? = nil) {
      self.code = code
      self.message = message
      self.hint = hint
    }
    package init(_ failure: any Failure) {
      self.init(code: failure.code, message: failure.message, hint: failure.hint)
    }
  }

  package struct Source: Equatable, Sendable {
    package var kind: String
    package var name: String
    package var failure: StreamErrorKind?
    /// Its lines with their places in the file, ascending.
    package var entries: [Entry] = []
    package var outcome: Outcome?
    /// When that was known, in µs after the start.
    package var outcomeAt = 0
    package var refusedWrites: [Int: ProcessInputFailure] = [:]
    /// Of a request: its own order of time, since what may hold a secret is written down a little later.
    package var exchange: [Timed] = []
  }

  package struct Timed: Equatable, Sendable {
    package var at: Int
    package var fact: ExchangeFact
  }

  package struct Entry: Equatable, Sendable {
    package var place: Int
    package var fact: Fact
  }

  package enum Fact: Equatable, Sendable {
    case event(at: Int, StreamEvent)
    case take
    case deadline(at: Int, String)
    case end(at: Int)
  }

  package private(set) var sources: [Source] = []

  /// Reads a whole file. Every line is checked: recordings come from elsewhere. A last line without its end is what a
  /// process that was killed leaves, and is left out.
  package init(_ bytes: [UInt8]) throws(RecordingFailure) {
    var start = 0
    var number = 0
    var last = 0
    var waiting: [Int] = []
    while let end = bytes[start...].firstIndex(of: 0x0A) {
      number += 1
      let text = bytes[start..<end]
      start = end + 1
      if number == 1 {
        try RecordingCodec.checkHeader(text)
        continue
      }
      func refuse(_ why: String) -> RecordingFailure { RecordingFailure(line: number, why) }
      func known(_ source: Int, _ at: Int?) throws(RecordingFailure) -> Int {
        guard sources.indices.contains(source - 1) else { throw refuse("there is no source \(source) yet") }
        guard sources[source - 1].failure == nil else { throw refuse("source \(source) was never open") }
        if let at {
          guard at >= last else { throw refuse("time goes back: \(at) after \(last)") }
          last = at
        }
        return source - 1
      }
      switch try RecordingCodec.decode(text, line: number) {
      case .source(let source, let kind, let name, let failure):
        guard source == sources.count + 1 else { throw refuse("source \(source) comes after \(sources.count)") }
        guard source <= Self.sourceLimit else { throw refuse("more than \(Self.sourceLimit) sources") }
        sources.append(Source(kind: kind, name: name, failure: failure))
        waiting.append(0)
      case .event(let at, let source, let event):
        let place = try known(source, at)
        if case .end = sources[place].entries.last?.fact { throw refuse("an event after the end of source \(source)") }
        waiting[place] += 1
        sources[place].entries.append(Entry(place: number, fact: .event(at: at, event)))
      case .take(let source):
        let place = try known(source, nil)
        guard waiting[place] > 0 else { throw refuse("source \(source) has no event to take") }
        waiting[place] -= 1
        sources[place].entries.append(Entry(place: number, fact: .take))
      case .deadline(let at, let source, let message):
        sources[try known(source, at)].entries.append(Entry(place: number, fact: .deadline(at: at, message)))
      case .outcome(let at, let source, let outcome):
        let place = try known(source, at)
        guard sources[place].outcome == nil else { throw refuse("source \(source) has an outcome already") }
        sources[place].outcome = outcome
        sources[place].outcomeAt = at
      case .refusedWrite(let at, let source, let write, let failure):
        sources[try known(source, at)].refusedWrites[write] = failure
      case .exchange(let at, let source, let fact):
        let place = try known(source, nil)
        guard Self.canFollow(fact, at, sources[place].exchange.last) else {
          throw refuse("that does not follow what source \(source) had")
        }
        sources[place].exchange.append(Timed(at: at, fact: fact))
      case .end(let at, let source):
        sources[try known(source, at)].entries.append(Entry(place: number, fact: .end(at: at)))
      }
    }
    if number == 0 { throw RecordingFailure(line: 1, "the first line is missing") }
  }

  private static func canFollow(_ fact: ExchangeFact, _ at: Int, _ last: Timed?) -> Bool {
    if let last, at < last.at { return false }
    switch (last?.fact, fact) {
    case (.finished, _), (.cancelled, _), (nil, .body): return false
    case (nil, _), (_, .finished), (_, .cancelled), (_, .body): return true
    case (_, .head): return false
    }
  }
}

/// A file that is no recording; `line` counts from 1.
package struct RecordingFailure: Failure, Equatable {
  package let line: Int
  private let why: String
  init(line: Int, _ why: String) {
    self.line = line
    self.why = why
  }
  package var code: String { "BadRecording" }
  package var message: String { "line \(line) of the recording: \(why)" }
  package var hint: String? { "recordings are made by `weir run --record FILE`" }
}
