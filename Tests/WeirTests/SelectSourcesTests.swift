import Synchronization
import Testing
import Weir
import WeirIO

/// `EventLoop.select` over processes and connections, against real programs and the `websockets` package of Python.
@Suite(.timeLimit(.minutes(1))) struct SelectSourcesTests {
  typealias Source = Weir.EventLoop.Source
  typealias Event = Weir.EventLoop.Event

  @Test func twoProcessesAndATimer() async throws {
    let cat = try await ProcessSource.start("cat")
    let shell = try await ProcessSource.start("sh", ["-c", "echo out; echo err >&2; exit 4"])
    let sources: [Source] = [
      .process(cat, name: "cat"), .process(shell, name: "sh", priority: 5),
      .timer(name: "tick", every: .milliseconds(5)),
    ]
    var seen: [Event] = []
    var ticks = 0
    for try await event in Weir.EventLoop.select(sources) {
      switch event {
      case .text("tick", _):
        ticks += 1
        if ticks == 2 { try await cat.write("hello\n") }
      case .text("cat", "hello"): cat.closeInput()
      default: seen.append(event)
      }
      if case .exit("cat", 0) = event { break }
    }
    #expect(Set(seen) == [.text("sh", "out"), .text("sh:stderr", "err"), .exit("sh", code: 4), .exit("cat", code: 0)])
    #expect(ticks >= 2)
  }

  /// A thousand lines of each: both are served, none is lost, each in its order.
  @Test func nothingIsLost() async throws {
    let count = 20_000
    let sources: [Source] = [
      .process(try await ProcessSource.start("seq", ["\(count)"]), name: "a"),
      .process(try await ProcessSource.start("seq", ["\(count)"]), name: "b"),
    ]
    var next = ["a": 1, "b": 1]
    for try await event in Weir.EventLoop.select(sources) {
      guard case .text(let name, let line) = event else { continue }
      #expect(Int(line) == next[name])
      next[name, default: 0] += 1
    }
    #expect(next == ["a": count + 1, "b": count + 1])
  }

  /// A handler that takes its time stops the process, and the process whoever writes to it.
  @Test func aSlowHandlerStopsItsProducer() async throws {
    var options = ProcessSource.Options()
    options.output = .chunks(65_536)
    let cat = try await ProcessSource.start("cat", [], options)
    let written = Mutex(0)
    let writer = Task {
      for _ in 0..<64 {
        try await cat.write(Array(repeating: UInt8(7), count: 1 << 20))
        written.withLock { $0 += 1 }
      }
      cat.closeInput()
    }
    var count = 0
    for try await event in Weir.EventLoop.select([.process(cat, name: "cat")]) {
      guard case .bytes(_, let bytes) = event else { continue }
      if count == 0 {
        // Long enough for a hundred times what fits.
        for try await _ in try await ProcessSource.start("sleep", ["0.3"]) {}
        #expect(written.withLock { $0 } < 20, "the queues and pipes hold some 10 MiB")
      }
      count += bytes.count
    }
    try await writer.value
    #expect(count == 64 << 20)
  }

  @Test func whatIsReadAlready() async throws {
    let cat = try await ProcessSource.start("cat")
    let name = "cat"
    func code(_ sources: [Source]) async -> String {
      do {
        for try await _ in Weir.EventLoop.select(sources) {}
        return "read"
      } catch { return error.code }
    }
    #expect(await code([.process(cat, name: name), .process(cat, name: "again")]) == "SourceTwice")
    cat.closeInput()
    #expect(await code([.process(cat, name: name)]) == "read")
    #expect(await code([.process(cat, name: name)]) == "SourceBusy")
  }

  /// What one has begun to read by itself is not lost when a loop goes on with it.
  @Test func aLoopGoesOnWhereAReaderStopped() async throws {
    let seq = try await ProcessSource.start("seq", ["5"])
    var iterator = seq.makeAsyncIterator()
    #expect(try await iterator.next() == .line("1"))
    var seen: [Event] = []
    for try await event in Weir.EventLoop.select([.process(seq, name: "n")]) { seen.append(event) }
    #expect(seen == ["2", "3", "4", "5"].map { .text("n", $0) } + [.exit("n", code: 0)])
  }

  @Test func cancellingClosesAll() async throws {
    let pid = Mutex("")
    let task = Task {
      let process = try await ProcessSource.start("sh", ["-c", "echo $$; exec sleep 1000"])
      for try await event in Weir.EventLoop.select([.process(process, name: "p")], idleTimeout: nil) {
        if case .text(_, let line) = event { pid.withLock { $0 = line } }
      }
      // Still referred to: it is the loop that closes it.
      withExtendedLifetime(process) {}
      return true
    }
    while pid.withLock(\.isEmpty) { await Task.yield() }
    task.cancel()
    #expect(try await task.value)
    let wait = try await ProcessSource.start(
      "sh", ["-c", "while kill -0 \(pid.withLock { $0 }) 2>/dev/null; do sleep 0.01; done"])
    for try await _ in wait {}
  }

  // MARK: Against Python's `websockets`

  static let python = ".build/peers/bin/python"
  static let hasPeer = (try? HostProcess.read(".build/peers/bin/websockets", limit: 1 << 20)) != nil

  /// Echoes, says "bye" with a code of its own, and answers GET /events with server-sent events.
  private static let server = """
    import asyncio, sys
    from websockets.asyncio.server import serve
    async def handle(socket):
        async for message in socket:
            if message == "leave": return await socket.close(4001, "as asked")
            await socket.send(message)
    async def events(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\nConnection: close\\r\\n\\r\\n"
                     b"event: add\\ndata: 1\\n\\ndata: 2\\n\\n")
        await writer.drain()
        writer.close()
    async def main():
        web = await asyncio.start_server(events, "127.0.0.1", 0)
        async with serve(handle, "127.0.0.1", 0) as server:
            print(server.sockets[0].getsockname()[1], web.sockets[0].getsockname()[1], flush=True)
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    asyncio.run(main())
    """

  @Test(.enabled(if: hasPeer, "websockets is not installed (make peers)"))
  func everyKindTogether() async throws {
    let peer = try await ProcessSource.start(Self.python, ["-c", Self.server])
    var iterator = peer.makeAsyncIterator()
    guard case .line(let line)? = try await iterator.next() else { return #expect(Bool(false)) }
    let ports = line.split(separator: " ")
    let socket = try await WebSocket.connect("ws://127.0.0.1:\(ports[0])/")
    let events = try await SSE.connect("http://127.0.0.1:\(ports[1])/events")
    let cat = try await ProcessSource.start("cat")
    let sources: [Source] = [
      .webSocket(socket, name: "chat", priority: 10), .sse(events, name: "news"), .process(cat, name: "cat"),
      .process(peer, name: "peer"), .timer(name: "t", every: .milliseconds(1)),
    ]
    var seen: [String: [Event]] = [:]
    for try await event in Weir.EventLoop.select(sources) {
      switch event {
      case .opened("chat", _):
        try await socket.send(.text("hé"))
        try await socket.send(.binary([1, 2]))
        try await cat.write("miaow\n")
      case .message("chat", _): seen["chat", default: []].append(event)
      case .bytes("chat", _):
        seen["chat", default: []].append(event)
        try await socket.send(.text("leave"))
      case .closed("chat", _, _):
        seen["chat", default: []].append(event)
        cat.closeInput()
      case .sse("news", _, _), .closed("news", _, _): seen["news", default: []].append(event)
      case .text("cat", _): seen["cat", default: []].append(event)
      case .exit("cat", _):
        seen["cat", default: []].append(event)
        peer.closeInput()
      case .exit("peer", _): seen["peer", default: []].append(event)
      default: break
      }
      if case .exit("peer", _) = event { break }
    }
    #expect(
      seen["chat"] == [
        .message("chat", "hé"), .bytes("chat", [1, 2]), .closed("chat", code: 4001, reason: "as asked"),
      ])
    #expect(
      seen["news"] == [
        .sse("news", type: "add", data: "1"), .sse("news", type: "message", data: "2"),
        .closed("news", code: 0, reason: "SSE stream ended"),
      ])
    #expect(seen["cat"] == [.text("cat", "miaow"), .exit("cat", code: 0)])
    #expect(seen["peer"] == [.exit("peer", code: 0)])
    // The loop is over, and with it the connection.
    await #expect { try await socket.send(.text("late")) } throws: { ($0 as? WeirError)?.code == "ConnectionFailed" }
  }
}
