import WeirCore
import WeirLang
import WeirStore

/// `std/streaming` (seed 002, spec/durable.md): streams that outlive the program, and work over them that can be taken up again.
enum StreamingModule {
  static let writeError = TypeTag(
    193, "StreamWriteError", ["WriterClosed", "WriterAborted", "WriteFailed", "AlreadyClosed"])

  static var module: LibraryModule {
    LibraryModule(
      name: "std/streaming",
      source: """
        // Durable streams: written item by item, kept in the store, read from anywhere, also after a crash.
        //
        // A stream belongs to a workflow, under a name of its own: its namespace. `weir run` keeps streams below
        // `.weir/streams`, and `weir serve` serves them at `/streams/runs/WORKFLOW/NAMESPACE`.
        import std/stream (
          Stream, StreamSource, StreamReadError, StreamEnded, StreamAborted, ReadTimedOut, ReaderClosed, StoreError, WrongItem, next, read,
          readable, generate, map, filter, flatMap, chunk, take, skip, takeWhile, skipWhile, collect, reduce, pipe,
          toAsyncIterable
        )
        import std/stream as stream
        import std/json (Shape)
        import std/task (all, race)

        /// Writes a stream; each item is as durable as the store promises before `write` returns.
        export extern type StreamWriter[a]
        /// Reads a stream with a cursor of its own: `read`, `position`, `readable`, `close`, `for`.
        export type StreamReader[a] = Stream[a]
        /// Why a write failed: the stream was closed, was aborted (the reason), the store has not taken it (why); or `close` of
        /// a writer that is closed.
        export type StreamWriteError = WriterClosed | WriterAborted(string) | WriteFailed(string) | AlreadyClosed

        /// Which run this is: the first part of its streams' names.
        export extern func workflowId() -> string ! {Store}

        /// A writer of this workflow's stream of that name: makes it, or goes on with it. `write` waits while a reader with
        /// `backpressure` is `highWaterMark` items behind. Values are kept as JSON, bytes as they are, strings as they are if
        /// `contentType` is a text type.
        export func getWritable[a](
          namespace: string = "default", highWaterMark: int = 16, contentType: string = "", shape: Shape[a]
        ) -> StreamWriter[a] ! {Store} {
          _writable(namespace, highWaterMark, contentType, shape)
        }
        /// Adds an item and waits until the store has it.
        export extern func write[a](writer: StreamWriter[a], value: a) -> Result[unit, StreamWriteError] ! {Store}
        /// Ends the stream: it is whole.
        export extern func close[a](writer: StreamWriter[a]) -> Result[unit, StreamWriteError] ! {Store}
        /// Ends the stream at once and tells every reader why it is not whole.
        export extern func abort[a](writer: StreamWriter[a], reason: string) -> Result[unit, StreamWriteError] ! {Store}
        /// It takes further items.
        export extern func writable[a](writer: StreamWriter[a]) -> bool
        /// Items in the stream after the last write.
        export extern func position[a](writer: StreamWriter[a]) -> int
        /// The stream's name in its workflow.
        export extern func namespace[a](writer: StreamWriter[a]) -> string

        /// A reader of this workflow's stream of that name, from item `startIndex` on. The stream may come later. With
        /// `backpressure` its writers wait for it.
        export func getReadable[a](
          namespace: string = "default", startIndex: int = 0, backpressure: bool = false, shape: Shape[a]
        ) -> Stream[a] ! {Store} {
          _readable(namespace, startIndex, backpressure, shape)
        }
        /// A reader of any workflow's stream; `read` gives `ReadTimedOut` when nothing comes for `pollTimeout` milliseconds
        /// (0: it waits as long as it takes).
        export func getStreamReader[a](
          workflowId: string, namespace: string = "default", startIndex: int = 0, pollTimeout: int = 30000,
          shape: Shape[a]
        ) -> Stream[a] ! {Store} {
          _readerOf(workflowId, namespace, startIndex, pollTimeout, shape)
        }

        /// Something that happened to a stream of a workflow: `kind` is "stream_created", "stream_write", "stream_read",
        /// "stream_close", "stream_error" or "stream_backpressure" (a write waits for a reader). `position`: of the item that
        /// was written or read, otherwise how many there are; `None` of a stream that could not be opened. `detail`: what
        /// went wrong, or why it was aborted. `dropped`: events lost right before this one, because nobody took them.
        export type StreamActivity = {
          kind: string, workflowId: string, namespace: string, position: int?, detail: string?, dropped: int
        }
        /// What happens from now on to the streams of all workflows of this process, in order. At most `limit` events (1 to
        /// 65536) wait to be taken; then the oldest are dropped, and counted in the next one. `close` ends it, and so does the
        /// end of the run: what waits can still be taken. What a task that takes events reads is left out, and the streams that
        /// it writes are left out altogether: a program may write down what it hears.
        export extern func streamEvents(limit: int = 1024) -> Stream[StreamActivity] ! {Store}
        /// What `streamEvents` gives, as a source of `selectEvents`: `SourceText(name, text)`, the text a `StreamActivity` as JSON
        /// (`decodeAs`).
        export extern func streamEventSource(
          name: string, priority: int, limit: int = 1024
        ) -> StreamSource ! {Store, Stream}

        /// What `streamForEach` has done: items processed altogether, the place of the last, results in the order of the
        /// items, and items that failed.
        export type ForEachResult[b, e] = {
          processedCount: int, lastPosition: int, results: [b], failures: [{position: int, failure: e}]
        }
        /// Why it stopped: an item failed, the source did, or the store takes no checkpoints.
        export type ForEachError[e] = ItemFailed(int, e) | SourceFailed(StreamReadError) | CheckpointFailed(string)

        /// Calls `f` for each item, at most `concurrency` at a time, while the source is open. Progress is kept under `name`
        /// every `checkpointInterval` items: taken up again after a crash, the workflow calls `f` again for at most
        /// `checkpointInterval + concurrency` items, and for those that failed. `onError`: "stop" at the first failure, when those
        /// under way are done (nobody waits for another one then: what comes later is still the source's, unless that is made of
        /// another stream, by `map` or the like, which is closed), "skip" it, or "collect" all. Without `keepResults` results are dropped, for
        /// sources without end.
        export func streamForEach[a, b, e](
          source: Stream[a], f: (a) -> Result[b, e], name: string, concurrency: int = 1, checkpointInterval: int = 1,
          onError: string = "stop", keepResults: bool = true, shape: Shape[b]
        ) -> Result[ForEachResult[b, e], ForEachError[e]] ! {Store, Stream} {
          let each = _each(name, concurrency, checkpointInterval, onError, keepResults, shape)
          // Also when an item traps: what is done before it is written down.
          defer _eachClose(each)
          var failures: [{position: int, failure: e}] = []
          var error: Option[ForEachError[e]] = None
          let stop = (why: ForEachError[e]) => {
            _eachStop(each)
            match error {
              None => { error = Some(why) },
              Some(_) => ()
            }
          }
          let pull = () => {
            if !_isGenerated(source) { return _eachRead(each, source) }
            // With nobody else who could stop it.
            if concurrency == 1 { return Some(read(source)) }
            let item = race([() => Some(read(source)), () => { _eachStopped(each); None }])
            match item {
              None => stream.close(source),
              Some(_) => ()
            }
            item
          }
          let take = () => {
            _eachEnter(each)
            defer _eachLeave(each)
            while !_eachIsStopped(each) {
              let place = stream.position(source)
              match pull() {
                Some(Ok(item)) => if !_eachIsStopped(each) && !_eachIsDone(each, place) { return Some((place, item)) },
                Some(Err(StreamEnded(_))) => _eachStop(each),
                Some(Err(why)) => stop(SourceFailed(why)),
                None => ()
              }
            }
            None
          }
          // Its steps and writes are the item's own.
          let done = (place: int, item: a) => {
            _eachBegin(each, place)
            defer _eachEnd()
            f(item)
          }
          let work = () => {
            while true {
              match take() {
                None => return,
                Some((place, item)) => match done(place, item) {
                  Ok(value) => match _eachDone(each, place, value) {
                    Ok(_) => (),
                    Err(why) => stop(CheckpointFailed(why))
                  },
                  Err(why) => {
                    _eachFailed(each, place)
                    if onError == "stop" { stop(ItemFailed(place, why)) }
                    if onError == "collect" { failures = failures ++ [{position: place, failure: why}] }
                  }
                }
              }
            }
          }
          var workers: [() -> unit] = []
          for _ in 0..concurrency { workers = workers ++ [work] }
          _ = all(workers, concurrency)
          match _eachFinish(each) {
            Ok(_) => (),
            Err(why) => stop(CheckpointFailed(why))
          }
          match error {
            Some(why) => Err(why),
            None => {
              let (count, last, results) = _eachResults(each)
              Ok({processedCount: count, lastPosition: last, results: results, failures: failures})
            }
          }
        }

        extern type Each[b]
        extern func _writable[a](
          namespace: string, highWaterMark: int, contentType: string, shape: Shape[a]
        ) -> StreamWriter[a] ! {Store}
        extern func _readable[a](namespace: string, start: int, backpressure: bool, shape: Shape[a]) -> Stream[a] ! {Store}
        extern func _readerOf[a](
          workflow: string, namespace: string, start: int, timeout: int, shape: Shape[a]
        ) -> Stream[a] ! {Store}
        extern func _each[b](
          name: string, concurrency: int, interval: int, onError: string, keepResults: bool, shape: Shape[b]
        ) -> Each[b] ! {Store}
        extern func _eachBegin[b](each: Each[b], place: int) -> unit
        extern func _eachEnd() -> unit
        extern func _eachFailed[b](each: Each[b], place: int) -> unit
        extern func _eachClose[b](each: Each[b]) -> unit
        extern func _eachEnter[b](each: Each[b]) -> unit
        extern func _eachLeave[b](each: Each[b]) -> unit
        extern func _eachStop[b](each: Each[b]) -> unit
        extern func _eachRead[a, b](each: Each[b], source: Stream[a]) -> Option[Result[a, StreamReadError]]
        extern func _eachStopped[b](each: Each[b]) -> unit
        extern func _isGenerated[a](source: Stream[a]) -> bool
        extern func _eachIsStopped[b](each: Each[b]) -> bool
        extern func _eachIsDone[b](each: Each[b], place: int) -> bool
        extern func _eachDone[b](each: Each[b], place: int, value: b) -> Result[unit, string]
        extern func _eachFinish[b](each: Each[b]) -> Result[unit, string]
        extern func _eachResults[b](each: Each[b]) -> (int, int, [b])
        """,
      natives: writing + reading + activity + StreamEach.natives,
      types: [writeError], records: [activityRecord])
  }

