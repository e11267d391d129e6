#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: bring one distfile, known by its size and digest, to the target's cache."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: distfile
short_description: Bring a source archive, known by its size and digest, to the host's cache
description:
  - A distfile is a file with a name, a size, a SHA-256 digest and several sites tried in turn.
    The digest is what is trusted, never the site.
  - A file in O(cache) that has the digest is left alone and no site is asked. Otherwise the sites are tried in
    turn into C(NAME.new), which becomes C(NAME) by one rename after its size and digest were verified and its
    data was written to disk. A file that fails the verification is removed.
  - A source tree on the controller goes the same way, see O(tree).
options:
  name:
    description: Name of the file in the cache. A site that is a directory is asked for this name.
    type: str
    required: true
  size:
    description:
      - Size in bytes. Nothing larger is ever written. Required unless O(tree) is given.
    type: int
  sha256:
    description: SHA-256 digest, 64 hexadecimal digits. Required unless O(tree) is given.
    type: str
  sites:
    description:
      - Where to look, in this order. A site is one of the following.
      - An C(https://) or C(http://) URL. One that ends in C(/) is a directory and O(name) is appended.
      - An absolute path (or C(file:///) URL) on the target, of the file or of the directory that it is in.
      - C(debian-pool:PATH), PATH under C(pool/) of the Debian archive that apt of the target is configured with.
        The download is made by apt's own transport, so its proxies, credentials and mirror lists are honoured.
    type: list
    elements: str
    default: []
  cache:
    description: Directory that keeps the distfiles, on the target. It must exist.
    type: path
    default: /var/cache/qmail-site/distfiles
  timeout:
    description: Seconds of silence, and ten times as many seconds in all, after which a site is given up.
    type: int
    default: 30
  tree:
    description:
      - A directory on the controller, absolute or relative to the role's C(files/) or to the role. It is packed
        into a tar archive whose bytes depend on nothing but the names, contents and executable bits of the files
        in it; O(size), O(sha256) and O(sites) follow from that and are not given.
      - What git lists is packed, so files that a C(.gitignore) excludes are left out; where git knows nothing of the
        tree, as in an unpacked release, all of it is.
    type: path
attributes:
  check_mode:
    description: Says whether the file would be fetched; asks no site.
    support: full
  diff_mode:
    description: Shows the digest that the cache holds and the one that it will hold.
    support: full
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Fetch a source archive
  distfile:
    name: stunnel-5.68.tar.gz
    size: 884989
    sha256: dcd895ab088b043d4e0bafa8b934e7ab3e697293828dbe9fce46cb7609a7dacf
    sites:
      - /srv/distfiles
      - debian-pool:main/s/stunnel4/stunnel4_5.68.orig.tar.gz
      - https://www.stunnel.org/archive/5.x/

- name: Bring a source tree of this project
  distfile:
    name: checkpassword.tar
    tree: ../../src/checkpassword
"""

RETURN = r"""
path:
  description: The verified file (in check mode, where it will be).
  type: str
  returned: success
  sample: /var/cache/qmail-site/distfiles/stunnel-5.68.tar.gz
sha256:
  description: Its digest.
  type: str
  returned: success
size:
  description: Its size in bytes.
  type: int
  returned: success
site:
  description: The site that it came from.
  type: str
  returned: when it was fetched
tried:
  description: Each site that failed before, with its error.
  type: list
  elements: dict
  returned: always
  sample: [{site: /srv/distfiles, error: no such file}]
"""

import contextlib
import hashlib
import http.client
import os
import re
import resource
import shutil
import stat
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.error import HTTPError, URLError

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import ConnectionError as UrlsError
from ansible.module_utils.urls import open_url
from ansible.module_utils.whole_file import sync_directory
from ansible.module_utils.words import without_credentials

APT_HELPER = "/usr/lib/apt/apt-helper"
BLOCK = 1 << 16
# The build's user reads it, whatever umask sudo gave us.
MODE = 0o644
_APT_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
# The order in which archives are asked. A company's own mirror may name itself, so no origin is left out.
_RANKS = {("Debian", "Debian"): 0, ("Debian", "Debian-Security"): 2}
_RANK_OF_UNKNOWN = 1
_RANK_OF_OTHERS = 3


class SiteError(Exception):
    """One site could not give the file; the text says why, in one line."""


@dataclass(frozen=True)
class Distfile:
    """What is asked for: nothing that differs from this in one byte is kept."""

    name: str
    size: int
    sha256: str

    def __post_init__(self) -> None:
        """Refuse a name that leaves the cache and a digest that can match nothing."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~-]*", self.name):
            raise ValueError(f"name: {self.name!r} is not a plain file name (letters, digits and ._+~-)")
        if self.size < 0:
            raise ValueError(f"size of {self.name}: {self.size} is negative")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"sha256 of {self.name}: {self.sha256!r} is not 64 lower-case hexadecimal digits")


def digest_of(path: Path) -> str | None:
    """SHA-256 of a regular file, None where there is none (a symlink or a directory counts as none)."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- the archive that apt is configured with -------------------------------------------------------------------------


def archive_bases(looked_into: str, configured: str) -> list[str]:
    """Archive URIs of the host, those of Debian first, each once, without the closing slash.

    LOOKED_INTO and CONFIGURED are outputs of apt-get indextargets: lines of ORIGIN, LABEL and REPO_URI with tabs
    between for the archives whose Release file is here, and lines of a bare REPO_URI for all of them. Before the first
    apt-get update the former is empty.
    """
    ranks: dict[str, int] = {}
    for line in looked_into.split("\n"):
        origin, _, rest = line.partition("\t")
        label, _, uri = rest.partition("\t")
        rank = _RANKS.get((origin, label), _RANK_OF_OTHERS)
        ranks[uri.strip().rstrip("/")] = min(rank, ranks.get(uri.strip().rstrip("/"), rank))
    for line in configured.split("\n"):
        ranks.setdefault(line.strip().rstrip("/"), _RANK_OF_UNKNOWN)
    return sorted((uri for uri in ranks if uri and not uri.startswith("cdrom:")), key=lambda uri: ranks[uri])


def mirrors_in(text: str) -> list[str]:
    """URIs of a mirror list (apt-transport-mirror(1)), the lowest priority first, without the closing slash.

    Each line is an URI, then C(key:value) words; C(#) starts a comment. A line whose types leave packages and sources
    out (C(type:index)) cannot give a file of the pool.
    """
    found: list[tuple[int, str]] = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        priority, types = 1 << 31, set[str]()
        for word in words[1:]:
            key, _, value = word.partition(":")
            if key == "priority" and re.fullmatch(r"[0-9]{1,9}", value):
                priority = int(value)
            elif key == "type":
                types.add(value)
        if not types or types & {"deb", "deb-src"}:
            found.append((priority, words[0].rstrip("/")))
    return list(dict.fromkeys(uri for _, uri in sorted(found, key=lambda item: item[0])))


@contextlib.contextmanager
def apt_download(uri: str, limit: int, timeout: int) -> Iterator[BinaryIO]:
    """The file at URI by apt's own transport, never more than LIMIT bytes (and one) of it on disk.

    apt drops its privileges to the user _apt, who needs a directory of its own to write to.
    """
    with tempfile.TemporaryDirectory(prefix="distfile-") as scratch:
        if os.geteuid() == 0:
            with contextlib.suppress(LookupError):
                shutil.chown(scratch, user="_apt")
        target = Path(scratch, "file")
        command = [APT_HELPER, f"-oAcquire::http::Timeout={timeout}", f"-oAcquire::https::Timeout={timeout}"]
        command += ["-oAcquire::Retries=1", "download-file", uri, str(target)]
        try:
            run = subprocess.run(
                command,
                env={**_APT_ENV, **{k: v for k, v in os.environ.items() if k.lower().endswith("_proxy")}},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=10 * timeout,
                check=False,
                # A server that announces no length could fill the disk: the kernel stops the writer.
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit + 1, limit + 1)),
            )
        except FileNotFoundError:
            raise SiteError(f"this host has no {APT_HELPER}, so no archive to ask") from None
        except subprocess.TimeoutExpired:
            raise SiteError(f"{without_credentials(uri)}: not done after {10 * timeout} s, given up") from None
        if run.returncode != 0:
            if target.exists() and target.stat().st_size > limit:
                raise SiteError(f"{without_credentials(uri)}: larger than the declared {limit} bytes")
            raise SiteError(f"{without_credentials(uri)}: {apt_error(run.stderr.decode(errors='replace'), uri)}")
        with target.open("rb") as file:
            yield file


def apt_error(stderr: str, uri: str) -> str:
    """What apt complained of, in one line and without repeating the URI."""
    said = [line[3:].strip() for line in stderr.splitlines() if line.startswith("E: ")]
    said = [line.replace(f"Failed to fetch {uri}", "").strip() for line in said if line != "Download Failed"]
    return "; ".join(line for line in said if line) or "apt could not fetch it"


def configured_archives(timeout: int) -> list[str]:
    """The archives of this host in the order in which to ask them, mirror lists resolved.

    apt is asked, rather than its files read: so every form of sources (deb822, one line, parts) counts as apt sees it.
    """
    looked_into = index_targets(["--format", "$(ORIGIN)\t$(LABEL)\t$(REPO_URI)"], timeout)
    configured = index_targets(["--format", "$(REPO_URI)", "--no-release-info"], timeout)
    bases: list[str] = []
    for base in archive_bases(looked_into, configured):
        bases += mirrors_of(base, timeout) if base.startswith("mirror") else [base]
    if not bases:
        raise SiteError("apt of this host has no archive configured (see sources.list(5))")
    return bases


def index_targets(options: list[str], timeout: int) -> str:
    """Output of apt-get indextargets, which needs no right and no network."""
    try:
        run = subprocess.run(
            ["apt-get", "indextargets", *options, "Created-By: Packages"],
            env=_APT_ENV,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10 * timeout,
            check=False,
        )
    except FileNotFoundError:
        raise SiteError("this host has no apt, so no archive to ask") from None
    except subprocess.TimeoutExpired:
        raise SiteError("apt-get indextargets did not answer") from None
    if run.returncode != 0:
        raise SiteError(f"apt-get indextargets: {apt_error(run.stderr.decode(errors='replace'), '')}")
    return run.stdout.decode(errors="replace")


def mirrors_of(base: str, timeout: int) -> list[str]:
    """The archives behind a C(mirror:) base: its list is read by apt's transport (C(mirror+file:) included)."""
    scheme, _, rest = base.partition(":")
    method = scheme.partition("+")[2] or "http"
    with apt_download(f"{method}:{rest}", limit=1 << 20, timeout=timeout) as file:
        return mirrors_in(file.read().decode(errors="replace"))


# --- sites -----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def web_site(url: str, want: Distfile, timeout: int) -> Iterator[BinaryIO]:
    """The body of URL. A declared length that differs from the size is refused before a byte is read."""
    if url.endswith("/"):
        url += urllib.parse.quote(want.name)
    try:
        # A server may label a .gz as encoded: the bytes are wanted as they are.
        with open_url(url, timeout=timeout, decompress=False, http_agent="qmail-site") as answer:
            length = answer.headers.get("Content-Length", "")
            if length.isdigit() and int(length) != want.size:
                raise SiteError(f"has {length} bytes, {want.size} are declared")
            yield answer
    except HTTPError as error:
        raise SiteError(f"HTTP {error.code} {error.reason}") from None
    except URLError as error:
        raise SiteError(str(error.reason)) from None


@contextlib.contextmanager
def local_site(path: Path, want: Distfile, timeout: int) -> Iterator[BinaryIO]:
    """A file on this host, or the file of that name in a directory on this host."""
    del timeout
    if path.is_dir():
        path = path / want.name
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise SiteError("not a regular file")
        yield file


def takers(site: str, want: Distfile, timeout: int) -> Iterator[contextlib.AbstractContextManager[BinaryIO]]:
    """The ways to read WANT from SITE, one after the other (a pool may have several archives behind it)."""
    if re.match(r"https?://", site):
        yield web_site(site, want, timeout)
    elif site.startswith("debian-pool:"):
        path = site.removeprefix("debian-pool:")
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+~/-]*", path) or ".." in path.split("/"):
            raise SiteError(f"{path!r} is not a path under pool/, such as main/h/hello/hello_1.0.orig.tar.gz")
        for base in configured_archives(timeout):
            yield apt_download(f"{base}/pool/{path}", want.size, timeout)
    elif site.startswith("/"):
        yield local_site(Path(site), want, timeout)
    elif site.startswith("file:///"):
        yield local_site(Path(urllib.parse.unquote(site.removeprefix("file://"))), want, timeout)
    else:
        raise SiteError("not a site: give an https:// URL, an absolute path or debian-pool:PATH")


def take(source: BinaryIO, target: Path, want: Distfile, deadline: float) -> None:
    """Copy SOURCE to TARGET (which must not exist) and verify it; on any error TARGET is removed again."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            os.fchmod(fd, MODE)
            got, hasher = 0, hashlib.sha256()
            while block := source.read(min(BLOCK, want.size + 1 - got)):
                got += len(block)
                hasher.update(block)
                if got > want.size:
                    raise SiteError(f"larger than the declared {want.size} bytes")
                if time.monotonic() > deadline:
                    raise SiteError(f"too slow, given up after {got} of {want.size} bytes")
                file.write(block)
            if got < want.size:
                raise SiteError(f"ends after {got} of {want.size} bytes")
            if hasher.hexdigest() != want.sha256:
                raise SiteError(f"wrong digest: expected sha256 {want.sha256}, got {hasher.hexdigest()}; nothing kept")
            file.flush()
            os.fsync(fd)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def fetch(want: Distfile, sites: list[str], cache: Path, timeout: int) -> tuple[str | None, list[dict[str, str]]]:
    """Try SITES in turn. Gives the site that had the file, None where all failed, and the failures before it."""
    tried: list[dict[str, str]] = []
    new = cache / f"{want.name}.new"
    new.unlink(missing_ok=True)
    sync_directory(cache)  # where there is no cache, no site is to blame
    for site in sites:
        errors: list[str] = []
        try:
            for taker in takers(site, want, timeout):
                try:
                    with taker as source:
                        take(source, new, want, time.monotonic() + 10 * timeout)
                except (SiteError, OSError, http.client.HTTPException, UrlsError, ValueError) as error:
                    errors.append(in_one_line(error))
                    continue
                new.replace(cache / want.name)
                sync_directory(cache)
                return without_credentials(site), tried
        except SiteError as error:
            errors.append(in_one_line(error))
        tried.append({"site": without_credentials(site), "error": "; ".join(errors)})
    return None, tried


def in_one_line(error: Exception) -> str:
    """The text of an error for a list: the system's own words for an OSError, no line breaks, no endless length."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join((text or type(error).__name__).split())[:500]


def failure_text(want: Distfile, tried: list[dict[str, str]]) -> str:
    """One error for all sites, each on its own line."""
    if not tried:
        return f"{want.name} is not in the cache and has no sites to fetch it from (sites is empty)"
    lines = [f"  {entry['site']}: {entry['error']}" for entry in tried]
    return "\n".join([f"{want.name} (sha256 {want.sha256}) could not be fetched; each site failed:", *lines])


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "size": {"type": "int"},
            "sha256": {"type": "str"},
            "sites": {"type": "list", "elements": "str", "default": []},
            "cache": {"type": "path", "default": "/var/cache/qmail-site/distfiles"},
            "timeout": {"type": "int", "default": 30},
            "tree": {"type": "path"},
        },
        required_together=[("size", "sha256")],
        required_one_of=[("sha256", "tree")],
        supports_check_mode=True,
    )
    params = module.params
    if params["sha256"] is None:
        module.fail_json(msg="tree is packed on the controller by the action plugin distfile, which did not run")
    try:
        want = Distfile(params["name"], params["size"], params["sha256"])
    except ValueError as error:
        module.fail_json(msg=str(error))
    cache = Path(params["cache"])
    path = cache / want.name
    have = digest_of(path)
    result: dict[str, Any] = {"path": str(path), "size": want.size, "sha256": want.sha256, "tried": []}
    if have == want.sha256:
        module.exit_json(changed=False, **result)
    result["diff"] = {
        "before_header": str(path),
        "after_header": str(path),
        "before": f"sha256 {have}\n" if have else "",
        "after": f"sha256 {want.sha256}\n",
    }
    if module.check_mode:
        module.exit_json(changed=True, msg=f"{want.name} would be fetched", **result)
    try:
        site, result["tried"] = fetch(want, params["sites"], cache, params["timeout"])
    except OSError as error:
        module.fail_json(msg=f"{want.name} cannot be kept in {cache}: {error}")
    if site is None:
        module.fail_json(msg=failure_text(want, result["tried"]), tried=result["tried"])
    module.exit_json(changed=True, site=site, **result)


if __name__ == "__main__":
    main()
