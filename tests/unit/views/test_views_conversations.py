"""A conversation, an answer's tool calls and its attachments: all of it as text."""

from __future__ import annotations

import uuid

from tests.pictures import PNG
from workbench.core.attachments import attach_bytes, attach_url
from workbench.core.chat import Message
from workbench.core.conversations import Transcript
from workbench.core.display import render
from workbench.core.replies import tool_calls_of
from workbench.core.versions import PromptResult
from workbench.views.prompts import status

EVIL = "<img src=x onerror=alert(1)><script>alert(1)</script>"
CALL = tool_calls_of(
    {"tool_calls": [{"id": EVIL, "function": {"name": EVIL, "arguments": f'{{"{EVIL}": "{EVIL}"}}'}}]}
)


def result(**fields):
    given = {"text": "", "execution_id": uuid.uuid4(), "prompt": "p v1", "model": "m"} | fields
    return PromptResult(**given)


def assert_harmless(html):
    assert "&lt;img" in html
    assert "<img" not in html
    assert "<script" not in html


def test_every_word_of_a_transcript_is_text():
    messages = [
        Message("system", EVIL),
        Message("user", EVIL, (attach_bytes(PNG, name=EVIL), attach_url("https://example.org/<b>x"))),
        Message("assistant", EVIL, tool_calls=CALL),
        Message("tool", EVIL, tool_call_id=EVIL),
    ]
    shown = render(Transcript(title=EVIL, messages=messages, note=EVIL))
    assert_harmless(shown["text/html"])
    assert "user:" in shown["text/plain"]


def test_an_answer_of_tool_calls_shows_them_in_the_place_of_a_text():
    shown = render(result(tool_calls=CALL))
    assert_harmless(shown["text/html"])
    assert "wb-text" not in shown["text/html"]
    assert shown["text/plain"].startswith("→ ")
    assert render(result())["text/plain"].startswith("\n")


def test_the_grey_line_tells_what_was_attached_cached_and_thought():
    found = result(
        text="a",
        choices=("a", "b"),
        attached=("photo.png (image/png, 34 kB)",),
        tokens_prompt=1_000,
        tokens_completion=200,
        tokens_cached=900,
        tokens_reasoning=150,
    )
    line = status(found)["text/plain"]
    assert "photo.png (image/png, 34 kB) · 1,200 tok (900 cached, 150 reasoning) · 1 of 2 choices" in line
