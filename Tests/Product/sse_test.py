"""Server-sent events from programs: against a server that misbehaves on purpose, real servers, a real proxy, and the network policy."""
import contextlib, importlib.util, json, os, pathlib, re, shutil, socket, ssl, subprocess, sys, tempfile, threading, time, unittest

from harness import DEADLINE, Model, ROOT, Weir, binary, free_port, until

# The snippets of the documentation that this API comes from, with the URL and the body as arguments.
SEED = r'''
import std/stream (ssePost, onEvent, runEventLoop, disconnect,
StreamEvent, SSEData, StreamError, Closed)

func handleSSE(event: StreamEvent) -> bool ! {IO} {
match event {
SSEData(eventType, data) => {
println("[" ++ eventType ++ "] " ++ data);
true
},
Closed(_, _) => false,
StreamError(_) => false,
_ => true
}
}

export func main(url: string) -> unit ! {Stream, IO, Env} {
let apiKey = env("API_KEY");
let body = "{\"model\": \"claude-sonnet-4-5-20250514\", \"messages\": [...]}";
let config = {headers: [
{name: "Authorization", value: "Bearer " ++ apiKey},
{name: "Content-Type", value: "application/json"},
{name: "anthropic-version", value: "2023-06-01"}
]};

match ssePost(url, body, config) {
Ok(conn) => {
onEvent(conn, handleSSE);
runEventLoop(conn);
disconnect(conn)
},
Err(e) => println("SSE connection failed")
}
}
'''

# Shows everything that happens, one line each; the headers come from the environment.
SHOW = r'''
import std/stream (sseConnect, onEvent, runEventLoop, disconnect, transmit, status, StreamEvent, StreamErrorKind, SSEData, StreamError, Opened,
  Closed, ConnectionFailed, Timeout, BudgetExhausted, ProtocolError, MessageTooLarge, StreamClosed)
import std/json (encode)

func text(kind: StreamErrorKind) -> string {
  match kind {
    ConnectionFailed(why) => "ConnectionFailed " ++ encode(why),
    Timeout(why) => "Timeout " ++ encode(why),
    BudgetExhausted(why) => "BudgetExhausted " ++ encode(why),
    ProtocolError(why) => "ProtocolError " ++ encode(why),
    MessageTooLarge(why) => "MessageTooLarge " ++ encode(why)
  }
}

func show(event: StreamEvent) -> bool ! {IO} {
  match event {
    Opened(url) => println("opened " ++ url),
    SSEData(name, data) => println("data " ++ name ++ " " ++ (if len(data) > 200 then "${len(data)} characters" else encode(data))),
    StreamError(kind) => println("error " ++ text(kind)),
    Closed(code, reason) => println("closed ${code} ${reason}"),
    _ => println("something else")
  }
  true
}

export func main(url: string) -> unit ! {Stream, IO, Env} {
  let config = {headers: [
    {name: "Authorization", value: "Bearer " ++ env("CANARY_AUTHORIZATION")},
    {name: "x-api-key", value: env("CANARY_KEY")},
    {name: "Cookie", value: "sid=" ++ env("CANARY_COOKIE")},
    {name: "X-Custom", value: "custom " ++ env("CANARY_CUSTOM")},
    {name: "X-Plain", value: "plain"}
  ]}
  match sseConnect(url, config) {
    Ok(conn) => {
      match transmit(conn, "hello") { Err(ProtocolError(why)) => println(why), _ => println("transmitted?") }
      onEvent(conn, show)
      runEventLoop(conn)
      println("status ${status(conn) == StreamClosed}")
      disconnect(conn)
    },
    Err(kind) => println("failed " ++ text(kind))
  }
}
'''
READ_ONLY = "SSE connections are read-only; use WebSocket for bidirectional messaging"
CANARIES = {f"CANARY_{name}": f"canary-{name.lower()}-4711" for name in ("AUTHORIZATION", "KEY", "COOKIE", "CUSTOM")}


