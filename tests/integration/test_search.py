"""Search: the words find what they mean, the filters narrow it, and nobody finds what they may not read."""

from __future__ import annotations

import datetime as dt
import threading

import psycopg
import pytest
from alembic import command

from workbench.core.search import CLOSE, OPEN
from workbench.db import migrate
from workbench.db.search import OUTPUTS, PROMPTS
from workbench.errors import InputError, UnknownModelError, UnknownReferenceError


@pytest.fixture
def library(wb):
    """A few prompts that differ in where their words stand."""
    wb.use("support")
    wb.prompts.save(
        "support/refund-triage", "Sort this message: {{ message }}", tags=["triage", "money-matters"]
    )
    wb.prompts.save("late fees", "Explain why the payment was late, and offer a refund. {{ customer_name }}")
    wb.prompts.save("tone", "What is the tone of {{ doc.title }}?", system_prompt="You summarise kindly.")
    wb.prompts.save("tone", "Name the tone of {{ text }} in one word.", note="shorter, after the pilot")
    wb.prompts.save("invoices", "Extract the invoice number; ignore late reminders about payment.")
    return wb


def titles(found):
    return sorted(f"{row.prompt}@{row.version}" for row in found.itertuples())


# --- words ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("refund", ["late fees@1", "support/refund-triage@1"]),
        ("refunds", ["late fees@1", "support/refund-triage@1"]),
        ("REFUND triage", ["support/refund-triage@1"]),
        ("support/refund", ["support/refund-triage@1"]),
        ("late payment", ["invoices@1", "late fees@1"]),
        ('"payment was late"', ["late fees@1"]),
        ('"late payment"', []),
        ("invoice OR refund", ["invoices@1", "late fees@1", "support/refund-triage@1"]),
        ("payment -invoice", ["late fees@1"]),
        ("customer name", ["late fees@1"]),
        ("customer_name", ["late fees@1"]),
        ("title", ["tone@1"]),
        ("kindly", ["tone@1"]),
        ("pilot", ["tone@2"]),
        ("money", ["support/refund-triage@1"]),
        ("tone", ["tone@2"]),
    ],
)
def test_words_find_what_contains_them(library, text, expected):
    found = library.prompts.search(text)
    assert titles(found[found["match"] == "words"]) == expected


def test_the_title_counts_more_than_the_text(library):
    found = library.prompts.search("refund")
    assert list(found["prompt"]) == ["support/refund-triage", "late fees"]
    assert found["rank"].is_monotonic_decreasing


def test_columns_are_declared_also_without_a_row(library):
    assert list(library.prompts.search("refund").columns) == list(PROMPTS)
    nothing = library.prompts.search("zebra")
    assert (len(nothing), list(nothing.columns)) == (0, list(PROMPTS))
    assert {name: str(kind) for name, kind in nothing.dtypes.items()} == dict(PROMPTS)
    assert nothing.hint == "try another word, or a part of one"
    assert library.last is nothing


def test_snippets_show_the_words_and_only_them(library):
    (row,) = library.prompts.search('"payment was late"').to_dict("records")
    assert row["snippet"].startswith("Explain why the «payment» was «late»")
    (row,) = library.prompts.search("title").to_dict("records")  # the parser takes doc.title for a host
    assert "«title»" in row["snippet"]


def test_marks_that_a_text_brings_along_are_removed(library):
    library.prompts.save("hostile", f"zebra {OPEN}not found{CLOSE} <script>alert(1)</script>")
    found = library.prompts.search("zebra")
    assert found.marked[0].startswith(f"{OPEN}zebra{CLOSE} not found")
    html = found._repr_mimebundle_()["text/html"]
    assert html.count("<mark") == 1
    assert "<script>" not in html


def test_one_row_a_prompt_unless_all_versions_are_asked_for(library):
    assert titles(library.prompts.search("tone")) == ["tone@2"]
    assert titles(library.prompts.search("tone", all_versions=True)) == ["tone@1", "tone@2"]
    assert titles(library.prompts.search("kindly")) == ["tone@1"]  # only an old version has it


