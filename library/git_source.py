#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: bring one commit of a git repository, as an archive of its files, to the target's cache."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: git_source
short_description: Bring one commit of a git repository to the host's cache of sources
description:
  - Fetches that commit and nothing else (no history, no tags, no submodules) and writes its files as a tar archive, by
    C(git archive).
  - The commit's name is the digest of its content, and it is what is trusted. Git works out the name of everything that
    a server hands over anew, and refuses what git-fsck(1) calls malformed, such as a file named C(..).
  - Nothing that a repository says of itself counts. Hooks, filters, line ends, C(export-subst) and the like come from
    configuration and attributes, and all are switched off. A submodule is an empty directory.
  - Beside the archive C(NAME.sha256) keeps its digest, in the form of sha256sum(1). An archive that has this digest is
    left alone and no repository is asked.
options:
  name:
    description: Name of the archive in the cache. It should contain the commit.
    type: str
    required: true
  url:
    description:
      - The repository, an C(https://), C(ssh://) or C(file://) URL.
      - Over https git runs as the user C(_apt), as apt's own downloads do. Over ssh it runs as the user that the module
        runs as, with that user's keys and known hosts, and is never asked for a password. A repository on this host is
        read as the user who owns it.
    type: str
    required: true
  commit:
    description: All 40 hexadecimal digits of the commit. A branch or a tag is refused, because it can move.
    type: str
    required: true
  sha256:
    description: Digest that the archive must have. Without it the commit's own digest, which is a SHA-1, is trusted.
    type: str
  cache:
    description: Directory that keeps the sources, on the target. It must exist.
    type: path
    default: /var/cache/qmail-site/distfiles
  timeout:
    description: Seconds of silence, and ten times as many seconds in all, after which the repository is given up.
    type: int
    default: 30
attributes:
  check_mode:
    description: Says whether the commit would be fetched; asks no repository.
    support: full
  diff_mode:
    description: Shows the digest that the cache holds.
    support: full
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Fetch a tree at a commit
  git_source:
    name: hello-6c1f4d1f0d5d3b9a8a4a6c0b7d4f0a1e2c3b4a59.tar
    url: https://git.example.org/hello.git
    commit: 6c1f4d1f0d5d3b9a8a4a6c0b7d4f0a1e2c3b4a59
"""

RETURN = r"""
path:
  description: The archive (in check mode, where it will be).
  type: str
  returned: success
sha256:
  description: Its digest, empty in check mode where it is yet to be fetched.
  type: str
  returned: success
size:
  description: Its size in bytes, 0 in check mode where it is yet to be fetched.
  type: int
  returned: success
"""

import contextlib
import hashlib
import os
import pwd
import re
import resource
import signal
import stat
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.whole_file import write
from ansible.module_utils.words import without_credentials

LARGEST = 64 << 20  # bytes of one pack, and of one archive
MEMORY = 1 << 30  # bytes that git may take: a few trees can stand for more files than there are atoms
# What git would do to files on their way out of a repository (gitattributes(5)).
ATTRIBUTES = ("export-ignore", "export-subst", "text", "crlf", "eol", "ident", "filter", "working-tree-encoding")
DOWNLOADER = "_apt"
SCHEMES = ("https", "ssh", "file")


class SourceError(Exception):
    """The sentence for the operator."""


def checked_commit(commit: str) -> str:
    """COMMIT, if it is one; refuses everything that may name another commit tomorrow."""
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise SourceError(
            f"commit: {commit!r} is not a commit: give all 40 hexadecimal digits in lower case, as "
            "`git rev-parse 'NAME^{commit}'` prints them; a branch or a tag may name another commit tomorrow"
        )
    return commit


def checked_url(url: str) -> str:
    """The scheme of URL; refuses what git would take for something else, such as a command to run."""
    match = re.fullmatch(r"(https|ssh|file)://(?!-)([!-~]+)", url)
    if match is None or "\\" in url or (match[1] == "file" and not match[2].startswith("/")):
        raise SourceError(
            f"url: {without_credentials(url)!r} is not a repository: give a https://, ssh:// or file:/// URL "
            "(git@host:path is written ssh://git@host/path)"
        )
    return match[1]


# --- git -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Git:
    """How git is run: for one transport, as one user, in one scratch repository, with no configuration but ours."""

    scratch: Path
    scheme: str
    timeout: int
    account: tuple[int, int] | None  # uid and gid to change to, None to stay who we are

    def run(self, *words: str) -> bytes:
        """What git with WORDS prints; raises SourceError with its last words."""
        try:
            done = subprocess.run(
                ["git", *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10 * self.timeout,
                check=False,
                preexec_fn=bounded,
                **self.how(),
            )
        except FileNotFoundError:
            raise SourceError("this host has no git; install the package git") from None
        except subprocess.TimeoutExpired:
            raise SourceError(f"not done after {10 * self.timeout} s, given up") from None
        if done.returncode == -signal.SIGXFSZ or re.search(rb"File too large|signal 25|ut of memory", done.stderr):
            raise SourceError(f"more than {LARGEST >> 20} MiB: is it a source tree?")
        if done.returncode != 0:
            raise SourceError(last_words(done.stderr))
        said: bytes = done.stdout
        return said

    def how(self) -> dict[str, Any]:
        """Directory, environment and user of each run."""
        more: dict[str, Any] = {}
        if self.account is not None:
            more = {"user": self.account[0], "group": self.account[1], "extra_groups": []}
        return {"cwd": self.scratch, "env": self.environment(), **more}

    def environment(self) -> dict[str, str]:
        """All that git knows of this host."""
        passed = {k: v for k, v in os.environ.items() if k.lower().endswith("_proxy") or k == "SSH_AUTH_SOCK"}
        return {
            **passed,
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.scratch),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "/bin/false",
            "GIT_ALLOW_PROTOCOL": self.scheme,
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_HTTP_LOW_SPEED_LIMIT": "1",
            "GIT_HTTP_LOW_SPEED_TIME": str(self.timeout),
            "GIT_SSH_COMMAND": f"ssh -oBatchMode=yes -oStrictHostKeyChecking=yes -oConnectTimeout={self.timeout}",
            "GIT_SSH_VARIANT": "ssh",
        }


def bounded() -> None:
    """Have the kernel stop a git that a repository without end would have fill the disk or the memory."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, LARGEST))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def last_words(stderr: bytes) -> str:
    """What git complained of, in one line without the URL's credentials."""
    lines = without_credentials(re.sub(r"[^\n -~]", "", stderr.decode(errors="replace"))).splitlines()
    said = [line.strip() for line in lines if re.match(r"(fatal|error|remote|ssh|Host key|.*denied)", line)]
    return " ".join("; ".join(said or lines[-1:] or ["git gave no reason"]).split())[:500]


def account_for(scheme: str, url: str) -> tuple[int, int] | None:
    """Who is to run git: nobody with rights, and for a repository on this host its owner, whose own words it reads."""
    if os.geteuid() != 0 or scheme == "ssh":
        return None
    if scheme == "file":
        path = Path(urllib.parse.unquote(url.removeprefix("file://")))
        try:
            owner = path.stat()
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from None
        return owner.st_uid, owner.st_gid
    try:
        entry = pwd.getpwnam(DOWNLOADER)
    except KeyError:
        raise SourceError(f"this host has no user {DOWNLOADER}, as whom to download") from None
    return entry.pw_uid, entry.pw_gid


@contextlib.contextmanager
def fetched(url: str, commit: str, timeout: int) -> Iterator[Git]:
    """A scratch repository that holds COMMIT of URL."""
    scheme = checked_url(url)
    account = account_for(scheme, url)
    with tempfile.TemporaryDirectory(prefix="git-source-") as scratch:
        if account is not None:
            os.chown(scratch, *account)
        git = Git(Path(scratch), scheme, timeout, account)
        git.run("init", "--quiet", "--bare", "--template=", "--object-format=sha1", ".")
        git.run(
            *("-c", "fetch.fsckObjects=true", "fetch"),
            *("--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
            *("--no-auto-maintenance", "--upload-pack=git-upload-pack", "--", url, commit),
        )
        yield git


def export(git: Git, commit: str) -> bytes:
    """The files of COMMIT as a tar archive below one directory."""
    kind = git.run("cat-file", "-t", commit).decode().strip()
    if kind != "commit":
        hint = "; give the commit that it names (git rev-parse 'NAME^{commit}')" if kind == "tag" else ""
        raise SourceError(f"{commit} is a {kind}, not a commit{hint}")
    if not git.run("ls-tree", "--name-only", commit):
        raise SourceError(f"commit {commit} holds no file")
    # Above every attribute of the commit's own; with it no file is left out, filled in or converted.
    (git.scratch / "info").mkdir(exist_ok=True)
    (git.scratch / "info" / "attributes").write_text(f"* {' '.join(f'-{name}' for name in ATTRIBUTES)}\n")
    git.run("-c", "tar.umask=0022", "archive", "--format=tar", "--prefix=source/", "--output=archive.tar", commit)
    return (git.scratch / "archive.tar").read_bytes()


# --- the cache -------------------------------------------------------------------------------------------------------


def digest_of(path: Path) -> str:
    """SHA-256 of a regular file, empty where there is none (a symlink or a directory counts as none)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if stat.S_ISREG(os.fstat(fd).st_mode) else ""


def noted_digest(path: Path) -> str:
    """The digest that was written down beside the archive when it was made, empty where there is none."""
    try:
        words = path.with_name(f"{path.name}.sha256").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return ""
    return words[0] if words[1:] == [path.name] else ""


def keep(path: Path, data: bytes) -> None:
    """Put the archive and its digest into the cache: the digest last, so that it never vouches for another file."""
    note = path.with_name(f"{path.name}.sha256")
    note.unlink(missing_ok=True)
    write(path, data, 0o644)
    write(note, f"{hashlib.sha256(data).hexdigest()}  {path.name}\n".encode(), 0o644)


def bring(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the commit to the cache unless it is there. Gives the module's answer."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]*", params["name"]):
        raise SourceError(f"name: {params['name']!r} is not a plain file name (letters, digits and ._+~-)")
    if params["sha256"] is not None and not re.fullmatch(r"[0-9a-f]{64}", params["sha256"]):
        raise SourceError(f"sha256: {params['sha256']!r} is not 64 lower-case hexadecimal digits")
    commit, url = checked_commit(params["commit"]), params["url"]
    checked_url(url)
    path = Path(params["cache"]) / params["name"]
    have = digest_of(path)
    if have and have == (params["sha256"] or noted_digest(path)):
        return {"changed": False, "path": str(path), "sha256": have, "size": path.stat().st_size}
    answer: dict[str, Any] = {"changed": True, "path": str(path), "sha256": "", "size": 0}
    answer["diff"] = {
        "before_header": str(path),
        "after_header": str(path),
        "before": f"sha256 {have}\n" if have else "",
        "after": f"commit {commit}\n",
    }
    if check_mode:
        return answer | {"msg": f"commit {commit} would be fetched"}
    with fetched(url, commit, params["timeout"]) as git:
        data = export(git, commit)
    digest = hashlib.sha256(data).hexdigest()
    if params["sha256"] not in (None, digest):
        raise SourceError(f"wrong digest: expected sha256 {params['sha256']}, got {digest}; nothing kept")
    keep(path, data)
    return answer | {"sha256": digest, "size": len(data)}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "url": {"type": "str", "required": True},
            "commit": {"type": "str", "required": True},
            "sha256": {"type": "str"},
            "cache": {"type": "path", "default": "/var/cache/qmail-site/distfiles"},
            "timeout": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    url = without_credentials(params["url"])
    try:
        answer = bring(params, module.check_mode)
    except SourceError as error:
        module.fail_json(msg=f"{params['name']} from {url}: {error}")
    except OSError as error:
        module.fail_json(msg=f"{params['name']} from {url}: {error}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