def environment(more):
    clean = {k: v for k, v in os.environ.items() if not re.search(r"_API_KEY|_BASE_URL|^WEIR_|_proxy|_PROXY", k)}
    return {**clean, **CANARIES, **(more or {})}


@contextlib.contextmanager
def file(program):
    with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
        path = pathlib.Path(folder) / "app.weir"
        path.write_text(program)
        yield path


def run(url, *flags, program=SHOW, env=None, timeout=DEADLINE):
    with file(program) as path:
        done = subprocess.run([str(binary()), "run", "--caps", "Stream,Env,Clock", *flags, str(path), url], capture_output=True, text=True,
                              timeout=timeout, stdin=subprocess.DEVNULL, env=environment(env))
    return done


def lines(done):
    return done.stdout.splitlines()


def ok_stream(*pieces, extra=""):
    def script(exchange):
        exchange.head_ok(extra=extra)
        for piece in pieces:
            exchange.piece(piece)
        exchange.end()
    return script


class Streams(unittest.TestCase):
    def test_the_seed_s_snippet(self):
        with Model(ok_stream("event: content_block_delta\ndata: {\"text\":\"Hi\"}\n\n", ": ping\n\n", "data: [DONE]\n\n")) as server:
            done = run(f"http://127.0.0.1:{server.port}/v1/messages", program=SEED, env={"API_KEY": "k-1234"})
            self.assertEqual((lines(done), done.stderr, done.returncode), (['[content_block_delta] {"text":"Hi"}', "[message] [DONE]"], "", 0))
            asked = server.requests[0]
            self.assertEqual(asked.request_line, "POST /v1/messages HTTP/1.1")
            self.assertEqual(asked.raw.decode(), '{"model": "claude-sonnet-4-5-20250514", "messages": [...]}')
            for name, value in {"authorization": "Bearer k-1234", "content-type": "application/json", "anthropic-version": "2023-06-01",
                                "accept": "text/event-stream", "cache-control": "no-cache"}.items():
                self.assertEqual(asked.headers[name], value)

    def test_a_slow_producer(self):
        def script(exchange):
            exchange.head_ok()
            for byte in "﻿event: one\r\ndata: žluť\rdata: b\n\nid: 1\ndata: c\r\n\r\ndata: unfinished".encode():
                exchange.piece(bytes([byte]))
            exchange.end()
        with Model(script) as server:
            url = f"http://127.0.0.1:{server.port}/"
            self.assertEqual(lines(run(url)), [READ_ONLY, f"opened {url}", 'data one "žluť\\nb"', 'data message "c"', "closed 0 SSE stream ended", "status true"])

    def test_an_event_of_16_mib_and_one_over_it(self):
        def script(exchange):
            exchange.head_ok()
            size = (16 << 20) - len("data:") + (1 if "over" in exchange.request_line else 0)
            exchange.piece("data:")
            for _ in range(size // 65536):
                exchange.piece(b"x" * 65536)
            exchange.piece(b"x" * (size % 65536))
            exchange.piece("\n\ndata: next\n\n")
            exchange.end()
        with Model(script) as server:
            url = f"http://127.0.0.1:{server.port}/"
            self.assertEqual(lines(run(url))[2:], [f"data message {(16 << 20) - 5} characters", 'data message "next"', "closed 0 SSE stream ended", "status true"])
            over = lines(run(url + "over"))
            self.assertEqual(over[2:], ['error MessageTooLarge "an event of the stream is larger than 16777216 bytes; a larger limit can be set with --stream-max-message"',
                                        "closed 1009 event too large", "status true"])
            self.assertIn("data message", lines(run(url + "over", "--stream-max-message", str(32 << 20)))[2])

    def test_a_refusal_with_a_json_body(self):
        with Model(lambda exchange: exchange.status(401, {"error": "bad key"})) as server:
            self.assertEqual(lines(run(f"http://127.0.0.1:{server.port}/")), ['failed ConnectionFailed "HTTP 401 Unauthorized: {\\"error\\": \\"bad key\\"}"'])

    def test_what_is_no_stream(self):
        import gzip
        packed = gzip.compress(b"data: a\n\n")
        bodies = {
            "/html": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>",
            "/gzip": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed) + packed,
            "/noise": b"SSH-2.0-OpenSSH_9.2\r\n",
            "/headers": b"HTTP/1.1 200 OK\r\n" + b"X-Header: endless endless endless endless endless\r\n" * 20000,
        }
        def script(exchange):
            with contextlib.suppress(ConnectionError):
                exchange.send(bodies[exchange.request_line.split()[1]])
            exchange.wait_closed() if "headers" in exchange.request_line else exchange.socket.shutdown(socket.SHUT_RDWR)
        with Model(script) as server:
            base = f"http://127.0.0.1:{server.port}"
            self.assertEqual(lines(run(base + "/html")), ['failed ConnectionFailed "HTTP 200 OK with content type text/html instead of text/event-stream: <html>"'])
            self.assertIn("compressed with gzip", run(base + "/gzip").stdout)
            self.assertIn("failed ConnectionFailed", run(base + "/noise").stdout)
            self.assertEqual(lines(run(base + "/headers")), ['failed ConnectionFailed "the response\'s head is larger than 262144 bytes"'])

    def test_a_lost_connection(self):
        def script(exchange):
            exchange.head_ok()
            exchange.event("one")
            exchange.socket.shutdown(socket.SHUT_RDWR)
            exchange.closed_at = 0
        with Model(script) as server:
            said = lines(run(f"http://127.0.0.1:{server.port}/"))
            self.assertEqual(said[2:4], ['data message "one"', 'error ProtocolError "the connection was lost: the connection was closed before the answer was complete"'])
            self.assertTrue(said[4].startswith("closed 1006 "), said)

    def test_reconnecting(self):
        def script(exchange):
            exchange.head_ok()
            exchange.piece(f"id: {len(server.requests)}\nretry: 1\ndata: {len(server.requests)}\n\n")
            exchange.end()
        with Model(script) as server:
            program = SHOW.replace("let config = {", "let config = {reconnect: {max: 2, backoffMs: 10},")
            said = lines(run(f"http://127.0.0.1:{server.port}/", program=program))
            self.assertEqual(said[2:], ['data message "1"', 'data message "2"', 'data message "3"', "closed 0 SSE stream ended", "status true"])
            self.assertEqual([exchange.headers.get("last-event-id") for exchange in server.requests], [None, "1", "2"])

    def test_a_server_far_faster_than_its_handler(self):
        """The server writes as fast as it is read; the handler waits at each event. What is in between stays small."""
        sent = [0]
        def script(exchange):
            exchange.head_ok()
            block = ("data: " + "x" * 1000 + "\n\n") * 64
            with contextlib.suppress(OSError):
                while sent[0] < 400 << 20:
                    exchange.piece(block)
                    sent[0] += len(block)
        slow = r'''
import std/stream (sseConnect, onEvent, runEventLoop, SSEData)
import std/clock (sleep)
export func main(url: string) -> unit ! {Stream, IO, Clock} {
  match sseConnect(url, {headers: []}) {
    Ok(conn) => {
      var n = 0
      onEvent(conn, \event. match event {
        SSEData(_, _) => { n = n + 1; sleep(1); if n == 500 then println("halfway") else (); n < 1000 },
        _ => true
      })
      runEventLoop(conn)
      println("done")
    },
    Err(_) => println("failed")
  }
}
'''
        with Model(script) as server, file(slow) as path:
            with Weir("run", "--caps", "Stream,Clock", path, f"http://127.0.0.1:{server.port}/") as weir:
                until(lambda: weir.out or weir.process.poll() is not None, "half of the events")
                self.assertEqual(weir.out, ["halfway"], weir.said())
                halfway, written = weir.rss_kb(), sent[0]
                self.assertEqual(weir.wait(), 0)
                self.assertEqual(weir.out[-1], "done")
            # 1 000 events of 1 KB, a read's worth, and what the kernel holds: the server could not write on.
            self.assertLess(written, 24 << 20)
            self.assertLess(halfway, 120_000)


