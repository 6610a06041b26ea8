"""Streams over HTTP: the real server against the protocol's Python client, curl, httpx-sse, Chromium, and connections that are cut."""
import base64, contextlib, http.client, http.server, json, pathlib, random, shutil, socket, subprocess, tempfile, threading, time, unittest

from browser import BrowserTest
from harness import DEADLINE, Response, Weir, binary, free_port, until

TEXT = {"Content-Type": "text/plain"}
JSON = {"Content-Type": "application/json"}


@contextlib.contextmanager
def streams(*flags, env=None, shell=None):
    """A server of streams alone."""
    with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
        path = pathlib.Path(folder) / "streams.weir"
        path.write_text("// only streams\n")
        port = free_port()
        with Weir("serve", "--caps", "all", "--public-streams", "--streams-root", "/v1/stream", "--port", port, *flags, path, port=port, env=env, shell=shell) as weir:
            yield weir.wait_listening()


class Cutter:
    """A port whose connections to another one are cut: all there are, when told."""

    def __init__(self, to):
        self.to, self.pairs, self.port = to, [], None
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                mine, _ = self.socket.accept()
                theirs = socket.create_connection(("127.0.0.1", self.to))
                self.pairs.append((mine, theirs))
                for a, b in ((mine, theirs), (theirs, mine)):
                    threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    @staticmethod
    def _pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for one in (a, b):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def cut(self):
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for one in pair:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def close(self):
        self.socket.close()
        self.cut()


class PythonClient(unittest.TestCase):
    """ElectricSQL's own client for Python."""

    def setUp(self):
        try:
            import durable_streams
        except ImportError:
            self.skipTest("durable-streams is not installed: make peers")
        self.client = durable_streams

    def test_create_append_read_head_delete(self):
        with streams() as weir:
            url = f"http://127.0.0.1:{weir.port}/v1/stream/orders"
            handle = self.client.DurableStream.create(url, content_type="application/json", ttl_seconds=600)
            self.assertEqual(handle.content_type, "application/json")
            tails = [handle.append({"number": n, "text": "é😀\n"}).next_offset for n in range(20)]
            self.assertEqual(tails, sorted(set(tails)))
            handle.append([1, 2], seq="a")
            with self.assertRaises(self.client.SeqConflictError):
                handle.append({"late": True}, seq="a")
            with handle.stream(live=False) as found:
                self.assertEqual(found.read_json(), [{"number": n, "text": "é😀\n"} for n in range(20)] + [[1, 2]])
            with handle.stream(offset=tails[14], live=False) as found:
                self.assertEqual([item["number"] for item in found.read_json()[:-1]], [15, 16, 17, 18, 19])
            head = handle.head()
            self.assertEqual((head.exists, head.content_type), (True, "application/json"))
            with self.assertRaises(self.client.StreamExistsError):
                self.client.DurableStream.create(url, content_type="text/plain")
            handle.delete()
            with self.assertRaises(self.client.StreamNotFoundError):
                self.client.stream(url, live=False)

    def test_many_threads_append(self):
        with streams() as weir:
            handle = self.client.DurableStream.create(f"http://127.0.0.1:{weir.port}/streams/many", content_type="application/json")
            threads = [threading.Thread(target=lambda w=w: [handle.append([w, n]) for n in range(25)]) for w in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE)
            with handle.stream(live=False) as found:
                items = found.read_json()
            self.assertEqual(len(items), 200)
            for w in range(8):
                self.assertEqual([n for writer, n in items if writer == w], list(range(25)))

    def live(self, way):
        with streams("--long-poll-timeout", "500ms") as weir:
            url = f"http://127.0.0.1:{weir.port}/v1/stream/live"
            handle = self.client.DurableStream.create(url, content_type="application/json")
            handle.append({"n": 0})
            found = []

            def read():
                with self.client.stream(url, offset="-1", live=way, timeout=DEADLINE) as answer:
                    for item in answer.iter_json():
                        found.append(item["n"])
                        if item["n"] == 9:
                            return
            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            until(lambda: found == [0], "the first message")
            time.sleep(0.7)  # longer than a poll lasts: this is what is tried
            for n in range(1, 10):
                handle.append({"n": n})
                until(lambda: found[-1] == n, f"message {n}")
            reader.join(DEADLINE)
            self.assertEqual(found, list(range(10)))

    def test_live_by_long_poll(self):
        self.live("long-poll")

    def test_live_by_events(self):
        self.live("sse")