def test_a_prompt_of_many_versions_does_not_keep_the_others_out(library, ann_url):
    def crowd(first: int, last: int) -> None:
        """Add these versions in one statement, which is much quicker than to save each."""
        with psycopg.connect(ann_url.reveal()) as ann:
            ann.execute(
                """
                INSERT INTO wb.prompts (project_id, user_id, root_id, version, title, content, content_hash, created_at)
                SELECT p.project_id, p.user_id, p.root_id, n, p.title, 'crowded text ' || n, md5(n::text), clock_timestamp()
                FROM wb.prompts p, generate_series(%s::int, %s::int) n WHERE p.title = 'busy' AND p.version = 1
                """,
                [first, last],
            )

    library.prompts.save("busy", "crowded text 1")
    crowd(2, 230)
    library.prompts.save("other", "crowded too")
    crowd(231, 460)
    assert titles(library.prompts.search("crowded")) == ["busy@460", "other@1"]


def test_untitled_and_archived_prompts_and_rubrics_are_hidden(library, ann_url):
    from workbench.core.body import parse_body

    version = library.prompts.save_body(None, parse_body("a zebra in scratch"))
    library.prompts.save("old", "an archived zebra")
    with psycopg.connect(ann_url.reveal()) as ann:
        ann.execute("UPDATE wb.prompts SET archived_at = now() WHERE title = 'old'")
    assert titles(library.prompts.search("zebra")) == []
    assert titles(library.prompts.search("zebra", scratch=True)) == [f"{version.title}@1"]


def test_a_renamed_prompt_is_found_by_its_new_title_only(library):
    library.prompts.rename("tone", "mood")
    assert titles(library.prompts.search("mood")) == ["mood@2"]


# --- many rows ---


@pytest.fixture
def crowded(wb, admin_url):
    """12,000 more prompts, made in one statement: every 2nd has a common word, every 90th a middling, every 2,000th a rare one."""
    with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        admin.execute(
            """
            INSERT INTO wb.prompts (id, project_id, user_id, root_id, title, content, content_hash, created_at)
            SELECT md5(n::text)::uuid, %s, %s, md5(n::text)::uuid, 'prompt ' || n, 'plain text'
                   || CASE WHEN n %% 2 = 0 THEN ' common' ELSE '' END || CASE WHEN n %% 90 = 0 THEN ' middling' ELSE '' END || CASE WHEN n %% 2000 = 0 THEN ' rare' ELSE '' END,
                   md5(n::text), timestamptz '2026-01-01' + n * interval '1 minute'
            FROM generate_series(1, 12000) n
            """,
            [wb.project_id, wb.database.user_id],
        )
        admin.execute("ANALYZE wb.prompts")
    return wb


def test_of_a_common_word_the_newest_are_found_by_walking_back(crowded):
    found = crowded.prompts.search("common", limit=20)
    numbers = [int(title.removeprefix("prompt ")) for title in found["prompt"]]
    assert len(set(numbers)) == 20
    assert all(number % 2 == 0 and number > 12_000 - 2 * 60 for number in numbers)


