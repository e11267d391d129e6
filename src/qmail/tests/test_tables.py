"""The compilers of tables: qmail-newu, qmail-newmrh, qmail-newvrt, qmail-pw2u."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
from pathlib import Path

import pytest
from lab.suite import Home

ASSIGN = """\
=joe.shmoe:joe:503:78:/home/joe:::
+joe-:joe:503:78:/home/joe:-::
+:alias:7790:2108:/var/qmail/alias:-::
=joe.shmoe:second:1:1:/home/second:::
+JOE-List-:joe:503:78:/home/joe:-:lists/:
.
this is not read
"""


def records(file: Path) -> list[tuple[bytes, bytes]]:
    """Read a cdb from start to end, without the library."""
    data = file.read_bytes()
    end = min(struct.unpack("<512I", data[:2048])[::2])
    found, at = [], 2048
    while at < end:
        key_len, value_len = struct.unpack("<II", data[at : at + 8])
        key = data[at + 8 : at + 8 + key_len]
        at += 8 + key_len + value_len
        found.append((key, data[at - value_len : at]))
    return found


def owners(home: Home, *addresses: str) -> list[str]:
    done = home.run("test-assign", *addresses)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode().splitlines()


def write_assign(home: Home, text: str | bytes) -> subprocess.CompletedProcess[bytes]:
    (home.path / "users/assign").write_bytes(text.encode() if isinstance(text, str) else text)
    return home.run("qmail-newu")


# qmail-newu and the look-up of its table


def test_simple_before_wildcard_and_longer_before_shorter(home: Home) -> None:
    assert write_assign(home, ASSIGN).returncode == 0
    assert owners(home, "joe.shmoe", "Joe.Shmoe", "joe-x", "JOE-List-Y", "joe-list", "bill", "joe", "") == [
        "joe:503:78:/home/joe::",
        "joe:503:78:/home/joe::",
        "joe:503:78:/home/joe:-:x",
        "joe:503:78:/home/joe:-:lists/Y",
        "joe:503:78:/home/joe:-:list",
        "alias:7790:2108:/var/qmail/alias:-:bill",
        "alias:7790:2108:/var/qmail/alias:-:joe",
        "alias:7790:2108:/var/qmail/alias:-:",
    ]


def test_without_a_catch_all_an_unknown_address_is_nobodys(home: Home) -> None:
    assert owners(home, "x") == ["absent"]
    assert write_assign(home, "=a:u:1:2:/h:::\n.\n").returncode == 0
    assert owners(home, "a", "b", "a" * 5000) == ["u:1:2:/h::", "absent", "absent"]


def test_a_damaged_table_is_an_error_not_an_absence(home: Home) -> None:
    write_assign(home, ASSIGN)
    cdb = home.path / "users/cdb"
    whole = cdb.read_bytes()
    for damaged in (b"", whole[:2000], b"\xff" * 4096, whole.replace(b"/home/joe\0", b"\0home/joe\0")):
        cdb.write_bytes(damaged)
        assert owners(home, "joe.shmoe") == ["error"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("joe:joe:1:1:/h:::", "neither = nor +"),
        ("", "neither = nor +"),
        (".joe:joe:1:1:/h:::", "neither = nor +"),
        ("=joe", "no colon at its end"),
        ("=joe:joe:1:1:/h:-:x", "no colon at its end"),
        ("=joe:joe:1:1:/h::", "too few fields"),
        ("=joe:joe:1:1:/h::::", "too many fields"),
        ("=joe::1:1:/h:::", "no user"),
        ("=joe:joe:x:1:/h:::", "uid is no number"),
        ("=joe:joe:4294967295:1:/h:::", "uid is no number"),
        ("=joe:joe:1:-1:/h:::", "gid is no number"),
        ("=root:root:0:0:/root:::", "uid 0"),
        ("=joe:joe:1:1:h:::", "absolute path"),
        ("=jo\0e:joe:1:1:/h:::", "NUL"),
    ],
)
def test_a_bad_line_is_named_and_the_old_table_stays(home: Home, line: str, why: str) -> None:
    write_assign(home, ASSIGN)
    before = (home.path / "users/cdb").read_bytes()
    done = write_assign(home, f"=ok:ok:1:1:/h:::\n{line}\n.\n")
    assert done.returncode == 111
    assert b"users/assign line 2: " in done.stderr
    assert why.encode() in done.stderr
    assert (home.path / "users/cdb").read_bytes() == before
    assert sorted(file.name for file in (home.path / "users").iterdir()) == ["assign", "cdb"]


@pytest.mark.parametrize("text", ["", "=a:u:1:2:/h:::\n", "=a:u:1:2:/h:::\n."])
def test_a_file_that_was_cut_off_is_refused(home: Home, text: str) -> None:
    done = write_assign(home, text)
    assert done.returncode == 111
    assert b"single dot" in done.stderr


def test_a_missing_file_is_refused(home: Home) -> None:
    for program in ("qmail-newu", "qmail-newmrh", "qmail-newvrt"):
        done = home.run(program)
        assert done.returncode == 111
        assert b"can't read" in done.stderr


def test_a_full_disk_leaves_the_old_table(home: Home) -> None:
    write_assign(home, ASSIGN)
    before = (home.path / "users/cdb").read_bytes()
    lines = "".join(f"=u{number}:u:1:2:/h:::\n" for number in range(1000))
    (home.path / "users/assign").write_text(lines + ".\n")
    done = home.run("qmail-newu", limits={resource.RLIMIT_FSIZE: 10000})
    assert done.returncode != 0
    assert (home.path / "users/cdb").read_bytes() == before


# qmail-newmrh, qmail-newvrt


def test_morercpthosts_is_compiled_in_lower_case(home: Home) -> None:
    home.control(morercpthosts="# ours\nA.test\n.B.test  \n\n")
    assert home.run("qmail-newmrh").returncode == 0
    assert records(home.path / "control/morercpthosts.cdb") == [(b"a.test", b""), (b".b.test", b"")]


@pytest.mark.parametrize("program", ["qmail-newu", "qmail-newmrh", "qmail-newvrt"])
def test_everybody_can_read_the_table_whatever_the_umask(home: Home, program: str) -> None:
    """Root makes it; qmail-smtpd and the look-up of users are others."""
    home.control(morercpthosts="a.test", validrcptto="joe@a.test")
    (home.path / "users/assign").write_text(ASSIGN)
    before = os.umask(0o077)
    try:
        assert home.run(program).returncode == 0
    finally:
        os.umask(before)
    (table,) = (file for name in ("control", "users") for file in (home.path / name).iterdir() if "cdb" in file.name)
    assert table.stat().st_mode & 0o777 == 0o644


def test_validrcptto_is_compiled_in_lower_case(home: Home) -> None:
    home.control(validrcptto="Joe@A.test\njoe-@a.test\n@b.test\n")
    assert home.run("qmail-newvrt").returncode == 0
    keys = [key for key, _ in records(home.path / "control/validrcptto.cdb")]
    assert keys == [b"joe@a.test", b"joe-@a.test", b"@b.test"]


@pytest.mark.parametrize(
    ("program", "name", "line"),
    [
        ("qmail-newmrh", "morercpthosts", "joe@a.test"),
        ("qmail-newmrh", "morercpthosts", "a.test b.test"),
        ("qmail-newvrt", "validrcptto", "joe"),
        ("qmail-newvrt", "validrcptto", "joe@"),
        ("qmail-newvrt", "validrcptto", "jo\0e@a.test"),
    ],
)
def test_a_bad_list_is_refused(home: Home, program: str, name: str, line: str) -> None:
    home.control(**{name: f"ok@ok.test\n{line}" if program == "qmail-newvrt" else f"ok.test\n{line}"})
    assert home.run(program).returncode == 111
    assert not [file for file in (home.path / "control").iterdir() if "cdb" in file.name]


def test_an_empty_list_makes_an_empty_table(home: Home) -> None:
    home.control(morercpthosts="")
    assert home.run("qmail-newmrh").returncode == 0
    assert records(home.path / "control/morercpthosts.cdb") == []


# qmail-pw2u


class Passwd:
    """A passwd file of users with homes, and the rules in users/."""

    def __init__(self, home: Home, tmp_path: Path) -> None:
        self.home, self.directory, self.lines = home, tmp_path, ""
        self.uid = os.geteuid() or 4711
        self.add("alias")

    def add(self, name: str, uid: int | None = None, *, make: bool = True, own: bool = True) -> None:
        path = self.directory / "homes" / name
        uid = self.uid if uid is None else uid
        if make:
            path.mkdir(parents=True)
            if os.geteuid() == 0:
                os.chown(path, uid if own else uid + 1, -1)
        self.lines += f"{name}:x:{uid}:100:Gecos:{path}:/bin/sh\n"

    def __call__(self, *options: str, **rules: str) -> list[str]:
        done = self.run(*options, **rules)
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode().replace(f"{self.directory}/homes", "/h").replace(f":{self.uid}:", ":U:")
        lines = text.splitlines()
        assert lines[-1] == "."
        return [line for line in lines[:-1] if not line.startswith(("=alias:", "+alias"))]

    def run(self, *options: str, **rules: str) -> subprocess.CompletedProcess[bytes]:
        for name, text in rules.items():
            (self.home.path / "users" / name).write_text(text)
        return self.home.run("qmail-pw2u", *options, stdin=self.lines.encode())


@pytest.fixture
def passwd(home: Home, tmp_path: Path) -> Passwd:
    return Passwd(home, tmp_path)


ALIAS = "+:alias:U:100:/h/alias:-::"


def test_each_user_gets_an_address_and_its_extensions(passwd: Passwd) -> None:
    passwd.add("joe")
    assert passwd() == [ALIAS, "=joe:joe:U:100:/h/joe:::", "+joe-:joe:U:100:/h/joe:-::"]


def test_its_output_is_what_newu_takes(passwd: Passwd) -> None:
    passwd.add("joe")
    assert write_assign(passwd.home, passwd.run().stdout).returncode == 0
    found = owners(passwd.home, "joe", "joe-x", "other")
    assert [line.split(":")[0] + line[line.rindex(":") :] for line in found] == ["joe:", "joe:x", "alias:other"]


def test_who_is_skipped(passwd: Passwd) -> None:
    passwd.add("root", 0)
    passwd.add("gone", make=False)
    passwd.add("Upper")
    passwd.lines += "broken\nbroken:x:y:1::/:\n:x:1:1::/:/\n\n"
    assert passwd() == [ALIAS]
    assert [line[:7] for line in passwd("-u")[1:]] == ["=Upper:", "+Upper-"]
    assert [line[:5] for line in passwd("-H")[1:]] == ["=gone", "+gone"]
    assert passwd.run("-h").returncode == 111


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a home away")
def test_a_home_of_somebody_else_is_skipped(passwd: Passwd) -> None:
    passwd.add("joe", own=False)
    assert passwd() == [ALIAS]
    assert len(passwd("-H")) == 3


@pytest.mark.parametrize(
    ("options", "second"),
    [
        (["-c", "+"], "+joe+:joe:U:100:/h/joe:-::"),
        (["-/"], "+joe-:joe:U:100:/h/joe:-:/:"),
        (["-C"], None),
        (["-C", "-c="], "+joe=:joe:U:100:/h/joe:-::"),
    ],
)
def test_how_extensions_look(passwd: Passwd, options: list[str], second: str | None) -> None:
    passwd.add("joe")
    assert passwd(*options)[1:] == ["=joe:joe:U:100:/h/joe:::"] + ([second] if second else [])


def test_include_and_exclude(passwd: Passwd) -> None:
    for name in ("ann", "joe", "zoe"):
        passwd.add(name)
    assert {line[1:4] for line in passwd(exclude="joe\n")[1:]} == {"ann", "zoe"}
    assert {line[1:4] for line in passwd(include="joe\nann\n")[1:]} == {"ann"}


def test_mailnames_replace_the_users_own(passwd: Passwd) -> None:
    passwd.add("joe")
    assert [line.split(":")[0] for line in passwd(mailnames="joe:jo:j.doe:\nnobody:x:\n")[1:]] == [
        *("=jo", "+jo-", "=j.doe", "+j.doe-"),
    ]


def test_subusers_and_append(passwd: Passwd) -> None:
    passwd.add("joe")
    lines = passwd(subusers="sales:joe:shop:\nx:nobody:y:\n", append="=more:m:1:1:/m:::")
    assert lines[3:] == ["=sales:joe:U:100:/h/joe:-:shop:", "+sales-:joe:U:100:/h/joe:-:shop-:", "=more:m:1:1:/m:::"]
    assert passwd.run(subusers="sales:joe\n").returncode == 111


def test_files_below_a_directory_for_alias_and_subusers_too(passwd: Passwd) -> None:
    passwd.add("joe")
    assert passwd("-/", subusers="sales:joe:shop:\n") == [
        "+:alias:U:100:/h/alias:-:/:",
        "=joe:joe:U:100:/h/joe:::",
        "+joe-:joe:U:100:/h/joe:-:/:",
        "=sales:joe:U:100:/h/joe:-:/shop:",
        "+sales-:joe:U:100:/h/joe:-:/shop-:",
    ]


def test_the_last_of_two_options_counts(passwd: Passwd) -> None:
    passwd.add("Upper")
    assert len(passwd("-u", "-U")) == 1
    assert len(passwd("-U", "-u")) == 3


def test_without_alias_nothing_is_right(home: Home) -> None:
    done = home.run("qmail-pw2u", stdin=b"joe:x:1:1::/:/\n")
    assert done.returncode == 111
    assert b"alias" in done.stderr


def test_an_endless_line_is_refused(passwd: Passwd) -> None:
    passwd.lines += "x" * 100000
    assert passwd.run().returncode == 111
    assert passwd.run("-x").returncode == 100
