"""qmail-send with its helpers: log lines, states of the queue, bounces, signals, restarts."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from lab.crash import processes
from lab.queuelab import envelope, wait_until
from lab.sendlab import GID, UID, Site, site
from lab.suite import ASAN_OPTIONS, BUILD, SPLIT, Counts

MESSAGE = b"Subject: hello\n\nbody\n"


@pytest.fixture
def stopped() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def running(stopped: Site) -> Site:
    stopped.start()
    return stopped


def test_local_delivery_and_its_log(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "alice@example.test")
    running.await_log(r"^end msg")
    running.await_empty()
    running.await_log("^status: local 0/20 remote 0/20$", 2)
    (mail,) = running.mail()
    assert mail.endswith(MESSAGE)
    assert b"Return-Path: <joe@sender.test>\n" in mail
    (number,) = re.findall(r"^new msg (\d+)$", running.log(), re.MULTILINE)
    size = len(mail) - len(b"Return-Path: <joe@sender.test>\nDelivered-To: alice@example.test\n")
    lines = running.log().splitlines()[1:]
    assert lines[0] == "status: local 0/20 remote 0/20"
    assert lines[1] == f"new msg {number}"
    assert re.fullmatch(rf"info msg {number}: bytes {size} from <joe@sender.test> qp \d+ uid {os.getuid()}", lines[2])
    assert lines[3:] == [
        f"starting delivery 1: msg {number} to local alice@example.test",
        "status: local 1/20 remote 0/20",
        "delivery 1: success: did_1+0+0/",
        f"end msg {number}",
        "status: local 0/20 remote 0/20",
    ]


def test_remote_delivery(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "ok@remote.test")
    running.await_log(r"^delivery 1: success: 192\.0\.2\.1_accepted_message\./$")
    running.await_empty()
    assert running.calls() == ["remote.test joe@sender.test ok@remote.test"]


def test_recipients_go_by_both_channels(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "alice@example.test", "ok1@remote.test", "ok2@remote.test")
    running.await_empty()
    assert len(running.mail()) == 1
    assert len(running.calls()) == 2
    running.await_log("^end msg", 1)


def test_report_is_one_printable_word(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "mixed@remote.test")
    running.await_log(r"^delivery 1: success: line_one/line_two_\?and_\?_bytes/$")


def test_hostile_sender_is_one_word_in_the_log(running: Site) -> None:
    running.queue.send(MESSAGE, "a\nend msg 1 @x", "ok@remote.test")
    running.await_log(r"^info msg \d+: bytes \d+ from <a\\x0aend\\x20msg\\x201\\x20@x> qp")


@pytest.mark.parametrize(
    ("recipient", "text"),
    [
        ("never@remote.test", "192.0.2.1 does not like recipient.\nGiving up on 192.0.2.1.\n"),
        ("refused@remote.test", "192.0.2.1 failed after I sent the message.\n"),
        ("nobody-here@example.test", None),
    ],
)
def test_failure_bounces_to_the_sender(stopped: Site, recipient: str, text: str | None) -> None:
    stopped.assign(
        "=alice:alice:{uid}:{gid}:{home}:::",
        "+:alice:{uid}:{gid}:{home}:-::",
    )
    stopped.start()
    stopped.queue.send(MESSAGE, "alice@example.test", recipient)
    stopped.await_log("^delivery 1: failure: ")
    stopped.await_log(r"^bounce msg \d+ qp \d+$")
    stopped.await_log("^end msg", 2)
    stopped.await_empty()
    (bounce,) = stopped.mail()
    assert b"Return-Path: <>\n" in bounce
    head, _, body = bounce.partition(b"\n\n")
    assert re.search(rb"^From: MAILER-DAEMON@mail\.example\.test$", head, re.MULTILINE)
    assert re.search(rb"^To: alice@example\.test$", head, re.MULTILINE)
    assert re.search(rb"^Received: \(qmail \d+ invoked", head, re.MULTILINE)
    assert re.search(rb"^Date: ", head, re.MULTILINE)
    paragraphs = body.split(b"\n\n")
    assert paragraphs[0].startswith(b"Hi. This is the qmail-send program at mail.example.test.\n")
    assert paragraphs[1].startswith(b"<%s>:\n" % recipient.encode())
    if text:
        assert paragraphs[1] + b"\n" == b"<%s>:\n%s" % (recipient.encode(), text.encode())
    assert paragraphs[2].startswith(b"---")
    assert paragraphs[3].startswith(b"Return-Path: <alice@example.test>\nReceived: ")
    assert body.endswith(MESSAGE)


def test_bounce_names_and_all_failures_in_one(stopped: Site) -> None:
    stopped.home.control(bouncefrom="the-postman", bouncehost="bounce.test")
    stopped.start()
    stopped.queue.send(MESSAGE, "alice@example.test", "never1@remote.test", "ok@remote.test", "never2@remote.test")
    stopped.await_log("^end msg", 2)
    (bounce,) = stopped.mail()
    assert b"From: the-postman@bounce.test\n" in bounce
    assert b"<never1@remote.test>:\n" in bounce
    assert b"<never2@remote.test>:\n" in bounce
    assert b"<ok@remote.test>" not in bounce


def left_out(copy: bytes, message: bytes) -> tuple[bytes, int]:
    """Take a bounce's copy of a message apart: what it has of the message, and how much it says it leaves out."""
    found = re.fullmatch(rb"(.*)\n--- The rest of the message, (\d+) bytes, is left out\.\n", copy, re.DOTALL)
    assert found, copy[-300:]
    part = found[1]
    assert message.startswith(part)
    return part, int(found[2])


@pytest.mark.parametrize(
    ("header", "body", "most", "expected"),
    [
        (b"Subject: x\n", b"line of text\n" * 100000, None, 8192 // 13 * 13),
        (b"Subject: x\n", b"x" * 500000, None, 8192),
        (b"Subject: x\r\n", b"\r\nline of text\n" * 10000, "0", 0),
        (b"Subject: x\n", b"line of text\n" * 10000, "100", 91),
    ],
    ids=["lines", "one line", "no body", "another limit"],
)
def test_a_bounce_carries_the_header_and_the_beginning_of_the_body(
    stopped: Site, header: bytes, body: bytes, most: str | None, expected: int
) -> None:
    stopped.home.control(bouncebody=most)
    stopped.start()
    message = header + (b"" if body.startswith(b"\r\n") else b"\n") + body
    stopped.queue.send(message, "alice@example.test", "never@remote.test")
    stopped.await_log("^end msg", 2)
    (bounce,) = stopped.mail()
    copy = re.split(rb"--- Below this line is a copy of the message\.\n\n.*?invoked[^\n]*\n", bounce, flags=re.DOTALL)[
        1
    ]
    copy = copy.partition(b"; ")[2].partition(b"\n")[2] if copy.startswith(b" ") else copy
    part, rest = left_out(copy, message)
    head = len(message) - len(body) + (2 if body.startswith(b"\r\n") else 0)
    assert len(part) - head == expected
    assert len(part) + rest == len(message)


def test_a_header_without_end_is_cut_too(stopped: Site) -> None:
    stopped.start()
    message = b"X-Long: " + b"x" * 80 + b"\n"
    stopped.queue.send(message * 10000, "alice@example.test", "never@remote.test")
    stopped.await_log("^end msg", 2)
    (bounce,) = stopped.mail()
    assert 30000 < len(bounce) < 36000
    assert b"is left out" in bounce


def test_a_short_message_comes_back_whole(stopped: Site) -> None:
    stopped.start()
    message = b"Subject: x\n\n" + b"1234567\n" * 1024
    stopped.queue.send(message, "alice@example.test", "never@remote.test")
    stopped.await_log("^end msg", 2)
    (bounce,) = stopped.mail()
    assert bounce.endswith(message)
    assert b"left out" not in bounce


def test_double_bounce_goes_to_postmaster(stopped: Site) -> None:
    stopped.home.control(doublebouncehost="example.test", doublebounceto="alice")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "never@remote.test")
    stopped.await_log("^end msg", 2)
    stopped.await_empty()
    (bounce,) = stopped.mail()
    assert b"Return-Path: <#@[]>\n" in bounce
    assert b"To: alice@example.test\n" in bounce
    assert b"\nReturn-Path: <>\n" in bounce


