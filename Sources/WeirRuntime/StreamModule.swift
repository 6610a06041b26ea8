import WeirCore
import WeirLang

/// `std/stream` (spec/streams.md): connections, sources and event loops, as programs see them.
///
/// What calls a handler is written in the language, over natives that are leaves: a handler may suspend like any other
/// code, and a failure in it ends the program with its own place. `_nextEvent` has no effect of its own, so that a limit
/// on `Stream` counts what a program does and not what happens to it.
enum StreamModule {
  static var module: LibraryModule {
    LibraryModule(
      name: "std/stream",
      source: """
        // Streams of values, connections, and the event loop over several sources.

        import std/process (ProcessHandle)
        /// Values that come one after the other, while they are made. `for x in s { … }` reads it.
        export extern type Stream[a]

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
          | SourceBytes(string, bytes) | SourceExit(string, int)
        /// How a connection is, now.
        export type StreamStatus = Connecting | Open | Closing | StreamClosed
        /// A header of a request.
        export type StreamHeader = {name: string, value: string}
        /// How to connect; what is left out is as usual.
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
        /// Sends a text message.
        export extern func transmit(conn: StreamConn, text: string) -> Result[unit, StreamErrorKind] ! {Stream}
        /// Sends a binary message.
        export extern func transmitBinary(conn: StreamConn, data: bytes) -> Result[unit, StreamErrorKind] ! {Stream}
        /// Registers what is called for each event; the last one registered wins. `false` ends the loop.
        export extern func onEvent(conn: StreamConn, handler: (StreamEvent) -> bool ! e) -> unit ! {Stream, e}
        /// Delivers events until the handler says `false`, the connection ends, or a deadline passes.
        export func runEventLoop(conn: StreamConn) -> unit ! {Stream} {
          let loop = _loopOfConn(conn)
          defer _closeLoop(loop)
          while true {
            match _nextEvent(loop) {
              None => return,
              Some(event) => {
                let handler = _handlerOf(conn)
                if !handler(event) { return }
              }
            }
          }
        }
        /// Closes a connection; closing twice does nothing.
        export extern func disconnect(conn: StreamConn) -> unit ! {Stream}
        /// How a connection is; true at all times.
        export extern func status(conn: StreamConn) -> StreamStatus ! {Stream}
        func _handled(
          conn: StreamConn, handler: (StreamEvent) -> bool ! e
        ) -> Result[StreamConn, StreamErrorKind] ! {Stream, e} {
          defer disconnect(conn)
          onEvent(conn, handler)
          runEventLoop(conn)
          Ok(conn)
        }
        /// Connects, runs the loop with this handler, disconnects.
        export func withStream(
          url: string, handler: (StreamEvent) -> bool ! e
        ) -> Result[StreamConn, StreamErrorKind] ! {Stream, e} {
          match connect(url, defaultConfig()) {
            Err(kind) => Err(kind),
            Ok(conn) => _handled(conn, handler)
          }
        }
        /// Reads server-sent events with this handler until it says `false` or they end, and disconnects.
        export func withSSE(
          url: string, handler: (StreamEvent) -> bool ! e
        ) -> Result[StreamConn, StreamErrorKind] ! {Stream, e} {
          match sseConnect(url, defaultConfig()) {
            Err(kind) => Err(kind),
            Ok(conn) => _handled(conn, handler)
          }
        }

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
        /// What `processSource` delivers: lines instead of chunks, standard error, the exit.
        export type ProcessSourceOptions = {
          name: string, priority: int, chunkSize?: int, lines?: bool, stderr?: bool, exit?: bool
        }
        /// A program to read and, through `processOf`, to write to. Its output comes as `SourceBytes(name, data)` in full
        /// chunks (of 4096 bytes unless `chunkSize` says otherwise), or with `lines` as `SourceText(name, line)`; with
        /// `stderr` its errors as `SourceText(name + ":stderr", line)`; with `exit` the last event is
        /// `SourceExit(name, code)`, 128 and the signal's number for one that a signal ended.
        export extern func processSource(
          cmd: string, args: [string], options: ProcessSourceOptions
        ) -> StreamSource ! {Stream, Process}
        /// The process behind a source that `processSource` made: for `writeProcessStdin` and `closeProcessStdin`.
        export extern func processOf(source: StreamSource) -> ProcessHandle ! {Process}
        /// `SourceText(name, "")` every so often.
        export extern func timerSource(name: string, everyMs: int, priority: int) -> StreamSource ! {Stream}
        /// Gives a source up: it ends, and what feeds it is closed.
        export extern func cancel(source: StreamSource) -> unit ! {Stream}
        /// One event at a time of whichever source has one, until the handler says `false` or all have ended. Of several,
        /// the source of the highest priority goes first; those of equal priority take turns.
        export func selectEvents(
          sources: [StreamSource], handler: (StreamEvent) -> bool ! e
        ) -> unit ! {Stream, e} {
          let loop = _loopOf(sources)
          defer _closeLoop(loop)
          while true {
            match _nextEvent(loop) {
              None => return,
              Some(event) => if !handler(event) { return }
            }
          }
        }
        /// Like `selectEvents`, with a state that goes from event to event, and is the result.
        export func foldEvents[s](
          sources: [StreamSource], init: s, step: (s, StreamEvent) -> {state: s, continue: bool} ! e
        ) -> s ! {Stream, e} {
          let loop = _loopOf(sources)
          defer _closeLoop(loop)
          var state = init
          while true {
            match _nextEvent(loop) {
              None => return state,
              Some(event) => {
                let after = step(state, event)
                state = after.state
                if !after.continue { return state }
              }
            }
          }
          state
        }
        /// What `step` of `bridge` answers: its state, what goes to either side, and whether to go on.
        export type BridgeStep[s] = {state: s, toClient: [StreamEvent], toUpstream: [StreamEvent], continue: bool}
        /// Joins two connections. `step` is given each event and whose it is, "client" or "upstream", and says what goes to
        /// either side: `Message`s as texts, `SourceBytes` (which is how binary messages come) as bytes, so an event can be
        /// handed on as it is. Ends when a side has closed or `step` says so; both are then closed. A side that does not
        /// read makes the other wait.
        export func bridge[s](
          client: StreamConn, upstream: StreamConn, init: s,
          step: (s, string, StreamEvent) -> BridgeStep[s] ! e
        ) -> s ! {Stream, e} {
          let loop = _loopOf([sourceOfConn(client, "client", 0), sourceOfConn(upstream, "upstream", 0)])
          defer disconnect(client)
          defer disconnect(upstream)
          defer _closeLoop(loop)
          var state = init
          while true {
            match _nextOf(loop) {
              None => return state,
              Some((side, event)) => {
                let after = step(state, side, event)
                state = after.state
                _pass(client, after.toClient)
                _pass(upstream, after.toUpstream)
                if !after.continue { return state }
                match event {
                  Closed(_, _) => return state,
                  _ => ()
                }
              }
            }
          }
          state
        }
        func _pass(conn: StreamConn, events: [StreamEvent]) -> unit ! {Stream} {
          for event in events {
            match event {
              Message(text) => { transmit(conn, text); () },
              SourceBytes(_, data) => { transmitBinary(conn, data); () },
              _ => ()
            }
          }
        }

        extern type EventLoop
        /// The same as `_nextEvent`, with the name of its source.
        extern func _nextOf(loop: EventLoop) -> Option[(string, StreamEvent)]
        extern func _loopOf(sources: [StreamSource]) -> EventLoop ! {Stream}
        extern func _loopOfConn(conn: StreamConn) -> EventLoop ! {Stream}
        /// `None`: the loop is over.
        extern func _nextEvent(loop: EventLoop) -> Option[StreamEvent]
        extern func _closeLoop(loop: EventLoop) -> unit
        extern func _handlerOf(conn: StreamConn) -> (StreamEvent) -> bool
        """ + pulling,
      natives: [webSocket] + pulled + loops + sources + processes + connections + eventStreams,
      types: [StreamValue.errorKind, StreamValue.event, StreamValue.status, readError])
  }
}
