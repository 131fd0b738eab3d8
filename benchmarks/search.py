"""How fast a person finds a prompt: ``wb.prompts.search``, whole, against the policy with ``@@`` and ``ts_rank``.

python benchmarks/search.py [ROWS] [HOME]: makes ROWS prompts (100,000) on an embedded server of its own, once if HOME
is given; Ann owns 99 % of them in ten projects, Bob 1 % in one. Prints p50 and p95 in milliseconds of the function that
finds the rows, of the whole verb, typos, snippets and DataFrame included, and of the plain statement as the same person;
then how PostgreSQL ran one search, as Ann.
"""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from search_corpus import Corpus, fill

import workbench
from workbench.db import bootstrap
from workbench.db import search as queries
from workbench.db.connect import embedded_admin_url
from workbench.db.embedded import EmbeddedServer
from workbench.secret import Secret
from workbench.services.workbench import Workbench
from workbench.settings import Settings

EACH, NAIVE_EACH = 40, 3
PEOPLE = {"ann": 0.99, "bob": 0.01}

_NAIVE = """
SELECT id, title, left(content, 100), ts_rank(search, q) AS rank
FROM wb.prompts, websearch_to_tsquery('english', %s) q
WHERE search @@ q ORDER BY rank DESC LIMIT 20
"""
_FUNCTION = """
SELECT * FROM wb.search_ids(
    CASE WHEN NOT %(typo)s THEN websearch_to_tsquery('english', %(text)s) END,
    similar_title => CASE WHEN %(typo)s THEN %(text)s END, tag => %(tag)s, since => %(since)s)
"""
_NAIVE_TYPO = """
SELECT id, title, left(content, 100), public.word_similarity(%s, title) AS rank
FROM wb.prompts WHERE public.word_similarity(%s, title) > 0.5 ORDER BY rank DESC LIMIT 20
"""
_EXPLAIN = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "1",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_level": "notice",
}


def prepare(server: EmbeddedServer, rows: int, home: Path) -> tuple[Secret, dict[str, Secret], Corpus]:
    """Make the database unless it is there; return an administrator's URL, the people's, and what is in it."""
    name = f"search_{rows}"
    admin = embedded_admin_url(server, name)
    kept = home / f"{name}.json"
    fresh = not kept.exists()
    if fresh:
        bootstrap.create_database(embedded_admin_url(server, "postgres"), name)
        bootstrap.prepare(admin)
    people = {
        person: bootstrap.register_person(
            admin, email=f"{person}@example.org", username=person, again=not fresh
        )
        for person in PEOPLE
    }
    if fresh:
        with psycopg.connect(admin.reveal()) as connection:
            owners: dict[str, uuid.UUID] = dict(
                connection.execute("SELECT username, id FROM wb.users").fetchall()
            )
            projects = {uuid.uuid4(): owners["ann"] for _ in range(10)} | {uuid.uuid4(): owners["bob"]}
            for number, (project, owner) in enumerate(projects.items()):
                connection.execute(
                    "INSERT INTO wb.projects (id, user_id, name) VALUES (%s, %s, %s)",
                    [project, owner, f"project-{number}"],
                )
            connection.commit()
            corpus = fill(connection, projects, [PEOPLE["ann"] / 10] * 10 + [PEOPLE["bob"]], rows)
        kept.write_text(json.dumps([corpus.share, corpus.titles, corpus.phrase]))
    return admin, people, Corpus(*json.loads(kept.read_text()))


