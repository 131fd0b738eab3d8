"""The prompt library and the model guide on a real database: verbs, who may write what, and how rows are refreshed."""

from __future__ import annotations

import json
import shutil
import threading
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from alembic import command
from embedded_help import cleaned, open_home
from embedded_help import connect as log_in
from sqlalchemy import create_engine, text

from workbench.cli.app import run_command
from workbench.core.body import parse_body
from workbench.core.chat import ModelInfo
from workbench.core.versions import PromptVersion
from workbench.db import migrate
from workbench.db.embedded import EmbeddedServer
from workbench.db.seed import SEEDED, official_categories, official_digest, official_families, seed
from workbench.db.urls import driver_url
from workbench.errors import DataError, NameTakenError, UnknownModelError, UnknownReferenceError
from workbench.resources import migrations_dir
from workbench.services.workbench import connect
from workbench.settings import Settings

NAMES = [template.name for category in official_categories() for template in category.templates]
FAMILIES = {family.name: family for family in official_families()}


@pytest.fixture
def admin(admin_url):
    with psycopg.connect(admin_url.reveal(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def ann(ann_url):
    with psycopg.connect(ann_url.reveal(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def data(tmp_path):
    """A copy of the data, as another version of the package might have them."""
    return Path(shutil.copytree(migrations_dir() / "data", tmp_path / "data"))


@pytest.fixture
def seeded(admin_url):
    """Seed the test's database from a directory, as a migration does."""

    def run(data=None):
        engine = create_engine(driver_url(admin_url))
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL ROLE wb_owner"))
            seed(connection, data)
        engine.dispose()

    return run


def replace(file, before, after):
    found = file.read_text(encoding="utf-8")
    assert before in found
    file.write_text(found.replace(before, after), encoding="utf-8")


def register(wb, model_id, **facts):
    with wb.database.session() as session:
        wb.models._store(session, ModelInfo(model_id=model_id, name=model_id, **facts))


# --- taking a template ---


def test_every_official_template_is_listed_and_got(wb):
    frame = wb.library.list()
    assert sorted(frame["name"]) == sorted(NAMES)
    assert frame["official"].all()
    assert list(frame.columns) == [
        "name",
        "category",
        "subcategory",
        "description",
        "variables",
        "tags",
        "models",
        "official",
        "author",
    ]
    assert set(wb.library.list("judging")["category"]) == {"judging"}
    shipped = {each.name: each for category in official_categories() for each in category.templates}
    assert {name: wb.library.get(name) for name in NAMES} == shipped


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("INVOICE ocr", ["extract-line-items"]),
        ("100%", []),
        ("pair_", []),
        ("invoice\0ocr", ["extract-line-items"]),
    ],
)
def test_a_search_finds_templates_that_hold_every_word(wb, search, found):
    assert wb.library.list(search=search)["name"].tolist() == found


def test_unknown_names_say_what_was_meant(wb):
    with pytest.raises(UnknownReferenceError, match="did you mean 'route-ticket'"):
        wb.library.get("rout-ticket")
    with pytest.raises(UnknownReferenceError, match="did you mean 'judging'"):
        wb.library.list("juding")
    with pytest.raises(UnknownReferenceError, match="workbench library list"):
        wb.library.get("\0")
    with pytest.raises(UnknownReferenceError, match="did you mean"):
        wb.library.use("prooofread")
    assert wb.prompts.list() == []


def test_a_used_template_is_a_version_that_remembers_where_it_came_from(wb):
    template = wb.library.get("shorten-text")
    version = wb.library.use("shorten-text", tags=["mine"], note="for teasers")
    assert isinstance(version, PromptVersion)
    assert (version.ref, version.change) == ("shorten-text@1", "new")
    assert version.settings == template.settings == {"temperature": 0.2}
    assert version.note == "for teasers (from the library: shorten-text)"
    assert version.tags == ("mine", "library:shorten-text")
    assert parse_body(version.content, system=version.system_prompt).text == template.content
    assert wb.library.use(template).change == "same"
    assert wb.library.use("shorten-text", "teasers/short", settings={}).ref == "teasers/short@1"
    assert wb.prompts.get("teasers/short").settings == {}
    assert "one two" in version(words=5, text="one two").text


def test_a_title_that_is_not_allowed_stores_nothing(wb):
    with pytest.raises(NameTakenError):
        wb.library.use("proofread", "a@b")
    assert wb.prompts.list() == []


# --- one's own templates ---


def test_ones_own_template_is_private_until_it_is_public(wb, bobs_wb):
    wb.prompts.save(
        "tone", "system:\nBe terse.\n\\user:\nuser:\nTone of {{ text }}", tags=["style"], note="short"
    )
    kept = wb.library.add("tone", "my rules", use_cases=["reviews"], models=["claude"])
    assert (kept.name, kept.category, kept.description, kept.tags) == (
        "tone",
        "my rules",
        "short",
        ("style",),
    )
    assert (kept.author, kept.is_official, kept.is_public) == ("ann", False, False)
    wb.use("elsewhere")
    again = wb.library.use("tone")
    assert (again.content, again.system_prompt) == ("Tone of {{ text }}", "Be terse.\nuser:")
    assert "tone" not in set(bobs_wb.library.list()["name"])
    with pytest.raises(UnknownReferenceError):
        bobs_wb.library.get("tone")

    wb.library.add(again, "my rules", name="tone-for-all", public=True)
    assert bobs_wb.library.use("tone-for-all")(text="x").text == "Tone of x"
    with pytest.raises(UnknownReferenceError, match="you have no template"):
        bobs_wb.library.remove("tone-for-all")
    wb.library.remove("tone-for-all")
    assert "tone-for-all" not in set(bobs_wb.library.list()["name"])
    assert bobs_wb.prompts.list() == ["tone-for-all"]


def test_ones_own_comes_before_anothers_of_the_same_name(wb, bobs_wb):
    for one, words in ((wb, "Ann's"), (bobs_wb, "Bob's")):
        one.prompts.save("greet", words)
        one.library.add("greet", "letters", public=True)
    assert [one.library.get("greet").content for one in (wb, bobs_wb)] == ["Ann's", "Bob's"]
    bobs_wb.library.remove("greet")
    assert bobs_wb.library.get("greet").content == "Ann's"


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"name": "proofread"}, NameTakenError, "official template"),
        ({"name": "kept"}, NameTakenError, "you have a template 'kept'"),
        ({"name": "a@b"}, NameTakenError, "@"),
        ({"category": " "}, DataError, "1 to 100 characters"),
        ({"category": "x" * 101}, DataError, "1 to 100 characters"),
        ({"description": "a\0b"}, DataError, "NUL"),
        ({"answer_schema": {"x": object()}}, DataError, "the template"),
    ],
)  # fmt: skip
def test_what_cannot_be_published_is_refused_and_nothing_is_stored(wb, words, error, said):
    wb.prompts.save("kept", "Hello")
    wb.library.add("kept", "letters")
    before = wb.library.list()
    with pytest.raises(error, match=said):
        wb.library.add("kept", **{"category": "letters", "name": "other", **words})
    assert wb.library.list().equals(before)