  // MARK: Writing

  private static var writing: [Native] {
    [
      contextual("workflowId") { (context: NativeContext) in
        try ProgramInstance.of(context).run(of: context.fiber).run.id
      },
      raw("_writable", arity: 4) { arguments, context in
        let namespace = try arguments.get(0, as: String.self)
        let highWaterMark = try arguments.get(1, as: Int.self)
        let asked = try arguments.get(2, as: String.self)
        let shape = try context.shape(arguments[3])
        guard highWaterMark >= 1 else {
          throw Trap("BadArgument", "getWritable: a highWaterMark of \(highWaterMark): at least 1")
        }
        let form = try ItemForm.of(asked, shape)
        let run = try ProgramInstance.of(context).run(of: context.fiber).run
        // What is no name is refused by `writer`.
        if let name = try? WorkflowStreams.name(workflow: run.id, namespace: namespace) { try leaveOut(name, context) }
        let fiber = context.fiber
        let suspension = context.suspend()
        run.writer(namespace, contentType: form.contentType) { result in
          switch result {
          case .success(let writer):
            if !fiber.isFinished, writer.hold(fiber.id) {
              fiber.whenEnded { [weak writer] in writer?.release(fiber.id, $0?.code) }
            }
            suspension.resume(.handle(StreamWriter(writer, namespace, form, highWaterMark: highWaterMark)))
          case .failure(let failure): suspension.fail(Trap(failure))
          }
        }
        return .suspended
      },
      raw("write", arity: 2) { arguments, context in
        let writer = try writer(arguments, context)
        let item = try writer.form.bytes(arguments[1], context.names)
        let frame = try ProgramInstance.of(context).run(of: context.fiber).frame
        let suspension = context.suspend()
        let write = writer.writer.write(item, by: frame, highWaterMark: writer.highWaterMark) { result in
          suspension.resume(Self.value(result))
        }
        suspension.onCancel { write.cancel() }
        return .suspended
      },
      raw("close", arity: 1) { arguments, context in
        let writer = try writer(arguments, context)
        let frame = try ProgramInstance.of(context).run(of: context.fiber).frame
        let suspension = context.suspend()
        writer.writer.close(by: frame) { suspension.resume(Self.value($0)) }
        return .suspended
      },
      raw("abort", arity: 2) { arguments, context in
        let writer = try writer(arguments, context)
        let reason = try arguments.get(1, as: String.self)
        let suspension = context.suspend()
        writer.writer.abort(reason) { suspension.resume(Self.value($0)) }
        return .suspended
      },
      raw("writable", arity: 1) { arguments, _ in .value(.bool(try writer(arguments).writer.isWritable)) },
      raw("position", arity: 1) { arguments, _ in
        .value(.int(Int(clamping: try writer(arguments).writer.position)))
      },
      raw("namespace", arity: 1) { arguments, _ in .value(.string(try writer(arguments).namespace)) },
    ]
  }

