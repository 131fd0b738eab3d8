"""What a template gives is what Jinja2 itself gives, wherever both give something."""

from __future__ import annotations

from functools import cache

import hypothesis.strategies as st
from hypothesis import given, settings
from jinja2 import StrictUndefined
from jinja2 import Template as JinjaTemplate
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workbench.core.templates import Template
from workbench.errors import TemplateError

JINJA = ImmutableSandboxedEnvironment(
    comment_start_string="{##", comment_end_string="##}", trim_blocks=True, lstrip_blocks=True,
    keep_trailing_newline=True, undefined=StrictUndefined,
)  # fmt: skip

WORDS = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=12).filter(
    lambda t: "{" not in t
)
VALUES = st.fixed_dictionaries(
    {
        "s": st.text(max_size=30).filter(lambda text: "\x00" not in text),
        "w": WORDS,
        "n": st.integers(-50, 50),
        "f": st.floats(-100, 100).map(lambda x: round(x, 3)),
        "l": st.lists(WORDS, max_size=5),
        "m": st.lists(st.integers(-9, 9), max_size=5),
        "d": st.dictionaries(st.sampled_from(["a", "b", "c"]), WORDS, min_size=1),
        "r": st.lists(st.fixed_dictionaries({"a": WORDS, "n": st.integers(0, 9)}), max_size=4),
    }
)
OUTPUTS = st.sampled_from(
    [
        "{{ s }}", "{{ s | upper }}", "{{ s | lower }}", "{{ w | title }}", "{{ s | capitalize }}", "{{ s | trim }}",
        "{{ w | trim('a') }}", "{{ s | length }}", "{{ s | truncate(8) }}", "{{ w | truncate(6, true) }}",
        "{{ s | truncate(6, false, '…') }}", "{{ s | replace('a', 'bc') }}", "{{ w | replace('', '-') }}",
        "{{ w | replace('a', 'b', 1) }}", "{{ s | indent }}", "{{ s | indent(2, true) }}", "{{ s | indent(3, blank=true) }}",
        "{{ w | wordcount }}", "{{ w | list | join('-') }}", "{{ l | join(', ') }}", "{{ r | join('/', attribute='a') }}",
        "{{ l | sort | join }}", "{{ l | sort(reverse=true) | join('|') }}", "{{ l | sort(case_sensitive=true) | join('|') }}",
        "{{ r | sort(attribute='n') | join('|', attribute='a') }}", "{{ l | unique | join('|') }}",
        "{{ m | unique | join('|') }}", "{{ l }}", "{{ m }}", "{{ d }}", "{{ d.a | default('none') }}", "{{ n }}", "{{ f }}",
        "{{ f | round }}", "{{ f | round(1) }}", "{{ n | round }}", "{{ f | int }}", "{{ w | int }}", "{{ w | int(7) }}",
        "{{ w | float(1.5) }}", "{{ n | string | length }}", "{{ l | first | default('-', true) }}", "{{ m | length }}",
        "{{ d | length }}", "{{ s[1:3] }}", "{{ l[:2] }}", "{{ m[::2] }}", "{{ 'a' if n > 3 else 'b' }}",
        "{{ n < f }}", "{{ n in m }}", "{{ w not in l }}", "{{ 1 < n <= 9 }}", "{{ not n }}", "{{ n and w }}", "{{ n or w }}",
        "{{ n is even }}", "{{ w is string }}", "{{ n is number }}", "{{ d is mapping }}", "{{ l is sequence }}",
        "{{ d.c is defined }}", "{{ w is none }}", "{{ -3 }}", "{{ s | upper | lower | reverse }}", "{{ none is none }}",
    ]
)  # fmt: skip
TEXTS = st.sampled_from(
    [" ", "\n", "a b", "  \n", "{# x #}", '{"a": 1}', "{## hidden ##}", "{## hidden ##}\n", "é"]
)


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    blocks = st.sampled_from(
        [
            "{{% if n > 0 %}}{}{{% endif %}}", "  {{% if w in l %}}\n{}\n  {{% elif n %}}e{{% else %}}\nf\n{{% endif %}}\n",
            "{{% for x in m %}}{}{{{{ loop.index }}}}{{{{ x }}}}{{% endfor %}}",
            "{{% for x in l if x %}}\n{}{{{{ x }}}} {{{{ loop.last }}}} {{{{ loop.revindex0 }}}}\n{{% else %}}none{{% endfor %}}",
            "{{% for k, v in d | items %}}{{{{ k }}}}{}{{{{ v }}}}{{% endfor %}}", "{{%- if s -%}} {} {{%- endif +%}}\n",
            "{{% for k in d %}}{{{{ k }}}}{}{{% endfor %}}",
        ]
    )  # fmt: skip
    return st.tuples(blocks, inner).map(lambda pair: pair[0].format(pair[1]))


TEMPLATES = st.recursive(
    OUTPUTS | TEXTS, lambda inner: wrapped(inner) | st.lists(inner, max_size=3).map("".join), max_leaves=6
)


@cache
def compiled(text: str) -> JinjaTemplate:
    return JINJA.from_string(text)


def agrees(text: str, values: dict[str, object]) -> bool:
    """Whether both rendered; asserts that they then rendered the same."""
    try:
        ours = Template.parse(text).render(values)
    except TemplateError:
        return False
    try:
        theirs = compiled(text).render(values)
    except (JinjaError, TypeError, ValueError, IndexError):
        return False
    assert ours == theirs
    return True


@settings(max_examples=100, deadline=None)
@given(TEMPLATES, VALUES)
def test_the_text_is_what_jinja_gives(text, values):
    agrees(text, values)


def test_the_comparison_is_no_empty_one():
    values = {"s": "a text\nof lines", "w": "abc", "n": 4, "f": 1.25, "l": ["b", "a"], "m": [3, 1, 3],
              "d": {"a": "x"}, "r": [{"a": "q", "n": 1}]}  # fmt: skip
    outputs = OUTPUTS.elements  # type: ignore[attr-defined]
    assert all(agrees(text, values) for text in outputs)