def test_people_can_neither_fake_nor_change_what_is_official(wb, ann):
    insert = "INSERT INTO wb.prompt_library (category, name, content, is_official, is_public, created_by) VALUES ('x', 'y', 'z', %s, true, {})"
    for official, author in (
        (True, "NULL"),
        (True, "wb.me()"),
        (False, "NULL"),
        (False, "gen_random_uuid()"),
    ):
        with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.CheckViolation)):
            ann.execute(insert.format(author), [official])
    ann.execute(insert.format("wb.me()"), [False])
    for attack in (
        "UPDATE wb.prompt_library SET is_official = true",
        "UPDATE wb.prompt_library SET content = 'mine'",
        "INSERT INTO wb.model_families (name, title, rank, pattern) VALUES ('x', 'x', 0, '')",
        "UPDATE wb.model_families SET pattern = ''",
        "DELETE FROM wb.model_families",
        "UPDATE wb.model_configs SET best_practices = '{}'",
        "COMMENT ON SCHEMA wb IS 'x'",
        "DO $$ BEGIN LOCK TABLE wb.model_families IN SHARE ROW EXCLUSIVE MODE; END $$",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ann.execute(attack)
    assert ann.execute("DELETE FROM wb.prompt_library WHERE is_official").rowcount == 0
    assert len(wb.library.list().query("official")) == len(NAMES)


# --- refreshing the official rows ---


def rows(admin, table):
    return admin.execute(f"SELECT ctid, t.* FROM wb.{table} t ORDER BY 2").fetchall()


def test_the_owner_cannot_even_see_what_people_published(wb, admin):
    wb.prompts.save("mine", "Hello")
    wb.library.add("mine", "letters", public=True)
    admin.execute("SET ROLE wb_owner")
    assert admin.execute("SELECT count(*) FROM wb.prompt_library WHERE NOT is_official").fetchone() == (0,)
    assert admin.execute("UPDATE wb.prompt_library SET tags = '{x}' WHERE name = 'mine'").rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        admin.execute("INSERT INTO wb.prompt_library (category, name, content) VALUES ('a', 'b', 'c')")


def test_seeding_again_rewrites_no_template(seeded, admin):
    before = rows(admin, "prompt_library")
    seeded()
    assert rows(admin, "prompt_library") == before


def test_seeding_restores_changes_and_removes_what_vanished_and_leaves_people_alone(wb, seeded, admin, data):
    wb.prompts.save("mine", "Hello")
    wb.library.add("mine", "letters")
    ids = dict(admin.execute("SELECT name, id FROM wb.prompt_library").fetchall())
    admin.execute("UPDATE wb.prompt_library SET content = 'spoilt' WHERE name = 'proofread'")
    admin.execute("DELETE FROM wb.prompt_library WHERE name = 'judge-pair'")
    replace(data / "library" / "code.yaml", "name: explain-code", "name: mine")
    replace(data / "library" / "code.yaml", "category: code", "category: programming")
    seeded(data)
    found = dict(admin.execute("SELECT name, id FROM wb.prompt_library WHERE is_official").fetchall())
    assert sorted(found) == sorted([*(set(NAMES) - {"explain-code"}), "mine"])
    assert found["review-diff"] == ids["review-diff"]  # another category, the same row
    assert wb.library.get("review-diff").category == "programming"
    assert wb.library.get("proofread").content.startswith("system:\nYou are a proofreader.")
    assert wb.library.get("mine").content == "Hello"  # one's own comes first, and is untouched
    assert len(wb.library.list(search="mine").query("name == 'mine'")) == 2
    seeded()
    assert wb.library.get("mine").author == "ann"
    assert sorted(wb.library.list().query("official")["name"]) == sorted(NAMES)


def test_models_follow_their_family_and_an_administrators_words_stay(wb, seeded, admin, data):
    for model in ("openrouter/anthropic/claude-x", "openrouter/openai/gpt-4o", "openrouter/acme/new-thing"):
        register(wb, model)
    admin.execute("UPDATE wb.model_configs SET settings = '{\"top_p\": 0.5}' WHERE model_id LIKE '%gpt-4o'")
    admin.execute("UPDATE wb.model_configs SET best_practices = '{}' WHERE model_id LIKE '%claude-x'")
    replace(data / "families.yaml", "Role, rules and form of the answer; it applies", "It applies")
    replace(data / "families.yaml", "{temperature: 0, max_tokens: 4096}", "{temperature: 1}")
    replace(data / "families.yaml", "  - name: other", NEW_FAMILY + "  - name: other")
    seeded(data)
    claude, gpt, new = (
        wb.models.guide(name) for name in ("anthropic/claude-x", "openai/gpt-4o", "acme/new-thing")
    )
    assert claude.settings == {"temperature": 1}
    assert dict(claude.best_practices) == dict(FAMILIES["claude"].best_practices)
    assert gpt.settings == {"top_p": 0.5}
    assert dict(gpt.best_practices) == dict(FAMILIES["gpt"].best_practices)
    assert (new.family, dict(new.best_practices), new.settings) == ("acme", {"length": "Short."}, {"seed": 1})
    seeded()
    assert wb.models.guide("acme/new-thing").family == "other"
    assert wb.models.guide("acme/new-thing").settings == {}
    assert wb.models.guide("openai/gpt-4o").settings == {"top_p": 0.5}


NEW_FAMILY = """
  - name: acme
    title: Acme
    pattern: new-thing
    best_practices: {length: Short.}
    settings: {seed: 1}
"""


def test_two_that_seed_at_once_take_turns(seeded, admin, data):
    admin.execute("DELETE FROM wb.prompt_library")
    failures = []

    def run(place):
        try:
            seeded(place)
        except psycopg.Error as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(place,)) for place in (None, data, None, data)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert admin.execute("SELECT count(*) FROM wb.prompt_library").fetchone() == (len(NAMES),)
    assert admin.execute(SEEDED).fetchone() == (official_digest(),)


