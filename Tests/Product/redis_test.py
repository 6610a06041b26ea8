"""Streams in a real Redis, from processes that share nothing but it: writers and readers side by side, killed and cut off, over a Redis
that is killed, paused and started again. What was acknowledged is there once, in order, and every reader sees all of it.
"""
import contextlib, http.client, json, os, pathlib, re, shlex, shutil, signal, subprocess, sys, tempfile, threading, unittest

from harness import DEADLINE, ROOT, Response, Weir, binary, free_port, until

sys.path.insert(0, str(ROOT / "Benchmarks"))
import redis_store  # noqa: E402

PEER = pathlib.Path(os.environ.get("WEIR_REDIS_STREAMS", ROOT / ".build/debug/RedisStreams"))


class Redis:
    """A redis-server of the test's own, with its data in a folder that outlives a restart."""

    def __init__(self, *options):
        self.port, self.options = free_port(), options
        self.folder = tempfile.TemporaryDirectory(prefix="weir-redis-")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.folder.name, *self.options],
            stdout=subprocess.DEVNULL)

    def wait(self):
        until(lambda: self.ask("PING").strip() == "PONG", "the Redis")
        return self

    def ask(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port), *words], capture_output=True, text=True, timeout=DEADLINE).stdout

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.folder.cleanup()


class Peer:
    """A process with a store; `.lines` is what it said."""

    def __init__(self, redis, *arguments):
        words = [str(PEER), arguments[0], f"redis://127.0.0.1:{redis.port}", *map(str, arguments[1:])]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.lines = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait(self):
        code = self.process.wait(DEADLINE * 2)
        self.thread.join(DEADLINE)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed (scripts/dependencies --tests)")
