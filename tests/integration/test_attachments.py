"""Pictures and documents: sent whole, stored small, checked before the call."""

from __future__ import annotations

import asyncio
import base64
import json

import pandas as pd
import psycopg
import pytest

from tests.pictures import PDF, PNG, png
from tests.servers import ScriptedServer, completion
from workbench.core.attachments import attach_bytes
from workbench.errors import DataError, FileError, InputError
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.providers.registry import Registry

LARGE = png(1000, 1000)


@pytest.fixture
def look(wb):
    return wb.prompts.save(
        "look", "system:\nYou see.\nuser:\nDescribe {{ what }}", settings={"model": "fake/look"}
    )


@pytest.fixture
def payloads(ann_url):
    def read():
        with psycopg.connect(ann_url.reveal()) as connection:
            return [
                row[0]
                for row in connection.execute(
                    "SELECT request_payload FROM wb.executions ORDER BY created_at, id"
                )
            ]

    return read


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(PNG)
    return path


def test_what_is_attached_goes_with_the_last_users_message(wb, look, photo, payloads):
    given = [photo, PDF, "https://example.org/x.png"]
    result = wb.ask(look, variables={"what": "it"}, attach=given)
    assert (
        result.text
        == f"photo.png (image/png, {len(PNG)} bytes); attachment (application/pdf, 15 bytes); x.png (image)"
    )
    assert result.attached[0] == f"photo.png (image/png, {len(PNG)} bytes)"
    system, user = payloads()[0]["messages"]
    assert system == {"role": "system", "content": "You see."}
    assert user["content"] == [
        {"type": "text", "text": "Describe it"},
        {"type": "image_url", "image_url": {"url": attach_bytes(PNG).url}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": attach_bytes(PDF).url}},
        {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}},
    ]


def test_every_way_to_call_takes_attachments(wb, look, photo):
    told = f"photo.png (image/png, {len(PNG)} bytes)"
    assert look(what="it", attach=photo).text == told
    assert asyncio.run(look.acall(what="it", attach=photo)).text == told
    assert "".join(look.stream(what="it", attach=photo)) == told
    assert asyncio.run(wb.aask(look, variables={"what": "it"}, attach=[photo])).text == told
    chat = wb.chat(system="You see.", model="fake/look")
    assert chat.say("Look.", attach=photo).text == told
    assert chat.say("Look again.").attached == ()


def test_a_variable_called_attach_stays_one(wb, photo):
    p = wb.prompts.save("own", "Attach {{ attach }}", settings={"model": "fake/echo"})
    assert p(attach="nothing").text == "Attach nothing"


def test_a_provider_gets_the_whole_file_and_the_row_its_digest(wb, look, payloads, ann_url):
    with ScriptedServer(completion("A plot.")) as server:
        provider = OpenAICompatible(name="mine", base_url=server.url)
        wb.models._registry = Registry(wb.config, providers={"mine": provider})
        assert look(what="it", attach=LARGE, model="mine/m").text == "A plot."
        assert look(what="it", attach=png(1000, 1000, noise=b"\1"), model="mine/m").text == "A plot."
    sent = server.asked[0].json["messages"][1]["content"][1]["image_url"]["url"]
    assert base64.b64decode(sent.partition(",")[2]) == LARGE
    stored = payloads()[0]["messages"][1]["content"][1]["image_url"]["url"]
    assert stored == f"data:image/png;sha256={attach_bytes(LARGE).sha256};bytes={len(LARGE)}"
    assert len(json.dumps(payloads())) < 2_000
    with psycopg.connect(ann_url.reveal()) as connection:
        assert connection.execute("SELECT count(DISTINCT request_digest) FROM wb.executions").fetchone() == (
            2,
        )


def test_what_cannot_be_attached_is_told_before_the_call(wb, look, tmp_path, payloads):
    (tmp_path / "x.png").write_text("no picture")
    for wrong, kind in ((tmp_path / "gone.png", FileError), (tmp_path / "x.png", FileError), (3, InputError)):
        with pytest.raises(kind):
            look(what="it", attach=wrong)
    assert payloads() == []


def test_a_run_attaches_the_file_of_each_row(wb, look, tmp_path):
    for n in (1, 2, 3):
        (tmp_path / f"{n}.png").write_bytes(png(n, 1))
    df = pd.DataFrame({"what": ["a", "b", "c"], "photo": [str(tmp_path / f"{n}.png") for n in (1, 2, 3)]})
    assert wb.plan(look, data=df, attach="photo").tokens > 3_000
    run = wb.run(look, data=df, attach="photo", options={"temperature": 0}, progress=False)
    assert [answer.partition(" ")[0] for answer in run.frame()["answer"]] == ["1.png", "2.png", "3.png"]
    assert (
        wb.run(look, data=df, attach="photo", options={"temperature": 0}, progress=False).counts.cached == 3
    )
    (tmp_path / "2.png").write_bytes(png(9, 9))
    assert (
        wb.run(look, data=df, attach="photo", options={"temperature": 0}, progress=False).counts.cached == 2
    )
    assert look.map(df, attach="photo", progress=False).counts.done == 3


def test_a_run_is_refused_before_its_first_call_where_a_file_is_missing(wb, look, photo, payloads):
    rows = [{"what": "a", "photo": str(photo)}, {"what": "b", "photo": "gone.png"}]
    with pytest.raises(FileError, match="row 1 "):
        wb.run(look, data=rows, attach="photo", progress=False)
    with pytest.raises(DataError, match="no column 'foto'"):
        wb.run(look, data=rows, attach="foto", progress=False)
    with pytest.raises(DataError, match="row 1 "):
        wb.run(look, data=[rows[0], {"what": "b", "photo": None}], attach="photo", progress=False)
    assert payloads() == []


def test_a_file_that_goes_away_during_a_run_ends_it_and_it_can_be_resumed(wb, look, photo, tmp_path):
    other = tmp_path / "other.png"
    other.write_bytes(PNG)
    plan = wb.running.make_plan(
        look,
        data=[{"what": n, "photo": str(photo if n else other)} for n in range(4)],
        attach="photo",
        concurrency=1,
    )
    other.unlink()
    with pytest.raises(FileError, match="is not there"):
        wb.running.run(plan, progress=False)
    other.write_bytes(PNG)
    assert wb.last.resume().counts.done == 4
