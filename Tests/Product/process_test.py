"""Processes as a user sees them: the seed's programs unchanged, what a child is given, how it is stopped, what is left."""
import os, pathlib, pty, re, signal, subprocess, tempfile, time, unittest
from harness import DEADLINE, Weir, binary, until

SEED_WRITE = '''import std/process (spawnProcess, writeProcessStdin, closeProcessStdin, ProcessHandle)
import std/bytes (fromString)
import std/result (Result, Ok, Err)

export func main() -> () ! {Process, IO} {
-- Spawn cat with writable stdin (stdout goes to terminal)
let handle = spawnProcess("cat", []);

-- Write three lines to cat's stdin
match writeProcessStdin(handle, fromString("hello from AILANG\\n")) {
Ok(_) => println("wrote line 1"),
Err(e) => println("write error: " ++ e)
};

match writeProcessStdin(handle, fromString("streaming to subprocess\\n")) {
Ok(_) => println("wrote line 2"),
Err(e) => println("write error: " ++ e)
};

-- Close stdin — cat will echo all lines and exit
closeProcessStdin(handle)
}
'''

SEED_READ = '''import std/stream (asyncExecProcess, asyncReadStdinLines, selectEvents,
StreamEvent, SourceText, SourceBytes)
import std/bytes (toString, toBase64)

func handler(event: StreamEvent) -> bool ! {IO} {
match event {
SourceBytes(source, data) => {
println("[" ++ source ++ "] " ++ toString(data));
true
},
SourceText(source, text) => {
println("[" ++ source ++ "] " ++ text);
false
},
_ => true
}
}

export func main() -> unit ! {Stream, Process, IO} {
-- Spawn subprocess: reads stdout in 4096-byte chunks
let proc = asyncExecProcess("echo", ["hello", "world"], "echo", 5, 4096);
let stdin = asyncReadStdinLines("stdin", 10);
selectEvents([proc, stdin], handler)
}
'''

HEAD = '''
import std/process (exec, spawnProcess, writeProcessStdin, closeProcessStdin, NotFound, NotAllowed, Timeout, Failed)
import std/stream (asyncExecProcess, processSource, selectEvents, SourceText, SourceBytes, SourceExit)
import std/bytes (fromString, toString)
import std/clock (sleep)
import std/string (repeat)
import std/list (map, range)

func say(cmd: string, args: [string]) {
  match exec(cmd, args) {
    Ok(r) => println("${r.exitCode} ${toString(r.stdout)}|${toString(r.stderr)}"),
    Err(NotFound(why)) => println("NotFound ${why}"),
    Err(NotAllowed(why)) => println("NotAllowed ${why}"),
    Err(Timeout(why)) => println("Timeout ${why}"),
    Err(Failed(why)) => println("Failed ${why}")
  }
}
'''


def program(text, name="app.weir"):
    path = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-")) / name
    path.write_text(text)
    return path


def script(text):
    path = program(text, "script.sh")
    path.chmod(0o755)
    return path


def run(text, *flags, env=None, **more):
    """A program to its end; its exit status, stdout and stderr."""
    path = text if isinstance(text, pathlib.Path) else program(HEAD + text)
    done = subprocess.run([binary(), "run", "--caps", "all", *flags, path], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, env={**os.environ, **(env or {})}, **more)
    return done.returncode, done.stdout, done.stderr


