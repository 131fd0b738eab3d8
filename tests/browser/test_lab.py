"""The workbench as a person meets it: notebooks in a real JupyterLab, in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.lab import chromium, running_lab
from tests.embedded_help import CHECKOUT
from tests.servers import Reply, ScriptedServer, completion, sse, stream_chunks

pytestmark = pytest.mark.browser

CONNECT = "import pandas as pd, workbench\n%load_ext workbench\nwb = workbench.connect(project={project!r})"
FIRE = "window.fired=(window.fired||0)+1"
ATTACKS = [
    f"<img src=x onerror='{FIRE}'>",
    f"<script>{FIRE}</script>",
    f"<svg onload='{FIRE}'></svg>",
    f"<iframe srcdoc='<script>parent.{FIRE}</script>'></iframe>",
    f"[click](javascript:{FIRE})",
    f"$\\href{{javascript:{FIRE}}}{{x}}$",
]


def half_an_answer(_asked):
    pieces = sse(stream_chunks(["Half an ", "answer"])[:2], done=False)
    return Reply(
        body=(pieces, 60.0), framing="chunked", headers={"Content-Type": "text/event-stream"}, end="hang"
    )


@pytest.fixture(scope="module")
def endpoints():
    """A model that begins to answer and never ends, one that takes its time, and one that takes less."""
    quiet, soon = (Reply(**{**vars(completion("good")), "delay": seconds}) for seconds in (0.4, 0.1))
    with (
        ScriptedServer(half_an_answer) as hanging,
        ScriptedServer(quiet) as patient,
        ScriptedServer(soon) as quick,
    ):
        yield {"hanging": hanging, "patient": patient, "quick": quick}


@pytest.fixture(scope="module")
def lab(endpoints):
    named = {f"WORKBENCH_ENDPOINT_{name.upper()}": server.url for name, server in endpoints.items()}
    with chromium() as browser, running_lab(browser, WORKBENCH_MODEL="fake/sentiment", **named) as running:
        yield running


def kinds(cell):
    return [output.output_type for output in cell.outputs]


def test_the_quickstart_runs_to_its_verdict_with_one_output_a_cell(lab):
    shutil.copy(CHECKOUT / "notebooks" / "01_quickstart.ipynb", lab.folder)
    notebook = lab.open("01_quickstart.ipynb")
    notebook.run()
    cells = {cell.id: cell for cell in notebook.saved().cells if cell.cell_type == "code"}
    assert all(len(cell.outputs) <= 1 for cell in cells.values())
    assert not [cell for cell in cells.values() if {"error", "stream"} & set(kinds(cell))]
    asking = [cell for cell in cells.values() if cell.source.startswith(("%%prompt", "%ab"))]
    assert len(asking) == 4
    assert all(kinds(cell) == ["execute_result"] for cell in asking)
    card = notebook.shown(index_of(notebook, "%ab verdict")).locator(".wb-comparison")
    expect(card).to_be_visible()
    expect(card).to_contain_text("INCONCLUSIVE")
    assert [error for error in notebook.errors if "jupysql-plugin" not in error] == []


def index_of(notebook, beginning):
    sources = [cell.source for cell in notebook.saved().cells]
    return next(i for i, source in enumerate(sources) if source.startswith(beginning))


def test_an_answer_streams_and_an_interrupt_keeps_what_had_arrived(lab):
    words = " ".join(f"word{n}" for n in range(20))
    cells = [
        CONNECT.format(project="streaming"),
        f"%%prompt slow -m fake/slow\n{words}",
        "(_ is Out[2], _.text)",
        "%%prompt half -m hanging/model\nGo on.",
        "1 + 1",
        "%%prompt ans << slow -m fake/slow\nanother text",
        "print('before')\nfor n in 'ab':\n    r = %prompt slow -m fake/upper\n    print(n, r)",
    ]
    notebook = lab.open(lab.write("streaming.ipynb", cells))
    notebook.run(0)
    notebook.start(1)
    expect(notebook.shown(1)).to_contain_text("word1 ")
    assert "word19" not in notebook.shown(1).inner_text()
    notebook.wait()
    notebook.run(2)
    assert [output["output_type"] for output in notebook.outputs(1)] == ["execute_result"]
    assert notebook.shown(1).locator(".wb-text").inner_text() == words
    expect(notebook.shown(1).locator(".wb-status")).to_contain_text("slow v1 (new) · fake/slow")
    expect(notebook.shown(2)).to_contain_text(f"(True, '{words}')")

    notebook.start(3)
    expect(notebook.shown(3)).to_contain_text("Half an answer")
    notebook.interrupt()
    notebook.wait(5)
    kept, error = notebook.outputs(3)
    assert kept["data"]["text/plain"] == "Half an answer"
    assert "▌" not in notebook.shown(3).inner_text()
    assert error["ename"] == "RunInterruptedError"
    assert len("".join(error["traceback"]).splitlines()) == 2
    row = "SELECT status, error_code, answer FROM wb.executions WHERE answer = 'Half an answer'"
    assert lab.rows(row) == [("unknown", "interrupted", "Half an answer")]
    notebook.run(4)
    expect(notebook.shown(4)).to_contain_text("2")
    notebook.run(5)
    assert notebook.shown(5).inner_text().startswith("slow v2 (new, +1/-1 lines)")
    notebook.run(6)
    assert [output["text"] for output in notebook.outputs(6)] == ["before\na ANOTHER TEXT\nb ANOTHER TEXT\n"]


def test_an_interrupted_test_is_completed_without_a_second_call(lab, endpoints):
    cells = [
        CONNECT.format(project="interrupt"),
        "cases = pd.DataFrame({'text': [f'text {n}' for n in range(40)], 'label': ['good', 'bad'] * 20})",
        "%%prompt one -N\nIs this good or bad? {{ text }}",
        "%%prompt two -N\nGood or bad? {{ text }}",
        "%ab run one two -d cases -c equals:@label -m patient/model",
    ]
    notebook = lab.open(lab.write("interrupt.ipynb", cells))
    for index in range(4):
        notebook.run(index)
    notebook.start(4)
    expect(notebook.shown(4)).to_contain_text(re.compile(r"(1[6-9]|[2-4]\d)/80"))
    notebook.interrupt()
    notebook.wait(10)
    bar, error = notebook.outputs(4)
    assert error["ename"] == "RunInterruptedError"
    assert "/80" in bar["data"]["text/plain"]
    before = len(endpoints["patient"].asked)
    assert 16 <= before < 80
    notebook.run(4)
    assert [output["output_type"] for output in notebook.outputs(4)] == ["execute_result"]
    expect(notebook.shown(4).locator(".wb-comparison")).to_contain_text("n = 40 paired cases")
    asked = [str(call.json["messages"]) for call in endpoints["patient"].asked]
    assert (len(asked), len(set(asked))) == (80, 80)
    counts = "SELECT n_planned, (SELECT count(*) FROM wb.executions e WHERE e.run_id = r.id AND status = 'done') FROM wb.runs r WHERE n_planned = 80"
    assert lab.rows(counts) == [(80, 80)]


def test_a_run_whose_kernel_was_killed_goes_on_and_no_case_is_paid_for_twice(lab, endpoints):
    cells = [
        CONNECT.format(project="killed"),
        "import os\nprint(os.getpid())",
        "cases = pd.DataFrame({'text': [f'case {n}' for n in range(500)]})",
        "%%prompt paid -d cases -m quick/model -j 16 --yes\nAnswer {{ text }}",
    ]
    notebook = lab.open(lab.write("killed.ipynb", cells))
    for index in range(3):
        notebook.run(index)
    notebook.start(3)
    expect(notebook.shown(3)).to_contain_text(re.compile(r"(1[0-9]\d)/500"))
    notebook.saved()
    os.kill(int(notebook.shown(1).inner_text()), signal.SIGKILL)
    notebook.page.locator(".jp-Dialog").get_by_text("Ok").click()  # the kernel has died, and is started again
    notebook.load()
    before = len(endpoints["quick"].asked)
    assert 100 <= before < 500
    for index in range(3):
        notebook.run(index)
    notebook.run(3, seconds=60)
    expect(notebook.shown(3)).to_contain_text("500")
    assert [output["output_type"] for output in notebook.outputs(3)] == ["execute_result"]
    rows = lab.rows(
        "SELECT e.case_key, array_agg(e.status ORDER BY e.created_at) FROM wb.executions e JOIN wb.projects p ON p.id = e.project_id"
        " WHERE p.name = 'killed' AND e.run_id IS NOT NULL GROUP BY 1"
    )
    assert len(rows) == 500
    assert all(states in (["done"], ["unknown", "done"]) for _, states in rows)
    unknown = sum(states[0] == "unknown" for _, states in rows)
    assert len(endpoints["quick"].asked) <= 500 + unknown
    assert unknown <= 2 * 16


def test_every_word_of_the_card_can_be_read_in_both_themes(lab):
    cells = [
        CONNECT.format(project="themes"),
        "cases = pd.DataFrame({'text': [f'good {n}' for n in range(40)], 'label': 'positive'})",
        "%%prompt one -N\n{{ text }}",
        "%%prompt two -N\nnot {{ text }}",
        "%ab run one two -d cases -c equals:@label",
        "from workbench.views.experiments import effect_figure\neffect_figure(_)",
    ]
    notebook = lab.open(lab.write("themes.ipynb", cells))
    notebook.run()
    for theme in ("light", "dark"):
        notebook.theme(theme)
        words = notebook.shown(4).locator(".wb-comparison").evaluate(CONTRASTS)
        assert "A BETTER" in [word["text"] for word in words]
        assert [word for word in words if word["contrast"] < 4.5] == []
    # The figure's own buttons: a picture can be saved, nothing is sent anywhere.
    figure = notebook.shown(5).locator(".js-plotly-plot")
    figure.hover()
    titles = figure.locator(".modebar-btn").evaluate_all("all => all.map(one => one.dataset.title)")
    assert any("Download" in title for title in titles)
    assert not [title for title in titles if "Share" in title or "Cloud" in title]


#: Every piece of text in an element, with its contrast (WCAG 2) against what lies behind it.
CONTRASTS = """card => {
    const parse = text => {
        const parts = text.match(/[0-9.]+/g).map(Number);
        return parts.length < 4 ? [...parts, 1] : parts;
    };
    const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]);
    const behind = element => {
        if (!element) return [255, 255, 255];
        const own = parse(getComputedStyle(element).backgroundColor);
        return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement));
    };
    const light = rgb => {
        const [r, g, b] = rgb.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = [];
    const walk = document.createTreeWalker(card, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement, below = behind(element);
        const ink = light(over(parse(getComputedStyle(element).color), below)), paper = light(below);
        const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        found.push({text: walk.currentNode.textContent, contrast});
    }
    return found;
}"""


def test_an_answer_cannot_run_anything_live_or_reopened_while_the_control_does(lab):
    attack = "\n\n".join(ATTACKS)
    formats = [
        f"%%prompt attack -m fake/echo -f {name} -p x=@attack\n{{{{ x }}}}"
        for name in ("text", "markdown", "html", "json", "code")
    ]
    cells = [
        CONNECT.format(project="attack"),
        f"attack = {attack!r}",
        *formats,
        "%%prompt attack -N --note '<img src=x onerror=window.fired=1>'\n" + attack,
        "run = wb.run('attack@1', data=pd.DataFrame({'x': [attack]}), model='fake/echo')\nrun.frame()[['prompt', 'answer']]",
        "%%sql\nSELECT answer FROM v_executions WHERE answer LIKE '%onerror%'",
        "run.frame()[['answer']].rename(columns={'answer': attack})",
    ]
    control = f"from IPython.display import HTML\ndisplay(HTML({ATTACKS[0] + ATTACKS[1]!r}))"
    notebook = lab.open(lab.write("attack.ipynb", [*cells, control]), height=3000)
    for index in range(len(cells)):
        notebook.run(index)
    assert attack in notebook.outputs(2)[0]["data"]["text/plain"]
    quiet(notebook)
    notebook.load()
    quiet(notebook)
    notebook.run(len(cells))
    notebook.page.wait_for_function("window.fired === 2")
    notebook.saved()
    notebook.load()
    notebook.page.wait_for_function("window.fired >= 1")


def quiet(notebook):
    """Look at every cell; nothing may have fired, and nothing may be clicked that would."""
    for index, cell in enumerate(notebook.saved().cells[2:-1], 2):
        assert kinds(cell)[-1] == "execute_result"
        expect(notebook.shown(index)).to_contain_text("onerror")
        if notebook.shown(index).locator(".dataframe").count() == 0:  # pandas lets MathJax in, we do not
            expect(notebook.shown(index)).to_contain_text(ATTACKS[-1])
    notebook.page.wait_for_timeout(500)
    assert notebook.page.evaluate("window.fired || 0") == 0
    assert notebook.page.locator(".jp-OutputArea a[href^='javascript' i]").count() == 0
