# SPDX-License-Identifier: MIT
"""A certificate chain and its key in one file, which others see whole or not at all.

What a server could not use is refused by pem_chain, with one sentence that names the file and the cause, before
anything is touched. The bundle holds the certificates and the key (PKCS 8) and nothing else of what the files held. It
is written beside its place, with its final owner and mode before its first byte, flushed to disk, and renamed. The
bundle that was there is kept as DEST.previous, and can be brought back. Text out of certificates is shown without
characters that a terminal or a log would obey.

Options, a dict: `dest`, `owner`, `group` and `mode` of the bundle; for run() also `chain` and `key`, the two PEM files,
`names` that the certificate must cover, `roots`, PEM files of the roots that a chain may end below, and `warn_days`;
for back() also `fingerprint`, of the certificate to go back from.
"""

from __future__ import annotations

import datetime
import grp
import os
import pwd
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

try:
    from ansible.module_utils import pem_chain
    from ansible.module_utils.pem_chain import RefusedError
    from ansible.module_utils.whole_file import beside, sync_directory
except ImportError:  # the host's own program has them beside this file
    import pem_chain
    from pem_chain import RefusedError
    from whole_file import beside, sync_directory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509


# ---- writing -------------------------------------------------------------------------------------------------------


def identity(params: dict[str, Any]) -> tuple[int, int, int]:
    """Numbers of owner, group and mode."""
    if not re.fullmatch(r"0?[0-7]{3}", params["mode"]) or int(params["mode"], 8) & 0o137:
        raise RefusedError(
            f'mode: "{params["mode"]}" would let others at the key, let the group write or anyone execute it; '
            "0600, 0640 and 0400 are such as will do"
        )
    try:
        uid = pwd.getpwnam(params["owner"]).pw_uid
    except KeyError:
        raise RefusedError(f"owner: there is no user {params['owner']} on this host") from None
    try:
        gid = grp.getgrnam(params["group"]).gr_gid
    except KeyError:
        raise RefusedError(f"group: there is no group {params['group']} on this host") from None
    return uid, gid, int(params["mode"], 8)


def previous_of(dest: Path) -> Path:
    """Where the bundle before is kept."""
    return dest.with_name(f"{dest.name}.previous")


def second_name(path: Path, other: Path) -> None:
    """Make `other` a name of the file `path`, by one rename."""
    new = other.with_name(f".{other.name}.new")
    new.unlink(missing_ok=True)
    os.link(path, new)
    new.replace(other)


def write(dest: Path, content: bytes, owner: tuple[int, int, int]) -> None:
    """Make `content` the bundle; keep the one that was there."""
    uid, gid, mode = owner
    with beside(dest, content, mode, (uid, gid)):
        if dest.exists():
            os.chown(dest, uid, gid)
            dest.chmod(mode)  # what is kept of it must be open to nobody else either
            second_name(dest, previous_of(dest))


def exchange(dest: Path) -> None:
    """Swap the bundle and the one before; at each moment both names have a whole bundle."""
    previous = previous_of(dest)
    kept = dest.with_name(f".{dest.name}.kept")
    kept.unlink(missing_ok=True)
    if dest.exists():
        os.link(dest, kept)
    second_name(previous, dest)
    if kept.exists():
        kept.replace(previous)
    sync_directory(dest.parent)


# ---- the bundle ----------------------------------------------------------------------------------------------------


def describe(chain: Sequence[x509.Certificate], key: str) -> str:
    """What a diff may show of a bundle."""
    lines = []
    for certificate in chain:
        begin, end = pem_chain.begin_of(certificate), pem_chain.end_of(certificate)
        lines += [
            f"subject {pem_chain.subject(certificate)}",
            f"  issuer {pem_chain.issuer_of(certificate)}",
            f"  valid {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC",
            f"  sha256 {pem_chain.fingerprint(certificate)}",
        ]
        if names := pem_chain.names_of(certificate):
            lines.append(f"  names {', '.join(names)}")
    return "".join(f"{line}\n" for line in [*lines, f"key {key}"])


def look(dest: Path) -> tuple[list[x509.Certificate], str]:
    """The chain of a bundle that is in use, and its description; both empty if there is none or it is not readable."""
    try:
        chain, key = pem_chain.load_chain(dest), pem_chain.load_key(dest)
    except RefusedError:
        return [], "not a bundle\n" if dest.exists() else ""
    return chain, describe(chain, pem_chain.describe_key(key))


