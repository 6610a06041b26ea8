"""Durable runs: `weir run` and `weir serve` are killed, and what they had done is still there, once."""
import json, os, pathlib, random, re, signal, subprocess, tempfile, time, unittest

from harness import DEADLINE, Response, Weir, binary, free_port, until

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


def weir(*arguments, cwd, **more):
    env = {k: v for k, v in os.environ.items() if k != "WEIR_STORE"}
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

    def runs(self):
        done = weir("runs", "ls", "--json", cwd=self.folder)
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

    def test_a_run_that_ended_is_not_taken_up(self):
        program = self.write("steps.weir", STEPS)
        self.assertEqual(weir("run", "--caps", "all", "--run-id", "once", program, cwd=self.folder).returncode, 0)
        again = weir("runs", "resume", "once", cwd=self.folder)
        self.assertEqual((again.returncode, again.stdout), (1, ""))
        self.assertIn("has ended (completed)", again.stderr)
        self.assertIn("no stream", weir("runs", "show", "never", cwd=self.folder).stderr)
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
                            (("--store", ""), "is no store")]:
            refused = weir("run", *flags, program, cwd=self.folder)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn(said, refused.stderr)
        (self.folder / "file").write_text("")
        refused = weir("run", "--store", "file/streams", program, cwd=self.folder)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("StoreUnavailable", refused.stderr)


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
        self.assertEqual((self.folder / ".weir/streams/link-secret").stat().st_mode & 0o777, 0o600)
        for words, said in [(("--rights", "wr"), "are no rights"), (("--expires", "soon"), "--expires needs a time")]:
            refused = weir("streams", "link", "notes", *words, cwd=self.folder)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(said, refused.stderr)
