"""What the documents say is what the product does: their programs check, their commands run, their shapes are what is sent.

A block that cannot be tried as it stands (it needs a key, or another machine) is listed in NOT_RUN with the reason, so a new
one cannot slip by.
"""
import contextlib, json, os, pathlib, re, shlex, shutil, subprocess, tempfile, unittest, urllib.parse

from harness import DEADLINE, ROOT, Response, Weir, binary, free_port

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "Benchmarks").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").rglob("*.weir"))
NOT_RUN = [  # start of a command, why it is not run here
    ("make ", "builds or measures; CI runs it by itself"),
    ("scripts/", "builds or measures"),
    ("python3 ", "a benchmark, or these very tests"),
    ("swift ", "a build"),
    ("sudo ", "installs on the machine"),
    ("apt", "installs on the machine"),
    ("git ", "needs the network"),
]
FINISHES = {"completed", "length", "filtered", "tool_calls", "aborted", "truncated", "error", "budget"}


def blocks(path, *languages, noted=False):
    """(line, text) of the fenced blocks in one of these languages; those with a note behind the language only if `noted`."""
    for found in re.finditer(r"^```(\w+) ?([^\n]*)\n(.*?)^```", path.read_text(), re.S | re.M):
        if found[1] in languages and (noted or not found[2]):
            yield path.read_text()[: found.start()].count("\n") + 1, found[3]


def each(*languages):
    for path in DOCUMENTS:
        for line, text in blocks(path, *languages):
            yield f"{path.relative_to(ROOT)}:{line}", text


def weir(*arguments, cwd=None):
    return subprocess.run([str(binary()), *map(str, arguments)], capture_output=True, text=True, timeout=DEADLINE, stdin=subprocess.DEVNULL, cwd=cwd)


@contextlib.contextmanager
def serving(program, *flags):
    port = free_port()
    with Weir("serve", "--ui", "--caps", "all", "--port", port, *flags, program, port=port) as server:
        yield server.wait_listening()


def chat():
    return serving(ROOT / "examples/chat.weir", "--public-streams")


