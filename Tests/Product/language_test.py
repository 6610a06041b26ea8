"""Programs through the binary: what was not granted is refused before a word is printed, mistakes have their exit code."""
import json, pathlib, subprocess, tempfile, unittest

from harness import DEADLINE, binary


def weir(*arguments, files, **options):
    """Runs `weir` in a folder of these files; standard input is no terminal, so nothing is asked."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (pathlib.Path(folder) / name).write_text(text)
        return subprocess.run([str(binary()), *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=DEADLINE, **options)


# What reaches an effect, by every way around a plain call. Each prints first, if it is allowed to start.
WAYS = {
    "a call": 'func main() { println("started"); println(env("HOME")) }',
    "a lambda": 'func main() { println("started"); let f = () => env("HOME"); println(f()) }',
    "a field": 'func main() { println("started"); let r = {go: env}; println(r.go("HOME")) }',
    "a callback": 'import std/list (map)\nfunc main() { println("started"); println(map(["HOME"], env)) }',
    "a branch that is not taken": 'func main() { println("started"); if false { println(env("HOME")) } }',
    "a script": 'println("started")\nprintln(env("HOME"))',
    "three calls": 'func a() -> string { env("HOME") }\nfunc b() -> string { a() }\nfunc c() -> string { b() }\n'
                   'func main() { println("started"); println(c()) }',
    "an import": 'import "./lib.weir" (home)\nfunc main() { println("started"); println(home()) }',
    "a constant of an import": 'import "./constant.weir" (home)\nfunc main() { println("started"); println(home) }',
    "several at once": 'func main() { println("started"); println(env("HOME") || "x") }',
}
FILES = {
    "lib.weir": 'export func home() -> string { env("HOME") }',
    "constant.weir": 'export let home = env("HOME")',
}


class Capabilities(unittest.TestCase):
    def test_refused_before_anything_is_printed(self):
        for way, program in WAYS.items():
            with self.subTest(way):
                run = weir("run", "app.weir", files={**FILES, "app.weir": program})
                self.assertEqual((run.returncode, run.stdout), (3, ""), run.stderr)
                self.assertIn("needs Env (`", run.stderr)
                self.assertIn("weir run --caps ", run.stderr)

    def test_runs_when_granted(self):
        for way, program in WAYS.items():
            with self.subTest(way):
                run = weir("run", "--caps", "Env", "app.weir", files={**FILES, "app.weir": program})
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertTrue(run.stdout.startswith("started\n"), run.stdout)

    def test_another_capability_is_not_enough(self):
        run = weir("run", "--caps", "FS,Net", "app.weir", files={"app.weir": WAYS["a lambda"]})
        self.assertEqual((run.returncode, run.stdout), (3, ""))

    def test_the_terminal_needs_no_grant(self):
        run = weir("run", "app.weir", files={"app.weir": 'func main() { println("hello") }'})
        self.assertEqual((run.returncode, run.stdout), (0, "hello\n"), run.stderr)


class Mistakes(unittest.TestCase):
    def test_a_program_with_a_mistake_does_not_start(self):
        program = 'func late() -> int { "x" }\nfunc main() { println("started"); println(late()) }'
        run = weir("run", "app.weir", files={"app.weir": program})
        self.assertNotEqual(run.returncode, 0)
        self.assertEqual(run.stdout, "")
        self.assertIn("error[E0320]", run.stderr)
        self.assertIn("app.weir:1:22", run.stderr)

    def test_a_failure_while_running_has_its_place(self):
        program = 'func half(n: int) -> int { 1 / n }\nfunc main() { println("started"); println(half(0)) }'
        run = weir("run", "app.weir", files={"app.weir": program})
        self.assertEqual((run.returncode, run.stdout), (1, "started\n"), run.stderr)
        self.assertIn("app.weir:1:", run.stderr)

    def test_no_escapes_without_a_terminal(self):
        run = weir("check", "app.weir", files={"app.weir": "func main() { nope }"})
        self.assertNotIn("\x1b", run.stdout + run.stderr)
        self.assertIn("E0201", run.stdout + run.stderr)


class Explain(unittest.TestCase):
    def test_a_page(self):
        page = weir("explain", "e0103", files={})
        self.assertEqual((page.returncode, page.stderr), (0, ""))
        for part in ("E0103: ", "Wrong:", "error[E0103]: ", "Right:", "Why:"):
            self.assertIn(part, page.stdout)
        self.assertIn("division by zero", weir("explain", "DivisionByZero", files={}).stdout)

    def test_the_list(self):
        listed = weir("explain", files={}).stdout.splitlines()
        pages = json.loads(weir("explain", "--json", files={}).stdout)
        self.assertGreater(len(pages), 160)
        self.assertEqual([line.split()[0] for line in listed], [page["code"] for page in pages])
        page = json.loads(weir("explain", "--json", "W0303", files={}).stdout)
        self.assertEqual(list(page), ["code", "title", "rule", "wrong", "message", "right", "why"])

    def test_an_unknown_code(self):
        run = weir("explain", "E010", files={})
        self.assertEqual((run.returncode, run.stdout), (2, ""))
        self.assertIn('there is no code "E010"', run.stderr)
        self.assertIn("did you mean `weir explain E0010`", run.stderr)
        self.assertIn("`weir explain` lists all", run.stderr)


class Check(unittest.TestCase):
    def test_json_for_editors(self):
        text = 'func name(n: int) -> string {\n  let e = 1\n  "ü" ++ n\n}\nfunc again() { again2() }\n'
        run = weir("check", "--json", "app.weir", "nowhere.weir", files={"app.weir": text})
        self.assertEqual((run.returncode, run.stderr), (1, ""))
        members = ["code", "severity", "title", "file", "line", "column", "endLine", "endColumn", "label", "related", "notes", "hint"]
        found = json.loads(run.stdout)["diagnostics"]
        for diagnostic in found:
            self.assertEqual(list(diagnostic), members)
        self.assertEqual([(d["code"], d["severity"], d["line"], d["column"], d["endLine"], d["endColumn"]) for d in found],
                         [("E0326", "error", 3, 10, 3, 11), ("E0201", "error", 5, 16, 5, 22), ("FileNotFound", "error", 1, 1, 1, 1)])
        self.assertEqual([d["file"] for d in found], ["app.weir", "app.weir", "nowhere.weir"])

    def test_a_related_place(self):
        run = weir("check", "--json", "app.weir", files={"app.weir": "func a() {}\nfunc a() {}\n"})
        (found,) = json.loads(run.stdout)["diagnostics"]
        self.assertEqual(found["related"], [{"file": "app.weir", "line": 1, "column": 6, "endLine": 1, "endColumn": 7, "label": "first here"}])

    def test_notes_are_for_check_alone(self):
        program = {"app.weir": 'import std/list (map)\nfunc main() { let unused = 1; println("x") }\n'}
        check = weir("check", "app.weir", files=program)
        self.assertEqual(check.returncode, 0)
        self.assertIn("note[N0201]", check.stderr)
        self.assertIn("note[N0202]", check.stderr)
        run = weir("run", "app.weir", files=program)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, "x\n", ""))

if __name__ == "__main__":
    unittest.main()