def test_an_upgrade_refreshes_and_a_command_that_looks_does_not(admin, admin_url):
    config = migrate._config(admin_url)
    admin.execute("DELETE FROM wb.prompt_library WHERE name = 'proofread'")
    count = "SELECT count(*) FROM wb.prompt_library WHERE is_official"
    command.current(config)
    assert admin.execute(count).fetchone() == (len(NAMES) - 1,)
    command.upgrade(config, "head")
    assert admin.execute(count).fetchone() == (len(NAMES),)


def test_going_below_the_library_keeps_what_people_published(wb, admin, admin_url):
    wb.prompts.save("mine", "Hello")
    wb.library.add("mine", "letters")
    register(wb, "openrouter/anthropic/claude-x")
    config = migrate._config(admin_url)
    command.downgrade(config, "0003")
    assert admin.execute("SELECT name FROM wb.prompt_library").fetchall() == [("mine",)]
    assert admin.execute("SELECT settings, best_practices FROM wb.model_configs").fetchall() == [({}, {})]
    command.upgrade(config, "head")
    assert wb.library.get("mine").content == "Hello"
    assert wb.models.guide("anthropic/claude-x").settings == FAMILIES["claude"].settings
    assert len(wb.library.list()) == len(NAMES) + 1


def test_the_embedded_database_follows_the_package_without_a_migration():
    with open_home() as home, cleaned(home):
        settings = Settings(home=home, model="fake/echo")
        with connect(settings=settings):
            pass
        with log_in(EmbeddedServer(home), migrate.DATABASE) as admin:
            admin.execute("DELETE FROM wb.prompt_library WHERE name = 'proofread'")
            admin.execute("COMMENT ON SCHEMA wb IS 'of another version'")
        told = []
        with connect(settings=settings, progress=told.append) as wb:
            assert wb.library.get("proofread").is_official
        assert told == ["refreshing the prompt library and the model guide"]