@pytest.mark.slow
@pytest.mark.parametrize("projects", [1, 2])
def test_of_a_middling_word_the_newest_are_found_by_two_indexes(crowded, admin_url, projects):
    if projects == 2:
        with psycopg.connect(admin_url.reveal(), autocommit=True) as admin:
            admin.execute("SET session_replication_role = replica")
            admin.execute(
                """
                WITH other AS (INSERT INTO wb.projects (user_id, name) VALUES (%s, 'other') RETURNING id)
                INSERT INTO wb.prompts (project_id, user_id, root_id, title, content, content_hash)
                SELECT id, %s, id, 'elsewhere', 'a middling text', 'x' FROM other
                """,
                [crowded.database.user_id] * 2,
            )
    found = [title for title in crowded.prompts.search("middling")["prompt"] if title != "elsewhere"]
    numbers = [int(title.removeprefix("prompt ")) for title in found]
    assert len(set(numbers)) >= 19
    assert all(number % 90 == 0 and number > 12_000 - 61 * 90 for number in numbers)
    old = crowded.prompts.search("middling", until=dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    assert len(old) == 1440 // 90 - 1


def test_a_rare_word_is_found_however_old_it_is(crowded):
    assert sorted(crowded.prompts.search("rare")["prompt"]) == sorted(
        f"prompt {n}" for n in range(2_000, 12_001, 2_000)
    )


def test_a_filter_that_leaves_little_of_a_common_word_leaves_it_all(crowded):
    found = crowded.prompts.search("common", until=dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC))
    assert len(found) == 20
    assert all(int(title.removeprefix("prompt ")) < 12 * 60 for title in found["prompt"])
    assert len(crowded.prompts.search("common rare", limit=100)) == 6
    assert crowded.prompts.search("common", project=crowded.project).equals(crowded.prompts.search("common"))


# --- filters ---


def test_filters_narrow_the_search(library):
    library.prompts.save("priced", "---\nmodel: openai/gpt-4o-mini\n---\nA refund in dollars", tags=["money"])
    library.prompts.label("late fees@1", "prod")
    search = library.prompts.search
    assert titles(search("refund", tag="triage")) == ["support/refund-triage@1"]
    assert titles(search("refund", label="prod")) == ["late fees@1"]
    assert titles(search("tone", label="latest")) == ["tone@2"]
    assert titles(search("refund", model="openai/gpt-4o-mini")) == ["priced@1"]
    assert titles(search("refund", model="openrouter/openai/gpt-4o-mini")) == ["priced@1"]
    assert titles(search("refund", limit=1)) == ["support/refund-triage@1"]
    assert titles(search("refund", until="2020-01-01")) == []
    assert len(search("refund", since="2020-01-01")) == 3
    assert len(search("refund", since=dt.date(2020, 1, 1), until=dt.datetime.now(tz=dt.UTC).date())) == 3
    nothing = search("refund", tag="nosuch", label="prod")
    assert nothing.hint == "leave out tag=nosuch, label=prod"


def test_a_model_that_answered_counts_as_the_prompts_model(library):
    library.ask("tone", variables={"text": "hello"})
    assert titles(library.prompts.search("tone", model="fake/echo")) == ["tone@2"]
    assert titles(library.prompts.search("refund", model="fake/echo")) == []


def test_every_readable_project_is_searched_or_only_one(library):
    library.use("other")
    library.prompts.save("elsewhere", "a refund elsewhere")
    assert titles(library.prompts.search("elsewhere")) == ["elsewhere@1"]
    found = library.prompts.search("refund")
    assert set(found["project"]) == {"support", "other"}
    assert titles(library.prompts.search("refund", project="other")) == ["elsewhere@1"]
    with pytest.raises(UnknownReferenceError, match="did you mean 'support'"):
        library.prompts.search("refund", project="suport")


# --- misspelt ---


@pytest.mark.parametrize(
    ("typed", "prompt", "meant"),
    [
        ("refnd", "late fees@1", "refund for refnd"),
        ("paymetn", "late fees@1", "payment for paymetn"),
        ("ayment", "late fees@1", "payment for ayment"),
        ("expain", "late fees@1", "explain for expain"),
        ("invo", "invoices@1", "invoice or invoices for invo"),
        ("remindrs ignor", "invoices@1", "reminders for remindrs"),
        ("suport/refund-triag", "support/refund-triage@1", ""),
        ("summarize", "tone@1", "summarise for summarize"),
        ("reminddeers", "invoices@1", "reminders for reminddeers"),
    ],
)
def test_a_misspelt_word_finds_what_was_meant(library, typed, prompt, meant):
    found = library.prompts.search(typed)
    assert prompt in titles(found)
    assert set(found["match"]) == {"similar"}
    assert meant in found.hint


def test_an_excluded_word_is_not_corrected(library):
    assert titles(library.prompts.search("paymet -invoice")) == ["late fees@1"]


