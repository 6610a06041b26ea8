"""Every way in, fed with nonsense: a clear answer each time, and the server is alive afterwards."""
import http.client, json, pathlib, socket, subprocess, tempfile, threading, time, unittest

from harness import DEADLINE, Model, Response, Weir, binary, chunk, free_port, serve_program, text_of, until


def answer(exchange):
    exchange.head_ok()
    exchange.words(["fine"])


class BadRequests(unittest.TestCase):
    def check_error(self, response, status, *mentions):
        self.assertEqual(response.status, status)
        self.assertTrue(response.headers["content-type"].startswith("application/json"))
        error = response.json()["error"]
        self.assertTrue(error["code"] and error["message"])
        self.assertIn("hint", error)
        for word in mentions:
            self.assertIn(word, json.dumps(error))
        return error

    def test_the_table(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            post = lambda body, **headers: Response(weir.port, "POST", "/api/stream", body, headers)
            self.check_error(post(b"{not json"), 400, "JSON")
            self.check_error(post(b""), 400)
            self.check_error(post(b"[1,2]"), 400)
            self.check_error(post(b'"text"'), 400)
            self.check_error(post(b"\xff\xfe{}"), 400)
            self.check_error(post(b"[" * 100_000), 400)
            self.check_error(post({"session_id": "s"}), 400, "message")
            self.check_error(post({"message": 5, "session_id": "s"}), 400, "message", "string")
            self.check_error(post({"message": None, "session_id": "s"}), 400, "message")
            self.check_error(post({"message": "x", "session_id": ["s"]}), 400, "session_id")
            self.check_error(Response(weir.port, "GET", "/api/stream"), 400, "message")
            self.check_error(Response(weir.port, "GET", "/api/stream?message=%zz&session_id=1"), 400)
            self.check_error(Response(weir.port, "GET", "/nowhere"), 404)
            self.check_error(Response(weir.port, "POST", "/../../etc/passwd", b""), 400, "above the root")
            wrong = Response(weir.port, "DELETE", "/api/stream")
            self.assertIn("POST", wrong.headers["allow"])
            self.check_error(wrong, 405)
            self.check_error(post({"message": "x", "session_id": "s"}, Accept="image/png"), 406)
            self.check_error(Response(weir.port, "POST", "/streams/runs/x", b"x"), 405)
            self.check_error(Response(weir.port, "GET", "/api/stream?message=a&session_id=b", headers={"Last-Event-ID": "nonsense"}), 400)
            self.assertEqual(len(model.requests), 0)  # nothing ran
            self.assertEqual(text_of(post({"message": "x", "session_id": "s"}).events()), "fine")

    def test_ten_megabytes(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            before = weir.rss_kb()
            for _ in range(3):
                try:
                    response = Response(weir.port, "POST", "/api/stream", b'{"message": "' + b"x" * 10_000_000 + b'"}')
                    self.assertEqual(response.status, 413)
                    response.close()
                except (ConnectionError, http.client.HTTPException):
                    pass  # refused while we were still sending: the answer may be lost, the server is not
            self.assertLess(weir.rss_kb() - before, 20_000)
            self.assertEqual(text_of(Response(weir.port, "POST", "/api/stream", {"message": "x", "session_id": "s"}).events()), "fine")

    def test_raw_bytes(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            for raw in (b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00" + b"\x00" * 50,
                        b"POST /api/stream HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                        b"POST /api/stream HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000 + b"\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"):
                with socket.create_connection(("127.0.0.1", weir.port), DEADLINE) as s:
                    s.settimeout(DEADLINE)
                    try:
                        s.sendall(raw)
                        s.shutdown(socket.SHUT_WR)
                        got = b""
                        while piece := s.recv(65536):
                            got += piece
                        self.assertRegex(got, rb"^HTTP/1\.1 (4|5)\d\d ", raw[:40])
                    except ConnectionError:
                        pass
            self.assertEqual(text_of(Response(weir.port, "POST", "/api/stream", {"message": "x", "session_id": "s"}).events()), "fine")


class BadModels(unittest.TestCase):
    """What the model does wrong, and how a reader of SSE and a reader of JSON learn of it."""

    def outcome(self, script, toml=None, env=None):
        with Model(script) as model, serve_program(model.port, toml=toml, env=env) as weir:
            stream = list(Response(weir.port, "POST", "/api/stream", {"message": "x", "session_id": "a"}).events())
            as_json = Response(weir.port, "POST", "/api/stream?stream=false", {"message": "x", "session_id": "b"})
            body = as_json.json()
            self.assertEqual((stream[-1][1], stream[-1][2]), ("done", "[DONE]"))
            errors = [json.loads(data) for _, name, data, _ in stream if name == "error"]
            self.assertNotIn("sk-secret-canary", json.dumps([stream, body, weir.said()]))
            model.script = answer
            self.assertEqual(text_of(Response(weir.port, "POST", "/api/stream", {"message": "x", "session_id": "c"}).events()), "fine")
            return text_of(stream), errors, as_json, body

    def failed(self, script, code, status, **more):
        text, errors, response, body = self.outcome(script, **more)
        self.assertEqual([e["code"] for e in errors], [code])
        self.assertEqual(response.status, status)
        self.assertEqual(body["error"]["code"], code)
        return text, errors[0], response

    def test_401(self):
        _, error, _ = self.failed(lambda e: e.status(401, {"error": {"message": "bad key given"}}), "AuthFailed", 502)
        self.assertIn("bad key given", error["message"])
        self.assertIs(error["retryable"], False)

    def test_429(self):
        _, error, response = self.failed(lambda e: e.status(429, {"error": {"message": "slow down"}}, "Retry-After: 7\r\n"), "RateLimit", 429)
        self.assertIs(error["retryable"], True)
        self.assertEqual(response.headers["retry-after"], "7")

    def test_500(self):
        self.failed(lambda e: e.status(500, "<html>oops</html>"), "ConnectionFailed", 502)

    def test_refused(self):
        port = free_port()
        with serve_program(port) as weir:
            response = Response(weir.port, "POST", "/api/stream?stream=false", {"message": "x", "session_id": "b"})
            self.assertEqual((response.status, response.json()["error"]["code"]), (502, "ConnectionFailed"))

    def test_cut(self):
        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("half an ans"))
            exchange.socket.close()

        text, error, _ = self.failed(script, "Truncated", 502)
        self.assertEqual(text, "half an ans")
        self.assertIs(error["retryable"], True)

    def test_a_clean_end_without_a_finish_is_truncated(self):
        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("half"))
            exchange.end()

        self.failed(script, "Truncated", 502)

    def test_garbage(self):
        def script(exchange):
            exchange.head_ok()
            exchange.piece(b"\xff\xfe\x00garbage\n\n" * 50)
            exchange.end()

        _, errors, response, _ = self.outcome(script)
        self.assertIn(errors[0]["code"], ("Truncated", "ProtocolError"))
        self.assertEqual(response.status, 502)

    def test_error_after_200(self):
        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("some"))
            exchange.event({"error": {"message": "the engine broke", "type": "server_error"}})
            exchange.end()

        text, errors, response, _ = self.outcome(script)
        self.assertEqual(text, "some")
        self.assertIn("the engine broke", errors[0]["message"])
        self.assertEqual(response.status, 502)

    def test_hang(self):
        toml = '''
[[ai_provider]]
schema_version = 1
name = "openai"
endpoint = "http://127.0.0.1:PORT/v1/chat/completions"
request_shape = "openai_chat"
auth = { type = "none" }
timeouts = { first_content = "300ms" }
[ai_provider.streaming]
enabled = true
'''
        program = '''
import "http"
agent Slow { model: "openai/x" }
@post("/api/stream")
workflow Poem(message: string, session_id: string) -> stream { return Slow.stream(message, session: session_id) }
fn main() { http.Server([Poem]).listen(8080) }
'''
        with Model(lambda e: (e.head_ok(), e.wait_closed())) as model:
            with serve_program(model.port, program, toml=toml.replace("PORT", str(model.port))) as weir:
                response = Response(weir.port, "POST", "/api/stream?stream=false", {"message": "x", "session_id": "b"})
                self.assertEqual((response.status, response.json()["error"]["code"]), (504, "Timeout"))
                until(lambda: model.requests[0].closed_at, "the hanging socket to be closed")

    def test_missing_key(self):
        with Model(answer) as model, serve_program(model.port, env={"OPENAI_API_KEY": None}) as weir:
            stream = list(Response(weir.port, "POST", "/api/stream", {"message": "x", "session_id": "a"}).events())
            error = next(json.loads(data) for _, name, data, _ in stream if name == "error")
            self.assertEqual(error["code"], "AuthFailed")
            self.assertIn('env var OPENAI_API_KEY is unset (required for provider "openai")', error["message"])
            self.assertEqual(model.requests, [])


