#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks a UI message stream (version 1) on standard input, given as server-sent events or as one chunk per line.

Each chunk is checked by pydantic-ai's transcription of the AI SDK's types, which forbids unknown members; the order
rules, for which there is no reader, are checked here. Prints each complaint and exits with 1 when there is any.
With --events the input must be server-sent events and end with [DONE].
"""
import json
import sys

from pydantic import TypeAdapter, ValidationError
from pydantic_ai.ui.vercel_ai import response_types as types

TERMINAL = {"finish", "abort", "error"}
# Only ever seen as "done" by that library; on the wire it is the text [DONE].
KINDS = {
    field.default: kind
    for kind in vars(types).values()
    if isinstance(kind, type) and issubclass(kind, types.BaseChunk) and kind is not types.BaseChunk
    and isinstance((field := kind.model_fields.get("type")) and field.default, str) and field.default != "done"
}


class Order:
    """The order rules of one stream."""

    def __init__(self):
        self.complaints = []
        self.count = 0
        self.terminal = None
        self.used = set()
        self.open = {}
        self.tools = {}

    def complain(self, text):
        self.complaints.append(f"chunk {self.count}: {text}")

    def see(self, chunk):
        self.count += 1
        kind = chunk["type"]
        if self.terminal:
            self.complain(f"{kind} after {self.terminal}")
        if (kind == "start") != (self.count == 1):
            self.complain("a stream begins with one start, and has no other")
        if kind.startswith(("text-", "reasoning-")):
            self.part(*kind.split("-"), chunk["id"])
        elif kind.startswith("tool-"):
            self.tool(kind, chunk["toolCallId"])
        elif kind in TERMINAL:
            self.end(kind)

    def part(self, kind, step, name):
        key = (kind, name)
        if step == "start":
            if name in self.used:
                self.complain(f"the id {name} is used twice")
            self.used.add(name)
            self.open[key] = True
        elif key not in self.open:
            self.complain(f"{kind}-{step} of {name}, which is not open")
        elif step == "end":
            del self.open[key]

    def tool(self, kind, name):
        state = self.tools.get(name)
        allowed = {
            "tool-input-start": {None},
            "tool-input-delta": {"started"},
            "tool-input-available": {None, "started"},
            "tool-output-available": {"ready"},
            "tool-output-error": {"started", "ready"},
        }
        if kind not in allowed:
            return
        if state not in allowed[kind]:
            self.complain(f"{kind} of {name}, which is {state or 'unknown'}")
        following = {"tool-input-available": "ready", "tool-output-available": "ended", "tool-output-error": "ended"}
        self.tools[name] = following.get(kind, "started")

    def end(self, kind):
        for part, name in self.open:
            self.complain(f"{part} {name} is open at {kind}")
        for name, state in self.tools.items():
            if state != "ended":
                self.complain(f"tool {name} is {state} at {kind}")
        self.terminal = kind


def texts(lines, events):
    """The chunks' texts; of events, the data."""
    for line in lines:
        line = line.rstrip("\r\n")
        if line.startswith("data:"):
            yield line[5:].strip()
        elif line.startswith("{") and not events:
            yield line
        elif line and not line.startswith((":", "id:", "event:", "retry:")):
            yield f"?{line}"


def check(chunk):
    """The type's complaints about one chunk."""
    kind = chunk.get("type")
    if isinstance(kind, str) and kind.startswith("data-"):
        model = types.DataChunk
    elif kind in KINDS:
        model = KINDS[kind]
    else:
        return [f"unknown type {kind}"]
    # The AI SDK has it for dynamic tools, the transcription does not.
    known = {name: value for name, value in chunk.items() if not (name == "title" and kind.startswith("tool-input-"))}
    try:
        TypeAdapter(model).validate_python(known)
    except ValidationError as error:
        return [f"{kind}: {problem['msg']} ({problem['loc']})" for problem in error.errors()]
    return []


def main():
    events = "--events" in sys.argv[1:]
    order, is_done = Order(), False
    for text in texts(sys.stdin, events):
        if is_done:
            order.complain("something follows [DONE]")
        if text == "[DONE]":
            is_done = True
            continue
        try:
            chunk = json.loads(text)
        except ValueError:
            order.complain(f"not a chunk: {text[:200]}")
            continue
        problems = check(chunk)
        if problems:
            for problem in problems:
                order.complain(problem)
        else:
            order.see(chunk)
    if not order.terminal:
        order.complain("no finish, abort or error")
    if events and not is_done:
        order.complain("no [DONE]")
    for complaint in order.complaints:
        print(complaint)
    sys.exit(1 if order.complaints else 0)


main()
