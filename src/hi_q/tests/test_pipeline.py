"""A message through hi-q, with real filters and a qmail-queue that records exactly what it was given."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from site_double import ENVELOPE, MESSAGE, SOURCE, Site

ACCEPTED, REFUSED, READ_ERROR, LATER, INTERNAL, REASON = 0, 31, 54, 71, 81, 82
HUGE = b"X: y\n" * (1 << 20)  # 5 MiB: eighty pipes full


def gone(pattern: str) -> bool:
    """Is there no process left whose command line has this?"""
    for _ in range(100):
        found = False
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    found |= pattern.encode() in (entry / "cmdline").read_bytes() and int(entry.name) != os.getpid()
                except OSError:
                    continue
        if not found:
            return True
        time.sleep(0.05)
    return False


# --- signing --------------------------------------------------------------------------------------------------------

SIGN = """#!/bin/sh
echo "$@" >record/signed-with
exec ./qmail-queue 6>&6
"""


@pytest.mark.parametrize("lines", [[], ["/bin/cat"], ["/usr/bin/sed s/A/B/", "/bin/cat"]])
def test_what_is_to_be_signed_is_so_behind_all_filters(site: Site, lines: list[str]) -> None:
    site.environment["SIGNQUEUE"] = "1"
    site.script("qmail-sign", SIGN)
    site.filters(*lines)
    assert site.run().code == ACCEPTED
    # The resident's is the site's queue, which qmail-sign knows; any other one is named.
    assert site.recorded("signed-with").strip() in (str(site.queue).encode(), b"")
    assert (site.recorded("message"), site.recorded("envelope")) == (
        MESSAGE.replace(b"A", b"B", 1) if len(lines) == 2 else MESSAGE,
        ENVELOPE,
    )


@pytest.mark.parametrize("lines", [[], ["/bin/cat"]])
def test_and_what_is_not_is_none_of_its_business(site: Site, lines: list[str]) -> None:
    site.environment["SIGNQUEUE"] = ""
    site.script("qmail-sign", SIGN)
    site.filters(*lines)
    assert site.run().code == ACCEPTED
    assert not (site.record / "signed-with").exists()


# --- no filters -----------------------------------------------------------------------------------------------------


def test_without_filters_it_is_plain_qmail_queue(site: Site) -> None:
    """The very process: same pid, same descriptors, no signal ignored."""
    site.script("qmail-queue", "#!/bin/sh\necho $$ >record/pid\ncat >record/message\ncat <&1 >record/envelope\n")
    caller = site.start()
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE)
    assert caller.result().code == ACCEPTED
    assert int(site.recorded("pid")) == caller.process.pid
    assert (site.recorded("message"), site.recorded("envelope")) == (MESSAGE, ENVELOPE)


@pytest.mark.parametrize("lines", [[], ["# only a comment", "", "  \t "]])
def test_an_empty_list_is_no_filters(site: Site, lines: list[str]) -> None:
    site.filters(*lines)
    site.script("qmail-queue", "#!/bin/sh\ncat >record/message\ngrep SigIgn /proc/$$/status >record/sigign\n")
    assert site.run().code == ACCEPTED
    assert site.recorded("message") == MESSAGE
    assert int(site.recorded("sigign").split()[1], 16) == 0


@pytest.mark.parametrize("code", [11, 31, 51, 53, 91])
def test_without_filters_the_queues_exit_code_is_the_answer(site: Site, code: int) -> None:
    (site.record / "exit-code").write_text(str(code))
    assert site.run().code == code


@pytest.mark.parametrize(("whose", "word"), [("strangers", b"One"), ("authenticated", b"Two")])
def test_each_class_has_its_own_list(site: Site, whose: str, word: bytes) -> None:
    lists = {"strangers": f"{site.top}/filters", "authenticated": f"{site.top}/authenticated"}
    site.filters("/bin/sed s/A/One/")
    (site.top / "authenticated").write_text("/bin/sed s/A/Two/\n")
    site.program = site.program_for(whose, lists)
    site.named = False
    assert site.run().code == ACCEPTED
    assert site.recorded("message") == MESSAGE.replace(b"A", word)


def test_a_queue_that_cannot_be_started_is_for_later(site: Site) -> None:
    site.queue.unlink()
    result = site.run()
    assert (result.code, result.reason) == (REASON, b"Zmail queue in trouble (#4.3.0)")
    assert f"{site.queue}: No such file" in result.log


# --- filters that pass ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filters", [1, 2, 5, 32])
@pytest.mark.parametrize(
    "message", [b"", MESSAGE, b"\0\r\n.\r\n\xff" * 1000, HUGE], ids=["empty", "small", "odd", "huge"]
)
def test_each_byte_arrives_through_any_number_of_filters(site: Site, filters: int, message: bytes) -> None:
    site.filters(*["/bin/cat"] * filters)
    result = site.run(message)
    assert (result.code, result.reason, result.log) == (ACCEPTED, b"", "")
    assert site.recorded("message") == message
    assert site.recorded("envelope") == ENVELOPE
    assert site.queued


def test_filters_work_in_their_order_and_with_their_arguments(site: Site) -> None:
    site.filters("/bin/sed 's/A message/first/'", '/bin/sed "s/first/second  time/"')
    assert site.run().code == ACCEPTED
    assert site.recorded("message") == b"Subject: test\n\nsecond  time.\n"


def test_no_shell_reads_the_list(site: Site) -> None:
    site.filters("/bin/sed -e $(touch${IFS}ran) -e s/x/;touch", "/bin/sed s/A/*/")
    assert site.run().code == REASON
    assert not (site.top / "ran").exists()


def test_the_envelope_is_held_back_until_every_filter_has_ended(site: Site) -> None:
    site.filters(site.sh("slow", f"cat; while [ ! -e {site.top}/go ]; do sleep 0.02; done"))
    caller = site.start()
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE)
    time.sleep(0.5)
    assert (site.record / "started").exists()
    assert not (site.record / "envelope").exists()
    assert caller.process.poll() is None
    (site.top / "go").touch()
    assert caller.result().code == ACCEPTED
    assert site.queued


def test_a_huge_envelope_arrives_whole(site: Site) -> None:
    site.filters("/bin/cat")
    envelope = b"F\0" + b"".join(b"Tuser%d@example.test\0" % number for number in range(100_000)) + b"\0"
    assert site.run(envelope=envelope).code == ACCEPTED
    assert site.recorded("envelope") == envelope


def test_an_envelope_beyond_all_reason_is_refused_for_good(site: Site) -> None:
    site.filters("/bin/cat")
    result = site.run(envelope=b"F\0" + b"Tx@example.test\0" * (3 << 20))
    assert (result.code, result.reason) == (REASON, b"Dtoo many recipients (#5.5.3)")
    assert not site.queued


def test_the_end_of_the_envelope_is_its_empty_recipient_not_the_end_of_file(site: Site) -> None:
    site.filters("/bin/cat")
    caller = site.start()
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE + b"Tmallory@example.net\0\0", close=False)
    result = caller.result()
    os.close(caller.envelope)
    assert (result.code, site.recorded("envelope")) == (ACCEPTED, ENVELOPE)


def test_an_envelope_in_single_bytes(site: Site) -> None:
    site.filters("/bin/cat")
    caller = site.start()
    caller.give_message(MESSAGE)
    for byte in ENVELOPE:
        caller.give_envelope(bytes([byte]), close=False)
        time.sleep(0.002)
    assert caller.result().code == ACCEPTED
    os.close(caller.envelope)


def test_a_caller_that_gives_the_envelope_first(site: Site) -> None:
    site.filters("/bin/cat")
    caller = site.start()
    caller.give_envelope(ENVELOPE)
    caller.give_message(HUGE)
    assert caller.result().code == ACCEPTED
    assert site.recorded("message") == HUGE


def test_a_message_from_a_file(site: Site) -> None:
    site.filters("/bin/cat", "/bin/cat")
    (site.top / "message").write_bytes(HUGE)
    with (site.top / "message").open("rb") as file:
        caller = site.start(stdin=file.fileno())
        caller.give_envelope(ENVELOPE)
        assert caller.result().code == ACCEPTED
    assert site.recorded("message") == HUGE


def test_a_message_from_a_socket(site: Site) -> None:
    site.filters("/bin/cat", "/bin/cat")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        caller = site.start(stdin=theirs.fileno())
        theirs.close()
        ours.sendall(MESSAGE)
        ours.shutdown(socket.SHUT_WR)
        caller.give_envelope(ENVELOPE)
        assert caller.result().code == ACCEPTED
    assert site.recorded("message") == MESSAGE


@pytest.mark.parametrize("code", [11, 31, 51, 53, 66, 91])
def test_the_queues_exit_code_is_the_answer(site: Site, code: int) -> None:
    site.filters("/bin/cat", "/bin/cat")
    (site.record / "exit-code").write_text(str(code))
    result = site.run()
    assert (result.code, result.reason) == (code, b"")
    assert f"exit code {code}" in result.log


def test_the_queues_own_reason_reaches_the_caller(site: Site) -> None:
    site.filters("/bin/cat")
    (site.record / "exit-code").write_text("82")
    result = site.run()
    assert (result.code, result.reason) == (REASON, b"Dthe queue's own words")


@pytest.mark.parametrize(("code", "answer"), [(0, INTERNAL), (53, 53), (66, 66)])
@pytest.mark.parametrize("message", [MESSAGE, HUGE], ids=["small", "huge"])
def test_a_queue_that_ends_before_its_time_is_never_a_success(
    site: Site, code: int, answer: int, message: bytes
) -> None:
    site.filters("/bin/cat", "/bin/cat")
    (site.record / "die-early").write_text(str(code))
    assert site.run(message).code == answer


def test_a_queue_that_is_killed_is_for_later(site: Site) -> None:
    site.filters("/bin/cat")
    site.script("qmail-queue", "#!/bin/sh\ncat >/dev/null\nkill -9 $$\n")
    assert site.run().code == INTERNAL


def test_a_queue_that_cannot_be_started_behind_filters_is_for_later(site: Site) -> None:
    site.filters("/bin/cat")
    site.queue.unlink()
    result = site.run()
    assert (result.code, result.reason[:1]) == (REASON, b"Z")
    assert f"{site.queue}: No such file" in result.log


# --- filters that fail ----------------------------------------------------------------------------------------------


def nothing_queued(site: Site) -> bool:
    """Has qmail-queue been given no envelope, and is every process gone?"""
    envelope = site.record / "envelope"
    return gone(str(site.top)) and not site.queued and (not envelope.exists() or envelope.read_bytes() == b"")


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("reads", ["cat", "cat >/dev/null", ":"], ids=["passes all", "swallows all", "reads nothing"])
@pytest.mark.parametrize("message", [MESSAGE, HUGE], ids=["small", "huge"])
def test_exit_code_1_refuses_for_good_wherever_the_filter_stands(
    site: Site, place: int, reads: str, message: bytes
) -> None:
    lines = ["/bin/cat"] * 3
    lines[place] = site.sh("bad", f"{reads}; exit 1")
    site.filters(*lines)
    result = site.run(message)
    assert (result.code, result.reason) == (REASON, b"Dmessage content refused (#5.7.1)")
    assert "result=refused filter=bad from=" in result.log
    assert nothing_queued(site)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("code", [2, 74, 75, 100, 111, 255])
def test_any_other_exit_code_is_for_later(site: Site, place: int, code: int) -> None:
    lines = ["/bin/cat"] * 3
    lines[place] = site.sh("bad", f"cat; exit {code}")
    site.filters(*lines)
    result = site.run()
    assert (result.code, result.reason) == (REASON, b"Zmail filter in trouble, try again later (#4.3.0)")
    assert f"exit code {code}" in result.log
    assert nothing_queued(site)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGPIPE])
@pytest.mark.parametrize("message", [MESSAGE, HUGE], ids=["small", "huge"])
def test_a_filter_that_is_killed_is_for_later(site: Site, place: int, number: signal.Signals, message: bytes) -> None:
    lines = ["/bin/cat"] * 3
    lines[place] = site.sh("bad", f"head -c 10; kill -{int(number)} $$")
    site.filters(*lines)
    result = site.run(message)
    assert (result.code, result.reason[:1]) == (REASON, b"Z")
    assert nothing_queued(site)


def test_without_descriptor_6_the_exit_codes_are_31_and_71(site: Site) -> None:
    site.filters(site.sh("bad", "exit 1"))
    assert site.run(reasons=False).code == REFUSED
    site.filters(site.sh("bad", "exit 2"))
    assert site.run(reasons=False).code == LATER


def test_a_truncating_crash_upstream_is_not_a_refusal(site: Site) -> None:
    """A filter that dies half-way makes the next one see a message that it may well refuse: for later, not for good."""
    site.filters(site.sh("crash", "head -c 10; kill -9 $$"), site.sh("judge", "grep -q A.message || exit 1"))
    for _ in range(20):
        result = site.run()
        assert (result.code, result.reason[:1]) == (REASON, b"Z"), result
    assert nothing_queued(site)


def test_a_crash_upstream_counts_even_if_it_is_slower_to_end_than_the_refusal_that_it_caused(site: Site) -> None:
    site.filters(site.sh("crash", "head -c 10; exec >&-; sleep 0.5; kill -9 $$"), site.sh("judge", "cat; exit 1"))
    result = site.run()
    assert (result.code, result.reason[:1]) == (REASON, b"Z"), result


def test_a_filter_that_lingers_without_an_output_does_not_hold_a_refusal_back_for_long(site: Site) -> None:
    site.filters(site.sh("lingers", "cat; exec >&-; sleep 1000"), site.sh("judge", "cat; exit 1"))
    begin = time.monotonic()
    assert site.run().reason[:1] == b"D"
    assert time.monotonic() - begin < 8


def test_a_refusal_downstream_is_not_hidden_by_the_broken_pipe_upstream(site: Site) -> None:
    site.filters("/bin/cat", "/bin/cat", site.sh("judge", "exit 1"))
    for _ in range(10):
        result = site.run(HUGE)
        assert (result.code, result.reason[:1]) == (REASON, b"D"), result


@pytest.mark.parametrize("command", ["head -c 10", ":", "exec 0<&-"])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("message", [b"x" * 5000, HUGE], ids=["small", "huge"])
def test_a_filter_that_says_yes_without_having_read_all_is_for_later(
    site: Site, command: str, place: int, message: bytes
) -> None:
    lines = ["/bin/cat"] * 2
    lines[place] = site.sh("lazy", f"{command}; exit 0")
    site.filters(*lines)
    result = site.run(message)
    assert (result.code, result.reason[:1]) == (REASON, b"Z")
    assert nothing_queued(site)


def test_a_filter_that_ends_before_the_client_is_done_is_for_later(site: Site) -> None:
    site.filters("/bin/true")
    caller = site.start()
    time.sleep(0.3)
    caller.give_message(MESSAGE)
    assert caller.broken or caller.result().code == REASON
    assert nothing_queued(site)


def test_a_background_process_that_still_writes_is_waited_for(site: Site) -> None:
    site.filters(site.sh("forks", "cat; (sleep 0.5; echo later) & exit 0"))
    assert site.run().code == ACCEPTED
    assert site.recorded("message") == MESSAGE + b"later\n"


def test_a_background_process_that_never_closes_the_pipe_is_ended(site: Site) -> None:
    site.filters(f"limit=1 {site.sh('forks', f'cat; exec 6>&-; sh {site.top}/sleeper & exit 0')}")
    site.sh("sleeper", "sleep 1000")
    caller = site.start()
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE)
    time.sleep(1.5)
    caller.process.send_signal(signal.SIGTERM)
    assert caller.result().code == REASON
    assert nothing_queued(site)


def test_a_filter_that_is_not_there_is_for_later(site: Site) -> None:
    site.filters("/bin/cat", "/nonexistent/filter", "/bin/cat")
    result = site.run()
    assert (result.code, result.reason[:1]) == (REASON, b"Z")
    assert "filter 2 of 3 (/nonexistent/filter): No such file" in result.log
    assert nothing_queued(site)


@pytest.mark.parametrize("mode", [0o644, 0o755])
def test_a_filter_that_is_no_program_is_for_later(site: Site, mode: int) -> None:
    (site.top / "text").write_text("no program at all\n")
    (site.top / "text").chmod(mode)
    site.filters(f"{site.top}/text")
    assert site.run().reason[:1] == b"Z"
    assert nothing_queued(site)


# --- what a filter is given -----------------------------------------------------------------------------------------


def test_a_filter_has_the_message_the_next_stage_a_log_a_reason_a_note_and_nothing_else(site: Site) -> None:
    script = f"""#!/usr/bin/python3 -IS
