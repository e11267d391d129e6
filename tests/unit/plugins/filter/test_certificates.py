"""certificates, certificate_names, certificate_faults: which certificate each service uses, and every fault at once."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import example, given
from hypothesis import strategies as st

from filter_plugins.certificates import (
    SERVICES,
    certificate_copies,
    certificate_faults,
    certificate_names,
    certificates,
)

OWN = {"name": "mail.example.test", "names": ["mail.example.test"], "source": "selfsigned"}
POP = {"name": "pop.example.test", "services": ["pop3s"]}
PLACES = {
    "acme": {"chain": "/live/{name}/fullchain.pem", "key": "/live/{name}/privkey.pem"},
    "selfsigned": {"chain": "/ca/{name}.pem", "key": "/ca/{name}.key"},
    "files": {"chain": "/certs/{name}.pem", "key": "/certs/{name}.key"},
}


def test_without_further_ones_the_hosts_own_serves_everything() -> None:
    (own,) = certificates([], OWN, PLACES)
    assert own == OWN | {
        "services": list(SERVICES), "chain": "/ca/mail.example.test.pem", "key": "/ca/mail.example.test.key",
    }  # fmt: skip


def test_a_further_one_takes_its_services_from_the_hosts_own() -> None:
    own, pop = certificates([POP], OWN, PLACES)
    assert own["services"] == ["smtp", "submission", "smtps"]
    assert (pop["names"], pop["services"], pop["source"]) == (["pop.example.test"], ["pop3s"], "selfsigned")
    assert pop["chain"] == "/ca/pop.example.test.pem"


def test_all_may_be_taken() -> None:
    own, _ = certificates([POP | {"services": list(SERVICES)}], OWN, PLACES)
    assert own["services"] == []


def test_files_from_the_controller_are_brought_to_their_place() -> None:
    own = OWN | {"source": "files", "chain": "a.pem", "key": "a.key", "on_host": False}
    assert certificate_copies([], own, PLACES) == [
        {"src": "a.pem", "dest": "/certs/mail.example.test.pem"},
        {"src": "a.key", "dest": "/certs/mail.example.test.key"},
    ]


def test_files_on_the_host_are_used_where_they_are() -> None:
    further = [POP | {"source": "files", "chain": "/c", "key": "/k", "on_host": True}]
    (_, pop) = certificates(further, OWN, PLACES)
    assert (pop["chain"], pop["key"]) == ("/c", "/k")
    assert certificate_copies(further, OWN, PLACES) == []


def test_the_sources_may_differ() -> None:
    own, pop = certificates([POP | {"source": "acme", "names": ["pop.example.test", "imap.example.test"]}], OWN, PLACES)
    assert (own["source"], pop["source"]) == ("selfsigned", "acme")
    assert pop["key"] == "/live/pop.example.test/privkey.pem"


def test_the_names_that_clients_meet() -> None:
    further = [POP, {"name": "b.example.test", "names": ["mx.example.test", "x.test"], "services": ["smtp", "smtps"]}]
    assert certificate_names(further) == {
        "pop3s": "pop.example.test",
        "smtp": "mx.example.test",
        "smtps": "mx.example.test",
    }


FAULTS: dict[str, tuple[Any, str]] = {
    "no list": ({"name": "x"}, 'mail_certificates: "{\'name\': \'x\'}" is not a list'),
    "no mapping": (["pop.example.test"], 'mail_certificates[0]: "pop.example.test" is not a mapping with name and'),
    "no name": ([{"services": ["pop3s"]}], 'mail_certificates[0].name: "" is not a host name in small letters'),
    "a path": ([POP | {"name": "../etc/x.test"}], '[0].name: "../etc/x.test" is not a host name'),
    "a link's name": ([POP | {"name": "stunnel"}], '[0].name: "stunnel" is not a host name'),
    "capitals": ([POP | {"name": "POP.example.test"}], '"POP.example.test" is not a host name in small letters'),
    "an option": ([POP | {"name": "-x.example.test"}], '[0].name: "-x.example.test" is not a host name'),
    "a line": ([POP | {"name": "a.test\nb"}], '[0].name: "a.test\\x0ab" is not a host name'),
    "the host's name": ([POP | {"name": OWN["name"]}], 'is the name of the host\'s own already, and of its bundle'),
    "a name twice": (
        [POP, POP | {"services": ["smtps"]}],
        '[1].name: "pop.example.test" is the name of mail_certificates[0] already, and of its bundle',
    ),
    "no names": ([POP | {"names": []}], "mail_certificates[0].names: is empty; a certificate is for at least one"),
    "names that are none": ([POP | {"names": "pop.example.test"}], '.names: "pop.example.test" is not a list'),
    "an empty label": ([POP | {"names": ["a..b"]}], '[0].names[0]: "a..b" is neither a host name nor an address'),
    "blanks": ([POP | {"names": ["a b.test"]}], '[0].names[0]: "a b.test" is neither'),
    "a name twice in one": ([POP | {"names": ["a.test", "a.test"]}], '[0].names[1]: "a.test" is there already'),
    "no services": ([{"name": "pop.example.test"}], "[0].services: says no list of what uses it, of smtp, submission"),
    "an unknown service": ([POP | {"services": ["imaps"]}], '[0].services: "imaps" is none of smtp, submission, smtps'),
    "a service twice": (
        [POP, {"name": "b.example.test", "services": ["pop3s"]}],
        "[1].services: pop3s has the certificate pop.example.test already; it can serve one",
    ),
    "a service twice in one": ([POP | {"services": ["pop3s", "pop3s"]}], "pop3s has the certificate pop.example.test"),
    "an unknown source": ([POP | {"source": "snakeoil"}], '[0].source: "snakeoil" is none of acme, selfsigned, files'),
    "files without a key": (
        [POP | {"source": "files", "chain": "x.pem"}],
        "mail_certificates[0].key: the source files needs the path of a PEM file on the controller",
    ),
    "files on the host without a chain": (
        [POP | {"source": "files", "key": "/x", "on_host": True}],
        "mail_certificates[0].chain: the source files needs the path of a PEM file on the host",
    ),
    "a word that means nothing": ([POP | {"domains": []}], '[0]: "domains" means nothing here; a certificate has name'),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault: str) -> None:
    further, sentence = FAULTS[fault]
    (found,) = certificate_faults(further, OWN)
    assert sentence in found
    assert found.isprintable()


def test_all_faults_are_told_at_once() -> None:
    further = [{"name": "x", "services": ["imaps"], "names": []}, {"name": OWN["name"], "services": ["smtp", "smtp"]}]
    own = OWN | {"names": [], "source": "files"}
    assert len(certificate_faults(further, own)) == 12
    with pytest.raises(AnsibleFilterError, match=r"imaps.*the host's own"):
        certificates(further, own, PLACES)


def test_of_the_hosts_own_only_what_is_given_is_judged() -> None:
    assert certificate_faults([POP], {"name": "mail.example.test", "source": "files"}) == [
        "mail_certificates[0].chain: the source files needs the path of a PEM file on the controller",
        "mail_certificates[0].key: the source files needs the path of a PEM file on the controller",
    ]


@pytest.mark.parametrize(
    "name", ["*.example.test", "192.0.2.1", "2001:db8::1", "bücher.example.test", "MX.example.test"]
)
def test_names_that_a_certificate_may_have(name: str) -> None:
    assert certificate_faults([POP | {"names": [name]}], OWN) == []


words = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20), st.sampled_from([*SERVICES, "a.test"]))
entries = st.dictionaries(st.sampled_from(["name", "names", "services", "source", "x"]), words | st.lists(words))


@given(st.lists(entries | words, max_size=4) | words)
@example([{"name": "\x1f", "services": ["smtp", "smtp"]}])
def test_whatever_the_list_holds_there_is_an_answer(further: Any) -> None:
    faults = certificate_faults(further, OWN)
    assert all(fault.isprintable() for fault in faults)
    if not faults:
        every = certificates(further, OWN, PLACES)
        assert sorted(service for each in every for service in each["services"]) == sorted(SERVICES)
