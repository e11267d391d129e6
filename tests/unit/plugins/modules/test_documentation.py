"""What the modules' documentation says is what they take."""

from __future__ import annotations

from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
import yaml

from library import (
    build_prefix,
    declared_files,
    distfile,
    git_source,
    host_accounts,
    host_certificates,
    host_command,
    host_files,
    mail_passwords,
    mailboxes,
    resident,
    root_paths,
    source_build,
    tls_served,
)

MODULES = [
    build_prefix,
    declared_files,
    distfile,
    git_source,
    host_accounts,
    host_certificates,
    host_command,
    host_files,
    mail_passwords,
    mailboxes,
    resident,
    root_paths,
    source_build,
    tls_served,
]


class Seen(Exception):  # noqa: N818 - not an error
    """Carries the argument_spec out of a module's main()."""


def argument_spec(module: ModuleType) -> dict[str, Any]:
    def take(*, argument_spec: dict[str, Any], **_: Any) -> None:
        raise Seen(argument_spec)

    with patch.object(module, "AnsibleModule", take), pytest.raises(Seen) as caught:
        module.main()
    spec: dict[str, Any] = caught.value.args[0]
    return spec


def facts(options: dict[str, Any], sub: str) -> dict[str, Any]:
    """Of each option what both sides state."""
    keys = ("type", "required", "default", "choices", "elements")
    return {
        name: {key: option[key] for key in keys if option.get(key) not in (None, False)}
        | ({"sub": facts(option[sub], sub)} if sub in option else {})
        for name, option in options.items()
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_documented_options_are_the_accepted_ones(module: ModuleType) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert facts(documented, "suboptions") == facts(argument_spec(module), "options")


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_no_secret_is_inside_another_argument(module: ModuleType) -> None:
    """Of one that is, Ansible's log of a module's arguments has the words, if they are more than one line."""
    for name, option in argument_spec(module).items():
        inside = [key for key, sub in option.get("options", {}).items() if sub.get("no_log")]
        assert not inside or option.get("no_log"), f"{name}: {inside}"


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_and_return_values_are_yaml(module: ModuleType) -> None:
    (name,) = {next(iter(set(task) - {"name", "register"})) for task in yaml.safe_load(module.EXAMPLES)}
    assert module.__name__.endswith(name)
    assert all(value["description"] for value in yaml.safe_load(module.RETURN).values())
