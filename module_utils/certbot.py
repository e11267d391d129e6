# SPDX-License-Identifier: MIT
"""Certificates from an ACME directory, by certbot."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.key_turn import kept
from ansible.module_utils.pem_chain import RefusedError, key_pem, load_key, printable, reason_to_renew, same_key
from ansible.module_utils.whole_file import write

RENEWAL = Path("/etc/letsencrypt/renewal")
# Of all that certbot prints: what the directory says of a name, and what says nothing of the fault.
DETAIL = re.compile(r"Detail: *(.*)")
CHATTER = re.compile(
    "(Ask for help|See the logfile|Saving debug log|Renewing an existing|Requesting a|An unexpected error|"
    "Account registered|$)"
)


def authenticator(options: dict[str, Any]) -> str:
    """How certbot calls the way to prove a name."""
    return "manual" if options["challenge"] == "dns" else str(options["challenge"])


def says(name: str, options: dict[str, Any]) -> str:
    """What certbot's notes of an order have against it; empty if it was made as it would be made now."""
    try:
        lines = (RENEWAL / f"{name}.conf").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "certbot knew nothing of it"
    if f"server = {options['directory']}" not in lines:
        return "it was from another directory"
    if f"authenticator = {authenticator(options)}" not in lines:
        return "its names were proven in another way"
    if "reuse_key = True" not in lines:
        return "certbot would have changed its key at each renewal"
    return ""


def order(name: str, wish: dict[str, Any], options: dict[str, Any], *, has_key: bool) -> list[str]:
    """The command that orders a certificate: for the key that certbot has, if it HAS_KEY to go on with, else a new one.

    --no-directory-hooks holds for this run alone: the bundle is made here, and can then go back if a port fails.
    """
    how = {
        "standalone": ["--standalone", "--http-01-port", str(options["http_port"])],
        "webroot": ["--webroot", "--webroot-path", options["webroot"]],
        "dns": ["--manual", "--preferred-challenges", "dns", "--manual-auth-hook", options["dns_hook"]],
    }[options["challenge"]]
    if options["challenge"] == "dns" and options["dns_cleanup_hook"]:
        how += ["--manual-cleanup-hook", options["dns_cleanup_hook"]]
    email = ["--register-unsafely-without-email"]
    if options["email"]:
        email = ["--email", options["email"], "--no-eff-email"]
    command = ["certbot", "certonly", "--non-interactive", "--agree-tos", "--no-directory-hooks", "--force-renewal"]
    command += ["--renew-with-new-domains", "--cert-name", name, "--server", options["directory"]]
    command += ["--key-type", wish["key_type"], "--reuse-key", *([] if has_key else ["--new-key"]), *email, *how]
    return command + [word for each in wish["names"] for word in ("--domains", each)]


def fault(said: str) -> str:
    """What went wrong, out of all that certbot said: in one line, without what a log or a terminal would obey."""
    lines = [line.strip() for line in said.splitlines()]
    details = dict.fromkeys(found[1] for line in lines if (found := DETAIL.match(line)))
    text = "; ".join(details or [line for line in lines if not CHATTER.match(line)])
    return "".join(map(printable, text)).rstrip(". ")[:600] or "certbot says nothing of the cause"


def obtain(pair: tuple[Path, Path], name: str, wish: dict[str, Any], options: dict[str, Any], check_mode: bool) -> str:
    """Order a certificate, if there is a reason to, for the key that is there if that will do; give the reason.

    A directory limits how often it can be asked: what is good and was ordered in the same way is left alone. The pair
    is where certbot has them. The wish is that of reason_to_renew. The options are the role's `certs_acme_*`.

    Raises RefusedError with what the directory says, or certbot.
    """
    because = reason_to_renew(pair, wish, says(name, options), datetime.datetime.now(datetime.UTC))
    if because and not check_mode:
        with another_key(pair, wish) as has_key:
            trouble = ordered(order(name, wish, options, has_key=has_key), options)
            if trouble:
                raise RefusedError(
                    f"{options['directory']} gave no certificate for {', '.join(wish['names'])}: {trouble}; "
                    "more is in /var/log/letsencrypt/letsencrypt.log of the host"
                )
    return str(because)


def ordered(command: list[str], options: dict[str, Any]) -> str:
    """Order a certificate; give what went wrong."""
    trust = {"REQUESTS_CA_BUNDLE": options["ca_file"]} if options["ca_file"] else {}
    try:
        done = subprocess.run(
            command, env=os.environ | trust, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        return f"certbot: {error.strerror}"
    return fault(f"{done.stdout}\n{done.stderr}") if done.returncode else ""


def is_next(path: Path, wish: dict[str, Any]) -> bool:
    """Is the key there the next one already, as after a run that was interrupted?"""
    try:
        have = load_key(path)
    except RefusedError:
        return False
    return wish.get("next") is not None and same_key(have.public_key(), wish["next"].public_key())


@contextlib.contextmanager
def another_key(pair: tuple[Path, Path], wish: dict[str, Any]) -> Iterator[bool]:
    """Have certbot's key be the one to go on with while a certificate is ordered; is there any?

    With --reuse-key certbot takes the key of its latest certificate, and there is no other way to give it one. Where
    nothing comes of the order, it has its own again. No server reads that file: theirs are the bundles.
    """
    key = pair[1].resolve()
    if not wish.get("turn"):
        yield kept(pair, wish["key_type"]) is not None or is_next(pair[1], wish)
        return
    if wish.get("next") is None or not key.is_file():
        yield False
        return
    before = key.read_bytes()
    write(key, key_pem(wish["next"]), 0o600)
    try:
        yield True
    except BaseException:
        write(key, before, 0o600)
        raise
