import WeirAI
import WeirCore
import WeirLang

/// `std/stream` (spec/streams.md). So far this build runs what a program needs to read a model's answer piece by piece;
/// connections, sources and the event loop are declared, so that programs that use them can be checked.
enum StreamModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/stream",
      source: """
        /// Values that come one after the other, while they are made. `for x in s { … }` reads it.
        export extern type Stream[a]
        /// The next value, once it is there; `None` at the end. A stream that failed stops the program with its error:
        /// an answer that was cut off never looks complete.
        export extern func next[a](stream: Stream[a]) -> Option[a] ! {Stream}

        /// An open connection: WebSocket or server-sent events.
        export extern type StreamConn
        /// Something that `selectEvents` reads: a connection, a process, standard input, a timer.
        export extern type StreamSource

        /// Why a connection could not be made, or ended.
        export type StreamErrorKind = ConnectionFailed(string) | Timeout(string) | BudgetExhausted(string)
          | ProtocolError(string) | MessageTooLarge(string)
        /// What a handler is given. More cases may come: end a `match` with `_ => …`. @open
        export type StreamEvent = Message(string) | Binary(string) | Opened(string) | Closed(int, string)
          | StreamError(StreamErrorKind) | Ping(string) | SSEData(string, string) | SourceText(string, string)
          | SourceBytes(string, bytes)
        export type StreamStatus = Connecting | Open | Closing | StreamClosed
        export type StreamHeader = {name: string, value: string}
        export type StreamConfig = {
          headers: [StreamHeader], subprotocols?: [string], reconnect?: {max: int, backoffMs: int}
        }

        /// Headers: none; everything else as it is when it is left out.
        export func defaultConfig() -> StreamConfig { {headers: []} }
        /// Opens a WebSocket.
        export extern func connect(url: string, config: StreamConfig) -> Result[StreamConn, StreamErrorKind] ! {Stream}
        /// Reads server-sent events of a GET.
        export extern func sseConnect(url: string, config: StreamConfig) -> Result[StreamConn, StreamErrorKind] ! {Stream}
        /// Reads server-sent events that answer a POST.
        export extern func ssePost(
          url: string, body: string, config: StreamConfig
        ) -> Result[StreamConn, StreamErrorKind] ! {Stream}
        export extern func transmit(conn: StreamConn, text: string) -> Result[unit, StreamErrorKind] ! {Stream}
        export extern func transmitBinary(conn: StreamConn, data: bytes) -> Result[unit, StreamErrorKind] ! {Stream}
        /// Registers what is called for each event; the last one registered wins. `false` ends the loop.
        export extern func onEvent(conn: StreamConn, handler: (StreamEvent) -> bool ! e) -> unit ! {Stream, e}
        /// Delivers events until the handler says `false`, the connection ends, or a deadline passes.
        export extern func runEventLoop(conn: StreamConn) -> unit ! {Stream}
        export extern func disconnect(conn: StreamConn) -> unit ! {Stream}
        export extern func status(conn: StreamConn) -> StreamStatus ! {Stream}
        /// Connects, runs the loop with this handler, disconnects.
        export extern func withStream(
          url: string, handler: (StreamEvent) -> bool ! e
        ) -> Result[StreamConn, StreamErrorKind] ! {Stream, e}
        /// The same for server-sent events.
        export extern func withSSE(
          url: string, handler: (StreamEvent) -> bool ! e
        ) -> Result[StreamConn, StreamErrorKind] ! {Stream, e}

        /// A connection as one of several sources; of a higher priority it is asked first.
        export extern func sourceOfConn(conn: StreamConn, name: string, priority: int) -> StreamSource ! {Stream}
        /// Lines of standard input, as `SourceText(name, line)`.
        export extern func asyncReadStdinLines(name: string, priority: int) -> StreamSource ! {Stream}
        /// Bytes of standard input, as `SourceBytes(name, data)`.
        export extern func sourceOfStdinBytes(name: string, priority: int, chunkSize: int) -> StreamSource ! {Stream}
        /// Standard output of a program, in full chunks, as `SourceBytes(name, data)`.
        export extern func asyncExecProcess(
          cmd: string, args: [string], name: string, priority: int, chunkSize: int
        ) -> StreamSource ! {Stream, Process}
        export type ProcessSourceOptions = {
          name: string, priority: int, chunkSize?: int, lines?: bool, stderr?: bool, exit?: bool
        }
        export extern func processSource(
          cmd: string, args: [string], options: ProcessSourceOptions
        ) -> StreamSource ! {Stream, Process}
        /// `SourceText(name, "")` every so often.
        export extern func timerSource(name: string, everyMs: int, priority: int) -> StreamSource ! {Stream}
        /// Gives a source up: it ends, and what feeds it is closed.
        export extern func cancel(source: StreamSource) -> unit ! {Stream}
        /// One event at a time of whichever source has one, until the handler says `false` or all have ended.
        export extern func selectEvents(
          sources: [StreamSource], handler: (StreamEvent) -> bool ! e
        ) -> unit ! {Stream, e}
        /// The same with a state that goes from event to event, and is the result.
        export extern func foldEvents[s](
          sources: [StreamSource], init: s, step: (s, StreamEvent) -> {state: s, continue: bool} ! e
        ) -> s ! {Stream, e}
        """,
      natives: [
        raw("next", arity: 1) { arguments, context in
          guard let stream = arguments[0].asHandle as? AgentStream else { throw Trap.broken("not a stream") }
          let reader = try stream.reader()
          guard !reader.isWaited else {
            throw Trap("StreamBusy", "another task waits for this stream's next value", hint: "let one task read it")
          }
          let suspension = context.suspend()
          reader.next { result in
            switch result {
            case .success(let text): suspension.resume(text.map { .some(.string($0)) } ?? .none)
            case .failure(let failure): suspension.fail(Trap(failure.code, failure.message, hint: failure.hint))
            }
          }
          suspension.onCancel { stream.feed.stop() }
          return .suspended
        }
      ],
      absent: absent(
        "connect", "sseConnect", "ssePost", "transmit", "transmitBinary", "onEvent", "runEventLoop", "disconnect",
        "status",
        "withStream", "withSSE", "sourceOfConn", "asyncReadStdinLines", "sourceOfStdinBytes", "asyncExecProcess",
        "processSource", "timerSource", "cancel", "selectEvents", "foldEvents")
    )
  }
}