def test_doublebounceto_may_have_a_host_of_its_own(stopped: Site) -> None:
    stopped.home.control(doublebounceto="ok@elsewhere.test", doublebouncehost="example.test")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "never@remote.test")
    stopped.await_log("^end msg", 2)
    assert stopped.calls()[-1] == "elsewhere.test #@[] ok@elsewhere.test"


def test_triple_bounce_is_discarded(running: Site) -> None:
    running.queue.send(MESSAGE, "#@[]", "never@remote.test")
    (number,) = running.await_log(r"^triple bounce: discarding bounce/(\d+)$")
    running.await_log(f"^end msg {number}$")
    running.await_empty()
    assert "bounce msg" not in running.log()


@pytest.mark.parametrize("content", [b"\n", b" \t\npostmaster\n"])
def test_blank_doublebounceto_discards(stopped: Site, content: bytes) -> None:
    stopped.home.control(doublebounceto=content)
    stopped.start()
    stopped.queue.send(MESSAGE, "", "never@remote.test")
    stopped.await_log(r"^double bounce: discarding bounce/\d+$")
    stopped.await_empty()
    assert "bounce msg" not in stopped.log()
    # It is about double bounces only.
    stopped.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    stopped.await_log("^bounce msg")
    stopped.await_empty()
    assert len(stopped.mail()) == 1


def test_empty_doublebounceto_is_the_default(stopped: Site) -> None:
    stopped.home.control(doublebounceto=b"", doublebouncehost="remote.test")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "never@remote.test")
    stopped.await_log("^end msg", 2)
    assert stopped.calls()[-1] == "remote.test #@[] postmaster@remote.test"


def test_bounce_goes_through_qmailqueue(stopped: Site) -> None:
    recorder = stopped.home.recorder()
    stopped.start(env={"QMAILQUEUE": str(recorder.program)})
    stopped.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    stopped.await_log("^bounce msg")
    queued = recorder.one()
    assert (queued.sender, queued.recipients) == (b"", [b"alice@example.test"])


def test_bounce_that_is_not_accepted_waits(stopped: Site) -> None:
    recorder = stopped.home.recorder()
    recorder.answer(71)
    stopped.start(env={"QMAILQUEUE": str(recorder.program)})
    stopped.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    stopped.await_log("^warning: trouble injecting bounce message")
    (number,) = stopped.queue.numbers()
    assert stopped.queue.files() == sorted(
        [f"bounce/{number}", f"info/{number % 23}/{number}", f"mess/{number % 23}/{number}"]
    )
    stopped.stop()
    recorder.answer(0)
    stopped.start(env={"QMAILQUEUE": str(recorder.program)})
    stopped.await_log("^bounce msg")
    stopped.await_empty()


def test_slow_bounce_holds_nothing_up(stopped: Site) -> None:
    slow = stopped.path / "slow"
    slow.write_text("#!/bin/sh\ncat >/dev/null\nsleep 1000\n")
    slow.chmod(0o755)
    stopped.start(env={"QMAILQUEUE": str(slow)})
    for _ in range(6):
        stopped.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    stopped.await_log("^delivery .*failure", 6)
    stopped.queue.send(MESSAGE, "joe@sender.test", "alice@example.test")
    stopped.await_log("^delivery .*success: did_1")


def test_alrm_retries_local_deliveries(stopped: Site) -> None:
    stopped.script("qmail-local", '#!/bin/sh\n[ -e "$QMAIL_TEST_HOME/release" ] || exit 111\n')
    stopped.start()
    stopped.queue.send(MESSAGE, "joe@sender.test", "alice@example.test")
    stopped.await_log("^delivery 1: deferral")
    stopped.release()
    stopped.signal(signal.SIGALRM)
    stopped.await_log("^delivery 2: success", timeout=10)


def test_deferral_stays_in_the_queue_and_alrm_retries(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "flaky@remote.test", "ok@remote.test")
    running.await_log("^delivery .*: deferral: not_yet/$")
    running.await_log("^delivery .*: success")
    (number,) = running.queue.numbers()
    remote = running.queue.split("remote", number)
    wait_until(lambda: remote.read_bytes() == b"Tflaky@remote.test\0Dok@remote.test\0", "the good one is marked")
    running.release()
    running.signal(signal.SIGALRM)
    running.await_log("^delivery .*: success: now/$")
    running.await_empty()
    assert running.calls().count("remote.test joe@sender.test ok@remote.test") == 1


@pytest.mark.parametrize(("recipient", "skip"), [("later@remote.test", 20), ("later@example.test", 10)])
def test_next_attempt_is_noted_on_the_file(stopped: Site, recipient: str, skip: int) -> None:
    stopped.script("qmail-local", "#!/bin/sh\nexit 111\n")
    stopped.assign("+:alice:{uid}:{gid}:{home}:-::")
    stopped.start()
    stopped.queue.send(MESSAGE, "joe@sender.test", recipient)
    stopped.await_log("^delivery 1: deferral")
    (number,) = stopped.queue.numbers()
    directory = "remote" if skip == 20 else "local"
    birth = stopped.queue.split("info", number).stat().st_mtime
    file = stopped.queue.split(directory, number)
    wait_until(lambda: abs(file.stat().st_mtime - birth - skip**2) < 60, "the time is noted")


def test_restart_keeps_the_time_of_the_next_attempt(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "later@remote.test")
    running.await_log("^delivery 1: deferral")
    assert running.stop() == 0
    running.start()
    time.sleep(0.5)
    assert len(running.calls()) == 1
    (number,) = running.queue.numbers()
    os.utime(running.queue.split("remote", number), (0, 0))
    running.stop()
    running.start()
    wait_until(lambda: len(running.calls()) == 2, "it is tried again")


@pytest.mark.parametrize(
    ("recipient", "lifetime"),
    [("later@remote.test", None), ("nolink@remote.test", None), ("later@remote.test", 1000)],
)
def test_too_old_message_is_given_up(running: Site, recipient: str, lifetime: int | None) -> None:
    running.queue.send(MESSAGE, "alice@example.test", recipient)
    running.await_log("^delivery 1: deferral")
    running.stop()
    (number,) = running.queue.numbers()
    running.home.control(queuelifetime=str(lifetime) if lifetime else None)
    born = time.time() - (lifetime or 604800) - 10
    os.utime(running.queue.split("info", number), (born, born))
    os.utime(running.queue.split("remote", number), (0, 0))
    running.start()
    running.await_log("^delivery 1: failure")
    running.await_log("^end msg", 2)
    (bounce,) = running.mail()
    assert b"\nI'm not going to try again; this message has been in the queue too long.\n" in bounce


def test_a_wrong_time_of_the_next_attempt_puts_nothing_off_for_long(running: Site) -> None:
    """A clock that was days ahead has left its times on the files."""
    running.queue.send(MESSAGE, "joe@sender.test", "later@remote.test")
    running.await_log("^delivery 1: deferral")
    running.stop()
    (number,) = running.queue.numbers()
    running.hasten(500)
    when = time.time() + 100_000
    os.utime(running.queue.split("remote", number), (when, when))
    running.start()
    wait_until(lambda: len(running.calls()) >= 2, "it is tried again", 15)


@pytest.mark.parametrize("recipient", ["crash@remote.test", "silent@remote.test", "long@remote.test"])
def test_qmail_remote_without_sense_is_a_deferral(running: Site, recipient: str) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", recipient)
    running.await_log("^delivery 1: deferral: ")
    running.await_log(r"^status: local 0/20 remote 0/20$", 2)


def test_term_reports_finishes_and_says_exiting(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "hold1@remote.test", "hold2@remote.test")
    running.await_log("^starting delivery 2")
    running.queue.send(MESSAGE, "joe@sender.test", "alice@example.test")
    running.await_log("^end msg")
    running.signal(signal.SIGTERM)
    running.await_log(r"^status: local 0/20 remote 2/20 exitasap$")
    running.queue.send(MESSAGE, "joe@sender.test", "alice@example.test")
    assert running.process
    assert running.process.poll() is None
    running.release()
    assert running.process.wait(30) == 0
    lines = running.log().splitlines()
    assert lines[-1] == "status: exiting"
    assert len(re.findall("success: at_last/", running.log())) == 2
    assert len(running.queue.files("todo")) == 1, "what came after TERM is left for the next one"


