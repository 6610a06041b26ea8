"""Standard input and timers through `selectEvents`: from a pipe, a file and a terminal, and from a producer that is far too fast."""
import contextlib, json, os, pathlib, pty, re, select, subprocess, tempfile, unittest

from harness import DEADLINE, ROOT, binary, until

LINES = r'''
import std/stream (asyncReadStdinLines, selectEvents, StreamEvent, Message, SourceText, StreamError, Closed)

func handler(event: StreamEvent) -> bool ! {IO} {
  match event {
    SourceText(source, text) => { println("[" ++ source ++ "] " ++ text); true },
    Message(msg) => { println("[ws] " ++ msg); true },
    Closed(_, _) => false,
    StreamError(_) => false,
    _ => true
  }
}

export func main() -> unit ! {Stream, IO} {
  let stdin = asyncReadStdinLines("stdin", 10);
  selectEvents([stdin], handler)
}
'''
TYPED = b"one\r\ntwo\n\nlast without an end"
SHOWN = "[stdin] one\n[stdin] two\n[stdin] \n[stdin] last without an end\n"


@contextlib.contextmanager
def program(text):
    with tempfile.TemporaryDirectory(prefix="weir-test-") as folder:
        path = pathlib.Path(folder) / "app.weir"
        path.write_text(text)
        yield path


def run(path, *flags, stdin, caps="Stream,Clock"):
    return subprocess.run([str(binary()), "run", "--caps", caps, *flags, str(path)], input=stdin, capture_output=True, timeout=DEADLINE)


