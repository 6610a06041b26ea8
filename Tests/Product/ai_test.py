"""Programs that ask models, with the configuration that their documentation gives, against servers that the test plays."""
import contextlib, json, os, pathlib, pty, select, signal, subprocess, tempfile, threading, time, unittest

from harness import DEADLINE, Model, Weir, binary, chunk, free_port
from peers_test import NGINX, server

CANARY = "sk-secret-canary-0123456789"
SEVEN = 'capabilities = { tool_calling = false, json_mode = true, streaming = true, vision = false, structured_outputs = false }\n'
OPENAI = f'''[[ai_provider]]
schema_version = 1
name = "mine"
endpoint = "ENDPOINT"
request_shape = "openai_chat"
response_path = "$.choices[0].message.content"
auth = {{ type = "bearer", env = "MY_KEY" }}
cost = {{ input_per_1m_usd = 0.15, output_per_1m_usd = 0.6 }}
{SEVEN}[ai_provider.streaming]
enabled = true
delta_path = "$.choices[0].delta.content"
reasoning_path = "$.choices[0].delta.reasoning_content"
done_sentinel = "[DONE]"
'''
ANTHROPIC = '''[[ai_provider]]
schema_version = 1
name = "mine"
endpoint = "ENDPOINT"
request_shape = "anthropic_messages"
response_path = "$.content[0].text"
auth = { type = "x-api-key", env = "MY_KEY" }
auth_headers = { anthropic-version = "2023-06-01" }
[ai_provider.streaming]
enabled = true
delta_path = "$.delta.text"
'''

WHOLE = r'''
import std/ai/streaming (callStream, AIError)
import std/io (println)
import std/result (Result, Ok, Err)
export func main() -> () ! {AI, Stream, Net, IO} {
let body = "[{\"role\":\"user\",\"content\":\"Name a river.\"}]" in
match callStream("mine", "small", body) {
Ok(text) => println(text),
Err(e) => println("no answer: " ++ e.code ++ " (" ++ (if e.retryable then "later" else "never") ++ ")")
}
}
'''
EVENTS = r'''
import std/ai/streaming (OPENER, onEvent, runEventLoop, disconnect)
import std/stream (SSEData, Closed, StreamError)
import std/io (println)
import std/result (Result, Ok, Err)
export func watch(event: StreamEvent) -> bool {
match event {
SSEData(kind, data) => if data == "[DONE]" || kind == "message_stop" then false else { _io_println(data); true },
Closed(_, _) => false,
StreamError(_) => false,
_ => true
}
}
export func main() -> () ! {AI, Stream, Net, IO} {
let body = "[{\"role\":\"user\",\"content\":\"Name a river.\"}]" in
match OPENER("mine", "small", body) {
Ok(conn) => {
onEvent(conn, watch);
runEventLoop(conn);
disconnect(conn)
},
Err(e) => println("none: " ++ show(e))
}
}
'''
DELTAS = r'''
import std/ai/streaming (OPENER, tokens)
func main() -> unit ! {AI, Stream, Net, IO} {
  match OPENER("mine", "small", [{role: "user", content: "Name a river."}]) {
    Ok(conn) => for t in tokens(conn) {
      if t.reasoning != "" { println("[thinking] " ++ t.reasoning) }
      if t.text != "" { println(t.text) }
    },
    Err(e) => println(show(e))
  }
}
'''


def chat(exchange):
    exchange.head_ok()
    exchange.event({"choices": [{"index": 0, "delta": {"reasoning_content": "long ones"}, "finish_reason": None}]})
    exchange.words(["The ", "Aare"])


