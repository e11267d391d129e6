"""Each role's argument_specs describe its variables: all of them, and with the defaults that they have."""

from __future__ import annotations

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
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []
