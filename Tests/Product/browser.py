"""Drives headless Chromium by its DevTools protocol, for tests that look at pages."""
import asyncio, base64, json, pathlib, shutil, tempfile, time, unittest, urllib.parse

from harness import DEADLINE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@unittest.skipUnless(CHROMIUM, "Chromium is not installed")
class BrowserTest(unittest.TestCase):
    """Skipped, with the reason, where Chromium or aiohttp is missing."""

    def setUp(self):
        try:
            import aiohttp  # noqa: F401
        except ImportError:
            self.skipTest("aiohttp is not installed: make peers")

    def browse(self, url, scenario):
        async def main():
            import aiohttp
            profile = tempfile.mkdtemp()
            process = await asyncio.create_subprocess_exec(
                CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank",
                stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL)
            try:
                async def endpoint():
                    async for line in process.stderr:
                        if b"DevTools listening on" in line:
                            return line.decode().split(" on ")[1].strip()
                    raise AssertionError("Chromium ended")
                address = await asyncio.wait_for(endpoint(), 60)
                port = urllib.parse.urlparse(address).port
                async with aiohttp.ClientSession() as http:
                    async with http.get(f"http://127.0.0.1:{port}/json") as r:
                        page = next(t for t in await r.json() if t["type"] == "page")
                    async with http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=1 << 26) as ws:
                        tab = Tab(ws)
                        await tab.call("Page.enable")
                        await tab.call("Runtime.enable")
                        await tab.go(url)
                        await asyncio.wait_for(scenario(tab), 120)
            finally:
                process.kill()
                await process.wait()
                shutil.rmtree(profile, ignore_errors=True)
        asyncio.run(main())


class Tab:
    def __init__(self, ws):
        self.ws, self.number = ws, 0

    async def call(self, method, **params):
        self.number += 1
        mine = self.number
        await self.ws.send_json({"id": mine, "method": method, "params": params})
        async for message in self.ws:
            reply = json.loads(message.data)
            if reply.get("id") == mine:
                if "error" in reply:
                    raise AssertionError(reply["error"])
                return reply["result"]
        raise AssertionError("the tab is gone")

    async def go(self, url):
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    async def evaluate(self, script):
        result = await self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"])
        return result["result"].get("value")

    async def until(self, condition, seconds=DEADLINE):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if await self.evaluate(condition):
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"waited {seconds} s for {condition}: {await self.evaluate('document.body.innerText')}")

    async def screenshot(self, path):
        data = await self.call("Page.captureScreenshot", format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(data["data"]))
