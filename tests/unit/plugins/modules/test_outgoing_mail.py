"""The module outgoing_mail: what it reads in qmail-send's log, and what it makes of a message that does not leave."""

from __future__ import annotations

import pwd
import stat
from pathlib import Path
from typing import Any

import pytest

from library import outgoing_mail
from tests.unit.conftest import RunModule

DNS = "DNS_gave_no_answer_about_b.test;_it_will_be_asked_again._(#4.4.3)/"
CONNECT = "Sorry,_I_wasn't_able_to_establish_an_SMTP_connection._(#4.4.1)/"
AUTH = "Connected_to_192.0.2.1_but_it_does_not_accept_what_control/smtproutes_auth_has_for_it._(#4.7.8)/"
GREY = "192.0.2.1_does_not_like_recipient./Remote_host_said:_451_later/"


def log(*deliveries: tuple[str, str, str]) -> list[str]:
    """Lines of a log: address, outcome and report of each delivery to another host."""
    lines = ["status: local 0/10 remote 0/20", "starting delivery 900: msg 7 to local alice@a.test"]
    for number, (address, outcome, report) in enumerate(deliveries):
        lines.append(f"starting delivery {number}: msg {100 + number} to remote {address}")
        lines.append(f"delivery {number}: {outcome}: {report}")
    return [*lines, "delivery 900: success: did_1+0+0/"]


@pytest.mark.parametrize(
    "deliveries",
    [
        [],
        [("x@b.test", "success", "ok")],
        [("x@b.test", "deferral", AUTH), ("x@c.test", "success", "ok")],
        [("x@b.test", "deferral", CONNECT), ("y@b.test", "deferral", CONNECT)],
        [("x@b.test", "deferral", DNS), ("x@c.test", "deferral", GREY)],
        [("x@b.test", "deferral", GREY)],
        [("x@b.test", "deferral", GREY.replace("later", "qq_trouble_(#4.3.0)")), ("x@c.test", "deferral", GREY)],
        [("x@b.test", "deferral", CONNECT), ("x@c.test", "failure", "no such user")],
    ],
    ids=[
        "none",
        "sent",
        "one sent",
        "one domain is away",
        "one is put off there",
        "put off there",
        "a qmail is in trouble there",
        "refused there",
    ],
)
def test_what_other_hosts_are_at_fault_for_is_none_of_this_ones(deliveries: list[tuple[str, str, str]]) -> None:
    assert outgoing_mail.fault_of(outgoing_mail.deliveries(log(*deliveries))) == ""


@pytest.mark.parametrize(
    "deliveries",
    [
        [("x@b.test", "deferral", AUTH)],
        [("x@b.test", "deferral", "Unable_to_read_control_files._(#4.3.0)/")],
        [("x@b.test", "deferral", DNS), ("x@c.test", "deferral", CONNECT)],
        [("x@b.test", "deferral", AUTH), ("x@b.test", "deferral", AUTH)],
    ],
    ids=["the relay's password", "a control file", "no domain at all", "twice"],
)
def test_what_is_put_off_for_a_reason_of_the_hosts_own_is_a_fault(deliveries: list[tuple[str, str, str]]) -> None:
    said = outgoing_mail.fault_of(outgoing_mail.deliveries(log(*deliveries)))
    assert said.startswith(f"none of the last {len(deliveries)} deliveries to other hosts went out")
    assert "_" not in said.replace("smtproutes_auth", "").replace("smtproutes auth", "")


def test_a_delivery_that_runs_still_is_none_yet_and_a_number_counts_where_it_came_last() -> None:
    lines = ["starting delivery 1: msg 5 to remote x@b.test", "starting delivery 1: msg 6 to local alice@a.test"]
    lines += ["delivery 1: deferral: x", "starting delivery 2: msg 7 to remote y@b.test"]
    assert outgoing_mail.deliveries(lines).ended == []


def test_of_the_journal_only_qmail_send_s_own_lines_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has an account can write a line by the name of qmail-send."""
    monkeypatch.setattr(outgoing_mail, "USER", "nobody")
    monkeypatch.setattr(outgoing_mail, "tool", lambda *words: "\n".join(words))
    its = outgoing_mail.Log(tmp_path / "none", 0)
    its.journal = True
    assert f"_UID={pwd.getpwnam('nobody').pw_uid}" in its.lines()


# Takes the message and the envelope, and writes what qmail-send would.
QUEUE = r"""#!/bin/sh
cat >{home}/message; cat <&1 >{home}/envelope
{{ echo "info msg 9: bytes 300 from <postmaster@a.test> qp $$ uid 0"
  echo "starting delivery 4: msg 9 to {where} probe@b.test"; {ends}; }} >>{home}/log
