"""Programs that ask models, with the configuration that their documentation gives, against servers that the test plays."""
import json, os, pathlib, signal, subprocess, tempfile, threading, unittest

from harness import DEADLINE, Model, Weir, binary, chunk, until

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


if __name__ == "__main__":
    unittest.main()
