"""A program's agent, served: what reaches the model, what reaches readers, and when."""
import json, random, signal, subprocess, threading, time, unittest, urllib.parse

from harness import DEADLINE, Model, Response, Weir, chunk, free_port, serve_program, text_of, until

WORDS = ["Once", " upon", " a", " midnight", " dreary", ",", " é", "😀", " \"quoted\"", "\nnew line", " end."]


def answer(exchange):
    exchange.head_ok()
    exchange.words(WORDS)


def ask(port, message="hi", session="s1", **headers):
    return Response(port, "POST", "/api/stream", {"message": message, "session_id": session}, headers)


class TheMainJob(unittest.TestCase):
    def test_sse_frames(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            response = ask(weir.port, Accept="text/event-stream")
            self.assertEqual(response.status, 200)
            self.assertTrue(response.headers["content-type"].startswith("text/event-stream"))
            self.assertEqual(response.headers["cache-control"], "no-cache")
            self.assertEqual(response.headers["x-accel-buffering"], "no")
            self.assertIn("accept", response.headers["vary"].lower())
            self.assertTrue(response.headers["location"].startswith("/streams/"))
            self.assertTrue(response.headers["stream-id"])
            events = list(response.events())
            tokens = [json.loads(data) for _, name, data, _ in events if name == "message"]
            self.assertEqual("".join(t["content"] for t in tokens), "".join(WORDS))
            self.assertTrue(all(t["content"] == t["delta"] for t in tokens))
            self.assertEqual((events[-1][1], events[-1][2]), ("done", "[DONE]"))
            self.assertTrue(all(identifier for identifier, *_ in events))

    def test_json_is_the_same_answer(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            for response in (ask(weir.port, Accept="application/json"),
                             ask(weir.port, Accept="text/event-stream;q=0.5, application/json"),
                             Response(weir.port, "POST", "/api/stream?stream=false", {"message": "hi", "session_id": "s2"})):
                self.assertEqual(response.status, 200)
                self.assertTrue(response.headers["content-type"].startswith("application/json"))
                body = response.json()
                self.assertEqual(body["reply"], "".join(WORDS))
                self.assertEqual(body["content"], "".join(WORDS))
                self.assertEqual(body["finish"], "completed")
                self.assertIn(body["session_id"], ("s1", "s2"))
                self.assertTrue(body["stream_id"])

    def test_what_the_model_is_sent(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            list(ask(weir.port, "first", "one").events())
            list(ask(weir.port, "other", "two").events())
            list(ask(weir.port, "second", "one").events())
            request = model.requests[2]
            self.assertEqual(request.request_line, "POST /v1/chat/completions HTTP/1.1")
            self.assertEqual(request.headers["authorization"], "Bearer sk-secret-canary")
            body = request.json
            self.assertIs(body["stream"], True)
            self.assertEqual(body["model"], "gpt-test")
            self.assertEqual(body["temperature"], 0.9)
            self.assertEqual(body["messages"], [
                {"role": "system", "content": "You are a poet of few words."},
                {"role": "user", "content": "first"}, {"role": "assistant", "content": "".join(WORDS)},
                {"role": "user", "content": "second"}])

    def test_first_token_does_not_wait_for_the_last(self):
        gate = threading.Event()

        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("first"))
            assert gate.wait(DEADLINE)
            exchange.words([" last"])

        with Model(script) as model, serve_program(model.port) as weir:
            curl = subprocess.Popen(["curl", "-sN", "-X", "POST", f"http://127.0.0.1:{weir.port}/api/stream", "-H", "Content-Type: application/json",
                                     "-d", '{"message": "Tell me a story", "session_id": "abc"}'], stdout=subprocess.PIPE, text=True)
            line = next(line for line in curl.stdout if line.startswith("data: {"))
            self.assertEqual(json.loads(line[6:]), {"content": "first", "delta": "first"})
            self.assertFalse(gate.is_set())  # the model is still at work while curl has shown the token
            gate.set()
            rest = curl.stdout.read()
            self.assertIn('" last"', rest)
            self.assertTrue(rest.rstrip().endswith("data: [DONE]"))
            self.assertEqual(curl.wait(DEADLINE), 0)

    def test_two_sessions_interleave_and_one_session_keeps_its_order(self):
        gates = {"a": threading.Event(), "b": threading.Event(), "a2": threading.Event()}

        def script(exchange):
            message = exchange.json["messages"][-1]["content"]
            exchange.head_ok()
            exchange.event(chunk(f"{message}:begin"))
            assert gates[message].wait(DEADLINE)
            exchange.words([f" {message}:end"])

        with Model(script) as model, serve_program(model.port) as weir:
            first = ask(weir.port, "a", "same")
            until(lambda: len(model.requests) == 1, "the first call")
            second = ask(weir.port, "a2", "same")
            other = ask(weir.port, "b", "different")
            until(lambda: len(model.requests) == 2, "the other session's call")
            self.assertEqual(model.requests[1].json["messages"][-1]["content"], "b")
            gates["b"].set()
            self.assertEqual(text_of(other.events()), "b:begin b:end")  # done while "a" is still running
            self.assertEqual(len(model.requests), 2)                    # and "a2" waits its turn
            gates["a"].set()
            self.assertEqual(text_of(first.events()), "a:begin a:end")
            until(lambda: len(model.requests) == 3, "the queued call")
            gates["a2"].set()
            self.assertEqual(text_of(second.events()), "a2:begin a2:end")
            self.assertEqual([m["content"] for m in model.requests[2].json["messages"][1:]], ["a", "a:begin a:end", "a2"])

    def test_get_with_query_as_eventsource_does(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            query = urllib.parse.urlencode({"message": "hé llo & more", "session_id": "q"})
            response = Response(weir.port, "GET", f"/api/stream?{query}", headers={"Accept": "text/event-stream"})
            self.assertEqual(response.status, 200)
            self.assertEqual(text_of(response.events()), "".join(WORDS))
            self.assertEqual(model.requests[0].json["messages"][-1]["content"], "hé llo & more")

    def test_sigterm_ends_cleanly(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            self.assertEqual(text_of(ask(weir.port).events()), "".join(WORDS))
            weir.process.send_signal(signal.SIGTERM)
            self.assertEqual(weir.wait(), 0, weir.said())


class Resume(unittest.TestCase):
    def test_cut_at_random_points_200_times(self):
        """Each round cuts a live stream at a random byte, some several times: the pieces joined are the run's stream."""
        seed = random.randrange(1 << 32)
        print(f"(seed {seed})", end=" ", flush=True)
        chance = random.Random(seed)

        def script(exchange):
            exchange.head_ok()
            for i in range(40):
                exchange.event(chunk(f"token {i} é😀 "))
                if i % 8 == 0:
                    time.sleep(0.001)
            exchange.words(["end"])

        whole = "".join(f"token {i} é😀 " for i in range(40)) + "end"
        with Model(script) as model, serve_program(model.port) as weir:
            for number in range(200):
                response = ask(weir.port, "hi", f"cut{number}")
                location, last, text, done, parts = response.headers["location"], "", "", False, 0
                while not done:
                    stop_after = chance.randrange(0, 25)
                    for count, (identifier, name, data, _) in enumerate(response.events()):
                        last = identifier
                        if name == "message":
                            text += json.loads(data)["delta"]
                        done = name == "done"
                        if done or count == stop_after:
                            break
                    response.close()
                    if done:
                        break
                    parts += 1
                    self.assertLess(parts, 500, f"seed {seed}")
                    route = chance.choice([location, "/api/stream?message=hi&session_id=x"])
                    response = Response(weir.port, "GET", route, headers={"Last-Event-ID": last, "Accept": "text/event-stream"})
                    if response.status == 204:
                        break
                    self.assertEqual(response.status, 200, f"seed {seed}: {route} {last}")
                self.assertEqual(text, whole, f"seed {seed}, round {number}")
            self.assertEqual(len(model.requests), 200)  # no resume started a second run

    def test_finished_is_204_and_unknown_is_404(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            response = ask(weir.port)
            events = list(response.events())
            location = response.headers["location"]
            again = Response(weir.port, "GET", location, headers={"Last-Event-ID": events[-1][0]})
            self.assertEqual((again.status, again.read()), (204, b""))
            self.assertEqual(text_of(Response(weir.port, "GET", location, headers={"Accept": "text/event-stream"}).events()), "".join(WORDS))
            self.assertEqual(Response(weir.port, "GET", "/streams/runs/nosuch").status, 404)

    def test_a_client_that_goes_away_changes_nothing(self):
        gate = threading.Event()

        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("before"))
            assert gate.wait(DEADLINE)
            exchange.words([" after"])

        with Model(script) as model, serve_program(model.port) as weir:
            response = ask(weir.port)
            next(response.events())
            location = response.headers["location"]
            response.close()
            gate.set()
            again = Response(weir.port, "GET", location, headers={"Accept": "text/event-stream"})
            self.assertEqual(text_of(again.events()), "before after")
            self.assertEqual(len(model.requests), 1)

    def test_many_readers_of_one_run_see_the_same(self):
        gate = threading.Event()

        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("x"))
            assert gate.wait(DEADLINE)
            exchange.words(WORDS)

        with Model(script) as model, serve_program(model.port) as weir:
            first = ask(weir.port)
            readers = [Response(weir.port, "GET", first.headers["location"], headers={"Accept": "text/event-stream"}) for _ in range(20)]
            gate.set()
            texts = {text_of(r.events()) for r in [first, *readers]}
            self.assertEqual(texts, {"x" + "".join(WORDS)})


class Stop(unittest.TestCase):
    def stopped(self, before_first_token):
        begun = threading.Event()

        def script(exchange):
            exchange.head_ok()
            if not before_first_token:
                exchange.event(chunk("partial"))
            begun.set()
            exchange.wait_closed()

        with Model(script) as model, serve_program(model.port) as weir:
            response = ask(weir.port, "hi", "stopme")
            self.assertTrue(begun.wait(DEADLINE))
            events = response.events()
            if not before_first_token:
                self.assertEqual(json.loads(next(events)[2])["delta"], "partial")
            run = response.headers["location"].rsplit("/", 1)[1]
            at = time.monotonic()
            stop = Response(weir.port, "POST", f"/_weir/runs/{run}/stop", b"")
            self.assertIn(stop.status, (200, 202, 204))
            rest = list(events)
            self.assertEqual((rest[-1][1], rest[-1][2]), ("done", "[DONE]"))
            self.assertTrue(any("aborted" in data for _, _, data, _ in rest), rest)
            closed = until(lambda: model.requests[0].closed_at, "the model's socket to be closed")
            self.assertLess(closed - at, 2)
            # The next turn of the session sees the partial answer, never a user turn alone.
            model.script = answer
            list(ask(weir.port, "again", "stopme").events())
            roles = [m["role"] for m in model.requests[1].json["messages"]]
            self.assertNotIn(("user", "user"), list(zip(roles, roles[1:])))
            return model.requests[1].json["messages"]

    def test_stop_closes_the_models_socket(self):
        messages = self.stopped(before_first_token=False)
        self.assertEqual([m["content"] for m in messages[1:]][:2], ["hi", "partial"])

    def test_stop_before_the_first_token(self):
        self.stopped(before_first_token=True)

    def test_stopping_twice_or_something_unknown(self):
        with Model(answer) as model, serve_program(model.port) as weir:
            response = ask(weir.port)
            list(response.events())
            run = response.headers["location"].rsplit("/", 1)[1]
            self.assertIn(Response(weir.port, "POST", f"/_weir/runs/{run}/stop", b"").status, (200, 202, 204))
            self.assertEqual(Response(weir.port, "POST", "/_weir/runs/unknown/stop", b"").status, 404)


if __name__ == "__main__":
    unittest.main()
