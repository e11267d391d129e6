"""host_files in a play: what a role's files hold, and that the handlers of what changed run, and no others."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[4]
ME = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  roles: [part]
"""
HANDLERS = """
- name: Reload one
  ansible.builtin.debug: {msg: handler-one}
- name: Reload two
  ansible.builtin.debug: {msg: handler-two}
"""


@dataclass
class Play:
    """A play with one role, whose one task is host_files."""

    top: Path

    @property
    def host(self) -> Path:
        """Where the files of the play go."""
        return self.top / "host"

    def write(self, name: str, text: str) -> None:
        """Have a file of the role."""
        path = self.top / "roles/part" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def run(self, *files: Mapping[str, object], words: tuple[str, ...] = ()) -> str:
        """Run it, and give what Ansible says."""
        task = {"name": "Have the files", "host_files": {"files": [[{**ME, **entry} for entry in files]]}}
        self.write("tasks/main.yml", yaml.safe_dump([task]))
        self.write("handlers/main.yml", HANDLERS)
        (self.top / "play.yml").write_text(PLAY)
        done = subprocess.run(
            ["ansible-playbook", "-i", "localhost,", "--diff", "play.yml", *words],
            cwd=self.top,
            env={
                **os.environ,
                "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
                "ANSIBLE_ROLES_PATH": str(self.top / "roles"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr


@pytest.fixture
def play(tmp_path: Path) -> Play:
    (tmp_path / "host").mkdir(mode=0o755)
    (tmp_path / "host").chmod(0o755)
    return Play(tmp_path)


def test_a_file_holds_what_is_given_rendered_or_copied_and_by_its_name_without_a_word(play: Play) -> None:
    one = str(play.host / "one")
    play.write(
        f"templates{one}.j2", "{{ ansible_managed | comment }}\n{% if true %}\n{{ 'by its \\\\ name' }}\n{% endif %}\n"
    )
    play.write(f"files{play.host}/two", "{{ copied }}\n")
    play.write(f"files{play.host}/word-a", "its own\n")
    play.write(f"templates{play.host}/word-NAME.j2", "for {{ NAME }}\n")
    play.write("templates/etc/three.j2", "{{ word }} {% include 'part.j2' %}\n")
    play.write("templates/etc/part.j2", "and more\n")
    said = play.run(
        {"path": one},
        {"path": str(play.host / "two")},
        {"path": str(play.host / "three"), "template": "etc/three.j2", "vars": {"word": "rendered"}},
        {"path": str(play.host / "four"), "content": "given {{ 1 + 1 }}\n"},
        {"path": str(play.host / "word-NAME"), "each": ["a", "b"]},
        {"path": str(play.host / "no-NAME"), "each": [], "content": ""},
    )
    assert "failed=0" in said, said
    held = {path.name: path.read_text() for path in play.host.iterdir()}
    assert held == {
        "one": "#\n# Ansible managed\n#\nby its \\ name\n",
        "two": "{{ copied }}\n",
        "three": "rendered and more\n",
        "four": "given 2\n",
        "word-a": "its own\n",
        "word-b": "for b\n",
    }


@pytest.mark.parametrize("mode", ["", "--check"])
def test_only_the_handlers_of_what_changed_run(play: Play, mode: str) -> None:
    one = {"path": str(play.host / "one"), "content": "1\n", "notify": ["Reload one"]}
    two = {"path": str(play.host / "two"), "content": "2\n", "notify": ["Reload two"]}
    play.run(one)
    said = play.run(one, two, words=(mode,) if mode else ())
    assert "handler-two" in said, said
    assert "handler-one" not in said
    if not mode:
        assert "handler-" not in play.run(one, two)


def test_a_file_that_is_not_wanted_is_neither_rendered_nor_looked_for_and_its_handler_runs(play: Play) -> None:
    gone = {"path": str(play.host / "gone"), "wanted": False, "notify": ["Reload one"]}
    (play.host / "gone").write_text("")
    assert "handler-one" in play.run(gone)
    assert list(play.host.iterdir()) == []


def test_a_secret_is_in_no_output_however_much_is_asked_for(play: Play) -> None:
    said = play.run({"path": str(play.host / "key"), "content": "s3cr3t-word\n", "secret": True}, words=("-vvv",))
    assert (play.host / "key").read_text() == "s3cr3t-word\n"
    assert "s3cr3t-word" not in said


def test_every_file_without_anything_to_hold_is_named_before_one_is_written(play: Play) -> None:
    play.write("templates/bad.j2", "{{ undefined_thing }}\n")
    said = play.run(
        {"path": str(play.host / "good"), "content": "1\n"},
        {"path": str(play.host / "missing")},
        {"path": str(play.host / "bad"), "template": "bad.j2"},
        {"path": str(play.host / "both"), "content": "1\n", "source": "x"},
    )
    said = " ".join(said.split())
    assert f"{play.host}/missing: " in said, said
    assert "'undefined_thing' is undefined" in said
    assert "content and source exclude each other" in said
    assert list(play.host.iterdir()) == []