  private static func writer(_ arguments: Arguments) throws(Trap) -> StreamWriter {
    guard let writer = arguments[0].asHandle as? StreamWriter else { throw Trap.broken("not a writer") }
    return writer
  }

  /// For a fiber that changes the stream.
  private static func writer(_ arguments: Arguments, _ context: NativeContext) throws -> StreamWriter {
    let writer = try writer(arguments)
    try leaveOut(writer.writer.name, context)
    return writer
  }

  /// What a listener writes is told to no listener.
  private static func leaveOut(_ name: StreamName, _ context: NativeContext) throws {
    guard let frame = context.fiber.attachment as? RunFrame, frame.isListening else { return }
    try ProgramInstance.of(context).access.leaveOut(name)
  }

  private static func value(_ result: Result<Void, DurableWriter.WriteFailure>) -> Value {
    switch result {
    case .success: .ok(.unit)
    case .failure(.closed): .err(.tag(writeError[0]))
    case .failure(.aborted(let reason)): .err(.constructor(writeError[1], [.string(reason)]))
    case .failure(.store(let failure)): .err(.constructor(writeError[2], [.string(failure.message)]))
    case .failure(.alreadyClosed): .err(.tag(writeError[3]))
    case .failure(.cancelled): .err(.constructor(writeError[2], [.string("the write was given up")]))
    }
  }