class Redirects(unittest.TestCase):
    def test_another_origin_learns_no_secret(self):
        with Model(ok_stream("data: here\n\n")) as other:
            def script(exchange):
                exchange.status(307, "", f"Location: http://127.0.0.1:{other.port}/there\r\n")
            with Model(script) as first:
                said = run(f"http://127.0.0.1:{first.port}/")
                self.assertIn('data message "here"', said.stdout)
                self.assertIn("canary", first.requests[0].head)
                self.assertNotIn("canary", other.requests[0].head)
                self.assertEqual(other.requests[0].headers["accept"], "text/event-stream")
                self.assertNotIn("x-plain", other.requests[0].headers)

    def test_five_and_no_more(self):
        def script(exchange):
            n = int(exchange.request_line.split()[1].strip("/") or 0)
            if n == 0:
                return ok_stream("data: here\n\n")(exchange)
            exchange.status(302, "", f"Location: /{n - 1}\r\n")
        with Model(script) as server:
            self.assertIn("data message", run(f"http://127.0.0.1:{server.port}/5").stdout)
            self.assertEqual(lines(run(f"http://127.0.0.1:{server.port}/6")), ['failed ConnectionFailed "more than 5 redirects"'])
        with Model(lambda exchange: exchange.status(302, "", "Location: /\r\n")) as endless:
            self.assertEqual(lines(run(f"http://127.0.0.1:{endless.port}/")), ['failed ConnectionFailed "more than 5 redirects"'])
            self.assertEqual(len(endless.requests), 6)

    def test_each_is_checked(self):
        places = {"/metadata": "https://169.254.169.254/latest/meta-data", "/private": "https://10.0.0.1/", "/plain": "http://example.com/",
                  "/user": "https://user:pw@example.com/", "/zero": f"https://0.0.0.0/"}
        with Model(lambda exchange: exchange.status(302, "", f"Location: {places[exchange.request_line.split()[1]]}\r\n")) as server:
            for path, why in {"/metadata": "link-local", "/private": "private address", "/plain": "not encrypted", "/user": "user name",
                              "/zero": "no address"}.items():
                said = run(f"http://127.0.0.1:{server.port}{path}").stdout
                self.assertIn("failed ConnectionFailed", said)
                self.assertIn(why, said)


