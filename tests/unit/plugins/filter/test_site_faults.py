"""Each fault of a site's variables gets its sentence, and nothing else does."""

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.site_faults import host_name_fault, site_faults

HASH = "$y$j9T$w3gttR/HLUrfBDxCdlHEe1$x8HN5rCKLvBljkvx5T0XUuLM7AVbGBaAOG4gwAm8Rk9"


def site(**changes: Any) -> dict[str, Any]:
    """Give a site without a fault, changed."""
    good = {
        "mail_fqdn": "mail.example.org",
        "mail_domains": ["example.org", "xn--bcher-kva.example"],
        "mail_users": [
            {"name": "alice", "password_hash": HASH, "aliases": ["info", "a.b+c"]},
            {"name": "bob", "password_hash": "$6$salt$" + "x" * 86},
        ],
        "mail_relay_networks": ["127.0.0.0/8", "::1/128", "192.0.2.7"],
        "mail_postmaster": "alice",
        "mail_offices": ["postmaster", "mailer-daemon"],
        "mail_message_size": 52428800,
        "mail_greet_delay": 30,
        "mail_password_database": "/etc/qmail-shadow",
        "mail_distfile_sites": ["https://mirror.example.org/distfiles/", "/srv/distfiles"],
        "replace_mta": False,
        "spam_filter": True,
        "spam_threshold": 5.0,
        "spam_zap": 2,
        "spam_subject_prefix": "[SPAM] ",
        "spam_when_down": "defer",
        "spam_time_limit": 60,
        "spam_size": 512000,
        "spam_scans": 4,
        "spam_client_scans": 1,
        "spamassassin_from": "packages",
        "dmarc_forwarders": ["192.0.2.0/24", "2001:db8::/32", "relay.example.org", "lists.example"],
        "dns_update": {"server": "192.0.2.53", "zones": ["example.org"], "key": "k", "secret": "c2VjcmV0" * 4},
        "dns_ttl": "300",
        "dns_spf_more": ["include:_spf.example.net", "ip4:192.0.2.0/28"],
        "mta_sts_directory": "",
        "certs_key_days": 0,
        "spamd_hosts": ["spamd1", "spamd2.example.org", "192.0.2.9", "2001:db8::9"],
    }
    return good | changes


def users(**changes: Any) -> dict[str, Any]:
    """Give a site whose first user is changed."""
    return site(
        mail_users=[{"name": "alice", "password_hash": HASH} | changes], mail_postmaster=changes.get("name", "alice")
    )


