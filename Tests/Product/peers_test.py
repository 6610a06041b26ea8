"""The same program against model servers and clients that other people wrote."""
import contextlib, json, os, pathlib, shutil, subprocess, sys, tempfile, threading, unittest

from browser import BrowserTest
from harness import DEADLINE, ROOT, Model, Response, Weir, binary, chunk, free_port, serve_program, text_of, until

BIN = pathlib.Path(sys.executable).parent
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)


def tool(name):
    path = BIN / name
    return path if path.exists() else None


@contextlib.contextmanager
def server(command, port, env=None):
    log = tempfile.TemporaryFile()
    process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})})
    try:
        def up():
            if process.poll() is not None:
                log.seek(0)
                raise AssertionError(log.read().decode()[-3000:])
            with contextlib.suppress(OSError):
                Response(port, "GET", "/", timeout=2).close()
                return True
        until(up, f"{command[0]} to listen", 120)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


class ModelServers(unittest.TestCase):
    @unittest.skipUnless(tool("litellm"), "litellm is not installed: make peers")
    def test_litellm_proxy(self):
        port = free_port()
        config = pathlib.Path(tempfile.mkdtemp()) / "litellm.yaml"
        config.write_text('model_list:\n  - model_name: gpt-test\n    litellm_params: { model: openai/gpt-test, api_key: none, mock_response: "It was a dark and stormy night." }\n')
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_MASTER_KEY": "sk-secret-canary"}
        with server([tool("litellm"), "--config", config, "--port", port, "--host", "127.0.0.1"], port, env), serve_program(port) as weir:
            events = list(Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "a"}).events())
            self.assertEqual(text_of(events), "It was a dark and stormy night.", events)
            body = Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "b"}, {"Accept": "application/json"}).json()
            self.assertEqual((body["reply"], body["finish"]), ("It was a dark and stormy night.", "completed"))

    @unittest.skipUnless(tool("mockllm"), "mockllm is not installed: make peers")
    def test_mockllm(self):
        port = free_port()
        folder = pathlib.Path(tempfile.mkdtemp())
        # Its streaming path looks the answer up once more, as if it were a question.
        (folder / "responses.yml").write_text('responses:\n  "hi": "A mocking bird sang here."\n  "A mocking bird sang here.": "A mocking bird sang here."\ndefaults:\n  unknown_response: "unknown"\nsettings:\n  lag_enabled: false\n')
        with server([tool("mockllm"), "start", "--responses", folder / "responses.yml", "--host", "127.0.0.1", "--port", port], port), serve_program(port) as weir:
            events = list(Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "a"}).events())
            self.assertEqual(text_of(events).strip(), "A mocking bird sang here.", events)


class Clients(unittest.TestCase):
    def script(self, exchange):
        exchange.head_ok()
        exchange.words(["one", " two", " three"])

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        with Model(self.script) as model, serve_program(model.port) as weir:
            run = lambda *more: subprocess.run(["curl", "-sN", "-X", "POST", f"http://localhost:{weir.port}/api/stream", "-H", "Content-Type: application/json",
                                                "-d", '{"message": "Tell me a story", "session_id": "abc"}', *more], capture_output=True, text=True, timeout=DEADLINE)
            sse = run().stdout
            self.assertEqual([json.loads(line[6:])["content"] for line in sse.splitlines() if line.startswith("data: {\"content\"")], ["one", " two", " three"])
            self.assertTrue(sse.endswith("event: done\ndata: [DONE]\n\n") or "data: [DONE]" in sse.splitlines()[-2:], sse[-200:])
            self.assertEqual(json.loads(run("-H", "Accept: application/json").stdout)["reply"], "one two three")

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_behind_nginx_nothing_is_held_back(self):
        gate = threading.Event()

        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("early"))
            assert gate.wait(DEADLINE)
            exchange.words([" late"])

        with Model(script) as model, serve_program(model.port) as weir:
            port, folder = free_port(), tempfile.mkdtemp()
            conf = pathlib.Path(folder) / "nginx.conf"
            conf.write_text(f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/e.log; events {{}} http {{ access_log off; "
                            f"client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; "
                            f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{weir.port}; }} }} }}")
            with server([NGINX, "-p", folder, "-c", conf], port):
                response = Response(port, "POST", "/api/stream", {"message": "hi", "session_id": "n"})
                events = response.events()
                self.assertEqual(json.loads(next(events)[2])["delta"], "early")  # default buffering is on; our header turns it off
                gate.set()
                self.assertEqual(text_of(events), " late")


class EventSourceInChromium(BrowserTest):
    def test_new_eventsource(self):
        def script(exchange):
            exchange.head_ok()
            exchange.words(["one", " two", " three"])

        with Model(script) as model, serve_program(model.port) as weir:
            async def scenario(tab):
                await tab.evaluate("""
                  window.seen = []; window.ended = false; window.errors = 0;
                  const source = new EventSource('/api/stream?message=hi&session_id=browser');
                  source.onmessage = (event) => { const data = JSON.parse(event.data); window.seen.push(data.content); };
                  source.addEventListener('done', () => { window.ended = true; });
                  source.onerror = () => { window.errors++; };
                  window.source = source; 0""")
                await tab.until("window.ended")
                # The browser reconnects by itself after the end; 204 tells it to stop, and no second run is started.
                await tab.until("window.source.readyState === 2")
                self.assertEqual(await tab.evaluate("window.seen.join('')"), "one two three")
            self.browse(f"http://127.0.0.1:{weir.port}/healthz", scenario)
            self.assertEqual(len(model.requests), 1)


if __name__ == "__main__":
    unittest.main()
