"""Search, as the person: the functions choose the rows, this reads them, so row-level security applies twice.

Snippets are cut from the rows that are shown only, and mark what was found with the private characters of
``core.search``; a text that contains such characters loses them first.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from workbench.core.refs import Ref
from workbench.core.search import CLOSE, OPEN, near_words, shown_of, stems_of

if TYPE_CHECKING:
    from psycopg import Connection

__all__ = [
    "OUTPUTS",
    "PROMPTS",
    "PROMPT_QUERY",
    "Filters",
    "OutputFilters",
    "corrected",
    "keep_words",
    "models_like",
    "outputs",
    "projects_named",
    "prompts",
    "understood",
    "versions_of",
]

_TIME = "datetime64[us, UTC]"

#: Columns of ``wb.prompts.search()``.
PROMPTS: Mapping[str, str] = {
    "prompt": "str", "version": "Int64", "label": "str", "tags": "object", "snippet": "str", "rank": "float64",
    "match": "str", "created_at": _TIME, "project": "str", "prompt_id": "str",
}  # fmt: skip

#: Columns of ``wb.search_outputs()``.
OUTPUTS: Mapping[str, str] = {
    "execution_id": "str", "prompt": "str", "version": "Int64", "model": "str", "snippet": "str", "rank": "float64",
    "status": "str", "created_at": _TIME, "project": "str", "run_id": "str", "case_id": "str",
}  # fmt: skip

_HEADLINE = (
    f'StartSel={OPEN}, StopSel={CLOSE}, MaxFragments=2, MinWords=6, MaxWords=18, FragmentDelimiter=" … "'
)

# To cut a snippet takes the longer the longer the text is; so what is looked at first lies around the first places that
# may be meant, if there are any: of two words that are far apart, around both. Then, if no word was found there, the whole
# text, with the words of "a/b" apart, which the parser takes for the name of a file. OFFSET 0 keeps the planner from
# cutting once more wherever a text is named.
_SNIPPET = """
LEFT JOIN LATERAL (
    SELECT CASE WHEN h.near IS NULL THEN left(h.plain, 160)
                WHEN strpos(h.near, %(open)s) > 0 THEN h.near
                ELSE ts_headline('english', translate(h.plain, '/._', '   '), f.shown, %(headline)s) END AS snippet
    FROM (SELECT t.plain, CASE WHEN t.place > 0 THEN ts_headline(
                     'english', substr(t.plain, greatest(t.place - 100, 1), 300)
                     || coalesce(' … ' || substr(t.plain, t.other - 60, 200), ''), f.shown, %(headline)s) END AS near
          FROM (SELECT l.plain, p.place, (SELECT min(a) FROM unnest(p.places) a WHERE a > p.place + 200) AS other
                FROM (SELECT o.plain, lower(o.plain) AS low
                      FROM (SELECT translate(left(<text>, 20000), %(open)s || %(close)s, '') AS plain OFFSET 0) o OFFSET 0) l,
                     LATERAL (SELECT min(a) AS place, array_agg(a) AS places
                              FROM (SELECT nullif(strpos(l.low, stem), 0) AS a FROM unnest(%(stems)s::text[]) stem) w) p
                OFFSET 0) t
          OFFSET 0) h
) s ON true
"""


def _with_snippet(query: str, text: str) -> str:
    """Put the making of the snippet into a statement; both are constants of this module."""
    return query.replace("<snippet>", _SNIPPET.replace("<text>", text))


#: The whole statement of a search in prompts; the benchmark explains it.
PROMPT_QUERY = _with_snippet(
    """
WITH f AS MATERIALIZED (SELECT %(query)s::tsquery AS query, %(shown)s::tsquery AS shown)
SELECT p.title, p.version, l.label, p.tags, s.snippet, i.rank::float8,
       %(match)s::text, p.created_at, j.name, p.id
FROM f, LATERAL wb.search_ids(
    f.query, similar_title => %(similar)s, max_rows => %(limit)s, projects => %(projects)s::uuid[], tag => %(tag)s,
    variable => %(variable)s, model => %(model)s, label => %(label)s, since => %(since)s, until => %(until)s,
    scratch => %(scratch)s, all_versions => %(all_versions)s) WITH ORDINALITY AS i (prompt_id, rank, place)
