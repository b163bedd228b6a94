"""An echo server that knows how many it serves. Says its port; says its peak when its stdin ends.

A client is served until it says "bye" or its end of the connection is seen, whichever comes first: what the library
does to close the connection comes after that, and is no work.
"""

import asyncio
import sys

import websockets
from websockets.legacy.server import WebSocketServerProtocol

inside = peak = total = 0


class Protocol(WebSocketServerProtocol):
    served = False

    def begin(self):
        global inside, peak, total
        inside, total, self.served = inside + 1, total + 1, True
        peak = max(peak, inside)

    def end(self):
        global inside
        if self.served:
            inside, self.served = inside - 1, False

    def eof_received(self):
        self.end()
        return super().eof_received()


async def echo(socket):
    socket.begin()
    try:
        async for message in socket:
            if message == "bye":
                socket.end()
                return
            await socket.send(message)
    except websockets.exceptions.ConnectionClosedError:
        # Some leave without a word.
        pass


async def main():
    async with websockets.serve(echo, "127.0.0.1", 0, create_protocol=Protocol) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print(f"peak {peak} total {total} inside {inside}", flush=True)


asyncio.run(main())
