"""The playbook itself, stopped by its preflight on this machine: all faults at once, before anything is touched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sitelab.paths import ROOT

PASSWORD = "hunter2hunter2"  # noqa: S105 - it opens nothing


def said(tmp_path: Path, *more: str, **variables: Any) -> str:
    """Give what site.yml says of a site that it must refuse; lines are joined, as they break where they are long."""
    (tmp_path / "hosts.yml").write_text("mail: {hosts: {localhost: {ansible_connection: local}}}\n")
    site = {"mail_fqdn": "mail.example.test", "ansible_become": False, "ansible_python_interpreter": sys.executable}
    (tmp_path / "vars.json").write_text(json.dumps(site | variables))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(tmp_path / "hosts.yml")]
    command += ["playbooks/site.yml", "--check", "-vvv", "-e", f"@{tmp_path / 'vars.json'}", *more]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"COLUMNS": "400"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stdout
    assert "changed=0" in done.stdout
    return " ".join(done.stdout.replace("''", "'").split())


def test_every_roles_faults_are_told_at_once_and_no_secret(tmp_path: Path) -> None:
    text = said(
        tmp_path,
        "--tags",
        "preflight",
        mail_domains=["example..test"],
        mail_users=[{"name": "alice", "password_hash": PASSWORD}],
        mail_routes=[{"to": "*", "via": "relay.example.net", "user": "joe"}],
        mail_lists=[{"address": "team@example.net", "members": ["zoe"], "owner": "alice"}],
        qmail_control={"mee": "x", "smtproutes_auth": f"relay.example.net {PASSWORD}"},
        qmail_virtualdomains={"gamma.test": "alice"},
        qmail_features=["auth"],
        checkpassword_from="distfile",
        services_pop3_until="2020-01-01",
        certs_names=[],
        mail_certificates=[{"name": "pop.example.test", "services": ["imaps"]}],
        spam_treshold=6,
        services_pop3s_concurency=50,
        mail_of_the_tower="for another playbook",
        preflight_foreign_variables=["mail_of_the_tower"],
    )
    for sentence in (
        'mail_domains[0]: "example..test" is not a host name',
        "mail_users[0] (alice): password_hash is not a hash of crypt(5)",
        "mail_routes[0] (*): has a user without a password",
        'mail_lists[0] (team@example.net): "team@example.net": example.net is not one of mail_domains',
        'mail_lists[0] (team@example.net): members: leads to "zoe", which is neither a mailbox nor an alias here',
        'qmail_control: "mee" is no control file of this suite; is me meant?',
        "qmail_control.smtproutes_auth: line 1 is not RELAY:PORT USER PASSWORD",
        'qmail_virtualdomains["gamma.test"]: mail for gamma.test is not accepted here',
        "qmail_patches and qmail_features are for another tree",
        'mail_password_database: "/etc/qmail-shadow" is unknown to the program of checkpassword_distfile',
        'services_pop3_until: "2020-01-01" is not a day (YYYY-MM-DD) from today on',
        "certs_names: is empty",
        'mail_certificates[0].services: "imaps" is none of',
        "spam_treshold: no such variable; did you mean spam_threshold?",
        "services_pop3s_concurency: no such variable; did you mean services_pop3s_concurrency?",
    ):
        assert sentence in text
    assert PASSWORD not in text
    assert "mail_of_the_tower" not in text


def test_numbers_that_are_none_do_not_hide_the_other_faults(tmp_path: Path) -> None:
    text = said(
        tmp_path,
        "--tags",
        "preflight",
        mail_domains=["example..test"],
        services_smtp_concurrency="many",
        services_connections_per_network="lots",
        certs_acme_challenge="foo",
        certs_source="bar",
        spam_filter="no",
        mail_users="alice",
    )
    for sentence in (
        'mail_domains[0]: "example..test" is not a host name',
        'services_smtp_concurrency: "many" is not a whole number',
        'services_connections_per_network: "lots" is not a whole number',
        'certs_acme_challenge: "foo" is none of standalone, webroot, dns',
        'certs_source: "bar" is none of acme, selfsigned, files',
        'spam_filter: "no" is not true or false but a text',
        "mail_users: is not a list",
    ):
        assert text.count(sentence) == text.count('"example..test" is not a host name'), sentence


def test_a_concurrency_that_is_refused_is_not_reckoned_with(tmp_path: Path) -> None:
    text = said(tmp_path, "--tags", "preflight", qmail_control={"concurrencyremote": 100000})
    assert 'qmail_control.concurrencyremote: "100000" is not a number from 0 to 500' in text
    assert "memory: the services may take" not in text


@pytest.mark.skipif(Path("/var/qmail/control").exists(), reason="this machine is a mail host")
def test_a_part_that_lacks_others_says_which_tags_to_add(tmp_path: Path) -> None:
    text = said(tmp_path, "--tags", "certs")
    assert "--tags certs: this host has no qmail yet, which certs needs; run it without --tags first, or with" in text
    assert "--tags qmail,certs" in text


def test_a_password_in_the_vault_is_read_and_not_shown(tmp_path: Path) -> None:
    key, text = tmp_path / "key", "hunter2"
    key.write_text("the vault's own\n")
    vault = [str(Path(sys.executable).with_name("ansible-vault")), "encrypt_string", "--vault-password-file", str(key)]
    done = subprocess.run([*vault, text], capture_output=True, text=True, check=True)
    users = tmp_path / "users.yml"
    # A day without quotes is one, too.
    shop = "    aliases: [{name: shop, until: 2020-01-31}]\n"
    users.write_text(f"mail_users:\n  - name: alice\n{shop}    password: {done.stdout.strip()}\n")
    answer = said(tmp_path, "--tags", "preflight", "--vault-password-file", str(key), "-e", f"@{users}")
    assert "mail_users[0] (alice): password can be guessed, it has fewer than 8 characters" in answer
    assert 'the alias "shop": until: 2020-01-31 is over; take it out, or give a later day' in answer
    assert text not in answer