class Blocks(unittest.TestCase):
    def test_programs_check(self):
        self.assertTrue(list(each("weir")))
        for place, text in each("weir"):
            if place.startswith("docs/language.md"):
                continue  # Tour runs them, beside the files that they import
            with self.subTest(place), tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "program.weir"
                path.write_text(text)
                done = weir("check", path)
                self.assertEqual((done.returncode, done.stderr), (0, ""), place)

    def test_swift_compiles(self):
        modules = binary().parent / "Modules"
        if not shutil.which("swiftc") or not (modules / "Weir.swiftmodule").exists():
            self.skipTest("swiftc, or the modules of a build with swift build, are missing")
        for place, text in each("swift"):
            with self.subTest(place), tempfile.TemporaryDirectory() as folder:
                body = "".join(f"  {line}\n" for line in text.splitlines() if line != "import Weir")
                path = pathlib.Path(folder) / "snippet.swift"
                path.write_text(f"import Weir\nfunc snippet() async throws {{\n{body}}}\n")
                maps = [f"-fmodule-map-file={m}" for m in sorted(binary().parent.glob("*.build/module.modulemap"))]
                maps += [f"-I{folder}" for folder in sorted((ROOT / "Sources").glob("C*"))]
                done = subprocess.run(
                    ["swiftc", "-typecheck", "-swift-version", "6", "-I", str(modules), *(x for m in maps for x in ("-Xcc", m)), str(path)],
                    capture_output=True, text=True, timeout=DEADLINE * 4)
                self.assertEqual((done.returncode, done.stderr), (0, ""), place)

    def test_configuration_is_accepted(self):
        for place, text in each("toml"):
            with self.subTest(place), tempfile.TemporaryDirectory() as folder:
                (pathlib.Path(folder) / "weir.toml").write_text(text)
                path = pathlib.Path(folder) / "program.weir"
                path.write_text('func main() { println("read") }\n')
                done = weir("run", path, cwd=folder)
                self.assertEqual((done.returncode, done.stdout), (0, "read\n"), f"{place}: {done.stderr}")

    def commands(self):
        for place, text in each("console", "sh", "bash"):
            for command in text.replace("\\\n", " ").splitlines():
                if (command := command.strip().removeprefix("$ ")) and not command.startswith("#"):
                    yield place, command

    @unittest.skipUnless(shutil.which("curl"), "curl is not installed")
    def test_commands_run(self):
        with chat() as server, tempfile.TemporaryDirectory() as folder:
            for example in EXAMPLES:
                shutil.copy(example, folder)
            tried = 0
            for place, command in self.commands():
                if any(command.startswith(start) for start, _ in NOT_RUN):
                    continue
                with self.subTest(place, command=command):
                    words = shlex.split(command)
                    self.assertIn(words[0], ("curl", "weir"), f"{place}: say in NOT_RUN why this is not run")
                    if words[0] == "weir":
                        words[0] = str(binary())
                        if words[1] in ("serve", "webui"):
                            continue  # test_flags knows their flags, and the servers of this file are started like them
                    words = [re.sub(r"localhost:\d+", f"localhost:{server.port}", word) for word in words]
                    fail = ["-sSf", "-m", str(DEADLINE)] if words[0] == "curl" else []
                    kept = {k: v for k, v in os.environ.items() if k != "WEIR_STORE"}  # in that folder, as a reader's are
                    done = subprocess.run([words[0], *fail, *words[1:]], capture_output=True, text=True, timeout=DEADLINE + 5, cwd=folder, stdin=subprocess.DEVNULL, env=kept)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    self.assertTrue(done.stdout.strip())
                    tried += 1
            self.assertGreaterEqual(tried, 3)

    def test_links_lead_somewhere(self):
        for path in DOCUMENTS:
            text = re.sub(r"```.*?```", "", path.read_text(), flags=re.S)
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                to = (path.parent / name).resolve() if name else path
                with self.subTest(path.relative_to(ROOT).as_posix(), target=target):
                    self.assertTrue(to.exists(), f"{path.relative_to(ROOT)} links to {target}, which is not there")
                    if anchor and to.suffix == ".md":
                        slugs = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", to.read_text(), re.M)}
                        self.assertIn(anchor, slugs)

    def test_flags(self):
        commands = re.findall(r"^  weir (\w+)", weir("help").stdout, re.M)
        known = {name: set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", weir("help", name).stdout)) for name in commands}
        everything = set().union(*known.values()) | {"--version"}
        for path in DOCUMENTS:
            if path.parent.name == "decisions":
                continue
            for code in re.findall(r"```(?:console|sh|bash)[^\n]*\n(.*?)```|`([^`\n]+)`", path.read_text(), re.S):
                for line in "".join(code).splitlines():
                    words = line.strip().removeprefix("$ ").split()
                    if not words:
                        continue
                    flags = [re.match(r"--?[a-z][a-z-]*", w)[0] for w in words if re.match(r"--?[a-z]", w)]
                    with self.subTest(path.relative_to(ROOT).as_posix(), line=line):
                        if words[0] == "weir" and len(words) > 1 and not words[1].startswith("-"):
                            self.assertIn(words[1], known)
                            self.assertLessEqual(set(flags), known[words[1]])
                        elif re.match(r"--[a-z]", words[0]):
                            self.assertLessEqual(set(flags), everything)


class Tour(unittest.TestCase):
    """docs/language.md: each program does what stands under it. A note behind ```weir says what it is for: `refused` (by the check),
    `fails` (when it runs), or a file that the next program imports. Of an error the lines shown are among those written."""

    def test_every_program(self):
        tour = (ROOT / "docs/language.md").read_text()
        found = re.findall(r"^```weir ?([^\n]*)\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", tour, re.S | re.M)
        self.assertGreater(len([text for note, text, output in found if output]), 10)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "program.weir"
            for note, text, output in found:
                with self.subTest(note=note, program=text):
                    if note.endswith(".weir"):
                        (path.parent / note).parent.mkdir(exist_ok=True)
                        (path.parent / note).write_text(text)
                        continue
                    path.write_text(text)
                    self.assertEqual(weir("fmt", "--check", path).returncode, 0, "it is not in its canonical form")
                    done = weir("check", path, cwd=folder)
                    if note != "refused":
                        self.assertEqual((done.returncode, done.stderr), (0, ""))
                        if "workflow " in text:
                            continue  # nothing to run: a server's work is in docs/serving.md, and tried there
                        done = weir("run", "--caps", "all", path, cwd=folder)
                    self.assertEqual(done.returncode, 1 if note else 0, done.stderr)
                    printed, error, said = output.partition("error[")
                    self.assertEqual(done.stdout, printed or done.stdout)
                    self.assertTrue(done.stdout.strip() or note)
                    for line in (error + said).splitlines():
                        self.assertIn(line, done.stderr)


class Examples(unittest.TestCase):
    def test_they_check_and_run(self):
        self.assertTrue(EXAMPLES)
        for path in EXAMPLES:
            with self.subTest(path.name):
                done = weir("check", path)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                if re.search(r"^\s*workflow ", path.read_text(), re.M):
                    with serving(path) as server:
                        self.assertTrue(Response(server.port, "GET", "/_weir/workflows").json()["workflows"])
                else:
                    done = weir("run", "--ai", "eliza", "--caps", "AI,Store", path)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    expected = re.findall(r"// prints: (.*)", path.read_text())
                    for line in expected:
                        self.assertIn(line, done.stdout)


class Serving(unittest.TestCase):
    """docs/serving.md, sentence by sentence."""

    def program(self):
        text = next(text for line, text in blocks(ROOT / "docs/serving.md", "weir"))
        path = pathlib.Path(tempfile.mkdtemp(prefix="weir-docs-")) / "app.weir"
        path.write_text(text)
        return path

    def test_events(self):
        with serving(self.program()) as server:
            ask = Response(server.port, "POST", "/chat", {"message": "I feel fine", "session_id": "d"})
            self.assertEqual((ask.status, ask.headers["content-type"]), (200, "text/event-stream"))
            run = ask.headers["run-id"]
            self.assertEqual(ask.headers["stream-id"], f"runs/{run}")
            self.assertEqual(ask.headers["location"], f"/streams/runs/{run}")
            events = list(ask.events())
            tokens = [json.loads(data) for _, name, data, _ in events if name == "message"]
            self.assertTrue(tokens)
            for token in tokens:
                self.assertEqual(set(token), {"content", "delta"})
                self.assertEqual(token["content"], token["delta"])
            names = [name for _, name, _, _ in events]
            self.assertLessEqual(set(names), {"message", "reasoning", "tool_start", "tool_end", "usage", "error", "end", "done"})
            self.assertEqual(names[-2:], ["end", "done"])
            self.assertIn(json.loads(events[-2][2])["finish"], FINISHES)
            self.assertEqual(events[-1][2], "[DONE]")
            self.assertTrue(all(identifier for identifier, *_ in events))

            # going on: the same route or the run's address, only what came after; a finished run answers 204
            middle = events[2][0]
            for path in ("/chat", ask.headers["location"]):
                again = list(Response(server.port, "GET", path, headers={"Last-Event-ID": middle, "Accept": "text/event-stream"}).events())
                self.assertEqual([e[:3] for e in again], [e[:3] for e in events[3:]], path)
            self.assertEqual(Response(server.port, "GET", "/chat", headers={"Last-Event-ID": events[-1][0]}).status, 204)
            self.assertEqual(len(Response(server.port, "GET", "/_weir/runs").json()["runs"]), 1)

    def test_the_ways_to_ask(self):
        with serving(self.program()) as server:
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            query = urllib.parse.urlencode({"message": "hi", "session_id": "q"})
            for method, path, body, headers in (
                ("POST", "/chat", b'{"message":"hi","session_id":"a","more":1}', {}),
                ("POST", "/chat", query.encode(), form),
                ("GET", f"/chat?{query}", None, {}),
            ):
                with self.subTest(method, headers=headers):
                    reply = Response(server.port, method, path, body, {**headers, "Accept": "application/json"})
                    self.assertEqual(reply.status, 200)
                    self.assertLessEqual({"reply", "content", "session_id", "stream_id", "usage", "finish"}, set(reply.json()))
            self.assertEqual(Response(server.port, "GET", f"/chat?stream=false&{query}").json()["finish"], "completed")
            self.assertEqual(Response(server.port, "GET", f"/chat?{query}").headers["content-type"], "text/event-stream")
            shout = Response(server.port, "POST", "/shout", {"text": "hey"}).json()
            self.assertIn("hey! (1)", json.dumps(shout))
            self.assertIn("hey! (3)", json.dumps(Response(server.port, "POST", "/shout", {"text": "hey", "times": 3}).json()))

    def test_addresses_and_statuses(self):
        with serving(self.program(), "--token", "a-long-secret") as server:
            self.assertEqual(Response(server.port, "GET", "/_weir/workflows").status, 401)
            allowed = {"Authorization": "Bearer a-long-secret"}
            get = lambda path, **more: Response(server.port, "GET", path, headers={**allowed, **more})
            done = Response(server.port, "POST", "/chat?stream=false", {"message": "hi", "session_id": "s"}, allowed).json()
            run = done["stream_id"].removeprefix("runs/")
            for path in ("/_weir/workflows", "/_weir/runs", f"/_weir/runs/{run}", "/_weir/sessions", "/_weir/sessions/s", "/healthz", "/readyz"):
                self.assertEqual(get(path).status, 200, path)
            self.assertIn(Response(server.port, "POST", f"/_weir/runs/{run}/stop", b"", allowed).status, (200, 202, 204))
            table = [
                (get("/nowhere"), 404), (Response(server.port, "DELETE", "/chat", headers=allowed), 405), (get("/chat?message=a"), 400),
                (Response(server.port, "POST", "/chat", b"{", allowed), 400),
                (Response(server.port, "POST", "/chat", {"message": "a", "session_id": "b"}, {**allowed, "Accept": "image/png"}), 406),
                (Response(server.port, "POST", "/chat", b"x", {**allowed, "Content-Type": "image/png"}), 415),
                (Response(server.port, "POST", "/chat", {"message": "a", "session_id": "b"}, {**allowed, "Origin": "http://elsewhere.example"}), 403),
                (get("/" + "a" * 9000), 414), (get("/healthz", X="y" * 70_000), 431),
                (Response(server.port, "POST", "/chat", b'{"message":"' + b"x" * 1_100_000 + b'"}', allowed), 413),
            ]
            for answer, status in table:
                self.assertEqual(answer.status, status)
                self.assertLessEqual({"code", "message"}, set(answer.json()["error"]))


if __name__ == "__main__":
    unittest.main()
