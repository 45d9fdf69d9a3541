"""A plugin that the gateway wants to have connected before it asks the model, as with an MCP server."""

from __future__ import annotations

import asyncio

import turnscope


async def connect(address: str) -> None:
    """Connect to the plugin at ``host:port`` and wait until it says hello."""
    turnscope.mark("started", doing="connecting a plugin")
    host, _, port = address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"hello\n")
        await reader.readline()
    finally:
        writer.close()