def ended(place: Site) -> None:
    """Send TERM, then let held deliveries go on, and wait for the end."""
    place.signal(signal.SIGTERM)
    place.await_log("exitasap$")
    place.release()
    assert place.process
    assert place.process.wait(30) == 0


def test_term_begins_no_further_delivery(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="1")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "hold1@remote.test", "hold2@remote.test")
    stopped.await_log("^starting delivery 1")
    ended(stopped)
    assert len(stopped.calls()) == 1
    (number,) = stopped.queue.numbers()
    assert stopped.queue.split("remote", number).read_bytes() == b"Dhold1@remote.test\0Thold2@remote.test\0"


# One recipient: from S4 to S1, with S5 in between only where the first attempt isn't the end of it.


def test_one_recipient_is_delivered_from_todo_and_nothing_is_written_for_it(running: Site) -> None:
    running.queue.send(MESSAGE, "", "hold@remote.test")
    running.await_log("^starting delivery 1")
    (number,) = running.queue.numbers()
    places = sorted(path.split("/")[0] for path in running.queue.files())
    assert places == ["intd", "mess", "todo"]
    running.release()
    running.await_empty()
    assert re.findall("^end msg (.*)$", running.log(), re.MULTILINE) == [str(number)]


@pytest.mark.parametrize("recipient", ["later@remote.test", "flaky@remote.test"])
def test_one_recipient_that_is_deferred_gets_its_files(running: Site, recipient: str) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", recipient)
    running.await_log("^delivery 1: deferral")
    (number,) = running.queue.numbers()
    wait_until(lambda: not running.queue.files("todo", "intd"), "it has left todo")
    assert running.queue.split("info", number).read_bytes() == b"Fjoe@sender.test\0"
    assert running.queue.split("remote", number).read_bytes() == f"T{recipient}\0".encode()
    assert not running.queue.files("local")


def test_how_old_a_message_is_counts_from_its_coming(running: Site) -> None:
    running.script("qmail-remote", "#!/bin/sh\nsleep 4; printf 'Znot yet\\n\\0'\n")
    running.queue.send(MESSAGE, "joe@sender.test", "x@remote.test")
    running.await_log("^delivery 1: deferral")
    (number,) = running.queue.numbers()
    wait_until(lambda: not running.queue.files("todo"), "it has left todo")
    age = running.queue.split("info", number).stat().st_mtime - running.queue.split("mess", number).stat().st_mtime
    assert abs(age) < 2.5


def test_one_recipient_that_fails_is_bounced(running: Site) -> None:
    running.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    running.await_log("^bounce msg")
    running.await_empty()
    (mail,) = running.mail()
    assert b"never@remote.test" in mail
    assert mail.rstrip().endswith(MESSAGE.rstrip())


def test_a_delivery_that_dies_with_qmail_send_is_tried_again(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "hold@remote.test")
    running.await_log("^starting delivery 1")
    running.kill_all()
    running.release()
    running.start()
    running.await_log("^delivery 1: success", 1)
    running.await_empty()


def test_one_whose_domain_has_its_share_waits_with_its_files(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="3", concurrencydomain="1")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "hold1@remote.test")
    stopped.await_log("^starting delivery 1")
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    stopped.await_log("^info msg", 2)
    wait_until(lambda: len(stopped.queue.files("remote")) == 1, "it has its files")
    stopped.release()
    stopped.await_empty()


def test_one_that_changed_its_channel_meanwhile_is_delivered_there(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "flaky@remote.test")
    running.script("qmail-remote", "#!/bin/sh\nsleep 1; printf 'Znot yet\\n\\0'\n")
    running.queue.send(MESSAGE, "joe@sender.test", "alice@remote.test")
    running.await_log("^starting delivery 2")
    running.home.control(locals="example.test\nremote.test")
    running.signal(signal.SIGHUP)
    running.await_log("^delivery .*: success: did_1", 1)


UNABLE = """#!{python} -I
import os
while requests := os.read(0, 4096):
    for request in requests.split(b"\\0")[:-1]:
        os.write(1, b"!" if request[:1] == b"A" else b"+")
"""


def test_what_cannot_be_removed_is_not_delivered_again(stopped: Site) -> None:
    stopped.script("qmail-clean", UNABLE.format(python=sys.executable))
    stopped.start()
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    stopped.await_log("^warning: qmail-clean can't remove todo/")
    stopped.queue.send(MESSAGE, "", "hold@remote.test")
    wait_until(lambda: len(stopped.calls()) == 2, "the second one is under way")
    assert [call.split()[-1] for call in stopped.calls()] == ["ok@remote.test", "hold@remote.test"]


def helper(running: Site, name: str) -> int:
    """Return the process of one that began with qmail-send."""
    assert running.process
    command = ["ps", "-o", "pid=,args=", "--ppid", str(running.process.pid)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    (pid,) = [int(line.split()[0]) for line in lines if name in line]
    return pid


def test_what_ends_together_while_it_leaves_is_not_delivered_again(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="200", concurrencydomain="200")
    stopped.start()
    for i in range(80):
        stopped.queue.send(MESSAGE, "joe@sender.test", f"hold{i}@remote.test")
    stopped.await_log("^starting delivery", 80)
    stopped.signal(signal.SIGSTOP)
    stopped.release()
    time.sleep(2)
    stopped.signal(signal.SIGTERM)
    stopped.signal(signal.SIGCONT)
    ended(stopped)
    assert stopped.log().count(": success: ") == 80
    assert stopped.queue.files() == []


def test_what_was_delivered_when_a_spawner_dies_is_not_delivered_again(stopped: Site) -> None:
    stopped.start()
    stopped.queue.send(MESSAGE, "joe@sender.test", "hold@remote.test")
    (stopped.user_home / ".qmail").write_text(f"|while [ ! -e {stopped.path}/go ]; do sleep 0.05; done\n./Maildir/\n")
    for _ in range(3):
        stopped.queue.send(MESSAGE, "joe@sender.test", "alice@example.test")
    stopped.await_log("^starting delivery", 4)
    stopped.signal(signal.SIGSTOP)
    (stopped.path / "go").touch()
    wait_until(lambda: len(stopped.mail()) == 3, "they are delivered")
    time.sleep(1)
    os.kill(helper(stopped, "qmail-rspawn"), signal.SIGKILL)
    time.sleep(0.5)
    stopped.signal(signal.SIGCONT)
    assert stopped.process
    assert stopped.process.wait(30) == 111
    stopped.process = None
    assert len(stopped.queue.numbers()) == 1


def test_qmail_clean_ends_with_qmail_send_alone(running: Site) -> None:
    running.queue.send(MESSAGE, "joe@sender.test", "hold@remote.test")
    running.await_log("^starting delivery 1")
    os.kill(helper(running, "qmail-clean"), signal.SIGTERM)
    running.release()
    running.await_log("^end msg")
    assert len(running.calls()) == 1


def test_what_cannot_get_its_files_is_not_delivered_each_time(stopped: Site) -> None:
    (stopped.user_home / ".qmail").write_text("./Maildir/\n|exit 111\n")
    stopped.hasten(60)
    stopped.start()
    away = stopped.path / "queue" / "info.away"
    (stopped.path / "queue" / "info").rename(away)
    stopped.queue.send(MESSAGE, "joe@sender.test", "alice@example.test")
    stopped.await_log("^warning: trouble making info/", 4)
    assert len(stopped.mail()) == 1
    away.rename(stopped.path / "queue" / "info")
    stopped.await_log("^delivery .*: deferral", 2)
    assert len(stopped.queue.files("local")) == 1


def test_term_waits_for_a_local_delivery(stopped: Site) -> None:
    stopped.script("qmail-local", '#!/bin/sh\nwhile [ ! -e "$QMAIL_TEST_HOME/release" ]; do sleep 0.02; done\n')
    stopped.start()
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log("^starting delivery 1")
    ended(stopped)
    assert re.search("^delivery 1: success: $", stopped.log(), re.MULTILINE)
    assert stopped.queue.files() == []


HELD_QUEUE = """#!/bin/sh
: >"$QMAIL_TEST_HOME/bouncing"
cat >/dev/null
cat <&1 >/dev/null
while [ ! -e "$QMAIL_TEST_HOME/release" ]; do sleep 0.02; done
"""


def test_term_waits_for_a_bounce_that_is_being_queued(stopped: Site) -> None:
    program = stopped.path / "held"
    program.write_text(HELD_QUEUE)
    program.chmod(0o755)
    stopped.start(env={"QMAILQUEUE": str(program)})
    stopped.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    wait_until((stopped.path / "bouncing").exists, "the bounce is begun")
    stopped.signal(signal.SIGTERM)
    stopped.await_log("exitasap$")
    time.sleep(0.3)
    assert stopped.process
    assert stopped.process.poll() is None
    stopped.release()
    assert stopped.process.wait(30) == 0
    assert len(re.findall(r"^bounce msg \d+ qp", stopped.log(), re.MULTILINE)) == 1
    assert not stopped.queue.files("bounce")


def test_term_leaves_a_bounce_that_is_not_begun_to_the_next(stopped: Site) -> None:
    stopped.script(
        "qmail-remote",
        '#!/bin/sh\nwhile [ ! -e "$QMAIL_TEST_HOME/release" ]; do sleep 0.02; done\nprintf "hno\\n\\0Dno\\n\\0"\n',
    )
    stopped.start()
    stopped.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    stopped.await_log("^starting delivery 1")
    ended(stopped)
    assert "bounce msg" not in stopped.log()
    assert len(stopped.queue.files("bounce")) == 1
    stopped.start()
    stopped.await_log("^bounce msg")
    stopped.await_empty()
    assert len(stopped.mail()) == 1


def test_hup_rereads_locals_and_virtualdomains(running: Site) -> None:
    running.queue.send(MESSAGE, "", "alice@new.test")
    running.await_log("to remote alice@new.test")
    running.home.control(locals="new.test", virtualdomains="virtual.test:alice")
    running.signal(signal.SIGHUP)
    time.sleep(0.3)
    running.queue.send(MESSAGE, "", "alice@new.test")
    running.await_log("to local alice@new.test")
    running.queue.send(MESSAGE, "", "joe@virtual.test")
    running.await_log("to local alice-joe@virtual.test")


def test_hup_with_a_broken_file_changes_nothing(running: Site) -> None:
    running.home.control(locals=b"a\0b\n")
    running.signal(signal.SIGHUP)
    running.await_log("^alert: unable to reread control/locals")
    running.queue.send(MESSAGE, "", "alice@example.test")
    running.await_log("to local alice@example.test")


def test_percenthack_and_envnoathost(stopped: Site) -> None:
    stopped.home.control(percenthack="hack.test", envnoathost="default.test")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "ok%far.test@hack.test", "ok", "x%alice%example.test@hack.test")
    stopped.await_log("to remote ok@far.test")
    stopped.await_log("to remote ok@default.test")
    stopped.await_log("to local x%alice@example.test")


