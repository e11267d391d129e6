"""host_accounts: the host's own programs make what is missing, on a host that is a directory."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from library import host_accounts
from tests.unit.conftest import RunModule

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes accounts")
USERS = "root:x:0:0:root:/root:/bin/bash\nmail:x:8:8:mail:/var/mail:/usr/sbin/nologin\n"
GROUPS = "root:x:0:\nmail:x:8:\nusers:x:100:\n"
QMAILQ = {"name": "qmailq", "comment": "qmail queue", "group": "qmail", "home": "/var/qmail"}
QMAIL = {"groups": [{"name": "qmail"}, {"name": "nofiles"}], "users": [QMAILQ]}


@dataclass
class Host:
    """A host with nothing but /etc and /home."""

    top: Path
    called: list[str] = field(default_factory=list)

    def users(self) -> list[pwd.struct_passwd]:
        """All accounts."""
        rows = [line.split(":") for line in (self.top / "etc/passwd").read_text().splitlines()]
        return [pwd.struct_passwd((n, p, int(u), int(g), c, h, s)) for n, p, u, g, c, h, s in rows]

    def groups(self) -> list[grp.struct_group]:
        """All groups."""
        rows = [line.split(":") for line in (self.top / "etc/group").read_text().splitlines()]
        return [grp.struct_group((n, p, int(g), m.split(",") if m else [])) for n, p, g, m in rows]

    def call(self, module: Any, words: tuple[str, ...]) -> None:
        """One of the system's own programs, told that this is the host."""
        if not module.check_mode:
            self.called.append(words[0])
            subprocess.run([words[0], "--root", str(self.top), *words[1:]], check=True, capture_output=True)

    def user(self, name: str) -> pwd.struct_passwd:
        """One account."""
        return next(user for user in self.users() if user.pw_name == name)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    if shutil.which("useradd") is None:
        pytest.skip("there is no useradd here")
    (tmp_path / "etc").mkdir()
    (tmp_path / "home").mkdir()
    for name, text in {"passwd": USERS, "group": GROUPS, "shadow": "root:*:1::::::\n", "gshadow": ""}.items():
        (tmp_path / "etc" / name).write_text(text)
    shutil.copy("/etc/login.defs", tmp_path / "etc")
    found = Host(tmp_path)
    monkeypatch.setattr(host_accounts.Accounts, "run", lambda accounts, *words: found.call(accounts.module, words))
    monkeypatch.setattr(host_accounts, "SHADOW", tmp_path / "etc/shadow")
    monkeypatch.setattr(pwd, "getpwall", found.users)
    monkeypatch.setattr(pwd, "getpwnam", found.user)
    monkeypatch.setattr(grp, "getgrall", found.groups)
    return found


def people(host: Host, *names: str) -> dict[str, Any]:
    return {"people": list(names), "people_comment": "mail user", "people_homes": str(host.top / "home")}


def test_what_is_missing_is_made_and_a_second_run_changes_nothing(run_module: RunModule, host: Host) -> None:
    args = QMAIL | people(host, "carol")
    said = run_module(host_accounts, args)
    home = host.top / "home/carol"
    assert said["made"] == ["group qmail", "group nofiles", "user qmailq", "user carol", f"home {home}"]
    made = host.user("qmailq")
    assert (made.pw_gecos, made.pw_dir, made.pw_shell) == ("qmail queue", "/var/qmail", "/usr/sbin/nologin")
    assert made.pw_uid < 1000 <= host.user("carol").pw_uid
    assert (home.stat().st_uid, home.stat().st_mode & 0o7777) == (host.user("carol").pw_uid, 0o700)
    again = run_module(host_accounts, args)
    assert (again["changed"], again["made"]) == (False, [])


def test_check_mode_says_the_same_and_makes_nothing(run_module: RunModule, host: Host) -> None:
    args = QMAIL | people(host, "carol")
    said = run_module(host_accounts, args, check=True)
    assert (host.called, list((host.top / "home").iterdir())) == ([], [])
    assert run_module(host_accounts, args)["made"] == said["made"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["usermod", "--shell=/bin/bash"], "shell of user qmailq: /usr/sbin/nologin"),
        (["usermod", "--home=/root"], "home of user qmailq: /var/qmail"),
        (["usermod", "--gid=nofiles"], "gid of user qmailq: qmail"),
        (["usermod", "--password=$6$x$y"], "lock of user qmailq"),
        (["usermod", "--password="], "lock of user qmailq"),
        (["usermod", "--append", "--groups=nofiles"], "members of group nofiles: none"),
    ],
)
def test_what_differs_of_a_system_user_is_mended(
    run_module: RunModule, host: Host, words: list[str], said: str
) -> None:
    run_module(host_accounts, QMAIL)
    subprocess.run([words[0], "--root", str(host.top), *words[1:], "qmailq"], check=True)
    assert run_module(host_accounts, QMAIL, check=True)["made"] == [said]
    assert run_module(host_accounts, QMAIL)["made"] == [said]
    assert not run_module(host_accounts, QMAIL)["changed"]


