"""Chromium without a window, told what to do over its DevTools protocol.

Arguments: a URL to open, and `light`, `dark` or `phone`. Each line of stdin is a JavaScript expression, answered with one
line of JSON; promises are awaited. Two lines are no expressions: `!errors` is answered with what the page has complained
of so far (exceptions, refusals by its policy, failed loads), and `!picture PATH` with the size of the PNG.
"""

import asyncio
import base64
import json
import shutil
import sys
import tempfile
import urllib.request

import websockets

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
SCREEN = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}


class Page:
    """One tab."""

    def __init__(self, socket):
        self.socket = socket
        self.next_id = 0
        self.answers = {}
        self.complaints = []
        self.reading = asyncio.ensure_future(self.read())

    async def read(self):
        async for message in self.socket:
            message = json.loads(message)
            method, parameters = message.get("method"), message.get("params")
            if "id" in message:
                self.answers.pop(message["id"]).set_result(message)
            elif method == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description") or details["text"])
            elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
                entry = parameters["entry"]
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    async def call(self, method, **parameters):
        self.next_id += 1
        answer = self.answers[self.next_id] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"id": self.next_id, "method": method, "params": parameters}))
        message = await answer
        if "error" in message:
            raise RuntimeError(f"{method}: {message['error']}")
        return message["result"]

    async def evaluate(self, expression):
        try:
            result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        except RuntimeError as error:
            # The page was left meanwhile.
            return {"threw": str(error)}
        if "exceptionDetails" in result:
            return {"threw": result["exceptionDetails"]["exception"].get("description")}
        return result["result"].get("value")

    async def picture(self, path):
        height = await self.evaluate("document.documentElement.scrollHeight")
        width = await self.evaluate("document.documentElement.clientWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        data = base64.b64decode(shot["data"])
        with open(path, "wb") as file:
            file.write(data)
        return len(data)


def listed(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
        return json.load(answer)


async def main(url, look):
    home = tempfile.mkdtemp(prefix="sluicegate-browser-")
    flags = [f"--user-data-dir={home}", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0", "about:blank"]
    browser = await asyncio.create_subprocess_exec("chromium", *flags, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL)
    try:
        while b"DevTools listening on" not in (line := await browser.stderr.readline()):
            assert line, "chromium has ended"
        port = line.decode().split("127.0.0.1:")[1].split("/")[0]
        # Its pipe must not fill up.
        draining = asyncio.ensure_future(browser.stderr.read())
        tabs = await asyncio.to_thread(listed, port)
        tab = next(tab for tab in tabs if tab["type"] == "page")
        async with websockets.connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
            page = Page(socket)
            for domain in ("Page", "Runtime", "Log"):
                await page.call(f"{domain}.enable")
            scheme = {"name": "prefers-color-scheme", "value": "dark" if look == "dark" else "light"}
            await page.call("Emulation.setEmulatedMedia", features=[scheme])
            await page.call("Emulation.setDeviceMetricsOverride", **(PHONE if look == "phone" else SCREEN))
            await page.call("Page.navigate", url=url)
            stdin = asyncio.StreamReader()
            loop = asyncio.get_running_loop()
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
            print("ready", flush=True)
            while line := (await stdin.readline()).decode().strip():
                if line == "!errors":
                    answer = page.complaints
                elif line.startswith("!picture "):
                    answer = await page.picture(line.split(" ", 1)[1])
                else:
                    answer = await page.evaluate(line)
                print(json.dumps(answer), flush=True)
        draining.cancel()
    finally:
        browser.terminate()
        await browser.wait()
        shutil.rmtree(home, ignore_errors=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
