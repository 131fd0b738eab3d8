"""Saving, labelling, rolling back, forking, renaming and archiving, against a model that is a few dicts.

And several processes that save one title at the same time: nothing collides, nothing is written twice.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from workbench.errors import InputError, NameTakenError

ROOT = Path(__file__).parents[2]
TITLES = ("tone", "mood", "a/b", "ünï")
TEXTS = ("A", "B {{ x }}", "C", "{% raw %}{{{% endraw %}")
LABELS = ("prod", "test")


class Family:
    """What the workbench should know of one prompt."""

    def __init__(self, texts, source=None):
        self.texts, self.latest, self.labels = list(texts), len(texts), {}
        self.archived, self.source = False, source


class Prompts(RuleBasedStateMachine):
    """Each example has a project of its own."""

    wb = None
    count = 0

    def __init__(self):
        super().__init__()
        Prompts.count += 1
        self.wb.use(f"example {Prompts.count}")
        self.model = {}

    @rule(title=st.sampled_from(TITLES), text=st.sampled_from(TEXTS), note=st.sampled_from(("", "why")))
    def save(self, title, text, note):
        family = self.model.get(title)
        if family is not None and family.archived and text not in family.texts:
            with pytest.raises(NameTakenError, match="archived"):
                self.wb.prompts.save(title, text, note=note)
            return
        saved = self.wb.prompts.save(title, text, note=note)
        family = self.model.setdefault(title, Family([]))
        known = text in family.texts
        if not known:
            family.texts.append(text)
        family.latest = family.texts.index(text) + 1
        assert (saved.version, saved.change) == (family.latest, "same" if known else "new")

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def roll_back(self, data):
        title, family = self._any(data)
        family.latest = data.draw(st.integers(1, len(family.texts)))
        assert self.wb.prompts.rollback(title, family.latest).content == family.texts[family.latest - 1]

    @precondition(lambda self: self.model)
    @rule(data=st.data(), name=st.sampled_from(LABELS))
    def label(self, data, name):
        title, family = self._any(data)
        version = data.draw(st.integers(1, len(family.texts)))
        family.labels[name] = version
        self.wb.prompts.label(f"{title}@{version}", name)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), name=st.sampled_from(LABELS))
    def unlabel(self, data, name):
        title, family = self._any(data)
        if name in family.labels:
            self.wb.prompts.unlabel(title, name)
            del family.labels[name]
        else:
            with pytest.raises(InputError):
                self.wb.prompts.unlabel(title, name)

    @precondition(lambda self: self.model)
    @rule(data=st.data(), new=st.sampled_from(TITLES))
    def fork(self, data, new):
        title, family = self._any(data)
        version = data.draw(st.integers(1, len(family.texts)))
        taken = self.model.get(new)
        if taken is not None and taken.source != (family, version):
            with pytest.raises(NameTakenError):
                self.wb.prompts.fork(f"{title}@{version}", new)
            return
        assert self.wb.prompts.fork(f"{title}@{version}", new).content == family.texts[version - 1]
        if taken is None:
            self.model[new] = Family([family.texts[version - 1]], source=(family, version))

    @precondition(lambda self: self.model)
    @rule(data=st.data(), new=st.sampled_from(TITLES))
    def rename(self, data, new):
        title, family = self._any(data)
        if new in self.model and new != title:
            with pytest.raises(NameTakenError):
                self.wb.prompts.rename(title, new)
            return
        self.wb.prompts.rename(title, new)
        del self.model[title]
        self.model[new] = family

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def archive_or_restore(self, data):
        title, family = self._any(data)
        (self.wb.prompts.restore if family.archived else self.wb.prompts.archive)(title)
        family.archived = not family.archived

    @invariant()
    def the_workbench_knows_the_same(self):
        assert self.wb.prompts.list(archived=True) == sorted(self.model)
        assert self.wb.prompts.list() == sorted(t for t, f in self.model.items() if not f.archived)
        for title, family in self.model.items():
            history = self.wb.prompts.history(title)
            assert history["content"].tolist() == family.texts[::-1]
            assert history["version"].tolist() == list(range(len(family.texts), 0, -1))
            assert self.wb.prompts.get(title).version == family.latest
            for name, version in family.labels.items():
                assert self.wb.prompts.get(f"{title}@{name}").version == version

    def _any(self, data):
        title = data.draw(st.sampled_from(sorted(self.model)))
        return title, self.model[title]


def machine(wb):
    """Return the machine that drives this workbench."""
    return type("Prompts", (Prompts,), {"wb": wb})


QUICK = settings(
    max_examples=10, stateful_step_count=15, deadline=None, database=None,
    suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink),
)  # fmt: skip


def test_prompts_behave_like_their_model(wb):
    run_state_machine_as_test(machine(wb), settings=QUICK)


@pytest.mark.slow
def test_prompts_behave_like_their_model_for_long(wb):
    run_state_machine_as_test(machine(wb), settings=settings(QUICK, max_examples=30, stateful_step_count=30))


SAVER = """
import sys
import workbench
number, project = int(sys.argv[1]), sys.argv[2]
with workbench.connect(project=project) as wb:
    print("ready", flush=True)
    sys.stdin.readline()
    for n in range(12):
        wb.prompts.save("tone", f"text {(number + n) % 12}")
        wb.prompts.save("tone", f"text of {number}, {n}")
"""


def test_eight_processes_save_one_title_and_nothing_collides(wb, ann_url, tmp_path):
    environment = {"DATABASE_URL": ann_url.reveal(), "PYTHONPATH": str(ROOT), "WORKBENCH_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SAVER, str(number), wb.project],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(8)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, complaints = process.communicate(timeout=120)
        assert process.returncode == 0, complaints
    history = wb.prompts.history("tone")
    assert sorted(history["version"]) == list(range(1, 12 + 8 * 12 + 1))
    assert max(Counter(history["content"]).values()) == 1
    with psycopg.connect(ann_url.reveal()) as connection:
        latest = connection.execute("SELECT count(*) FROM wb.prompt_labels WHERE name = 'latest'").fetchone()
    assert latest == (1,)
