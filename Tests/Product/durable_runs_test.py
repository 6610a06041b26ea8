"""Durable runs: `weir run` and `weir serve` are killed, and what they had done is still there, once."""
import contextlib, http.client, json, os, pathlib, random, re, shutil, signal, subprocess, tempfile, threading, time, unittest

from harness import DEADLINE, PROGRAM, Model, Response, Weir, binary, chunk, free_port, small_disk, text_of, until
from redis_test import Redis

STEPS = '''
import std/streaming (StreamWriter, close, getWritable, write)
import std/clock (sleep)

func main() {
  let tokens: StreamWriter[string] = getWritable("tokens")
  for name in ["a", "b", "c", "d"] {
    step "step-${name}" {
      for i in 0..5 {
        _ = tokens.write("${name}${i}")
        sleep(1)
      }
      ()
    }
    println("done ${name}")
  }
  _ = tokens.close()
  println("end")
}
'''

SERVED = '''
import std/clock (sleep)

provider eliza {
  model: "eliza"
}

agent Listener {
  provider: eliza
}

@post("/steps")
workflow Steps(n: int) -> stream {
  let doubled = step "double" {
    println("doubling")
    n * 2
  }
  sleep(if n > 0 then 3000 else 0)
  return Listener.stream("I have ${doubled} dogs")
}

@post("/plain")
workflow Plain(n: int) -> stream {
  sleep(60000)
  return Listener.stream("I have ${n} dogs")
}
'''


TWO = '''
import std/streaming (StreamWriter, getWritable, write)

provider eliza {
  model: "eliza"
}

agent Listener {
  provider: eliza
  memory: conversation(max_turns: 5)
}

@post("/two")
workflow Two(session_id: string) -> stream {
  let tokens: StreamWriter[string] = getWritable("tokens")
  let first = step "first" {
    println("first step")
    for word in ["a", "b", "c"] {
      _ = tokens.write(word)
    }
    "tired"
  }
  let second = step "second" {
    println("second step")
    match Listener.ask("I am ${first}", session: session_id) {
      Ok(text) => text
      Err(_) => "failed"
    }
  }
  _ = tokens.write(second)
  return Listener.stream("And I am sad", session: session_id)
}

@post("/plain")
workflow Plain(session_id: string) -> stream {
  return Listener.stream("I am tired", session: session_id)
}
'''


# Items with steps and writes of their own, steps at the same time that write one stream, a try that fails, streams that are closed early.
FRAMES = '''
import std/streaming (StreamReader, StreamWriter, close, getReadable, getWritable, streamForEach, write)
import std/task (all)
import std/clock (sleep)

func talk(log: StreamWriter[string], name: string, count: int) {
  step "${name}" {
    for i in 0..count {
      _ = log.write("${name}${i}")
      sleep(1)
    }
    ()
  }
}

func main() {
  let orders: StreamWriter[int] = getWritable("orders")
  for n in 0..12 {
    _ = orders.write(n)
  }
  let closed = orders.close()
  let log: StreamWriter[string] = getWritable("log")
  _ = all([() => talk(log, "a", 6), () => talk(log, "b", 9)], 0)
  var tries = 0
  @retry(max: 3, delay: 1, backoff: 1.0)
  step "flaky" {
    tries = tries + 1
    _ = log.write("try")
    sleep(2)
    if tries < 2 {
      println([1][tries])
    }
    _ = log.write("tried")
    ()
  }
  let receipts: StreamWriter[string] = getWritable("receipts")
  let source: StreamReader[int] = getReadable("orders")
  let done = streamForEach(source, (n) => {
    _ = receipts.write("begin ${n}")
    let receipt = step "charge" {
      println("charge ${n}")
      sleep(2)
      "receipt ${n}"
    }
    _ = receipts.write(receipt)
    if n < 0 then Err("no") else Ok(receipt)
  }, "orders", concurrency: 3, checkpointInterval: 4)
  _ = log.close()
  _ = receipts.close()
  match done {
    Ok(all) => println("end ${closed} ${all.processedCount} ${all.results}")
    Err(why) => println("stopped ${why}")
  }
}
'''


