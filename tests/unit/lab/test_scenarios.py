"""What Molecule would pass over in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=sorted(ROOT.glob("molecule/*/molecule.yml")), ids=lambda path: path.parent.name)
def scenario(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def read(scenario: Path) -> dict[str, Any]:
    """What Molecule reads: the scenario's own file over what all have in common."""

    def one(path: Path) -> dict[str, Any]:
        text = path.read_text(encoding="utf-8").replace("${MOLECULE_PROJECT_DIRECTORY}", str(ROOT))
        described: dict[str, Any] = yaml.safe_load(text)
        return described

    common, own = one(ROOT / ".config/molecule/config.yml"), one(scenario)
    common["ansible"]["playbooks"].update(own.get("ansible", {}).get("playbooks", {}))
    return common | {"scenario": own["scenario"]}


def test_every_playbook_of_a_scenario_is_there(scenario: Path) -> None:
    described = read(scenario)
    named = list(described["ansible"]["playbooks"].values())
    named += [step.split()[1] for step in described["scenario"]["test_sequence"] if len(step.split()) > 1]
    assert [name for name in named if not (scenario.parent / name).is_file()] == []


def test_side_effects_are_not_passed_over(scenario: Path) -> None:
    """Where no playbook stands for the step, Molecule runs none of those that the sequence names either."""
    described = read(scenario)
    steps = [step.split()[0] for step in described["scenario"]["test_sequence"]]
    assert "side_effect" not in steps or "side_effect" in described["ansible"]["playbooks"]