def test_a_word_that_is_there_is_never_replaced(library):
    library.prompts.save("typo", "a paymet, misspelt")
    found = library.prompts.search("paymet")
    assert titles(found) == ["typo@1"]
    assert set(found["match"]) == {"words"}


# --- hostile and empty ---


@pytest.mark.parametrize(
    "text",
    [
        "'; DROP TABLE prompts; --", "a' & b", '"unbalanced', "refund:*", "!refund", "a <-> b",
        "%s %(x)s {0}", "refund\x00late", "\ud800 refund", "🙂 refund", "a:b:c", "OR OR OR", "x" * 1000, "\u202e refund",
        " ".join(["refund"] * 120), "http://example.org/a_b.c?d=e&f", "<b>refund</b>", "$1 $2", "a or", '"" refund',
    ],
)  # fmt: skip
def test_anything_can_be_typed(library, text):
    found = library.prompts.search(text)
    assert list(found.columns) == list(PROMPTS)
    assert isinstance(str(found), str)
    assert list(library.search_outputs(text).columns) == list(OUTPUTS)


def test_wildcards_are_no_wildcards(library):
    library.prompts.save("percent", "a discount of 100%_of_all")
    assert titles(library.prompts.search("discount%")) == ["percent@1"]
    assert titles(library.prompts.search("d%")) == []


def test_only_common_words_say_so(library):
    found = library.prompts.search("the of")
    assert len(found) == 0
    assert "too common" in found.hint


