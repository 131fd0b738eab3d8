"""Import and export by the command line: exit codes, JSON, what is printed where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.cli.app import run_command

DATA = Path(__file__).parents[1] / "data" / "exchange"


@pytest.fixture
def anns(monkeypatch, tmp_path, capsys, ann_url):
    """Run a command line as Ann, on a fresh database; gives (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", ann_url.reveal())

    def run(*arguments):
        capsys.readouterr()
        code = run_command([str(each) for each in arguments])
        return code, *capsys.readouterr()

    return run


def test_prompts_go_from_one_project_to_another_and_back(anns, tmp_path):
    code, out, err = anns("import", DATA / "promptfoo" / "promptfooconfig.yaml")
    assert code == 0
    assert "(promptfoo) → project 'default': 5 new, 0 same" in out
    assert "dataset Tone of reviews@1" in out
    assert "versions 5 of 5" in err
    assert anns("prompt", "export", "--dir", "a")[0] == 0
    code, out, _ = anns("prompt", "import", "--dir", "a", "--project", "other", "--create")
    assert (code, "5 new" in out) == (0, True)
    assert anns("prompt", "export", "--dir", "b", "--project", "other")[0] == 0

    def files(name):
        folder = tmp_path / name
        return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    assert files("a") == files("b")
    assert len(files("a")) == 10
    code, out, _ = anns("import", "a", "--project", "other", "--json")
    report = json.loads(out)
    assert (code, report["new"], report["same"], report["format"]) == (0, 0, 5, "folder")


def test_a_bad_record_is_told_and_the_exit_code_says_so(anns):
    code, out, err = anns("import", DATA / "langfuse.json")
    assert code == 1
    assert "3 new, 0 same, 1 failed" in out
    assert "failed: record 4, broken: message 1 has the role 'tool'" in out
    assert "Traceback" not in out + err
    code, out, _ = anns("import", DATA / "langfuse.json", "--json")
    report = json.loads(out)
    assert (code, report["same"]) == (1, 3)
    assert report["failures"] == [
        {
            "place": "record 4",
            "title": "broken",
            "reason": "message 1 has the role 'tool'; the roles are system, user and assistant",
        }
    ]


def test_files_are_written_in_the_format_of_their_name(anns, tmp_path):
    anns("import", DATA / "mlflow.json")
    code, out, _ = anns("export", "all.jsonl", "--json")
    assert (code, json.loads(out)["versions"]) == (0, 4)
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert {line["title"] for line in lines} == {"chat", "jinja", "summarise"}
    code, out, _ = anns(
        "export", "promptfooconfig.yaml", "--prompt", "summarise@production", "--prompt", "chat"
    )
    assert (code, "2 prompts, 2 versions → promptfooconfig.yaml (promptfoo)" in out) == (0, True)
    code, out, _ = anns("prompt", "export", "one.jsonl", "--prompt", "summarise@1")
    assert (code, "1 prompts, 1 versions" in out) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["import", "missing.json"], "there is no file missing.json"),
        (["import", "garbage.txt"], "the format of the file is not known"),
        (["import", "garbage.txt", "--format", "langfuse"], "is no JSON: line 1"),
        (["import", "garbage.txt", "--project", "typo"], "there is no project 'typo'"),
        (["prompt", "import"], "name one place"),
        (["prompt", "export", "x", "--dir", "y"], "name one place"),
        (["export", "x.jsonl"], "has no prompts to write"),
        (["export", "x.jsonl", "--prompt", "tone"], "has no prompt 'tone'"),
    ],
)
def test_what_cannot_be_done_is_two_lines_and_exit_code_2(anns, tmp_path, arguments, said):
    (tmp_path / "garbage.txt").write_text("hello")
    code, out, err = anns(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert "Traceback" not in err
    assert not (tmp_path / "x.jsonl").exists()


def test_an_empty_project_gives_an_empty_folder(anns, tmp_path):
    code, out, _ = anns("prompt", "export", "--dir", "a")
    assert (code, "0 prompts, 0 versions" in out) == (0, True)
    assert list((tmp_path / "a").iterdir()) == []