def test_variable_return_path(running: Site) -> None:
    running.queue.send(MESSAGE, "list-@lists.test-@[]", "ok@remote.test", "never@remote.test")
    running.await_log("^end msg", 1)
    assert sorted(running.calls()[:2]) == [
        "remote.test list-never=remote.test@lists.test never@remote.test",
        "remote.test list-ok=remote.test@lists.test ok@remote.test",
    ]
    running.await_log("to remote list-@lists.test$")


def test_virtual_recipient_is_known_to_the_sender_without_its_prefix(stopped: Site) -> None:
    stopped.home.control(virtualdomains="virtual.test:alice")
    stopped.script("qmail-local", "#!/bin/sh\necho no\nexit 100\n")
    stopped.start()
    stopped.queue.send(MESSAGE, "ok@remote.test", "joe@virtual.test")
    stopped.await_log("to local alice-joe@virtual.test")
    stopped.await_log("^delivery 1: failure: no/$")
    wait_until(lambda: stopped.queue.files("bounce") or "bounce msg" in stopped.log(), "it bounces")


@pytest.mark.parametrize(("local", "remote"), [(3, 2), (0, 0)])
def test_concurrency(stopped: Site, local: int, remote: int) -> None:
    stopped.home.control(concurrencylocal=str(local), concurrencyremote=str(remote), concurrencydomain=str(remote))
    stopped.start()
    assert stopped.log().splitlines()[1] == f"status: local 0/{local} remote 0/{remote}"
    stopped.queue.send(MESSAGE, "", *(f"hold{i}@remote.test" for i in range(remote + 3)))
    stopped.await_log("^info msg")
    if remote:
        stopped.await_log("^starting delivery", remote, timeout=60)
    time.sleep(0.2)
    assert stopped.log().count("starting delivery") == remote


GATE = """#!/bin/sh
: >>"$QMAIL_TEST_HOME/at-gate/$$"
read word <"$QMAIL_TEST_HOME/gate"
printf '{answer}'
"""


@pytest.mark.parametrize(
    ("channel", "program", "answer", "address"),
    [
        ("remote", "qmail-remote", r"r\0Kdone\n\0", "r{}@remote.test"),
        ("local", "qmail-local", "done", "alice-{}@example.test"),
    ],
    ids=["remote", "local"],
)
def test_five_hundred_deliveries_run_at_once_and_no_more(
    stopped: Site, channel: str, program: str, answer: str, address: str
) -> None:
    gate, arrived = stopped.path / "gate", stopped.path / "at-gate"
    os.mkfifo(gate)
    arrived.mkdir()
    arrived.chmod(0o777)
    gate.chmod(0o666)
    stopped.script(program, GATE.format(answer=answer))
    stopped.home.control(concurrencylocal="500", concurrencyremote="500")
    stopped.home.control(concurrencyuser="500", concurrencydomain="500")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))  # fewer than that many deliveries need
    stopped.start()
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    stopped.queue.send(MESSAGE, "", *(address.format(i) for i in range(520)))
    wait_until(lambda: len(list(arrived.iterdir())) == 500, "500 deliveries run", 120)
    stopped.await_log(rf"^status: .*{channel} 500/500")
    time.sleep(0.2)
    assert stopped.log().count("starting delivery") == 500
    open_gate = os.open(gate, os.O_RDWR)
    gate.rename(stopped.path / "old-gate")
    gate.touch()
    gate.chmod(0o644)
    os.write(open_gate, b"\n" * 1000)
    stopped.await_empty(120)
    os.close(open_gate)
    assert len(stopped.await_log(": success: ", 520)) == 520  # lines of one turn come together, at its end


def test_how_messages_are_made_durable_is_said_at_the_start(running: Site) -> None:
    first = running.log().split("\n")[0]
    assert first in ("queue: one fsync for a message", "queue: an fsync for each file and name")


# As alice the delivery waits to be let go, as anybody else it is done at once.
WAITING = """#!/bin/sh
[ "$2" = alice ] || exit 0
while [ ! -e "$QMAIL_TEST_HOME/release" ]; do sleep 0.05; done
"""


def most_at_once(log: str) -> int:
    """Return how many deliveries were under way at most; one that had to wait wasn't."""
    waited = set(re.findall(r"^delivery (\d+): deferral: Waits", log, re.MULTILINE))
    running: set[str] = set()
    most = 0
    for started, ended in re.findall(r"^(?:starting delivery (\d+)|delivery (\d+)):", log, re.MULTILINE):
        if started and started not in waited:
            running.add(started)
        running.discard(ended)
        most = max(most, len(running))
    return most


