"""What an inventory says in the forms that there were before mail_domains could say more has the files that it had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.control_files import valid_recipients
from module_utils.mail_graph import faults, site_control
from tests.unit.roles.control_play import written

HASH = "*"
DOMAINS = ["example.org", "Beta.test", "gamma.test", "delta.test", "mail.example.org"]
NAMES = ["anna", "bert", "carol", "dave", "emil"]
LOCALS = ["info", "sales", "a.b+c", "postmaster", "x-default", "root"]


def as_before(site: dict[str, Any]) -> dict[str, list[str]]:
    """The control files of such a site, as they were reckoned then."""
    users, virtual, offices = site["mail_users"], site["qmail_virtualdomains"], site["mail_offices"]
    own = ["localhost", site["mail_fqdn"]]
    taken = [key.rpartition("@")[2] for key in virtual]
    local_domains = list(dict.fromkeys(own + [domain for domain in site["mail_domains"] if domain not in taken]))
    accepted = list(dict.fromkeys(own + site["mail_domains"]))
    recipients = [user["name"] for user in users] + [a for user in users for a in user.get("aliases", [])] + offices
    lines = [f"{local}@{domain.lower()}" for local in recipients for domain in local_domains]
    lines += [key.lower() if "@" in key else f"@{key.lower()}" for key in virtual]
    targets = dict.fromkeys(offices, site["mail_postmaster"])
    targets |= {alias: user["name"] for user in users for alias in user.get("aliases", [])}
    known = {line.rpartition("@")[2].lower() for line in lines}
    return {
        "locals": local_domains,
        "rcpthosts": accepted,
        "virtualdomains": [f"{key}:{prefix}" for key, prefix in virtual.items()],
        "aliastargets": [f"{alias}:{name}" for alias, name in targets.items()],
        "validrcptto": list(dict.fromkeys(lines + [f"@{d.lower()}" for d in accepted if d.lower() not in known])),
    }


def files_of(site: dict[str, Any]) -> dict[str, list[str]]:
    """The same, as they are now."""
    declared = site_control(site)
    said = {"control": declared["files"], "virtualdomains": site["qmail_virtualdomains"], "recipients": ["*"]}
    valid = valid_recipients(said | {"more_recipients": [], "declared": declared})
    targets = [f"{alias}:{to}" for alias, to in declared["alias_targets"].items()]
    files: dict[str, list[str]] = declared["files"] | {"aliastargets": targets, "validrcptto": valid}
    return files


@st.composite
def old_sites(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    aliases = draw(st.lists(st.sampled_from(LOCALS), unique=True))
    users = [
        {"name": name, "password_hash": HASH, "aliases": aliases[at :: len(names)]} for at, name in enumerate(names)
    ]
    domains = draw(st.lists(st.sampled_from(DOMAINS), min_size=1, unique=True))
    virtual: dict[str, str] = {}
    for domain in domains:
        if domain != "mail.example.org" and draw(st.booleans()):
            keys = (
                [domain]
                if draw(st.booleans())
                else [f"{local}@{domain}" for local in draw(st.sets(st.sampled_from(LOCALS)))]
            )
            virtual |= {key: draw(st.sampled_from(names)) for key in sorted(keys)}
    return {
        "mail_fqdn": "mail.example.org",
        "mail_domains": domains,
        "mail_users": users,
        "mail_postmaster": names[0],
        "mail_offices": draw(st.lists(st.sampled_from(["postmaster", "root", "abuse"]), unique=True)),
        "qmail_virtualdomains": virtual,
    }


@given(old_sites())
def test_old_sites_have_no_fault_and_the_files_that_they_had(site: dict[str, Any]) -> None:
    assert faults(site, 20000) == []
    assert files_of(site) == as_before(site)


OLD = {
    "mail_fqdn": "mail.example.org",
    "mail_domains": ["example.org", "beta.test", "gamma.test"],
    "mail_users": [
        {"name": "bert", "password_hash": HASH, "aliases": ["info", "sales"]},
        {"name": "emil", "password_hash": HASH},
    ],
    "qmail_virtualdomains": {"info@beta.test": "bert", "gamma.test": "emil"},
    "qmail_control": {"concurrencyremote": 50, "smtproutes": ":relay.test", "badmailfrom": None},
}
OLD_FILES = {
    "me": "mail.example.org\n",
    "defaulthost": "mail.example.org\n",
    "defaultdomain": "example.org\n",
    "plusdomain": "example.org\n",
    "locals": "localhost\nmail.example.org\nexample.org\n",
    "rcpthosts": "localhost\nmail.example.org\nexample.org\nbeta.test\ngamma.test\n",
    "databytes": "52428800\n",
    "virtualdomains": "info@beta.test:bert\ngamma.test:emil\n",
    "aliastargets": "postmaster:bert\nmailer-daemon:bert\nroot:bert\nabuse:bert\ninfo:bert\nsales:bert\n",
    "concurrencyremote": "50\n",
    "smtproutes": ":relay.test\n",
}


def test_what_the_role_writes_of_an_old_inventory(tmp_path: Path) -> None:
    found = written(tmp_path, OLD)
    local_parts = ["bert", "emil", "info", "sales", "postmaster", "mailer-daemon", "root", "abuse"]
    lines = [f"{part}@{domain}" for part in local_parts for domain in ("localhost", "mail.example.org", "example.org")]
    valid = "\n".join([*lines, "info@beta.test", "@gamma.test"]) + "\n"
    known = OLD_FILES | {"validrcptto": valid}
    assert {name: found["files"].get(name) for name in known} == known
    # Beyond these: the domain that bounces of forwarded mail come back to, what strangers are asked, whom outgoing mail
    # asks.
    beyond = {"srsdomain", "greetdelay", "helocheck", "reversecheck", "nameservers", "outgoingipv6", "policysocket"}
    assert set(found["files"]) - set(known) <= beyond
    assert found["absent"] == ["badmailfrom"]
    assert found["secrets"] == {}


@pytest.mark.parametrize(
    ("said", "file", "content"),
    [
        ({"qmail_recipients": []}, "validrcptto", None),
        ({"qmail_recipients": ["*", "joe"], "mail_domains": ["a.test"]}, "validrcptto", "joe@a.test\n"),
        ({"qmail_alias_targets": {"x": "bert"}}, "aliastargets", "x:bert\n"),
        ({"qmail_alias_targets": {"*": "", "x": "bert"}}, "aliastargets", "sales:bert\nx:bert\n"),
    ],
)
def test_what_else_could_be_said(tmp_path: Path, said: dict[str, Any], file: str, content: str | None) -> None:
    found = written(tmp_path, OLD | {"qmail_virtualdomains": {}} | said)
    if content is None:
        assert file in found["absent"]
    else:
        assert found["files"][file].endswith(content)


def test_passwords_of_routes_are_among_the_secrets(tmp_path: Path) -> None:
    route = {"to": "*", "via": "relay.test", "port": 587, "user": "joe", "password": "open sesame"}
    said = {name: value for name, value in OLD.items() if name != "qmail_control"}
    found = written(tmp_path, said | {"mail_routes": [route]})
    assert found["secrets"] == {"smtproutes_auth": "relay.test:587 joe open sesame\n"}
    assert found["files"]["smtproutes"] == ":relay.test:587\n"