def running(pid):
    """Neither gone nor a zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                found.append((int(entry.name), fields[0]))
    return found


def read_pid(path):
    return int(until(lambda: path.exists() and path.read_text().strip(), path))


class Seeds(unittest.TestCase):
    def test_writing_to_cat_on_a_pipe(self):
        status, out, err = run(program(SEED_WRITE, "process_stdin_write.ail"))
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(sorted(out.splitlines()), sorted(
            ["wrote line 1", "wrote line 2", "hello from AILANG", "streaming to subprocess"]))

    def test_reading_echo_on_a_pipe(self):
        done = subprocess.run([binary(), "run", "--caps", "Stream,Process,IO", program(SEED_READ, "subprocess_stdout.ail")],
                              input="", capture_output=True, text=True, timeout=30)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "[echo] hello world\n\n", ""))

    def on_a_terminal(self, path, typed=b""):
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(binary(), [str(binary()), "run", "--caps", "all", str(path)])
        out, asked = b"", not typed
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                piece = os.read(terminal, 4096)
            except OSError:
                break
            if not piece:
                break
            out += piece
            if not asked and b"world" in out:
                os.write(terminal, typed)
                asked = True
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), out.decode().replace("\r\n", "\n")

    def test_both_on_a_terminal(self):
        status, out = self.on_a_terminal(program(SEED_WRITE, "process_stdin_write.ail"))
        self.assertEqual(status, 0)
        self.assertEqual(sorted(out.splitlines()), sorted(
            ["wrote line 1", "wrote line 2", "hello from AILANG", "streaming to subprocess"]))
        status, out = self.on_a_terminal(program(SEED_READ, "subprocess_stdout.ail"), b"typed\n")
        self.assertEqual(status, 0)
        self.assertIn("[echo] hello world\n", out)
        self.assertIn("[stdin] typed\n", out)


class Children(unittest.TestCase):
    def test_exit_codes_and_killed_children(self):
        status, out, err = run('func main() { for c in ["exit 0", "exit 3", "exit 255", "kill -9 $$", "kill -15 $$", '
                               '"kill -6 $$"] { say("sh", ["-c", c]) } }')
        self.assertEqual((status, err), (0, ""))
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["0", "3", "255", "137", "143", "134"])

    def test_what_cannot_be_started(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
        (folder / "junk").write_bytes(b"\x01\x02junk")
        (folder / "lost").write_text("#!/no/such/shell\n")
        for name in ("junk", "lost"):
            (folder / name).chmod(0o755)
        cases = [('"", []', "Failed a program needs a name"), ('"a\\u{0}b", []', "NUL"), ('"echo", ["a\\u{0}b"]', "NUL"),
                 ('"/tmp", []', "Failed /tmp is a folder"), ('"/etc/passwd", []', "Failed no permission"),
                 (f'"{folder}/junk", []', "Failed"), (f'"{folder}/lost", []', "Failed what runs"),
                 ('"echo", [repeat("x", 1048576)]', "more than the system passes on"),
                 ('"weir-no-such-tool", []', "NotFound there is no program \"weir-no-such-tool\"; install"),
                 ('"/no/such/file", []', "NotFound")]
        status, out, err = run("func main() {\n" + "\n".join(f"say({call})" for call, _ in cases) + "\n}")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        self.assertEqual(len(lines), len(cases), out)
        for (call, wanted), line in zip(cases, lines):
            self.assertIn(wanted, line, call)
        status, out, err = run('func main() { spawnProcess("weir-no-such-tool", []) }')
        self.assertEqual(status, 1)
        self.assertIn("there is no program \"weir-no-such-tool\"", err)

    def test_ten_thousand_arguments(self):
        status, out, _ = run('func main() { say("sh", ["-c", "echo $#", "sh"] ++ map(range(0, 10000), (i) => "${i}")) }')
        self.assertEqual((status, out.strip()), (0, "0 10000\n|"))

    def test_variables_and_secrets(self):
        secrets = {"OPENAI_API_KEY": "sk-canary-1", "GITHUB_TOKEN": "canary-2", "DATABASE_URL": "postgres://u:canary-3@h/d"}
        text = 'func main() { say("env", []) }'
        status, out, _ = run(text, env={**secrets, "PLAIN": "yes"})
        self.assertEqual(status, 0)
        self.assertIn("PLAIN=yes", out)
        self.assertIn("PATH=", out)
        self.assertNotIn("canary", out)
        _, out, _ = run(text, "--process-env", "GITHUB_TOKEN, DATABASE_URL", env=secrets)
        self.assertEqual(sorted(re.findall(r"canary-\d", out)), ["canary-2", "canary-3"])
        path = program(HEAD + text)
        (path.parent / "weir.toml").write_text('process_env = ["OPENAI_API_KEY"]\n')
        _, out, _ = run(path, env=secrets)
        self.assertEqual(re.findall(r"canary-\d", out), ["canary-1"])

    def test_the_allow_list_by_flag_and_by_file(self):
        text = 'func main() { say("echo", ["hi"]); say("cat", ["/etc/hostname"]); say("sh", ["-c", "true"]); say("sh", ["-x"]) }'
        status, out, err = run(text, "--process-allowlist", "echo, sh:-c")
        self.assertEqual((status, err), (0, ""))
        lines = out.replace("\n|", "|").splitlines()
        self.assertEqual(lines[0], "0 hi|")
        self.assertIn('NotAllowed "cat" is not allowed by --process-allowlist "echo,sh:-c"', lines[1])
        self.assertEqual(lines[2], "0 |")
        self.assertIn('NotAllowed "sh -x"', lines[3])
        path = program(HEAD + text)
        (path.parent / "weir.toml").write_text('process_allowlist = ["cat"]\n')
        self.assertIn('NotAllowed "echo"', run(path)[1])
        self.assertTrue(run(path, "--process-allowlist", "echo")[1].startswith("0 hi"), "the flag wins")
        self.assertIn('NotAllowed "echo"', run(path, "--process-allowlist", "")[1])
        status, _, err = run(text, "--process-allowlist", "./echo")
        self.assertEqual(status, 1)
        self.assertIn("is not a program", err)

    def test_a_name_is_looked_up_once(self):
        """A program that puts another `tool` in front of the first does not make Weir run it."""
        first, second = (pathlib.Path(tempfile.mkdtemp(prefix="weir-test-")) for _ in range(2))
        (second / "tool").write_text("#!/bin/sh\necho right\n")
        (second / "tool").chmod(0o755)
        text = (f'func main() {{ say("tool", []); say("sh", ["-c", "cp {second}/tool {first}/tool; echo echo wrong >> {first}/tool"]);'
                ' say("tool", []) }')
        search = f"{first}:{second}:{os.environ['PATH']}"
        out = run(text, "--process-allowlist", "tool,sh", env={"PATH": search})[1]
        self.assertNotIn("wrong", out)
        self.assertEqual(out.count("right"), 2)
        self.assertIn("wrong", run(text, env={"PATH": search})[1], "without the list each start looks anew")

    def test_a_grandchild_that_holds_the_pipe(self):
        begin = time.monotonic()
        status, out, _ = run('func main() { say("sh", ["-c", "sleep 100 & echo done"]) }')
        self.assertEqual((status, out), (0, "0 done\n|\n"))
        self.assertLess(time.monotonic() - begin, 20)

    def test_five_hundred_spawns_leave_nothing(self):
        marks = 'if i % 100 == 99 { println("at ${i}"); _ = readLine() }'
        path = program(HEAD + "import std/io (readLine)\nfunc main() { for i in range(0, 500) { _ = exec(\"true\", []); " + marks + " } }")
        weir = subprocess.Popen([binary(), "run", "--caps", "all", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        seen = []
        for _ in range(5):
            self.assertIn("at", weir.stdout.readline())
            seen.append((len(os.listdir(f"/proc/{weir.pid}/fd")), len(children(weir.pid))))
            weir.stdin.write("\n")
            weir.stdin.flush()
        self.assertEqual(weir.wait(DEADLINE), 0)
        weir.stdin.close()
        weir.stdout.close()
        self.assertEqual(len(set(seen)), 1, f"descriptors and children: {seen}")
        self.assertEqual(seen[0][1], 0)

    def test_a_parent_that_ignored_sigchld(self):
        """Ignored signals go through exec: the exit status must come all the same, and children start with defaults."""
        status, out, err = run('func main() { say("sh", ["-c", "kill -PIPE $$; exit 3"]) }',
                               preexec_fn=lambda: [signal.signal(s, signal.SIG_IGN) for s in (signal.SIGCHLD, signal.SIGPIPE)])
        self.assertEqual((status, out), (0, "141 |\n"), err)

    def test_started_without_standard_streams(self):
        """Somebody closed our standard streams: a child's are still what they should be."""
        path = program(HEAD + 'func main() { say("sh", ["-c", "ls -l /proc/self/fd >&2; exit 5"]); exec("sh", ["-c", "exit 0"]) }')
        done = subprocess.run(["sh", "-c", f'exec "{binary()}" run --caps all "{path}" <&- 2>&-'], stdout=subprocess.PIPE,
                              text=True, timeout=30)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.startswith("5 "), done.stdout)