JOIN wb.prompts p ON p.id = i.prompt_id
JOIN wb.projects j ON j.id = p.project_id
LEFT JOIN LATERAL (
    SELECT string_agg(b.name, ', ' ORDER BY b.name) AS label
    FROM wb.prompt_labels b WHERE b.root_id = p.root_id AND b.prompt_id = p.id
) l ON true
<snippet>
ORDER BY i.place
""",
    "concat_ws(' ', p.content, p.system_prompt)",
)

_OUTPUT_QUERY = _with_snippet(
    """
WITH f AS MATERIALIZED (SELECT %(query)s::tsquery AS query, %(shown)s::tsquery AS shown)
SELECT e.id, p.title, p.version, m.model_id, s.snippet, i.rank::float8, e.status, e.created_at, j.name, e.run_id,
       e.case_key
FROM f, LATERAL wb.search_output_ids(
    f.query, max_rows => %(limit)s, projects => %(projects)s::uuid[], prompts => %(prompts)s::uuid[],
    models => %(models)s::uuid[], since => %(since)s, until => %(until)s, status => %(status)s)
    WITH ORDINALITY AS i (execution_id, run_at, rank, place)
JOIN wb.executions e ON e.id = i.execution_id AND e.run_at = i.run_at
JOIN wb.projects j ON j.id = e.project_id
LEFT JOIN wb.prompts p ON p.id = e.prompt_id
JOIN wb.model_configs m ON m.id = e.model_config_id
<snippet>
ORDER BY i.place
""",
    "e.answer",
)

# The words of one's own projects: exactly or nearly the typed ones, in one question for all of them; or, of one word, those
# that begin with it, else those that are alike. Many words as one text reach the server sooner than as an array.
_NEAR = """
SELECT DISTINCT word FROM wb.prompt_words
WHERE word = ANY (string_to_array(%(near)s, ' ')) AND (%(projects)s::uuid[] IS NULL OR project_id = ANY (%(projects)s))
"""
_BEGINNING = """
SELECT DISTINCT word FROM wb.prompt_words
WHERE word >= %(word)s AND word < %(word)s || U&'\\+10FFFF' AND (%(projects)s::uuid[] IS NULL OR project_id = ANY (%(projects)s))
ORDER BY word LIMIT 12
"""
_ALIKE = """
SELECT word FROM (
    SELECT DISTINCT word FROM wb.prompt_words
    WHERE word >= %(start)s AND word < %(start)s || U&'\\+10FFFF' AND (%(projects)s::uuid[] IS NULL OR project_id = ANY (%(projects)s))
) w
WHERE public.similarity(word, %(word)s) >= 0.35 ORDER BY public.similarity(word, %(word)s) DESC, word LIMIT 3
"""
_MEANT = 12  # words that one misspelt word is replaced by, at most

_REWRITE = """
SELECT ts_rewrite(%(query)s::tsquery, plainto_tsquery('english', %(word)s), to_tsquery('english', %(meant)s))::text
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filters:
    """What narrows a search in prompts; None does not."""

    projects: Sequence[uuid.UUID] | None = None
    tag: str | None = None
    variable: str | None = None
    model: str | None = None
    label: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    scratch: bool = False
    all_versions: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFilters:
    """What narrows a search in answers; None does not."""

    projects: Sequence[uuid.UUID] | None = None
    prompts: Sequence[uuid.UUID] | None = None
    models: Sequence[uuid.UUID] | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    status: str | None = None


def understood(connection: Connection[Any], text: str) -> str | None:
    """Return the query as the database reads it, or None where nothing is left of it but words that are too common."""
    row = connection.execute(
        "SELECT q::text FROM websearch_to_tsquery('english', %s) q WHERE numnode(q) > 0", [text]
    ).fetchone()
    return str(row[0]) if row else None


def prompts(
    connection: Connection[Any],
    query: str | None,
    filters: Filters,
    *,
    limit: int,
    similar: str | None = None,
    match: str = "words",
) -> list[tuple[Any, ...]]:
    """Return the rows of :data:`PROMPTS`, best first.

    Args:
        connection: the person's.
        query: a tsquery as text, or None for whatever the filters leave.
        filters: what narrows the search.
        limit: at most so many.
        similar: also prompts whose title is like this text.
        match: what the column ``match`` says.

    """
    return connection.execute(
        PROMPT_QUERY,
        _parameters(query, filters) | {"limit": limit, "similar": similar, "match": match},
    ).fetchall()


