"""AUTH (RFC 4954) where the channel is encrypted: what opens, what does not, and what is never left behind."""

import contextlib
from collections.abc import Callable

import pytest

from verify.refusals import LOGINS, MOST_FAILURES
from verify.talk import CLIENT, DOORS, FOREIGN, STRANGER, Person, Site, Smtp, b64, plain

pytestmark = pytest.mark.beyond_classic


def may_relay(smtp: Smtp, author: str = "") -> bool:
    """Tell whether a recipient elsewhere would be accepted; no message is sent."""
    replies = [
        smtp.say(command)
        for command in ("RSET", f"MAIL FROM:<{author or smtp.author}>", f"RCPT TO:<{FOREIGN}>", "RSET")
    ]
    return replies[2].code == 250


def test_auth_plain_and_login_are_offered_and_nothing_else(encrypted: Smtp) -> None:
    offered = set(encrypted.ehlo().get("AUTH", "").split())
    assert offered == {"PLAIN", "LOGIN"}


def test_the_right_password_by_plain_in_one_go(encrypted: Smtp, alice: Person) -> None:
    encrypted.ehlo()
    assert encrypted.say(f"AUTH PLAIN {plain(alice.login, alice.password)}").code == 235


def test_the_right_password_by_plain_after_the_prompt(encrypted: Smtp, alice: Person) -> None:
    encrypted.ehlo()
    reply = encrypted.say("AUTH PLAIN")
    assert (reply.code, reply.text) == (334, "")
    assert encrypted.say(plain(alice.login, alice.password)).code == 235


def test_the_right_password_by_login_whose_prompts_are_username_and_password(encrypted: Smtp, alice: Person) -> None:
    encrypted.ehlo()
    for command, prompt in (("AUTH LOGIN", "VXNlcm5hbWU6"), (b64(alice.login), "UGFzc3dvcmQ6")):
        reply = encrypted.say(command)
        assert (reply.code, reply.text) == (334, prompt)
    assert encrypted.say(b64(alice.password)).code == 235


def test_login_takes_the_name_in_the_first_line_too(encrypted: Smtp, alice: Person) -> None:
    encrypted.ehlo()
    reply = encrypted.say(f"AUTH LOGIN {b64(alice.login)}")
    assert (reply.code, reply.text) == (334, "UGFzc3dvcmQ6")
    assert encrypted.say(b64(alice.password)).code == 235


def test_the_second_user_can_log_in_as_well(encrypted: Smtp, bob: Person) -> None:
    encrypted.log_in(bob)


def test_the_mechanism_may_be_in_small_letters(encrypted: Smtp, alice: Person) -> None:
    encrypted.ehlo()
    assert encrypted.say(f"auth plain {plain(alice.login, alice.password)}").code == 235


