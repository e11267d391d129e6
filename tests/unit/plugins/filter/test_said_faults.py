"""A variable of any role that is of another kind than its spec says gets its sentence before the first role begins."""

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from sitelab.paths import ROOT

from filter_plugins.said_faults import role_options, said_faults

OPTIONS = role_options(str(ROOT / "roles"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("certs_warn_days", 14),
        ("certs_warn_days", "14"),
        ("certs_acme_challenge", "dns"),
        ("services_submission", True),
        ("services_submission", "yes"),
        ("services_door_rules", ["192.0.2.:deny"]),
        ("qmail_control", {"concurrencyremote": 100}),
        ("services_smtp_concurrency", None),
        ("of_nobody", "anything"),
    ],
)
def test_what_a_role_takes_is_no_fault(name: str, value: object) -> None:
    assert said_faults({name: value}, OPTIONS) == {}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("services_smtp_concurrency", "many", '"many" is not a whole number'),
        ("services_stop_wait", 2.5, '"2.5" is not a whole number'),
        ("services_submission", "maybe", '"maybe" is not true or false'),
        ("certs_acme_challenge", "foo\n", '"foo?" is none of standalone, webroot, dns'),
        ("qmail_control", "x", '"x" is not a mapping'),
        ("certs_warn_days", [1], "argument 'certs_warn_days' is of type"),
    ],
)
def test_what_a_role_would_refuse_is_named(name: str, value: object, sentence: str) -> None:
    faults = said_faults({name: value, "certs_source": "acme"}, OPTIONS)
    assert list(faults) == [name]
    assert faults[name].startswith(f"{name}: {sentence}")


def test_it_wants_a_mapping() -> None:
    wrong: Any = ["a"]
    with pytest.raises(AnsibleFilterError):
        said_faults(wrong, OPTIONS)
