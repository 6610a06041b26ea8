"""What becomes of a program whose output nobody takes."""
import os, pathlib, subprocess, tempfile, unittest

from harness import DEADLINE, Model, binary, chunk

ENDLESS = '''
import std/io (println)
provider openai { model: "m" }
agent Talker { provider: openai }
func main() {
  for word in Talker.stream("talk") { println(word) }
}
'''


class Output(unittest.TestCase):
    def run_into(self, command_output):
        def script(exchange):
            exchange.head_ok()
            try:
                while True:
                    exchange.event(chunk("word " * 200))
            except OSError:
                exchange.closed_at = True  # the program hung up

        with Model(script) as model:
            path = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-")) / "p.weir"
            path.write_text(ENDLESS)
            env = {**os.environ, "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1"}
            process = subprocess.Popen([str(binary()), "run", "--caps", "all", str(path)], stdout=command_output, stderr=subprocess.PIPE, env=env)
            if process.stdout:
                process.stdout.readline()
                process.stdout.close()
            code = process.wait(DEADLINE)
            process.stderr.close()
            return code

    def test_a_reader_that_goes_away_ends_the_program_and_its_call(self):
        self.assertEqual(self.run_into(subprocess.PIPE), 1)

    @unittest.skipUnless(os.path.exists("/dev/full"), "this system has no /dev/full")
    def test_a_full_disk_ends_the_program_and_its_call(self):
        with open("/dev/full", "w") as full:
            self.assertEqual(self.run_into(full), 1)


if __name__ == "__main__":
    unittest.main()
