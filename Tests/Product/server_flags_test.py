"""What the flags of `weir run` and `weir serve` promise, seen from outside."""
import json, pathlib, shutil, signal, socket, ssl, subprocess, tempfile, threading, time, unittest, urllib.request

from harness import DEADLINE, ROOT, Model, Response, Weir, binary, chunk, free_port, serve_program, text_of, until

EXAMPLE = ROOT / "examples/chat.weir"
FAST = {"WEIR_ELIZA_DELAY": "0"}


def serve(*arguments, env=None):
    port = free_port()
    return Weir("serve", "--port", port, *arguments, EXAMPLE, env={**FAST, **(env or {})}, port=port).wait_listening()


class Flags(unittest.TestCase):
    def test_token(self):
        with serve("--token", "a-long-secret") as weir:
            body = {"message": "hi", "session_id": "s"}
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic a-long-secret"}):
                response = Response(weir.port, "POST", "/chat", body, headers)
                self.assertEqual((response.status, response.json()["error"]["code"]), (401, "Unauthorized"))
            self.assertEqual(Response(weir.port, "GET", "/healthz").status, 200)
            response = Response(weir.port, "POST", "/chat", body, {"Authorization": "Bearer a-long-secret"})
            self.assertTrue(text_of(response.events()))
            self.assertNotIn("a-long-secret", weir.said())

    def test_other_addresses_need_protection(self):
        done = subprocess.run([str(binary()), "serve", "--host", "0.0.0.0", "--port", str(free_port()), str(EXAMPLE)], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--insecure", done.stderr)
        with serve("--host", "0.0.0.0", "--insecure") as weir:
            self.assertEqual(Response(weir.port, "GET", "/healthz").status, 200)

    @unittest.skipUnless(shutil.which("openssl") and shutil.which("curl"), "openssl or curl is not installed")
    def test_tls(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True)
        with serve("--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem") as weir:
            curl = lambda *more: subprocess.run(["curl", "-sN", f"https://localhost:{weir.port}/chat", "-d", '{"message": "hi", "session_id": "s"}', *more], capture_output=True, text=True, timeout=DEADLINE)
            self.assertIn("data: [DONE]", curl("--cacert", folder / "cert.pem").stdout)
            self.assertNotEqual(curl().returncode, 0)  # nobody vouches for it
        done = subprocess.run([str(binary()), "serve", "--tls-cert", folder / "none.pem", "--tls-key", folder / "key.pem", "--port", str(free_port()), str(EXAMPLE)], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("none.pem", done.stderr)

    def test_public_streams_need_no_workflow(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-")) / "p.weir"
        path.write_text("// only streams\n")
        port = free_port()
        with Weir("serve", "--caps", "all", "--public-streams", "--port", port, path, port=port).wait_listening():
            self.assertEqual(Response(port, "PUT", "/streams/news", b"", {"Content-Type": "text/plain"}).status, 201)
            reader = Response(port, "GET", "/streams/news", headers={"Accept": "text/event-stream"})
            self.assertEqual(Response(port, "POST", "/streams/news", b"hello", {"Content-Type": "text/plain"}).status, 204)
            self.assertEqual(next(data for _, _, data, _ in reader.events()), "hello")
            reader.close()

    def test_names_behind_a_proxy(self):
        with serve("--allow-host", "chat.example.com, other.example") as weir:
            for host, status in (("chat.example.com", 200), ("other.example:443", 200), ("127.0.0.1", 200), ("evil.example", 421)):
                response = Response(weir.port, "GET", "/_weir/workflows", headers={"Host": host})
                self.assertEqual(response.status, status, host)
                if status == 421:
                    self.assertIn("--allow-host", response.json()["error"]["hint"])
            # Whoever only asks whether it lives need not know its name.
            for path in ("/healthz", "/readyz"):
                until(lambda: Response(weir.port, "GET", path, headers={"Host": "evil.example"}).status == 200, path)
        for flag, bad in (("--allow-host", "https://a.com"), ("--allow-host", "a,,b"), ("--allow-origins", "foo"), ("--allow-origins", "https://a.com/path")):
            done = subprocess.run([str(binary()), "serve", flag, bad, str(EXAMPLE)], capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(done.returncode, 2, bad)
            self.assertIn("is not like", done.stderr)

    def test_ready_means_that_runs_can_be_kept(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
        with serve("--store", folder / "streams") as weir:
            # It listens before it has looked at its store.
            until(lambda: Response(weir.port, "GET", "/readyz").status == 200, "ready")
            shutil.rmtree(folder / "streams")
            until(lambda: Response(weir.port, "GET", "/readyz").status == 503, "not ready")
            self.assertEqual(Response(weir.port, "GET", "/healthz").status, 200)

    def test_nothing_is_announced_before_it_is_served(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
        with serve("--store", folder):
            second = subprocess.run([str(binary()), "serve", "--port", str(free_port()), "--store", str(folder), str(EXAMPLE)], capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(second.returncode, 1)
            self.assertIn("another process", second.stderr)
            self.assertNotIn("serving", second.stderr)

    def test_a_size_limit_is_a_full_disk(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
        port = free_port()
        with Weir("serve", "--public-streams", "--store", folder, "--port", port, EXAMPLE, port=port, shell="ulimit -f 200").wait_listening():
            self.assertEqual(Response(port, "PUT", "/streams/big", b"", {"Content-Type": "text/plain"}).status, 201)
            statuses = {Response(port, "POST", "/streams/big", b"x" * 50_000, {"Content-Type": "text/plain"}).status for _ in range(20)}
            self.assertEqual(statuses, {204, 507})
            self.assertEqual(Response(port, "GET", "/healthz").status, 200)

    def test_heartbeat_in_silence(self):
        def script(exchange):
            exchange.head_ok()
            exchange.wait_closed()

        with Model(script) as model, serve_program(model.port, None, "--heartbeat", "50ms") as weir:
            response = Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "s"})
            comments = 0
            while comments < 3:
                comments += response.answer.readline().startswith(b":")
            response.close()

    def test_a_page_of_another_site_can_start_nothing(self):
        with serve() as weir:
            body = {"message": "hi", "session_id": "s"}
            self.assertEqual(Response(weir.port, "POST", "/chat", body, {"Origin": "https://evil.example"}).status, 403)
            self.assertEqual(Response(weir.port, "GET", "/chat?message=a&session_id=b", headers={"Sec-Fetch-Site": "cross-site"}).status, 403)
            self.assertEqual(Response(weir.port, "POST", "/chat", body, {"Host": "evil.example"}).status, 421)
            self.assertEqual(Response(weir.port, "POST", "/chat", body, {"Origin": f"http://127.0.0.1:{weir.port}"}).status, 200)


class Ending(unittest.TestCase):
    def slow(self):
        gate = threading.Event()

        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("before"))
            gate.wait(DEADLINE)
            try:
                exchange.words([" after"])
            except OSError:
                pass

        return gate, script

    def test_streams_may_finish_within_the_grace(self):
        gate, script = self.slow()
        with Model(script) as model, serve_program(model.port, None, "--grace", "20s") as weir:
            events = Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "s"}).events()
            next(events)
            weir.process.send_signal(signal.SIGTERM)
            until(lambda: not self.accepts(weir.port), "the port to be closed")
            gate.set()
            self.assertEqual(text_of(events), " after")
            self.assertEqual(weir.wait(), 0, weir.said())

    def test_after_the_grace_readers_are_cut_not_told_a_lie(self):
        gate, script = self.slow()
        with Model(script) as model, serve_program(model.port, None, "--grace", "100ms") as weir:
            response = Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "s"})
            events = response.events()
            next(events)
            weir.process.send_signal(signal.SIGINT)
            self.assertEqual(weir.wait(), 0, weir.said())
            try:
                rest = list(events)
            except Exception:  # a cut chunked body is an error of the client's library
                rest = []
            self.assertFalse(any("completed" in data for _, _, data, _ in rest), rest)
            gate.set()

    def test_a_second_signal_ends_at_once(self):
        gate, script = self.slow()
        with Model(script) as model, serve_program(model.port, None, "--grace", "60s") as weir:
            events = Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "s"}).events()
            next(events)
            weir.process.send_signal(signal.SIGINT)
            until(lambda: not self.accepts(weir.port), "the port to be closed")
            weir.process.send_signal(signal.SIGINT)
            self.assertEqual(weir.wait(), 130, weir.said())
            gate.set()

    def accepts(self, port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False

    def test_interrupting_a_program_that_serves_nothing(self):
        path = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-")) / "p.weir"
        path.write_text('import std/io (println, flush)\nfunc spin(n: int) -> int { spin(n + 1) }\nfunc main() { println("on"); flush(); println(show(spin(0))) }\n')
        with Weir("run", path) as weir:
            until(lambda: "on" in weir.out, "the program to start")
            weir.process.send_signal(signal.SIGINT)
            self.assertEqual(weir.wait(), 130, weir.said())


if __name__ == "__main__":
    unittest.main()
