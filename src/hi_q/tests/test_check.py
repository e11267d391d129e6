"""hi-q --check, as a deployment calls it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from site_double import Site


def check(site: Site) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*site.command(), "--check"], capture_output=True, text=True, timeout=30)


def test_a_good_list_is_shown_as_it_would_run(site: Site) -> None:
    site.filters("# spam", "limit=60 /bin/cat 'a b'", "/bin/cat")
    done = check(site)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "message   from descriptor 0",
        "filter 1  /bin/cat 'a b'  (at most 60 s for a whole message)",
        "filter 2  /bin/cat  (at most 300 s for a whole message)",
        f"queue     {site.queue}",
    ]


def test_an_empty_list_is_the_plain_queue(site: Site) -> None:
    assert check(site).stdout.splitlines() == ["message  from descriptor 0", f"queue    {site.queue}"]


def both(site: Site, strangers: str, authenticated: str | None) -> subprocess.CompletedProcess[str]:
    """Check a host with these two lists."""
    lists = {"strangers": f"{site.top}/filters", "authenticated": f"{site.top}/authenticated"}
    for name, text in (("filters", strangers), ("authenticated", authenticated)):
        if text is not None:
            (site.top / name).write_text(text)
    command: list[str | Path] = [*site.program_for("strangers", lists), "--check", "--queue", site.queue]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_without_a_file_named_each_class_is_shown(site: Site) -> None:
    done = both(site, "/bin/cat\n", "limit=9 /bin/cat -u\n/bin/cat\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"strangers: {site.top}/filters",
        "message   from descriptor 0",
        "filter 1  /bin/cat  (at most 300 s for a whole message)",
        f"queue     {site.queue}",
        "",
        f"authenticated: {site.top}/authenticated",
        "message   from descriptor 0",
        "filter 1  /bin/cat -u  (at most 9 s for a whole message)",
        "filter 2  /bin/cat  (at most 300 s for a whole message)",
        f"queue     {site.queue}",
    ]


def test_the_faults_of_every_class_are_told_at_once(site: Site) -> None:
    done = both(site, "/nonexistent/one\n/nonexistent/two\n", "no path\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == [
        f"{site.top}/filters:1",
        f"{site.top}/filters:2",
        f"{site.top}/authenticated:1",
    ]


def test_a_class_without_a_list_is_a_fault(site: Site) -> None:
    done = both(site, "", None)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"hi-q: {site.top}/authenticated: No such file or directory\n"


def test_the_queue_need_not_exist_yet(site: Site) -> None:
    site.queue.unlink()
    assert check(site).returncode == 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("/nonexistent/filter", "/nonexistent/filter: No such file or directory"),
        ("/etc", "/etc: not a program"),
        ("/etc/passwd", "/etc/passwd: not executable (chmod +x mends it)"),
        ("limit=x /bin/cat", "limit=x is not a number of seconds"),
    ],
)
def test_each_fault_is_one_sentence_with_file_and_line(site: Site, line: str, sentence: str) -> None:
    site.filters("# first", line)
    done = check(site)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"hi-q: {site.list}:2: {sentence}")


def test_all_faulty_programs_are_told_at_once(site: Site) -> None:
    site.filters("/nonexistent/one", "/bin/cat", "/nonexistent/two")
    assert check(site).stderr.count("No such file") == 2


def test_a_program_that_others_may_write_is_a_fault(site: Site) -> None:
    site.script("open", "#!/bin/sh\n").chmod(0o777)
    site.filters(f"{site.top}/open")
    assert "writable by group or others" in check(site).stderr


def test_a_list_that_others_may_write_is_a_fault(site: Site) -> None:
    site.list.chmod(0o666)
    assert "writable by group or others" in check(site).stderr