def test_a_good_site_has_no_fault() -> None:
    assert site_faults(site()) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"mail_fqdn": "mail"},
            'mail_fqdn: "mail" is not a full host name (it has no dot, so no other host can find it)',
        ),
        ({"mail_fqdn": "localhost.localdomain"}, 'mail_fqdn: "localhost.localdomain" is every host\'s name'),
        ({"mail_domains": []}, "mail_domains: is empty; name at least one domain"),
        (
            {"mail_domains": ["example.org", "exmaple..org"]},
            'mail_domains[1]: "exmaple..org" is not a host name (empty label)',
        ),
        ({"mail_domains": ["a_b.org"]}, 'mail_domains[0]: "a_b.org" is not a host name ("_" can\'t be part of one)'),
        ({"mail_domains": ["bücher.example"]}, "write an international name in its xn-- form"),
        ({"mail_domains": ["example.org."]}, "(it ends in a dot)"),
        ({"mail_domains": ["-a.org"]}, 'the label "-a" begins or ends with a hyphen'),
        ({"mail_domains": ["x" * 64 + ".org"]}, "has 64 characters; 63 is the most"),
        ({"mail_domains": [".".join(["abcdefghi"] * 26)]}, "259 characters; 253 is the most"),
        ({"mail_domains": ["192.0.2.1"]}, "it ends in a number, as an address does"),
        ({"mail_domains": ["example.org", "EXAMPLE.org"]}, '"EXAMPLE.org" is already mail_domains[0]'),
        ({"mail_domains": [3]}, "mail_domains[0]: is a number, not a host name"),
        ({"mail_domains": ["a\nb.org"]}, '"a\\x0ab.org" is not a host name'),
        ({"mail_users": []}, "mail_users: is empty; name at least one user"),
        ({"mail_users": ["alice"]}, "mail_users[0]: is a string, not a mapping with name and password_hash"),
        ({"mail_relay_networks": ["10.0.0.1/8"]}, "has bits set behind its prefix; the network is 10.0.0.0/8"),
        ({"mail_relay_networks": ["0.0.0.0/0"]}, '"0.0.0.0/0" is so wide that this host would relay for strangers'),
        ({"mail_relay_networks": ["::/0"]}, "would relay for strangers"),
        ({"mail_relay_networks": ["office"]}, '"office" is not a network such as 192.0.2.0/24'),
        ({"mail_relay_networks": ["10.0.0.0/33"]}, '"10.0.0.0/33" is not a network such as'),
        ({"mail_relay_networks": [["::1"]]}, "mail_relay_networks[0]: is a list, not a network"),
        ({"mail_deny": ["10.0.0.1/8"]}, 'mail_deny[0]: "10.0.0.1/8" has bits set behind its prefix'),
        ({"mail_deny": ["0.0.0.0/1"]}, "so wide that hardly anybody could come in any more"),
        ({"checkpassword_failures_except": ["::/1"]}, "so wide that guesses would hardly be counted"),
        ({"checkpassword_failures_except": ["192.0.2.1"] * 65}, "has 65 networks; 64 is the most"),
        (
            {"checkpassword_failures_per_account": -1},
            "is not a number of failures from 1 to 1000000, or 0 for no limit",
        ),
        (
            {"services_connections_per_address": 100001},
            "is not a number of sessions from 1 to 100000, or 0 for no limit",
        ),
        ({"services_handshake_timeout": 0}, "is not a number of seconds from 1 to 3600"),
        ({"mail_postmaster": "carol"}, 'mail_postmaster: "carol" is not the name of one of mail_users (alice, bob)'),
        ({"mail_offices": ["post master"]}, 'mail_offices[0]: "post master" is not a local part, such as postmaster'),
        (
            {"mail_message_size": 1000},
            'mail_message_size: "1000" is not a number of bytes from 65536 to 4294967295, or 0 for no limit',
        ),
        ({"mail_greet_delay": 31}, 'mail_greet_delay: "31" is not a number of seconds from 1 to 30'),
        ({"mail_password_database": "qmail-shadow"}, '"qmail-shadow" is not the absolute path of a file'),
        ({"mail_password_database": "/etc/../qmail"}, '"/etc/../qmail" is not the absolute path of a file'),
        (
            {"mail_distfile_sites": ["/srv", "https://mirror.example.org/distfiles"]},
            'mail_distfile_sites[1]: "https://mirror.example.org/distfiles" is neither an https:// URL that ends in /',
        ),
        ({"spam_threshold": float("nan")}, 'spam_threshold: "nan" is not a number of points'),
        ({"spam_zap": -1}, 'spam_zap: "-1" is not a number of points from 0 to 999'),
        ({"spam_subject_prefix": "a\nb"}, 'spam_subject_prefix: "a\\x0ab" can\'t stand in a Subject'),
        ({"spam_time_limit": 0}, 'spam_time_limit: "0" is not a number of seconds from 1 to 3600'),
        ({"spam_time_limit": 3601}, 'spam_time_limit: "3601" is not a number of seconds from 1 to 3600'),
        ({"spam_size": 268435457}, 'spam_size: "268435457" is not a number of bytes from 1 to 268435456'),
        ({"dns_ttl": "5"}, "dns_ttl: 5 is not a number of seconds from 30"),
        ({"dns_mx": ["mail"]}, "dns_mx[0]: mail is no host name"),
        ({"dns_spf_more": ["include"]}, "dns_spf_more[0]"),
        ({"dns_update": {"server": "ns1"}}, "dns_update: server: ns1 is not the address"),
        ({"dns_update": {"secret": "hunter2hunter2"}}, "dns_update: secret: is not one in base64 of 16 bytes"),
        ({"mta_sts_directory": "www"}, 'mta_sts_directory: "www" is not the absolute path'),
        ({"mta_sts_max_age": 1}, "mta_sts_max_age: 1 is not a number of seconds from 3600"),
        ({"resolver_cache_mib": 1}, 'resolver_cache_mib: "1" is not a number of MiB'),
        ({"certs_key_days": -1}, 'certs_key_days: "-1" is not a number of days'),
        ({"spam_scans": 0}, 'spam_scans: "0" is not a number of scans from 1 to 256'),
        ({"spam_client_scans": 257}, 'spam_client_scans: "257" is not a number of scans from 1 to 256'),
        (
            {"dmarc_forwarders": ["a b"]},
            'dmarc_forwarders[0]: "a b" is neither a network, nor a host name, nor a domain',
        ),
        ({"dmarc_forwarders": ["0.0.0.0/0"]}, 'dmarc_forwarders[0]: "0.0.0.0/0" is neither'),
        ({"dmarc_forwarders": ["192.0.2.1/24"]}, 'dmarc_forwarders[0]: "192.0.2.1/24" is neither'),
        ({"spamd_hosts": ["a b"]}, 'spamd_hosts[0]: "a b" is neither a host name nor an address'),
    ],
)
def test_a_fault_of_the_site_gets_its_sentence(changes: dict[str, Any], sentence: str) -> None:
    faults = site_faults(site(**changes))
    assert any(sentence in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"password_hash": None}, "mail_users[0] (alice): has no password_hash; make one with `mkpasswd"),
        ({"password_hash": "secret"}, "is not a hash of crypt(5) (a clear password, or a cut line?)"),
        ({"password_hash": HASH[:-1]}, "is not a hash of crypt(5)"),
        ({"password_hash": HASH + "\nx"}, "is not a hash of crypt(5)"),
        ({"password_hash": "!secret"}, "is not a hash of crypt(5)"),
        ({"password_hash": ""}, 'or say "*" for a user who shall not log in'),
        ({"password_hash": HASH + ":x"}, "is not a hash of crypt(5)"),
        ({"password_hash": "$1$salt$qJH7.N4xYta3aEG/dfqo/0"}, "is of a method that is too weak to keep"),
        ({"password_hash": "rqXexS6ZhobKA"}, "is of a method that is too weak to keep"),
        ({"password_hash": 12}, "password_hash is a number, not a string"),
        (
            {"password": "long enough"},
            "mail_users[0] (alice): has a password and a password_hash; leave one of them out",
        ),
        ({"name": None}, "mail_users[0]: has no name"),
        ({"name": "Alice"}, '"Alice" is not a user name'),
        ({"name": "1alice"}, '"1alice" is not a user name'),
        ({"name": "a" * 33}, "has 33 characters; 32 is the most"),
        ({"name": "root"}, 'the name "root" belongs to the system'),
        ({"name": "alias"}, 'the name "alias" belongs to the system'),
        ({"alises": ["x"]}, '"alises" means nothing here; a user has name, mailbox, password_hash, password,'),
        ({"aliases": "info"}, "aliases: is a string, not a list"),
        ({"aliases": ["in fo"]}, 'the alias "in fo" is not a local part'),
        ({"aliases": ["info@example.com"]}, '"info@example.com": example.com is not one of mail_domains'),
        ({"aliases": ["in fo@example.org"]}, 'the alias "in fo@example.org": "in fo" is not a local part'),
        ({"aliases": ["../x"]}, 'the alias "../x" is not a local part'),
        ({"aliases": ["a..b"]}, 'the alias "a..b" is not a local part'),
        ({"aliases": ["info", "info"]}, 'the alias "info" is already that of mail_users[0]'),
        ({"aliases": ["alice"]}, 'the alias "alice" is already that of mail_users[0]'),
        ({"aliases": [None]}, "an alias is empty, not a local part"),
    ],
)
def test_a_fault_of_a_user_gets_its_sentence(changes: dict[str, Any], sentence: str) -> None:
    faults = site_faults(users(**changes))
    assert any(sentence in fault for fault in faults), faults