# --- the guide ---


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("openrouter/openai/gpt-4o-mini", "gpt"),
        ("openrouter/openai/chatgpt-4o-latest", "gpt"),
        ("openrouter/openai/gpt-3.5-turbo", "gpt"),
        ("openrouter/openai/gpt-5-chat", "gpt"),
        ("openrouter/openai/gpt-5-mini", "openai-reasoning"),
        ("openrouter/openai/o1", "openai-reasoning"),
        ("openai-direct/o4-mini", "openai-reasoning"),
        ("openrouter/openai/o3:free", "openai-reasoning"),
        ("ollama/gpt-oss:20b", "openai-reasoning"),
        ("openrouter/anthropic/claude-3.5-haiku", "claude"),
        ("openrouter/google/gemini-2.5-pro", "gemini"),
        ("openrouter/google/gemma-3-27b-it:free", "gemma"),
        ("openrouter/meta-llama/llama-3.3-70b-instruct", "llama"),
        ("ollama/llama3.2:3b", "llama"),
        ("ollama/codellama", "llama"),
        ("ollama/tinyllama", "llama"),
        ("ollama/mistral", "mistral"),
        ("openrouter/mistralai/mixtral-8x22b-instruct", "mistral"),
        ("openrouter/mistralai/codestral-2501", "mistral"),
        ("openrouter/qwen/qwen3-32b", "qwen"),
        ("openrouter/qwen/qwq-32b", "qwen"),
        ("ollama/Qwen2.5-Coder:7B", "qwen"),
        ("openrouter/deepseek/deepseek-chat-v3", "deepseek"),
        ("openrouter/deepseek/deepseek-r1-distill-llama-70b", "deepseek"),
        ("openrouter/microsoft/phi-4", "phi"),
        ("ollama/phi3:mini", "phi"),
        ("ollama/phi", "phi"),
        ("ollama/dolphin-mixtral", "mistral"),
        ("openrouter/cognitivecomputations/dolphin", "other"),
        ("local/smollm2", "smollm"),
        ("fake/echo", "fake"),
        ("qwen-box/llama3", "llama"),  # the name of an endpoint says nothing about its models
        ("gpt-4-rack/starling", "other"),
        ("ollama/starling", "other"),
        ("openrouter/x-ai/grok-4", "other"),
        ("", "other"),
    ],
)  # fmt: skip
def test_every_id_has_the_family_that_one_expects(ann, model, family):
    assert ann.execute("SELECT wb.model_family(%s)", [model]).fetchone() == (family,)


