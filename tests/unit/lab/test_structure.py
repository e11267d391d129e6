"""What source files may know of each other: circles are found, and a lib that knows its users."""

from pathlib import Path

import pytest
from sitelab import structure


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> structure.Graph:
    files = {
        "src/x/lib/clock.h": "",
        "src/x/lib/clock.c": '#include "lib/clock.h"\n#include <time.h>\n',
        "src/x/lib/low.c": '#include "high/up.h"\n',
        "src/x/high/up.h": '#include "lib/clock.h"\n',
        "src/x/high/a.h": "",
        "src/x/high/a.c": '#include "a.h"\n  #  include "high/b.h"\n',
        "src/x/high/b.h": "",
        "src/x/high/b.c": '#include "high/b.h"\n#include "high/a.h"\n',
        "bin/lib/tool/one.py": "def late():\n    from tool import two\n",
        "bin/lib/tool/two.py": "import json\nfrom tool.three import thing\n",
        "bin/lib/tool/three.py": "from . import one\n",
        "docs/page.md": '#include "lib/clock.h"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(structure, "ROOT", tmp_path)
    return structure.graph(files)


def test_a_unit_knows_what_it_includes_by_either_form(known: structure.Graph) -> None:
    assert known["src/x/high/a"] == {"src/x/high/b"}
    assert known["src/x/high/up"] == {"src/x/lib/clock"}
    assert known["src/x/lib/clock"] == set()


def test_circles_of_c_and_of_python_are_found(known: structure.Graph) -> None:
    assert structure.circles(known) == [
        ["bin/lib/tool/one", "bin/lib/tool/three", "bin/lib/tool/two"],
        ["src/x/high/a", "src/x/high/b"],
    ]


def test_a_lib_that_knows_its_users_is_found(known: structure.Graph) -> None:
    assert structure.upwards(known) == [("src/x/lib/low", "src/x/high/up")]


def test_what_is_no_source_is_not_read(known: structure.Graph) -> None:
    assert "docs/page" not in known