def anthropic(exchange):
    exchange.head_ok()
    for event in ({"type": "message_start", "message": {"model": "c", "usage": {"input_tokens": 3, "output_tokens": 1}}},
                  {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "long ones"}},
                  {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "The "}},
                  {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Aare"}},
                  {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}, {"type": "message_stop"}):
        exchange.piece(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n")
    exchange.end()


def folder(program, toml, port, path):
    root = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
    (root / "app.weir").write_text(program)
    (root / "weir.toml").write_text(toml.replace("ENDPOINT", f"http://127.0.0.1:{port}{path}"))
    return root


def run(root, *arguments, key=CANARY):
    env = {"HOME": str(root), "PATH": os.environ["PATH"], **({"MY_KEY": key} if key else {})}
    return subprocess.run([str(binary()), "run", "--caps", "AI,Stream,Net,IO", *arguments, str(root / "app.weir")], capture_output=True,
                          text=True, timeout=DEADLINE, env=env, cwd=root)


DIALECTS = [("openaiCompatStream", OPENAI, chat, "/v1/chat/completions"), ("anthropicStream", ANTHROPIC, anthropic, "/v1/messages")]


class Recipes(unittest.TestCase):
    def test_each_way_to_ask(self):
        for opener, toml, script, path in DIALECTS:
            with self.subTest(opener), Model(script) as model:
                done = run(folder(WHOLE, toml, model.port, path))
                self.assertEqual((done.stdout, done.stderr, done.returncode), ("The Aare\n", "", 0))
                lines = run(folder(EVENTS.replace("OPENER", opener), toml, model.port, path)).stdout.splitlines()
                self.assertIn("Aare", "".join(lines))
                self.assertTrue(all(isinstance(json.loads(line), dict) for line in lines), lines)
                self.assertEqual(run(folder(DELTAS.replace("OPENER", opener), toml, model.port, path)).stdout, "[thinking] long ones\nThe \nAare\n")
                sent = model.requests[0]
                self.assertEqual(sent.request_line, f"POST {path} HTTP/1.1")
                self.assertEqual((sent.json["model"], sent.json["stream"]), ("small", True))
                self.assertEqual(sent.headers.get("authorization", sent.headers.get("x-api-key")).split()[-1], CANARY)

    def test_what_goes_wrong_is_said_without_the_key(self):
        def refuse(exchange):
            exchange.status(401, {"error": {"message": f"bad key {CANARY}"}})

        def cut(exchange):
            exchange.head_ok()
            exchange.event(chunk("half"))
            exchange.end()

        for script, said in ((refuse, "no answer: AuthFailed (never)\n"), (cut, "no answer: Truncated (later)\n")):
            with self.subTest(said), Model(script) as model:
                self.assertEqual(run(folder(WHOLE, OPENAI, model.port, "/v1")).stdout, said)
                done = run(folder(EVENTS.replace("OPENER", "openaiCompatStream"), OPENAI, model.port, "/v1"))
                self.assertNotIn(CANARY, done.stdout + done.stderr)
        with Model(chat) as model:
            done = run(folder(EVENTS.replace("OPENER", "openaiCompatStream"), OPENAI, model.port, "/v1"), key=None)
            self.assertEqual(done.stdout, 'none: ProtocolError("[AuthFailed] env var MY_KEY is unset (required for provider \\"mine\\")")\n')
            self.assertEqual(model.requests, [])

    def test_an_ailang_toml_is_read_too(self):
        with Model(chat) as model:
            root = folder(WHOLE, OPENAI, model.port, "/v1")
            (root / "weir.toml").rename(root / "ailang.toml")
            self.assertEqual(run(root, "--ai", "mine", "--model", "mine/small").stdout, "The Aare\n")

    def test_interrupting_closes_the_socket(self):
        for say in (lambda exchange: None, lambda exchange: exchange.event(chunk("half"))):
            began, closed = threading.Event(), threading.Event()

            def script(exchange):
                exchange.head_ok()
                say(exchange)
                began.set()
                exchange.wait_closed()
                closed.set()

            with Model(script) as model:
                root = folder(WHOLE, OPENAI, model.port, "/v1")
                with Weir("run", "--caps", "all", root / "app.weir", env={"MY_KEY": CANARY}, cwd=root) as weir:
                    self.assertTrue(began.wait(DEADLINE))
                    weir.process.send_signal(signal.SIGINT)
                    self.assertTrue(closed.wait(DEADLINE))
                    self.assertEqual(weir.wait(), 130)


class Recordings(unittest.TestCase):
    """What a provider sent, kept and played again without it."""

    def test_a_program_and_a_conversation(self):
        def script(exchange):
            exchange.head_ok()
            # The key comes back, cut in two.
            said = exchange.headers["authorization"].split()[1]
            data = f"data: {json.dumps(chunk('you are ' + said))}\n\n"
            middle = data.index(said) + 7
            exchange.piece(data[:middle])
            exchange.piece(data[middle:])
            exchange.words([" – é", "."])

        with Model(script) as model:
            root = folder(WHOLE, OPENAI, model.port, "/v1")
            said = run(root, "--record", str(root / "run.jsonl")).stdout
            self.assertEqual(said, f"you are {CANARY} – é.\n")
            talk = subprocess.run([str(binary()), "chat", "mine/small", "--record", str(root / "chat.jsonl")], input="hi", capture_output=True, text=True,
                                  timeout=DEADLINE, cwd=root, env={"HOME": str(root), "PATH": os.environ["PATH"], "MY_KEY": CANARY})
            self.assertEqual((talk.stdout, talk.stderr, talk.returncode), (said, "", 0))
            broken = subprocess.run([str(binary()), "chat", "mine/small", "--record", str(root / "no/chat.jsonl")], input="hi", capture_output=True, text=True,
                                    timeout=DEADLINE, cwd=root, env={"HOME": str(root), "PATH": os.environ["PATH"], "MY_KEY": CANARY})
            self.assertEqual((broken.stdout, broken.returncode), ("", 1))
            self.assertIn("--record: no such file", broken.stderr)
            self.assertEqual(len(model.requests), 2)
        for name in ("run.jsonl", "chat.jsonl"):
            text = (root / name).read_text()
            self.assertNotIn(CANARY[:12], text)
            self.assertNotIn(CANARY[-12:], text)
            self.assertIn('"finished":true', text)
            again = run(root, "--replay", str(root / name), key="another-key")
            self.assertEqual((again.stdout, again.stderr), (f"you are {'*' * len(CANARY)} – é.\n", ""))


class Traces(unittest.TestCase):
    """Spans of calls: to a file, to a collector, and never with a key in them."""

    def spans(self, documents):
        return [span for document in documents for resource in document["resourceSpans"] for scope in resource["scopeSpans"] for span in scope["spans"]]

    def attributes(self, span):
        return {a["key"]: next(iter(a["value"].values())) for a in span["attributes"]}

    def run_traced(self, script, *arguments, env=None):
        with Model(script) as model:
            root = folder(WHOLE, OPENAI, model.port, "/v1")
            clean = {"HOME": str(root), "PATH": os.environ["PATH"], "MY_KEY": CANARY, **(env or {})}
            done = subprocess.run([str(binary()), "run", "--caps", "all", "--trace", str(root / "t.jsonl"), *arguments, str(root / "app.weir")],
                                  capture_output=True, text=True, timeout=DEADLINE, env=clean, cwd=root)
            text = (root / "t.jsonl").read_text()
            self.assertNotIn(CANARY, text + done.stdout + done.stderr)
            return done, self.spans(map(json.loads, text.splitlines()))

    def test_a_file(self):
        def counted(exchange):
            exchange.head_ok()
            exchange.event(chunk("The Aare"))
            exchange.event(chunk(finish="stop"))
            exchange.event({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}})
            exchange.event("[DONE]")
            exchange.end()

        done, [span] = self.run_traced(counted)
        self.assertEqual((done.stdout, done.stderr), ("The Aare\n", ""))
        self.assertEqual((span["name"], span["kind"], len(span["traceId"]), len(span["spanId"])), ("chat small", 3, 32, 16))
        self.assertLess(int(span["startTimeUnixNano"]), int(span["endTimeUnixNano"]))
        found = self.attributes(span)
        wanted = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "mine", "gen_ai.request.model": "small", "gen_ai.response.model": "gpt-test",
                  "gen_ai.usage.input_tokens": "9", "gen_ai.usage.output_tokens": "3", "weir.end_state": "completed", "server.address": "127.0.0.1"}
        self.assertEqual({k: found.get(k) for k in wanted}, wanted)
        self.assertGreater(found["gen_ai.response.time_to_first_chunk"], 0)
        self.assertAlmostEqual(found["weir.cost.usd"], (9 * 0.15 + 3 * 0.6) / 1e6)
        self.assertNotIn("gen_ai.input.messages", found)

    def test_failures_and_contents(self):
        done, [span] = self.run_traced(lambda exchange: exchange.status(401, {"error": {"message": f"bad {CANARY}"}}), "--trace-content")
        found = self.attributes(span)
        self.assertEqual((found["error.type"], found["http.response.status_code"], span["status"]["code"]), ("AuthFailed", "401", 2))
        self.assertIn("Name a river", found["gen_ai.input.messages"])
        _, [span] = self.run_traced(chat, "--trace-content")
        self.assertEqual(json.loads(self.attributes(span)["gen_ai.output.messages"])[0]["content"], "The Aare")

    def test_a_collector(self):
        bodies = []

        def collect(exchange):
            bodies.append((exchange.request_line, exchange.headers.get("x-team"), exchange.json))
            exchange.status(200, {})

        with Model(collect) as collector:
            done, _ = self.run_traced(chat, env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}/", "OTEL_EXPORTER_OTLP_HEADERS": "x-team=otters"})
            self.assertEqual(done.stdout, "The Aare\n")
        [(line, team, document)] = bodies
        self.assertEqual((line, team), ("POST /v1/traces HTTP/1.1", "otters"))
        self.assertEqual([span["name"] for span in self.spans([document])], ["chat small"])

    def test_a_collector_that_is_not_there_holds_nothing_up(self):
        done, spans = self.run_traced(chat, env={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
        self.assertEqual((done.stdout, done.returncode, len(spans)), ("The Aare\n", 0, 1))
        self.assertIn("spans that did not reach the collector: 1", done.stderr)
        with Model(chat) as model:
            root = folder(WHOLE, OPENAI, model.port, "/v1")
            done = run(root, "--trace", str(root / "no/such/folder"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("--trace: no such file", done.stderr)


class Conversation:
    """`weir chat` in a terminal. What it shows is read until it is what the test waits for."""

    def __init__(self, root, *arguments):
        self.shown = ""
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([str(binary()), "chat", *arguments], stdin=slave, stdout=slave, stderr=slave, cwd=root, start_new_session=True,
                                        env={"HOME": str(root), "PATH": os.environ["PATH"], "MY_KEY": CANARY})
        os.close(slave)

    def type(self, text):
        os.write(self.master, text.encode())

    def until(self, wanted):
        end = time.monotonic() + DEADLINE
        while wanted not in self.shown and time.monotonic() < end and select.select([self.master], [], [], 0.2) is not None:
            if select.select([self.master], [], [], 0)[0]:
                with contextlib.suppress(OSError):
                    self.shown += os.read(self.master, 4096).decode()
        assert wanted in self.shown, (wanted, self.shown)
        self.shown = self.shown.split(wanted, 1)[1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)


class Chat(unittest.TestCase):
    def test_in_a_terminal(self):
        gone = threading.Event()

        def script(exchange):
            exchange.head_ok()
            if exchange.json["messages"][-1]["content"] == "long":
                exchange.event(chunk("for ever and"))
                exchange.wait_closed()
                gone.set()
            else:
                exchange.words(["you said ", str(len(exchange.json["messages"]))])

        with Model(script) as model, Conversation(folder("", OPENAI, model.port, "/v1"), "mine/small", "--system", "Be brief.") as talk:
            talk.until("> ")
            talk.type("hello\n")
            talk.until("you said 2")
            talk.until("> ")
            talk.type("long\n")
            talk.until("for ever and")
            talk.process.send_signal(signal.SIGINT)
            talk.until("[stopped]")
            self.assertTrue(gone.wait(DEADLINE))
            talk.until("> ")
            talk.type("again\n")
            talk.until("you said 6")  # the stopped answer is kept
            kept = model.requests[-1].json["messages"]
            self.assertEqual([m["content"] for m in kept], ["Be brief.", "hello", "you said 2", "long", "for ever and", "again"])
            talk.until("> ")
            talk.process.send_signal(signal.SIGINT)
            self.assertEqual(talk.process.wait(DEADLINE), 130)

    def test_from_a_pipe(self):
        ask = lambda text, *arguments, root="/": subprocess.run([str(binary()), "chat", *arguments], input=text, capture_output=True, text=True, timeout=DEADLINE, cwd=root,
                                                                env={"PATH": os.environ["PATH"], "WEIR_ELIZA_DELAY": "1ms", "MY_KEY": CANARY})
        done = ask("I am tired.\nVery.\n")
        self.assertIn("eliza", done.stdout)
        self.assertEqual((done.stdout.count("\n"), done.stderr, done.returncode), (1, "", 0))
        with Model(lambda exchange: exchange.status(401, {"error": {"message": f"no {CANARY}"}})) as model:
            done = ask("hi", "mine/small", root=folder("", OPENAI, model.port, "/v1"))
            self.assertEqual((done.stdout, done.returncode), ("", 1))
            self.assertIn("AuthFailed", done.stderr)
            self.assertNotIn(CANARY, done.stderr)
        self.assertEqual(ask("", "eliza").stdout, "")
        self.assertIn("did you mean \"eliza\"?", ask("hi", "elizza").stderr)


class Doctor(unittest.TestCase):
    def weir(self, root, *arguments, key=CANARY):
        return subprocess.run([str(binary()), *arguments], capture_output=True, text=True, timeout=DEADLINE, cwd=root, stdin=subprocess.DEVNULL,
                              env={"PATH": os.environ["PATH"], **({"MY_KEY": key} if key else {})})

    def test_providers_and_their_models(self):
        def script(exchange):
            if exchange.headers.get("authorization") == f"Bearer {CANARY}":
                exchange.status(200, {"object": "list", "data": [{"id": "small"}, {"id": "big"}]})
            else:
                exchange.status(401, {"error": {"message": "who are you"}})

        with Model(script) as model:
            root = folder("", OPENAI, model.port, "/v1")
            rows = {row["name"]: row for row in json.loads(self.weir(root, "models", "--json").stdout)}
            self.assertEqual(rows["mine"], {"name": "mine", "configured": True, "request_shape": "openai_chat", "endpoint": f"http://127.0.0.1:{model.port}/v1/chat/completions",
                                            "key": {"variable": "MY_KEY", "set": True, "needed": True}})
            self.assertFalse(rows["anthropic"]["configured"])
            self.assertIn("mine ", self.weir(root, "models").stdout)
            self.assertEqual(self.weir(root, "models", "mine").stdout, "big\nsmall\n")
            self.assertEqual(model.requests[-1].request_line, "GET /v1/models HTTP/1.1")
            well = self.weir(root, "doctor")
            self.assertEqual(well.returncode, 0, well.stdout)
            self.assertIn(f"✓ mine (http://127.0.0.1:{model.port}/v1/chat/completions): 2 models", well.stdout)
            wrong = self.weir(root, "doctor", key="sk-wrong-0123456789")
            self.assertEqual(wrong.returncode, 1)
            self.assertIn("HTTP 401", wrong.stdout)
            self.assertNotIn("sk-wrong", wrong.stdout + wrong.stderr)
            self.assertIn("✗ mine", self.weir(root, "doctor", "--offline", key=None).stdout)
            (root / "weir.toml").write_text("[[ai_provider]]\nnmae = 1\n")
            self.assertEqual(self.weir(root, "doctor").returncode, 1)
        root = folder("", OPENAI, free_port(), "/v1")
        self.assertIn("✗ mine", self.weir(root, "doctor").stdout)

    @unittest.skipUnless(NGINX, "nginx is not installed")
    def test_a_proxy_that_buffers_is_found(self):
        for buffers in (False, True):
            app, port, root = free_port(), free_port(), tempfile.mkdtemp()
            conf = pathlib.Path(root) / "nginx.conf"
            held = "proxy_ignore_headers X-Accel-Buffering; proxy_buffering on;" if buffers else ""
            conf.write_text(f"daemon off; master_process off; pid {root}/pid; error_log {root}/e.log; events {{}} http {{ access_log off; "
                            f"client_body_temp_path {root}/b; proxy_temp_path {root}/p; fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s; "
                            f"server {{ listen 127.0.0.1:{port}; location / {{ {held} proxy_pass http://127.0.0.1:{app}; }} }} }}")
            with self.subTest(buffers=buffers), server([NGINX, "-p", root, "-c", conf], port):
                done = self.weir(root, "doctor", "--port", str(app), "--through", f"http://127.0.0.1:{port}/")
                self.assertEqual(done.returncode, 1 if buffers else 0, done.stdout + done.stderr)
                self.assertIn("held back" if buffers else "come through as they are written", done.stdout)
                self.assertIn("server: nginx", done.stdout)


if __name__ == "__main__":
    unittest.main()
