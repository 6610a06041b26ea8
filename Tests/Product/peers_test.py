"""The same program against model servers and clients that other people wrote."""
import contextlib, importlib.util, json, os, pathlib, shutil, subprocess, sys, tempfile, threading, unittest

from browser import BrowserTest
from harness import DEADLINE, ROOT, Model, Response, Weir, binary, chunk, free_port, serve_program, text_of, until

BIN = pathlib.Path(sys.executable).parent
NGINX = shutil.which("nginx") or ("/usr/sbin/nginx" if os.path.exists("/usr/sbin/nginx") else None)


def tool(name):
    path = BIN / name
    return path if path.exists() else None


ENGINE = all(importlib.util.find_spec(name) for name in ("xllamacpp", "gguf"))
LIMITED = '''
import std/ai/streaming (aiStream, tokens)
func main() -> unit ! {AI, Stream, Net, IO} {
  match aiStream("peer", "tiny", [{role: "user", content: "Say something."}], {max_tokens: 12, temperature: 0.0}) {
    Ok(conn) => {
      var text = ""
      var count = 0
      var why = ""
      for t in tokens(conn) {
        text = text ++ t.text
        match t.usage { Some(u) => { count = u.output_tokens }, None => () }
        match t.finish { Some(f) => { why = f }, None => () }
      }
      println(text)
      println("${count} tokens, ${why}")
    },
    Err(e) => println(show(e))
  }
}
'''
SHAPED = '''
import std/ai (callJson)
func main() -> unit ! {AI, Net, IO} {
  match callJson("yes or no?", "{\\"type\\":\\"object\\",\\"properties\\":{\\"answer\\":{\\"enum\\":[\\"yes\\",\\"no\\"]}},\\"required\\":[\\"answer\\"],\\"additionalProperties\\":false}") {
    Ok(text) => println(text),
    Err(e) => println(e.code ++ ": " ++ e.message)
  }
}
'''
PROGRAM_OF_A_TALKER = '''
import "http"
provider openai { api_key: env("OPENAI_API_KEY"), model: "tiny" }
agent Talker { provider: openai, temperature: 0.0 }
@post("/api/stream")
workflow Talk(message: string, session_id: string) -> stream { return Talker.stream(message) }
fn main() {
  server = http.Server([Talk])
  server.listen(8080)
}
'''


def configured(endpoint, shape):
    """A folder whose weir.toml names `peer`."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
    kind = "x-api-key" if shape == "anthropic_messages" else "bearer"
    delta = {"openai_chat": "$.choices[0].delta.content", "simple_completion": "$.choices[0].text", "anthropic_messages": "$.delta.text"}.get(shape)
    (root / "weir.toml").write_text(
        f'[[ai_provider]]\nschema_version = 1\nname = "peer"\nendpoint = "{endpoint}"\nrequest_shape = "{shape}"\nauth = {{ type = "{kind}", env = "KEY" }}\n'
        'retry = { max = 0 }\n[ai_provider.streaming]\nenabled = true\n' + (f'delta_path = "{delta}"\n' if delta else ""))
    return root


def weir_chat(root, model, question="hi", key="k"):
    done = subprocess.run([str(binary()), "chat", model], input=question, capture_output=True, text=True, timeout=DEADLINE, cwd=root,
                          env={"HOME": str(root), "PATH": os.environ["PATH"], "KEY": key})
    return done.stdout, done.stderr, done.returncode


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

    @unittest.skipUnless(tool("litellm"), "litellm is not installed: make peers")
    def test_litellm_in_anthropics_dialect(self):
        port = free_port()
        config = pathlib.Path(tempfile.mkdtemp()) / "litellm.yaml"
        config.write_text('model_list:\n  - model_name: claude-test\n    litellm_params: { model: anthropic/claude-3-5-sonnet, api_key: none, mock_response: "Été, 夏, summer." }\n')
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_MASTER_KEY": "sk-secret-canary"}
        with server([tool("litellm"), "--config", config, "--port", port, "--host", "127.0.0.1"], port, env):
            def say(model):
                root = configured(f"http://127.0.0.1:{port}/v1/messages", "anthropic_messages")
                return weir_chat(root, f"peer/{model}", key="sk-secret-canary")
            self.assertEqual(say("claude-test"), ("Été, 夏, summer.\n", "", 0))
            said, why, status = say("no-such-model")
            self.assertEqual((said, status), ("", 1))
            self.assertRegex(why, r"weir: \w+: provider \"peer\" answered HTTP 4\d\d")
            self.assertNotIn("sk-secret-canary", why)

    @unittest.skipUnless(ENGINE, "xllamacpp and gguf are not installed: make peers")
    def test_llama_cpp(self):
        """A real engine: tokens, counts, limits, grammars and stops are its own."""
        port = free_port()
        with server([sys.executable, ROOT / "Tests/Product/tiny_engine.py", port], port) as engine:
            until(lambda: Response(port, "GET", "/health").status == 200, "the model to be loaded")
            for shape, path in (("openai_chat", "/v1/chat/completions"), ("anthropic_messages", "/v1/messages"), ("openai_responses", "/v1/responses"),
                                ("simple_completion", "/v1/completions")):
                with self.subTest(shape):
                    root = configured(f"http://127.0.0.1:{port}{path}", shape)
                    (root / "app.weir").write_text(LIMITED)
                    done = subprocess.run([str(binary()), "run", "--caps", "all", "--budget-report", str(root / "app.weir")], capture_output=True, text=True, timeout=DEADLINE,
                                          cwd=root, env={"HOME": str(root), "PATH": os.environ["PATH"], "KEY": "k"})
                    words, end = done.stdout.rstrip("\n").rsplit("\n", 1)
                    # Every token of this model is a word or half of one.
                    self.assertGreater(len(words.split()), 4, done.stdout + done.stderr)
                    # Its Responses face says `completed` of what was cut.
                    self.assertEqual(end, "12 tokens, completed" if shape == "openai_responses" else "12 tokens, length")
            root = configured(f"http://127.0.0.1:{port}/v1/chat/completions", "openai_chat")
            (root / "app.weir").write_text(SHAPED)
            done = subprocess.run([str(binary()), "run", "--caps", "all", "--ai", "peer", "--model", "tiny", str(root / "app.weir")], capture_output=True, text=True, timeout=DEADLINE,
                                  cwd=root, env={"HOME": str(root), "PATH": os.environ["PATH"], "KEY": "k"})
            self.assertRegex(done.stdout, r'^\{"answer": ?"(yes|no)"\}\n$', done.stderr)
            # A run that is stopped stops the engine.
            with serve_program(port, PROGRAM_OF_A_TALKER) as weir:
                response = Response(weir.port, "POST", "/api/stream", {"message": "hi", "session_id": "a"})
                events = response.events()
                first = next(events)
                self.assertEqual(first[1], "message")
                run = response.headers["location"].rsplit("/", 1)[1]
                self.assertIn(Response(weir.port, "POST", f"/_weir/runs/{run}/stop", b"").status, (200, 202, 204))
                self.assertTrue(any("aborted" in data for _, _, data, _ in events))
                slots = lambda: json.loads(Response(port, "GET", "/slots").read())
                until(lambda: not any(slot["is_processing"] for slot in slots()), "the engine to be idle")
            self.assertIsNone(engine.poll())

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
