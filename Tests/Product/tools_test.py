"""`weir test`, `doc`, `new`, `fmt` and `check` through the binary, with good files and with whatever else a disk can hold."""
import contextlib, json, os, pathlib, re, shlex, shutil, signal, subprocess, tempfile, unittest

from harness import DEADLINE, ROOT, Model, Weir, binary, free_port, until

TESTS = '''
import std/io (println)
test "adds" { println("talk"); assert 1 + 1 == 2 }
test "fails" { let got = {n: 1}; assert got == {n: 2}, "the record" }
test "adds more" { assert 2 + 2 == 4 }
'''


@contextlib.contextmanager
def folder(**files):
    """A folder of these files; `__` in a name is `/`, `_weir` its ending."""
    with tempfile.TemporaryDirectory(prefix="weir-tools-") as name:
        root = pathlib.Path(name)
        for path, content in files.items():
            path = root / path.replace("__", "/").replace("_weir", ".weir").replace("_toml", ".toml")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        try:
            yield root
        finally:
            subprocess.run(["chmod", "-R", "u+rwx", name])


def weir(*arguments, cwd=None, text=True, **options):
    return subprocess.run([str(binary()), *map(str, arguments)], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=text, timeout=DEADLINE, **options)


def as_nobody():
    """The arguments of subprocess that drop what root may do; None when they are not needed."""
    return {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}


class Tests(unittest.TestCase):
    def test_results(self):
        with folder(t_weir=TESTS) as root:
            done = weir("test", "t.weir", cwd=root)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stdout, "passed  t.weir:3  adds\nfailed  t.weir:4  fails\npassed  t.weir:5  adds more\n2 passed, 1 failed\n")
            for part in ("talk\n", "error[AssertionFailed]: the record", "t.weir:4:34", "^^^^^", "left:  {n: 1}", "right: {n: 2}"):
                self.assertIn(part, done.stderr)
            self.assertNotIn("\x1b", done.stderr)
            self.assertIn("\x1b[1;31m", weir("test", "--color", "always", "t.weir", cwd=root).stderr)

    def test_a_folder_and_nothing_named(self):
        with folder(a_weir=TESTS, sub__b_weir='test "deep" { }', sub__lib_weir="func f() { }") as root:
            (root / ".hidden.weir").write_text('test "no" { assert false }')
            os.symlink("..", root / "sub/loop")
            for operands in ([], ["."], ["a.weir", "sub"], [str(root)]):
                with self.subTest(operands):
                    done = weir("test", *operands, cwd=root)
                    self.assertTrue(done.stdout.endswith("3 passed, 1 failed\n"), done.stdout)
                    self.assertIn("deep", done.stdout)
            os.unlink(root / "sub/loop")
            self.assertEqual(weir("test", "sub", "sub", "sub/b.weir", cwd=root).stdout, "passed  sub/b.weir:1  deep\n1 passed, 0 failed\n")

    def test_json(self):
        with folder(t_weir=TESTS, bad_weir="test \"x\" { assert 1 }") as root:
            done = weir("test", "--json", "t.weir", cwd=root)
            report = json.loads(done.stdout)
            self.assertEqual((report["passed"], report["failed"], report["not_run"], report["diagnostics"]), (2, 1, 0, []))
            self.assertEqual([t["state"] for t in report["tests"]], ["passed", "failed", "passed"])
            failure = report["tests"][1]["failure"]
            self.assertEqual((failure["code"], failure["line"], failure["notes"]), ("AssertionFailed", 4, ["left:  {n: 1}", "right: {n: 2}"]))
            done = weir("test", "--json", "bad.weir", "none.weir", cwd=root)
            self.assertEqual(done.returncode, 1)
            codes = [d["code"] for d in json.loads(done.stdout)["diagnostics"]]
            self.assertEqual(len(codes), 2)
            self.assertRegex(codes[0], "^E03")
            self.assertEqual(codes[1], "FileNotFound")

    def test_choosing(self):
        with folder(t_weir=TESTS) as root:
            self.assertEqual(weir("test", "--filter", "adds", "t.weir", cwd=root).returncode, 0)
            done = weir("test", "--filter", "addds", "t.weir", cwd=root)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn('did you mean "adds"?', done.stderr)
            done = weir("test", "--fail-fast", "t.weir", cwd=root)
            self.assertTrue(done.stdout.endswith("1 passed, 1 failed, 1 not run\n"), done.stdout)

    def test_capabilities_come_before_anything(self):
        program = 'import std/fs (exists)\nimport std/io (println)\ntest "a" { println("ran") }\ntest "b" { assert exists("/") }\n'
        with folder(fine_weir='import std/io (println)\ntest "c" { println("ran") }', t_weir=program) as root:
            done = weir("test", cwd=root)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertNotIn("ran\n", done.stderr)
            self.assertIn("FS (`exists`, t.weir:4)", done.stderr)
            command = re.search(r"run: weir (test --caps \S+ \S+)", done.stderr)[1]
            self.assertEqual(weir(*command.split(), cwd=root).returncode, 0)
            (root / "weir.toml").write_text('caps = ["FS"]')
            self.assertEqual(weir("test", cwd=root).returncode, 0)
            self.assertEqual(weir("test", "--caps", "Net", cwd=root).returncode, 3)
            self.assertEqual(weir("test", "--caps", "Nte", cwd=root).returncode, 2)

    def test_the_endless_and_the_leaving(self):
        with folder(t_weir='import std/io (exit)\ntest "endless" { while true { } }\ntest "leaves" { exit(0) }\ntest "after" { }') as root:
            done = weir("test", "--time-limit", "200ms", cwd=root)
            self.assertTrue(done.stdout.endswith("1 passed, 2 failed\n"), done.stdout)
            self.assertIn("the test did not end within 200ms", done.stderr)
            for wrong in ("0", "soon", "-1s", "5"):
                self.assertEqual(weir("test", f"--time-limit={wrong}", cwd=root).returncode, 2, wrong)

    def test_interrupting(self):
        with folder(t_weir='import std/io (println)\ntest "endless" { println("here"); while true { } }') as root, Weir("test", root / "t.weir") as process:
            until(lambda: "here" in process.err, "the test to run")
            process.process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(), 130)

    def test_models_and_servers_of_a_test_are_its_own(self):
        program = '''
provider eliza { model: "eliza" }
agent Listener { provider: eliza, memory: conversation(max_turns: 5) }
test "asks" { assert len(answer()) > 0 }
func answer() -> string { match Listener.ask("I feel fine", session: "s") { Ok(text) => text, Err(e) => e.message } }
'''
        with folder(t_weir=program) as root:
            done = weir("test", "--caps", "all", cwd=root, env={**os.environ, "WEIR_ELIZA_DELAY": "0"})
            self.assertEqual((done.returncode, done.stdout.splitlines()[-1:]), (0, ["1 passed, 0 failed"]), done.stderr)


