"""A variable of another kind than its spec says, or of no spec, gets its sentence before the first role begins."""

from datetime import date
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st
from sitelab.paths import ROOT

from filter_plugins.said_faults import role_options, said_faults, unknown_variables
from filter_plugins.site_faults import site_faults

ROLES = str(ROOT / "roles")
OPTIONS = role_options(ROLES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("certs_warn_days", 14),
        ("certs_warn_days", "14"),
        ("certs_acme_challenge", "dns"),
        ("services_submission", True),
        ("services_door_rules", ["192.0.2.:deny"]),
        ("services_pop3_until", date(2030, 1, 1)),
        ("qmail_control", {"concurrencyremote": 100}),
        ("spam_threshold", 5),
        ("spam_threshold", "4.5"),
        ("spam_when_down", "accept"),
        ("qmail_features", ["auth", "filters"]),
        ("of_nobody", "anything"),
    ],
)
def test_what_a_role_takes_is_no_fault(name: str, value: object) -> None:
    assert said_faults({name: value}, OPTIONS) == {}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("services_smtp_concurrency", "many", '"many" is not a whole number'),
        ("services_smtp_concurrency", None, "is empty; leave it out to have its default"),
        ("services_smtp_concurrency", float("inf"), '"inf" is not a whole number'),
        ("services_stop_wait", 2.5, '"2.5" is not a whole number'),
        ("mail_message_size", "50M", '"50M" is not a whole number'),
        ("mail_message_size", True, '"True" is not a whole number'),
        ("mail_message_size", "9" * 5000, '"99999'),
        ("spam_threshold", "five", '"five" is not a number'),
        # A text that is not empty counts as true, whatever it says.
        ("services_submission", "no", '"no" is not true or false but a text; on the command line: -e \'{"servic'),
        ("spam_filter", 0, '"0" is not true or false'),
        ("spam_filter", "false", '"false" is not true or false but a text; on the command line: -e \'{"spam_filter": '),
        ("certs_acme_challenge", "foo\n", '"foo?" is none of standalone, webroot, dns'),
        ("spam_when_down", "reject", '"reject" is none of defer, accept'),
        ("outgoing_ipv6", True, '"True" is none of auto, always, never; yes, no, on and off are no texts without'),
        ("spamassassin_from", "cpan", '"cpan" is none of packages, distfile'),
        ("qmail_features", ["auth", "spf"], '"spf" is none of auth, authfilters, filters, starttls'),
        ("qmail_control", "x", "is not a mapping; give one as {"),
        ("mail_domains", "example.org,example.net", "is not a list; give one as ["),
        ("mail_users", {"name": "x"}, "is not a list"),
        ("mail_fqdn", None, "is empty; leave it out"),
        ("mail_fqdn", ["mail.example.org"], "is not a text"),
        ("certs_warn_days", [1], "is not a whole number"),
    ],
)
def test_what_a_role_would_refuse_is_named(name: str, value: object, sentence: str) -> None:
    faults = said_faults({name: value, "certs_source": "acme"}, OPTIONS)
    assert list(faults) == [name]
    assert faults[name].startswith(f"{name}: {sentence}")


def test_what_should_be_a_list_may_be_a_secret() -> None:
    assert "hunter2" not in said_faults({"mail_users": "hunter2"}, OPTIONS)["mail_users"]


def test_it_wants_a_mapping() -> None:
    wrong: Any = ["a"]
    with pytest.raises(AnsibleFilterError):
        said_faults(wrong, OPTIONS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["name", "password_hash", "aliases", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(role_options(ROLES, "site"))), json_values))
def test_whatever_the_variables_hold_there_is_an_answer(variables: dict[str, Any]) -> None:
    kinds = said_faults(variables, OPTIONS)
    meant = site_faults({name: value for name, value in variables.items() if name not in kinds})
    assert all(isinstance(fault, str) and "\n" not in fault for fault in [*kinds.values(), *meant])


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("spam_treshold", "spam_threshold"),
        ("mail_deni", "mail_deny"),
        ("services_pop3s_concurency", "services_pop3s_concurrency"),
        ("ucspi_tcp_cx", "ucspi_tcp_cc"),
        ("spamd_host", "spamd_hosts"),
        ("replace_mtas", "replace_mta"),
        # A name that begins with another part's.
        ("services_deny", "mail_deny"),
        ("qmail_fqdn", "mail_fqdn"),
        ("helpers_spam_zap", "spam_zap"),
        ("users_postmaster", "mail_postmaster"),
    ],
)
def test_a_variable_that_there_is_not_is_told_with_the_nearest(name: str, meant: str) -> None:
    (fault,) = unknown_variables([name, "mail_domains"], ROLES, [])
    assert fault.startswith(f"{name}: no such variable; did you mean {meant}? ")


def test_what_is_near_to_nothing_says_where_to_look() -> None:
    (fault,) = unknown_variables(["mail_of_the_tower"], ROLES, ["services_web"])
    assert fault.startswith("mail_of_the_tower: no such variable; docs/variables.md has those that there are. ")
    assert fault.endswith("belongs into preflight_foreign_variables")


def test_what_is_for_something_else_is_none_of_ours() -> None:
    names = ["ansible_host", "mailman_lists", "spamhaus", "building", "scenario_root", "replace_disk", "build_result"]
    assert unknown_variables([*OPTIONS, *names, "services_web"], ROLES, ["services_web"]) == []


class Alone:
    """Something that nobody may compare with its like."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")


def test_what_may_be_anything_is_not_compared_with_itself_which_would_take_the_square_of_many_users() -> None:
    assert said_faults({"mail_users": [Alone(), Alone()]}, {"mail_users": {"type": "list"}}) == {}