class StandardInput(unittest.TestCase):
    def test_a_pipe(self):
        with program(LINES) as path:
            done = run(path, stdin=TYPED)
            self.assertEqual((done.returncode, done.stdout.decode(), done.stderr), (0, SHOWN, b""))

    def test_a_file(self):
        with program(LINES) as path:
            typed = path.parent / "typed"
            typed.write_bytes(TYPED)
            with typed.open("rb") as file:
                done = subprocess.run([str(binary()), "run", "--caps", "Stream", str(path)], stdin=file, capture_output=True, timeout=DEADLINE)
            self.assertEqual((done.returncode, done.stdout.decode()), (0, SHOWN))

    def test_a_terminal(self):
        """Each line is shown as it is typed; what the terminal shows is what a pipe gets."""
        with program(LINES) as path:
            child, terminal = pty.fork()
            if child == 0:
                os.execv(binary(), [str(binary()), "run", "--caps", "Stream", str(path)])
            shown = ""

            def read_until(text):
                nonlocal shown
                while text not in shown:
                    self.assertTrue(select.select([terminal], [], [], DEADLINE)[0], f"waited for {text!r}: {shown!r}")
                    try:
                        piece = os.read(terminal, 4096)
                    except OSError:  # Linux: the other side has closed
                        piece = b""
                    if not piece:
                        return
                    shown += piece.decode()

            try:
                os.write(terminal, b"one\n")
                read_until("[stdin] one\r\n")
                os.write(terminal, b"two\n")
                read_until("[stdin] two\r\n")
                os.write(terminal, b"\x04")
                read_until("nothing follows")
                self.assertEqual(re.findall(r"\[.*", shown.replace("\r", "")), ["[stdin] one", "[stdin] two"])
            finally:
                os.close(terminal)
                self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_a_producer_that_is_far_too_fast(self):
        """`yes` writes as fast as it may; the handler takes its time. Nothing is lost, and memory stays where it was."""
        text = r'''
import std/stream (asyncReadStdinLines, foldEvents)
import std/clock (sleep)
import std/io (printErr)
func main() {
  let count = foldEvents([asyncReadStdinLines("in", 0)], 0, (n, _) => {
    if n % 2000 == 0 { printErr("${n}\n") }
    if n % 100 == 0 { sleep(1) }
    {state: n + 1, continue: n < 100000}
  })
  println(count)
}
'''
        with program(text) as path, subprocess.Popen(["yes", "x" * 60], stdout=subprocess.PIPE) as producer:
            weir = subprocess.Popen([str(binary()), "run", "--caps", "Stream,Clock", str(path)], stdin=producer.stdout,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            producer.stdout.close()
            sizes = []
            for line in weir.stderr:
                with contextlib.suppress(FileNotFoundError, TypeError):
                    sizes.append(int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{weir.pid}/status").read_text())[1]))
            self.assertEqual(weir.stdout.read(), "100001\n")
            self.assertEqual(weir.wait(DEADLINE), 0)
            weir.stdout.close(), weir.stderr.close()
            self.assertLess(max(sizes) - sizes[1], 2048, f"KB of memory over time: {sizes}")

    def test_a_reader_that_stops_leaves_the_rest_to_others(self):
        with program('''
import std/stream (asyncReadStdinLines, selectEvents, cancel)
import std/io (readLine)
func main() {
  let input = asyncReadStdinLines("in", 0)
  selectEvents([input], (_) => false)
  cancel(input)
  println("rest")
}
''') as path:
            self.assertEqual(run(path, stdin=b"a\nb\n").stdout, b"rest\n")


SELECT = ROOT / ".build/debug/SelectBenchmark"


@unittest.skipUnless(SELECT.exists(), "the benchmark of EventLoop.select is not built (swift build --product SelectBenchmark)")
class FromSwift(unittest.TestCase):
    """`EventLoop.select` of the Swift library, in a process whose standard input is the test's."""

    def lines(self, stdin, **more):
        done = subprocess.run([str(SELECT), "lines"], capture_output=True, text=True, timeout=DEADLINE, stdin=stdin, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)["events"]

    def test_a_file_and_a_pipe(self):
        with tempfile.TemporaryFile("w+") as file:
            file.write("a line\n" * 50_000 + "the last")
            file.seek(0)
            self.assertEqual(self.lines(file), 50_001)
        with subprocess.Popen(["seq", "100000"], stdout=subprocess.PIPE) as seq:
            self.assertEqual(self.lines(seq.stdout), 100_000)
            seq.stdout.close()
        self.assertEqual(self.lines(subprocess.DEVNULL), 0)


class Recordings(unittest.TestCase):
    PROGRAM = r"""
import std/stream (asyncReadStdinLines, timerSource, selectEvents, SourceText, StreamError, Timeout)
func main() {
  selectEvents([timerSource("tick", 20, 1), asyncReadStdinLines("in", 1)], (event) => match event {
    SourceText(name, text) => { println("${name} ${text}"); text != "stop" },
    StreamError(Timeout(why)) => { println(why); true },
    _ => true
  })
}
"""

    def test_the_same_again_at_any_speed(self):
        with program(self.PROGRAM) as path:
            recording = path.parent / "run.jsonl"
            weir = subprocess.Popen([str(binary()), "run", "--caps", "Stream", "--record", str(recording), str(path)],
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            shown = []
            for typed in ("one", "two", "stop"):
                weir.stdin.write(typed + "\n")
                weir.stdin.flush()
                while not shown or shown[-1] != f"in {typed}\n":
                    shown.append(weir.stdout.readline())
                    self.assertTrue(shown[-1], weir.stderr)
            self.assertEqual(weir.wait(DEADLINE), 0)
            for pipe in (weir.stdin, weir.stdout, weir.stderr):
                pipe.close()
            for speed in ([], [], ["--speed", "1"], ["--speed", "1000"]):
                done = run(path, "--replay", str(recording), *speed, stdin=b"not read\n")
                self.assertEqual((done.returncode, done.stderr, done.stdout.decode()), (0, b"", "".join(shown)))

    def test_programs_are_not_started_again(self):
        text = r"""
import std/process (exec, spawnProcess, writeProcessStdin, closeProcessStdin)
import std/stream (processSource, processOf, asyncExecProcess, selectEvents, SourceText, SourceBytes, SourceExit)
import std/bytes (fromString, toString)
func main(marks: string) {
  match exec("sh", ["-c", "echo ran >> \"$0\"; echo said; exit 3", marks]) {
    Ok(r) => println("${r.exitCode} ${toString(r.stdout)}"),
    Err(e) => println(e)
  }
  println(exec("no-such-program-4711", []))
  let spawned = spawnProcess("sh", ["-c", "echo spawned >> \"$0\"; cat > /dev/null", marks])
  println(writeProcessStdin(spawned, fromString("x")))
  closeProcessStdin(spawned)
  println(writeProcessStdin(spawned, fromString("x")))
  let cat = processSource("sh", ["-c", "echo source >> \"$0\"; exec cat", marks], {name: "cat", priority: 0, lines: true, exit: true})
  println(writeProcessStdin(processOf(cat), fromString("a\nb\n")))
  closeProcessStdin(processOf(cat))
  selectEvents([cat, asyncExecProcess("echo", ["hi"], "echo", 5, 4096)], (event) => match event {
    SourceText(name, line) => { println("${name} ${line}"); true },
    SourceBytes(name, data) => { println("${name} ${toString(data)}"); true },
    SourceExit(name, code) => { println("${name} ended ${code}"); true },
    _ => true
  })
}
"""
        with program(text) as path:
            marks, recording = path.parent / "marks", path.parent / "run.jsonl"
            marks.write_text("")
            recording.write_text("an older file, that anybody may read")
            recording.chmod(0o644)
            command = [str(binary()), "run", "--caps", "Stream,Process"]
            old = os.umask(0)
            try:
                real = subprocess.run([*command, "--record", str(recording), str(path), str(marks)], capture_output=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
            finally:
                os.umask(old)
            self.assertEqual((real.returncode, real.stderr), (0, b""))
            self.assertEqual(sorted(marks.read_text().split()), ["ran", "source", "spawned"])
            self.assertEqual(recording.stat().st_mode & 0o777, 0o600)
            for line in ("3 said", "Ok(())", 'Err("stdin already closed")', "cat a", "cat b", "cat ended 0", "echo hi"):
                self.assertIn(line, real.stdout.decode().splitlines())
            for speed in ([], ["--speed", "1"], ["--speed", "1000"]):
                done = subprocess.run([*command, "--replay", str(recording), *speed, str(path), str(marks)], capture_output=True, timeout=DEADLINE, stdin=subprocess.DEVNULL)
                self.assertEqual((done.returncode, done.stderr, done.stdout), (0, b"", real.stdout))
            self.assertEqual(len(marks.read_text().split()), 3, "a replay started a program")

    def test_a_new_recording_is_its_owner_s(self):
        for mask in (0, 0o022, 0o077):
            with self.subTest(mask), program("func main() { println(1) }") as path:
                recording = path.parent / "run.jsonl"
                old = os.umask(mask)
                try:
                    self.assertEqual(run(path, "--record", str(recording), stdin=b"").returncode, 0)
                finally:
                    os.umask(old)
                self.assertEqual(recording.stat().st_mode & 0o777, 0o600)

    def test_tests_neither_record_nor_replay(self):
        with program('test "one" { assert 1 == 1 }') as path:
            for flag in ("--record", "--replay"):
                done = subprocess.run([str(binary()), "test", flag, "run.jsonl", str(path)], capture_output=True, text=True, timeout=DEADLINE, cwd=path.parent)
                self.assertEqual((done.returncode, done.stdout), (2, ""))
                self.assertIn(f"has no option {flag}", done.stderr)
                self.assertFalse((path.parent / "run.jsonl").exists())

    def test_what_is_no_recording(self):
        with program(self.PROGRAM) as path:
            file = path.parent / "bad.jsonl"
            for content, message in ((b"", "line 1"), (b"\0\xff\n", "no recording"), (b'{"weir":"recording","version":1}\n{"take":1}\n', "line 2")):
                file.write_bytes(content)
                done = run(path, "--replay", str(file), stdin=b"")
                self.assertEqual((done.returncode, done.stdout), (1, b""))
                self.assertIn(message, done.stderr.decode())
            for flags, code in ((["--replay", str(path.parent / "none")], 1), (["--record", str(path.parent / "no/where")], 1), (["--speed", "1"], 2),
                                (["--replay", str(file), "--speed", "0"], 2), (["--replay", str(file), "--record", "x"], 2)):
                done = run(path, *flags, stdin=b"")
                self.assertEqual((done.returncode, done.stdout), (code, b""), flags)
                self.assertTrue(done.stderr)

    @unittest.skipUnless(os.path.exists("/dev/full"), "this system has no /dev/full")
    def test_a_file_that_is_no_file(self):
        with program(self.PROGRAM) as path:
            self.assertEqual(run(path, "--record", "/dev/full", stdin=b"stop\n").returncode, 1)


class Deadlines(unittest.TestCase):
    def test_flags(self):
        text = Recordings.PROGRAM
        with program(text) as path:
            table = {("--stream-max-duration", "70ms"): "max duration 70ms exceeded", ("--stream-idle-timeout", "5ms"): "idle timeout after 5ms"}
            for flags, line in table.items():
                # Standard input stays open: nobody closes the terminal of this pipe.
                with subprocess.Popen([str(binary()), "run", "--caps", "Stream", *flags, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as weir:
                    self.assertEqual(weir.stdout.read().splitlines()[-1], line)
                    self.assertEqual(weir.wait(DEADLINE), 0)


class Errors(unittest.TestCase):
    """An error in a handler or of a loop fails the program, where the program wrote it."""

    def test_places(self):
        table = {
            "selectEvents([], (_) => true)": ("NoSources", 4),
            "selectEvents([asyncReadStdinLines(\"in\", 0)], (_) =>\n    1 / 0 > 1)": ("DivisionByZero", 5),
        }
        for body, (code, line) in table.items():
            with self.subTest(code), program("\nimport std/stream (asyncReadStdinLines, selectEvents)\nfunc main() {\n  " + body + "\n}\n") as path:
                done = run(path, stdin=b"x\n")
                self.assertEqual(done.returncode, 1)
                self.assertIn(f"error[{code}]", done.stderr.decode())
                self.assertIn(f"app.weir:{line}:", done.stderr.decode())
                self.assertNotIn("std/stream", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