  // MARK: Reading

  private static var reading: [Native] {
    [
      raw("_readable", arity: 4) { arguments, context in
        let run = try ProgramInstance.of(context).run(of: context.fiber).run
        let (namespace, start) = (try arguments.get(0, as: String.self), try arguments.get(1, as: Int.self))
        let backpressure = try arguments.get(2, as: Bool.self)
        let shape = try context.shape(arguments[3])
        try checkStart(start, "getReadable")
        return try reader(shape, context) { () throws(StoreFailure) in
          try run.reader(namespace, from: start, backpressure: backpressure)
        }
      },
      raw("_readerOf", arity: 5) { arguments, context in
        let access = try ProgramInstance.of(context).access
        let (workflow, namespace) = (try arguments.get(0, as: String.self), try arguments.get(1, as: String.self))
        let (start, timeout) = (try arguments.get(2, as: Int.self), try arguments.get(3, as: Int.self))
        let shape = try context.shape(arguments[4])
        try checkStart(start, "getStreamReader")
        guard (0...ClockModule.sleepLimit).contains(timeout) else {
          throw Trap("BadArgument", "getStreamReader: a pollTimeout of \(timeout): from 0 to \(ClockModule.sleepLimit)")
        }
        return try reader(shape, context) { () throws(StoreFailure) in
          DurableReader(
            try WorkflowStreams.name(workflow: workflow, namespace: namespace), from: UInt64(start),
            timeout: timeout == 0 ? nil : .milliseconds(timeout), in: access)
        }
      },
    ]
  }

  private static func checkStart(_ start: Int, _ name: String) throws(Trap) {
    guard start >= 0 else { throw Trap("BadArgument", "\(name): a startIndex of \(start): at least 0") }
  }

  private static func reader(
    _ shape: TypeShape, _ context: NativeContext, _ make: () throws(StoreFailure) -> DurableReader
  ) throws(Trap) -> NativeResult {
    do throws(StoreFailure) {
      return .value(.handle(DurableStream(try make(), shape, context.names)))
    } catch {
      throw Trap(error.code, error.message, hint: error.hint)
    }
  }
}

/// `StreamWriter[a]`.
final class StreamWriter: Handle {
  let writer: DurableWriter
  let namespace: String
  let form: ItemForm
  let highWaterMark: Int

  init(_ writer: DurableWriter, _ namespace: String, _ form: ItemForm, highWaterMark: Int) {
    self.writer = writer
    self.highWaterMark = highWaterMark
    self.namespace = namespace
    self.form = form
    super.init(kind: "StreamWriter")
  }
}

/// How values of a type stand in a stream: by its content type.
struct ItemForm {
  let contentType: String
  let shape: TypeShape
  let isJSON: Bool
  let isText: Bool

