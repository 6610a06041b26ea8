"""How long a provider's socket lives after somebody has pressed stop: `weir serve` between a page and a model server, both played here.

Each try starts a run, waits until its request has reached the model server (and, for half of them, until the first words of the answer have
reached the page), sends the stop on a connection of its own, and reads the model server's socket until it ends. The time is from just before
the stop is written to the end that the model server sees.
"""
import contextlib, json, os, pathlib, socket, subprocess, sys, tempfile, time

DEADLINE = 30
PROGRAM = '''import "http"
provider openai { api_key: env("OPENAI_API_KEY"), model: "bench" }
agent Talker { provider: openai }
@post("/ask")
workflow Ask(message: string) -> stream { return Talker.stream(message) }
'''
WORDS = b'data: {"choices":[{"index":0,"delta":{"content":"Some words."},"finish_reason":null}]}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def connected(port):
    sock = socket.create_connection(("127.0.0.1", port), DEADLINE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def until(sock, wanted, got=b""):
    """Reads on until `wanted` is in it."""
    while wanted not in got:
        more = sock.recv(65536)
        if not more:
            raise RuntimeError(f"the connection ended before {wanted!r}: {got!r}")
        got += more
    return got


@contextlib.contextmanager
def served(weir, pin=None):
    """The model server's listener and the port of a `weir serve` that asks it."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-bench-stop-"))
    (folder / "app.weir").write_text(PROGRAM)
    listener = socket.create_server(("127.0.0.1", 0), backlog=16)
    listener.settimeout(DEADLINE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "WEIR_STORE": "memory", "OPENAI_API_KEY": "sk-bench", "OPENAI_BASE_URL": f"http://127.0.0.1:{listener.getsockname()[1]}/v1"}
    command = [str(weir), "serve", "--caps", "all", "--port", str(port), str(folder / "app.weir")]
    process = subprocess.Popen(["taskset", "-c", pin, *command] if pin else command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + DEADLINE
        while True:
            try:
                connected(port).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError("weir serve does not listen")
                time.sleep(0.01)
        yield listener, port
    finally:
        process.terminate()
        process.wait(DEADLINE)
        listener.close()


def attempt(listener, port, stopper, after_words):
    """Seconds from the stop to the end of the model server's socket."""
    body = b'{"message":"hi"}'
    with connected(port) as page:
        page.sendall(b"POST /ask HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        model, _ = listener.accept()
        with model:
            model.settimeout(DEADLINE)
            head, _, rest = until(model, b"\r\n\r\n").partition(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(rest) < length:
                rest += model.recv(65536)
            if after_words:
                model.sendall(HEAD + b"%x\r\n%s\r\n" % (len(WORDS), WORDS))
            shown = until(page, b"Some words." if after_words else b"\r\n\r\n")
            run = shown.lower().split(b"\r\nrun-id:")[1].split(b"\r\n")[0].strip().decode()
            begun = time.perf_counter()
            stopper.sendall(f"POST /_weir/runs/{run}/stop HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode())
            try:
                while model.recv(65536):
                    pass
            except ConnectionResetError:
                pass
            took = time.perf_counter() - begun
        answer = until(stopper, b"\r\n\r\n")
        if b" 20" not in answer.split(b"\r\n")[0]:
            raise RuntimeError(f"the stop was answered {answer!r}")
        rest = int((answer.lower().split(b"content-length:") + [b"0\r\n"])[1].split(b"\r\n")[0])
        got = len(answer.partition(b"\r\n\r\n")[2])
        while got < rest:
            got += len(stopper.recv(65536))
        until(page, b"aborted", shown)
    return took


def measure(weir, tries, pin=None):
    """Rows of (when, tries, median, p99, longest), in milliseconds."""
    rows = []
    with served(weir, pin) as (listener, port), connected(port) as stopper:
        for when, after_words in (("before the first byte", False), ("after the first words", True)):
            times = sorted(attempt(listener, port, stopper, after_words) * 1000 for _ in range(tries // 2))
            rows.append((when, len(times), times[len(times) // 2], times[len(times) * 99 // 100], times[-1]))
    return rows


def table(rows):
    lines = ["| stopped | tries | ms until the socket is closed: median | p99 | longest |", "| --- | ---: | ---: | ---: | ---: |"]
    return "\n".join(lines + [f"| {when} | {count} | {median:.2f} | {p99:.2f} | {longest:.2f} |" for when, count, median, p99, longest in rows])


if __name__ == "__main__":
    binary = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent / ".build/release/weir"
    print(table(measure(binary, int(sys.argv[2]) if len(sys.argv) > 2 else 10_000, pin="0")))