@pytest.mark.parametrize("value", [HASH + "\n", f" {HASH} \n", "*", "!", "!!", "*\n", "!" + HASH])
def test_a_hash_may_end_in_a_newline_or_fit_no_password(value: str) -> None:
    assert site_faults(users(password_hash=value)) == []


def a_password(value: object) -> list[str]:
    return site_faults(site(mail_users=[{"name": "alice-liddell", "password": value}], mail_postmaster="alice-liddell"))


@pytest.mark.parametrize("value", ["ei8htsym", "with a blank\n", "ü" * 100, "x" * 200])
def test_a_user_may_have_a_password_instead(value: str) -> None:
    assert a_password(value) == []


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (None, "password is empty, not a string; make one with"),
        (12345678, "password is a number, not a string"),
        ("", "password can be guessed, it has fewer than 8 characters"),
        ("seven77\n", "password can be guessed, it has fewer than 8 characters"),
        ("   blank   ", "password can be guessed"),
        ("alice-liddell", "password can be guessed, it has fewer than 8 characters or is the name"),
        ("two\nlines of it", "password has a control character"),
        ("ü" * 101, "password has more than 200 bytes"),
        (HASH, "password is what belongs into password_hash; rename it"),
        ("!" + HASH + "\n", "password is what belongs into password_hash"),
        ("*", "password is what belongs into password_hash"),
    ],
)
def test_a_fault_of_a_password_gets_its_sentence_without_it(value: object, sentence: str) -> None:
    (fault,) = a_password(value)
    assert fault.startswith("mail_users[0] (alice-liddell): ")
    assert sentence in fault
    assert len(str(value)) < 7 or str(value).strip() not in fault.removeprefix("mail_users[0] (alice-liddell)")


