"""spamd's place on the host: who it is, who reaches it, and what else could start one."""

from __future__ import annotations

import subprocess

import pytest

from tests.spam.conftest import SOCKET, Host
from tests.spam.test_zones import message, submit
from verify.talk import Person, Site

SITE = "/etc/qmail-site/spamassassin"
TERMINAL_PLUGIN = r"""package Look;
use Mail::SpamAssassin::Plugin;
our @ISA = ('Mail::SpamAssassin::Plugin');
print STDERR 'terminal: ', (open(my $tty, '+<', '/dev/tty') ? 'there' : 'none'), qq(\n);
sub new { my ($class, $main) = @_; return bless $class->SUPER::new($main), $class }
1;
"""


def status_of(host: Host, pid: str) -> dict[str, str]:
    lines = host(f"cat /proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_every_process_of_spamd_has_no_privilege(host: Host) -> None:
    parent = host("cat /run/spamd/spamd.pid").strip()
    uid = host("id -u spamd").strip()
    children = host(f"pgrep -P {parent}").split()
    assert children
    for pid in [parent, *children]:
        status = status_of(host, pid)
        assert set(status["Uid"].split()) == {uid}
        assert status["NoNewPrivs"] == "1"
        assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}


def test_spamd_can_write_neither_rules_nor_configuration(host: Host) -> None:
    found = host(
        "runuser -u spamd -- find /etc/qmail-site /etc/spamassassin /var/lib/spamassassin /usr/share/spamassassin"
        " -writable || :"
    )
    assert found == ""


@pytest.mark.parametrize(("user", "group", "code"), [("qmaild", "qmaildoor", 0), ("nobody", "nogroup", 77)])
def test_only_smtp_sessions_reach_the_socket(host: Host, user: str, group: str, code: int) -> None:
    words = f"setpriv --reuid={user} --regid={group} --clear-groups spamc -K -x -U {SOCKET}"
    done = subprocess.run(["podman", "exec", host.name, "sh", "-c", words], capture_output=True, check=False)
    assert done.returncode == code, done


def test_nothing_listens_on_spamd_s_port(host: Host) -> None:
    assert ":030F" not in host("cat /proc/net/tcp /proc/net/tcp6")


def test_there_is_one_spamd_unit_and_it_is_ours(host: Host) -> None:
    assert host("systemctl show -p FragmentPath --value spamd").strip() == "/etc/systemd/system/spamd.service"
    units = host("systemctl list-units --all --plain --no-legend 'spam*.service' 'spamd*'").split()
    assert {word for word in units if word.endswith(".service")} <= {"spamd.service", "spamassassin-update.service"}
    assert "qmail-site/init" in host("cat /etc/init.d/spamd")


def test_upgrading_the_package_keeps_it_so(host: Host) -> None:
    before = host("cat /run/spamd/spamd.pid")
    host("DEBIAN_FRONTEND=noninteractive dpkg-reconfigure spamd 2>&1")
    assert "qmail-site/init" in host("cat /etc/init.d/spamd")
    assert host("/etc/init.d/spamd status").startswith("spamd      running")
    assert host("pgrep -c -f '^/usr/bin/perl.*/usr/sbin/spamd'").strip() == "1"
    assert before


def test_debian_s_own_renewal_of_rules_is_off(host: Host) -> None:
    assert host("systemctl is-enabled spamassassin-maintenance.timer || :").strip() == "masked"
    assert host(". /etc/default/spamassassin; echo $CRON").strip() == "0"


def test_a_reload_keeps_the_process(host: Host) -> None:
    before = host("cat /run/spamd/spamd.pid")
    host("/etc/init.d/spamd reload")
    host(f"for i in $(seq 120); do sleep 0.5; spamc -K -x -t 2 -U {SOCKET} >/dev/null 2>&1 && exit; done; exit 1")
    assert host("cat /run/spamd/spamd.pid") == before
    assert host("/etc/init.d/spamd status").startswith("spamd      running")


def test_a_bad_configuration_is_told_and_does_not_count(host: Host) -> None:
    host("echo 'score NO_SUCH_RULE_AT_ALL banana' >/tmp/bad.cf; echo 'no_such_word 1' >>/tmp/bad.cf")
    assert host("/usr/local/sbin/spamassassin-check local.cf /tmp/bad.cf >/tmp/said 2>&1; echo $?").strip() != "0"
    assert "no_such_word" in host("cat /tmp/said")
    host("/usr/local/sbin/spamassassin-check")


def test_the_check_gives_its_terminal_to_nobody(host: Host) -> None:
    """Who has the terminal of root's shell can type into it (TIOCSTI)."""
    host("mkdir -p /run/look && chmod 755 /run/look && cat >/run/look/Look.pm", TERMINAL_PLUGIN.encode())
    host(f"{{ cat {SITE}/local.cf; echo 'loadplugin Look /run/look/Look.pm'; }} >/run/look/local.cf")
    said = host(
        "script -qec '/usr/local/sbin/spamassassin-check local.cf /run/look/local.cf' /dev/null; rm -r /run/look"
    )
    assert "terminal: none" in said


