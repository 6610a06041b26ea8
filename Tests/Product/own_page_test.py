"""The chat page that a server shows itself (`--ui`), in Chromium: live tokens, reload, stop, errors."""
import json, os, pathlib, signal, tempfile, threading, unittest

from browser import BrowserTest
from harness import DEADLINE, Model, Weir, chunk, free_port, serve_program, until

VALUE = '''
import std/clock (sleep)

@post("/double")
workflow Double(n: int, session_id: string?) -> int {
  let doubled = step "double" {
    println("doubling")
    n * 2
  }
  sleep(if n > 0 then 2000 else 0)
  return doubled
}
'''

SEND = """(text) => {
  const input = document.getElementById('input');
  input.value = text;
  input.dispatchEvent(new Event('input', {bubbles: true}));
  document.getElementById('send').click();
}"""
LOG = "(document.getElementById('log')?.innerText ?? '')"


async def send(tab, text):
    await tab.until("!!document.getElementById('send') && document.querySelectorAll('#workflows button').length > 0")
    await tab.evaluate(f"({SEND})({json.dumps(text)})")


class OwnPage(BrowserTest):
    def shot(self, name):
        folder = os.environ.get("WEIR_SCREENSHOTS")
        return f"{folder}/{name}.png" if folder else None

    async def look(self, tab, name):
        if path := self.shot(name):
            await tab.screenshot(path)

    def gated(self):
        """A model that says "Once upon", waits, and goes on."""
        gate = threading.Event()

        def script(exchange):
            exchange.head_ok()
            exchange.event(chunk("Once upon"))
            if not gate.wait(DEADLINE):
                return
            exchange.words([" a time", " <b>there</b> was", " an end."])

        return gate, script

    def test_tokens_are_shown_as_they_come(self):
        gate, script = self.gated()
        with Model(script) as model, serve_program(model.port, None, "--ui") as weir:
            async def scenario(tab):
                await send(tab, "Tell me a story")
                await tab.until(f"{LOG}.includes('Once upon')")
                self.assertFalse(gate.is_set())
                await self.look(tab, "live")
                gate.set()
                await tab.until(f"{LOG}.includes('<b>there</b> was an end.')")  # shown as text, not as markup
                self.assertEqual(await tab.evaluate("document.querySelectorAll('#log b').length"), 0)
                await self.look(tab, "done")
            self.browse(f"http://127.0.0.1:{weir.port}/", scenario)
            self.assertEqual(len(model.requests), 1)

    def test_reload_goes_on_where_it_was(self):
        gate, script = self.gated()
        with Model(script) as model, serve_program(model.port, None, "--ui") as weir:
            url = f"http://127.0.0.1:{weir.port}/"

            async def scenario(tab):
                await send(tab, "Tell me a story")
                await tab.until(f"{LOG}.includes('Once upon')")
                await tab.evaluate("window.marker = 1")
                await tab.call("Page.reload")
                await tab.until("!window.marker && document.readyState === 'complete'")
                await tab.until(f"{LOG}.includes('Once upon') && {LOG}.includes('Tell me a story')")
                gate.set()
                await tab.until(f"{LOG}.includes('an end.')")
                text = await tab.evaluate(LOG)
                self.assertEqual(text.count("Once upon a time"), 1, text)
                self.assertEqual(text.count("Tell me a story"), 1, text)
                await tab.call("Page.reload")
                await tab.until(f"{LOG}.includes('an end.')")
                text = await tab.evaluate(LOG)
                self.assertEqual((text.count("Once upon a time"), text.count("Tell me a story")), (1, 1), text)
                await self.look(tab, "reloaded")
            self.browse(url, scenario)
            self.assertEqual(len(model.requests), 1)

    def test_stop_reaches_the_model(self):
        gate, script = self.gated()

        def stoppable(exchange):
            exchange.head_ok()
            exchange.event(chunk("Once upon"))
            exchange.wait_closed()

        with Model(stoppable) as model, serve_program(model.port, None, "--ui") as weir:
            async def scenario(tab):
                await send(tab, "Tell me a story")
                await tab.until(f"{LOG}.includes('Once upon')")
                await tab.until("!document.getElementById('stop').hidden")
                await tab.evaluate("document.getElementById('stop').click()")
                await tab.until("document.getElementById('stop').hidden")
                until(lambda: model.requests[0].closed_at, "the model's socket to be closed")
                await tab.until(f"/stopped|aborted/i.test({LOG} + document.getElementById('status').innerText)")
                await self.look(tab, "stopped")
            self.browse(f"http://127.0.0.1:{weir.port}/", scenario)

    def test_a_server_that_died_meanwhile_is_asked_what_became_of_it(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="weir-test-"))
        (folder / "double.weir").write_text(VALUE)
        port = free_port()
        serve = lambda: Weir("serve", "--caps", "all", "--ui", "--port", port, "double.weir", port=port, cwd=folder).wait_listening()
        with serve() as first:
            async def scenario(tab):
                await tab.until("!!document.getElementById('f-n')")
                await tab.evaluate("document.getElementById('f-n').value = '21'; document.getElementById('send').click()")
                until(lambda: "doubling" in first.said(), "the step")
                first.process.send_signal(signal.SIGKILL)
                first.wait()
                await tab.until("document.getElementById('status').innerText.includes('coming back')")
                await self.look(tab, "lost")
                with serve() as second:
                    await tab.until(f"{LOG}.includes('42')")
                    await self.look(tab, "back")
                    text = await tab.evaluate(LOG)
                    self.assertNotIn("nothing was started", text)
                    self.assertIn("taken up again", second.said())
                    self.assertNotIn("doubling", second.said())
            self.browse(f"http://127.0.0.1:{port}/", scenario)

    def test_an_error_is_shown_with_its_code(self):
        def script(exchange):
            exchange.status(401, {"error": {"message": "that key is no good"}})

        with Model(script) as model, serve_program(model.port, None, "--ui") as weir:
            async def scenario(tab):
                await send(tab, "Tell me a story")
                await tab.until("document.body.innerText.includes('AuthFailed') && document.body.innerText.includes('that key is no good')")
                await self.look(tab, "error")
            self.browse(f"http://127.0.0.1:{weir.port}/", scenario)


if __name__ == "__main__":
    unittest.main()