class Policy(unittest.TestCase):
    def test_flags(self):
        rows = [
            ("http://example.com/", [], "--stream-allow-http"),
            ("https://10.0.0.1/", [], "--stream-allow-private"),
            ("https://[fd00::1]/", [], "--stream-allow-private"),
            ("https://169.254.169.254/", ["--stream-allow-http"], "--stream-allow-private"),
            ("http://10.0.0.1/", ["--stream-allow-private"], "--stream-allow-http"),
            ("http://127.0.0.1:1/", ["--stream-allow-domains", "a.com,*.b.com"], "--stream-allow-domains 127.0.0.1"),
            ("https://b.com/", ["--stream-allow-domains", "a.com,*.b.com"], "--stream-allow-domains b.com"),
            ("http://0x7f.1/", [], "127.0.0.1"), ("http://2130706433/", [], "127.0.0.1"), ("http://0.0.0.0/", ["--stream-allow-http"], "127.0.0.1"),
            ("https://user:canary-password@example.com/", [], "user name"), ("ftp://example.com/", [], "ftp"), ("nonsense", [], "https://"),
        ]
        for url, flags, why in rows:
            with self.subTest(url=url):
                done = run(url, *flags)
                self.assertIn("failed ConnectionFailed", done.stdout)
                self.assertIn(why, done.stdout)
                self.assertNotIn("canary", done.stdout + done.stderr)

    def test_this_machine_by_its_names(self):
        with Model(ok_stream("data: here\n\n")) as server:
            for host in ("127.0.0.1", "localhost", "LOCALHOST", "localhost.", "127.0.0.1."):
                self.assertIn("data message", run(f"http://{host}:{server.port}/").stdout, host)
            self.assertIn("data message", run(f"http://127.0.0.1:{server.port}/", "--stream-allow-domains", "127.0.0.1").stdout)
            # A name of this machine in its hosts file is not this machine to the policy until that is allowed.
            name = socket.gethostname()
            with contextlib.suppress(OSError):
                if socket.gethostbyname(name).startswith("127.") and name != "localhost":
                    self.assertIn("--stream-allow-private", run(f"http://{name}:{server.port}/", "--stream-allow-http").stdout)
                    self.assertIn("data message", run(f"http://{name}:{server.port}/", "--stream-allow-http", "--stream-allow-private").stdout)


    def test_ipv6(self):
        try:
            listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
        except OSError as why:
            self.skipTest(f"no IPv6 here: {why}")
        heads = []
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    stream, _ = listener.accept()
                    with stream:
                        heads.append(stream.recv(65536).decode())
                        stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: six\n\n")
        threading.Thread(target=serve, daemon=True).start()
        port = listener.getsockname()[1]
        try:
            for host in ("[::1]", "[0:0::1]"):
                self.assertIn('data message "six"', run(f"http://{host}:{port}/").stdout)
                self.assertIn(f"Host: [::1]:{port}\r\n", heads[-1])
        finally:
            listener.close()


