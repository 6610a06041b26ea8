"""WebSockets of a program against PyPI's `websockets`, and our server and client under Autobahn."""
import contextlib, os, pathlib, re, shutil, socket, subprocess, tempfile, unittest

import autobahn
from harness import DEADLINE, ROOT, Weir, binary, free_port, until

PYTHON = ROOT / ".build/peers/bin/python"

# Seed program "echo client", word for word but for its URL.
ECHO_CLIENT = r'''module my/echo_client

import std/stream (connect, transmit, onEvent, runEventLoop, disconnect,
StreamEvent, Message, Closed, StreamError)
import std/result (Result, Ok, Err)

export func main() -> unit ! {Stream, IO} {
match connect("wss://echo.websocket.org", {headers: []}) {
Ok(conn) => {
onEvent(conn, \event. match event {
Message(msg) => { println("Received: " ++ msg); false },
Closed(code, reason) => false,
StreamError(err) => false,
_ => true
});
transmit(conn, "Hello from AILANG!");
runEventLoop(conn);
disconnect(conn)
},
Err(e) => println("Connection failed")
}
}
'''

# Says what it hears; "PORT" on its first line of output. Misbehaves where the path says so.
SERVER = r'''
import asyncio, ssl, sys
from websockets.asyncio.server import serve

async def talk(ws):
    path = ws.request.path
    try:
        if path == "/flood":
            for _ in range(20_000):
                await ws.send("x" * 1000)
            await ws.close(4000, "enough")
        elif path == "/headers":
            await ws.send(f"{ws.request.headers.get('Authorization')} {ws.subprotocol}")
        elif path == "/abort":
            await ws.send("a")
            ws.transport.abort()
        else:
            async for message in ws:
                await ws.send(message)
    finally:
        print("over", ws.close_code, flush=True)

async def main():
    context = None
    if len(sys.argv) > 2:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
    def gate(connection, request):
        if request.path == "/401":
            return connection.respond(401, "{\"error\": \"who are you?\"}")
    async with serve(talk, "127.0.0.1", 0, ssl=context, select_subprotocol=lambda ws, offered: "chat" if "chat" in offered else None, process_request=gate, max_size=2**26) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.Future()

asyncio.run(main())
'''

CLIENT = r'''
import asyncio, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

async def main(url):
    async with connect(url, max_size=2**26) as ws:
        for message in ["text", "é" * 70_000, b"bytes", b"\0" * 1_000_000, "", b""]:
            await ws.send(message)
            assert await ws.recv() == message
        await ws.send(["a", "b", "c" * 5000])        # in fragments
        assert await ws.recv() == "ab" + "c" * 5000
        await (await ws.ping(b"hi"))
        many = [f"message {n} " * 40 for n in range(2000)]
        async def send():
            for message in many: await ws.send(message)
        sending = asyncio.create_task(send())
        assert [await ws.recv() for _ in many] == many
        await sending
        await ws.close(4321, "bye")
        assert (ws.close_code, ws.close_reason) == (4321, ""), (ws.close_code, ws.close_reason)
    async with connect(url, compression=None) as ws:
        await ws.send("plain")
        assert await ws.recv() == "plain"
        await ws.send("last")
        print("waiting", flush=True)
        sys.stdin.readline()
        try:
            while True: await ws.recv()
        except ConnectionClosed as closed:
            assert closed.rcvd.code == 1001, closed
    print("all well", flush=True)

asyncio.run(main(sys.argv[1]))
'''

SHOW = r'''
import std/stream (connect, withStream, onEvent, runEventLoop, StreamEvent, Message, Closed, StreamError, ProtocolError, ConnectionFailed)
import std/result (Ok, Err)
func show(event: StreamEvent) -> bool ! {IO} {
  match event {
    Message(text) => { println("message ${text}"); text == "a" },
    Closed(code, why) => { println("closed ${code} ${why}"); true },
    StreamError(ProtocolError(why)) => { println("error ${why}"); true },
    _ => true
  }
}
'''