import os, sys
fds = [fd for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd)]
open("{site.top}/fds", "w").write(" ".join(sorted(fds)))
sys.stdout.write(sys.stdin.read())
"""
    site.filters("/bin/cat", str(site.script("look", script)))
    assert site.run().code == ACCEPTED
    assert (site.top / "fds").read_text() == "0 1 2 6 7"


def test_a_filter_has_no_signal_ignored(site: Site) -> None:
    site.filters(site.sh("look", f"grep SigIgn /proc/$$/status >{site.top}/sig; cat"))
    assert site.run().code == ACCEPTED
    # glibc keeps 32 and 33 for itself, and its posix_spawn leaves those ignored.
    assert int((site.top / "sig").read_text().split()[1], 16) & 0x7FFFFFFF == 0


def test_a_filter_can_neither_read_nor_write_the_envelope(site: Site) -> None:
    script = "for fd in /proc/$$/fd/*; do readlink $fd; done >{0}/own; cat"
    site.filters(site.sh("one", script.format(site.top)), "/bin/cat")
    caller = site.start()
    envelope = str(Path(f"/proc/self/fd/{caller.envelope}").readlink())
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE)
    assert caller.result().code == ACCEPTED
    assert envelope not in (site.top / "own").read_text()


def test_the_queue_has_no_more_descriptors_than_without_filters(site: Site) -> None:
    site.run()
    plain = site.recorded("descriptors")
    site.filters("/bin/cat", "/bin/cat")
    site.run()
    assert site.recorded("descriptors") == plain


def test_the_environment_reaches_the_filters(site: Site) -> None:
    site.filters(site.sh("env", f"cat; echo $TCPREMOTEIP >{site.top}/ip"))
    site.run()
    assert (site.top / "ip").read_text() == "192.0.2.1\n"


# --- reasons --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Dspam score 9.5 is 7.0 or more (#5.7.1)", b"Dspam score 9.5 is 7.0 or more (#5.7.1)"),
        ("no letter before it", b"Dno letter before it"),
        (r"Done\r\n250 ok, two\r\n", b"Done 250 ok, two"),
        (r"Dbell \007 and umlaut \303\244 and \0177", b"Dbell ? and umlaut ?? and ?7"),
        ("", b"Dmessage content refused (#5.7.1)"),
        (r"D\n", b"Dmessage content refused (#5.7.1)"),
    ],
)
def test_a_filters_reason_is_one_printable_line(site: Site, said: str, reason: bytes) -> None:
    site.filters(site.sh("bad", f"printf '{said}' >&6; exit 1"))
    result = site.run()
    assert (result.code, result.reason) == (REASON, reason)


def test_a_filters_words_go_with_a_temporary_failure_too(site: Site) -> None:
    site.filters(site.sh("bad", "cat; printf 'Zscanner is starting (#4.3.2)' >&6; exit 75"))
    assert site.run().reason == b"Zscanner is starting (#4.3.2)"


def test_the_letter_does_not_decide_the_exit_code_does(site: Site) -> None:
    site.filters(site.sh("bad", "printf 'Dgo away' >&6; exit 75"))
    assert site.run().reason == b"Zgo away"


def test_a_flood_of_reasons_is_cut(site: Site) -> None:
    site.filters(site.sh("bad", "head -c 3000000 /dev/zero | tr '\\0' x >&6; exit 1"))
    result = site.run()
    assert result.reason == b"D" + b"x" * 400


def test_a_filter_that_passes_may_say_what_it_likes(site: Site) -> None:
    site.filters(site.sh("chatty", "cat; printf Dbad >&6; exit 0"))
    result = site.run()
    assert (result.code, result.reason) == (ACCEPTED, b"")


def test_the_log_names_filter_reason_and_envelope_on_one_line(site: Site) -> None:
    site.filters(site.sh("bad", r"printf 'Dno\nhi-q: forged' >&6; exit 1"))
    result = site.run(envelope=b"Fal\nice to=@example.test\0Tbob@example.net\0T<x>\0\0")
    pid = result.log.split()[1]
    assert result.log == (
        f"hi-q: {pid} result=refused filter=bad from=<al\\x0aice\\x20to=@example.test> "
        r"to=<bob@example.net>,<\x3cx\x3e> "
        'reason="no hi-q: forged"\n'
    )


def test_a_note_is_in_the_log_whatever_becomes_of_the_message(site: Site) -> None:
    site.filters(site.sh("note", "cat; printf 'zone=green score=1.0\n' >&7; exit 0"), "/bin/cat")
    accepted = site.run(envelope=b"F\0" + b"".join(b"Tr%d@example.net\0" % i for i in range(7)) + b"\0")
    assert accepted.code == ACCEPTED
    assert " result=accepted filter=note zone=green score=1.0 from=<> to=<r0@example.net>" in accepted.log
    assert accepted.log.endswith("<r4@example.net>,+2\n")
    site.filters(site.sh("note", "cat >/dev/null; echo zone=red >&7; printf 'Dno \"spam\"' >&6; exit 1"))
    refused = site.run()
    assert " result=refused filter=note zone=red from=<" in refused.log
    assert refused.log.endswith('reason="no \\x22spam\\x22"\n')
    site.filters(site.sh("note", "cat >/dev/null; echo zone=unscanned >&7; exit 111"))
    assert " result=deferred filter=note zone=unscanned from=<" in site.run().log


def test_a_note_is_one_printable_line_of_bounded_length(site: Site) -> None:
    site.filters(site.sh("note", r"cat; printf 'a\nhi-q: b\033[1m' >&7; head -c 100000 /dev/zero | tr '\0' x >&7"))
    log = site.run().log
    assert log.count("\n") == 1
    assert "filter=note a hi-q: b?[1mxxx" in log
    assert len(log) < 1300


def test_a_filter_that_refuses_before_the_envelope_has_come_is_logged_with_it(site: Site) -> None:
    site.filters(site.sh("bad", "cat >/dev/null; exit 1"))
    caller = site.start()
    caller.give_message(MESSAGE)
    time.sleep(0.5)
    caller.give_envelope(ENVELOPE)
    log = caller.result().log
    assert "from=<" in log


# --- time and signals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stuck", ["cat; sleep 1000", "sleep 1000", "cat; exec >&-; sleep 1000", "trap '' TERM; cat; sleep 1000"]
)
def test_a_filter_that_takes_too_long_is_ended_with_all_its_children(site: Site, stuck: str) -> None:
    site.filters("/bin/cat", f"limit=1 {site.sh('stuck', f'{stuck} #{site.top}')}", "/bin/cat")
    begin = time.monotonic()
    result = site.run()
    assert 0.9 < time.monotonic() - begin < 8
    assert (result.code, result.reason[:1]) == (REASON, b"Z")
    assert "took longer than 1 s" in result.log
    assert nothing_queued(site)


def test_a_filters_time_begins_when_the_message_is_complete(site: Site) -> None:
    site.filters("limit=1 /bin/cat", "limit=1 /bin/cat")
    caller = site.start()
    caller.give_message(MESSAGE, close=False)
    time.sleep(2.5)
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE)
    assert caller.result().code == ACCEPTED
    assert site.recorded("message") == MESSAGE * 2


def test_a_filter_in_a_group_of_its_own_is_ended_too(site: Site) -> None:
    site.filters(f"limit=1 /usr/bin/timeout 1000 {site.sh('stuck', 'cat; sleep 1000')}")
    assert site.run().code == REASON


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_filters_and_queues_nothing(site: Site, number: signal.Signals) -> None:
    site.filters(site.sh("slow", "cat; sleep 1000"))
    caller = site.start()
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE)
    time.sleep(0.3)
    caller.process.send_signal(number)
    assert caller.result().code == REASON
    assert nothing_queued(site)


def test_killed_outright_it_queues_nothing(site: Site) -> None:
    site.filters(site.sh("slow", "cat; sleep 1"))
    caller = site.start()
    caller.give_message(MESSAGE)
    caller.give_envelope(ENVELOPE)
    time.sleep(0.3)
    caller.process.kill()
    assert caller.result().code == -signal.SIGKILL
    assert nothing_queued(site)


@pytest.mark.parametrize("envelope", [b"", b"F", b"Falice@example.test\0", ENVELOPE[:-1], ENVELOPE[:-2], b"F\0"])
def test_a_client_that_goes_away_ends_the_filters_at_once(site: Site, envelope: bytes) -> None:
    site.filters(site.sh("slow", "cat; sleep 1000"))
    begin = time.monotonic()
    assert site.run(envelope=envelope).code == READ_ERROR
    assert time.monotonic() - begin < 8
    assert nothing_queued(site)


def test_a_client_that_goes_away_in_the_middle_of_the_message(site: Site) -> None:
    site.filters("/bin/cat", "/bin/cat")
    caller = site.start()
    caller.give_message(MESSAGE[:10])
    os.close(caller.envelope)
    assert caller.result().code == READ_ERROR
    assert nothing_queued(site)


@pytest.mark.parametrize("fd", [0, 1])
def test_a_closed_descriptor_is_a_read_error(site: Site, fd: int) -> None:
    site.filters("/bin/cat")
    done = subprocess.run(
        site.command(), preexec_fn=lambda: os.close(fd), stdin=subprocess.DEVNULL, cwd=site.top, timeout=30
    )
    assert done.returncode == READ_ERROR
    assert not site.queued


def test_without_a_log_the_filters_have_one_that_goes_nowhere(site: Site) -> None:
    site.filters(site.sh("noisy", f"readlink /proc/self/fd/2 >{site.top}/log; echo noise >&2; cat; exit 1"))
    site.program = ["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *site.program]
    assert site.run().reason[:1] == b"D"
    assert (site.top / "log").read_text() == "/dev/null\n"


def test_fifty_at_once_do_not_mix(site: Site) -> None:
    site.filters("/bin/cat", "/bin/cat")
    site.script("qmail-queue", "#!/bin/sh\ncat >record/message-$$\ncat <&1 >record/envelope-$$\n")
    callers = [site.start() for _ in range(50)]
    for number, caller in enumerate(callers):
        caller.give_message(b"message %d" % number, close=False)
    for number, caller in enumerate(callers):
        caller.give_message(b" of %d" % number)
        caller.give_envelope(b"Fsender%d\0Tto%d\0\0" % (number, number))
    assert [caller.result().code for caller in callers] == [ACCEPTED] * 50
    pairs = set()
    for path in site.record.glob("message-*"):
        envelope = path.with_name(path.name.replace("message", "envelope"))
        pairs.add((path.read_bytes(), envelope.read_bytes()))
    assert pairs == {(b"message %d of %d" % (n, n), b"Fsender%d\0Tto%d\0\0" % (n, n)) for n in range(50)}


# --- the list -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["cat\n", "limit=x /bin/cat\n", '/bin/cat "\n', "\0"])
def test_a_bad_list_is_for_later_and_never_no_filters(site: Site, text: str) -> None:
    site.list.write_text(text)
    result = site.run()
    assert (result.code, result.reason) == (REASON, b"Zmail filter configuration in trouble (#4.3.5)")
    assert f"hi-q: {site.list}:1: " in result.log
    assert not (site.record / "started").exists()


def test_a_missing_list_is_for_later(site: Site) -> None:
    site.list.unlink()
    assert site.run().reason[:1] == b"Z"
    assert not (site.record / "started").exists()


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_list_that_others_may_write_is_for_later(site: Site, mode: int) -> None:
    site.list.chmod(mode)
    assert site.run().reason[:1] == b"Z"
    assert not (site.record / "started").exists()


@pytest.mark.parametrize("arguments", [["--help"], ["x"], ["--filters"], ["--queue"], ["--check", "--filters"]])
def test_other_arguments_are_misuse(site: Site, arguments: list[str]) -> None:
    done = subprocess.run([*site.program, *arguments], capture_output=True, timeout=30)
    assert (done.returncode, done.stderr[:6]) == (100, b"usage:")


def test_the_modules_of_a_message_import_nothing_slow() -> None:
    code = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import hi_q.main, hi_q.pipeline; print(*sys.modules)"
    done = subprocess.run(["/usr/bin/python3", "-IS", "-c", code], capture_output=True, text=True, check=True)
    slow = {"os", "typing", "re", "signal", "enum", "subprocess", "contextlib", "collections", "functools", "site"}
    assert slow & set(done.stdout.split()) == set()