@pytest.mark.parametrize("umask", ["022", "027", "077"])
def test_the_check_finds_no_fault_whatever_the_caller_s_umask(host: Host, umask: str) -> None:
    host(
        f"umask {umask}; cp {SITE}/local.cf /run/candidate.cf"
        " && /usr/local/sbin/spamassassin-check local.cf /run/candidate.cf"
    )


# What takes points off in Debian's own rules, which are on the host. Each would make a yellow message green.
@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Subject: Debconf: score 5.0\r\n", b""),
        (b"Subject: apt-listchanges: news for score 5.0\r\n", b""),
        (b"Subject: Anacron job 'a' on score 5.0\r\nFrom: Anacron\r\n", b""),
        (b"Subject: score 5.0\r\nFrom: Cron Daemon\r\nX-Cron-Env: x\r\n", b""),
        (b"Subject: score 5.0\r\n", b"[Afbackup]: Overall exit status: 0\r\n"),
    ],
    ids=["debconf", "listchanges", "anacron", "cron", "afbackup"],
)
def test_debian_s_rules_take_nothing_off(
    site: Site, alice: Person, host: Host, marker: str, head: bytes, body: bytes
) -> None:
    assert "D_SENT_BY_DEBCONF" in host("cat /etc/spamassassin/65_debian.cf")
    mark = host.now()
    submit(site, alice, head + b"X-Marker: " + marker.encode() + b"\r\n\r\nbody\r\n" + body)
    line = host.log_line(mark, "zone=")
    assert "zone=yellow score=5.0 " in line
    assert " rules=SITE_5_0 " in line


def test_spamd_and_the_check_read_one_configuration_and_nothing_else(host: Host) -> None:
    command = host("tr '\\0' '\\n' <\"/proc/$(cat /run/spamd/spamd.pid)/cmdline\"").splitlines()
    told = [word for word in command if word.startswith(("--siteconfigpath=", "--configpath="))]
    assert told[0] == f"--siteconfigpath={SITE}"
    assert "--nouser-config" in command
    said = host(f"runuser -u spamd -- spamassassin -D config {' '.join(told)} --lint 2>&1")
    read = {line.split()[-1] for line in said.splitlines() if "config: read file" in line}
    assert f"{SITE}/local.cf" in read
    assert {path for path in read if not path.startswith((SITE, told[1].split("=")[1]))} <= {
        "/var/lib/spamd/.spamassassin/user_prefs"
    }


def test_a_client_without_a_name_is_not_punished_for_it(site: Site, alice: Person, host: Host, marker: str) -> None:
    assert "RDNS_NONE" in host("cat /opt/spam-test-rules/test.cf")
    mark = host.now()
    submit(site, alice, message(marker, "4.9"))
    assert "zone=green score=4.9 " in host.log_line(mark, "zone=")


UPDATE = "SA_UPDATE=/tmp/sa-update /usr/local/sbin/spamassassin-update"
MAKE_RULES = "mkdir -p /var/lib/spamassassin/4.000001 && echo '# first' >/var/lib/spamassassin/4.000001/test.cf"


@pytest.fixture
def rules(host: Host) -> Host:
    """Give a host with a file among its rules that a stand-in for sa-update will change."""
    host(f'runuser -u debian-spamd -- sh -c "{MAKE_RULES}"')
    return host


def sa_update(host: Host, code: int, *lines: str) -> str:
    """Run the renewal with a stand-in for sa-update; give its exit code and words."""
    script = "\n".join(["#!/bin/sh", "[ $(id -un) = debian-spamd ] || exit 99", *lines, f"exit {code}"])
    host("cat >/tmp/sa-update && chmod 755 /tmp/sa-update", script.encode())
    return host(f"{UPDATE} 2>&1; echo exit $?")


CHANGE = "echo '# second' >/var/lib/spamassassin/4.000001/test.cf"
LOOK = "cat /var/lib/spamassassin/4.000001/test.cf"


def test_new_rules_are_taken_and_spamd_reads_them(rules: Host) -> None:
    said = sa_update(rules, 0, CHANGE)
    assert "new rules" in said
    assert said.endswith("exit 0\n")
    assert rules(LOOK) == "# second\n"


@pytest.mark.parametrize(
    ("code", "end"), [(1, 0), (4, 0), (2, 1), (3, 1), (99, 1)], ids=["none", "unreachable", "lint", "partly", "crash"]
)
def test_rules_stay_when_there_are_no_good_new_ones(rules: Host, code: int, end: int) -> None:
    said = sa_update(rules, code, *([CHANGE] if code != 1 else []))
    assert said.endswith(f"exit {end}\n"), said
    assert rules(LOOK) == "# first\n"
    assert rules("ls -d /var/lib/spamassassin/before-update 2>/dev/null || :") == ""


def test_new_rules_that_do_not_go_with_the_configuration_are_put_back(rules: Host) -> None:
    rules(f"echo 'no_such_word 1' >{SITE}/zz-bad.cf")
    try:
        said = sa_update(rules, 0, CHANGE)
    finally:
        rules(f"rm {SITE}/zz-bad.cf")
    assert "the old rules are back" in said
    assert said.endswith("exit 1\n")
    assert rules(LOOK) == "# first\n"