@unittest.skipUnless(PEER.exists(), "RedisStreams is not built (swift build --product RedisStreams)")
class Processes(unittest.TestCase):
    def check(self, redis, writers, count, lost=frozenset()):
        """Everything acknowledged is where it was said to be; every writer's items are there once, in its order."""
        with Peer(redis, "close", "shared") as closing, Peer(redis, "follow", "shared", 0) as reader:
            self.assertEqual((closing.wait(), reader.wait()), (0, 0))
        found = [line.split(" ", 1) for line in reader.lines]
        self.assertEqual([int(position) for position, _ in found], list(range(len(found))))
        texts = [text for _, text in found]
        self.assertEqual(len(set(texts)), len(texts), "an item is there twice")
        for name, writer in writers.items():
            for line in writer.lines:
                number, tail = line.split(" ")
                if tail != "repeat":
                    self.assertEqual(texts[int(tail) - 1], f"{name} {number}")
            own = [int(text.split(" ")[1]) for text in texts if text.startswith(name + " ")]
            self.assertEqual(own, list(range(len(own))))
            self.assertGreaterEqual(len(own), len(writer.lines))
            if name not in lost:
                self.assertEqual(len(own), count)
        return texts

    def test_writers_of_three_processes_over_a_redis_that_is_killed_paused_and_started_again(self):
        count = 1500
        with Redis("--appendonly", "yes", "--appendfsync", "always") as redis, contextlib.ExitStack() as stack:
            redis.wait()
            writers = {name: stack.enter_context(Peer(redis, "write", "shared", name, count)) for name in ("a", "b", "c")}
            victim = stack.enter_context(Peer(redis, "write", "shared", "victim", count))
            until(lambda: victim.lines, "the first acknowledgement")
            followers = [stack.enter_context(Peer(redis, "follow", "shared", start)) for start in (0, 1)]
            until(lambda: len(writers["a"].lines) > 100, "some appends")
            victim.process.kill()
            redis.kill()
            redis.start()
            seen = len(writers["a"].lines)
            until(lambda: len(writers["a"].lines) > seen + 100, "appends after the restart")
            os.kill(redis.process.pid, signal.SIGSTOP)
            with self.assertRaises(subprocess.TimeoutExpired):
                writers["a"].process.wait(0.3)
            os.kill(redis.process.pid, signal.SIGCONT)
            seen = len(writers["b"].lines)
            until(lambda: len(writers["b"].lines) > seen + 50, "appends after the pause")
            redis.ask("CLIENT", "KILL", "TYPE", "normal")
            redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
            for name, writer in writers.items():
                self.assertEqual(writer.wait(), 0, f"{name}: {writer.lines[-1:]}")
                self.assertEqual(len(writer.lines), count)
            victim.wait()
            texts = self.check(redis, {**writers, "victim": victim}, count, lost={"victim"})
            for start, follower in enumerate(followers):
                self.assertEqual(follower.wait(), 0)
                self.assertEqual([line.split(" ", 1)[1] for line in follower.lines], texts[start:])

    def test_a_wrong_address_is_said_and_no_secret_with_it(self):
        port = free_port()
        done = subprocess.run([PEER, "read", f"redis://:the-pass-word@127.0.0.1:{port}/x", "a"], capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not the number of a database", done.stdout)
        self.assertNotIn("pass-word", done.stdout + done.stderr)


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed (scripts/dependencies --tests)")
@unittest.skipUnless(PEER.exists(), "RedisStreams is not built (swift build --product RedisStreams)")
class Documents(unittest.TestCase):
    """The keys that docs/redis.md draws are those that are written, and its commands are taken by a Redis."""

    def test_commands_run_and_keys_are_named(self):
        text = (ROOT / "docs/redis.md").read_text()
        with Redis() as redis:
            redis.wait()
            with Peer(redis, "write", "runs/1", "a", 3) as writer:
                self.assertEqual(writer.wait(), 0)
            tried = 0
            for block in re.findall(r"^```redis\n(.*?)^```", text, re.S | re.M):
                for command in block.splitlines():
                    words = shlex.split(command.split("  #")[0])
                    done = redis.ask(*words)
                    self.assertNotRegex(done, r"^(ERR|WRONGTYPE|NOSCRIPT|NOPERM)", command)
                    self.assertTrue(done.strip(), command)
                    tried += 1
            self.assertGreater(tried, 3)
            keys = {re.sub(r"(writer:).*", r"\1<id>", re.sub(r"runs/1$", "<name>", key)) for key in redis.ask("KEYS", "*").split()}
            drawn = set(re.findall(r"^\| `(weir:[^`]+)`", text, re.M))
            self.assertLessEqual(keys, drawn)
            self.assertEqual(drawn - keys, {"weir:expiry", "weir:changed:<name>", "weir:made:<name>"})  # no stream has a lifetime or was deleted at once; a channel is no key

    def test_rights_are_enough(self):
        rules = re.search(r"^```acl\n(.*?)^```", (ROOT / "docs/redis.md").read_text(), re.S | re.M)[1].split()
        with Redis() as redis:
            redis.wait()
            self.assertEqual(redis.ask("ACL", "SETUSER", "weir", *rules).strip(), "OK")
            url = f"redis://weir:the-pass-word@127.0.0.1:{redis.port}"
            for words in (("append", "a", 10, 2), ("wake", "b", 10), ("read", "a")):
                done = subprocess.run([PEER, words[0], url, *map(str, words[1:])], capture_output=True, text=True, timeout=DEADLINE)
                self.assertEqual(done.returncode, 0, f"{words}: {done.stdout}{done.stderr}")


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed (scripts/dependencies --tests)")
class Servers(unittest.TestCase):
    """Two servers on one Redis: each knows the runs of both, however often the index begins a new generation."""

    PROGRAM = """
import std/clock (sleep)
@post("/v")
workflow V(n: int) -> int {
  sleep(if n < 0 then 60000 else 0)
  return n
}
"""

    def test_no_server_makes_another_forget_a_run(self):
        with tempfile.TemporaryDirectory() as folder, Redis() as redis, contextlib.ExitStack() as stack:
            redis.wait()
            pathlib.Path(folder, "v.weir").write_text(self.PROGRAM)
            store = f"redis://127.0.0.1:{redis.port}"

            def serve():
                port = free_port()
                words = ("serve", "--caps", "all", "--store", store, "--port", port, "v.weir")
                return stack.enter_context(Weir(*words, port=port, cwd=folder).wait_listening())

            a, b = serve(), serve()
            open_runs, failed = {}, []
            for server in (a, b):
                response = Response(server.port, "POST", "/v", {"n": -1}, {"Accept": "text/event-stream"})
                open_runs[server] = response.headers["run-id"]
                response.close()

            def work(server):
                connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
                for number in range(700):
                    connection.request("POST", "/v", json.dumps({"n": number}), {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    body = answer.read()
                    if answer.status != 200:
                        failed.append((answer.status, body))

            threads = [threading.Thread(target=work, args=(server,)) for server in (a, a, a, b, b, b)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(failed, [])
            generations = redis.ask("ZRANGEBYLEX", "weir:names", "[_weir/runs/", "(_weir/runs0").split()
            self.assertGreater(max(int(name.rpartition("/")[2]) for name in generations), 1)
            third = serve()
            for server in (a, b, third):
                for owner, run in open_runs.items():
                    with self.subTest(run=run):
                        self.assertEqual(Response(server.port, "GET", f"/_weir/runs/{run}").json()["state"], "running")
            # Whichever server is asked: the one that runs it stops it.
            for run, server in zip(open_runs.values(), (third, a)):
                self.assertEqual(Response(server.port, "POST", f"/_weir/runs/{run}/stop").status, 202)
                until(lambda: Response(third.port, "GET", f"/_weir/runs/{run}").json()["state"] == "aborted", "its end")

    def test_looking_renews_nothing(self):
        with tempfile.TemporaryDirectory() as folder, Redis() as redis:
            redis.wait()
            pathlib.Path(folder, "v.weir").write_text(self.PROGRAM)
            store, port = f"redis://127.0.0.1:{redis.port}", free_port()
            with Weir("serve", "--caps", "all", "--public-streams", "--store", store, "--port", port, "v.weir", port=port, cwd=folder).wait_listening():
                self.assertEqual(Response(port, "PUT", "/streams/x", b"x", {"Content-Type": "text/plain", "Stream-TTL": "16"}).status, 201)
            mark = lambda: redis.ask("HGET", "weir:meta:x", "mark").strip()
            first = mark()
            until(lambda: int(redis.ask("TIME").split()[0]) * 1000 - int(first) > 3000, "a sixteenth of its time")
            for words in (("cat", "x"), ("tail", "x"), ("ls",)):
                done = subprocess.run([str(binary()), "streams", *words, "--store", store], capture_output=True, text=True, timeout=DEADLINE, cwd=folder)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(mark(), first)


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed (scripts/dependencies --tests)")
@unittest.skipUnless(PEER.exists(), "RedisStreams is not built (swift build --product RedisStreams)")
class Benchmark(unittest.TestCase):
    def test_what_is_measured_is_what_is_there(self):
        redis_store.BINARY = PEER
        with redis_store.redis() as port:
            for writers in (1, 16):
                self.assertEqual(redis_store.ours(port, "append", f"a/{writers}", 300, writers)["items"], 300)
                self.assertEqual(redis_store.ours(port, "read", f"a/{writers}")["items"], 300)
            self.assertGreater(redis_store.ours(port, "wake", "w", 20)["p50_us"], 0)
            self.assertGreater(redis_store.bare(port, 300, 4, 2)["per_s"], 0)
            self.assertEqual(redis_store.ask(port, "XLEN", "bare").strip(), "300")


if __name__ == "__main__":
    sys.exit(unittest.main())