class Secrets(unittest.TestCase):
    def test_what_a_server_echoes_is_in_no_error_and_no_log(self):
        def script(exchange):
            if "stream" in exchange.request_line:
                exchange.head_ok()
                exchange.event("fine")
                exchange.socket.shutdown(socket.SHUT_RDWR)
                exchange.closed_at = 0
            else:
                exchange.status(403, {"you sent": exchange.headers, "raw": exchange.head})
        with Model(script) as server:
            for path in ("/refused", "/stream"):
                done = run(f"http://127.0.0.1:{server.port}{path}")
                self.assertIn("canary-custom-4711", server.requests[-1].head)
                self.assertNotIn("canary", done.stdout + done.stderr)
            self.assertIn("X-Plain", run(f"http://127.0.0.1:{server.port}/refused").stdout)


@unittest.skipUnless(shutil.which("openssl"), "openssl is not installed")
class Encrypted(unittest.TestCase):
    def test_certificates_are_verified(self):
        with tempfile.TemporaryDirectory() as folder:
            pem = pathlib.Path(folder) / "both.pem"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pem, "-out", f"{folder}/cert.pem", "-days", "2", "-subj", "/CN=localhost",
                            "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(f"{folder}/cert.pem", pem)
            listener = socket.create_server(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            def serve():
                with contextlib.suppress(OSError):
                    while True:
                        raw, _ = listener.accept()
                        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as stream:
                            stream.recv(65536)
                            stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: safe\n\n")
                            stream.unwrap()
            threading.Thread(target=serve, daemon=True).start()
            try:
                self.assertIn("failed ConnectionFailed \"TLS:", run(f"https://localhost:{port}/").stdout)
                trusting = {"SSL_CERT_FILE": f"{folder}/cert.pem"}
                self.assertIn('data message "safe"', run(f"https://localhost:{port}/", env=trusting).stdout)
                self.assertIn("failed ConnectionFailed \"TLS:", run(f"https://127.0.0.1:{port}/", env=trusting).stdout)  # another name
            finally:
                listener.close()


@unittest.skipUnless(shutil.which("tinyproxy"), "tinyproxy is not installed")
class Proxies(unittest.TestCase):
    @contextlib.contextmanager
    def proxy(self):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "proxy.conf"
            config.write_text(f'Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nLogFile "{folder}/log"\nLogLevel Connect\nViaProxyName "tested"\n')
            process = subprocess.Popen(["tinyproxy", "-d", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                def ready():
                    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        return True
                until(ready, "tinyproxy")
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()
                process.wait(10)

    def test_the_variables(self):
        with self.proxy() as proxy, Model(ok_stream("data: here\n\n")) as server:
            url = f"http://127.0.0.1:{server.port}/"
            for env, is_by_proxy in [({}, False), ({"HTTP_PROXY": proxy}, True), ({"http_proxy": proxy}, True), ({"ALL_PROXY": proxy}, True), ({"HTTPS_PROXY": proxy}, False),
                                     ({"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.1"}, False), ({"HTTP_PROXY": proxy, "NO_PROXY": "*"}, False),
                                     ({"HTTP_PROXY": proxy, "NO_PROXY": "127.0.0.0/8"}, False), ({"HTTP_PROXY": proxy, "NO_PROXY": "example.com"}, True)]:
                with self.subTest(env=env):
                    self.assertIn('data message "here"', run(url, env=env).stdout)
                    self.assertEqual("via" in server.requests[-1].headers, is_by_proxy)

    def test_a_proxy_that_is_not_there(self):
        env = {"HTTP_PROXY": f"http://user:canary-proxy@127.0.0.1:{free_port()}"}
        done = run("http://127.0.0.1:9/", env=env)
        self.assertIn("failed ConnectionFailed", done.stdout)
        self.assertNotIn("canary", done.stdout + done.stderr)


STARLETTE = '''
import asyncio, sys, uvicorn
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.routing import Route
async def events(request):
    async def made():
        for i in range(3):
            yield {"event": "tick", "id": str(i), "data": f"line {i}\\nand more"}
            await asyncio.sleep(0.01)
    return EventSourceResponse(made(), ping=1)
uvicorn.run(Starlette(routes=[Route("/", events, methods=["GET", "POST"])]), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
'''
AIOHTTP = '''
import sys
from aiohttp import web
from aiohttp_sse import sse_response
async def events(request):
    async with sse_response(request) as response:
        for i in range(3):
            await response.send(f"line {i}\\nand more", event="tick", id=str(i))
    return response
app = web.Application(); app.router.add_get("/", events)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
'''
TICKS = [f'data tick "line {i}\\nand more"' for i in range(3)]


class RealServers(unittest.TestCase):
    @contextlib.contextmanager
    def server(self, script):
        port = free_port()
        process = subprocess.Popen([sys.executable, "-c", script, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def ready():
                self.assertIsNone(process.poll())
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return True
            until(ready, "the server")
            yield port
        finally:
            process.kill()
            process.wait(10)

    def check(self, port):
        said = lines(run(f"http://127.0.0.1:{port}/"))
        self.assertEqual(said[2:], [*TICKS, "closed 0 SSE stream ended", "status true"])

    @unittest.skipUnless(importlib.util.find_spec("sse_starlette") and importlib.util.find_spec("uvicorn"), "sse-starlette is not installed")
    def test_sse_starlette_and_nginx_before_it(self):
        with self.server(STARLETTE) as port:
            self.check(port)
            nginx = shutil.which("nginx") or "/usr/sbin/nginx"
            if not os.path.exists(nginx):
                self.skipTest("nginx is not installed")
            outer = free_port()
            with tempfile.TemporaryDirectory() as folder:
                temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
                config = pathlib.Path(folder) / "nginx.conf"
                config.write_text(f"daemon off; master_process off; error_log {folder}/error.log; pid {folder}/pid; events {{}} http {{ access_log off; {temporary} gzip on; gzip_types *; "
                                  f"server {{ listen 127.0.0.1:{outer}; location / {{ proxy_pass http://127.0.0.1:{port}; proxy_buffering off; }} }} }}")
                process = subprocess.Popen([nginx, "-c", str(config), "-p", folder], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                try:
                    def ready():
                        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", outer), 1):
                            return True
                    until(ready, "nginx")
                    self.check(outer)
                finally:
                    process.terminate()
                    process.wait(10)

    @unittest.skipUnless(importlib.util.find_spec("aiohttp_sse"), "aiohttp-sse is not installed")
    def test_aiohttp_sse(self):
        with self.server(AIOHTTP) as port:
            self.check(port)


if __name__ == "__main__":
    unittest.main()
