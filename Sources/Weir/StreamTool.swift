import WeirCore
import WeirIO
import WeirServe
import WeirStore

/// `weir streams`: a store's streams at the terminal and in pipes.
///
/// Items go to stdout as they are: of a JSON stream one a line, of every other one byte behind byte. So what was appended from a
/// file comes out of `cat` as that file. Reading takes no lock and changes nothing, so it works beside the server that writes.
package final class StreamTool {
  package enum Job {
    case list(prefix: String, json: Bool)
    case cat(String)
    /// The newest ten items, or those from a position on; and then what comes.
    case tail(String, from: Int?, follows: Bool)
    /// Each of these, or each line of stdin. A content type only if one was asked for.
    case append(String, items: [String], contentType: String?)
    /// Closed, or aborted with a reason.
    case close(String, reason: String?)
    case remove(String)
    case fork(String, as: String, at: Int?)
    case check
  }

  static let newestCount: UInt64 = 10
  /// One line of stdin, which is one item.
  static let lineLimit = 16 << 20
  /// Read at once, and streams listed at once.
  private static let pieceLimit = 64 << 10
  private static let pageLimit = 1000

  private let job: Job
  private let choice: StoreOptions
  private let loop = WeirIO.EventLoop()
  private let world: World
  private let console: ProcessConsole
  private var status = 0
  private var input: (any InputReading)?
  private var watch: (any Cancellable)?
  /// What is read, written or looked at lives as long as this.
  private var store: (any StreamStore)?

  package init(_ job: Job, in choice: StoreOptions) {
    self.job = job
    self.choice = choice
    var world = RealWorld.make(loop: loop)
    console = ProcessConsole(loop)
    world.console = console
    self.world = world
  }

  /// Blocks; answers the exit status: 0 done (an ended stream was closed), 1 failed or aborted.
  package func run() throws -> Int {
    let signals = try Signals(loop, [.interrupt, .terminate]) { [self] signal in
      end(signal == .interrupt ? 130 : 143)
    }
    defer { signals.cancel() }
    console.onOutputLost = { [self] in
      guard let why = console.outputLoss else { return end(status) }
      console.write("weir: cannot write to standard output: \(why)\n", to: .error)
      end(1)
    }
    loop.soon { [self] in begin() }
    loop.run()
    return status
  }

  private func end(_ code: Int) {
    status = code
    input?.cancel()
    watch?.cancel()
    console.flush()
    loop.stop()
  }

  private func fail(_ failure: any Failure, hint: String? = nil) {
    let hint = hint ?? failure.hint
    console.write(Terminal.printable("weir: \(failure.message)") + "\n", to: .error)
    if let hint { console.write("  hint: \(hint)\n", to: .error) }
    end(1)
  }

  /// The answer's value, or the command has failed.
  private func go<Value>(_ then: @escaping (Value) -> Void) -> Answer<Value> {
    { [self] result in
      switch result {
      case .success(let value): then(value)
      case .failure(let failure): fail(failure, hint: hint(failure))
      }
    }
  }

  private func hint(_ failure: StoreFailure) -> String? {
    if case .folder(let path) = choice.choice, HostProcess.kind(path) == .missing {
      return "there is no store in \(path) yet; --store names another folder"
    }
    guard case .held = failure else { return nil }
    return
      "one process writes to a folder; go through its server, POST /streams/NAME, or stop it (reading works beside it)"
  }

  private func begin() {
    do throws(StoreFailure) {
      switch job {
      case .list(let prefix, let json):
        _ = reading()
        list(prefix, after: nil, json)
      case .cat(let name): try print(StreamName(name), from: { _ in .start }, follows: false)
      case .tail(let name, let from, let follows):
        let first = { (status: StreamStatus) -> Offset in
          if let from { return Offset(UInt64(from)) }
          return Offset(status.tail.value - min(status.tail.value, Self.newestCount))
        }
        try print(StreamName(name), from: first, follows: follows)
      case .append(let name, let items, let type): append(try made(name), items, type)
      case .close(let name, let reason):
        let ending = reason.map { StreamEnding.aborted(reason: $0) } ?? .closed
        writing().append(try StreamName(name), [], ending: ending, go { self.acknowledged($0) })
      case .remove(let name): writing().delete(try StreamName(name), go { self.done() })
      case .fork(let source, let name, let place):
        let fork = StreamFork(source: try StreamName(source), offset: place.map { Offset(UInt64($0)) })
        writing().create(
          try made(name), StreamCreation(fork: fork),
          go { status in
            if !status.existed { return self.acknowledged(status.tail) }
            self.fail(StoreFailure.conflict(status.name, "it is that fork"))
          })
      case .check: check()
      }
    } catch {
      fail(error)
    }
  }

  /// The name of a stream that may be made here: one that servers have as well.
  private func made(_ name: String) throws(StoreFailure) -> StreamName {
    let stream = try StreamName(name)
    if stream.isReserved { throw .unavailable("\"\(name)\": __ds and what is below it are no streams over HTTP") }
    return stream
  }

  // MARK: Stores

  private func writing() -> any StreamStore {
    let opened = choice.open(in: world)
    store = opened
    return opened
  }

  private func reading() -> any StreamStore {
    let opened = choice.openForReading(in: world)
    store = opened
    return opened
  }

  /// Says up to which position the stream is what it was asked to be.
  private func acknowledged(_ tail: Offset) {
    console.write("\(tail.value)\n", to: .output)
    done()
  }

  /// Everything that was acknowledged is durable, whatever `--store-sync` says.
  private func done() {
    guard let store else { return end(status) }
    store.synchronize { [self] failure in
      if let failure { return fail(failure) }
      end(status)
    }
  }

  // MARK: ls

  private func list(_ prefix: String, after: StreamName?, _ json: Bool) {
    store?.list(
      prefix: prefix, after: after, limit: Self.pageLimit,
      go { [self] page in
        for status in page { console.write((json ? Self.json(status) : Self.row(status)) + "\n", to: .output) }
        guard page.count == Self.pageLimit, let last = page.last else { return end(status) }
        list(prefix, after: last.name, json)
      })
  }

  private static func row(_ status: StreamStatus) -> String {
    var state = "open"
    switch status.ending {
    case nil: break
    case .closed?: state = "closed"
    case .aborted(let reason)?: state = "aborted: \(reason)"
    }
    if let damage = status.damage { state = "damaged: \(damage.message)" }
    return [status.name.path, "\(status.tail.value)", status.contentType, state].map(Terminal.printable).joined(
      separator: "\t")
  }

  private static func json(_ status: StreamStatus) -> String {
    var members: [JSONMember] = [
      JSONMember("name", .string(status.name.path)), JSONMember("items", .int(Int(status.tail.value))),
      JSONMember("content_type", .string(status.contentType)), JSONMember("created_at", .int(Int(status.createdAt))),
    ]
    switch status.ending {
    case nil: members.append(JSONMember("state", "open"))
    case .closed?: members.append(JSONMember("state", "closed"))
    case .aborted(let reason)?:
      members += [JSONMember("state", "aborted"), JSONMember("reason", .string(reason))]
    }
    if let damage = status.damage { members.append(JSONMember("damage", .string(damage.message))) }
    if let moment = status.expiresAt { members.append(JSONMember("expires_at", .int(Int(moment)))) }
    if let fork = status.fork {
      members.append(
        JSONMember("fork", ["of": .string(fork.source.path), "at": .int(Int(fork.offset?.value ?? 0))]))
    }
    return JSONValue.object(members).text
  }

  // MARK: cat, tail

  private func print(_ name: StreamName, from first: @escaping (StreamStatus) -> Offset, follows: Bool) {
    reading().status(
      name,
      go { [self] status in
        let printer = Printer(self, name, isJSON: StreamContentType.holdsJSON(status.contentType), follows: follows)
        if follows {
          console.watchOutput()
          watch = store?.watch(name) { printer.woken() }
        }
        printer.begin(at: first(status))
      })
  }

  /// Where one stream's output is. Woken by the store, so that waiting costs nothing.
  private final class Printer {
    private let tool: StreamTool
    private let name: StreamName
    private let isJSON: Bool
    private let follows: Bool
    private var place = Offset.start
    private var tail = StreamTail()

    init(_ tool: StreamTool, _ name: StreamName, isJSON: Bool, follows: Bool) {
      self.tool = tool
      self.name = name
      self.isJSON = isJSON
      self.follows = follows
    }

    func begin(at offset: Offset) {
      place = offset
      read()
    }

    func woken() {
      tail.woken()
      read()
    }

    private func read() {
      guard tail.wantsRead else { return }
      tail.asked()
      tool.store?.read(name, from: place, byteLimit: StreamTool.pieceLimit, tool.go { self.took($0) })
    }

    private func took(_ batch: StreamBatch) {
      tail.answered(batch)
      place = batch.next
      for item in batch.items {
        tool.console.write(item.bytes, to: .output)
        if isJSON { tool.console.write("\n", to: .output) }
      }
      if tool.console.isBroken(.output) { return }
      switch batch.ending {
      case .closed?: return tool.end(0)
      case .aborted(let reason)?:
        tool.console.write(Terminal.printable("weir: stream \"\(name)\" was aborted: \(reason)") + "\n", to: .error)
        return tool.end(1)
      case nil: break
      }
      // A later job: a long stream that is in memory is no recursion, and a signal is heard.
      if tail.wantsRead { return tool.loop.soon { self.read() } }
      if !follows { tool.end(0) }
    }
  }

  // MARK: append

  private func append(_ name: StreamName, _ items: [String], _ type: String?) {
    let store = writing()
    func ready(_ type: String, isMissing: Bool) {
      let intake = Intake(self, name, type, isMissing: isMissing)
      if items.isEmpty { intake.begin() } else { intake.append(items.map { Array($0.utf8) }) }
    }
    store.status(name) { [self] result in
      switch (result, type) {
      case (.failure(.notFound), _): ready(type ?? "text/plain; charset=utf-8", isMissing: true)
      case (.success, let type?): store.create(name, contentType: type, go { ready($0.contentType, isMissing: false) })
      default: go { ready($0.contentType, isMissing: false) }(result)
      }
    }
  }

  /// Items from stdin: of a text stream its lines, each with its end; of a JSON stream its lines, each a value; of any other one
  /// the pieces in which the input comes. The next piece is read when the last one is acknowledged. A stream that is not there is
  /// made with the first of them, so that what is refused makes none.
  private final class Intake {
    private let tool: StreamTool
    private let name: StreamName
    private let type: String
    private let isJSON: Bool
    private let isText: Bool
    private var isMissing: Bool
    private var pending: [UInt8] = []
    private var lines = 0
    private var kept = 0

    init(_ tool: StreamTool, _ name: StreamName, _ type: String, isMissing: Bool) {
      self.tool = tool
      self.name = name
      self.type = type
      self.isMissing = isMissing
      isJSON = StreamContentType.holdsJSON(type)
      isText = StreamContentType.isText(type)
    }

    func begin() { tool.input = tool.world.console.readInput { self.received($0) } }

    /// In one step, all or none.
    func append(_ items: [[UInt8]]) {
      let (values, problem) = checked(items)
      if let problem { return refuse(problem) }
      keep(values) { self.finish() }
    }

    private func received(_ piece: [UInt8]?) {
      guard let piece else {
        let rest = pending
        pending = []
        return goOn(with: rest.isEmpty ? [] : [rest]) { self.finish() }
      }
      let read: () -> Void = { self.tool.input?.isReading = true }
      guard isJSON || isText else { return goOn(with: [piece], read) }
      var items: [[UInt8]] = []
      // What has no end of line yet was looked through before.
      var start = 0
      var at = pending.count
      pending += piece
      while let end = pending[at...].firstIndex(of: 0x0A) {
        items.append(Array(pending[start...end]))
        start = end + 1
        at = start
      }
      pending.removeFirst(start)
      guard pending.count <= StreamTool.lineLimit else {
        return goOn(with: items) {
          self.refuse(
            "line \(self.lines + 1) of standard input has more than \(StreamTool.lineLimit) bytes",
            hint: "one append holds at most that much; --binary takes input in pieces, whatever its lines are")
        }
      }
      if !items.isEmpty { goOn(with: items, read) }
    }

    /// Keeps what comes before the first item that is none.
    private func goOn(with items: [[UInt8]], _ then: @escaping () -> Void) {
      tool.input?.isReading = false
      let (values, problem) = checked(items)
      keep(values) { if let problem { self.refuse(problem) } else { then() } }
    }

    private func finish() {
      guard isMissing else { return tool.done() }
      // There was nothing to append: an empty stream was asked for.
      tool.store?.create(name, contentType: type, tool.go { _ in self.tool.done() })
    }

    /// As they are kept, up to the first one that cannot be.
    private func checked(_ items: [[UInt8]]) -> (values: [[UInt8]], problem: String?) {
      var values: [[UInt8]] = []
      for item in items {
        lines += 1
        guard isJSON else {
          values.append(item)
          continue
        }
        let value = Array(item.drop(while: Self.isSpace).reversed().drop(while: Self.isSpace).reversed())
        if value.isEmpty { continue }
        do throws(JSONFailure) {
          _ = try JSONValue.parse(value)
        } catch {
          return (values, "item \(lines) is no JSON: \(error.message)")
        }
        values.append(value)
      }
      return (values, nil)
    }

    private func refuse(_ problem: String, hint: String? = nil) {
      let before = kept == 0 ? "nothing is kept" : "what comes before it is kept, \(kept) item\(kept == 1 ? "" : "s")"
      tool.fail(StoreFailure.unavailable("\(problem); \(before)"), hint: hint)
    }

    /// In one step. What it says on stdout is the stream's tail: acknowledged up to there.
    private func keep(_ values: [[UInt8]], _ then: @escaping () -> Void) {
      if values.isEmpty { return then() }
      let acknowledged = { (tail: Offset) in
        self.kept += values.count
        self.tool.console.write("\(tail.value)\n", to: .output)
        then()
      }
      guard isMissing else {
        tool.store?.append(name, values, ending: nil, tool.go(acknowledged))
        return
      }
      isMissing = false
      tool.store?.create(
        name, StreamCreation(contentType: type, items: values, finds: .sameContentType),
        tool.go { status in
          // Somebody else made it meanwhile.
          if status.existed { self.keep(values, then) } else { acknowledged(status.tail) }
        })
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }
  }

  // MARK: fsck

  private func check() {
    guard case .folder(let path) = choice.choice else {
      return fail(StoreFailure.unavailable("fsck reads the files of a folder, and this store has none"))
    }
    StoreCheck.run(
      directory: path, disk: world.disk,
      go { [self] report in
        for finding in report.findings {
          var what = finding.what
          if let lost = finding.lost { what += "; lost: \(lost)" }
          if let readable = finding.readable { what += "; can be read: \(readable)" }
          let columns = [
            finding.isDamage ? "damaged" : "note", finding.file, finding.byte.map { "\($0)" } ?? "-", what,
          ]
          console.write(columns.map(Terminal.printable).joined(separator: "\t") + "\n", to: .output)
        }
        console.write(
          "\(report.streams) streams, \(report.segments) files, \(report.items) items, \(report.bytes) bytes: \(report.isDamaged ? "damaged" : "sound")\n",
          to: .output)
        end(report.isDamaged ? 1 : 0)
      })
  }
}