def test_the_members_of_a_group_are_the_declared_ones(run_module: RunModule, host: Host) -> None:
    args = QMAIL | {"groups": [{"name": "qmail", "members": ["mail"]}]}
    assert run_module(host_accounts, args)["made"][1] == "members of group qmail: mail"
    assert next(group.gr_mem for group in host.groups() if group.gr_name == "qmail") == ["mail"]
    assert run_module(host_accounts, QMAIL)["made"][0] == "members of group qmail: none"


def test_an_account_that_this_site_did_not_make_and_whose_group_is_ours_is_told(
    run_module: RunModule, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("library.host_accounts.AnsibleModule.warn", lambda _, text: warnings.append(text))
    run_module(host_accounts, QMAIL)
    subprocess.run(["usermod", "--root", str(host.top), "--gid=qmail", "mail"], check=True)
    assert not run_module(host_accounts, QMAIL)["changed"]
    assert "qmail is the group of mail" in warnings[0]
    assert not run_module(host_accounts, {"groups": [{"name": "qmail"}]})["changed"]
    assert len(warnings) == 1


def test_an_account_that_is_there_keeps_all_it_has(run_module: RunModule, host: Host) -> None:
    home = host.top / "home/elsewhere"
    subprocess.run(
        ["useradd", "--root", str(host.top), f"--home-dir={home}", "--shell=/bin/bash", "--comment=admin", "carol"],
        check=True,
    )
    before = host.user("carol")
    assert run_module(host_accounts, people(host, "carol"))["made"] == [f"home {home}"]
    assert host.user("carol") == before
    (home).chmod(0o755)
    assert not run_module(host_accounts, people(host, "carol"))["changed"]


def test_who_is_no_longer_listed_is_known_by_the_comment(run_module: RunModule, host: Host) -> None:
    run_module(host_accounts, people(host, "carol", "dave"))
    said = run_module(host_accounts, people(host, "dave"))
    assert (said["former"], said["changed"]) == (["carol"], False)
    assert host.user("carol")


def test_no_home_is_made_where_somebody_else_could_exchange_it_and_all_faults_are_told(
    run_module: RunModule, host: Host
) -> None:
    (host.top / "home").chmod(0o777)
    args = people(host, "carol") | {"users": [QMAILQ]}
    said = run_module(host_accounts, args)
    assert f"{host.top}/home/carol: {host.top}/home can be changed by everybody" in said["msg"]
    assert "qmailq: there is no group qmail" in said["msg"]
    assert host.called == []


def registered(host: Host, *names: str) -> dict[str, Any]:
    return people(host, *names) | {"people_register": str(host.top / "state/uids")}


def test_a_removed_account_s_uid_is_given_to_nobody_and_its_own_name_gets_it_back(
    run_module: RunModule, host: Host
) -> None:
    run_module(host_accounts, registered(host, "carol", "dave"))
    was = {name: host.user(name).pw_uid for name in ("carol", "dave")}
    host.call(type("Module", (), {"check_mode": False}), ("userdel", "dave"))
    run_module(host_accounts, registered(host, "carol", "emil"))
    assert host.user("emil").pw_uid not in was.values()
    run_module(host_accounts, registered(host, "carol", "emil", "dave"))
    assert host.user("dave").pw_uid == was["dave"]
    again = run_module(host_accounts, registered(host, "carol", "emil", "dave"))
    assert (again["changed"], again["made"]) == (False, [])


def test_a_register_that_is_lost_spares_what_former_accounts_left(run_module: RunModule, host: Host) -> None:
    run_module(host_accounts, registered(host, "carol", "dave"))
    was = host.user("dave").pw_uid
    host.call(type("Module", (), {"check_mode": False}), ("userdel", "dave"))
    (host.top / "state/uids").unlink()
    (host.top / "home/dave").rename(host.top / "home/old things of däve's")
    run_module(host_accounts, registered(host, "carol", "emil"))
    assert host.user("emil").pw_uid not in (was, host.user("carol").pw_uid)
    again = run_module(host_accounts, registered(host, "carol", "emil"))
    assert not again["changed"]


def test_a_uid_that_somebody_took_since_is_not_shared(run_module: RunModule, host: Host) -> None:
    run_module(host_accounts, registered(host, "carol"))
    was = host.user("carol").pw_uid
    host.call(type("Module", (), {"check_mode": False}), ("userdel", "carol"))
    host.call(type("Module", (), {"check_mode": False}), ("useradd", f"--uid={was}", "frank"))
    run_module(host_accounts, registered(host, "carol"))
    assert host.user("carol").pw_uid != was


def test_an_account_that_has_a_former_ones_uid_is_refused(run_module: RunModule, host: Host) -> None:
    run_module(host_accounts, registered(host, "carol"))
    was = host.user("carol").pw_uid
    host.call(type("Module", (), {"check_mode": False}), ("userdel", "carol"))
    host.call(type("Module", (), {"check_mode": False}), ("useradd", f"--uid={was}", "frank"))
    failed = run_module(host_accounts, registered(host, "frank"))
    assert f"frank has the uid {was}, which was carol's" in failed["msg"]


def test_check_mode_gives_no_uid(run_module: RunModule, host: Host) -> None:
    said = run_module(host_accounts, registered(host, "carol"), True)
    assert "user carol" in said["made"]
    assert not (host.top / "state").exists()