  init(contentType: String, shape: TypeShape) {
    self.contentType = contentType
    self.shape = shape
    isJSON = StreamContentType.holdsJSON(contentType)
    isText = StreamContentType.isText(contentType)
  }

  /// What a writer of such values makes: `asked`, or what is usual for the type.
  static func of(_ asked: String, _ shape: TypeShape) throws(Trap) -> ItemForm {
    let usual = shape == .bytes ? StreamContentType.bytes : StreamContentType.json
    let form = ItemForm(contentType: asked.isEmpty ? usual : asked, shape: shape)
    if form.isText, shape != .string {
      throw Trap(
        "BadArgument", "getWritable: a stream of \(asked) holds strings", hint: "leave `contentType` out for JSON")
    }
    if !form.isText, !form.isJSON, shape != .bytes {
      throw Trap(
        "BadArgument", "getWritable: a stream of \(asked) holds bytes", hint: "leave `contentType` out for JSON")
    }
    return form
  }

  func bytes(_ value: Value, _ names: ProgramNames) throws(Trap) -> [UInt8] {
    if !isJSON {
      if let text = value.asString { return Array(text.utf8) }
      if let bytes = value.asBytes { return bytes }
    }
    return try value.jsonBytes(names, .kept)
  }

  func value(_ bytes: [UInt8], _ names: ProgramNames) -> Result<Value, ReadFailure> {
    if !isJSON {
      if shape == .string, let text = String(validating: bytes, as: UTF8.self) { return .success(.string(text)) }
      if shape == .bytes { return .success(.bytes(bytes)) }
      return .failure(.wrongItem("expected \(shape.description), found \(bytes.count) bytes of \(contentType)"))
    }
    do throws(JSONFailure) {
      let json = try JSONValue.parse(own: bytes)
      do throws(Value.Mismatch) {
        return .success(try Value.decode(json, as: shape, names))
      } catch {
        return .failure(.wrongItem(error.message))
      }
    } catch {
      return .failure(.wrongItem("the item is no JSON: \(error.message)"))
    }
  }
}

/// A durable stream as a `Stream[a]`.
final class DurableStream: PulledStream {
  private let reader: DurableReader
  private let shape: TypeShape
  private let names: ProgramNames
  /// Known with the first item.
  private lazy var form = ItemForm(contentType: reader.contentType ?? StreamContentType.json, shape: shape)

  init(_ reader: DurableReader, _ shape: TypeShape, _ names: ProgramNames) {
    self.reader = reader
    self.shape = shape
    self.names = names
    super.init()
    position = Int(clamping: reader.position)
  }

  var name: StreamName { reader.name }
  override func prepare(_ context: NativeContext) {
    reader.isQuiet = (context.fiber.attachment as? RunFrame)?.isListening == true
  }
  override var isWaited: Bool { reader.isWaiting }
  override func giveUp() { reader.giveUp() }
  /// The reader knows its place.
  override func advanced() {}
  override func stop() { reader.close() }

  override func read(_ answer: @escaping (Result<Value, ReadFailure>) -> Void) throws(Trap) {
    guard !isWaited else {
      throw Trap("StreamBusy", "another task waits for this stream's next value", hint: "let one task read it")
    }
    reader.read { [weak self] result in
      guard let self else { return }
      answer(taken(result))
    }
  }

  private func taken(_ result: Result<StreamItem, DurableReader.ReadFailure>) -> Result<Value, ReadFailure> {
    position = Int(clamping: reader.position)
    switch result {
    case .success(let item):
      return form.value(item.bytes, names).mapError { failure in
        guard case .wrongItem(let why) = failure else { return failure }
        return .wrongItem("position \(position - 1) of \(reader.name): \(why)")
      }
    // It may still come.
    case .failure(.timedOut): return .failure(.timedOut)
    case .failure(let failure):
      isOver = true
      switch failure {
      case .ended(let position): return .failure(.ended(Int(clamping: position)))
      case .aborted(let reason): return .failure(.aborted(reason))
      case .closed: return .failure(.closed)
      case .store(let failure): return .failure(.store(failure.message))
      case .timedOut: return .failure(.timedOut)
      }
    }
  }

  override func pull(_ answer: @escaping (Result<Value, RunFailure>) -> Void) throws(Trap) {
    try read { result in
      switch result {
      case .success(let value): answer(.success(.some(value)))
      case .failure(.ended): answer(.success(.none))
      case .failure(let failure): answer(.failure(failure.runFailure))
      }
    }
  }
}