def test_a_model_that_is_registered_gets_its_familys_advice(wb, ann):
    register(wb, "openrouter/mistralai/mistral-small", context_length=32_000)
    stored = ann.execute("SELECT settings, best_practices FROM wb.model_configs").fetchone()
    assert stored == (FAMILIES["mistral"].settings, FAMILIES["mistral"].best_practices)


def test_a_guide_holds_advice_limits_price_and_templates(wb):
    register(
        wb, "openrouter/openai/gpt-4o-mini", context_length=128_000, max_tokens=16_384,
        price_prompt=Decimal("0.00000015"), price_completion=Decimal("0.0000006"),
    )  # fmt: skip
    guide = wb.models.guide("openai/gpt-4o-mini")
    assert wb.last is guide
    assert (guide.model, guide.family) == ("openrouter/openai/gpt-4o-mini", "gpt")
    assert list(guide.best_practices) == list(FAMILIES["gpt"].best_practices)  # in the order of the topics
    assert guide.facts == (
        "context 128,000 tokens · answers up to 16,384 tokens · $0.15 in, $0.60 out per million tokens"
    )
    assert "proofread" in guide.templates
    assert "temperature: 0 for classification" in str(guide)
    frame = wb.models.frame()
    assert frame.loc[0, ["model", "family", "context_length", "price_prompt", "settings"]].tolist() == [
        "openrouter/openai/gpt-4o-mini", "gpt", 128_000, 1.5e-7, "temperature 0",
    ]  # fmt: skip


def test_a_guide_needs_no_key_and_no_call(wb):
    assert wb.models.guide("claude").title == "Anthropic's Claude"
    assert wb.models.guide("local/smollm2").family == "smollm"  # its weights are not here
    assert wb.models.guide("x-ai/grok-4").family == "other"
    assert wb.models.guide("x-ai/grok-4").model == "openrouter/x-ai/grok-4"
    assert set(wb.models.frame()["family"]) == {"fake"}  # nothing was used yet, and nothing is configured
    with pytest.raises(UnknownModelError, match="did you mean 'claude'"):
        wb.models.guide("claud")
    with pytest.raises(UnknownModelError, match="is not a model id"):
        wb.models.guide("nothing-like-it\0")


# --- the command line ---


@pytest.fixture
def anns(monkeypatch, ann_url, capsys):
    """The command line as Ann; gives (exit code, stdout, stderr)."""
    monkeypatch.setenv("DATABASE_URL", ann_url.reveal())

    def run(*arguments):
        capsys.readouterr()
        return run_command(arguments), *capsys.readouterr()

    return run


def test_the_library_is_listed_shown_and_used_from_the_command_line(anns, wb):
    code, out, _ = anns("library", "list", "--category", "rewriting", "--json")
    assert code == 0
    assert {row["category"] for row in json.loads(out)} == {"rewriting"}
    assert "extract-line-items" in anns("library", "list", "--search", "invoice")[1]
    assert anns("library", "list", "--search", "zzz") == (0, "", "no template holds all of these words\n")
    shown = json.loads(anns("library", "show", "proofread", "--json")[1])
    assert shown["answer_schema"]["required"] == ["corrected", "changes"]
    assert 'p = wb.library.use("proofread")' in anns("library", "show", "proofread")[1]
    assert anns("library", "use", "proofread")[:2] == (0, "proofread@1 (new), variables: text\n")
    used = json.loads(
        anns("library", "use", "proofread", "--title", "mail", "--tag", "a", "--note", "b", "--json")[1]
    )
    assert used == {
        "ref": "mail@1",
        "change": "new",
        "tags": ["a", "library:proofread"],
        "note": "b (from the library: proofread)",
    }
    assert wb.prompts.list() == ["mail", "proofread"]
    code, _, err = anns("library", "show", "profread")
    assert (code, "did you mean 'proofread'?" in err) == (2, True)
    assert anns("library", "use", "proofread", "--project", "nowhere")[0] == 2


def test_the_guide_is_shown_where_a_model_is_chosen(anns, wb):
    register(wb, "openrouter/anthropic/claude-x", context_length=200_000)
    code, out, err = anns("models", "list")
    assert code == 0
    assert "claude" in out.split()
    assert "workbench models show MODEL" in err
    assert "few-shot: Three to five" in anns("models", "show", "anthropic/claude-x")[1]
    shown = json.loads(anns("models", "show", "anthropic/claude-x", "--json")[1])
    assert (shown["family"], shown["context_length"]) == ("claude", 200_000)
    assert anns("models", "show", "claud")[0] == 2
