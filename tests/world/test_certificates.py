"""A certificate's key takes its turn when the DNS has it, so that whoever goes by DANE believes each that he meets."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.world.conftest import SECONDS, World, letter, token

ROOT = Path(__file__).resolve().parents[2]
BOB = "bob@beta.example"
CAROL = "carol@gamma.example"
AT = ("beta.example.", "_25._tcp.mail.beta.example.", "TLSA")
NEXT = "/etc/qmail-site/next/smtp.beta.example"


def play(name: str) -> str:
    """Run a playbook against beta; give what it said."""
    program = Path(sys.executable).with_name("ansible-playbook")
    hosts = ["--inventory", "molecule/world/inventory", "--limit", "mail.beta.example"]
    done = subprocess.run(
        [program, *hosts, f"playbooks/{name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " ".join((done.stdout + done.stderr).split())


def keys(world: World) -> dict[str, str]:
    """Give what beta says of its keys: the records of the present one and of the next."""
    return {each["state"]: each["value"] for each in json.loads(world.host("beta")("mail-tlsa records"))}


def shown(world: World) -> str:
    """Give the record of the key that port 25 shows."""
    gamma = world.host("gamma")
    digest = gamma(
        "openssl s_client -starttls smtp -connect 198.18.7.22:25 </dev/null 2>/dev/null | openssl x509 -noout -pubkey"
        " | openssl pkey -pubin -outform DER | sha256sum"
    )
    return f"3 1 1 {digest.split()[0]}"


def published(world: World) -> set[str]:
    """Give the records that the DNS has."""
    found = [each.lower().split(" ", 3) for each in world.records(*AT[1:])]
    return {" ".join([*words[:3], words[3].replace(" ", "")]) for words in found}


def believed(world: World) -> None:
    """See that Postfix, which goes by DANE, delivers."""
    gamma = world.host("gamma")
    word = token()
    since = gamma("wc -l </var/log/mail.log").strip()
    world.forget("gamma")
    world.sendmail("gamma", CAROL, BOB, letter(CAROL, BOB, word))
    world.message("beta", word)
    deadline = time.monotonic() + SECONDS
    pattern = r"Verified TLS connection established to mail\.beta\.example"
    while not re.search(pattern, log := gamma(f"tail -n +{since} /var/log/mail.log")):
        assert time.monotonic() < deadline, log
        time.sleep(0.3)


def test_the_next_key_s_turn(world: World) -> None:
    beta = world.host("beta")
    before = keys(world)
    assert shown(world) == before["current"]
    assert published(world) == set(before.values())
    believed(world)

    # It is old, and the next one's record is not there: it stays.
    beta(f"touch -d '-200 days' {NEXT}.key")
    with world.named(*AT, before["current"]):
        said = play("rotate-certs.yml")
        assert f"its key is old, and stays: not every name server has the next key's record {AT[1][:-1]}" in said, said
        assert shown(world) == before["current"]

    # It has been there for long enough: its turn has come. Both keys are in the DNS, so nobody minds.
    beta(f"touch -d '-3 days' {NEXT}.published")
    play("rotate-certs.yml")
    assert shown(world) == before["next"]
    believed(world)

    # Now the former one goes, and the one after the next is published.
    play("dns.yml")
    after = keys(world)
    assert after["current"] == before["next"]
    assert after["next"] not in before.values()
    assert published(world) == set(after.values())
    believed(world)