@pytest.mark.skipif(os.geteuid() != 0, reason="only root delivers to two users")
def test_a_user_has_a_share_of_the_local_deliveries_whatever_the_addresses(stopped: Site) -> None:
    stopped.assign(
        "=alice:alice:{uid}:{gid}:{home}:::",
        "+alice-:alice:{uid}:{gid}:{home}:-::",
        "+list-:alice:{uid}:{gid}:{home}:-list-::",
        "=bob:bob:1002:{gid}:{home}:::",
    )
    stopped.home.control(concurrencylocal="6", virtualdomains="virtual.test:alice")
    stopped.script("qmail-local", WAITING)
    stopped.start()
    for i in range(11):
        stopped.queue.send(
            MESSAGE, "", [f"alice-{i}@example.test", f"list-{i}@example.test", f"x{i}@virtual.test"][i % 3]
        )
    stopped.await_log("^info msg", 11)
    stopped.await_log("deferral: Waits_for_its_turn:_uid_", 9)
    stopped.queue.send(MESSAGE, "", "bob@example.test", "bob@example.test")
    stopped.await_log("success", 2)
    assert most_at_once(stopped.log()) <= 4
    stopped.release()
    stopped.await_empty(60)
    assert stopped.log().count(": success: ") == 13
    assert stopped.log().count(": deferral: ") == 9
    assert not re.search("failure|mangled|out of range", stopped.log())


@pytest.mark.skipif(os.geteuid() != 0, reason="a user's share is of more than one user")
def test_one_to_an_address_that_has_its_share_waits_without_asking_and_without_files(stopped: Site) -> None:
    stopped.home.control(concurrencylocal="3", concurrencyuser="1")
    stopped.script("qmail-local", WAITING)
    stopped.start()
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    wait_until(lambda: processes(stopped.path, "qmail-local"), "the first one is under way")
    for _ in range(3):
        stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log("^info msg", 4)
    assert not stopped.queue.files("info", "local")
    assert len(stopped.queue.files("todo")) == 4
    stopped.release()
    stopped.await_empty(60)
    log = stopped.log()
    assert log.count("starting delivery") == log.count(": success: ") == 4
    assert "deferral" not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="a user's share is of more than one user")
def test_one_to_another_address_of_a_user_who_has_his_share_waits_without_files(stopped: Site) -> None:
    stopped.home.control(concurrencylocal="3", concurrencyuser="1")
    stopped.script("qmail-local", WAITING)
    stopped.start()
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log("^starting delivery")
    stopped.queue.send(MESSAGE, "joe@sender.test", "alice-x@example.test")
    stopped.await_log("^delivery 2: deferral: Waits")
    assert not stopped.queue.files("info", "local")
    stopped.kill_all()
    stopped.release()
    stopped.start()
    stopped.await_empty(60)
    assert stopped.log().count(": success: ") == 2


STALE = 4242424242


def test_a_todo_entry_that_has_gone_since_it_was_listed_is_no_trouble(stopped: Site) -> None:
    """Its number may be the next message's, which must not wait for the end of that trouble."""
    options = f"{ASAN_OPTIONS}:verify_asan_link_order=0"
    preloaded = f"LD_PRELOAD={BUILD}/stale.so STALE={STALE} ASAN_OPTIONS={options}"
    stopped.script("qmail-send", f"#!/bin/sh\n{preloaded} exec {BUILD}/bin/qmail-send\n")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_empty()
    assert str(STALE) not in stopped.log()
    assert "warning" not in stopped.log()


def test_a_domain_has_a_share_of_the_remote_deliveries(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="6", doublebounceto="\n")
    stopped.start()
    stopped.queue.send(MESSAGE, "", *(f"hold{i}@{host}.test" for i in range(6) for host in ("slow", "SLOW")))
    for _ in range(3):
        stopped.queue.send(MESSAGE, "", "hold-more@slow.test")
    stopped.await_log("^info msg", 4)
    stopped.queue.send(MESSAGE, "", "ok@other.test", "never@other.test")
    stopped.await_log("^delivery [0-9]+: success:")
    stopped.await_log("^delivery [0-9]+: failure:")
    assert stopped.log().count("starting delivery") == 4
    assert not re.search(r"remote [5-9]/6", stopped.log())
    stopped.release()
    stopped.await_empty(60)
    assert sum("hold" in call for call in stopped.calls()) == 15


def old_messages(stopped: Site, recipients: list[str], *, due: int = -60) -> None:
    """Leave messages in the queue as an earlier qmail-send would, one to each of these, due so many seconds hence."""
    now = time.time()
    for recipient in recipients:
        fresh = stopped.queue.path / "pid" / "fresh"
        fresh.write_bytes(MESSAGE)
        number = fresh.stat().st_ino
        fresh.rename(stopped.queue.split("mess", number))
        stopped.queue.split("info", number).write_bytes(b"Fjoe@sender.test\0")
        os.utime(stopped.queue.split("info", number), (now - 3600, now - 3600))
        stopped.queue.split("remote", number).write_bytes(b"T" + recipient.encode() + b"\0")
        os.utime(stopped.queue.split("remote", number), (now + due, now + due))


@pytest.mark.parametrize("due", [-60, 3600])
def test_the_first_delivery_waits_for_no_look_through_the_queue(stopped: Site, due: int) -> None:
    """Neither that of an old message, nor, where none is due, that of a new one."""
    count = 2000
    old_messages(stopped, [f"ok{i}@old{i}.test" for i in range(count)], due=due)
    if due > 0:
        stopped.queue.send(MESSAGE, "", "never@remote.test")
    stopped.count(stopped.path / "counted")
    stopped.home.control(concurrencyremote="1")
    stopped.start()
    stopped.await_log("^starting delivery 1: ")
    done = Counts.read(stopped.path / "counted", "delivery")
    assert done.looks < count / 2
    assert done.opens < count / 4
    assert done.names < count / 4


def test_old_and_new_messages_take_turns(stopped: Site) -> None:
    """A new one waits for no queue, however long, and a stream of new ones keeps the old ones not waiting."""
    old_messages(stopped, ["hold@first.test"], due=-120)
    old_messages(stopped, [f"ok{i}@old{i}.test" for i in range(30)])
    stopped.home.control(concurrencyremote="1", queuelifetime="86400")
    stopped.start()
    held = "first.test joe@sender.test hold@first.test"
    wait_until(lambda: held in stopped.calls(), "the only delivery at a time is under way")
    for i in range(30):
        stopped.queue.send(MESSAGE, "", f"ok{i}@new{i}.test")
    stopped.await_log("^info msg ", 30)
    stopped.release()
    stopped.await_empty(60)
    kinds = [call.split(".test")[0].strip("0123456789") for call in stopped.calls()]
    kinds = kinds[stopped.calls().index(held) + 1 :]  # it may not be the first that is found
    assert [kinds[:20].count(kind) for kind in ("old", "new")] == [10, 10]


@pytest.mark.parametrize("channel", ["local", "remote"])
def test_a_recipient_more_costs_as_much_whatever_their_number(channel: str) -> None:
    """And the message is in the queue once."""
    costs = []
    for count in (200, 800):
        with site() as made:
            made.count(made.path / "counted")
            made.home.control(concurrencylocal="20", concurrencyremote="20")
            made.assign("+list-:alice:{uid}:{gid}:{home}:-::")
            (made.user_home / ".qmail-default").write_text("#\n")
            made.start()
            form = "list-{}@example.test" if channel == "local" else "ok{0}@host{0}.test"
            made.queue.send(MESSAGE, "", *(form.format(i) for i in range(count)))
            assert len(made.queue.files("mess")) <= 1
            made.await_log(": success: ", count, 120)
            made.await_empty()
            made.stop()
            costs.append(Counts.read(made.path / "counted", "end"))
            assert made.log().count(": success: ") == count
    few, many = costs
    for name in ("looks", "opens", "names", "reads", "writes"):
        # How much comes at a time is chance, so up to twelve for each recipient are fine in any case.
        assert getattr(many, name) < max(6 * getattr(few, name), 12 * 800), (name, few, many)


def test_who_waits_for_a_turn_is_neither_waited_for_nor_forgotten(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="3")
    stopped.start()
    stopped.queue.send(MESSAGE, "", *(f"hold{i}@slow.test" for i in range(5)), "ok@other.test")
    stopped.await_log(": success:")
    stopped.signal(signal.SIGTERM)
    stopped.await_log("exitasap")
    stopped.release()
    assert stopped.stop() == 0
    assert len(stopped.calls()) == 2
    stopped.start()
    stopped.await_empty()
    assert len(stopped.calls()) == len(set(stopped.calls())) == 6


