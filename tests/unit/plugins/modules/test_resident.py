"""The resident: a process that is any module of this site for whoever may reach it, and remembers nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from action_plugins import normal
from library import resident

ROOT = Path(__file__).parents[4]
# What the starter does behind its fork, here in front.
SERVE = """
import json, sys
from pathlib import Path
import ansible.module_utils
ansible.module_utils.__path__.append("module_utils")
from library import resident
resident.IDLE = float(sys.argv[2])
path = Path(sys.argv[1])
server = resident.listening(path)
sys.meta_path.insert(0, resident.Sources(json.load(sys.stdin)))
print("listens", flush=True)
resident.serve(server, path)
"""
PROBE = """
import os, sys
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils import counted
module = AnsibleModule({"end": {"type": "str", "default": ""}})
counted.runs += 1
os.environ["BEFORE"] = os.environ.get("BEFORE", "") + "x"
print("said on the way", file=sys.stderr)
if module.params["end"] == "badly":
    raise ValueError("this one")
if module.params["end"] == "at once":
    os._exit(9)
module.exit_json(runs=counted.runs, before=os.environ["BEFORE"], cwd=os.getcwd())
"""
SOURCES = {"ansible.modules.probe": PROBE, "ansible.module_utils.counted": "runs = 0\n"}


def ask(path: Path, name: str = "probe", **words: object) -> subprocess.CompletedProcess[str]:
    """Ask as the action plugin does."""
    given = json.dumps({"ANSIBLE_MODULE_ARGS": {**words, "_ansible_remote_tmp": "/tmp"}})  # noqa: S108
    command = [sys.executable, "-ISc", normal.ASK, str(path), name]
    return subprocess.run(command, input=given, text=True, capture_output=True, check=False, timeout=30)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Start one; gives its socket."""
    running: list[subprocess.Popen[str]] = []

    def start(sources: dict[str, str] | None = None, idle: float = 60) -> Path:
        path = tmp_path / "own" / "socket"
        command = [sys.executable, "-c", SERVE, str(path), str(idle)]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(sources or SOURCES))
        process.stdin.close()
        assert process.stdout.readline() == "listens\n"
        return path

    yield start
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_run_begins_as_if_it_were_the_first(serve: Callable[..., Path]) -> None:
    path = serve()
    answers = [json.loads(ask(path).stdout) for _ in range(3)]
    assert [(answer["runs"], answer["before"], answer["cwd"]) for answer in answers] == [(1, "x", str(ROOT))] * 3


def test_output_and_exit_code_are_those_of_the_module(serve: Callable[..., Path]) -> None:
    path = serve()
    good, bad, gone = ask(path), ask(path, end="badly"), ask(path, end="at once")
    assert (good.returncode, good.stderr) == (0, "said on the way\n")
    assert (bad.returncode, json.loads(bad.stdout)["failed"]) == (1, True)
    assert "this one" in bad.stdout
    assert (gone.returncode, gone.stdout) == (1, "")


def test_this_site_s_own_modules_run(serve: Callable[..., Path]) -> None:
    path = serve(normal.sources())
    answer = json.loads(ask(path, "host_command", argv=["echo", "made"]).stdout)
    assert (answer["changed"], answer["stdout"]) == (True, "made")
    made = path.parent.parent / "made"
    answer = json.loads(ask(path, "host_files", absent=[str(made)]).stdout)
    assert answer["changed"] is False


def test_it_ends_when_nobody_asks_and_says_so(serve: Callable[..., Path]) -> None:
    path = serve(idle=0.2)
    deadline = time.monotonic() + 20
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not path.exists()
    assert ask(path).returncode == normal.GONE


def test_nobody_else_may_enter_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "own" / "socket"
    server = resident.listening(path)
    assert server is not None
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert resident.listening(path) is None  # there is one
    server.close()
    path.parent.chmod(0o755)
    with pytest.raises(PermissionError, match="is not a directory of its user's alone"):
        resident.listening(path)


def test_a_socket_that_nobody_listens_to_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "own" / "socket"
    server = resident.listening(path)
    assert server is not None
    server.close()
    again = resident.listening(path)
    assert again is not None
    again.close()


def test_another_version_has_another_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    normal.socket.cache_clear()
    before = normal.socket()
    monkeypatch.setattr(normal, "sources", lambda: {"ansible.modules.probe": PROBE})
    normal.socket.cache_clear()
    assert normal.socket() != before
    normal.socket.cache_clear()
