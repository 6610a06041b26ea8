"""What Benchmarks/language measures is comparable: the same program gives the same answer in every language."""
import subprocess, sys, unittest

from harness import DEADLINE, ROOT, binary

sys.path.insert(0, str(ROOT / "Benchmarks"))
import language  # noqa: E402


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