NOISE = bytes(range(256)) * 64
HOSTILE = {
    "bytes.weir": NOISE,
    "latin.weir": b'test "caf\xe9" { assert 1 == 2, "\xff\xfe" }\n',
    "nul.weir": b'test "a\x00b" { assert "\x00" == "" }\n',
    "escapes.weir": 'test "\\u{1b}[31mred\\nline" { assert false, "\\u{1b}[2J" }\n'.encode(),
    "deep.weir": b"test \"deep\" { assert " + b"(" * 50_000 + b"}",
    "import.weir": 'import "./x\\0y.weir" (f)\ntest "t" { f() }\n'.encode(),
    "empty.weir": b"",
    "long.weir": b"test \"" + b"n" * 100_000 + b"\" { assert false }",
}


class Hostile(unittest.TestCase):
    """Each command, each file: an exit code of ours, words without control characters, no crash."""

    def check(self, done, place):
        self.assertIn(done.returncode, (0, 1, 2, 3), place)
        for stream in (done.stdout, done.stderr):
            stream.decode("utf-8")
            self.assertNotRegex(stream.replace(b"\n", b""), rb"[\x00-\x08\x0b-\x1f\x7f]", place)
        return done

    def test_files(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for file, content in HOSTILE.items():
                (root / file).write_bytes(content)
            (root / "new\nline.weir").write_text('test "in a strange file" { }')
            for command in (["test"], ["test", "--json"], ["doc"], ["doc", "--json"], ["check"], ["fmt", "--check"]):
                for file in [*HOSTILE, "new\nline.weir"]:
                    if command[0] == "fmt" and file == "new\nline.weir":
                        continue
                    with self.subTest(command, file=file):
                        done = self.check(weir(*command, f"./{file}", cwd=root, text=False), file)
                        if "--json" in command:
                            json.loads(done.stdout)
                        if done.returncode:
                            self.assertTrue(done.stderr or done.stdout)
            before = {file: (root / file).read_bytes() for file in HOSTILE}
            weir("fmt", *HOSTILE, cwd=root)
            for file in ("bytes.weir", "latin.weir", "deep.weir"):
                self.assertEqual((root / file).read_bytes(), before[file], file)

    def test_what_is_no_file(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            (root / "folder.weir").mkdir()
            (root / "closed.weir").write_text('test "t" { }')
            (root / "closed").mkdir()
            (root / "big.weir").touch()
            os.truncate(root / "big.weir", 100 << 20)
            os.symlink("self.weir", root / "self.weir")
            os.mkfifo(root / "pipe.weir")
            os.chmod(root / "closed.weir", 0)
            os.chmod(root / "closed", 0)
            os.chmod(root, 0o755)
            table = [("folder.weir", "folder|no tests"), ("closed.weir", "no permission"), ("big.weir", "larger than"), ("/dev/zero", "larger than"), ("self.weir", "self.weir"), ("gone.weir", "no such file"), ("/dev/null/x.weir", "no such file")]
            for command in ("test", "doc", "check", "fmt"):
                for path, words in table:
                    with self.subTest(command, path=path):
                        operand = path if path.startswith("/") else f"./{path}"
                        done = weir(command, operand, cwd=root, **as_nobody())
                        if command == "fmt" and path == "folder.weir":
                            continue  # nothing in it to format
                        self.assertEqual(done.returncode, 1, done.stderr)
                        self.assertRegex(done.stderr, words)
            for command in ("test", "fmt"):
                done = weir(command, "closed", cwd=root, **as_nobody())
                self.assertEqual(done.returncode, 1)
                self.assertIn("no permission: closed", done.stderr)
            # A pipe in a folder is not waited for.
            os.chmod(root / "closed", 0o755)
            self.assertEqual(weir("fmt", "--check", ".", cwd=root, **as_nobody()).returncode, 1)
            os.chmod(root / "closed.weir", 0o644)


class Documentation(unittest.TestCase):
    def test_the_library(self):
        overview = weir("doc")
        modules = [line.split()[0] for line in overview.stdout.splitlines()]
        self.assertLessEqual({"std/io", "std/list", "std/net", "std/stream", "std/ai/streaming"}, set(modules))
        self.assertEqual([line for line in overview.stdout.splitlines() if len(line.split()) < 4], [])
        for module in modules:
            done = weir("doc", module)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertTrue(done.stdout.startswith(module + ":"))
        for wanted in ("std/stream.selectEvents", "stream.selectEvents", "selectEvents"):
            done = weir("doc", wanted)
            self.assertIn("func selectEvents(", done.stdout, done.stderr)
            self.assertNotIn("func connect(", done.stdout)
        everything = json.loads(weir("doc", "--json").stdout)
        self.assertEqual([m["name"] for m in everything["modules"]], modules)
        self.assertTrue(all(e["documentation"] and e["signature"] for m in everything["modules"] for e in m["entries"]))

    def test_a_name_that_is_not_there(self):
        for wrong, near in (("std/strem", "std/stream"), ("selectEvent", "selectEvents"), ("list.sortby", "std/list.sortBy")):
            done = weir("doc", wrong)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(f"did you mean `weir doc {near}`?", done.stderr)
        self.assertEqual(weir("doc", "--markdown", "std/io").returncode, 2)

    def test_the_page_is_current(self):
        page = ROOT / "docs/library.md"
        self.assertEqual(page.read_text(), weir("doc", "--markdown").stdout, "run: weir doc --markdown > docs/library.md")


class New(unittest.TestCase):
    TEMPLATES = ("chat", "script")

    def test_every_command_of_a_new_project_works(self):
        for template in self.TEMPLATES:
            with self.subTest(template), tempfile.TemporaryDirectory() as name:
                done = weir("new", "demo", "--template", template, cwd=name)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stdout.split(), [f"demo/{f}" for f in ("weir.toml", "main.weir", "main_test.weir", ".gitignore", "README.md")])
                root = pathlib.Path(name) / "demo"
                commands = re.findall(r"```console\n(.*?)```", (root / "README.md").read_text(), re.S)
                tried = []
                port = free_port()
                for line in "".join(commands).splitlines():
                    words = shlex.split(line)
                    tried.append(" ".join(words[:2]))
                    if words[:2] == ["weir", "serve"]:
                        server = Weir(*words[1:], "--port", port, cwd=root, port=port)
                        self.addCleanup(server.__exit__)
                        server.wait_listening()
                    elif words[0] == "weir":
                        done = weir(*words[1:], cwd=root)
                        self.assertEqual(done.returncode, 0, f"{line}: {done.stdout}{done.stderr}")
                    elif shutil.which("curl"):
                        words = [word.replace(":8080", f":{port}") for word in words]
                        done = subprocess.run([*words, "-sSf", "-m", str(DEADLINE)], capture_output=True, text=True)
                        self.assertIn('"finish":"completed"', done.stdout, done.stderr)
                self.assertLessEqual({"weir check", "weir test", "weir fmt"}, set(tried))

    def test_nothing_is_overwritten(self):
        with folder(taken="mine", full__x="") as root:
            for name in ("taken", "full", "full/"):
                done = weir("new", name, cwd=root)
                self.assertEqual(done.returncode, 1)
                self.assertIn("already exists", done.stderr)
            self.assertEqual((root / "taken").read_text(), "mine")
            self.assertEqual(os.listdir(root / "full"), ["x"])

    def test_bad_names(self):
        with folder(closed__x="") as root:
            os.chmod(root, 0o755)
            os.chmod(root / "closed", 0o555)
            for name, words in (("", "cannot be"), ("a b", "cannot be"), ("..", "cannot be"), ("/", "cannot be"), ("a\nb", "cannot be"), ("é", "cannot be"), ("n" * 65, "at most 64"),
                                ("no/where", "no such file"), ("closed/in", "no permission"), ("taken.weir", "cannot be")):
                with self.subTest(name):
                    done = weir("new", name, cwd=root, **as_nobody())
                    self.assertEqual((done.returncode, done.stdout), (1, ""))
                    self.assertIn(words, done.stderr)
            self.assertEqual(weir("new", "x", "--template", "chta", cwd=root).returncode, 2)
            self.assertEqual(weir("new", cwd=root).returncode, 2)
            self.assertEqual(sorted(os.listdir(root)), ["closed"])


class Requests(unittest.TestCase):
    """std/net against a real server."""

    PROGRAM = '''
import std/net (httpRequest)
import std/env (getArgs)
func main(url: string) {
  match httpRequest("POST", url, [{name: "Authorization", value: "Bearer key"}, {name: "X-A", value: "1"}], "body") {
    Ok(r) => println("${r.status} ${r.body}")
    Err(e) => println(e)
  }
}
'''

    def run_against(self, script, *flags, path="/"):
        with Model(script) as model, folder(p_weir=self.PROGRAM) as root:
            done = weir("run", "--caps", "Net", *flags, "p.weir", f"http://127.0.0.1:{model.port}{path}", cwd=root)
            return done, model.requests

    def test_an_answer(self):
        done, requests = self.run_against(lambda exchange: exchange.status(201, "made"))
        self.assertEqual(done.stdout, "201 made\n", done.stderr)
        self.assertEqual((requests[0].headers["x-a"], requests[0].raw), ("1", b"body"))

    def test_redirects(self):
        def script(exchange):
            if "/end" in exchange.request_line:
                return exchange.status(200, exchange.request_line.split()[0])
            exchange.status(302, "", "Location: /end\r\n")

        self.assertEqual(self.run_against(script)[0].stdout, "200 GET\n")
        self.assertEqual(self.run_against(script, "--net-redirects", "0")[0].stdout, "302 \n")
        endless, requests = self.run_against(lambda exchange: exchange.status(302, "", "Location: /again\r\n"))
        self.assertIn("more than 5 redirects", endless.stdout)
        self.assertEqual(len(requests), 6)

    def test_limits(self):
        big, _ = self.run_against(lambda exchange: exchange.status(200, "x" * 2000), "--net-max-response", "1000")
        self.assertEqual(big.stdout, 'TooLarge("the answer is larger than 1000 bytes")\n')
        slow, _ = self.run_against(lambda exchange: exchange.wait_closed(), "--net-timeout", "200ms")
        self.assertEqual(slow.stdout, 'Timeout("no complete answer within 200ms")\n')

    def test_without_the_capability(self):
        with folder(p_weir=self.PROGRAM) as root:
            done = weir("run", "p.weir", "http://127.0.0.1:1/", cwd=root)
            self.assertEqual((done.returncode, done.stdout), (3, ""))
            self.assertIn("Net (`httpRequest`", done.stderr)


if __name__ == "__main__":
    unittest.main()