@pytest.mark.parametrize(
    "arguments",
    [
        ("",), ("  ",), ("\x00",), ("---",), ("((((",), ("%",), ("_",), ("\\",), ("- - -",), ("x" * 10_000,), (3,), (None,), ("a", 0), ("a", 1001), ("a", "5"), ("a", True),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_with_the_cure(library, arguments):
    for search in (library.prompts.search, library.search_outputs):
        with pytest.raises(InputError) as raised:
            search(*arguments)
        assert raised.value.cure


@pytest.mark.parametrize(
    "filters",
    [{"since": "yesterday"}, {"until": 5}, {"tag": ""}, {"tag": 3}, {"label": "a\x00"}, {"until": dt.date.max}],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_refused(library, filters):
    with pytest.raises(InputError):
        library.prompts.search("refund", **filters)


def test_huge_texts_are_saved_and_found_by_their_beginning(library):
    words = " ".join(f"{'ö' * 8}{number}-{'ж' * 9}{number}" for number in range(4_300))
    assert len(words.encode()) > 180_000
    library.prompts.save("huge", f"zebra {words}", note="n" * 100)
    assert titles(library.prompts.search("zebra")) == ["huge@1"]


# --- answers ---


@pytest.fixture
def answered(library):
    library.run("tone", data=[{"text": f"a lovely zebra {number}"} for number in range(3)], progress=False)
    library.ask("invoices", variables={})
    return library


def test_answers_are_found_by_their_words_and_filtered(answered):
    search = answered.search_outputs
    found = search("zebra")
    assert list(found.columns) == list(OUTPUTS)
    assert set(found["prompt"]) == {"tone"}
    assert len(found) == 3
    assert "«zebra»" in found["snippet"][0]
    assert len(search('"lovely zebra" -invoice')) == 3
    assert len(search("number OR zebra", limit=2)) == 2
    assert len(search("zebra", prompt="tone")) == len(search("zebra", prompt="tone@latest")) == 3
    assert len(search("zebra", prompt="tone@1")) == 0
    assert len(search("zebra", model="fake/echo", status="done", project="support", since="2020-01-01")) == 3
    assert len(search("zebra", status="failed")) == 0
    assert search("zebra", status="failed").hint == "leave out status=failed"
    with pytest.raises(UnknownReferenceError, match="no project that you can read has a prompt 'tune'"):
        search("zebra", prompt="tune")
    with pytest.raises(UnknownModelError, match="did you mean 'fake/echo'"):
        search("zebra", model="fake/eco")
    with pytest.raises(InputError, match="did you mean 'done'"):
        search("zebra", status="dome")


def test_an_answer_of_any_size_is_stored(answered):
    words = " ".join(f"{'ж' * 9}{number}" for number in range(30_000))
    answered.prompts.save("long", "{{ text }}")
    result = answered.ask("long", variables={"text": f"giraffe {words}"})
    assert len(result.text) > 300_000
    assert list(answered.search_outputs("giraffe")["execution_id"]) == [str(result.execution_id)]


def test_what_a_model_wrote_is_text_in_the_table(answered):
    answered.prompts.save("attack", "{{ text }}")
    answered.ask("attack", variables={"text": "giraffe <img src=x onerror=alert(1)> <script>x</script>"})
    html = answered.search_outputs("giraffe")._repr_mimebundle_()["text/html"]
    assert "<img" not in html
    assert "<script" not in html
    assert html.count("<mark") == 1


def test_words_of_answers_are_kept_once_whoever_searches(answered, ann_url):
    threads = [threading.Thread(target=answered.search_outputs, args=("zebra",)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        assert ann.execute("SELECT count(*) FROM wb.execution_words").fetchone() == (4,)
        assert ann.execute("SELECT wb.keep_words()").fetchone() == (0,)
    answered.ask("invoices", variables={})
    assert len(answered.search_outputs("invoice")) == 2


def test_many_new_answers_are_taken_up_in_batches(answered, ann_url):
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        assert [ann.execute("SELECT wb.keep_words(3)").fetchone()[0] for _ in range(3)] == [3, 1, 0]
    assert len(answered.search_outputs("zebra")) == 3


def test_an_upgrade_learns_what_was_written_before(answered, admin_url):
    config = migrate._config(admin_url)
    command.downgrade(config, "-1")
    command.upgrade(config, "head")
    assert "late fees@1" in titles(answered.prompts.search("refnd"))
    assert len(answered.search_outputs("zebra")) == 3


# --- other people ---


def test_another_person_finds_nothing_of_it(answered, bobs_wb, bob_url):
    for text in ("refund", "tone", "refnd", "suport", "invo"):
        assert len(bobs_wb.prompts.search(text)) == 0
        assert len(bobs_wb.prompts.search(text, scratch=True, all_versions=True)) == 0
    assert len(bobs_wb.search_outputs("zebra")) == 0
    assert len(bobs_wb.prompts.with_variable("text")) == 0
    theirs = [answered.project_id]
    with psycopg.connect(bob_url.reveal(), autocommit=True) as bob:
        for call in (
            "wb.search_ids(NULL)",
            "wb.search_ids('refund'::tsquery)",
            "wb.search_ids('!zzz'::tsquery, projects => %s)",
            "wb.search_ids(NULL, similar_title => 'tone', projects => %s)",
            "wb.search_output_ids('zebra'::tsquery, projects => %s)",
            "wb.search_output_ids('!zzz'::tsquery)",
        ):
            values = [theirs] if "%s" in call else None
            assert bob.execute(f"SELECT * FROM {call}", values).fetchall() == [], call
        assert bob.execute("SELECT wb.keep_words()").fetchone() == (0,)
        for table in ("prompt_words", "execution_words"):
            assert bob.execute(f"SELECT count(*) FROM wb.{table}").fetchone() == (0,)
        for statement in (
            "INSERT INTO wb.prompt_words (project_id, word) SELECT id, 'x' FROM wb.projects",
            "DELETE FROM wb.prompt_words",
            "DELETE FROM wb.execution_words",
            "SELECT * FROM wb_priv.kept_words",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                bob.execute(statement)


def test_what_others_have_changes_neither_ones_rows_nor_their_rank(library, bobs_wb):
    def searches():
        frames = [
            library.prompts.search(text, all_versions=True)
            for text in ("refund", "late payment", "refnd", "tone")
        ]
        return [[list(row) for row in frame.itertuples(index=False)] for frame in frames]

    before = searches()
    for number in range(30):
        bobs_wb.prompts.save(
            f"refund {number}", "refund refnds refund tone late payment refunda refundy refundz"
        )
    assert searches() == before
    assert all("refnds" not in hint for hint in [library.prompts.search("refnd").hint])


def test_a_member_finds_it_a_public_project_is_found_and_an_ex_member_finds_nothing(
    library, bobs_wb, ann_url
):
    member = [library.project_id, bobs_wb.database.user_id]
    with psycopg.connect(ann_url.reveal(), autocommit=True) as ann:
        ann.execute(
            "INSERT INTO wb.project_members (project_id, user_id, role) VALUES (%s, %s, 'reader')", member
        )
        assert titles(bobs_wb.prompts.search("refund", project="support")) == [
            "late fees@1",
            "support/refund-triage@1",
        ]
        assert titles(bobs_wb.prompts.search("paymetn")) == ["invoices@1", "late fees@1"]
        ann.execute("DELETE FROM wb.project_members WHERE project_id = %s AND user_id = %s", member)
        assert len(bobs_wb.prompts.search("refund")) == 0
        ann.execute("UPDATE wb.projects SET is_public = true WHERE id = %s", [library.project_id])
        assert len(bobs_wb.prompts.search("refund")) == 2


# --- what the rows are for ---


def test_a_result_is_a_dataframe_and_a_card(library):
    library.prompts.label("late fees@1", "prod")
    found = library.prompts.search("refund")
    assert type(found[found["rank"] > 0]).__name__ == "DataFrame"
    assert "\nlate fees@1 · latest, prod · support\n    " in str(found)
    assert "offer a «refund»" in str(found)
    assert str(found).splitlines()[0] == "2 prompts with refund"
    assert str(library.prompts.search("kindly")).splitlines()[0] == "1 prompt with kindly"
    html = found._repr_mimebundle_()["text/html"]
    assert "support/refund-triage" in html
    assert ">refund</mark>" in html
    assert found.copy().shape == found.shape


def test_prompts_with_a_variable(library):
    assert titles(library.prompts.with_variable("message")) == ["support/refund-triage@1"]
    assert titles(library.prompts.with_variable("text")) == ["tone@2"]
    found = library.prompts.with_variable("nosuch")
    assert (len(found), "nosuch" in found.hint) == (0, True)
    with pytest.raises(InputError):
        library.prompts.with_variable("")


def test_the_heading_tells_a_limit_from_a_count(wb):
    for number in range(4):
        wb.prompts.save(f"p{number}", f"a text {{{{ name }}}} {number}")
    found = wb.prompts.search("text", limit=3)
    assert (found.heading, found.hint) == ("the best 3 prompts with text", "a higher limit shows more")
    assert wb.prompts.search("text", limit=5).heading == "4 prompts with text"
    assert wb.prompts.with_variable("name", limit=2).heading == "the newest 2 prompts with the variable name"


def test_tags_in_a_search_are_no_words_and_a_snippet_cuts_no_variable(wb):
    wb.prompts.save("bold", "Say <b>extra</b> to {{ name }}")
    found = wb.prompts.search("<b>extra</b>")
    assert found.heading == "1 prompt with <b>extra</b>"
    assert (found["prompt"][0], found["match"][0]) == ("bold", "words")
    assert found["snippet"][0].endswith("{{ name }}")
    assert "&lt;b&gt;" in found._repr_mimebundle_()["text/html"]
    with pytest.raises(InputError, match="no word in the search"):
        wb.prompts.search("<b></b>")


def test_filters_are_named_as_they_were_typed(wb):
    wb.prompts.save("tone", "a text")
    assert wb.prompts.search("text", until="2020-01-01").hint == "leave out until=2020-01-01"


def test_answers_are_searched_for_exact_words_and_it_is_said(wb):
    wb.prompts.save("tone", "a reminder")()
    assert len(wb.search_outputs("reminders")) == 1
    nothing = wb.search_outputs("remider")
    assert (len(nothing), "as they are spelt" in nothing.hint) == (0, True)
