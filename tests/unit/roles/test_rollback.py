"""Every part that the pipeline builds can go back to the version before."""

from __future__ import annotations

import re

import yaml
from sitelab.paths import ROOT


def test_rollback_knows_each_part_that_is_built() -> None:
    built = {
        name
        for tasks in ROOT.glob("roles/*/tasks/*.yml")
        for name in re.findall(r"^ +build_name: ([a-z-]+)$", tasks.read_text(), re.MULTILINE)
    }
    assert "spamassassin" in built
    (play,) = yaml.safe_load((ROOT / "playbooks/rollback.yml").read_text())
    assert built == set(play["vars"]["parts"])