@pytest.mark.parametrize("change", [str, str.upper], ids=["as it is", "in capitals"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_the_address_does_as_well_as_the_name(
    encrypted: Smtp, alice: Person, mechanism: str, change: Callable[[str], str]
) -> None:
    """Mail clients fill in the address, and phones begin with a capital."""
    encrypted.ehlo()
    name = change(alice.address)
    if mechanism == "LOGIN":
        assert encrypted.say(f"AUTH LOGIN {b64(name)}").code == 334
        assert encrypted.say(b64(alice.password)).code == 235
    else:
        assert encrypted.say(f"AUTH PLAIN {plain(name, alice.password, alice.login)}").code == 235


@pytest.mark.parametrize("attempt", ["smtps: another one's identity"])
def test_nobody_acts_for_another_one(refusal: Callable[[str], list[str]], attempt: str) -> None:
    assert [answer[:3] for answer in refusal(attempt)] == ["535", "250", "553"]


def test_the_identity_to_act_as_may_be_given_and_is_the_users_own(encrypted: Smtp, alice: Person) -> None:
    encrypted.ehlo()
    assert encrypted.say(f"AUTH PLAIN {plain(alice.login, alice.password, alice.login)}").code == 235


@pytest.mark.parametrize("mechanism", ["CRAM-MD5", "DIGEST-MD5", "NTLM", "XOAUTH2", "EXTERNAL", "PLAI", "PLAINLY"])
def test_another_mechanism_is_504(site: Site, mechanism: str) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        assert smtp.say(f"AUTH {mechanism}").code == 504


def test_auth_without_a_mechanism_is_501(encrypted: Smtp) -> None:
    encrypted.ehlo()
    assert encrypted.say("AUTH").code == 501


@pytest.mark.parametrize(
    "response",
    ["%%%", "YWxpY2U", "=YWxpY2U=", "YWx=pY2U", b64("alice"), b64("alice\0secret"), b64("\0\0"), b64("a\0b\0c\0d")],
    ids=[
        "not Base64",
        "padding missing",
        "padding first",
        "padding inside",
        "no NUL",
        "one NUL",
        "empty",
        "three NULs",
    ],
)
def test_a_malformed_plain_response_is_501(site: Site, response: str) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        assert smtp.say(f"AUTH PLAIN {response}").code == 501
        assert smtp.say("NOOP").code == 250


@pytest.mark.parametrize(
    "words", [["AUTH LOGIN", "%%%"], ["AUTH LOGIN", b64("alice"), "%%%"]], ids=["name", "password"]
)
def test_a_malformed_login_response_is_501(site: Site, words: list[str]) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        assert [smtp.say(word).code for word in words][-1] == 501


@pytest.mark.parametrize(
    "words",
    [["AUTH PLAIN", "*"], ["AUTH LOGIN", "*"], ["AUTH LOGIN", b64("alice"), "*"]],
    ids=["PLAIN", "LOGIN at the name", "LOGIN at the password"],
)
def test_a_star_cancels_with_501_and_the_session_goes_on(encrypted: Smtp, words: list[str]) -> None:
    encrypted.ehlo()
    assert [encrypted.say(word).code for word in words][-1] == 501
    assert encrypted.say("NOOP").code == 250


def test_after_a_cancelled_exchange_nobody_is_logged_in(encrypted: Smtp, alice: Person) -> None:
    encrypted.ehlo()
    encrypted.say("AUTH LOGIN")
    encrypted.say(b64(alice.login))
    assert encrypted.say("*").code == 501
    assert not may_relay(encrypted)


def test_a_second_auth_is_503(encrypted: Smtp, alice: Person, bob: Person) -> None:
    encrypted.log_in(alice)
    assert encrypted.say(f"AUTH PLAIN {plain(bob.login, bob.password)}").code == 503


def test_auth_inside_a_transaction_is_503(site: Site, alice: Person) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        assert smtp.mail(STRANGER).code == 250
        assert smtp.say(f"AUTH PLAIN {plain(alice.login, alice.password)}").code == 503


def test_auth_before_the_greeting_is_503(encrypted: Smtp, alice: Person) -> None:
    assert encrypted.say(f"AUTH PLAIN {plain(alice.login, alice.password)}").code == 503


def test_a_response_longer_than_any_password_is_refused_and_the_next_session_works(site: Site) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.ehlo()
        with contextlib.suppress(EOFError, OSError):
            assert smtp.say(f"AUTH PLAIN {'QUFB' * 10_000}").refused
    with Smtp.through(site, "smtps") as smtp:
        assert smtp.ehlo()


def test_before_auth_mail_for_elsewhere_is_refused(encrypted: Smtp) -> None:
    encrypted.ehlo()
    assert not may_relay(encrypted)


def test_after_auth_mail_for_elsewhere_is_accepted(encrypted: Smtp, alice: Person) -> None:
    encrypted.log_in(alice)
    assert may_relay(encrypted)


def test_after_auth_by_login_mail_for_elsewhere_is_accepted(site: Site, alice: Person) -> None:
    with Smtp.through(site, "starttls") as smtp:
        smtp.ehlo()
        for word in ("AUTH LOGIN", b64(alice.login), b64(alice.password)):
            reply = smtp.say(word)
        assert reply.code == 235
        assert may_relay(smtp, alice.address)


@pytest.mark.parametrize("command", ["RSET", f"EHLO {CLIENT}", f"HELO {CLIENT}"], ids=["RSET", "EHLO", "HELO"])
def test_being_logged_in_and_relaying_stay_together_or_go_together(
    encrypted: Smtp, alice: Person, command: str
) -> None:
    encrypted.log_in(alice)
    assert encrypted.say(command).code == 250
    relays = may_relay(encrypted)
    logged_in = encrypted.say(f"AUTH PLAIN {plain(alice.login, alice.password)}").code == 503
    assert relays == logged_in


def test_the_login_of_one_session_is_not_the_next_ones(site: Site, door: str, alice: Person) -> None:
    with Smtp.through(site, door) as smtp:
        smtp.log_in(alice)
        with Smtp.through(site, door) as other:
            other.ehlo()
            assert not may_relay(other)


@pytest.mark.parametrize("recipient", ["somebody%example.net@example.com", "example.net!somebody@example.com"])
def test_a_logged_in_user_may_write_to_any_form_of_address_elsewhere(site: Site, alice: Person, recipient: str) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.log_in(alice)
        assert smtp.mail(alice.address, recipient).code == 250


def test_a_logged_in_user_is_told_as_well_that_a_mailbox_does_not_exist(site: Site, alice: Person, marker: str) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.log_in(alice)
        assert smtp.mail(alice.address, f"{marker}@{site.domain}").code == 550


def test_the_auth_parameter_of_mail_is_understood(site: Site, alice: Person) -> None:
    with Smtp.through(site, "smtps") as smtp:
        smtp.log_in(alice)
        assert smtp.say(f"MAIL FROM:<{alice.address}> AUTH=<>").code == 250


@pytest.mark.taxing
@pytest.mark.parametrize("attempt", [f"smtps: {name}" for name in list(LOGINS)[1:]])
def test_this_login_is_refused(refusal: Callable[[str], list[str]], attempt: str) -> None:
    """Refused with 535, or 501 where the name is no possible name."""
    assert refusal(attempt)[0][:3] in ("535", "501")


@pytest.mark.parametrize(
    "attempt", [f"{door}: {name}" for door in DOORS for name in ("a wrong password", "an unknown user")]
)
def test_a_wrong_login_is_535_by_every_door(site: Site, refusal: Callable[[str], list[str]], attempt: str) -> None:
    if not site.has(attempt.split(":")[0]):
        pytest.skip(f"this site has no {attempt.split(':')[0]}")
    assert refusal(attempt)[0].startswith("535 ")


@pytest.mark.parametrize("attempt", ["smtps: a wrong password by AUTH LOGIN"])
def test_a_wrong_password_by_auth_login_is_535(refusal: Callable[[str], list[str]], attempt: str) -> None:
    assert [answer[:3] for answer in refusal(attempt)] == ["334", "334", "535"]


@pytest.mark.taxing
@pytest.mark.parametrize("attempt", ["smtps: a line feed in the name"])
def test_a_name_with_a_line_feed_is_refused(refusal: Callable[[str], list[str]], attempt: str) -> None:
    assert refusal(attempt)[0][:3] in ("535", "501")


@pytest.mark.parametrize("attempt", ["smtps: an unknown user"])
def test_an_unknown_user_gets_the_answer_of_a_wrong_password(refusal: Callable[[str], list[str]], attempt: str) -> None:
    """Nobody learns from the text which names exist; the answer of a wrong password comes from the same attempts."""
    assert refusal(attempt) == refusal("smtps: a wrong password")


@pytest.mark.parametrize("attempt", ["smtps: a wrong password, then mail"])
def test_a_failed_login_gives_no_right_to_relay(refusal: Callable[[str], list[str]], attempt: str) -> None:
    assert refusal(attempt)[3].startswith("5")


@pytest.mark.parametrize("attempt", ["smtps: a wrong password, then mail"])
def test_after_a_failed_login_mail_for_this_site_is_taken_as_before(
    refusal: Callable[[str], list[str]], attempt: str
) -> None:
    assert [answer[:3] for answer in refusal(attempt)[:3]] == ["535", "250", "250"]


@pytest.mark.parametrize("attempt", ["smtps: a wrong password, then mail"])
def test_after_a_failed_login_the_right_password_opens(refusal: Callable[[str], list[str]], attempt: str) -> None:
    assert [answer[:3] for answer in refusal(attempt)[5:]] == ["235", "250", "250"]


@pytest.mark.taxing
@pytest.mark.parametrize("attempt", ["smtps: wrong passwords again and again"])
def test_a_session_of_wrong_passwords_is_ended(refusal: Callable[[str], list[str]], attempt: str) -> None:
    answers = refusal(attempt)
    assert len(answers) < MOST_FAILURES
    assert all(answer[:3] in ("535", "421", "clo") for answer in answers)
