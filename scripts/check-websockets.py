#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Speaks to a server of the tests by the client library `websockets`; usage: check-websockets.py ws://HOST:PORT.

Prints what is wrong, one line for each case; nothing when all is well.
"""

import asyncio
import functools
import os
import sys

from websockets.asyncio import client
from websockets.exceptions import ConnectionClosed, InvalidStatus

base = sys.argv[1]
# Machines that run tests are busy.
connect = functools.partial(client.connect, open_timeout=120, ping_timeout=120)


async def echo(socket, message):
    await socket.send(message)
    answer = await asyncio.wait_for(socket.recv(), 100)
    assert answer == message, f"{len(answer)} of {len(message)}"


async def texts():
    async with connect(f"{base}/echo/a") as socket:
        for text in ["", "hello", "ö世界😀" * 100, "x" * 125, "x" * 126, "x" * 65535, "x" * 65536]:
            await echo(socket, text)


async def binaries():
    async with connect(f"{base}/echo/a") as socket:
        for size in [0, 1, 125, 126, 127, 128, 65535, 65536, 65537, 900_000, 1 << 20]:
            await echo(socket, os.urandom(size))


async def without_compression():
    async with connect(f"{base}/echo/a", compression=None) as socket:
        await echo(socket, "plain")
    async with connect(f"{base}/echo/a", compression="deflate") as socket:
        assert socket.protocol.extensions == [], "an extension was agreed on"
        await echo(socket, "x" * 10_000)


async def fragments():
    async with connect(f"{base}/echo/a", max_size=None) as socket:
        await socket.send(["a", "", "ö", "c" * 70_000])
        assert await socket.recv() == "aö" + "c" * 70_000
        await socket.send([b"1", b"2" * 200_000, b"3"])
        assert await socket.recv() == b"1" + b"2" * 200_000 + b"3"


async def pings():
    async with connect(f"{base}/echo/a") as socket:
        for payload in [b"", b"x", os.urandom(125)]:
            await asyncio.wait_for(await socket.ping(payload), 100)
        await asyncio.gather(*[echo_ping(socket) for _ in range(50)])


async def echo_ping(socket):
    await asyncio.wait_for(await socket.ping(), 100)


async def too_large():
    async with connect(f"{base}/echo/a") as socket:
        await socket.send(b"x" * ((1 << 20) + 1))
        await expect_close(socket, 1009)


async def closed_by_server():
    async with connect(f"{base}/echo/a") as socket:
        await socket.send("close me")
        await expect_close(socket, 4001, "as you wish")
    async with connect(f"{base}/echo/a") as socket:
        await socket.send("fail")
        await expect_close(socket, 1011)


async def closed_by_client():
    for code in [1000, 1001, 3000, 4010, 4999]:
        socket = await connect(f"{base}/echo/a")
        await socket.close(code, "bye ✓")
        assert (socket.close_code, socket.close_reason) == (code, "bye ✓"), socket.close_code


async def expect_close(socket, code, reason=None):
    try:
        while True:
            await asyncio.wait_for(socket.recv(), 100)
    except ConnectionClosed as closed:
        received = closed.rcvd
        assert received and received.code == code, f"{received}"
        assert reason is None or received.reason == reason, received.reason


async def refusals():
    for path, status in [("echo/forbidden", 403), ("nothing", 404), ("plain", 200)]:
        try:
            async with connect(f"{base}/{path}"):
                raise AssertionError(f"{path} was accepted")
        except InvalidStatus as refusal:
            assert refusal.response.status_code == status, f"{path}: {refusal.response.status_code}"


async def many():
    async def one(number):
        async with connect(f"{base}/echo/a") as socket:
            for _ in range(5):
                await echo(socket, f"{number}")

    await asyncio.gather(*[one(number) for number in range(200)])


async def slow_reader():
    async with connect(f"{base}/flood", max_queue=1) as socket:
        for _ in range(50):
            await socket.recv()
            await asyncio.sleep(0.001)


async def main():
    cases = [
        texts, binaries, without_compression, fragments, pings, too_large, closed_by_server, closed_by_client,
        refusals, many, slow_reader,
    ]
    for case in cases:
        try:
            await asyncio.wait_for(case(), 240)
        except Exception as error:  # noqa: BLE001
            print(f"{case.__name__}: {type(error).__name__}: {error}")


asyncio.run(main())
