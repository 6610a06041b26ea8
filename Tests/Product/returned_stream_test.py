"""Workflows that return a stream made of another: of a model's answer, of a durable stream, of values that are no text."""
import json, threading, time, unittest

from harness import DEADLINE, Model, Response, chunk, serve_program, text_of, until
from websocket_test import has_websockets, script as python

PROGRAM = '''
import "http"
import std/streaming (StreamWriter, chunk, filter, generate, getReadable, getStreamReader, getWritable, map, take, workflowId, write)
import std/string (toUpper)
import std/clock (sleep)

provider openai {
  api_key: env("OPENAI_API_KEY")
  model: "gpt-test"
}

agent Poet {
  provider: openai
}

@post("/loud")
workflow Loud(message: string) -> stream {
  return Poet.stream(message) |> filter((t) => t != "") |> map((t) => toUpper(t))
}

@post("/lengths")
workflow Lengths(message: string) -> Stream[{text: string, length: int}] {
  return Poet.stream(message).map((t) => {text: t, length: len(t)})
}

@post("/first")
workflow First(message: string) -> stream {
  return Poet.stream(message).take(1)
}

@post("/own")
workflow Own(message: string) -> stream {
  let words: StreamWriter[string] = getWritable("words")
  for word in ["one ", "two ", message] {
    _ = words.write(word)
  }
  return getReadable("words")
}

@post("/follow")
workflow Follow(id: string) -> stream {
  return getStreamReader(id, "words")
}

@post("/bad")
workflow Bad(message: string) -> stream {
  return Poet.stream(message).map((t) => "${10 / (len(t) - 1)}")
}

fn main() {
  http.Server([Loud, Lengths, First, Own, Follow, Bad]).listen(8080)
}
'''

WORDS = ["Once", " upon", " é", " end."]


def answer(exchange):
    exchange.head_ok()
    exchange.words(WORDS)


def ask(port, path, body=None, **headers):
    return Response(port, "POST", path, body or {"message": "hi"}, headers)