class Protocol(unittest.TestCase):
    def test_producers_ends_and_forks(self):
        with streams() as weir:
            def ask(method, path, body=None, **headers):
                answer = Response(weir.port, method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
                return answer.status, answer.headers, answer.read()
            self.assertEqual(ask("PUT", "/v1/stream/a", b"", **TEXT)[0], 201)
            stamp = lambda n: {"Producer_Id": "p", "Producer_Epoch": "0", "Producer_Seq": str(n)}
            self.assertEqual([ask("POST", "/v1/stream/a", b"x", **TEXT, **stamp(n))[0] for n in (0, 1, 1, 0, 5)], [200, 200, 204, 204, 409])
            status, headers, _ = ask("POST", "/v1/stream/a", b"end", **TEXT, **stamp(2), Stream_Closed="true")
            self.assertEqual((status, headers["stream-closed"], headers["stream-next-offset"]), (200, "true", "0000000000000003"))
            self.assertEqual(ask("POST", "/v1/stream/a", b"end", **TEXT, **stamp(2), Stream_Closed="true")[0], 204)
            self.assertEqual(ask("POST", "/v1/stream/a", b"more", **TEXT)[0], 409)
            self.assertEqual(ask("PUT", "/v1/stream/b", None, Stream_Forked_From="/v1/stream/a", Stream_Fork_Offset="0000000000000002")[0], 201)
            self.assertEqual(ask("POST", "/v1/stream/b", b" and on", **TEXT)[0], 204)
            self.assertEqual(ask("DELETE", "/v1/stream/a")[0], 204)
            self.assertEqual(ask("GET", "/v1/stream/a")[0], 410)
            self.assertEqual(ask("GET", "/v1/stream/b?offset=-1")[2], b"xx and on")
            etag = ask("GET", "/v1/stream/b")[1]["etag"]
            self.assertEqual(ask("GET", "/v1/stream/b", None, If_None_Match=etag)[0], 304)
            self.assertEqual(ask("POST", "/v1/stream/b", b"x" * (2 << 20), **TEXT)[0], 413)

    def test_a_long_poll_sleeps_and_wakes_at_once(self):
        with streams("--long-poll-timeout", "1s") as weir:
            Response(weir.port, "PUT", "/streams/a", b"", TEXT).read()
            begun = time.monotonic()
            self.assertEqual(Response(weir.port, "GET", "/streams/a?offset=now&live=long-poll").status, 204)
            self.assertGreater(time.monotonic() - begun, 0.9)
            found = []
            reader = threading.Thread(target=lambda: found.append(Response(weir.port, "GET", "/streams/a?offset=now&live=long-poll").read()))
            reader.start()
            while not found:
                Response(weir.port, "POST", "/streams/a", b"x", TEXT).read()
                reader.join(0.01)
            self.assertTrue(found[0].startswith(b"x"))

    def test_a_stream_is_over_after_its_time(self):
        with streams() as weir:
            self.assertEqual(Response(weir.port, "PUT", "/streams/a", b"x", {**TEXT, "Stream-TTL": "1"}).status, 201)
            until(lambda: Response(weir.port, "HEAD", "/streams/a").status == 404, "its end")
            self.assertEqual(Response(weir.port, "PUT", "/streams/a", b"[]", JSON).status, 201)

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_curl(self):
        with streams("--long-poll-timeout", "1s") as weir:
            def curl(*words):
                done = subprocess.run(["curl", "-sS", "-m", str(DEADLINE), *words], capture_output=True, text=True, timeout=DEADLINE + 5)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout
            url = f"http://127.0.0.1:{weir.port}/streams/letters"
            self.assertIn("201 Created", curl("-i", "-X", "PUT", "-H", "Content-Type: text/plain", url))
            for letter in "abc":
                curl("-H", "Content-Type: text/plain", "--data-binary", letter, url)
            self.assertEqual(curl(url), "abc")
            self.assertEqual(curl(url + "?offset=0000000000000001"), "bc")
            # A body that comes in chunks is one item, however they are cut.
            pieces = subprocess.run(
                ["curl", "-sS", "-m", str(DEADLINE), "-i", "-H", "Content-Type: text/plain", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", url],
                input=b"d" * 100_000, capture_output=True, timeout=DEADLINE + 5)
            self.assertIn(b"Stream-Next-Offset: 0000000000000004", pieces.stdout)
            self.assertEqual(curl(url + "?offset=0000000000000003"), "d" * 100_000)
            curl("-X", "POST", "-H", "Stream-Closed: true", url)
            self.assertEqual(curl(url + "?offset=-1&live=sse").count("event: data"), 1)
            plain = curl("-N", "-H", "Accept: text/event-stream", url)
            self.assertIn("id: 0000000000000003\ndata: c\n\n", plain)
            self.assertIn("id: 0000000000000004\ndata: ddd", plain)
            self.assertIn('event: end\ndata: {"state":"closed"}', plain)

    def test_httpx_sse(self):
        try:
            import httpx, httpx_sse
        except ImportError:
            self.skipTest("httpx-sse is not installed: make peers")
        with streams() as weir, httpx.Client(timeout=DEADLINE) as client:
            url = f"http://127.0.0.1:{weir.port}/streams/a"
            client.put(url, headers=TEXT)
            for n in range(5):
                client.post(url, headers=TEXT, content=f"line {n}\nmore")
            with httpx_sse.connect_sse(client, "GET", url) as source:
                events = (e for e in source.iter_sse() if e.data)  # it shows events that have an id alone
                seen = [next(events) for _ in range(5)]
            self.assertEqual([e.data for e in seen], [f"line {n}\nmore" for n in range(5)])
            client.post(url, headers={"Stream-Closed": "true"})
            with httpx_sse.connect_sse(client, "GET", url, headers={"Last-Event-ID": seen[2].id}) as source:
                rest = [e for e in source.iter_sse() if e.data]
            self.assertEqual([(e.event, e.data) for e in rest], [("message", "line 3\nmore"), ("message", "line 4\nmore"), ("end", '{"state":"closed"}')])
            self.assertEqual(client.get(url, headers={"Accept": "text/event-stream", "Last-Event-ID": rest[-1].id}).status_code, 204)

    def test_a_link_opens_one_stream(self):
        import hashlib, hmac
        secret = "a secret of this test's own"
        with streams("--token", "long-enough", env={"WEIR_LINK_SECRET": secret}) as weir:
            bearer = {"Authorization": "Bearer long-enough"}
            for name in "ab":
                self.assertEqual(Response(weir.port, "PUT", f"/streams/{name}", b"x", {**TEXT, **bearer}).status, 201)
            expires = int(time.time()) + 60
            signature = hmac.new(secret.encode(), f"weir-link-1\na\nrw\n{expires}".encode(), hashlib.sha256).hexdigest()
            link = f"rights=rw&expires={expires}&signature={signature}"
            self.assertEqual(Response(weir.port, "GET", "/streams/a").status, 401)
            self.assertEqual(Response(weir.port, "GET", f"/streams/a?{link}").read(), b"x")
            self.assertEqual(Response(weir.port, "POST", f"/streams/a?{link}", b"y", TEXT).status, 204)
            self.assertEqual(Response(weir.port, "GET", f"/streams/b?{link}").status, 403)
            self.assertEqual(Response(weir.port, "DELETE", f"/streams/a?{link}").status, 403)

    def test_bytes_survive_events(self):
        data = bytes(range(256)) * 3
        with streams() as weir:
            Response(weir.port, "PUT", "/streams/a", data, {"Content-Type": "application/octet-stream", "Stream-Closed": "true"}).read()
            response = Response(weir.port, "GET", "/streams/a", headers={"Accept": "text/event-stream"})
            self.assertEqual(response.headers["stream-sse-data-encoding"], "base64")
            events = list(response.events())
            self.assertEqual(base64.b64decode(events[0][2]), data)
            self.assertEqual(events[1][1:3], ("end", '{"state":"closed"}'))

    def test_roots_that_are_none(self):
        with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
            path = pathlib.Path(folder) / "streams.weir"
            path.write_text("// only streams\n")
            for root in ("", "/", "a", "//x", "/x/../y", "/x/./y", "/x?y", "/\u00fc", "/a b", "/%41", "/_weir", "/_weir/x", "/healthz", "/readyz/x"):
                refused = subprocess.run([str(binary()), "serve", "--caps", "all", "--public-streams", "--port", "0", f"--streams-root={root}", str(path)],
                                         capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual(refused.returncode, 2, root)
                self.assertIn(f"--streams-root {root}", refused.stderr)
                self.assertIn("hint: ", refused.stderr)

    def test_what_is_compressed_is_not_kept(self):
        import gzip
        with streams("--subscriptions") as weir:
            Response(weir.port, "PUT", "/streams/a", b"x", TEXT).read()
            for method, path in (("PUT", "/streams/b"), ("POST", "/streams/a"), ("PUT", "/streams/__ds/subscriptions/s")):
                refused = Response(weir.port, method, path, gzip.compress(b"y"), {**TEXT, "Content-Encoding": "gzip"})
                self.assertEqual((refused.status, refused.headers["accept-encoding"]), (415, "identity"))
                self.assertEqual(refused.json()["error"]["code"], "UnsupportedContentCoding")
            self.assertEqual(Response(weir.port, "POST", "/streams/a", b"y", {**TEXT, "Content-Encoding": "Identity"}).status, 204)
            self.assertEqual(Response(weir.port, "GET", "/streams/a").read(), b"xy")

    def test_who_waits_for_what_nobody_writes_does_not_hold_the_server_up(self):
        with streams("--grace", "1h") as weir:
            Response(weir.port, "PUT", "/streams/a", b"x", TEXT).read()
            events = Response(weir.port, "GET", "/streams/a?offset=-1&live=sse").events()
            self.assertEqual([next(events)[1] for _ in range(2)], ["data", "control"])
            plain = Response(weir.port, "GET", "/streams/a", headers={"Accept": "text/event-stream"}).events()
            self.assertEqual(next(plain)[2], "x")
            waiting = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=DEADLINE)
            waiting.request("GET", "/streams/a?offset=0000000000000001&live=long-poll")
            # Asked later and answered: that one waits by now.
            self.assertEqual(Response(weir.port, "HEAD", "/streams/a").status, 200)
            weir.process.terminate()
            # Whole, so that it comes back elsewhere without an error.
            self.assertEqual(list(events), [])
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                self.assertEqual(list(plain), [])
            self.assertEqual(waiting.getresponse().status, 204)
            self.assertEqual(weir.wait(), 0, weir.said())
            waiting.close()

    def test_a_stalled_reader_costs_the_log(self):
        """200 MB for somebody who reads nothing: what the server holds for them is little."""
        with streams() as weir:
            Response(weir.port, "PUT", "/streams/a", b"", {"Content-Type": "application/octet-stream"}).read()
            piece, count = b"x" * (32 << 10), 6400
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", weir.port, timeout=DEADLINE)) as writer:
                for _ in range(count):
                    writer.request("POST", "/streams/a", piece, {"Content-Type": "application/octet-stream"})
                    self.assertEqual(writer.getresponse().read(), b"")

            def connect(target, accept="*/*"):
                reader = socket.socket()
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader.connect(("127.0.0.1", weir.port))
                reader.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n".encode())
                self.assertIn(b"200 OK", reader.recv(1000))
                return reader
            # One that has come and gone, so that what is made once is there.
            connect("/streams/a?offset=-1&live=sse").close()
            before = weir.rss_kb()
            readers = [connect("/streams/a?offset=-1&live=sse") for _ in range(20)]
            time.sleep(0.5)  # for the server to do whatever it would do
            grown = weir.rss_kb() - before
            self.assertLess(grown, 20 * 256, f"{grown} KB for 20 readers")
            for reader in readers:
                reader.close()


class Subscriptions(unittest.TestCase):
    """A webhook and a worker against the real server, which is killed in between."""

    def setUp(self):
        self.calls = calls = []
        self.answer = b"{}"
        test = self

        class Hook(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                calls.append((self.headers["Webhook-Signature"], json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
                self.send_response(200)
                self.send_header("Content-Length", str(len(test.answer)))
                self.end_headers()
                self.wfile.write(test.answer)

            def log_message(self, *words):
                pass

        self.hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=self.hook.serve_forever, daemon=True).start()
        self.addCleanup(self.hook.server_close)
        self.addCleanup(self.hook.shutdown)

    def test_a_webhook_outlives_a_crash(self):
        with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
            kept = pathlib.Path(folder) / "kept"
            flags = ("--subscriptions", "--local-webhooks", "--store", str(kept))
            with streams(*flags) as weir:
                ask = lambda method, path, body, headers=JSON: Response(weir.port, method, path, body, headers)
                plan = {"type": "webhook", "pattern": "events/*", "lease_ttl_ms": 1000, "webhook": {"url": f"http://127.0.0.1:{self.hook.server_port}/"}}
                self.assertEqual(ask("PUT", "/v1/stream/__ds/subscriptions/s", json.dumps(plan).encode()).status, 201)
                self.assertEqual(ask("PUT", "/v1/stream/events/a", b"[1,2]").status, 201)
                until(lambda: self.calls, "the first wake")
                signature, first = self.calls[0]
                self.assertRegex(signature, r"^t=\d+,kid=ds_[\w-]{43},ed25519=[\w-]{86}$")
                self.assertEqual(first["callback_url"], f"http://127.0.0.1:{weir.port}/v1/stream/__ds/subscriptions/s/callback")
                bearer = {**JSON, "Authorization": "Bearer " + first["callback_token"]}
                ack = {"wake_id": first["wake_id"], "generation": 1, "acks": [{"stream": "events/a", "offset": "0000000000000001"}]}
                self.assertEqual(json.loads(ask("POST", "/v1/stream/__ds/subscriptions/s/callback", json.dumps(ack).encode(), bearer).read()), {"ok": True, "next_wake": False})
                keys = ask("GET", "/v1/stream/__ds/jwks.json", None).read()
                weir.process.kill()
                weir.process.wait()
            # The lease is over, whoever has it: the work is given out again.
            self.answer = b'{"done": true}'
            with streams(*flags) as weir:
                until(lambda: len(self.calls) > 1, "the wake after the crash")
                signature, second = self.calls[-1]
                self.assertGreater(second["generation"], 1)
                self.assertEqual(second["streams"][0]["acked_offset"], "0000000000000001")
                show = lambda: json.loads(Response(weir.port, "GET", "/v1/stream/__ds/subscriptions/s").read())
                until(lambda: show()["streams"][0]["acked_offset"] == "0000000000000002", "what the webhook has done")
                self.assertEqual(Response(weir.port, "GET", "/v1/stream/__ds/jwks.json").read(), keys)
            for name in ("webhook-key", "wake-key"):
                self.assertEqual((kept / name).stat().st_mode & 0o777, 0o600)
            (kept / "webhook-key").rename(kept / "webhook-key.old")
            with streams(*flags) as weir:
                shown = json.loads(Response(weir.port, "GET", "/v1/stream/__ds/jwks.json").read())["keys"]
                self.assertEqual(shown[1:], json.loads(keys)["keys"])
                self.assertNotEqual(shown[0], shown[1])

    def test_a_webhook_on_this_machine_must_be_allowed(self):
        with streams("--subscriptions") as weir:
            plan = {"type": "webhook", "pattern": "events/*", "webhook": {"url": f"http://127.0.0.1:{self.hook.server_port}/"}}
            refused = Response(weir.port, "PUT", "/v1/stream/__ds/subscriptions/s", json.dumps(plan).encode(), JSON)
            self.assertEqual(refused.status, 400)
            self.assertIn(b"--local-webhooks", refused.read())

    def test_who_may_not(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "streams.weir"
            path.write_text("// only streams\n")
            refused = subprocess.run([binary(), "serve", "--caps", "all", "--subscriptions", path], capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(refused.returncode, 2)
            self.assertIn("--token or --public-streams", refused.stderr)
            shared = subprocess.run(
                [binary(), "serve", "--caps", "all", "--subscriptions", "--public-streams", "--port", "0", "--store", "redis://127.0.0.1:1", path],
                capture_output=True, text=True, timeout=DEADLINE)
            self.assertNotEqual(shared.returncode, 0)
            self.assertIn("one process", shared.stderr)


class StoreInFiles(unittest.TestCase):
    """The store's own folder: few descriptors, kill -9, a byte that rots, somebody who removes it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="weir-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name) / "kept"

    def make(self, weir, count, clients=32, method="PUT"):
        """Statuses of streams that are made by many connections at once."""
        def work(mine):
            connection = http.client.HTTPConnection("127.0.0.1", weir.port, timeout=DEADLINE)
            for number in range(mine, count, clients):
                connection.request(method, f"/streams/t/{number}", b"x" * 100, TEXT)
                answer = connection.getresponse()
                statuses.append((answer.status, answer.read()[:200]))
            connection.close()
        statuses = []
        threads = [threading.Thread(target=work, args=(mine,)) for mine in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(2 * DEADLINE)
        return statuses

    def tool(self, *words):
        return subprocess.run([binary(), "streams", *words, "--store", str(self.folder)], capture_output=True, text=True, timeout=DEADLINE)

    def test_a_burst_of_streams_with_few_descriptors(self):
        with streams("--store", str(self.folder), shell="ulimit -n 256") as weir:
            self.assertEqual({status for status, _ in self.make(weir, 1500)}, {201})
            self.assertLess(weir.descriptors(), 200)
            self.assertEqual({status for status, _ in self.make(weir, 1500, method="POST")}, {204})
            weir.process.terminate()
            self.assertEqual(weir.wait(), 0)
        self.assertFalse(list(self.folder.glob("journal*")))
        self.assertTrue(self.tool("fsck").stdout.startswith("1500 streams, 1500 files, 3000 items"))

    def test_thousands_of_streams_after_a_kill(self):
        with streams("--store", str(self.folder)) as weir:
            self.assertEqual({status for status, _ in self.make(weir, 6000)}, {201})
            weir.process.kill()
            weir.process.wait()
        # Looking settles nothing, and keeps no writer out.
        journals = sorted(self.folder.glob("journal*"))
        self.assertTrue(journals)
        self.assertEqual(len(self.tool("ls", "t/").stdout.splitlines()), 6000)
        self.assertEqual(sorted(self.folder.glob("journal*")), journals)
        with streams("--store", str(self.folder)) as weir:
            # The first question opens the store, and everybody else is answered meanwhile.
            asked = threading.Thread(target=lambda: Response(weir.port, "GET", "/streams/t/1").read())
            asked.start()
            slowest = 0
            while asked.is_alive():
                start = time.monotonic()
                self.assertEqual(Response(weir.port, "GET", "/healthz").status, 200)
                slowest = max(slowest, time.monotonic() - start)
            asked.join()
            self.assertLess(slowest, 2)
            self.assertEqual(Response(weir.port, "GET", "/streams/t/5999").read(), b"x" * 100)

    def test_a_byte_that_rots(self):
        with streams("--store", str(self.folder)) as weir:
            self.assertEqual(Response(weir.port, "PUT", "/streams/rotten", headers=TEXT).status, 201)
            for number in range(10):
                self.assertEqual(Response(weir.port, "POST", "/streams/rotten", f"item {number}\n".encode(), TEXT).status, 204)
        file = self.folder / "rotten@0000000000000000.log"
        file.write_bytes(file.read_bytes().replace(b"item 4", b"itEm 4"))
        readable = "".join(f"item {number}\n" for number in range(4))
        with streams("--store", str(self.folder)) as weir:
            got = Response(weir.port, "GET", "/streams/rotten?offset=-1")
            self.assertEqual((got.status, got.read()), (200, readable.encode()))
            got = Response(weir.port, "GET", "/streams/rotten?offset=4")
            self.assertEqual(got.status, 500)
            told = got.read()
            self.assertIn(b"StreamDamaged", told)
            self.assertNotIn(str(self.folder).encode(), told)
            for query in ("offset=4&live=sse", "offset=4&live=long-poll", "offset=now&live=sse"):
                got = Response(weir.port, "GET", f"/streams/rotten?{query}")
                self.assertEqual((got.status, b"StreamDamaged" in got.read()), (500, True), query)
            got = Response(weir.port, "GET", "/streams/rotten?offset=4", headers={"Accept": "text/event-stream"})
            self.assertEqual(got.status, 500)
        for words in (("cat", "rotten"), ("tail", "rotten"), ("tail", "rotten", "--from", "0")):
            done = self.tool(*words)
            self.assertEqual((done.stdout, done.returncode), (readable, 1), words)
        self.assertIn("damaged: stream", self.tool("ls").stdout)
        self.assertEqual(self.tool("fork", "rotten", "saved", "--at", "4").returncode, 0)
        self.assertEqual(self.tool("cat", "saved").stdout, readable)

    def test_somebody_removes_the_folder(self):
        with streams("--store", str(self.folder)) as weir:
            self.assertEqual(Response(weir.port, "PUT", "/streams/a", b"x", TEXT).status, 201)
            shutil.rmtree(self.folder)
            for _ in range(3):
                got = Response(weir.port, "POST", "/streams/a", b"y", TEXT)
                self.assertEqual(got.status, 503)
                self.assertIn(b"removed", got.read())
            self.assertEqual(Response(weir.port, "PUT", "/streams/b", b"x", TEXT).status, 503)
            told = [line for line in weir.err if "takes nothing more" in line]
            self.assertEqual(len(told), 1, weir.err)

    def test_what_is_no_folder(self):
        self.folder = pathlib.Path("/dev/null")
        refused = self.tool("append", "a", "--item", "x")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("no streams can be kept in /dev/null", refused.stderr)
        self.assertIn("WEIR_STORE", refused.stderr)


class Cuts(unittest.TestCase):
    """Connections cut at random bytes: what a reader puts together is the stream."""

    def test_thousands_of_cuts(self):
        seed = random.randrange(1 << 30)
        print(f"WEIR_SEED={seed}", end=" ")
        choice = random.Random(seed)
        with streams("--long-poll-timeout", "50ms") as weir:
            Response(weir.port, "PUT", "/streams/a", b"", TEXT).read()
            written, done, cuts = bytearray(), threading.Event(), [0]

            def write():
                for n in range(2000):
                    data = f"{n}:é😀\n;".encode()
                    cut = choice.randrange(1, len(data))
                    for part in (data[:cut], data[cut:]):
                        Response(weir.port, "POST", "/streams/a", part, TEXT).read()
                    written.extend(data)
                Response(weir.port, "POST", "/streams/a", None, {"Stream-Closed": "true"}).read()
                done.set()

            def read(way, found, chance):
                offset, is_over = "-1", False
                while not is_over:
                    with socket.create_connection(("127.0.0.1", weir.port), DEADLINE) as wire:
                        wire.sendall(f"GET /streams/a?offset={offset}&live={way} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                        left, got, whole = chance.randrange(150, 1500), b"", False
                        if done.is_set():
                            left = 1 << 30
                        while left > 0 and not whole:
                            data = wire.recv(min(left, 4096))
                            if not data:
                                break
                            got, left = got + data, left - len(data)
                            whole = self.is_whole(got)
                        cuts[0] += not whole
                    offset, is_over = self.take(way, got, whole, offset, found)
            found = [bytearray() for _ in range(6)]
            threads = [threading.Thread(target=read, args=(("sse", "long-poll")[n % 2], found[n], random.Random(seed + n)), daemon=True) for n in range(6)]
            writer = threading.Thread(target=write, daemon=True)
            for thread in (writer, *threads):
                thread.start()
            for thread in (writer, *threads):
                thread.join(DEADLINE * 4)
                self.assertFalse(thread.is_alive(), f"seed {seed}")
            for one in found:
                self.assertEqual(bytes(one), bytes(written), f"seed {seed}")
            print(f"{cuts[0]} cut", end=" ")
            self.assertGreater(cuts[0], 1000)

    @staticmethod
    def body(got):
        """Of an answer, as far as it has come, without its chunks; and whether it is all."""
        head, found, rest = got.partition(b"\r\n\r\n")
        if not found:
            return head, b"", False
        if b"chunked" not in head.lower():
            length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")), 0)
            return head, rest, len(rest) >= length
        body = b""
        while b"\r\n" in rest:
            size, _, after = rest.partition(b"\r\n")
            size = int(size, 16)
            if size == 0:
                return head, body, True
            body += after[:size]
            if len(after) < size + 2:
                break
            rest = after[size + 2:]
        return head, body, False

    def is_whole(self, got):
        return self.body(got)[2]

    def take(self, way, got, whole, offset, found):
        head, body, _ = self.body(got)
        if way == "long-poll":
            if not whole:
                return offset, False
            headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            found.extend(body)
            return headers[b"stream-next-offset"].decode(), headers.get(b"stream-closed") == b"true"
        data = b""
        for event in body.split(b"\n\n")[:-1]:
            lines = event.split(b"\n")
            text = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
            if b"event: data" in lines:
                data += text
            elif b"event: control" in lines:
                control = json.loads(text)
                found.extend(data)
                data, offset = b"", control["streamNextOffset"]
                if control.get("streamClosed"):
                    return offset, True
        return offset, False


class EventSource(BrowserTest):
    """Chromium's own reader of server-sent events, whose connection is cut while it reads."""

    def test_it_comes_back_to_where_it_was(self):
        with streams() as weir:
            cutter = Cutter(weir.port)
            for name, query in (("plain", ""), ("protocol", "?offset=-1&live=sse")):
                Response(weir.port, "PUT", f"/streams/{name}", b"", TEXT).read()

                async def scenario(tab):
                    await tab.evaluate(f"""
                        window.found = ''; window.opened = 0; window.over = false;
                        window.source = new EventSource('/streams/{name}{query}');
                        source.onopen = () => opened++;
                        source.onmessage = e => found += e.data;
                        source.addEventListener('data', e => found += e.data);
                        source.addEventListener('end', e => over = JSON.parse(e.data).state);
                        source.addEventListener('control', e => {{ if (JSON.parse(e.data).streamClosed) {{ over = 'closed'; source.close(); }} }}); 0""")
                    await tab.until("opened === 1")
                    expected = ""
                    for n in range(1, 4):
                        for word in ("é", "😀", str(n)):
                            Response(weir.port, "POST", f"/streams/{name}", word.encode(), TEXT).read()
                            expected += word
                        await tab.until(f"found === {json.dumps(expected)}")
                        cutter.cut()
                        await tab.until(f"opened === {n + 1}")
                    Response(weir.port, "POST", f"/streams/{name}", None, {"Stream-Closed": "true"}).read()
                    await tab.until("over === 'closed'")
                    # A plain reader asks once more, is told 204, and stops.
                    await tab.until("source.readyState === 2")
                    self.assertEqual(await tab.evaluate("found"), expected)
                with self.subTest(name):
                    self.browse(f"http://127.0.0.1:{cutter.port}/healthz", scenario)
            cutter.close()


if __name__ == "__main__":
    unittest.main()