def test_numbers_may_come_from_the_command_line() -> None:
    assert site_faults(site(spam_threshold="4.5", spam_time_limit="30", mail_message_size="0")) == []


def test_all_faults_come_at_once() -> None:
    faults = site_faults(
        site(
            mail_fqdn="mail",
            mail_domains=["a..b"],
            mail_users=[{"name": "bob"}, {"name": "bob"}],
            mail_postmaster="bob",
            spam_zap=-1,
        )
    )
    assert [fault.split(":")[0] for fault in faults] == [
        "mail_fqdn",
        "mail_domains[0]",
        "mail_users[0] (bob)",
        "mail_users[1] (bob)",
        "mail_users[1] (bob)",
        "spam_zap",
    ]


def test_a_password_in_the_clear_is_never_repeated() -> None:
    assert "hunter2" not in " ".join(site_faults(users(**{"password_hash": "hunter2"})))


@pytest.mark.parametrize("method", ["$y$j9T$abc$", "$gy$j9T$abc$", "$7$CU..../....abcdefgh$", "$5$saltsalt$"])
def test_the_strong_methods_of_crypt_are_accepted(method: str) -> None:
    assert site_faults(users(password_hash=method + "x" * 43)) == []


@pytest.mark.parametrize("wrong", [None, [], "site", 3])
def test_the_input_is_a_mapping(wrong: object) -> None:
    with pytest.raises(AnsibleFilterError, match="wants a mapping"):
        site_faults(wrong)


@given(st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True), min_size=1, max_size=4))
def test_letters_digits_and_inner_hyphens_make_a_host_name(labels: list[str]) -> None:
    assert host_name_fault(".".join([*labels, "org"])) is None