def ownership(path: Path) -> tuple[int, int, int] | None:
    """Owner, group and mode of a file, None if there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def ownership_line(owner: tuple[int, int, int] | None) -> str:
    """The same for a diff."""
    return f"owner {owner[0]} group {owner[1]} mode {owner[2]:04o}\n" if owner else ""


def answer(dest: Path, chain: Sequence[x509.Certificate], key: str, today: datetime.datetime) -> dict[str, Any]:
    """The facts about a bundle."""
    leaf = chain[0]
    return {
        "dest": str(dest),
        "subject": pem_chain.subject(leaf),
        "names": pem_chain.names_of(leaf),
        "not_before": pem_chain.begin_of(leaf).isoformat(),
        "not_after": pem_chain.end_of(leaf).isoformat(),
        "days_left": (min(map(pem_chain.end_of, chain)) - today).days,
        "fingerprint": pem_chain.fingerprint(leaf),
        "chain": [pem_chain.subject(certificate) for certificate in chain],
        "key_type": key,
    }


def check_dest(dest: Path) -> None:
    """Refuse what can't be the bundle's place."""
    if dest.is_symlink():
        raise RefusedError(f"{dest}: is a symlink to {os.readlink(dest)}; name that file, the link may stay")  # noqa: PTH115
    if dest.exists() and not dest.is_file():
        raise RefusedError(f"{dest}: is there and is not a file")
    if not dest.parent.is_dir():
        raise RefusedError(f"{dest}: its directory is not there")
    if (mode := stat.S_IMODE(dest.parent.stat().st_mode)) & 0o022:
        raise RefusedError(
            f"{dest}: its directory has the mode {mode:04o}, so that others could put another bundle there; "
            f"chmod go-w {dest.parent}"
        )


def present(params: dict[str, Any], check_mode: bool, today: datetime.datetime) -> dict[str, Any]:
    """Make the bundle what the options say; give the result."""
    dest, owner = Path(params["dest"]), identity(params)
    check_dest(dest)
    pair = Path(params["chain"]), Path(params["key"])
    chain, key = pem_chain.load_pair(*pair, params["names"], [Path(root) for root in params["roots"]], today)
    content = pem_chain.certificates_pem(chain) + pem_chain.key_pem(key)
    have, before = look(dest)
    same = bool(have) and dest.read_bytes() == content
    if not check_mode:
        if not same:
            write(dest, content, owner)
        elif ownership(dest) != owner:
            os.chown(dest, *owner[:2])
            dest.chmod(owner[2])
    after = describe(chain, pem_chain.describe_key(key))
    if not same and before == after:
        before += "(other bytes)\n"
    result = answer(dest, chain, pem_chain.describe_key(key), today)
    return result | {"changed": not same, "before": before, "after": after, "owner": owner}


def previous(params: dict[str, Any], check_mode: bool, today: datetime.datetime) -> dict[str, Any]:
    """Bring the bundle before back; give the result."""
    dest, owner = Path(params["dest"]), identity(params)
    check_dest(dest)
    kept = previous_of(dest)
    have, before = look(dest)
    if expected := params["fingerprint"]:
        found = pem_chain.fingerprint(have[0]) if have else "no certificate"
        if found != expected:
            raise RefusedError(
                f"{dest}: {found} is there, not {expected}, so another run has exchanged it since; it stays. "
                "Run again to see whether it is served"
            )
    chain, after = look(kept)
    if not chain:
        raise RefusedError(f"{kept}: there is no bundle from before to go back to")
    key = pem_chain.describe_key(pem_chain.load_key(kept))
    if not check_mode:
        os.chown(kept, *owner[:2])
        kept.chmod(owner[2])
        exchange(dest)
    return answer(dest, chain, key, today) | {"changed": True, "before": before, "after": after, "owner": owner}


def finished(result: dict[str, Any], dest: Path, owned: tuple[int, int, int] | None) -> dict[str, Any]:
    """The result of both, with its diff."""
    owner = result.pop("owner")
    result["changed"] = result["changed"] or owned != owner
    result["diff"] = {
        "before_header": str(dest),
        "after_header": str(dest),
        "before": result.pop("before") + ownership_line(owned),
        "after": result.pop("after") + ownership_line(owner),
    }
    result["previous"] = str(previous_of(dest)) if previous_of(dest).exists() else ""
    return result


def run(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make the bundle that of a chain and a key; give its facts, whether it changed, the diff, and perhaps a warning.

    Raises RefusedError before anything was touched, OSError when writing failed and the old bundle stayed.
    """
    dest = Path(params["dest"])
    owned = ownership(dest)
    result = finished(present(params, check_mode, datetime.datetime.now(datetime.UTC)), dest, owned)
    if result["days_left"] < params["warn_days"]:
        result["warning"] = f"{dest}: {result['subject']} or its chain expires in {result['days_left']} days"
    return result


def back(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the bundle before back; give its facts and the diff.

    Raises RefusedError if there is none, or if the one to go back from is no longer there.
    """
    dest = Path(params["dest"])
    owned = ownership(dest)
    return finished(previous(params, check_mode, datetime.datetime.now(datetime.UTC)), dest, owned)
