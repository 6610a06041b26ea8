"""The chat page in a real browser, in front of a program served by `weir run` and shown by `weir webui`."""
import asyncio, json, threading, unittest

from browser import BrowserTest
from harness import DEADLINE, Model, Weir, chunk, free_port, serve_program

LOG = "(document.getElementById('log')?.innerText ?? '')"
READY = "document.getElementById('status')?.textContent === 'ready'"
WORDS = [f"word{i} <b>x</b> " for i in range(60)]


def ask(text):
    return f"document.getElementById('input').value = {json.dumps(text)}; document.getElementById('form').requestSubmit(); 0"


class Page(BrowserTest):
    def webui(self, *ports):
        port = free_port()
        backends = [part for each in ports for part in ("-c", f"127.0.0.1:{each}")]
        return Weir("webui", *backends, "-p", port, port=port).wait_listening()

    async def words(self, tab):
        return [word for word in (await tab.evaluate(LOG)).split() if word.startswith("word")]

    def test_tokens_live_then_a_reload_and_a_lost_proxy_lose_nothing(self):
        gates = [threading.Event() for _ in range(3)]

        def script(exchange):
            exchange.head_ok()
            for third, gate in enumerate(gates):
                for word in WORDS[third * 20:third * 20 + 20]:
                    exchange.event(chunk(word))
                assert gate.wait(DEADLINE)
            exchange.words(["# The end\n\n**bold**"])

        with Model(script) as model, serve_program(model.port) as weir, self.webui(weir.port) as ui:
            async def scenario(tab):
                await tab.until(READY)
                await tab.evaluate(ask("hello"))
                await tab.until(f"{LOG}.includes('word19')")        # while the model is still at work
                await tab.call("Page.reload")
                await asyncio.sleep(0.1)
                gates[0].set()
                await tab.until(f"{LOG}.includes('word39')")
                ui.process.kill()
                ui.process.wait()
                await tab.until("document.getElementById('status').textContent.includes('lost')")
                gates[1].set()
                with Weir("webui", "-c", f"127.0.0.1:{weir.port}", "-p", ui.port, port=ui.port).wait_listening():
                    gates[2].set()
                    await tab.until(READY, 30)
                    self.assertEqual(await self.words(tab), [f"word{i}" for i in range(60)])
                    # The model's text is text: nothing of it became an element but the markdown.
                    self.assertEqual(await tab.evaluate("document.querySelectorAll('.text b').length"), 0)
                    self.assertEqual(await tab.evaluate("document.querySelectorAll('.text strong').length"), 1)
            self.browse(f"http://127.0.0.1:{ui.port}/", scenario)
            self.assertEqual(len(model.requests), 1)

    def test_stop_also_before_the_first_token(self):
        begun = [threading.Event(), threading.Event()]

        def script(exchange):
            number = 0 if exchange.json["messages"][-1]["content"] == "first" else 1
            exchange.head_ok()
            if number == 1:
                exchange.event(chunk("partial"))
            begun[number].set()
            exchange.wait_closed()

        with Model(script) as model, serve_program(model.port) as weir, self.webui(weir.port) as ui:
            async def scenario(tab):
                await tab.until(READY)
                for number, text in enumerate(["first", "second"]):
                    await tab.evaluate(ask(text))
                    await asyncio.to_thread(begun[number].wait, DEADLINE)
                    if number == 1:
                        await tab.until(f"{LOG}.includes('partial')")
                    await tab.evaluate("document.getElementById('stop').click(); 0")
                    await tab.until(f"document.querySelectorAll('.ended').length === {number + 1}")
                self.assertEqual(await tab.evaluate("[...document.querySelectorAll('.ended')].map(e => e.textContent).join()"), "stopped,stopped")
            self.browse(f"http://127.0.0.1:{ui.port}/", scenario)

    def test_an_error_shows_its_code_and_a_dead_backend_is_named(self):
        with Model(lambda e: e.status(429, {"error": {"message": "slow down"}}, "Retry-After: 7\r\n")) as model, serve_program(model.port) as weir:
            dead = free_port()
            with self.webui(weir.port, dead) as ui:
                async def scenario(tab):
                    await tab.until(f"document.body.innerText.includes('127.0.0.1:{dead} does not answer')")
                    await tab.until("!document.getElementById('send').disabled")
                    await tab.evaluate(ask("hello"))
                    await tab.until("[...document.querySelectorAll('.fault b')].some(b => b.textContent === 'RateLimit')")
                self.browse(f"http://127.0.0.1:{ui.port}/", scenario)

    def test_fits_a_phone(self):
        with Model(lambda e: (e.head_ok(), e.words(["ok ", "x" * 400]))) as model, serve_program(model.port) as weir, self.webui(weir.port) as ui:
            async def scenario(tab):
                await tab.call("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=1, mobile=True)
                await tab.until(READY)
                await tab.evaluate(ask("hello"))
                await tab.until(f"{LOG}.includes('xxx') && {READY}")
                self.assertLessEqual(await tab.evaluate("document.documentElement.scrollWidth"), 360)
                self.assertEqual(await tab.evaluate("getComputedStyle(document.querySelector('nav')).display"), "none")
            self.browse(f"http://127.0.0.1:{ui.port}/", scenario)


if __name__ == "__main__":
    unittest.main()