class ReturnedStreams(unittest.TestCase):
    def test_each_piece_is_sent_as_it_comes(self):
        for command in ("run", "serve"):
            gate = threading.Event()

            def script(exchange):
                exchange.head_ok()
                exchange.event(chunk("first"))
                assert gate.wait(DEADLINE)
                exchange.event(chunk(" last"))
                exchange.event(chunk(finish="length"))
                exchange.event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
                exchange.event("[DONE]")
                exchange.end()

            with self.subTest(command), Model(script) as model, serve_program(model.port, PROGRAM, command=command) as weir:
                events = ask(weir.port, "/loud", Accept="text/event-stream").events()
                self.assertEqual(json.loads(next(events)[2])["delta"], "FIRST")
                self.assertFalse(gate.is_set())
                gate.set()
                rest = list(events)
                self.assertEqual(text_of(rest), " LAST")
                self.assertEqual([name for _, name, _, _ in rest[-3:]], ["usage", "end", "done"])
                self.assertEqual(json.loads(rest[-3][2])["output_tokens"], 2)
                self.assertEqual(json.loads(rest[-2][2]), {"finish": "length"})

    def test_every_format(self):
        with Model(answer) as model, serve_program(model.port, PROGRAM, command="serve") as weir:
            loud = "".join(WORDS).upper()
            self.assertEqual(Response(weir.port, "POST", "/loud?format=text", {"message": "hi"}).read().decode(), loud)
            whole = ask(weir.port, "/loud", Accept="application/json").json()
            self.assertEqual((whole["reply"], whole["finish"]), (loud, "completed"))
            lines = Response(weir.port, "POST", "/lengths?format=text", {"message": "hi"}).read().decode()
            self.assertEqual([json.loads(line) for line in lines.splitlines()], [{"text": w, "length": len(w)} for w in WORDS])
            self.assertEqual(Response(weir.port, "POST", "/own?format=text", {"message": "hi"}).read(), b"one two hi")

    @unittest.skipUnless(has_websockets(), "websockets is not there (make peers)")
    def test_over_a_websocket(self):
        program = """
import asyncio, json, sys
from websockets.asyncio.client import connect
async def main(url):
    async with connect(url) as ws:
        for text in ["hello", "again"]:
            await ws.send(json.dumps({"message": text}))
            said = []
            while (message := await asyncio.wait_for(ws.recv(), 20)) != "[DONE]": said.append(json.loads(message))
            assert "".join(m["content"] for m in said if "content" in m) == "ONCE UPON É END.", said
            assert said[-1] == {"finish": "completed"}, said
    print("all well", flush=True)
asyncio.run(main(sys.argv[1]))
"""
        with Model(answer) as model, serve_program(model.port, PROGRAM) as weir:
            with python(program, f"ws://127.0.0.1:{weir.port}/loud") as client:
                self.assertEqual(client.stdout.readline(), "all well\n")

    def test_stop_closes_the_models_socket(self):
        for before_first_token in (True, False):
            begun = threading.Event()

            def script(exchange):
                exchange.head_ok()
                if not before_first_token:
                    exchange.event(chunk("partial"))
                begun.set()
                exchange.wait_closed()

            with self.subTest(before_first_token), Model(script) as model, serve_program(model.port, PROGRAM) as weir:
                response = ask(weir.port, "/loud")
                self.assertTrue(begun.wait(DEADLINE))
                events = response.events()
                if not before_first_token:
                    self.assertEqual(json.loads(next(events)[2])["delta"], "PARTIAL")
                at = time.monotonic()
                run = response.headers["location"].rsplit("/", 1)[1]
                self.assertIn(Response(weir.port, "POST", f"/_weir/runs/{run}/stop", b"").status, (200, 202, 204))
                rest = list(events)
                self.assertEqual([json.loads(data) for _, name, data, _ in rest if name == "end"], [{"finish": "aborted"}])
                closed = until(lambda: model.requests[0].closed_at, "the model's socket to be closed")
                self.assertLess(closed - at, 2)

    def test_a_stream_that_ends_early_ends_the_model_too(self):
        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("one"))
            exchange.event(chunk("two"))
            exchange.wait_closed()

        with Model(script) as model, serve_program(model.port, PROGRAM) as weir:
            events = list(ask(weir.port, "/first").events())
            self.assertEqual(text_of(events), "one")
            self.assertEqual(json.loads(events[-2][2]), {"finish": "completed"})
            until(lambda: model.requests[0].closed_at, "the model's socket to be closed")

    def test_failures_are_told_apart(self):
        def cut(exchange):
            exchange.head_ok()
            exchange.event(chunk("half"))
            exchange.end()

        def refuse(exchange):
            exchange.status(401, {"error": {"message": "no such key"}})

        def long(exchange):
            exchange.head_ok()
            exchange.words(["abc", "x"])

        for script, path, code, finish, status in ((cut, "/loud", "Truncated", "truncated", 502), (refuse, "/loud", "AuthFailed", "error", 502),
                                                   (long, "/bad", "DivisionByZero", "error", 500)):
            with self.subTest(code), Model(script) as model, serve_program(model.port, PROGRAM) as weir:
                events = list(ask(weir.port, path).events())
                self.assertEqual([json.loads(data)["code"] for _, name, data, _ in events if name == "error"], [code])
                self.assertEqual([json.loads(data)["finish"] for _, name, data, _ in events if name == "end"], [finish])
                self.assertEqual(ask(weir.port, path, Accept="application/json").status, status)

    def test_a_model_that_begins_anew_says_so(self):
        def script(exchange):
            exchange.head_ok()
            if exchange.json["model"] == "first":
                exchange.event(chunk("half"))
                exchange.end()
            else:
                exchange.words(["whole", " answer"])

        with Model(script) as model:
            table = """
[[ai_provider]]
schema_version = 1
name = "NAME"
endpoint = "http://127.0.0.1:PORT/v1/chat/completions"
request_shape = "openai_chat"
auth = { type = "none" }
retry = { max = 0 }
MORE
[ai_provider.streaming]
enabled = true
""".replace("PORT", str(model.port))
            more = 'fallback = ["b/second"]\nfallback_after_content = "restart"'
            toml = table.replace("NAME", "a").replace("MORE", more) + table.replace("NAME", "b").replace("MORE", "")
            program = PROGRAM.replace("agent Poet {\n  provider: openai\n}", 'agent Poet {\n  model: "a/first"\n}')
            with serve_program(model.port, program, toml=toml) as weir:
                events = [(name, data) for _, name, data, _ in ask(weir.port, "/loud").events()]
                self.assertEqual([json.loads(data)["delta"] if name == "message" else name for name, data in events],
                                 ["HALF", "restart", "WHOLE", " ANSWER", "usage", "end", "done"])
                self.assertEqual(ask(weir.port, "/loud", Accept="application/json").json()["reply"], "WHOLE ANSWER")

    def test_a_durable_stream_is_followed(self):
        with Model(answer) as model, serve_program(model.port, PROGRAM) as weir:
            first = ask(weir.port, "/own", {"message": "three"})
            run = first.headers["location"].rsplit("/", 1)[1]
            self.assertEqual(text_of(first.events()), "one two three")
            self.assertEqual(text_of(ask(weir.port, "/follow", {"id": run}).events()), "one two three")


if __name__ == "__main__":
    unittest.main()