class BadPrograms(unittest.TestCase):
    def run_weir(self, *arguments, **more):
        return subprocess.run([str(binary()), *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, **more)

    def file(self, text):
        path = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-")) / "p.weir"
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return path

    def test_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            path = self.file('import "http"\n@post("/x")\nworkflow W(a: string) -> stream { return A.stream(a) }\n'
                             'provider eliza { model: "eliza" }\nagent A { provider: eliza }\nfn main() { http.Server([W]).listen(%d) }\n' % port)
            done = self.run_weir("run", "--caps", "all", path)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"port {port}", done.stderr)
            self.assertIn("in use", done.stderr)
            self.assertEqual(done.stdout, "")

    def test_twenty_errors(self):
        text = "\n".join(f'func f{i}(a: int) -> string {{ a + {i} }}' for i in range(20)) + "\nfunc main() { () }\n"
        done = self.run_weir("check", self.file(text))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("error["), 20, done.stderr)
        as_json = self.run_weir("check", "--json", self.file(text))
        self.assertEqual(len(json.loads(as_json.stdout)["diagnostics"]), 20)

    def test_missing_capability_runs_nothing(self):
        path = self.file('import std/io (println)\nimport std/ai/streaming (callStream)\nfunc main() { println("never")\n match callStream("eliza", "eliza", "[]") { Ok(t) => println(t), Err(e) => println(e.code) } }\n')
        done = self.run_weir("run", path)
        self.assertEqual((done.returncode, done.stdout), (3, ""), done.stderr)
        for word in ("AI", "callStream", "--caps"):
            self.assertIn(word, done.stderr)

    def test_arguments_that_are_not_text(self):
        # Repaired they would be other bytes than those given, and two names one.
        folder = tempfile.mkdtemp(prefix="weir-test-")
        for arguments in ([b"streams", b"append", b"--binary", b"b", b"--item", b"\xff\xfeabc"], [b"streams", b"cat", b"a\xff"]):
            done = subprocess.run([str(binary()).encode(), *arguments], cwd=folder, capture_output=True, timeout=DEADLINE)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(b"is not UTF-8", done.stderr)
            self.assertIn(b"standard input", done.stderr)

    def test_files_that_are_not_programs(self):
        for text, code in ((b"", 0), (b"\xff\xfe\x00", 1), (b"(" * 10_000, 1), (b'"' * 9_999, 1), (b"\x00" * 1000, 1), (b"}" * 1000, 1)):
            done = self.run_weir("check", self.file(text))
            self.assertEqual(done.returncode, code, done.stderr[:300])
        missing = self.run_weir("check", "/nowhere/at/all.weir")
        self.assertEqual(missing.returncode, 1)
        self.assertIn("/nowhere/at/all.weir", missing.stderr)
        self.assertEqual(self.run_weir("check", "/").returncode, 1)

    def test_command_lines(self):
        for arguments in ((), ("bogus",), ("run",), ("run", "--bogus", "x.weir"), ("check",), ("serve", "--port", "notanumber", "x.weir"),
                          ("serve", "--port", "99999", "x.weir"), ("run", "--caps", "Bogus", "x.weir"), ("webui",), ("webui", "-c")):
            done = self.run_weir(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertEqual(done.stdout, "", arguments)
            self.assertTrue(done.stderr.strip(), arguments)
        for arguments in (("--help",), ("help",), ("run", "--help"), ("--version",), ("version",)):
            done = self.run_weir(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""), arguments)
            self.assertTrue(done.stdout.strip())

    def test_bad_configuration(self):
        for toml, mention in (("caps = [\n", "weir.toml"), ('[[ai_provider]]\nschema_version = 1\nname = "x"\nendpont = "y"\n', "endpoint"), ("[[ai_provider]]\nschema_version = 99\n", "newer"),
                              ('caps = ["Bogus"]\n', "Bogus"), ("bogus = 1\n", "bogus")):
            path = self.file('func main() { println("x") }')
            (path.parent / "weir.toml").write_text(toml)
            done = self.run_weir("run", path, cwd=path.parent)
            self.assertEqual(done.returncode, 1, toml)
            self.assertIn(mention, done.stderr)
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main()
