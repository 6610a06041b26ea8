"""What Benchmarks/language measures is comparable: the same program gives the same answer in every language."""
import subprocess, sys, tempfile, pathlib, unittest

from harness import DEADLINE, ROOT, binary

sys.path.insert(0, str(ROOT / "Benchmarks"))
import ai, language, sources, stop  # noqa: E402


class Deltas(unittest.TestCase):
    def test_clients_read_the_same_answer(self):
        server = ai.Server()
        for shape in ("openai_chat", "anthropic_messages"):
            folder, clients = ai.clients(binary(), shape)
            for name, command in clients.items():
                with self.subTest(shape=shape, client=name):
                    self.assertGreater(ai.cpu(command, folder, server, shape, ai.SHORT), 0)  # raises if the text is another


class Stop(unittest.TestCase):
    def test_the_providers_socket_closes_each_time(self):
        # Raises where one does not, or the page does not hear of it.
        self.assertEqual([count for _, count, *_ in stop.measure(binary(), 200)], [100, 100])


class Language(unittest.TestCase):
    def answers(self, name, size):
        commands = language.commands(binary(), name, size)
        done = {key: subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE) for key, command in commands.items()}
        return {key: (one.returncode, one.stdout, one.stderr) for key, one in done.items()}

    def test_programs_agree_with_python(self):
        for name, size in language.PROGRAMS.items():
            with self.subTest(name):
                answers = self.answers(name, size)
                self.assertEqual(answers["weir"][0::2], (0, ""))
                self.assertEqual(answers.get("python", answers["weir"]), answers["weir"])

    def test_programs_agree_with_lua(self):
        if not language.LUA:
            self.skipTest("lua5.4 is not installed (make peers)")
        for name, size in language.PROGRAMS.items():
            with self.subTest(name):
                answers = self.answers(name, size)
                self.assertEqual(answers["lua"], answers["weir"])

    def test_generated_program_checks(self):
        text, lines = language.generated(300)
        self.assertEqual(text.count("\n"), lines)
        done = subprocess.run([str(binary()), "check", "/dev/stdin"], input=text, capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class Sources(unittest.TestCase):
    """The program that is measured counts every event of every kind of source."""

    def test_nothing_is_left_out(self):
        with tempfile.TemporaryDirectory(prefix="weir-test-") as folder, sources.flood({"/": 5000, "/none": 0}) as port:
            program, typed = pathlib.Path(folder) / "sources.weir", pathlib.Path(folder) / "lines"
            program.write_text(sources.HANDLER)
            typed.write_text((sources.TEXT + "\n") * 5000)
            for kind, where, count in (("stdin", "", 5000), ("fold", "", 5000), ("process", typed, 5000), ("websocket", f"ws://127.0.0.1:{port}/", 5000),
                                       ("websocket", f"ws://127.0.0.1:{port}/none", 0), ("sse", f"http://127.0.0.1:{port}/", 5000), ("sse", f"http://127.0.0.1:{port}/none", 0)):
                with self.subTest(kind, where=where), typed.open() as file:
                    done = subprocess.run([str(binary()), "run", "--caps", "Stream,Process", str(program), kind, str(where)], stdin=file, capture_output=True, text=True, timeout=DEADLINE)
                    self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f"{count}\n", ""))
