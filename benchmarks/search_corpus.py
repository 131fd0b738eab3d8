"""Prompts as people write them, by the hundred thousand: words by Zipf's law, families, versions, tags, projects."""

from __future__ import annotations

import datetime as dt
import io
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import psycopg

__all__ = ["Corpus", "fill"]

#: The words that a prompt library is full of, most frequent first; the rest of the vocabulary is made of syllables.
_HEAD = [
    "answer",
    "text",
    "write",
    "customer",
    "return",
    "question",
    "json",
    "following",
    "list",
    "review",
    "summary",
    "product",
    "sentence",
    "context",
    "example",
    "label",
    "classify",
    "email",
    "reply",
    "short",
    "format",
    "output",
    "document",
    "name",
    "user",
    "message",
    "code",
    "data",
    "table",
    "reason",
    "company",
    "support",
    "value",
    "language",
    "report",
    "step",
    "order",
    "service",
    "tone",
    "category",
    "translate",
    "paragraph",
    "extract",
    "sentiment",
    "invoice",
    "refund",
    "policy",
    "article",
    "meeting",
    "patient",
    "contract",
    "function",
    "error",
    "query",
    "address",
    "payment",
    "delivery",
    "analyse",
    "feedback",
    "ticket",
]
_ONSETS = [
    "b",
    "bl",
    "br",
    "c",
    "ch",
    "cl",
    "cr",
    "d",
    "dr",
    "f",
    "fl",
    "fr",
    "g",
    "gl",
    "gr",
    "h",
    "j",
    "k",
    "l",
    "m",
    "n",
    "p",
    "pl",
    "pr",
    "qu",
    "r",
    "s",
    "sc",
    "sh",
    "sl",
    "sp",
    "st",
    "str",
    "t",
    "th",
    "tr",
    "v",
    "w",
]
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "ee", "io", "ou"]
_ENDS = [
    "",
    "b",
    "ck",
    "d",
    "f",
    "g",
    "l",
    "ll",
    "m",
    "n",
    "nd",
    "ng",
    "nt",
    "p",
    "r",
    "rd",
    "rt",
    "s",
    "ss",
    "st",
    "t",
    "x",
]
_SIZE = 20_000
_INDEXES = """
SELECT i.indexname, i.indexdef FROM pg_indexes i
WHERE i.schemaname = 'wb' AND i.tablename = 'prompts' AND i.indexdef LIKE '%USING gin%'
"""
_WORDS = """
INSERT INTO wb.prompt_words (project_id, word)
SELECT DISTINCT p.project_id, w FROM wb.prompts p, LATERAL wb.distinct_words(p.title || ' ' || p.content) w
"""
_TAGS = 40


@dataclass(frozen=True, slots=True)
class Corpus:
    """What was made: how often each word occurs, and some titles.

    Attributes:
        share: word → share of the prompts that contain it.
        titles: some of the titles.
        phrase: three words that stand beside each other in some prompts.

    """

    share: dict[str, float]
    titles: list[str] = field(default_factory=list)
    phrase: str = ""


def _vocabulary(random: np.random.Generator) -> list[str]:
    words = list(_HEAD)
    seen = set(words)
    while len(words) < _SIZE:
        parts = random.integers(2, 4)
        word = "".join(
            f"{_ONSETS[random.integers(len(_ONSETS))]}{_VOWELS[random.integers(len(_VOWELS))]}"
            f"{_ENDS[random.integers(len(_ENDS))] if random.random() < 0.5 else ''}"
            for _ in range(parts)
        )
        if word not in seen and 4 <= len(word) <= 14:
            seen.add(word)
            words.append(word)
    return words


def fill(
    connection: psycopg.Connection, projects: dict[uuid.UUID, uuid.UUID], shares: list[float], rows: int
) -> Corpus:
    """Write prompts by COPY, as a superuser with the triggers off, and analyse the table.

    Args:
        connection: a superuser's.
        projects: project → its owner.
        shares: each project's share of the prompts.
        rows: how many versions.

    """
    random = np.random.default_rng(20261125)
    words = _vocabulary(random)
    weights = 1 / np.arange(25, _SIZE + 25)
    weights /= weights.sum()
    count: dict[str, int] = {}
    titles: list[str] = []
    phrase = ""
    connection.execute("SET session_replication_role = replica")
    indexes = connection.execute(_INDEXES).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX wb.{name}")
    copy = (
        "COPY wb.prompts (id, project_id, user_id, root_id, parent_id, version, title, content, system_prompt, variables,"
        " settings, tags, note, content_hash, created_at) FROM STDIN"
    )
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    places, owners = list(projects), list(projects.values())
    with connection.cursor() as cursor, cursor.copy(copy) as sink:
        for first in range(0, rows, 10_000):
            n = min(10_000, rows - first)
            lengths = np.clip(random.lognormal(4.6, 0.6, n).astype(int), 12, 600)
            drawn = random.choice(_SIZE, int(lengths.sum()), p=weights)
            where = random.choice(len(places), n, p=shares)
            buffer = io.StringIO()
            at, root, version, title = 0, "", 0, ""
            for i in range(n):
                body = drawn[at : at + lengths[i]]
                at += lengths[i]
                place = int(where[i])
                # half of the rows are the next version of the one before
                if not root or random.random() < 0.5:
                    root, version = str(uuid.UUID(bytes=random.bytes(16), version=4)), 1
                    title = _title(random, words, first + i)
                    last_place = place
                    row_id = root
                else:
                    version += 1
                    place = last_place
                    row_id = str(uuid.UUID(bytes=random.bytes(16), version=4))
                for word in set(body.tolist()):
                    count[words[word]] = count.get(words[word], 0) + 1
                text = _text([words[w] for w in body])
                if first == 0 and i == 77:
                    phrase = " ".join(words[w] for w in body[4:7])
                if len(titles) < 200 and i % 500 == 3:
                    titles.append(title)
                tags = "{" + ",".join(f"tag{t}" for t in set(random.integers(0, _TAGS, 2).tolist())) + "}"
                created = start + dt.timedelta(seconds=60 * (first + i))
                buffer.write(
                    "\t".join(
                        (
                            row_id, str(places[place]), str(owners[place]), root, "\\N" if version == 1 else root,
                            str(version), title, text, "You are a careful assistant." if i % 3 else "\\N",
                            json.dumps([{"name": words[60 + i % 40], "type": "any"}]),
                            json.dumps({"model": f"vendor/model-{i % 7}", "temperature": 0}), tags, "", row_id,
                            created.isoformat(),
                        )
                    )
                    + "\n"
                )  # fmt: skip
            sink.write(buffer.getvalue())
    for _, definition in indexes:
        connection.execute(definition)
    connection.execute(_WORDS)
    connection.execute("SET session_replication_role = origin")
    connection.commit()
    connection.autocommit = True
    connection.execute("VACUUM ANALYZE wb.prompts")
    connection.execute("VACUUM ANALYZE wb.prompt_words")
    return Corpus({word: n / rows for word, n in count.items()}, titles, phrase)


def _title(random: np.random.Generator, words: list[str], number: int) -> str:
    picked = [words[int(i)] for i in random.integers(0, 3_000, 3)]
    return f"{picked[0]}/{picked[1]}-{picked[2]}-{number}"


def _text(words: list[str]) -> str:
    middle = len(words) // 2
    return f"{' '.join(words[:middle])}. {{{{ {words[0]} }}}} {' '.join(words[middle:])}"