def questions(corpus: Corpus) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return what is asked: kind → texts, filters."""

    def words(low: float, high: float) -> list[str]:
        found = [word for word, share in corpus.share.items() if low <= share <= high and len(word) > 5]
        return (found * EACH)[:EACH]

    mid = words(0.005, 0.03)
    return {
        "common word (20-45 %)": (words(0.2, 0.45), {}),
        "frequent word (6 %)": (words(0.055, 0.065), {}),
        "mid word (1 %)": (words(0.009, 0.011), {}),
        "rare word (0.1 %)": (words(0.0008, 0.0012), {}),
        "two words": ([f"{a} {b}" for a, b in zip(words(0.2, 0.45), mid, strict=True)], {}),
        "phrase": ([f'"{corpus.phrase}"'] * EACH, {}),
        "OR, minus": ([f"{a} OR {b} -{c}" for a, b, c in zip(mid, mid[1:] + mid[:1], words(0.2, 0.45), strict=True)], {}),
        "common word, tag": (words(0.2, 0.45), {"tag": "tag7"}),
        "mid word, since": (mid, {"since": "2024-01-20"}),
        "title": ([title.split("/")[0] for title in (corpus.titles * EACH)[:EACH]], {}),
        "misspelt word": ([word[:3] + word[4:] for word in mid], {}),
        "misspelt title": ([title[:2] + title[3:] for title in (corpus.titles * EACH)[:EACH]], {}),
    }  # fmt: skip


def measured(work: Callable[[str], object], texts: list[str]) -> list[float]:
    """Return the milliseconds of each text."""
    taken = []
    for text in texts:
        started = time.perf_counter()
        work(text)
        taken.append(1000 * (time.perf_counter() - started))
    return taken


def compare(person: str, wb: Workbench, url: Secret, corpus: Corpus) -> None:
    """Print one line for each kind of question, and one each for all that found their words, and that were corrected."""
    together: dict[str, list[list[float]]] = {"found as typed": [[], [], []], "corrected": [[], [], []]}
    with psycopg.connect(url.reveal(), autocommit=True) as connection:
        for kind, (texts, filters) in questions(corpus).items():
            typos = "misspelt" in kind
            plain, values = (_NAIVE_TYPO, 2) if typos else (_NAIVE, 1)
            asked = {"typo": typos, "tag": filters.get("tag"), "since": filters.get("since")}

            def whole(text: str, f: dict[str, str] = filters) -> object:
                return wb.prompts.search(text, **f)  # type: ignore[arg-type]

            def inside(text: str, a: Mapping[str, object] = asked) -> object:
                return connection.execute(_FUNCTION, {**a, "text": text}).fetchall()

            def policies(text: str, q: str = plain, n: int = values) -> object:
                return connection.execute(q, [text] * n).fetchall()

            first = measured(whole, texts)  # half of a large table is not in PostgreSQL's memory yet
            function, verb = measured(inside, texts), measured(whole, texts)
            naive = measured(policies, texts[:NAIVE_EACH])
            for number, text in enumerate(texts):
                found = wb.prompts.search(text, **filters)  # type: ignore[arg-type]
                as_typed = len(found) and found["match"].iloc[0] == "words"
                for every, ours in zip(
                    together["found as typed" if as_typed else "corrected"],
                    (function, verb, first),
                    strict=True,
                ):
                    every.append(ours[number])
            line(person, kind, (function, verb, first), statistics.median(naive))
    for kind, series in together.items():
        line(person, f"**all that were {kind}**", series)


def line(person: str, kind: str, each: Sequence[list[float]], naive: float | None = None) -> None:
    figures = [f"{statistics.median(ms):.1f} / {statistics.quantiles(ms, n=20)[-1]:.1f}" for ms in each]
    ratio = f"{naive:.0f} | {naive / statistics.median(each[1]):.0f}×" if naive else " | "
    print(f"| {person} ({PEOPLE[person]:.0%}) | {kind} | {' | '.join(figures)} | {ratio} |", flush=True)


def explain(admin: Secret, url: Secret, text: str) -> None:
    """Print how a search ran, its inner statements included, in the person's own session."""
    login = urlsplit(url.reveal()).username
    with psycopg.connect(admin.reveal(), autocommit=True) as connection:
        for name, value in _EXPLAIN.items():
            connection.execute(f"ALTER ROLE {login} SET {name} = '{value}'")
    said: list[str] = []
    with psycopg.connect(url.reveal(), autocommit=True) as connection:
        query = queries.understood(connection, text)
        queries.prompts(connection, query, queries.Filters(), limit=20)
        connection.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
        queries.prompts(connection, query, queries.Filters(), limit=20)
    with psycopg.connect(admin.reveal(), autocommit=True) as connection:
        connection.execute(f"ALTER ROLE {login} RESET ALL")
    print(f"\nEXPLAIN of {text!r} as Ann; statements of 1 ms and more, outermost first\n")
    for plan in said:
        head = re.search(r"Query Text:\s*(.{0,90})", plan)
        steps = [
            line[:150]
            for line in plan.splitlines()
            if re.search(r"actual time|Heap Blocks|Rows Removed", line)
        ]
        print(f"{plan.split(' plan')[0]}: {head[1].strip() if head else ''}", *steps, "", sep="\n")


def fdatasync_ms(folder: Path) -> float:
    taken = []
    with (folder / "sync").open("wb") as file:
        for _ in range(20):
            file.write(b"x" * 8192)
            file.flush()
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(1000 * (time.perf_counter() - started))
    return statistics.median(taken)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(sys.argv[2] if len(sys.argv) > 2 else folder)
        home.mkdir(parents=True, exist_ok=True)
        server = EmbeddedServer(home)
        server.ensure()
        admin, people, corpus = prepare(server, rows, home)
        print(
            f"{rows:,} prompts, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, fdatasync {fdatasync_ms(Path(folder)):.1f} ms",
            flush=True,
        )
        with psycopg.connect(admin.reveal()) as connection:
            version = connection.info.parameter_status("server_version")
        print(f"PostgreSQL {version}, Python {platform.python_version()}")
        print("\nMilliseconds, p50 / p95:\n")
        print("| who (share) | what | function | verb | verb, first time | plain way, p50 | plain ÷ verb |")
        print("|---|---|---|---|---|---|---|")
        for person, url in people.items():
            with workbench.connect(url.reveal(), settings=Settings(home=Path(folder))) as wb:
                compare(person, wb, url, corpus)
        print(f"load {os.getloadavg()[0]:.1f}")
        explain(admin, people["ann"], questions(corpus)["frequent word (6 %)"][0][0])
        if len(sys.argv) <= 2:
            server.stop(force=True)


if __name__ == "__main__":
    main()
