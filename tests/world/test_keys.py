"""A key's turn: the next one signs when every server with authority has its record, and no sooner."""

from __future__ import annotations

import datetime
import json
import smtplib

import pytest

from tests.world.conftest import World, letter, token

STATE = "/etc/qmail-site/dkim/state.json"


def daily(world: World) -> str:
    """Have alpha's timer do what it does each day, as the unit that it is; give what that says."""
    alpha = world.host("alpha")
    since = alpha.now()
    alpha("systemctl start qmail-site-dkim.service")
    return world.journal("alpha", "-u qmail-site-dkim.service", since)


def signed_by(world: World) -> str:
    """Send a message; give the selector whose signature OpenDKIM has found good."""
    word = token()
    world.submit(
        "alpha",
        "alice@alpha.example",
        "carol@gamma.example",
        letter("alice@alpha.example", "carol@gamma.example", word),
    )
    message = world.message("gamma", word)
    assert "dkim=pass" in world.results("gamma", message), message["Authentication-Results"]
    fields = dict(part.split("=", 1) for part in "".join(str(message["DKIM-Signature"]).split()).split(";") if part)
    return fields["s"]


def test_the_next_key_signs_when_the_last_server_has_its_record(world: World) -> None:
    alpha = world.host("alpha")
    state = json.loads(alpha(f"cat {STATE}"))
    entry = state["alpha.example"]["algorithms"]["rsa"]
    former = entry["current"]
    old = datetime.datetime.now(datetime.UTC).date() - datetime.timedelta(days=200)
    entry["keys"][former]["made"] = old.isoformat()
    alpha(f"cat >{STATE}", json.dumps(state).encode())

    daily(world)
    (record,) = [each for each in json.loads(alpha("mail-dkim records")) if each["state"] == "next"]
    new = record["name"].split(".")[0]
    assert new != former
    assert signed_by(world) == former

    assert f"key {new} (rsa) waits: " in daily(world)
    half = 200  # a text of more than 255 bytes is several strings
    texts = " ".join(f'"{record["value"][at : at + half]}"' for at in range(0, len(record["value"]), half))
    name = f"{record['name'].rstrip('.')}."
    world.update("zone alpha.example.", f"update add {name} 60 TXT {texts}")
    world.forget("alpha")
    said = daily(world)
    assert f"key {new} (rsa) waits: " in said, said
    assert "198.18.7.11" in said, said
    assert signed_by(world) == former

    world.follow("alpha.example")
    world.forget()
    said = daily(world)
    assert f"alpha.example: key {new} (rsa) signs now, in place of {former}" in said, said
    assert "signs no more" in alpha("mail-dkim status || :")
    assert signed_by(world) == new
    states = {each["name"].split(".")[0]: each["state"] for each in json.loads(alpha("mail-dkim records"))}
    assert states[former] == "old"
    assert states[new] == "current"


def test_while_nobody_signs_nothing_leaves_unsigned(world: World) -> None:
    alpha = world.host("alpha")
    word = token()
    text = letter("alice@alpha.example", "carol@gamma.example", word)
    alpha("qmail stop sign")
    try:
        with pytest.raises(smtplib.SMTPDataError, match="451"):
            world.submit("alpha", "alice@alpha.example", "carol@gamma.example", text)
    finally:
        alpha("qmail start sign")
    world.submit("alpha", "alice@alpha.example", "carol@gamma.example", text)
    assert "dkim=pass" in world.results("gamma", world.message("gamma", word))
