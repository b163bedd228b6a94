"""Opens so many connections at once, talks on each, and closes them in different ways."""

import asyncio
import os
import sys

import websockets

url, count = sys.argv[1], int(sys.argv[2])


async def talk(n):
    async with websockets.connect(url, open_timeout=60) as socket:
        for size in (1, 100, 70_000):
            message = os.urandom(size)
            await socket.send(message)
            assert await socket.recv() == message
        await socket.send("text")
        assert await socket.recv() == "text"
        await (await socket.ping())
        await asyncio.sleep(0.05)
        if n % 3 == 0:
            # It leaves without a word.
            socket.transport.abort()
        else:
            await socket.send("bye")
            await socket.wait_closed()


async def main():
    await asyncio.gather(*(talk(n) for n in range(count)))
    print("talked", count)


asyncio.run(main())
