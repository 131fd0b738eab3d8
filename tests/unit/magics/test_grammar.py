"""Any line gives a value or an OptionError that says what to write."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from workbench.core.refs import Ref
from workbench.errors import OptionError
from workbench.magics.grammar import PromptLine, Variable, format_help, parse_ab, parse_command, parse_line
from workbench.magics.options import read_options, split_line
from workbench.magics.reference import reference
from workbench.magics.tables import (
    AB_OPTIONS,
    AB_VERBS,
    COMMAND_OPTIONS,
    COMMAND_VERBS,
    EXAMPLES,
    PROMPT_OPTIONS,
)


def test_an_empty_line_is_all_defaults():
    assert parse_line("") == PromptLine()
    assert parse_line("  # only a comment, isn't it") == PromptLine()


def test_every_option_of_a_prompt_is_read():
    line = parse_line(
        "summarise -m openai/gpt-4o-mini --model local/smollm2 -s 'Be brief.' -p a=1 -p b:='{\"k\": [1, null]}' -p c=@doc "
        "-o top_p=0.5 -o stop=END -o echo=true -o stops:='[\"x\"]' -t 0 --max-tokens 8 --seed 7 -f json --schema person "
        "-d @reviews -r 3 -j 8 -c equals:@label -c 'regex:\\d+' --judge helpful --judge kind --vs prod -S tone -N "
        '-w rules@2 --from prompts/tone.md --label beta --tag a --tag b --note "it\'s new" --budget 0.50 --dry-run '
        "--no-cache --fresh --retry-errors --bg --raw --yes -q"
    )
    assert line == PromptLine(
        refs=(Ref("summarise"),), models=("openai/gpt-4o-mini", "local/smollm2"), system="Be brief.",
        parameters={"a": "1", "b": {"k": [1, None]}, "c": Variable("doc")},
        options={"top_p": 0.5, "stop": "END", "echo": True, "stops": ["x"]}, temperature=0.0, max_tokens=8, seed=7,
        format="json", schema="person", data="@reviews", samples=3, concurrency=8, checks=("equals:@label", r"regex:\d+"),
        judges=("helpful", "kind"), vs="prod", save_as="tone", no_execute=True, includes=(Ref("rules", version=2),),
        source="prompts/tone.md", label="beta", tags=("a", "b"), note="it's new", budget=0.5, dry_run=True, no_cache=True,
        fresh=True, retry_errors=True, background=True, raw=True, yes=True, quiet=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "store", "show", "title"),
    [
        ("ans << tone", "ans", False, "tone"),
        ("ans =<< tone", "ans", True, "tone"),
        ("ans<<tone", "ans", False, "tone"),
        (" ans  << ", "ans", False, None),
        ("été << tone", "été", False, "tone"),
        ("tone --note 'a << b'", None, True, "tone"),
    ],
)
def test_a_result_goes_into_a_variable(line, store, show, title):
    parsed = parse_line(line)
    assert (parsed.store, parsed.show) == (store, show)
    assert parsed.refs == ((Ref(title),) if title else ())


@pytest.mark.parametrize(
    ("line", "option", "value"),
    [
        ("--temperature=0.5", "temperature", 0.5),
        ("-t0.5", "temperature", 0.5),
        ("-r3", "samples", 3),
        ("--note=a=b", "note", "a=b"),
        ("--note -1", "note", "-1"),
        ("--system ''", "system", ""),
        ("x -p k='two words'", "parameters", {"k": "two words"}),
        ("x -p k=a=b", "parameters", {"k": "a=b"}),
        ("x -p k=", "parameters", {"k": ""}),
        ("x -o n=007", "options", {"n": "007"}),
        ("x -o n=NaN", "options", {"n": "NaN"}),
        ("x -o n=1e999", "options", {"n": "1e999"}),
        ("x -o n=null", "options", {"n": "null"}),
        ("x --tag a#1 # a comment", "tags", ("a#1",)),
    ],
)
def test_the_forms_of_an_option(line, option, value):
    assert getattr(parse_line(line), option) == value


@pytest.mark.parametrize(
    ("line", "message", "cure"),
    [
        ("tone --modle x", "no option '--modle'", "did you mean '--model'?"),
        ("tone -z", "no option '-z'", "%prompt --help"),
        ("tone -Nq", "not joined", "write -N -q"),
        ("tone -t 3", "-t must be a number from 0 to 2, not '3'", "-t T"),
        ("tone -t nan", "must be a number", ""),
        ("tone -t hot", "must be a number", ""),
        ("tone -r 0", "from 1 to 1,000", ""),
        ("tone -r 2.5", "whole number", ""),
        ("tone --budget 0", "above 0", ""),
        ("tone -m", "-m needs a value", "write -m ID"),
        ("tone -m -t 0", "-m needs a value", "write -m ID"),
        ("tone -d a -d b", "-d is given twice", ""),
        ("tone -p a=1 -p a=2", "-p a is given twice", ""),
        ("tone --yes=1", "takes no value", ""),
        ("tone -p a", "must be name=text", ""),
        ("tone -p 1a=b", "variable's name", ""),
        ("tone -p a:={", "must hold JSON", ""),
        ("tone -p a:=" + "[" * 100_000, "must hold JSON", ""),
        ("tone -p a:=NaN", "must hold JSON", ""),
        ("tone -p a=@x-y", "name a variable after @", ""),
        ("tone -f pdf", "must be one of text, markdown", ""),
        ("tone -c Equals", "-c: 'Equals' is no scorer", "name:argument"),
        ("tone -S scratch/a", "system's own", ""),
        ("tone --label v3", "looks like a version", ""),
        ("tone@0", "no reference", "title@3"),
        ("customer tone", "one title, not 2", "quotes"),
        ("tone text=hello", "'text=hello' is no title", "-p text=hello"),
        ("--vs prod", "--vs needs a title", "TITLE --vs prod"),
        ("my-ans << tone", "'my-ans' before << cannot", "ans <<"),
        ("class << tone", "'class' before << cannot", ""),
        ("<< tone", "before << cannot", ""),
        ("a << b << c", "<< stands after one name", ""),
        ("tone --note don't", "quote ' in don't is not closed", "other quotes"),
        ('tone --note "x', 'quote " in "x is not closed', ""),
        (r"tone -c regex:\d+", r"backslash in \d+ would get lost", "single quotes"),
        ("tone \\", "ends in a backslash", ""),
    ],
)
def test_a_line_that_does_not_parse_says_what_to_write(line, message, cure):
    with pytest.raises(OptionError) as caught:
        parse_line(line)
    assert message in caught.value.message
    assert caught.value.message.startswith("%%prompt: ")
    assert cure in caught.value.cure


def test_a_line_magic_takes_several_prompts_and_a_cell_one():
    assert len(parse_line("tone@1 tone@2", magic="%prompt").refs) == 2
    with pytest.raises(OptionError):
        parse_line("tone@1 tone@2", magic="%%prompt")


def test_a_test_of_two_arms_is_read():
    line = parse_ab(
        "res << run classify@3 classify@4 other -d reviews --metric pass --budget 2 --mde 0.05 --margin 0.02 --alpha 0.01 "
        "--power 0.9 --design anytime -m local/smollm2 -c equals:@label --samples 2 --name tone-test --guard cost --yes -q"
    )
    assert (line.verb, line.store, line.show) == ("run", "res", False)
    assert line.refs == (Ref("classify", version=3), Ref("classify", version=4), Ref("other"))
    assert (line.metric, line.budget, line.mde, line.margin) == ("pass", 2, 0.05, 0.02)
    assert (line.alpha, line.power, line.design, line.samples) == (0.01, 0.9, "anytime", 2)
    assert (line.name, line.guards, line.checks, line.test) == (
        "tone-test",
        ("cost",),
        ("equals:@label",),
        None,
    )


def test_a_test_that_exists_is_named():
    assert parse_ab("confirm res --holdout").test == "res"
    assert parse_ab("confirm res --holdout").holdout
    assert parse_ab("run res").test == "res"
    assert parse_ab("list").test is None


@pytest.mark.parametrize(
    ("line", "message", "cure"),
    [
        ("", "needs a verb", "%ab plan"),
        ("classify@3 classify@4", "'classify@3' is no verb", "the verb comes first"),
        ("runn a b", "'runn' is no verb", "did you mean 'run'?"),
        ("run", "two prompts, or the name of a test", "%ab res << run"),
        ("show", "the name of one test", "%ab show"),
        ("show a b", "the name of one test", "%ab show"),
        ("list a", "list takes no names", "%ab show a"),
        ("run a b --design often", "must be one of fixed", ""),
        ("run a b --alpha 0", "above 0", ""),
        ("run a b@0", "no reference", ""),
    ],
)
def test_a_wrong_line_of_a_test_says_what_to_write(line, message, cure):
    with pytest.raises(OptionError) as caught:
        parse_ab(line)
    assert message in caught.value.message
    assert cure in caught.value.cure


def test_a_command_is_a_verb_and_words():
    line = parse_command("diffs << diff classify@3 classify@4 -n 5")
    assert (line.verb, line.words, line.limit, line.store) == (
        "diff",
        ("classify@3", "classify@4"),
        5,
        "diffs",
    )
    with pytest.raises(OptionError, match="'histroy' is no verb"):
        parse_command("histroy x")


@pytest.mark.parametrize("magic", ["prompt", "ab", "promptcmd"])
def test_help_names_every_option_and_its_examples_parse(magic):
    parse = {"prompt": parse_line, "ab": parse_ab, "promptcmd": parse_command}[magic]
    options = {"prompt": PROMPT_OPTIONS, "ab": AB_OPTIONS, "promptcmd": COMMAND_OPTIONS}[magic]
    text = format_help(f"%{magic}")
    assert all(name in text for option in options for name in option.names)
    assert all(verb in text for verb in {"ab": AB_VERBS, "promptcmd": COMMAND_VERBS}.get(magic, ()))
    assert all(len(line) <= 110 for line in text.splitlines())
    for example in EXAMPLES[magic]:
        name, _, line = example.partition(" ")
        parse(line, magic=name)
    assert parse("--help").help


@pytest.mark.parametrize(
    ("options", "line"), [(PROMPT_OPTIONS, PromptLine), (AB_OPTIONS, None), (COMMAND_OPTIONS, None)]
)
def test_no_name_is_used_twice_and_each_option_has_its_field(options, line):
    names = [name for option in options for name in option.names]
    assert len(set(names)) == len(names)
    if line is not None:
        assert {option.field for option in options} | {"store", "show", "refs"} == set(line.__slots__)


PIECES = st.sampled_from(
    ["ans", "<<", "=<<", " ", " ", " ", "tone", "@", "3", "-", "-m", "-p", "-t", "--", "--note", "--vs", "=", ":=", "'", '"',
     "\\", "#", "\n", "é", "\0", "run", "plan", "list", "{", "[1]", "-o", "-c", "regex:", "equals:@x", "--help", "-h", "1e9",
     "--seed", "9" * 5_000, "-N", "-r"]
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.text() | st.lists(PIECES, max_size=14).map("".join))
def test_any_text_gives_a_line_or_an_option_error(text):
    for parse in (parse_line, parse_ab, parse_command):
        with suppress(OptionError):
            parse(text)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(alphabet="ab 'é#\"<=@", max_size=6), max_size=5))
def test_quoted_words_come_back_as_they_were(words):
    quoted = " ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)
    assert split_line(quoted, magic="%x") == words


def test_reading_options_leaves_the_table_alone():
    read_options(["-p", "a=1"], PROMPT_OPTIONS, magic="%x")
    values, _ = read_options([], PROMPT_OPTIONS, magic="%x")
    assert values["parameters"] == {}


def test_the_reference_page_is_what_the_tables_say():
    page = Path(__file__).parents[3] / "docs" / "reference" / "magics.md"
    assert page.read_text() == reference(), "python -m workbench.magics.reference > docs/reference/magics.md"