def test_a_failure_to_read_who_waits_is_tried_again(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="3")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "hold0@slow.test", "hold1@slow.test", "hold2@slow.test")
    stopped.await_log("^starting delivery")
    (file,) = [stopped.queue.path / name for name in stopped.queue.files() if name.startswith("remote/")]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 3])
    stopped.release()
    stopped.await_log("warning: ", 2)
    assert len(stopped.calls()) == 1


def write_dot(place: Site, text: str, uid: int = UID, name: str = ".qmail") -> None:
    dot = place.user_home / name
    dot.write_text(text)
    for path in (dot, place.user_home):
        os.chown(path, uid, GID)
    place.user_home.chmod(0o755)


@pytest.mark.parametrize(
    ("line", "report"),
    [
        ("|sleep 60", "Programs_of_this_delivery_took_longer_than_the_1_seconds_of_control/timeoutprogram"),
        ("|trap '' TERM; kill -STOP $PPID; sleep 60 & setsid sleep 60 & wait", "The_delivery_took_longer_than_3_sec"),
    ],
    ids=["sleeps", "stops its qmail-local"],
)
def test_a_program_holds_a_delivery_for_its_time_and_no_longer(stopped: Site, line: str, report: str) -> None:
    write_dot(stopped, "|echo $$ >pid\n" + line + "\n./Maildir/\n")
    stopped.home.control(timeoutprogram="1")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log(f"^delivery 1: deferral: {report}")
    assert not stopped.mail()
    running = subprocess.run(["pgrep", "-f", "^sleep 60$"], capture_output=True, text=True, check=False).stdout.split()
    assert not [pid for pid in running if Path(f"/proc/{pid}/cwd").resolve() == stopped.user_home]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a /proc that hides processes")
@pytest.mark.parametrize(
    "line",
    ["|{0} 60 & wait", "|kill -STOP $PPID; {0} 60 & setsid {0} 60 & wait"],
    ids=["waits", "stops its qmail-local"],
)
def test_a_program_that_nobody_may_look_into_ends_in_time_too(stopped: Site, line: str) -> None:
    hidden = stopped.path / "hidden"
    shutil.copy("/bin/sleep", hidden)
    hidden.chmod(0o711)
    write_dot(stopped, line.format(hidden) + "\n./Maildir/\n")
    stopped.home.control(timeoutprogram="1")
    mount = 'mount -t proc -o hidepid=invisible proc /proc && exec "$@"'
    stopped.start(by=("unshare", "--mount", "sh", "-c", mount, "sh"))
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log("^delivery 1: deferral: .*_took_longer_than_")
    assert subprocess.run(["pgrep", "-f", f"^{hidden}"], capture_output=True, check=False).stdout == b""


def processes_of(uid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):
            if f"\nUid:\t{uid}\t" in status.read_text():
                found.append(int(status.parent.name))
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root delivers to another user")
def test_what_a_user_s_programs_leave_behind_has_a_bound(stopped: Site) -> None:
    uid = 61000 + os.getpid() % 4000  # a user of our own: the kernel counts all that one has
    stopped.assign(f"=carol:carol:{uid}:{{gid}}:{{home}}:::", f"+carol-:carol:{uid}:{{gid}}:{{home}}:-::")
    write_dot(stopped, "|for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 300 >&- 2>&- & done\n", uid)
    write_dot(stopped, "./Maildir/\n", uid, ".qmail-plain")
    for part in ("", "tmp", "new"):
        os.chown(stopped.user_home / "Maildir" / part, uid, GID)
    stopped.home.control(processesuser="10")
    stopped.start()
    try:
        stopped.queue.send(MESSAGE, "", "carol@example.test")
        stopped.await_log("^delivery 1: deferral: .*fork")
        assert 5 < len(processes_of(uid)) <= 10
        stopped.home.control(processesuser="8")
        stopped.queue.send(MESSAGE, "", "carol@example.test", "carol-plain@example.test")
        stopped.await_log(
            "^delivery [23]: deferral: Can't_run_/bin/sh:_its_user_has_the_8_processes_of_control/process"
        )
        stopped.await_log("^delivery [23]: success: did_1")
        assert len(stopped.mail()) == 1
    finally:
        for pid in processes_of(uid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["timeoutprogram", "concurrencyuser", "concurrencydomain", "bouncebody"])
def test_senseless_limits_are_refused(stopped: Site, name: str) -> None:
    stopped.home.control(**{name: "many"})
    ended = stopped.home.run("qmail-start", "./Maildir/")
    assert ended.returncode == 111
    assert b"alert: cannot start: can't use a control file: " + name.encode() in ended.stdout


@pytest.mark.parametrize("value", ["501", "ten", "-1"])
def test_senseless_concurrency_is_refused(stopped: Site, value: str) -> None:
    stopped.home.control(concurrencyremote=value)
    ended = stopped.home.run("qmail-start", "./Maildir/")
    assert ended.returncode == 111
    assert b"alert: cannot start: can't use a control file: concurrencyremote" in ended.stdout


def test_second_qmail_send_is_refused(running: Site) -> None:
    ended = running.home.run("qmail-start", "./Maildir/")
    assert ended.returncode == 111
    assert b"alert: cannot start: qmail-send is already running" in ended.stdout


def test_new_mail_is_taken_in_while_every_slot_is_busy(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="1")
    stopped.start()
    stopped.queue.send(MESSAGE, "", *(f"hold{i}@remote.test" for i in range(5)))
    stopped.await_log("^starting delivery 1")
    for _ in range(5):
        stopped.queue.send(MESSAGE, "", "ok@remote.test")
    stopped.await_log("^new msg", 6, timeout=5)


def test_without_the_trigger_new_mail_is_seen_after_25_minutes(stopped: Site) -> None:
    stopped.hasten(500)  # three seconds
    stopped.start()
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    stopped.await_log("^end msg")
    trigger = stopped.path / "queue" / "lock" / "trigger"
    with trigger.open("wb") as last:
        last.write(b"\0")  # it looks once more, and finds nothing
    time.sleep(0.3)
    trigger.unlink()
    os.mkfifo(trigger)
    began = time.monotonic()
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    stopped.await_log("^end msg", 2, timeout=20)
    assert 1.5 < time.monotonic() - began < 6


def test_long_list_gives_way_to_others(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="5")
    stopped.queue.send(MESSAGE, "", *(f"list{i}@remote.test" for i in range(300)))
    stopped.start()
    stopped.await_log("^starting delivery")
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    stopped.await_empty(60)
    calls = stopped.calls()
    assert len(calls) == len(set(calls)) == 301
    assert calls.index("remote.test  ok@remote.test") < 250


def test_interrupted_intake_is_done_again(stopped: Site) -> None:
    """State S4 with info and local from a qmail-send that was killed: nothing of them counts."""
    stopped.queue.send(MESSAGE, "joe@sender.test", "ok@remote.test")
    (number,) = stopped.queue.numbers()
    stopped.queue.split("info", number).write_bytes(b"Fwrong\0")
    stopped.queue.split("local", number).write_bytes(b"Twrong@example.te")
    stopped.queue.split("remote", number).write_bytes(b"")
    stopped.start()
    stopped.await_empty()
    assert stopped.calls() == ["remote.test joe@sender.test ok@remote.test"]
    assert "to local" not in stopped.log()


def test_s4_without_intd_is_taken_in(stopped: Site) -> None:
    stopped.queue.send(MESSAGE, "joe@sender.test", "ok@remote.test")
    (number,) = stopped.queue.numbers()
    stopped.queue.flat("intd", number).unlink()
    stopped.start()
    stopped.await_empty()
    assert len(stopped.calls()) == 1


def age(path: os.PathLike[str], hours: float) -> None:
    when = time.time() - hours * 3600
    os.utime(path, (when, when))


def test_what_dead_qmail_queues_left_goes_after_36_hours(stopped: Site) -> None:
    queue = stopped.queue
    for number, hours in ((101, 37), (102, 35), (103, 37), (104, 35)):
        queue.split("mess", number).write_bytes(b"x")
        if number > 102:
            queue.flat("intd", number).write_bytes(b"x")
            age(queue.flat("intd", number), hours)
        age(queue.split("mess", number), hours)
    for name, hours in (("old", 37), ("new", 35)):
        (queue.path / "pid" / name).touch()
        age(queue.path / "pid" / name, hours)
    stopped.start()
    wait_until(lambda: len(queue.files()) == 4, "what is old has gone")
    assert queue.files() == ["intd/104", f"mess/{102 % 23}/102", f"mess/{104 % 23}/104", "pid/new"]


