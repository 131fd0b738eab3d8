"""The file of answers is one that others can find."""

from __future__ import annotations

import fcntl
import uuid

from workbench.db.spool import Spool


def test_a_file_that_somebody_removes_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    spool, lock, met = Spool(tmp_path / "spool", uuid.uuid4()), fcntl.flock, []

    def late(file, how):
        if not met:  # another process took the new file for one that nobody holds
            met.append(spool.path.stat().st_ino)
            spool.path.unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    spool.keep(("[]", "[]", []))
    assert spool.path.read_text() == '["[]","[]",[]]\n'
    assert len(met) == 1
    spool.close()