exit {code}
"""


@pytest.fixture
def args(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    (tmp_path / "bin").mkdir()
    init = outgoing_mail.Log.__init__

    def without_journal(self: outgoing_mail.Log, path: Path, seconds: float) -> None:
        init(self, path, seconds)
        self.journal = False

    monkeypatch.setattr(outgoing_mail.Log, "__init__", without_journal)
    (tmp_path / "log").write_text("\n".join(log(("x@b.test", "deferral", AUTH))) + "\n")
    program(tmp_path / "bin/qmail-qread", "#!/bin/sh\n")
    told = {"to": "probe@b.test", "sender": "postmaster@a.test", "seconds": 1}
    return {"home": str(tmp_path), "log": str(tmp_path / "log"), **told}


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def queue(home: Path, ends: str, where: str = "remote", code: int = 0) -> None:
    ends = f'echo "delivery 4: {ends}"' if ends else ":"
    program(home / "bin/qmail-queue", QUEUE.format(home=home, ends=ends, where=where, code=code))


def test_a_message_that_leaves_is_well(run_module: RunModule, args: dict[str, Any], tmp_path: Path) -> None:
    queue(tmp_path, "success: 192.0.2.1_accepted_message./Remote_host_said:_250_ok/")
    answer = run_module(outgoing_mail, args)
    assert answer["report"] == "192.0.2.1 accepted message./Remote host said: 250 ok/"
    assert (tmp_path / "envelope").read_bytes() == b"Fpostmaster@a.test\0Tprobe@b.test\0\0"
    head = (tmp_path / "message").read_text().partition("\n\n")[0]
    assert {line.split(":")[0] for line in head.splitlines()} == {"From", "To", "Date", "Message-ID", "Subject"}


@pytest.mark.parametrize(
    ("ends", "where", "code", "sentence"),
    [
        (
            f"deferral: {DNS}",
            "remote",
            0,
            "the message to probe@b.test was not delivered (deferral): DNS gave no answer",
        ),
        ("failure: no_such_user", "remote", 0, "was not delivered (failure): no such user"),
        ("success: did_1+0+0/", "local", 0, "probe@b.test is an address of this host's; name one that is elsewhere"),
        ("", "remote", 0, "is still under way after 1 s; it stays in the queue"),
        ("", "remote", 53, "qmail-queue took no message for probe@b.test: exit code 53"),
    ],
)
def test_a_message_that_does_not_leave_is_a_fault(
    run_module: RunModule, args: dict[str, Any], tmp_path: Path, ends: str, where: str, code: int, sentence: str
) -> None:
    queue(tmp_path, ends, where, code)
    assert sentence in run_module(outgoing_mail, args)["msg"]


@pytest.mark.usefixtures("args")
def test_a_sender_s_words_are_no_process(tmp_path: Path) -> None:
    its = outgoing_mail.Log(tmp_path / "log", 1)
    lines = ["info msg 8: bytes 3 from <x qp 42 uid 0@evil.test> qp 41 uid 7"]
    lines += ["starting delivery 4: msg 8 to remote y@b.test", "delivery 4: success: yes/", ""]
    (tmp_path / "log").write_text("\n".join(lines))
    its.offset = 0
    with pytest.raises(outgoing_mail.OutgoingError, match="was not seen by qmail-send"):
        outgoing_mail.follow(its, 42, "y@b.test", 0)


def test_nothing_is_sent_without_an_address_or_in_check_mode(
    run_module: RunModule, args: dict[str, Any], tmp_path: Path
) -> None:
    assert run_module(outgoing_mail, args | {"to": ""})["waiting"] == 0
    assert run_module(outgoing_mail, args, check=True)["waiting"] == 0
    assert not (tmp_path / "message").exists()


def test_old_trouble_counts_while_something_waits(run_module: RunModule, args: dict[str, Any], tmp_path: Path) -> None:
    lines = "  remote\\tx@b.test\\n  done remote\\ty@b.test\\n  local\\tz@a.test\\n"
    program(tmp_path / "bin/qmail-qread", f"#!/bin/sh\nprintf '{lines}'\n")
    msg = run_module(outgoing_mail, args | {"to": ""})["msg"]
    assert msg.startswith("1 recipients elsewhere wait in the queue, and none of the last 1 deliveries")