/// Takes a feed's events for a program that pulls: texts wait here until they are asked for.
final class StreamReader: RunEventSink {
  private var texts: [String] = []
  private var first = 0
  private var outcome: Result<String?, RunFailure>?
  private var failure: RunFailure?
  private var waiting: ((Result<String?, RunFailure>) -> Void)?
  private unowned let feed: AgentFeed

  /// Somebody is waiting for the next value.
  var isWaited: Bool { waiting != nil }

  init(_ feed: AgentFeed) { self.feed = feed }

  func next(_ answer: @escaping (Result<String?, RunFailure>) -> Void) {
    if first < texts.count {
      let text = texts[first]
      first += 1
      if first == texts.count {
        texts.removeAll(keepingCapacity: true)
        first = 0
        feed.isReading = true
      }
      answer(.success(text))
    } else if let outcome {
      answer(outcome)
    } else {
      waiting = answer
    }
  }

  func runEvent(_ event: RunEvent) {
    switch event {
    case .text(let text):
      if let waiting {
        self.waiting = nil
        waiting(.success(text))
      } else {
        texts.append(text)
        if texts.count - first >= AgentFeed.bufferLimit { feed.isReading = false }
      }
    case .error(let failure): self.failure = failure
    case .end(let state):
      switch state {
      case .completed, .length, .filtered, .toolCalls: outcome = .success(nil)
      case .aborted, .truncated, .error, .budget:
        outcome = .failure(failure ?? RunFailure(code: "StreamEnded", message: "the stream ended: \(state.rawValue)"))
      }
      if let waiting, let outcome {
        self.waiting = nil
        waiting(outcome)
      }
    default: break
    }
  }
}
