"""The filters about control files: what is declared works, or is refused in a sentence before anything is touched."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.control_files import control_faults, control_files, mailbox_extensions, valid_recipients

PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"
KEY = "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----\n"


def site(**changes: Any) -> dict[str, Any]:
    people = [{"name": "bert"}, {"name": "emil"}]
    return {
        "control": {},
        "virtualdomains": {},
        "more_recipients": [],
        "fqdn": "mail.example.test",
        "domains": ["example.test", "beta.test", "gamma.test"],
        "users": people,
        "passwd": "root:x:0:0::/root:\nlist:x:38:38::/var/list:\n",
        "own_tree": True,
        "checked": True,
    } | changes


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"control": {"tlsca.pem": PEM, "clientkey.pem": KEY, "concurrencyremote": 100, "databytes": "0"}},
        {"control": {"smtproutes": [":relay.example.net:587"], "smtproutes_auth": "relay.example.net:587 joe a b c\n"}},
        {"control": {"smtproutes_auth": ["[192.0.2.1]:587 joe x", "# a comment", "[IPv6:2001:db8::1] joe\tx"]}},
        {"control": {"morercpthosts": ["backup.test"], "doublebounceto": "", "badmailfrom": None, "percenthack": []}},
        {"control": {"badmailfrom": "a@b.test\n@c.test\n"}},
        {"control": {"nameservers": ["127.0.0.1", "::1", "[127.0.0.1]:5353", "[::1]:53", "[192.0.2.1]"]}},
        {"control": {"anything": "x"}, "own_tree": False},
        {"virtualdomains": {"gamma.test": "emil", "info@beta.test": "bert"}},
        {"virtualdomains": {"Gamma.test": "alias-lists", "info@beta.test": "bert-x", "joe@gamma.test": "list"}},
        {"virtualdomains": {"shop.test": "emil"}, "control": {"morercpthosts": "shop.test"}},
        {"virtualdomains": {".beta.test": "emil", "": "bert"}, "checked": False},
        {"more_recipients": ["a@example.test", "a-@example.test", "@example.test", "root@localhost"]},
    ],
)
def test_what_can_be_declared(changes: dict[str, Any]) -> None:
    assert control_faults(site(**changes)) == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"control": {"Me": "x"}}, 'qmail_control: "Me" is not the name of a control file'),
        ({"control": {"../x": "x"}}, 'qmail_control: "../x" is not the name of a control file'),
        ({"control": {"concurencyremote": 9}}, "is no control file of this suite; is concurrencyremote meant?"),
        ({"control": {"qqq": 9}}, "is no control file of this suite (docs/control-files.md has them all)"),
        ({"control": {"concurrencyremote": 501}}, 'concurrencyremote: "501" is not a number from 0 to 500'),
        ({"control": {"concurrencyremote": "-1"}}, 'concurrencyremote: "-1" is not a number'),
        ({"control": {"relayprobes": True}}, "has a boolean where a text or a number belongs"),
        ({"control": {"rcpthosts": [{"a": 1}]}}, "has a mapping where a text or a number belongs"),
        ({"control": {"rcpthosts": [None]}}, "has empty where a text or a number belongs"),
        ({"control": {"me": "a\nb"}}, "qmail_control.me: has several lines; the file has one"),
        ({"control": {"me": "a\0b"}}, "qmail_control.me: has a NUL"),
        ({"control": {"smtproutes": "relay.example.net"}}, '"relay.example.net" is not key:value'),
        ({"control": {"morercpthosts": ["a@b.test"]}}, '"a@b.test" is no domain'),
        ({"control": {"morercpthosts.cdb": "x"}}, "is compiled; declare morercpthosts instead"),
        ({"control": {"validrcptto": "x"}}, "say qmail_more_recipients"),
        ({"control": {"signsocket": "/run/x"}}, "say dkim_sign"),
        ({"control": {"servercert.pem": PEM}}, "say certs_source or mail_certificates"),
        ({"control": {"servercert.pem": None}}, "say certs_source or mail_certificates"),
        (
            {"control": {"nameservers": "localhost"}},
            'nameservers: "localhost" is neither an address nor [ADDRESS]:PORT',
        ),
        ({"control": {"nameservers": ["127.0.0.1:53"]}}, '"127.0.0.1:53" is neither an address nor [ADDRESS]:PORT'),
        ({"control": {"nameservers": ["[::1]:0"]}}, '"[::1]:0" is neither an address nor [ADDRESS]:PORT'),
        ({"control": {"outgoingipv6": "yes"}}, "say outgoing_ipv6"),
        ({"control": {"policysocket": "/x"}}, "say outgoing_mta_sts"),
        ({"control": {"virtualdomains": "a:b"}}, "say qmail_virtualdomains"),
        ({"control": {"tlsca.pem": "MIIB"}}, "is not whole PEM"),
        ({"control": {"tlsca.pem": PEM[:40]}}, "is not whole PEM"),
        ({"control": {"smtproutes_auth": "relay.example.net:587 joe"}}, "line 1 is not RELAY:PORT USER PASSWORD"),
        ({"control": {"smtproutes_auth": "relay.example.net:99999 joe x"}}, "line 1 is not RELAY:PORT USER PASSWORD"),
        ({"control": {"smtproutes_auth": "relay:587 joe " + "x" * 513}}, "line 1 is not RELAY:PORT USER PASSWORD"),
        (
            {"control": {"rcpthosts": [".b.test"]}},
            'qmail_control: ".b.test" accepts mail for every name below a domain',
        ),
        ({"virtualdomains": {"delta.test": "emil"}}, 'mail for delta.test is not accepted here; add "delta.test" to'),
        ({"virtualdomains": {"a..b": "emil"}}, '"a..b" is not a host name (empty label)'),
        ({"virtualdomains": {"@beta.test": "emil"}}, "what stands before the @ is not a local part"),
        ({"virtualdomains": {"beta.test": "frank"}}, '"frank" leads to no account'),
        ({"virtualdomains": {"beta.test": "emil:x"}}, '"emil:x" leads to no account'),
        ({"virtualdomains": {"beta.test": None}}, "is not a domain (or an address) and the name of its account"),
        ({"virtualdomains": {"x@mail.example.test": "emil"}}, "is this host's own name"),
        ({"virtualdomains": {".beta.test": "emil"}}, "the names below a domain can't be listed as recipients"),
        ({"more_recipients": ["info"]}, 'qmail_more_recipients[0]: "info" is not local@domain'),
        ({"more_recipients": ["info@"]}, 'qmail_more_recipients[0]: "info@" is not local@domain'),
    ],
)
def test_a_fault_gets_its_sentence(changes: dict[str, Any], sentence: str) -> None:
    faults = control_faults(site(**changes))
    assert any(sentence in fault for fault in faults), faults


def test_all_faults_at_once() -> None:
    faults = control_faults(site(control={"relayprobes": True, "mee": 1}, virtualdomains={"x.test": "y"}))
    assert len(faults) == 4


def test_a_secret_is_never_in_a_sentence() -> None:
    control = {"smtproutes_auth": ["relay hunter2", "relay:x joe hunter2"], "clientkey.pem": KEY[:45]}
    assert not [fault for fault in control_faults(site(control=control)) if "hunter2" in fault or "MHcC" in fault]


def test_something_else_than_a_mapping() -> None:
    with pytest.raises(AnsibleFilterError, match="wants a mapping"):
        control_faults([])


@given(st.dictionaries(st.text(max_size=9), st.recursive(st.none() | st.booleans() | st.text(), st.lists)))
def test_whatever_is_declared_gets_an_answer(control: dict[str, Any]) -> None:
    control_faults(site(control=control, virtualdomains=control, more_recipients=list(control)))


def test_files_are_split_by_who_may_read_them() -> None:
    control = {"me": "a", "rcpthosts": ["a", ["b"]], "smtproutes_auth": "r u p", "clientcert.pem": PEM + "\n" + KEY}
    answer = control_files(control | {"tlsca.pem": PEM, "notlshosts": None, "databytes": 0})
    assert answer["files"] == {"me": "a\n", "rcpthosts": "a\nb\n", "tlsca.pem": PEM + "\n", "databytes": "0\n"}
    assert answer["secrets"] == {"smtproutes_auth": "r u p\n", "clientcert.pem": PEM + "\n" + KEY}
    assert answer["absent"] == ["notlshosts"]


def recipients(**changes: Any) -> list[str]:
    control = {"locals": ["localhost", "example.test"], "rcpthosts": ["localhost", "example.test"]}
    declared = {"recipients": ["bert"], "virtualdomains": {}, "more_recipients": [], "control": control}
    return valid_recipients(declared | changes)


def test_a_virtual_address_is_just_that_address_and_a_virtual_domain_all_of_it() -> None:
    virtual = {"info@Beta.test": "bert", "gamma.test": "emil"}
    control = {"locals": ["example.test"], "rcpthosts": ["example.test", "beta.test", "gamma.test"]}
    found = recipients(virtualdomains=virtual, control=control)
    assert found == ["bert@example.test", "info@beta.test", "@gamma.test"]


def test_of_a_domain_that_is_only_accepted_those_who_are_named_or_else_all() -> None:
    control = {"locals": ["example.test"], "rcpthosts": ["example.test"], "morercpthosts": ["backup.test", "b.test"]}
    found = recipients(control=control, more_recipients=["anna@b.test"])
    assert found == ["bert@example.test", "anna@b.test", "@backup.test"]


def test_a_domain_of_ours_without_any_address_has_none() -> None:
    declared = {"local_parts": [], "recipients": {"lines": ["joe@b.test"], "domains": ["b.test", "c.test"]}}
    control = {"locals": ["localhost"], "rcpthosts": ["localhost", "b.test", "c.test", "backup.test"]}
    assert recipients(recipients=["*"], declared=declared, control=control) == ["joe@b.test", "@backup.test"]


def test_without_recipients_nothing_is_checked() -> None:
    assert recipients(recipients=[]) == []


def test_whose_mailbox_a_virtual_address_leads_to() -> None:
    virtual = {
        "info@beta.test": "bert",
        "a.b@beta.test": "bert",
        "gamma.test": "emil",
        "d.test": "emil-x",
        "e.test": "x",
    }
    assert mailbox_extensions(virtual, ["bert", "emil"]) == {"bert": ["info", "a:b"], "emil": ["default"]}