def weir(*arguments, cwd, set=None, **more):
    env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")} | (set or {})
    return subprocess.run([str(binary()), *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE, cwd=cwd, env=env,
                          stdin=subprocess.DEVNULL, **more)


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return name

    def runs(self, *words):
        done = weir("runs", "ls", "--json", *words, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)


class KilledRuns(Folder):
    """WEIR_KILLS=500 for the long run."""

    def test_a_killed_workflow_ends_with_each_item_once(self):
        program = self.write("steps.weir", STEPS)
        seed = int(os.environ.get("WEIR_SEED", random.randrange(1 << 30)))
        chance = random.Random(seed)
        env = {k: v for k, v in os.environ.items() if k != "WEIR_STORE"}
        for round in range(int(os.environ.get("WEIR_KILLS", 12))):
            identifier = f"run-{round}"
            process = subprocess.Popen([str(binary()), "run", "--caps", "all", "--run-id", identifier, program], cwd=self.folder, env=env,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            try:
                process.wait(chance.uniform(0.02, 0.25))
            except subprocess.TimeoutExpired:
                process.kill()
            first, _ = process.communicate(timeout=DEADLINE)
            known = {run["id"]: run["state"] for run in self.runs()}
            # It may have been killed between its last line and its end.
            if known.get(identifier) != "completed":
                # Killed before it had kept anything, it is begun anew under its id.
                words = ("runs", "resume", identifier) if identifier in known else ("run", "--caps", "all", "--run-id", identifier, program)
                second = weir(*words, cwd=self.folder)
                self.assertEqual(second.returncode, 0, f"seed {seed} round {round}: {second.stderr}")
                self.assertTrue(second.stdout.endswith("end\n"), f"seed {seed} round {round}: {second.stdout}")
            shown = json.loads(weir("runs", "show", identifier, "--json", cwd=self.folder).stdout)
            self.assertEqual(shown["state"], "completed", f"seed {seed} round {round}")
            self.assertEqual(shown["streams"], [{"name": f"runs/{identifier}/tokens", "items": 20, "state": "closed"}], f"seed {seed} round {round}")
            self.assertEqual(sorted(shown["steps"]), [f"step-{name}" for name in "abcd"])

    def test_items_tries_and_tasks_are_each_done_once_however_often_it_is_killed(self):
        program = self.write("frames.weir", FRAMES)
        seed = int(os.environ.get("WEIR_SEED", random.randrange(1 << 30)))
        chance = random.Random(seed)
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        for round in range(int(os.environ.get("WEIR_KILLS", 8))):
            identifier, where = f"run-{round}", f"seed {seed} round {round}"
            words, printed, state = ["run", "--caps", "all", "--run-id", identifier, program], "", None
            for life in range(6):
                process = subprocess.Popen([str(binary()), *words], cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                try:
                    process.wait(chance.uniform(0.05, 0.25) if life < 5 else DEADLINE)
                except subprocess.TimeoutExpired:
                    process.kill()
                out, err = process.communicate(timeout=DEADLINE)
                printed += out
                known = {run["id"]: run["state"] for run in self.runs()}
                state = known.get(identifier)
                if state == "completed":
                    break
                if identifier in known:
                    words = ["runs", "resume", identifier]
            self.assertEqual(state, "completed", f"{where}: {err}")
            receipts = ", ".join(f'"receipt {n}"' for n in range(12))
            self.assertIn(f"end Ok(()) 12 [{receipts}]\n", printed, where)
            stream = lambda name: [json.loads(line) for line in
                                   weir("streams", "cat", f"runs/{identifier}/{name}", cwd=self.folder).stdout.splitlines()]
            log = stream("log")
            for name, count in (("a", 6), ("b", 9)):
                self.assertEqual([item for item in log if item[0] == name], [f"{name}{i}" for i in range(count)], where)
            self.assertEqual(log[-2:], ["try", "tried"], where)
            # Its count of tries begins anew in each life, so one that was cut off behind its last word may fail then.
            self.assertRegex(" ".join(log[15:]) + " ", "^(try (tried )?)+$", where)
            kept = stream("receipts")
            self.assertEqual(sorted(kept), sorted(f"{word} {n}" for word in ("begin", "receipt") for n in range(12)), where)
            shown = json.loads(weir("runs", "show", identifier, "--json", cwd=self.folder).stdout)
            self.assertEqual({n: shown["steps"][f"each:orders/{n}/charge"] for n in range(12)}, {n: f"receipt {n}" for n in range(12)}, where)
            self.assertEqual({stream["state"] for stream in shown["streams"]}, {"closed"}, where)

    def test_a_run_whose_record_cannot_be_read_is_listed(self):
        program = self.write("steps.weir", STEPS)
        self.assertEqual(weir("run", "--caps", "all", "--run-id", "whole", program, cwd=self.folder).returncode, 0)
        journal = "_weir/journal/broken"
        for item in ('{"begun":{"program":"steps.weir"}}', '{"what":1}'):
            done = weir("streams", "append", "--json", "--item", item, journal, cwd=self.folder)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual({run["id"]: run["state"] for run in self.runs()}, {"whole": "completed", "broken": "unreadable"})
        self.assertIn("cannot be read at position 1", weir("runs", "show", "broken", cwd=self.folder).stdout)

    def test_a_run_that_ended_is_not_taken_up(self):
        program = self.write("steps.weir", STEPS)
        self.assertEqual(weir("run", "--caps", "all", "--run-id", "once", program, cwd=self.folder).returncode, 0)
        again = weir("runs", "resume", "once", cwd=self.folder)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn("has ended (completed)", again.stderr)
        self.assertIn("there is no run \"never\"", weir("runs", "show", "never", cwd=self.folder).stderr)
        # Nothing of the program runs under an id that is used up, or is none.
        program = self.write("says.weir", STEPS.replace("main() {", 'main() { println("hello")'))
        for identifier, said in (("once", 'run "once" has ended'), ("a/b", '"a/b" cannot be the id of a run'), ("a\x01", "cannot be the id of a run"), ("", "cannot be the id of a run"),
                                 ("x" * 5000, "cannot be the id of a run")):
            again = weir("run", "--caps", "all", "--run-id", identifier, program, cwd=self.folder)
            self.assertEqual((again.returncode, again.stdout), (2, ""), identifier)
            self.assertIn(said, again.stderr)
        self.assertEqual(weir("runs", "shwo", cwd=self.folder).returncode, 2)

    def test_a_program_that_keeps_nothing_leaves_nothing_behind(self):
        program = self.write("hello.weir", 'println("hello")\n')
        self.assertEqual(weir("run", program, cwd=self.folder).stdout, "hello\n")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["hello.weir"])

    def test_where_streams_are_kept(self):
        program = self.write("steps.weir", STEPS)
        self.write("weir.toml", 'caps = ["all"]\nstore = "kept"\n')
        self.assertEqual(weir("run", program, cwd=self.folder).returncode, 0)
        self.assertTrue((self.folder / "kept/lock").exists())
        self.assertEqual((self.folder / "kept").stat().st_mode & 0o777, 0o700)
        self.assertEqual(weir("run", "--store", "other/deep", "--store-sync", "50ms", program, cwd=self.folder).returncode, 0)
        self.assertTrue((self.folder / "other/deep/lock").exists())
        self.assertEqual(weir("run", "--store", "memory", program, cwd=self.folder).returncode, 0)
        for flags, said in [(("--store", "ftp://x"), 'no store of the kind "ftp"'), (("--store-sync", "soon"), "--store-sync needs"),
                            (("--store", ""), "is no store"), (("--store=~/streams",), "only a shell knows")]:
            refused = weir("run", *flags, program, cwd=self.folder)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn(said, refused.stderr)
        (self.folder / "file").write_text("")
        refused = weir("run", "--store", "file/streams", program, cwd=self.folder)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("StoreUnavailable", refused.stderr)


class Cuts(Folder):
    """A stream of a run that is not whole never looks whole."""

    def states(self, run, *words):
        done = weir("streams", "ls", f"runs/{run}/", *words, cwd=self.folder)
        return {line.split("\t")[0].rpartition("/")[2]: line.split("\t")[3] for line in done.stdout.splitlines()}

    def test_a_disk_that_was_full_for_a_while(self):
        disk = self.folder / "disk"
        with small_disk(self, disk, "2m"):
            (disk / "filler").write_bytes(bytes(1500 << 10))
            program = self.write("gap.weir", """
import std/streaming (StreamWriter, close, getWritable, write)
import std/string (repeat)
import std/fs (exists)
import std/clock (sleep)
func main() {
  let t: StreamWriter[string] = getWritable("t")
  let pad = repeat("x", 20000)
  for i in 0..60 {
    match t.write("${i}:${pad}") {
      Ok(_) => ()
      Err(why) => if exists("disk/filler") {
        println("no room: ${why}")
        while exists("disk/filler") { sleep(5) }
      }
    }
  }
  println("wrote ${t.position()}, close ${t.close()}")
}
""".replace("getWritable, write)", "getWritable, position, write)"))
            process = subprocess.Popen([str(binary()), "run", "--caps", "all", "--run-id", "g", "--store", "disk/s", program], cwd=self.folder, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")})
            self.assertIn("no room: WriteFailed", process.stdout.readline())
            (disk / "filler").unlink()
            out, err = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, 1, err)
            self.assertIn("close Err(WriteFailed", out)
            self.assertIn('stream "t" was aborted: an item could not be kept (StoreFull)', err)
            items = [item.split(":")[0] for item in weir("streams", "cat", "runs/g/t", "--store", "disk/s", cwd=self.folder).stdout.splitlines()]
            self.assertEqual([int(item.strip('"')) for item in items], list(range(len(items))))
            self.assertIn("aborted: an item could not be kept (StoreFull)", self.states("g", "--store", "disk/s")["t"])
            self.assertEqual(weir("streams", "fsck", "--store", "disk/s", cwd=self.folder).returncode, 0)

    def test_a_step_that_could_not_be_kept_is_done_when_there_is_room(self):
        disk = self.folder / "disk"
        with small_disk(self, disk, "1m"):
            program = self.write("steps.weir", """
import std/string (repeat)
func main() {
  for i in 0..60 {
    _ = step "big" {
      println("do ${i}")
      repeat("y", 30000)
    }
  }
  println("end")
}
""")
            first = weir("run", "--caps", "all", "--run-id", "f", "--store", "disk/s", program, cwd=self.folder)
            self.assertEqual(first.returncode, 1)
            self.assertIn("StoreFull", first.stderr)
            self.assertIn("weir runs resume f", first.stderr)
            subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
            second = weir("runs", "resume", "f", "--store", "disk/s", cwd=self.folder)
            self.assertEqual((second.returncode, second.stdout.splitlines()[-1]), (0, "end"), second.stderr)
            did = [line for line in (first.stdout + second.stdout).splitlines() if line.startswith("do ")]
            # The one that could not be kept is done again, and no other.
            self.assertEqual(sorted(set(did), key=lambda line: int(line[3:])), [f"do {i}" for i in range(60)])
            self.assertEqual(len(did), 61)

    def test_who_has_not_come_to_its_end_leaves_no_whole_stream(self):
        program = self.write("tasks.weir", """
import std/streaming (StreamWriter, close, getWritable, write)
import std/clock (sleep)
import std/task (attempt, race, settle)
func answer(name: string, ms: int, zero: int) -> string {
  let t: StreamWriter[string] = getWritable(name)
  for i in 0..10 {
    _ = t.write("${i}")
    sleep(ms)
    if name == "trap" && i == 4 { println(1 / zero) }
  }
  if name != "open" { _ = t.close() }
  name
}
func main() {
  println(race([() => answer("fast", 5, 1), () => answer("slow", 3600000, 1)]))
  println(len(settle([() => answer("trap", 1, 0), () => answer("open", 1, 1)], 0)))
  let again: StreamWriter[string] = getWritable("mine")
  _ = attempt(() => answer("mine", 1, 0))
  _ = again.write("mine as well")
}
""")
        done = weir("run", "--caps", "all", "--run-id", "r", program, cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout), (0, "fast\n2\n"), done.stderr)
        self.assertEqual(self.states("r"), {"fast": "closed", "slow": "aborted: Cancelled", "trap": "aborted: DivisionByZero", "open": "closed", "mine": "closed"})
        self.assertEqual({run["id"]: run["state"] for run in self.runs()}, {"r": "completed"})

    def test_a_life_that_keeps_nothing_ends_its_run(self):
        text = """
import std/streaming (StreamWriter, close, getWritable, write)
import std/clock (sleep)
import std/fs (exists)
func main() {
  if !exists("flag") {
    let t: StreamWriter[string] = getWritable("t")
    _ = t.write("one")
    sleep(3600000)
  }
  println("end")
}
"""
        self.write("quiet.weir", text)
        process = subprocess.Popen([str(binary()), "run", "--caps", "all", "--run-id", "q", "quiet.weir"], cwd=self.folder, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")})
        until(lambda: "1" in weir("streams", "ls", "runs/q/t", cwd=self.folder).stdout.split("\t"), "an item")
        process.kill()
        process.wait()
        (self.folder / "flag").write_text("")
        done = weir("runs", "resume", "q", cwd=self.folder)
        self.assertEqual((done.returncode, done.stdout), (1, "end\n"), done.stderr)
        self.assertIn("it ends earlier now", done.stderr)
        self.assertIn("aborted: the resumed run differs", self.states("q")["t"])
        self.assertEqual(weir("runs", "resume", "q", cwd=self.folder).returncode, 1)


class KilledServers(Folder):
    def serve(self, port):
        return Weir("serve", "--caps", "all", "--port", port, "served.weir", port=port, cwd=self.folder).wait_listening()

    def test_what_a_killed_server_left_is_taken_up_or_ended(self):
        self.write("served.weir", SERVED)
        port = free_port()
        with self.serve(port) as server:
            runs = {}
            for path in ("/steps", "/plain"):
                response = Response(port, "POST", path, {"n": 21})
                runs[path] = response.headers["stream-id"]
                response.close()
            until(lambda: "doubling" in server.said(), "the step")
            until(lambda: any(run["steps"] for run in self.runs()), "its result")
            # A second process is told who has the store.
            other = weir("serve", "--caps", "all", "--port", free_port(), "served.weir", cwd=self.folder)
            self.assertEqual(other.returncode, 1)
            self.assertIn("writes to the streams", other.stderr)
            server.process.send_signal(signal.SIGKILL)
            server.wait()
        with self.serve(port) as server:
            until(lambda: "taken up again" in server.said() and "had not ended, and failed" in server.said(), "the runs of before")
            plain = Response(port, "GET", f"/streams/{runs['/plain']}", headers={"Accept": "text/event-stream"})
            text = plain.read().decode()
            self.assertIn("RunInterrupted", text)
            self.assertIn('"finish":"error"', text)
            steps = Response(port, "GET", f"/streams/{runs['/steps']}", headers={"Accept": "text/event-stream"})
            text = steps.read().decode()
            self.assertIn('"finish":"completed"', text)
            self.assertNotIn("doubling", server.said())


class Conversations(Folder):
    """What was said before a crash is part of the conversation after it."""

    def test_the_model_is_told_of_the_turn_that_was_cut_off(self):
        def script(exchange):
            exchange.head_ok()
            if exchange.json["messages"][-1]["content"] == "one":
                exchange.event(chunk("half an"))
                exchange.event(chunk(" ans"))
                exchange.wait_closed()
            else:
                exchange.words(["fine"])

        self.write("app.weir", PROGRAM)
        with Model(script) as model:
            def serve():
                port = free_port()
                return Weir("serve", "--caps", "all", "--port", port, "app.weir", port=port, cwd=self.folder,
                            env={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1"}).wait_listening()

            ask = lambda weir, text: Response(weir.port, "POST", "/api/stream", {"message": text, "session_id": "s"})
            with serve() as weir:
                response = ask(weir, "one")
                seen = ""
                for _, _, data, _ in response.events():
                    seen += data
                    if "ans" in seen:
                        break
                # The question is on its way to the disk beside the answer.
                memory = lambda: Response(weir.port, "GET", "/streams/memory/Poet/s").status == 200
                until(memory, "the question in the conversation")
                weir.process.send_signal(signal.SIGKILL)
                weir.wait()
                response.close()
            with serve() as weir:
                until(lambda: "had not ended, and failed" in weir.said(), "the run of before")
                self.assertIn("fine", text_of(ask(weir, "two").events()))
                self.assertIn("fine", text_of(ask(weir, "three").events()))
            said = [[(message["role"], message["content"]) for message in request.json["messages"][1:]] for request in model.requests]
            first = [("user", "one"), ("assistant", "half an ans")]
            self.assertEqual(said, [[("user", "one")], [*first, ("user", "two")], [*first, ("user", "two"), ("assistant", "fine"), ("user", "three")]])


class ParkedRuns(Folder):
    """SIGTERM leaves what can be taken up to the next process."""

    def test_a_reader_goes_on_at_the_next_server_with_each_token_once(self):
        self.write("two.weir", TWO)
        port = free_port()

        def serve(delay):
            return Weir("serve", "--caps", "all", "--grace", "0s", "--port", port, "two.weir", port=port, cwd=self.folder,
                        env={"WEIR_ELIZA_DELAY": delay}).wait_listening()

        def read(stream, last, tokens, answered=threading.Event()):
            """To its end, or to where the server cuts it: whether it was the end, and the last id."""
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
            response = Response(port, "GET", f"/streams/{stream}", headers=headers)
            if response.status == 204:
                return True, last
            self.assertEqual(response.status, 200, f"{stream} {last}: {response.status == 200 or response.read()}")
            answered.set()
            with contextlib.suppress(ConnectionError, http.client.HTTPException):
                for identifier, name, data, _ in response.events():
                    if identifier:
                        last = identifier
                    tokens.append((name, data))
            return False, last

        def in_background(stream):
            tokens, result, open = [], [], threading.Event()
            thread = threading.Thread(target=lambda: result.append(read(stream, None, tokens, open)), daemon=True)
            thread.start()
            self.assertTrue(open.wait(DEADLINE))
            return tokens, result, thread

        # A word an hour: the model is slow.
        with serve("1h") as server:
            started = {}
            for path in ("/two", "/plain"):
                response = Response(port, "POST", path, {"session_id": "s" + path[1:]})
                started[path] = response.headers["stream-id"]
                response.close()
            two, plain = started["/two"], started["/plain"]
            tokens, result, thread = in_background(f"{two}/tokens")
            answer, answered, second = in_background(two)
            until(lambda: len(tokens) == 3 and "second step" in server.said(), "the first step")
            server.process.send_signal(signal.SIGTERM)
            self.assertEqual(server.wait(), 0, server.said())
            self.assertIn("1 run is left to be taken up by the next process", server.said())
            thread.join(DEADLINE)
            second.join(DEADLINE)
        shown = json.loads(weir("runs", "show", two.split("/")[1], "--json", cwd=self.folder).stdout)
        self.assertEqual((shown["state"], list(shown["steps"])), ("unfinished", ["first"]))
        with serve("1ms") as server:
            until(lambda: "1 run of an earlier process taken up again" in server.said(), "the run")
            (_, last), (_, place) = result[0], answered[0]
            for stream, at, into in ((f"{two}/tokens", last, tokens), (two, place, answer)):
                over = False
                while not over:
                    over, at = read(stream, at, into)
                    over = over or any(name in ("done", "end") for name, _ in into)
            self.assertEqual([data for name, data in tokens if name == "message"][:3], ['"a"', '"b"', '"c"'])
            self.assertEqual(len([data for name, data in tokens if name == "message"]), 4, tokens)
            kept = weir("streams", "cat", f"{two}/tokens", cwd=self.folder).stdout.splitlines()
            self.assertEqual([data for name, data in tokens if name == "message"], kept)
            said = "".join(json.loads(data)["delta"] for name, data in answer if name == "message")
            events = [json.loads(line) for line in weir("streams", "cat", two, cwd=self.folder).stdout.splitlines()]
            whole = "".join(event["delta"] for event in events if event["type"] == "text")
            self.assertEqual(said, whole)
            self.assertTrue(said)
            self.assertNotIn("restart", [name for name, _ in answer])
            self.assertNotIn("first step", server.said())
            self.assertIn("second step", server.said())
            # What could not be left says why it ended.
            text = Response(port, "GET", f"/streams/{plain}", headers={"Accept": "text/event-stream"}).read().decode()
            self.assertIn("ServerStopped", text)
            self.assertIn('"finish":"aborted"', text)

    def test_sigterm_leaves_what_a_program_does_and_ctrl_c_ends_it(self):
        program = self.write("steps.weir", STEPS.replace("sleep(1)", 'if name == "b" { sleep(3600000) }'))
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        for number, status, state in ((signal.SIGTERM, 143, "unfinished"), (signal.SIGINT, 130, "exit status 130")):
            identifier = f"run-{status}"
            process = subprocess.Popen([str(binary()), "run", "--caps", "all", "--run-id", identifier, program], cwd=self.folder, env=env,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            until(lambda: any(run["id"] == identifier and "step-a" in run["steps"] for run in self.runs()), "the first step")
            process.send_signal(number)
            out, err = process.communicate(timeout=DEADLINE)
            self.assertEqual(process.returncode, status, err)
            shown = json.loads(weir("runs", "show", identifier, "--json", cwd=self.folder).stdout)
            self.assertEqual(shown["state"], state)
            if number == signal.SIGTERM:
                self.assertIn(f"weir runs resume {identifier}", err)
                self.write("steps.weir", STEPS)
                done = weir("runs", "resume", identifier, cwd=self.folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                kept = weir("streams", "cat", f"runs/{identifier}/tokens", cwd=self.folder).stdout.splitlines()
                self.assertEqual(kept, [f'"{name}{i}"' for name in "abcd" for i in range(5)])
                self.write("steps.weir", STEPS.replace("sleep(1)", 'if name == "b" { sleep(3600000) }'))


    def test_a_workflow_that_is_taken_up_ends_with_ctrl_c(self):
        self.write("served.weir", SERVED.replace("sleep(if n > 0 then 3000 else 0)", 'println("going on")\n  sleep(3600000)'))
        port = free_port()
        with Weir("serve", "--caps", "all", "--port", port, "served.weir", port=port, cwd=self.folder).wait_listening() as server:
            response = Response(port, "POST", "/steps", {"n": 21})
            identifier = response.headers["run-id"]
            response.close()
            until(lambda: any(run["steps"] for run in self.runs()), "its step")
            server.process.send_signal(signal.SIGKILL)
            server.wait()
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        process = subprocess.Popen([str(binary()), "runs", "resume", identifier], cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertIn("going on", next(line for line in process.stdout if "going on" in line))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE)
        self.assertEqual(process.returncode, 130, err)
        states = {line.split("\t")[0]: line.split("\t")[3] for line in weir("streams", "ls", cwd=self.folder).stdout.splitlines()}
        self.assertEqual({states[f"runs/{identifier}"], states[f"_weir/journal/{identifier}"]}, {"aborted: aborted"}, states)

    def test_a_run_is_taken_up_from_another_folder(self):
        (self.folder / "here").mkdir()
        (self.folder / "there").mkdir()
        self.write("here/my.toml", 'caps = ["all"]\n')
        self.write("here/steps.weir", STEPS.replace("sleep(1)", 'if name == "b" { sleep(3600000) }'))
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        store = str(self.folder / "store")
        process = subprocess.Popen([str(binary()), "run", "--config", "my.toml", "--trace=spans.jsonl", "--store", store, "--run-id", "r", "steps.weir"],
                                   cwd=self.folder / "here", env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        until(lambda: "step-a" in weir("runs", "show", "r", "--store", store, cwd=self.folder).stdout, "the first step")
        process.kill()
        process.communicate()
        self.write("here/steps.weir", STEPS.replace("import std/clock", "import std/fs (readFile)\nimport std/clock").replace('"end"', 'readFile("words.txt")'))
        self.write("here/words.txt", "beside the program")
        # The program's paths begin where it was begun, the store's where one is now.
        (self.folder / "here").rename(self.folder / "moved")
        gone = weir("runs", "resume", "r", "--store", "../store", cwd=self.folder / "there")
        self.assertEqual((gone.returncode, gone.stdout), (1, ""))
        self.assertIn("which cannot be entered: No such file or directory", gone.stderr)
        (self.folder / "moved").rename(self.folder / "here")
        done = weir("runs", "resume", "r", "--store", "../store", cwd=self.folder / "there")
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1]), (0, 'Ok("beside the program")'), done.stderr)
        self.assertEqual(list((self.folder / "there").iterdir()), [])
        # What cannot be read is shown, and the others as well.
        self.assertEqual(weir("streams", "append", "--json", "_weir/journal/odd", "--item", '{"each": "x", "done": "y"}', "--store", store, cwd=self.folder).returncode, 0)
        listed = {run["id"]: run["state"] for run in json.loads(weir("runs", "ls", "--json", "--store", store, cwd=self.folder).stdout)}
        self.assertEqual(listed, {"r": "completed", "odd": "unreadable"})
        text = weir("runs", "ls", "--store", store, cwd=self.folder).stdout.splitlines()
        self.assertIn("cannot be read at position 0", text[0])
        self.assertIn("completed", text[1])


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed (scripts/dependencies --tests)")
class TakenOverRuns(Folder):
    """One run in a Redis, and two processes that do it."""

    def test_whoever_takes_a_run_up_has_it(self):
        program = self.write("steps.weir", STEPS.replace("sleep(1)", "sleep(100)"))
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        with Redis() as redis:
            redis.wait()
            words = [str(binary()), "run", "--caps", "all", "--store", f"redis://127.0.0.1:{redis.port}", "--run-id", "r", program]

            def begin():
                return subprocess.Popen(words, cwd=self.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)

            def kept(stream):
                return weir("streams", "cat", "--store", f"redis://127.0.0.1:{redis.port}", stream, cwd=self.folder).stdout.splitlines()

            old = begin()
            until(lambda: '"a4"' in kept("runs/r/tokens"), "the first step")
            # It stands still, as on a machine that is cut off, and goes on when another one has the run.
            old.send_signal(signal.SIGSTOP)
            new = begin()
            until(lambda: '"b4"' in kept("runs/r/tokens"), "the second step")
            old.send_signal(signal.SIGCONT)
            _, complaint = old.communicate(timeout=DEADLINE)
            self.assertEqual(old.returncode, 1)
            self.assertIn("RunTakenOver", complaint)
            said, complaint = new.communicate(timeout=DEADLINE)
            self.assertEqual((new.returncode, complaint), (0, ""))
            self.assertTrue(said.endswith("done d\nend\n"), said)
            self.assertEqual(kept("runs/r/tokens"), [f'"{name}{i}"' for name in "abcd" for i in range(5)])
            shown = weir("runs", "ls", "--json", "--store", f"redis://127.0.0.1:{redis.port}", cwd=self.folder).stdout
            self.assertEqual([(run["id"], run["state"]) for run in json.loads(shown)], [("r", "completed")])


    def test_a_redis_that_has_lost_its_last_moments_leaves_no_gap(self):
        self.write("served.weir", SERVED.replace("sleep(if n > 0 then 3000 else 0)", "()").replace("sleep(60000)", "()"))
        self.write("writes.weir", """
import std/streaming (StreamWriter, getWritable, write)
import std/clock (sleep)
func main() {
  let t: StreamWriter[int] = getWritable("t")
  for i in 0..200 {
    _ = t.write(i)
    sleep(20)
  }
}
""")
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        with Redis() as redis:
            redis.wait()
            store, port = f"redis://127.0.0.1:{redis.port}", free_port()

            def kept(stream):
                return weir("streams", "cat", "--store", store, stream, cwd=self.folder).stdout.splitlines()
            with Weir("serve", "--caps", "all", "--port", port, "--store", store, "served.weir", port=port, cwd=self.folder, env={"WEIR_ELIZA_DELAY": "100ms"}).wait_listening() as server:
                runs = {path: Response(port, "POST", path, {"n": 21}).headers["run-id"] for path in ("/steps", "/plain")}
                process = subprocess.Popen([str(binary()), "run", "--caps", "all", "--store", store, "--run-id", "r", "writes.weir"], cwd=self.folder, env=env,
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                until(lambda: len(kept("runs/r/t")) > 10 and all(len(kept(f"runs/{run}")) > 3 for run in runs.values()), "some items")
                redis.ask("SAVE")
                saved = {run: len(kept(f"runs/{run}")) for run in runs.values()}
                until(lambda: len(kept("runs/r/t")) > 20 and all(len(kept(f"runs/{run}")) > n for run, n in saved.items()), "more of them")
                redis.kill()
                redis.start()
                redis.wait()
                _, said = process.communicate(timeout=DEADLINE)
                self.assertEqual(process.returncode, 1, said)
                self.assertIn('stream "t" was aborted: an item could not be kept (ProducerGap)', said)
                items = kept("runs/r/t")
                self.assertEqual([int(item) for item in items], list(range(len(items))))
                ends = {}

                def ended():
                    listed = weir("streams", "ls", "--store", store, cwd=self.folder).stdout.splitlines()
                    ends.update({line.split("\t")[0]: line.split("\t")[3] for line in listed})
                    return all(ends.get(f"runs/{run}") != "open" for run in runs.values())
                until(ended, "their ends")
                for run in runs.values():
                    self.assertIn("aborted", ends[f"runs/{run}"], server.said())

    def serve(self, store, port, *words):
        return Weir("serve", "--caps", "all", "--port", port, "--store", store, "--lease", "1s", "--grace", "0s", *words, port=port, cwd=self.folder)

    def test_what_a_server_leaves_is_taken_up_by_another(self):
        """One that is killed, and one that is told to end; whatever a server of another program finds is not its own."""
        self.write("served.weir", SERVED.replace("sleep(if n > 0 then 3000 else 0)", 'for i in 0..40 { step "s${i}" { sleep(100) } }'))
        self.write("other.weir", SERVED.replace("Steps", "Others").replace("Plain", "Simple").replace("/steps", "/others").replace("/plain", "/simple"))
        with Redis() as redis, contextlib.ExitStack() as stack:
            redis.wait()
            store = f"redis://127.0.0.1:{redis.port}"
            other = stack.enter_context(self.serve(store, free_port(), "other.weir").wait_listening())
            old = stack.enter_context(self.serve(store, free_port(), "served.weir").wait_listening())
            new = stack.enter_context(self.serve(store, free_port(), "served.weir").wait_listening())

            def run(path):
                return Response(old.port, "POST", path, {"n": 21}).headers["run-id"]

            def steps(id):
                return [name for one in self.runs("--store", store) if one["id"] == id for name in one["steps"]]

            def said(id):
                return [data for _, _, data, _ in Response(new.port, "GET", f"/streams/runs/{id}", headers={"Accept": "text/event-stream"}).events()]
            kept, lost = run("/steps"), run("/plain")
            until(lambda: "s3" in steps(kept), "some steps")
            old.process.send_signal(signal.SIGKILL)
            old.wait()
            until(lambda: "1 run of an earlier process taken up again" in new.said(), "the run to be taken up")
            until(lambda: "1 run of an earlier process had not ended, and failed" in new.said(), "the other one to be ended")
            self.assertIn('"completed"', said(kept)[-2])
            self.assertIn("RunInterrupted", "".join(said(lost)))
            self.assertEqual(steps(kept), ["double"] + [f"s{i}" for i in range(40)])
            self.assertEqual({one["state"] for one in self.runs("--store", store) if one["id"] == kept}, {"completed"})
            # And what takes it up may end as well: orderly, and another one has it at once.
            old = stack.enter_context(self.serve(store, free_port(), "served.weir").wait_listening())
            parked = run("/steps")
            until(lambda: "s1" in steps(parked), "a step")
            old.process.send_signal(signal.SIGTERM)
            self.assertEqual(old.wait(), 0, old.said())
            self.assertIn("1 run is left to be taken up by the next process", old.said())
            until(lambda: new.said().count("1 run of an earlier process taken up again") == 2, "the second run to be taken up")
            self.assertIn('"completed"', said(parked)[-2])
            self.assertEqual(steps(parked), ["double"] + [f"s{i}" for i in range(40)])
            self.assertNotIn("run", other.said().replace(str(other.port), "").split("serving")[1].replace("Others", ""), other.said())
            left = redis.ask("ZRANGEBYLEX", "weir:names", "[_weir/processes/", "(_weir/processes0").split()
            self.assertEqual(len(left), 2, left)

    def test_who_has_a_served_run_ends_it(self):
        self.write("served.weir", SERVED.replace("sleep(if n > 0 then 3000 else 0)", 'for i in 0..30 { step "s${i}" { sleep(100) } }'))
        port = free_port()
        with Redis() as redis:
            redis.wait()
            store = f"redis://127.0.0.1:{redis.port}"
            with Weir("serve", "--caps", "all", "--port", port, "--store", store, "served.weir", port=port, cwd=self.folder).wait_listening() as old:
                run = Response(port, "POST", "/steps", {"n": 21}).headers["run-id"]

                def steps():
                    return [name for one in self.runs("--store", store) if one["id"] == run for name in one["steps"]]
                until(lambda: "s3" in steps(), "some steps")
                old.process.send_signal(signal.SIGSTOP)
                env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
                new = subprocess.Popen([str(binary()), "runs", "resume", run, "--store", store], cwd=self.folder, env=env, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                until(lambda: "s6" in steps(), "more of them")
                old.process.send_signal(signal.SIGCONT)
                until(lambda: f"run {run} of Steps goes on elsewhere" in old.said(), "the old server to let it go")
                said = new.communicate(timeout=DEADLINE)
                self.assertEqual((new.returncode, said[0]), (0, ""), said)
                self.assertIn(f"run {run}: completed", said[1])
                events = [json.loads(line) for line in weir("streams", "cat", "--store", store, f"runs/{run}", cwd=self.folder).stdout.splitlines()]
                self.assertEqual([json.dumps(event) for event in events if "rror" in json.dumps(event)], [])
                shown = weir("streams", "ls", "--store", store, cwd=self.folder).stdout.splitlines()
                self.assertEqual({line.split("\t")[3] for line in shown if run in line}, {"closed"}, shown)
                self.assertEqual([one["state"] for one in self.runs("--store", store) if one["id"] == run], ["completed"])
                # The old one still serves, and shows how it ended.
                self.assertEqual(Response(port, "GET", f"/_weir/runs/{run}").json()["state"], "completed")
                old.process.send_signal(signal.SIGTERM)
                self.assertEqual(old.wait(), 0, old.said())


class KeptRuns(Folder):
    def files(self):
        return [path.name for path in (self.folder / ".weir/streams").iterdir() if "@" in path.name]

    def test_what_ended_goes_when_its_time_is_over(self):
        program = self.write("steps.weir", STEPS)
        for identifier, words, set in [("flag", ("--keep", "1s"), {"WEIR_KEEP": "30d"}), ("variable", (), {"WEIR_KEEP": "1s"}), ("ever", (), {})]:
            done = weir("run", "--caps", "all", "--run-id", identifier, *words, program, cwd=self.folder, set=set)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.write("weir.toml", 'keep = "1s"\n')
        self.assertEqual(weir("run", "--caps", "all", "--run-id", "toml", program, cwd=self.folder).returncode, 0)
        (self.folder / "weir.toml").unlink()
        until(lambda: [run["id"] for run in self.runs()] == ["ever"], "the end of three runs")
        self.assertIn("there is no run", weir("runs", "show", "flag", cwd=self.folder).stderr)
        self.assertTrue(any(name.endswith(".kept") for name in self.files()))
        # Whoever opens the store next removes them, without being asked for them.
        self.write("served.weir", SERVED)
        port = free_port()
        with Weir("serve", "--caps", "all", "--port", port, "served.weir", port=port, cwd=self.folder).wait_listening():
            until(lambda: not any(name.endswith(".kept") for name in self.files()), "their files")
        self.assertEqual([run["id"] for run in self.runs()], ["ever"])
        checked = weir("streams", "fsck", cwd=self.folder)
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_times_that_are_none(self):
        program = self.write("steps.weir", STEPS)
        for text in ("0", "-1d", "1y2", "99999999999d", "367d", "soon", "", "10ms", "1h1d"):
            refused = weir("run", "--caps", "all", f"--keep={text}", program, cwd=self.folder)
            self.assertEqual(refused.returncode, 2, text)
            self.assertIn(f'--keep needs a time from 1s to 366d, or "forever", not "{text}"', refused.stderr)
            self.assertIn("hint: ", refused.stderr)
        self.assertIn("--store memory", weir("serve", "--caps", "all", "--keep", "0", program, cwd=self.folder).stderr)
        refused = weir("run", "--caps", "all", program, cwd=self.folder, set={"WEIR_KEEP": "never"})
        self.assertEqual(refused.returncode, 2)
        self.assertIn("WEIR_KEEP needs a time", refused.stderr)
        for line, said in (('keep = "never"', "keep of weir.toml needs a time"), ("keep = 30", "keep must be a text")):
            self.write("weir.toml", line + "\n")
            self.assertIn(said, weir("run", "--caps", "all", program, cwd=self.folder).stderr)
        self.assertFalse((self.folder / ".weir").exists())


class DayBudgets(Folder):
    """What a day has cost is known to the processes that come later."""

    TOML = '''caps = ["all"]
[[ai_provider]]
schema_version = 1
name = "paid"
endpoint = "http://127.0.0.1:PORT/v1/chat/completions"
request_shape = "openai_chat"
allow_http = true
auth = { type = "none" }
cost = { input_per_1m_usd = 0.0, output_per_1m_usd = 1000.0 }
budget = { usd_per_day = 0.0205 }
retry = { max = 0 }
streaming = { enabled = true, delta_path = "$.choices[0].delta.content", done_sentinel = "[DONE]" }
'''
    PROGRAM = '''
agent Paid { max_tokens: 10 }
match Paid.ask("hello") {
  Ok(text) => println(text),
  Err(why) => println("${why.code}: ${why.message}")
}
'''

    @staticmethod
    def answer(exchange):
        exchange.head_ok()
        for _ in range(10):
            exchange.event(chunk(" word"))
        exchange.event(chunk(finish="stop"))
        exchange.event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 10}})
        exchange.event("[DONE]")
        exchange.end()

    def test_a_conversation_counts(self):
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        with Model(self.answer) as model:
            self.write("weir.toml", self.TOML.replace("PORT", str(model.port)))
            program = self.write("paid.weir", self.PROGRAM)

            def talk():
                return subprocess.run([str(binary()), "chat", "paid/m"], input="hello", capture_output=True, text=True, timeout=DEADLINE, cwd=self.folder, env=env)

            self.assertEqual([talk().stdout.count("word") for _ in range(2)], [10, 10])
            spent = talk()
            self.assertEqual((spent.stdout, spent.returncode), ("", 1))
            self.assertIn("BudgetExhausted", spent.stderr)
            self.assertIn("BudgetExhausted", weir("run", "--ai", "paid", "--model", "m", program, cwd=self.folder).stdout)
            self.assertEqual(len(model.requests), 2)

    def test_a_run_is_counted_over_its_lives(self):
        asking = """
import std/clock (sleep)
agent Paid { max_tokens: 10 }
func ask() -> string {
  match Paid.ask("hello") {
    Ok(text) => text,
    Err(why) => why.code
  }
}
func main() {
  for name in ["a", "b", "c"] {
    println(step "ask-${name}" { ask() })
    STOP
  }
}
"""
        words = ["run", "--ai", "paid", "--model", "m", "--run-id", "r", "--max-cost", "0.0205", "asks.weir"]
        env = {k: v for k, v in os.environ.items() if k not in ("WEIR_STORE", "WEIR_KEEP")}
        with Model(self.answer) as model:
            self.write("weir.toml", self.TOML.replace("PORT", str(model.port)).replace("budget =", "# budget ="))
            for life in ("weir run", "weir runs resume"):
                self.write("asks.weir", asking.replace("STOP", f'if name == "{"a" if life == "weir run" else "b"}" {{ sleep(3600000) }}'))
                process = subprocess.Popen([str(binary()), *(words if life == "weir run" else ("runs", "resume", "r"))], cwd=self.folder, env=env,
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                step = "ask-a" if life == "weir run" else "ask-b"
                until(lambda: step in weir("runs", "show", "r", cwd=self.folder).stdout, step)
                process.kill()
                process.communicate()
            self.assertIn("cost      0.020000 USD", weir("runs", "show", "r", cwd=self.folder).stdout)
            self.write("asks.weir", asking.replace("STOP", ""))
            done = weir(*words, cwd=self.folder)
            self.assertEqual(done.stdout.splitlines(), [" word" * 10, " word" * 10, "BudgetExhausted"], done.stderr)
            self.assertEqual(len(model.requests), 2)
            self.assertEqual(json.loads(weir("runs", "show", "--json", "r", cwd=self.folder).stdout)["spent"], {"paid": 0.02})

    def test_a_day_is_counted_over_processes(self):
        with Model(self.answer) as model:
            self.write("weir.toml", self.TOML.replace("PORT", str(model.port)))
            program = self.write("paid.weir", self.PROGRAM)

            def ask():
                done = weir("run", "--ai", "paid", "--model", "m", program, cwd=self.folder)
                self.assertEqual(done.returncode, 0, done.stderr)
                return done.stdout

            # 0.01 USD each; a process each.
            self.assertEqual([ask().count("word") for _ in range(2)], [10, 10])
            self.assertIn("BudgetExhausted", ask())
            self.assertEqual(len(model.requests), 2)
            day = [line.split("\t")[0] for line in weir("streams", "ls", "_weir/budget", cwd=self.folder).stdout.splitlines()][-1]
            self.assertEqual(len(weir("streams", "cat", day, cwd=self.folder).stdout.splitlines()), 2)
            # What cannot be added up is not nothing.
            self.assertEqual(weir("streams", "append", day, "--item", '{"usd": "none"}', cwd=self.folder).returncode, 0)
            self.assertIn(f'position 2 of stream "{day}" is no amount', ask())
            self.assertEqual(weir("streams", "rm", day, cwd=self.folder).returncode, 0)
            self.assertEqual(ask().count("word"), 10)
            # Nor is a store that somebody else holds.
            with Weir("serve", "--public-streams", "--port", port := free_port(), program, port=port, cwd=self.folder).wait_listening():
                self.assertEqual(Response(port, "PUT", "/streams/x").status, 201)
                self.assertIn("what was spent today is kept in the store (usd_per_day), and that fails", ask())
            self.assertEqual(len(model.requests), 3)


class Links(Folder):
    def test_a_link_opens_one_stream_for_a_time(self):
        self.write("served.weir", SERVED)
        port = free_port()
        kept = weir("streams", "append", "notes", "--item", "first", cwd=self.folder)
        self.assertEqual(kept.returncode, 0, kept.stderr)
        with Weir("serve", "--caps", "all", "--token", "secret-token", "--port", port, "served.weir", port=port, cwd=self.folder).wait_listening():
            made = weir("streams", "link", "notes", "--rights", "rw", "--expires", "10m", cwd=self.folder)
            self.assertEqual((made.returncode, made.stderr), (0, ""))
            link = made.stdout.strip()
            self.assertEqual(Response(port, "GET", link).read(), b"first")
            self.assertEqual(Response(port, "GET", "/streams/notes").status, 401)
            self.assertEqual(Response(port, "GET", link.replace("notes", "others")).status, 403)
            self.assertEqual(Response(port, "GET", link.replace("rights=rw", "rights=rwd")).status, 403)
            added = Response(port, "POST", link, b" second", {"Content-Type": "text/plain; charset=utf-8"})
            self.assertEqual(added.status, 204, added.read())
            self.assertEqual(Response(port, "DELETE", link).status, 403)
            self.assertEqual(weir("streams", "cat", "notes", cwd=self.folder).stdout, "first second")
            # Whoever waits by a link is cut off when it is over.
            link = weir("streams", "link", "notes", "--expires", "3s", cwd=self.folder).stdout.strip()
            events = {"Accept": "text/event-stream"}
            readers = [Response(port, "GET", link + query, headers=headers) for query, headers in (("&offset=-1&live=sse", {}), ("", events))]
            self.assertEqual(Response(port, "GET", link + "&offset=now&live=long-poll").status, 204)
            self.assertIn(b"upToDate", readers[0].read())
            with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
                readers[1].read()
            until(lambda: Response(port, "GET", link, headers=events).status == 403, "the link to be over")
        self.assertEqual((self.folder / ".weir/streams/link-secret").stat().st_mode & 0o777, 0o600)
        for name, words, said in [
            ("notes", ("--rights", "wr"), "are no rights"), ("notes", ("--expires", "soon"), "--expires needs a time"),
            ("notes", ("--url", "javascript:x"), "--url: "), ("notes", ("--url", "ftp://x"), "--url: "), ("notes", ("--url", "http://"), "--url: "),
            ("notes", ("--url", "https://x/?y"), "without ? and #"), ("runs/x", ("--rights", "rw"), "by its run or agent alone"),
            ("memory/x", ("--rights", "d"), "by its run or agent alone"), ("_weir/runs", (), "the server's own"), ("__ds/x", (), "the server's own"),
        ]:
            with self.subTest(name=name, words=words):
                refused = weir("streams", "link", name, *words, cwd=self.folder)
                self.assertNotEqual(refused.returncode, 0)
                self.assertEqual(refused.stdout, "")
                self.assertIn(said, refused.stderr)
        shown = weir("streams", "link", "runs/x", "--url", "https://chat.example.com/", cwd=self.folder)
        self.assertRegex(shown.stdout, r"^https://chat\.example\.com/streams/runs/x\?rights=r&expires=")
