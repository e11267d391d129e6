"""Each role's argument_specs describe its variables: all of them, and with the defaults that they have."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from sitelab.paths import ROOT

ROLES = sorted(path for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {}


def options(role: Path) -> dict[str, dict[str, Any]]:
    specs = load(role / "meta" / "argument_specs.yml")["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}


def is_computed(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


@pytest.fixture(params=ROLES, ids=lambda role: role.name)
def role(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_variable_with_a_default_is_described(role: Path) -> None:
    assert sorted(load(role / "defaults" / "main.yml").keys() - options(role).keys()) == []


def test_what_is_described_has_a_default_or_is_required(role: Path) -> None:
    optional = {name for name, option in options(role).items() if not option.get("required")}
    assert sorted(optional - load(role / "defaults" / "main.yml").keys()) == []


def test_the_described_default_is_the_default(role: Path) -> None:
    defaults = load(role / "defaults" / "main.yml")
    for name, option in options(role).items():
        if name in defaults and not is_computed(defaults[name]):
            assert option.get("default") == defaults[name], name


def test_every_description_is_there(role: Path) -> None:
    assert [name for name, option in options(role).items() if not option.get("description")] == []


def test_public_variables_carry_the_roles_name(role: Path) -> None:
    # The site's are those of no single part; only where spamd and spamc are from is called after one.
    begins = (
        "mail_", "spam_", "spamd_", "dkim_", "dmarc_", "verify_", "replace_mta", "tls_front", "outgoing_", "mta_sts_",
        "resolver", "spamassassin_from",
    )  # fmt: skip
    wanted = begins if role.name == "site" else (f"{role.name}_",)
    assert [name for name in options(role) if not name.startswith(wanted)] == []


def test_each_variable_has_one_place() -> None:
    named = Counter(name for role in ROLES for name in options(role))
    assert [name for name, places in named.items() if places > 1] == []


def test_every_role_has_the_sites_variables(role: Path) -> None:
    needs = [dependency["role"] for dependency in load(role / "meta" / "main.yml")["dependencies"]]
    assert needs == ([] if role.name == "site" else ["site"])


def test_no_default_is_a_second_name_of_a_site_variable(role: Path) -> None:
    site = options(ROOT / "roles" / "site")
    # Both mean more than what they are by default: a client without the filter, relays that are no clients.
    meant = ["spamassassin_client", "spamassassin_trusted_networks"]
    defaults = load(role / "defaults" / "main.yml")
    names = [name for name, value in defaults.items() if isinstance(value, str) and value.strip("{ }") in site]
    assert [name for name in names if name not in meant] == []
