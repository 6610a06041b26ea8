"""What the product's tests share: starting `weir`, a model server whose every misdeed is chosen by the test, raw HTTP."""
import contextlib, http.client, json, os, pathlib, queue, random, re, shutil, signal, socket, subprocess, tempfile, threading, time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DEADLINE = 30  # seconds: no wait of a test is longer


def binary():
    chosen = os.environ.get("WEIR_BINARY")
    return pathlib.Path(chosen) if chosen else ROOT / ".build/debug/weir"


_given = set()


def free_port():
    """Below those that the system gives to connections: one of them would have it before whoever asks here listens."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


@contextlib.contextmanager
def small_disk(test, folder, size):
    """A disk of its own at this folder, which is made."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True, text=True) if shutil.which("mount") else None
    if mounted is None or mounted.returncode:
        test.skipTest(f"a small file system cannot be mounted here: {mounted.stderr.strip() if mounted else 'no mount'}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def until(condition, what, seconds=DEADLINE):
    """Waits for a condition that another process makes true; the deadline is the failure."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError(f"waited {seconds} s for {what}")


class Weir:
    """A `weir` process that serves. `.lines` is its stderr and stdout."""

    def __init__(self, *arguments, env=None, cwd=None, port=None, shell=None):
        """`shell`: what a shell does first, in the process that becomes weir."""
        self.port = port
        self.folder = cwd
        # What runs beside others in one folder keeps its streams to itself.
        store = {} if cwd else {"WEIR_STORE": "memory"}
        clean = {k: v for k, v in os.environ.items() if not re.search(r"_API_KEY|_BASE_URL|^WEIR_|_proxy|_PROXY", k)}
        command = [str(binary()), *map(str, arguments)]
        if shell:
            command = ["bash", "-c", f'{shell}; exec "$0" "$@"', *command]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**clean, **store, **(env or {})}, cwd=cwd)
        self.out, self.err = [], []
        self.threads = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for thread in self.threads:
            thread.start()

    def _read(self, pipe, into):
        for line in pipe:
            into.append(line.decode(errors="replace").rstrip("\n"))

    def wait_listening(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"weir ended with {self.process.returncode}: {self.said()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return True
        until(ready, f"port {self.port}")
        return self

    def said(self):
        return "\n".join(self.out + self.err)

    def wait(self, seconds=DEADLINE):
        code = self.process.wait(seconds)
        for thread in self.threads:
            thread.join(5)
        return code

    def rss_kb(self):
        return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self.threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


PROGRAM = '''
import "io"
import "http"

provider openai {
  api_key: env("OPENAI_API_KEY")
  model: "gpt-test"
}

agent Poet {
  provider: openai
  system: "You are a poet of few words."
  memory: conversation(max_turns: 10)
  temperature: 0.9
}

@post("/api/stream")
workflow Poem(message: string, session_id: string) -> stream {
  return Poet.stream(message, session: session_id)
}

fn main() {
  server = http.Server([Poem])
  io.println("listening soon")
  server.listen(8080)
}
'''


def serve_program(upstream_port, program=None, *arguments, env=None, toml=None, command="run"):
    """`weir run` (or `serve`) of a program on a free port, its `openai` provider pointed at a port of this machine."""
    folder = tempfile.mkdtemp(prefix="weir-test-")
    path = pathlib.Path(folder) / "app.weir"
    path.write_text(program or PROGRAM)
    if toml:
        (pathlib.Path(folder) / "weir.toml").write_text(toml)
    port = free_port()
    settings = {"WEIR_PORT": str(port), "OPENAI_API_KEY": "sk-secret-canary", "OPENAI_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1"}
    settings.update(env or {})
    settings = {k: v for k, v in settings.items() if v is not None}
    return Weir(command, "--caps", "all", *arguments, path, env=settings, cwd=folder, port=port).wait_listening()


# MARK: a model server

def chunk(text=None, finish=None, **more):
    delta = {} if text is None else {"content": text}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}


class Exchange:
    """One request that reached the model server. The test's script writes the answer through it."""

    def __init__(self, sock, head, body):
        self.socket, self.head = sock, head
        self.raw = body
        self.closed_at = None
        self.request_line = head.split("\r\n")[0]
        self.headers = {k.lower(): v for k, v in re.findall(r"(?m)^([^:\r\n]+): *([^\r\n]*)\r?$", head.split("\r\n", 1)[1])}

    @property
    def json(self):
        return json.loads(self.raw)

    def head_ok(self, content_type="text/event-stream", extra=""):
        self.send(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n{extra}\r\n".encode())

    def send(self, data):
        self.socket.sendall(data)

    def piece(self, data):
        data = data if isinstance(data, bytes) else data.encode()
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, value):
        self.piece(f"data: {value if isinstance(value, str) else json.dumps(value)}\n\n")

    def end(self):
        self.send(b"0\r\n\r\n")

    def words(self, words, finish="stop"):
        for word in words:
            self.event(chunk(word))
        self.event(chunk(finish=finish))
        self.event("[DONE]")
        self.end()

    def status(self, code, body, headers=""):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send(f"HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n{headers}\r\n".encode() + data)

    def wait_closed(self, seconds=DEADLINE):
        """Waits until the other side closes; when that was, on this machine's monotonic clock."""
        self.socket.settimeout(seconds)
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(4096):
                pass
        self.closed_at = time.monotonic()
        return self.closed_at


class Model:
    """Accepts any number of connections; every request is handed to `script(exchange)` on its own thread."""

    def __init__(self, script):
        self.script = script
        self.requests = []
        self.problems = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.connections = set()
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        pending = b""
        try:
            while True:
                while b"\r\n\r\n" not in pending:
                    got = connection.recv(65536)
                    if not got:
                        return
                    pending += got
                head, pending = pending.split(b"\r\n\r\n", 1)
                length = int((re.search(rb"(?i)content-length: *(\d+)", head) or [0, b"0"])[1])
                while len(pending) < length:
                    pending += connection.recv(65536)
                exchange = Exchange(connection, head.decode(), pending[:length])
                pending = pending[length:]
                self.requests.append(exchange)
                self.script(exchange)
                if exchange.closed_at is not None or "close" in exchange.headers.get("connection", "").lower():
                    return
        except OSError:
            pass
        except Exception as problem:  # a mistake in the test's script must not pass for a fault of the network
            self.problems.append(problem)
        finally:
            self.connections.discard(connection)
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # A thread that waits in accept would take the next listener's connections once its descriptor is used again.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.accepting.join(DEADLINE)
        self.listener.close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        assert not self.problems, self.problems


# MARK: a client

class Response:
    """One HTTP answer, read as it comes, with no library between."""

    def __init__(self, port, method, path, body=None, headers=None, timeout=DEADLINE):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        self.connection.request(method, path, data, {**sent, **(headers or {})})
        self.answer = self.connection.getresponse()
        self.status = self.answer.status
        self.headers = {k.lower(): v for k, v in self.answer.getheaders()}

    def read(self):
        try:
            return self.answer.read()
        finally:
            self.connection.close()

    def json(self):
        return json.loads(self.read())

    def events(self):
        """Yields (id, event, data, time it arrived) of a text/event-stream, as WHATWG says (the parts used here)."""
        identifier, name, data = "", "", []
        while True:
            line = self.answer.readline()
            if not line:
                return
            line = line.decode().rstrip("\n").rstrip("\r")
            if line == "":
                if data:
                    yield identifier, name or "message", "\n".join(data), time.monotonic()
                name, data = "", []
            elif not line.startswith(":"):
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "data":
                    data.append(value)
                elif field == "event":
                    name = value
                elif field == "id":
                    identifier = value

    def close(self):
        self.answer.close()
        self.connection.close()


def text_of(events):
    return "".join(json.loads(data)["delta"] for _, name, data, _ in events if name == "message")