@contextlib.contextmanager
def script(text, *arguments):
    """A Python program with the `websockets` package; gives its process."""
    process = subprocess.Popen([str(PYTHON), "-c", text, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def run(text, *flags, env=None):
    with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
        path = pathlib.Path(folder) / "app.ail"
        path.write_text(text)
        return subprocess.run(
            [str(binary()), "run", "--caps", "Stream,IO", "--entry", "main", *flags, str(path)], capture_output=True, text=True,
            timeout=DEADLINE, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})


@contextlib.contextmanager
def tinyproxy(user=None, password=None):
    """Gives the proxy's URL and its log."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        log, config = pathlib.Path(folder) / "log", pathlib.Path(folder) / "proxy.conf"
        log.write_text("")
        config.write_text(f'Port {port}\nListen 127.0.0.1\nTimeout 60\nAllow 127.0.0.1\nLogFile "{log}"\nLogLevel Info\n' +
                          (f"BasicAuth {user} {password}\n" if user else ""))
        process = subprocess.Popen(["tinyproxy", "-d", "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def ready():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return True
            until(ready, "tinyproxy")
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.terminate()
            process.wait(10)


def has_websockets():
    return PYTHON.exists() and subprocess.run([str(PYTHON), "-c", "import websockets.asyncio"], capture_output=True).returncode == 0


@unittest.skipUnless(has_websockets(), "the Python package websockets is not installed (scripts/peers)")
class Peers(unittest.TestCase):
    def test_the_seed_program(self):
        with script(SERVER) as server:
            url = f"ws://127.0.0.1:{server.stdout.readline().strip()}"
            done = run(ECHO_CLIENT.replace("wss://echo.websocket.org", url))
            self.assertEqual((done.returncode, done.stdout), (0, "Received: Hello from AILANG!\n"), done.stderr)
            self.assertEqual(server.stdout.readline(), "over 1000\n")

    def test_the_seed_program_over_tls(self):
        with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
            certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
                 "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
            with script(SERVER, certificate, key) as server:
                port = server.stdout.readline().strip()
                program = ECHO_CLIENT.replace("wss://echo.websocket.org", f"wss://localhost:{port}")
                self.assertEqual(run(program, env={"SSL_CERT_FILE": certificate}).stdout, "Received: Hello from AILANG!\n")
                self.assertEqual(run(program).stdout, "Connection failed\n", "an unknown certificate")
                other = program.replace("localhost", "127.0.0.1")
                self.assertEqual(run(other, env={"SSL_CERT_FILE": certificate}).stdout, "Connection failed\n", "another name")

    @unittest.skipUnless(shutil.which("tinyproxy"), "tinyproxy is not installed")
    def test_by_a_proxy(self):
        """tinyproxy's log says which connections it made."""
        def made(log):
            return len(re.findall(r"Established connection to host", log.read_text()))
        with script(SERVER) as server, tinyproxy() as (proxy, log), tinyproxy("me", "canary-pw") as (closed, closed_log):
            url = f"ws://127.0.0.1:{server.stdout.readline().strip()}"
            program = ECHO_CLIENT.replace("wss://echo.websocket.org", url)
            with_user = closed.replace("//", "//me:canary-pw@")
            table = [  # variables, does it arrive, which proxy's log has it
                ({"http_proxy": proxy}, True, log), ({"HTTP_PROXY": proxy}, True, log), ({"all_proxy": proxy}, True, log),
                ({"https_proxy": proxy}, True, None), ({"http_proxy": proxy, "no_proxy": "127.0.0.1"}, True, None),
                ({"http_proxy": proxy, "NO_PROXY": "*"}, True, None), ({"http_proxy": with_user}, True, closed_log),
                ({"http_proxy": closed}, False, None), ({"http_proxy": with_user.replace("pw", "other")}, False, None),
                ({"http_proxy": f"http://me:canary-pw@127.0.0.1:{free_port()}"}, False, None)]
            for env, arrives, used in table:
                with self.subTest(env=env):
                    before = {file: made(file) for file in (log, closed_log)}
                    done = run(program, env=env)
                    self.assertEqual(done.stdout, "Received: Hello from AILANG!\n" if arrives else "Connection failed\n", done.stderr)
                    self.assertNotIn("canary", done.stdout + done.stderr)
                    for file in before:
                        self.assertEqual(made(file) - before[file], 1 if file == used else 0)
            why = SHOW + 'export func main() { match connect("URL", {headers: []}) { Err(ConnectionFailed(why)) => println(why), _ => println("?") } }'.replace("URL", url)
            self.assertEqual(run(why, env={"http_proxy": closed.replace("//", "//me:canary-other@")}).stdout, f"the proxy {closed} refused: HTTP 401 Unauthorized\n")

    @unittest.skipUnless(shutil.which("tinyproxy"), "tinyproxy is not installed")
    def test_by_a_proxy_over_tls(self):
        with tempfile.TemporaryDirectory(prefix="weir-test-") as folder, tinyproxy() as (proxy, log):
            certificate, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost", "-addext",
                 "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True)
            with script(SERVER, certificate, key) as server:
                program = ECHO_CLIENT.replace("wss://echo.websocket.org", f"wss://localhost:{server.stdout.readline().strip()}")
                env = {"https_proxy": proxy, "SSL_CERT_FILE": certificate}
                self.assertEqual(run(program, env=env).stdout, "Received: Hello from AILANG!\n")
                self.assertIn("Established connection to host", log.read_text())
                self.assertEqual(run(program, env={"https_proxy": proxy}).stdout, "Connection failed\n", "an unknown certificate")

    def test_headers_refusals_and_ends(self):
        with script(SERVER) as server:
            url = f"ws://127.0.0.1:{server.stdout.readline().strip()}"
            program = SHOW + '''
export func main() {
  match withStream("URL/abort", show) { Err(_) => println("no connection"), Ok(_) => () }
  match connect("URL/headers", {headers: [{name: "Authorization", value: "Bearer secret-123"}], subprotocols: ["chat"]}) {
    Ok(conn) => { onEvent(conn, show); runEventLoop(conn) }, Err(_) => println("no connection")
  }
  match connect("URL/401", {headers: [{name: "Authorization", value: "Bearer secret-123"}]}) {
    Err(ConnectionFailed(why)) => println(why), _ => println("?")
  }
}
'''.replace("URL", url)
            done = run(program)
            lines = done.stdout.splitlines()
            self.assertEqual(lines[0], "message a", done)
            self.assertTrue(lines[1].startswith("error ") and lines[2].startswith("closed 1006"), lines)
            self.assertEqual(lines[3:], ["message Bearer secret-123 chat", 'HTTP 401 Unauthorized: {"error": "who are you?"}'])

    def test_a_peer_far_faster_than_the_handler(self):
        with script(SERVER) as server:
            url = f"ws://127.0.0.1:{server.stdout.readline().strip()}/flood"
            program = '''
import std/stream (withStream, StreamEvent, Message, Closed)
import std/result (Ok, Err)
func slow(event: StreamEvent) -> bool ! {IO} {
  match event {
    Message(text) => { var n = 0; for i in 0..200 { n = n + i }; true },
    Closed(code, why) => { println("closed ${code} ${why}"); true },
    _ => true
  }
}
export func main() { match withStream("URL", slow) { Err(_) => println("no connection"), Ok(_) => () } }
'''.replace("URL", url)
            with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
                path = pathlib.Path(folder) / "app.weir"
                path.write_text(program)
                done = subprocess.run(
                    ["/usr/bin/env", "python3", "-c",
                     "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode;"
                     "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)",
                     str(binary()), "run", "--caps", "Stream", str(path)], capture_output=True, text=True, timeout=60)
            said, kilobytes = done.stdout.splitlines()
            self.assertEqual(said, "closed 4000 enough", done)
            self.assertLess(int(kilobytes), 70_000, "20 MB came in; what is held is far less")

    def test_a_workflow_s_route(self):
        program = """
import asyncio, json, sys
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
async def main(url):
    async with connect(url) as ws:
        for text in ["hello", "I am sad"]:
            await ws.send(json.dumps({"message": text, "session_id": "s"}))
            said = []
            while (message := await asyncio.wait_for(ws.recv(), 20)) != "[DONE]": said.append(json.loads(message))
            assert "".join(m["content"] for m in said if "content" in m), said
            assert said[-1] == {"finish": "completed"}, said
        await ws.send("{}")
        assert "error" in json.loads(await ws.recv())
    try:
        async with connect(url, origin="http://evil.test"): raise SystemExit("an evil page was let in")
    except InvalidStatus as refused: assert refused.response.status_code == 403
    print("all well", flush=True)
asyncio.run(main(sys.argv[1]))
"""
        port = free_port()
        with Weir("serve", "--caps", "all", "--port", port, ROOT / "examples/chat.weir", port=port) as server:
            server.wait_listening()
            with script(program, f"ws://127.0.0.1:{port}/chat") as client:
                self.assertEqual(client.stdout.readline(), "all well\n")

    @unittest.skipUnless(autobahn.peer().exists(), "the test peer is not built (swift build --product WebSocketPeer)")
    def test_our_server(self):
        server = subprocess.Popen([str(autobahn.peer()), "server", "0"], stdout=subprocess.PIPE, text=True)
        try:
            port = server.stdout.readline().split()[1]
            with script(CLIENT, f"ws://127.0.0.1:{port}/") as client:
                self.assertEqual(client.stdout.readline(), "waiting\n")
                server.terminate()
                self.assertEqual(server.wait(DEADLINE), 0)
                client.stdin.write("\n")
                client.stdin.flush()
                self.assertEqual(client.stdout.readline(), "all well\n")
        finally:
            server.kill()
            server.wait()
            server.stdout.close()


@unittest.skipIf(autobahn.missing(), autobahn.missing())
class Autobahn(unittest.TestCase):
    """A bounded part each time; all of it with `make autobahn`."""
    CASES = ["1.1.*", "2.*", "3.*", "4.*", "5.*", "6.2.*", "6.4.*", "7.*", "10.*", "12.1.1", "13.3.1"]

    def test_as_server(self):
        results = autobahn.as_server(self.CASES, 120)
        self.assertGreater(len(results), 100)
        self.assertEqual(autobahn.bad(results), {})

    def test_as_client(self):
        results = autobahn.as_client(self.CASES, 120)
        self.assertGreater(len(results), 100)
        self.assertEqual(autobahn.bad(results), {})


if __name__ == "__main__":
    unittest.main()