class Stops(unittest.TestCase):
    STUBBORN = '#!/bin/sh\ntrap \'echo TERM >> "$1"\' TERM\ntrap \'echo INT >> "$1"\' INT\necho $$ > "$1.pid"\nwhile :; do sleep 0.05; done\n'

    def start(self, body):
        log = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-")) / "log"
        stubborn = script(self.STUBBORN)
        weir = Weir("run", "--caps", "all", program(HEAD + body.format(stubborn=stubborn, log=log)))
        return weir, log, read_pid(pathlib.Path(str(log) + ".pid"))

    def test_term_then_five_seconds_then_kill(self):
        weir, log, child = self.start(
            'func main() {{ let s = asyncExecProcess("{stubborn}", ["{log}"], "s", 0, 1); selectEvents([s], (e) => true) }}')
        with weir:
            begin = time.monotonic()
            weir.process.send_signal(signal.SIGTERM)
            until(lambda: log.exists() and log.read_text() == "TERM\n", "SIGTERM")
            self.assertTrue(running(child))
            self.assertEqual(weir.wait(), 143)
            took = time.monotonic() - begin
            self.assertFalse(running(child))
            self.assertTrue(4.9 < took < 8, took)
            self.assertEqual(log.read_text(), "TERM\n")

    def test_a_second_ctrl_c_does_not_wait(self):
        weir, log, child = self.start('func main() {{ spawnProcess("{stubborn}", ["{log}"]); sleep(100000) }}')
        with weir:
            weir.process.send_signal(signal.SIGINT)
            until(lambda: log.exists(), "SIGTERM")
            begin = time.monotonic()
            weir.process.send_signal(signal.SIGINT)
            self.assertEqual(weir.wait(), 130)
            self.assertLess(time.monotonic() - begin, 3)
            until(lambda: not running(child), "the child's end")

    def test_weir_is_killed(self):
        """Nobody can act then: who reads from us sees the end, who does not lives on (docs/streams.md)."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
        reader = script(f'#!/bin/sh\necho $$ > {folder}/reader\nexec cat\n')
        other = script(f'#!/bin/sh\necho $$ > {folder}/other\nexec sleep 60\n')
        weir = Weir("run", "--caps", "all", program(
            HEAD + f'func main() {{ spawnProcess("{reader}", []); spawnProcess("{other}", []); sleep(100000) }}'))
        with weir:
            pids = [read_pid(folder / name) for name in ("reader", "other")]
            weir.process.kill()
            weir.process.wait()
            try:
                until(lambda: not running(pids[0]), "the reader's end")
                self.assertTrue(running(pids[1]))
            finally:
                os.kill(pids[1], signal.SIGKILL)


class Backpressure(unittest.TestCase):
    def test_a_producer_that_is_much_faster_than_the_handler(self):
        weir = Weir("run", "--caps", "all", program(
            HEAD + 'func main() { let s = processSource("yes", [], {name: "y", priority: 0, lines: true}); var n = 0; '
            'selectEvents([s], (e) => { n = n + 1; if n % 2000 == 0 { println(n); sleep(20) }; true }) }'))
        with weir:
            until(lambda: len(weir.out) > 5, "events")
            early = weir.rss_kb()
            until(lambda: len(weir.out) > 60, "more events")
            self.assertLess(weir.rss_kb() - early, 4096, "KiB")

    def test_a_child_that_never_reads(self):
        status, out, _ = run('func main() { let h = spawnProcess("sleep", ["60"]); var n = 0; var go = true; '
                             'let piece = fromString(repeat("x", 4096)); while go { match writeProcessStdin(h, piece) '
                             '{ Ok(_) => { n = n + 1 }, Err(why) => { println("${n} ${why}"); go = false } } } }')
        self.assertEqual(status, 0)
        self.assertEqual(out, "272 write buffer full — subprocess may be stalled\n")


if __name__ == "__main__":
    unittest.main()
