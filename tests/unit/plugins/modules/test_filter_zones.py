"""The module filter_zones: what it makes of the list, and of a filter that decides otherwise than is declared."""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import Any

import pytest

from library import filter_zones
from tests.unit.conftest import RunModule

# Asks the client, and decides as spamzone does: by X-Spam-Status, {zap} points above what that says is required.
SPAMZONE = r"""#!/usr/bin/python3
import re, subprocess, sys
at = next(n for n, word in enumerate(sys.argv) if word.endswith("/spamc"))
zap = float(sys.argv[sys.argv.index("-Y") + 1])
done = subprocess.run(sys.argv[at:], input=sys.stdin.buffer.read(), capture_output=True)
score, required = map(float, re.search(rb"score=(\S+) required=(\S+)", done.stdout).groups())
if done.returncode == 1 and score >= required + zap - 0.0005:
    sys.exit(1)
sys.stdout.buffer.write(done.stdout)
"""
# Speaks to the socket behind -U; asked with -c, it says that {said} is what its spamd wants.
SPAMC = r"""#!/usr/bin/python3
import socket, sys
message = sys.stdin.buffer.read()
if "-c" in sys.argv:
    assert "-E" not in sys.argv and sys.argv[sys.argv.index("-U") + 1] == "/real/spamd", sys.argv
    print("0.1/{said}")
    sys.exit({code})
with socket.socket(socket.AF_UNIX) as client:
    client.connect(sys.argv[sys.argv.index("-U") + 1])
    client.sendall(b"PROCESS SPAMC/1.5\r\nContent-length: %d\r\n\r\n" % len(message) + message)
    client.shutdown(socket.SHUT_WR)
    answer = b""
    while data := client.recv(65536):
        answer += data
head, _, body = answer.partition(b"\r\n\r\n")
sys.stdout.buffer.write(body)
sys.exit(b"Spam: True" in head and "-E" in sys.argv)
"""


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return path


@pytest.fixture
def args(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(filter_zones, "identity", lambda *_: {})
    return host(tmp_path)


def host(folder: Path, zap: str = "2.0", said: str = "5.0", code: int = 0) -> dict[str, Any]:
    """A host whose list has such a filter, and whose spamd says such a threshold."""
    spamzone = program(folder / "spamzone", SPAMZONE)
    spamc = program(folder / "spamc", SPAMC.replace("{said}", said).replace("{code}", str(code)))
    line = f"limit=110 {spamzone} -Y {zap} -d /var/lib/spamzone {spamc} -E -x -u spamd -U /real/spamd"
    (folder / "filters").write_text(f"# a comment: /usr/local/bin/spamzone\n\n{line}\n")
    return {"list": str(folder / "filters"), "threshold": 5.0, "zap": 2.0}


def test_zones_as_they_are_declared_are_well(run_module: RunModule, args: dict[str, Any]) -> None:
    answer = run_module(filter_zones, args)
    assert not answer.get("failed"), answer
    assert (answer["changed"], answer["threshold"]) == (False, 5.0)
    assert answer["answers"] == {"4.9": "green", "6.9": "yellow", "7.0": "red"}


@pytest.mark.parametrize(
    ("zap", "sentence"),
    [
        ("2.1", "a message with the score 7.0 is yellow for the filter, and red is declared"),
        ("1.9", "a message with the score 6.9 is red for the filter, and yellow is declared"),
    ],
)
def test_red_that_begins_elsewhere_is_a_fault(
    run_module: RunModule, args: dict[str, Any], tmp_path: Path, zap: str, sentence: str
) -> None:
    assert run_module(filter_zones, args | host(tmp_path, zap=zap))["msg"] == sentence


def test_a_spamd_that_runs_with_another_threshold_is_a_fault(
    run_module: RunModule, args: dict[str, Any], tmp_path: Path
) -> None:
    msg = run_module(filter_zones, args | host(tmp_path, said="6.5"))["msg"]
    assert msg == "spamd takes a message for spam from 6.5 on, and 5 is declared"


def test_a_spamd_that_does_not_answer_is_a_fault(run_module: RunModule, args: dict[str, Any], tmp_path: Path) -> None:
    assert "spamd can't be asked" in run_module(filter_zones, args | host(tmp_path, code=69))["msg"]


@pytest.mark.parametrize("text", ["", "# /usr/local/bin/spamzone /usr/bin/spamc\n", "/usr/bin/other\n"])
def test_a_list_without_the_filter_is_a_fault(run_module: RunModule, args: dict[str, Any], text: str) -> None:
    Path(args["list"]).write_text(text)
    assert "has 0 lines of spamzone, and not one" in run_module(filter_zones, args)["msg"]


def test_a_filter_that_breaks_is_none_of_the_zones(run_module: RunModule, args: dict[str, Any], tmp_path: Path) -> None:
    program(tmp_path / "spamzone", "#!/bin/sh\necho trouble >&7; exit 111\n")
    assert "is none (exit code 111: trouble) for the filter" in run_module(filter_zones, args)["msg"]


def test_the_client_is_split_from_where_it_asks_and_from_what_its_exit_code_tells() -> None:
    words = shlex.split("/b/spamzone -d /lib -n 4 -e /b/spamc -Y 2 -E -x -u spamd -H -d one,two -p 783 -s 9")
    own, client, place = filter_zones.parts(words)
    assert own == words[:6]
    assert place == ["-H", "-d", "one,two", "-p", "783"]
    assert client == ["/b/spamc", "-Y", "2", "-E", "-x", "-u", "spamd", "-s", "9"]
    assert filter_zones.asks_alone(client) == ["/b/spamc", "-x", "-u", "spamd", "-s", "9"]


def test_a_line_without_a_client_is_a_sentence() -> None:
    with pytest.raises(filter_zones.FilterError, match="names no spamc"):
        filter_zones.parts(["/usr/local/bin/spamzone", "-e"])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_the_filter_is_run_as_a_door_runs_it() -> None:
    who = filter_zones.identity("nobody", "nogroup", ["daemon"])
    done = filter_zones.run(["/usr/bin/id"], who)
    assert b"uid=65534(nobody) gid=65534(nogroup) groups=" in done.stdout
    assert b"(root)" not in done.stdout
    assert b"(daemon)" in done.stdout