def test_every_day_what_has_become_old_is_looked_for(stopped: Site) -> None:
    path = stopped.queue.split("mess", 101)
    path.write_bytes(b"x")
    age(path, 20)
    stopped.hasten(20_000)  # a day is four seconds
    stopped.start()
    assert path.exists()
    wait_until(lambda: not path.exists(), "it is removed", 15)


def test_it_begins_when_the_last_qmail_clean_has_ended(stopped: Site) -> None:
    """The qmail-clean of a qmail-send that was killed may still remove what it was asked to."""
    directory = os.open(stopped.path / "queue" / "pid", os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    timer = threading.Timer(1, os.close, [directory])
    timer.start()
    began = time.monotonic()
    stopped.start()
    assert time.monotonic() - began > 0.9
    stopped.await_empty()


def test_old_message_with_an_envelope_is_not_swept(stopped: Site) -> None:
    stopped.queue.send(MESSAGE, "", "later@remote.test")
    (number,) = stopped.queue.numbers()
    age(stopped.queue.split("mess", number), 100)
    stopped.start()
    stopped.await_log("deferral")
    time.sleep(0.3)
    assert stopped.queue.numbers() == [number]


def test_malformed_todo_is_left_and_the_rest_goes_on(stopped: Site) -> None:
    stopped.queue.split("mess", 77).write_bytes(b"x")
    stopped.queue.flat("todo", 77).write_bytes(b"u0\0p1\0Fa\0Xb\0")
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    stopped.start()
    stopped.await_log("^end msg")
    assert stopped.log().count("warning: trouble reading todo/77") == 1
    assert stopped.queue.flat("todo", 77).exists()


@pytest.mark.parametrize("victim", ["qmail-lspawn", "qmail-rspawn", "qmail-clean"])
def test_lost_helper_ends_qmail_send(running: Site, victim: str) -> None:
    assert running.process
    children = subprocess.run(
        ["pgrep", "-P", str(running.process.pid), "-x", victim[:15]], capture_output=True, check=False
    ).stdout.split()
    os.kill(int(children[0]), signal.SIGKILL)
    if victim == "qmail-clean":
        running.queue.send(MESSAGE, "", "ok@remote.test")
    assert running.process.wait(20) == 111
    running.await_log("^alert: lost connection")


def test_process_group_holds_all_of_them(running: Site) -> None:
    assert running.process
    group = running.process.pid
    assert os.getpgid(group) == group
    found = subprocess.run(["pgrep", "-g", str(group), "-l"], capture_output=True, check=True).stdout.decode()
    for name in ("qmail-send", "qmail-lspawn", "qmail-rspawn", "qmail-clean"):
        assert name in found


def test_idle_means_idle(running: Site) -> None:
    running.queue.send(MESSAGE, "", "later@remote.test", "hold@remote.test", "alice@example.test")
    running.await_log("deferral")
    time.sleep(0.3)
    assert running.process
    group = running.process.pid
    members = subprocess.run(["pgrep", "-g", str(group), "^qmail-"], capture_output=True, check=True).stdout.split()

    def ticks() -> int:
        stats = (Path(f"/proc/{int(member)}/stat").read_text().rsplit(")", 1)[1].split() for member in members)
        return sum(int(stat[11]) + int(stat[12]) for stat in stats)

    before = ticks()
    time.sleep(1)
    assert ticks() - before <= 2


def test_descriptors_of_qmail_send(running: Site) -> None:
    assert running.process
    links = Path(f"/proc/{running.process.pid}/fd")
    assert [str((links / fd).readlink()) for fd in ("0", "1")] == ["/dev/null", "/dev/null"]
    # It may be reading a directory of its queue just now.
    wait_until(lambda: {int(link.name) for link in links.iterdir()} == set(range(12)), "it has these descriptors only")


def test_deliveries_get_only_three_descriptors_and_a_small_environment(stopped: Site) -> None:
    stopped.script(
        "qmail-local",
        '#!/bin/sh\nls -l /proc/self/fd | wc -l\nenv | cut -d= -f1 | sort | tr "\\n" ,\n',
    )
    ours = os.memfd_create("ours", 0)
    stopped.start(env={"SECRET": "x", "AWS_KEY": "y", "LC_ALL": "C"}, fds=(ours,))
    os.close(ours)
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    (report,) = stopped.await_log(r"^delivery 1: success: (.*)$")
    count, names, _ = report.split("/", 2)[0], report.split("/")[1], None
    assert count == "5", "total line, 0, 1, 2 and the directory itself"
    assert set(names.strip(",").split(",")) <= {
        *("ASAN_OPTIONS", "LC_ALL", "PATH", "PWD", "QMAIL_TEST_HOME", "OLDPWD", "SHLVL", "_"),
    }


# No shell script, since shells put signals in order themselves.
SIGNALS = """#!/usr/bin/awk -f
BEGIN {{
	while ((getline line <"/proc/self/status") > 0)
		if (split(line, words) && words[1] ~ /^Sig(Blk|Ign):/)
			print words[2] >"{to}"
}}
"""


def usual(status: str) -> None:
    """See that nothing is blocked, nor ignored of what qmail's own programs ignore."""
    blocked, ignored = (int(word, 16) for word in status.split())
    assert blocked == 0
    assert not [number for number in (signal.SIGPIPE, signal.SIGCHLD, signal.SIGALRM) if ignored >> number - 1 & 1]


def test_deliveries_get_signals_as_usual(stopped: Site) -> None:
    """Who ignores SIGPIPE passes that on to each program of a dot-qmail file."""
    stopped.script("qmail-local", SIGNALS.format(to="/dev/stdout"))
    stopped.start()
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    (report,) = stopped.await_log(r"^delivery 1: success: (.*)/$")
    usual(report.replace("/", "\n"))


def test_the_queueing_program_of_a_bounce_gets_signals_as_usual(stopped: Site) -> None:
    to = stopped.path / "signals"
    program = stopped.path / "queueing"
    program.write_text(SIGNALS.format(to=to))
    program.chmod(0o755)
    stopped.start(env={"QMAILQUEUE": str(program)})
    stopped.queue.send(MESSAGE, "alice@example.test", "never@remote.test")
    stopped.await_log("bounce m")
    usual(to.read_text())


REQUEST = b"\0\0" + b"101\0joe@sender.test\0ok@remote.test\0"


@pytest.mark.parametrize("orphaned", [False, True])
def test_a_spawner_begins_nothing_without_its_qmail_send(stopped: Site, orphaned: bool) -> None:
    """The next qmail-send may be at the same message; one that has gone may have left its number to another."""
    stopped.queue.split("mess", 101).write_bytes(MESSAGE)
    request, ours = os.pipe()
    os.write(ours, REQUEST)
    if orphaned:
        os.close(ours)
    environment = stopped.home.environment()
    program = [BUILD / "bin" / "qmail-rspawn"]
    with subprocess.Popen(program, env=environment, stdin=request, stdout=subprocess.PIPE) as process:
        os.close(request)
        assert process.stdout
        answer = process.stdout.read(6)
        if not orphaned:
            os.close(ours)
    assert answer[2:5] == (b"\0\0Z" if orphaned else b"\0\0K")
    assert len(stopped.calls()) == (0 if orphaned else 1)


def test_without_a_path_programs_are_found_all_the_same(stopped: Site) -> None:
    stopped.script("qmail-local", "#!/bin/sh\necho $PATH\n")
    environment = stopped.home.environment()
    del environment["PATH"]
    with stopped.log_file.open("wb") as log:
        stopped.process = subprocess.Popen(
            [BUILD / "bin" / "qmail-start", "./Maildir/"], env=environment, stdout=log, stderr=log
        )
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log("^delivery 1: success: /usr/local/bin:/usr/bin:/bin/$")


@pytest.mark.parametrize("kind", ["a link", "a pipe"])
def test_only_a_file_is_a_message(stopped: Site, kind: str) -> None:
    secret = stopped.path / "secret"
    secret.write_bytes(MESSAGE)
    stopped.queue.send(MESSAGE, "", "ok@remote.test")
    (number,) = stopped.queue.numbers()
    path = stopped.queue.split("mess", number)
    path.unlink()
    if kind == "a link":
        path.symlink_to(secret)
    else:
        os.mkfifo(path)
    stopped.start()
    stopped.await_log("^delivery 1: deferral: ")
    assert stopped.calls() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has groups to lose")
def test_deliveries_have_no_groups_of_root(stopped: Site) -> None:
    stopped.script("qmail-local", "#!/bin/sh\nid -G\n")
    before = os.getgroups()
    os.setgroups([0, 4, 27])
    try:
        stopped.start()
    finally:
        os.setgroups(before)
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log(f"^delivery 1: success: {GID}/$")


def test_process_left_behind_does_not_hold_the_delivery(stopped: Site) -> None:
    stopped.script("qmail-local", "#!/bin/sh\nsleep 1000 &\necho left\n")
    stopped.start()
    stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.await_log("^delivery 1: success: left/$", timeout=10)


@pytest.mark.parametrize(
    ("recipient", "arguments"),
    [
        ("alice@example.test", "-- alice {home} alice   example.test s@x ./Maildir/"),
        ("ALICE@example.test", "-- alice {home} ALICE   example.test s@x ./Maildir/"),
        ("alice-Some-List@example.test", "-- alice {home} alice-Some-List - Some-List example.test s@x ./Maildir/"),
    ],
)
def test_arguments_of_qmail_local(stopped: Site, recipient: str, arguments: str) -> None:
    stopped.script("qmail-local", '#!/bin/sh\necho "$@"\nid -u\nid -g\n')
    stopped.start()
    stopped.queue.send(MESSAGE, "s@x", recipient)
    (report,) = stopped.await_log(r"^delivery 1: success: (.*)$")
    said = arguments.format(home=stopped.user_home).replace(" ", "_")
    assert report == f"{said}/{UID}/{GID}/"


def test_many_messages_with_every_lookup_slot(stopped: Site) -> None:
    stopped.home.control(concurrencylocal="100")
    for _ in range(150):
        stopped.queue.send(MESSAGE, "", "alice@example.test")
    stopped.start()
    stopped.await_empty(60)
    assert len(stopped.mail()) == 150


def cpu(place: Site) -> float:
    """The seconds that qmail-send itself has computed so far."""
    assert place.process
    return int(Path(f"/proc/{place.process.pid}/schedstat").read_text().split()[0]) / 1e9


def cost_beside(waiting: int) -> tuple[float, float]:
    """What qmail-send computes to start with so many messages waiting, and to deliver 100 new ones beside them."""
    memory = Path("/dev", "shm")
    with site(memory if os.access(memory, os.W_OK) else None) as place:
        for directory in ("info", "remote"):
            for part in range(SPLIT):
                # Links, as a queue of so many files takes long to make; none of these is due for minutes.
                first = place.path / "queue" / directory / str(part) / str(10**9 * SPLIT + part)
                first.write_bytes(b"Fa@b.test\0" if directory == "info" else b"Tc@d.test\0")
                for number in range(1, waiting // SPLIT):
                    os.link(first, first.with_name(str((10**9 + number) * SPLIT + part)))
        place.start()
        begun = -1.0
        while begun != (begun := cpu(place)):
            time.sleep(0.3)
        for _ in range(100):
            place.queue.send(MESSAGE, "", "alice@example.test")
        place.await_log("^end msg", 100, timeout=120)
        return begun, cpu(place) - begun


def test_a_hundred_thousand_waiting_messages_cost_the_others_nothing() -> None:
    few_start, few_work = cost_beside(10_000)
    many_start, many_work = cost_beside(100_000)
    assert many_start < 20 * few_start, "ten times the messages are ten times the work, not a hundred times"
    assert many_work < 2 * few_work, "what waits is not looked at for what is delivered"


def test_logger_runs_and_sees_the_end(stopped: Site) -> None:
    logger = stopped.path / "logger"
    logger.write_text(f"#!/bin/sh\ncat >{stopped.log_file}\necho logger ends >>{stopped.log_file}\n")
    logger.chmod(0o755)
    process = subprocess.Popen(
        [BUILD / "bin" / "qmail-start", "./Maildir/", str(logger)],
        env=stopped.home.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stopped.process = process
    stopped.await_log("^status: local 0/20 remote 0/20")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    stopped.await_log("^logger ends")


def test_unusable_envelope_forms_never_reach_qmail_send(running: Site) -> None:
    assert running.queue.put(MESSAGE, b"Fa\0T" + b"x" * 2000 + b"\0\0") == 11
    assert running.queue.put(MESSAGE, envelope("a" * 1003, "ok" + "b" * 990 + "@r.test")) == 0
    running.await_log("^end msg")


# --- Pauses -----------------------------------------------------------------------------


def test_a_destination_that_has_enough_is_left_alone_and_no_other(running: Site) -> None:
    running.queue.send(MESSAGE, "", "busy1@remote.test")
    running.await_log("^pause: remote.test 60 seconds$")
    running.queue.send(MESSAGE, "", "ok1@remote.test", "ok2@REMOTE.test", "ok3@other.test")
    running.queue.send(MESSAGE, "", "ok4@remote.test")
    running.await_log("^delivery [0-9]+: success:")
    running.await_log("^info msg", 3)
    time.sleep(0.5)
    assert [call.split()[-1] for call in running.calls()] == ["busy1@remote.test", "ok3@other.test"]
    assert len(running.queue.files("remote")) == 3
    # When the pause is over, and not by the schedule of each.
    files = [path for path in (running.queue.path / "remote").rglob("*") if path.is_file()]
    due = {path.read_bytes(): path.stat().st_mtime for path in files}
    assert all(time.time() < when < time.time() + 61 for record, when in due.items() if b"ok" in record)


def test_pauses_grow_until_one_is_taken(stopped: Site) -> None:
    stopped.hasten(500)
    stopped.start()
    stopped.queue.send(MESSAGE, "", "busy1@remote.test")
    stopped.await_log("^pause: remote.test 60 seconds$")
    stopped.await_log("^pause: remote.test 120 seconds$")
    stopped.await_log("^pause: remote.test 240 seconds$")
    stopped.release()
    stopped.await_log("^pause: remote.test over$")
    stopped.await_empty()
    assert stopped.log().count("pause: ") == 4


def test_behind_a_pause_one_delivery_asks(stopped: Site) -> None:
    stopped.home.control(concurrencyremote="9", concurrencydomain="3")
    stopped.hasten(120)
    stopped.start()
    stopped.queue.send(MESSAGE, "", "busy1@remote.test")
    stopped.await_log("^pause: remote.test 60 seconds$")
    stopped.queue.send(MESSAGE, "", *(f"hold{i}@remote.test" for i in range(5)))
    stopped.await_log("^starting delivery 2")
    time.sleep(0.5)
    assert stopped.log().count("starting delivery") == 2
    stopped.release()
    stopped.await_log("^pause: remote.test over$")
    stopped.await_empty()
    assert re.search(r"remote 3/9", stopped.log())


def test_what_was_under_way_makes_a_pause_no_longer(stopped: Site) -> None:
    stopped.start()
    stopped.queue.send(MESSAGE, "", *(f"busy{i}@remote.test" for i in range(5)))
    stopped.await_log("^delivery [0-9]+: deferral", 5)
    assert re.findall("^pause: .*", stopped.log(), re.MULTILINE) == ["pause: remote.test 60 seconds"]


def test_the_last_attempt_of_a_message_waits_for_no_pause(stopped: Site) -> None:
    stopped.home.control(queuelifetime="10", doublebounceto="\n")
    stopped.hasten(20)
    stopped.start()
    stopped.queue.send(MESSAGE, "", "busy1@remote.test")
    stopped.await_log("^pause: remote.test 60 seconds$")
    stopped.queue.send(MESSAGE, "", "never1@remote.test")
    stopped.await_log("^pause: remote.test 120 seconds$")
    wait_until(lambda: any("never1" in call for call in stopped.calls()), "it is tried", 3)
    stopped.await_empty()
