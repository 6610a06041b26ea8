"""The part of `run.py` for event loops: what an event costs from each kind of source through `select` into a handler in Swift and
in Weir, and what a process costs.

CPU time of the process under test, all its threads; of a run of `weir` less that of one without events. Connections come from a
server that sends ready-made bytes as fast as they are taken.
"""
import base64, contextlib, hashlib, json, os, pathlib, socket, statistics, subprocess, threading, time

TEXT = "a line of some forty bytes, as they are"
FRAME = bytes([0x81, len(TEXT)]) + TEXT.encode()
EVENT = f"data: {TEXT}\n\n".encode()
HANDLER = """
import std/stream (asyncReadStdinLines, timerSource, processSource, sourceOfConn, connect, sseConnect, selectEvents, foldEvents,
  defaultConfig, StreamSource, SourceText, Message, SSEData, Closed)
func opened(kind: string, where: string) -> StreamSource {
  match kind {
    "timer" => timerSource("t", 1, 0),
    "process" => processSource("cat", [where], {name: "cat", priority: 0, lines: true}),
    "websocket" => match connect(where, defaultConfig()) { Ok(conn) => sourceOfConn(conn, "ws", 0), Err(_) => timerSource("?", 1, 0) },
    "sse" => match sseConnect(where, defaultConfig()) { Ok(conn) => sourceOfConn(conn, "sse", 0), Err(_) => timerSource("?", 1, 0) },
    _ => asyncReadStdinLines("in", 0)
  }
}
func main(kind: string, where: string) {
  let source = opened(kind, where)
  if kind == "fold" {
    println(foldEvents([source], 0, (n, event) => match event {
      SourceText(_, line) => {state: n + 1, continue: true},
      _ => {state: n, continue: false}
    }))
  } else {
    var seen = 0
    selectEvents([source], (event) => match event {
      SourceText("t", _) => { seen = seen + 1; seen < 1000 },
      SourceText(_, _) => { seen = seen + 1; true },
      Message(_) => { seen = seen + 1; true },
      SSEData(_, _) => { seen = seen + 1; true },
      _ => true
    })
    println(seen)
  }
}
"""


def cpu_of(command, stdin=subprocess.DEVNULL):
    """CPU seconds of a process, all its threads, user and system, and what it printed."""
    before = os.times()
    done = subprocess.run([str(part) for part in command], stdin=stdin, capture_output=True, text=True)
    after = os.times()
    if done.returncode:
        raise SystemExit(f"{command}: {done.stderr}")
    return after.children_user + after.children_system - before.children_user - before.children_system, done.stdout


@contextlib.contextmanager
def flood(counts):
    """A server that sends counts[path] messages or events on each connection, and says goodbye. Gives its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client):
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            count = counts[head.split(b" ", 2)[1].decode()]
            lines = {k.lower(): v for k, _, v in (line.partition(": ") for line in head.decode().split("\r\n"))}
            if key := lines.get("sec-websocket-key"):
                accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
                client.sendall(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n".encode())
                one, end = FRAME, b"\x88\x02\x03\xe8"
            else:
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
                one, end = EVENT, b""
            block = one * 1000
            for _ in range(count // 1000):
                client.sendall(block)
            client.sendall(end)
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


def sources(weir, work, rounds, quick):
    tool = pathlib.Path(weir).parent / "SelectBenchmark"
    if not tool.exists():
        return print("\nleft out: no SelectBenchmark beside weir (make bench builds it)")
    count = 100_000 if quick else 1_000_000
    typed, nothing, program = (pathlib.Path(work) / name for name in ("lines", "nothing", "sources.weir"))
    typed.write_text((TEXT + "\n") * count)
    nothing.write_text("")
    program.write_text(HANDLER)
    rows = {}

    def add(name, ns, rate=None):
        rows.setdefault(name, []).append((ns, rate))

    def swift(name, *arguments, stdin=subprocess.DEVNULL, events=count):
        result = json.loads(cpu_of([tool, *arguments], stdin)[1])
        assert abs(result["events"] - events) < 100, (name, result)
        add(name, result["ns"], result.get("rate"))

    def weir_cpu(kind, where, stdin, expected):
        begun = time.monotonic()
        spent, said = cpu_of([weir, "run", "--caps", "Stream,Process", program, kind, where], stdin)
        assert int(said) == expected, (kind, said)
        return spent, time.monotonic() - begun

    with flood({"/": count, "/none": 0}) as port:
        for _ in range(rounds):
            swift("three queues, two bands → Swift handler, no input or output", "queues", count)
            with typed.open() as file:
                swift("stdin lines → Swift", "lines", stdin=file)
            swift("`cat` of lines → Swift", "process", typed)
            swift("WebSocket messages → Swift", "websocket", f"ws://127.0.0.1:{port}/")
            swift("server-sent events → Swift", "sse", f"http://127.0.0.1:{port}/")
            for name, kind, full, empty in (
                    ("stdin lines → Weir, `selectEvents`", "stdin", typed, nothing), ("stdin lines → Weir, `foldEvents`", "fold", typed, nothing),
                    ("`cat` of lines → Weir", "process", typed, nothing),
                    ("WebSocket messages → Weir", "websocket", f"ws://127.0.0.1:{port}/", f"ws://127.0.0.1:{port}/none"),
                    ("server-sent events → Weir", "sse", f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/none")):
                with open(full if kind in ("stdin", "fold") else os.devnull) as file:
                    spent, taken = weir_cpu(kind, str(full), file, count)
                base, start = weir_cpu(kind, str(empty), subprocess.DEVNULL, 0)
                add(name, (spent - base) / count * 1e9, count / max(taken - start, 1e-9))
            ticks = weir_cpu("timer", "", subprocess.DEVNULL, 1000)[0] - weir_cpu("stdin", "", subprocess.DEVNULL, 0)[0]
            add("timer of 1 ms → Weir (a sleep and a wake-up each)", ticks / 1000 * 1e9)
    print(f"\n## Event loops, {count} events of {len(TEXT)} bytes, medians of {rounds} (load average {os.getloadavg()[0]:.1f})\n")
    print("| path | CPU ns an event | events a second |\n|---|---:|---:|")
    for name, found in rows.items():
        rate = statistics.median(r or 0 for _, r in found)
        print(f"| {name} | {statistics.median(ns for ns, _ in found):.0f} | {f'{rate:,.0f}' if rate else ''} |")
    spawns(tool, work, 2_000 if quick else 100_000)


def spawns(tool, work, count):
    """One process after the other. strace-free: what is left is counted from outside, while it still runs."""
    with subprocess.Popen([str(tool), "spawns", str(count)], stdout=subprocess.PIPE, text=True) as process:
        held = []

        def look():
            while process.poll() is None:
                with contextlib.suppress(OSError):
                    zombies = sum(line.split()[0] == "Z" for line in children(process.pid))
                    held.append((len(os.listdir(f"/proc/{process.pid}/fd")), zombies))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
        watcher = threading.Thread(target=look)
        watcher.start()
        result = json.loads(process.stdout.read())
        watcher.join()
    print(f"\n{count:,} times `true`, one after the other: {1e9 / max(result['ns'], 1):,.0f} starts a second of CPU, {result['rate'] * count / max(result['events'], 1):,.0f} "
          f"a second; {result['ns'] / 1000:.0f} µs CPU each; descriptors at most {max(h[0] for h in held)}, zombies at most {max(h[1] for h in held)}")


def children(pid):
    """The states of a process's children, as /proc tells them."""
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rsplit(")", 1)[1].split()
            if fields[1] == str(pid):
                yield fields[0]
