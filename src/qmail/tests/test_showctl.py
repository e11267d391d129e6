"""qmail-showctl, and the pages that are made from the table of control files."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from types import ModuleType

import pytest
from lab.suite import SOURCE, Home

SCRIPT = SOURCE / "look/control_files.py"


def load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("control_files", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["control_files"] = module
    spec.loader.exec_module(module)
    return module


def shown(home: Home, code: int = 0) -> dict[str, list[str]]:
    """Return the lines below each control file's own."""
    done = home.run("qmail-showctl")
    assert done.returncode == code, done.stdout
    blocks = done.stdout.decode().split("\n\n")[1:]
    lines = [block.rstrip("\n").split("\n") for block in blocks]
    return {block[0].split(" ")[0]: [line.strip() for line in block[1:]] for block in lines}


def test_every_control_file_is_explained_once(home: Home) -> None:
    rows = load_script().read_table((SOURCE / "lib/controls.def").read_text())
    assert list(shown(home)) == [row.name for row in rows]
    text = home.run("qmail-showctl").stdout.decode()
    assert all(f"\n{row.name} ({'' if row.classic else 'ours; '}" in text for row in rows)
    assert all(row.meaning in text for row in rows)


def test_defaults_and_values(home: Home) -> None:
    home.control(rcpthosts="a.test\n# no\nb.test", timeoutsmtpd="30", smtproutes=":relay.test")
    found = shown(home)
    assert found["me"] == ["value: mail.example.test"]
    assert found["rcpthosts"] == ["item: a.test", "item: b.test"]
    assert found["timeoutsmtpd"] == ["value: 30"]
    assert found["smtproutes"] == ["item: :relay.test"]
    assert found["queuelifetime"] == ["default: 604800"]


def test_what_is_wrong_is_said_and_counts(home: Home) -> None:
    home.control(queuelifetime="a week", concurrencyremote="501", virtualdomains="a.test", rcpthost="a.test")
    (home.path / "control/badmailfrom").mkdir()
    found = shown(home, 1)
    assert found["queuelifetime"] == ["value: a week", "WRONG: is no number up to the limit"]
    assert found["concurrencyremote"][-1] == "WRONG: is no number up to the limit"
    assert found["virtualdomains"] == ["item: a.test", "WRONG: has no colon"]
    assert found["rcpthost"] == ["WRONG: no program reads a file of this name"]
    assert found["badmailfrom"][-1].startswith("WRONG: can't be read")


def test_a_list_that_was_not_compiled_again(home: Home) -> None:
    home.control(morercpthosts="a.test")
    assert home.run("qmail-newmrh").returncode == 0
    assert shown(home)["morercpthosts.cdb"] == ["present"]
    os.utime(home.path / "control/morercpthosts.cdb", (1, 1))
    assert "older" in shown(home, 1)["morercpthosts.cdb"][1]


def test_secrets_and_keys_are_not_shown(home: Home) -> None:
    home.control(**{"servercert.pem": "PRIVATE", "smtproutes": "a:SECRET"})
    (home.path / "control/smtproutes").chmod(0o600)
    found = shown(home)
    assert found["servercert.pem"] == ["present"]
    assert found["smtproutes"] == ["present; not for everybody to read, so not shown"]
    home.control(smtproutes_auth="relay:25 user SECRET")
    assert shown(home, 1)["smtproutes_auth"] == ["WRONG: has passwords, and everybody can read them", "present"]


def test_control_characters_do_not_reach_the_terminal(home: Home) -> None:
    home.control(smtpgreeting=b"\x1b[2J\xff" + b"x" * 1000)
    assert shown(home)["smtpgreeting"] == ["value: ?[2J?" + "x" * 395]


def test_a_long_list_is_cut(home: Home) -> None:
    home.control(locals="\n".join(f"d{number}.test" for number in range(1000)))
    assert shown(home)["locals"][-1] == "and 800 more"


def test_without_a_home(home: Home) -> None:
    assert home.run("qmail-showctl", env={"QMAIL_TEST_HOME": "/nonexistent"}).returncode == 111


def test_the_pages_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "source",
    ['CONTROL("a", LINE, "b", 0, "c")', 'CONTROL("a", LINE, b, 0, "c", "d")\n', 'CONTROL("a", LINE, "", 0, "", "") x'],
)
def test_a_row_that_is_not_understood_is_an_error(source: str) -> None:
    with pytest.raises(ValueError, match="a row is not"):
        load_script().read_table(source)


def test_rows_must_be_in_order() -> None:
    row = 'CONTROL("{}", LINE, "x", 0, "p", "m")\n'
    script = load_script()
    assert [entry.name for entry in script.read_table(row.format("a") + row.format("b"))] == ["a", "b"]
    for first, second in (("b", "a"), ("a", "a")):
        with pytest.raises(ValueError, match="not in order"):
            script.read_table(row.format(first) + row.format(second))


def test_markdown_and_manual_quote_what_is_special() -> None:
    script = load_script()
    row = script.read_table('CONTROL("a-b", LINE, "x|y", 0, "p", ".c \\\\ d")\n')
    assert "x\\|y" in script.markdown(row)
    assert "\n\\&.c \\e d.\n" in script.manual(row)