def keep_words(connection: Connection[Any]) -> int:
    """Take up to 1,000 answers that are not searchable yet into the search; return how many there were."""
    row = connection.execute("SELECT wb.keep_words(1000)").fetchone()
    return int(row[0]) if row else 0


def outputs(
    connection: Connection[Any], query: str, filters: OutputFilters, *, limit: int
) -> list[tuple[Any, ...]]:
    """Return the rows of :data:`OUTPUTS`, best first."""
    return connection.execute(
        _OUTPUT_QUERY, _parameters(query, filters) | {"limit": limit}, prepare=False
    ).fetchall()


def corrected(
    connection: Connection[Any], query: str, words: Sequence[str], projects: Sequence[uuid.UUID] | None
) -> tuple[str | None, dict[str, list[str]]]:
    """Replace words that no prompt of this person contains by those that may be meant.

    Returns:
        The query as text, or None where there is nothing to correct; and what was put for each word.

    """
    near = {word: near_words(word) for word in words}
    chosen = None if projects is None else list(projects)
    every = {"near": " ".join(dict.fromkeys(chain.from_iterable(near.values()))), "projects": chosen}
    known = {row[0] for row in connection.execute(_NEAR, every, prepare=False)} if words else set()
    meant: dict[str, list[str]] = {}
    for word in words:
        if word in known:
            continue
        found = _meant(connection, word, sorted(known.intersection(near[word])), chosen)
        if not found:
            continue
        row = connection.execute(
            _REWRITE, {"query": query, "word": word, "meant": " | ".join(found)}
        ).fetchone()
        if row is not None and row[0] != query:
            query, meant[word] = str(row[0]), found
    return (query if meant else None), meant


def projects_named(connection: Connection[Any], name: str) -> list[uuid.UUID]:
    """Return the ids of the readable projects of that name; two people may have one each."""
    return [row[0] for row in connection.execute("SELECT id FROM wb.projects WHERE name = %s", [name])]


def models_like(connection: Connection[Any], name: str) -> list[uuid.UUID]:
    """Return the rows of a model, with or without the provider in front."""
    names = [name, f"openrouter/{name}", name.removeprefix("openrouter/")]
    return [
        row[0]
        for row in connection.execute("SELECT id FROM wb.model_configs WHERE model_id = ANY (%s)", [names])
    ]


def versions_of(
    connection: Connection[Any], ref: Ref, projects: Sequence[uuid.UUID] | None
) -> list[uuid.UUID]:
    """Return the versions that a reference names in any readable project; a title alone names all of its versions."""
    query = """
        SELECT p.id FROM wb.prompts p
        WHERE p.title = %(title)s AND (%(projects)s::uuid[] IS NULL OR p.project_id = ANY (%(projects)s))
          AND (%(version)s::bigint IS NULL OR p.version = %(version)s)
          AND (%(label)s::text IS NULL OR EXISTS (
              SELECT FROM wb.prompt_labels l WHERE l.root_id = p.root_id AND l.name = %(label)s AND l.prompt_id = p.id))
    """
    chosen = None if projects is None else list(projects)
    values = {"title": ref.title, "version": ref.version, "label": ref.label, "projects": chosen}
    return [row[0] for row in connection.execute(query, values)]


def _meant(
    connection: Connection[Any], word: str, near: Sequence[str], projects: list[uuid.UUID] | None
) -> list[str]:
    values = {"word": word, "start": word[:2], "projects": projects}
    beginning = [row[0] for row in connection.execute(_BEGINNING, values, prepare=False)]
    return [*dict.fromkeys([*near[:_MEANT], *beginning])] or [
        row[0] for row in connection.execute(_ALIKE, values, prepare=False)
    ]


def _parameters(query: str | None, filters: Filters | OutputFilters) -> dict[str, Any]:
    named = {name: getattr(filters, name) for name in type(filters).__slots__}
    lists = {name: list(value) for name, value in named.items() if isinstance(value, list | tuple)}
    marks = {
        "open": OPEN,
        "close": CLOSE,
        "headline": _HEADLINE,
        "stems": stems_of(query or ""),
        "shown": shown_of(query or ""),
    }
    return named | lists | {"query": query, **marks}
