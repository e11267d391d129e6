"""docs/variables.md says what the argument_specs say."""

from pathlib import Path

from sitelab import variables

SPEC = """
argument_specs:
  main:
    short_description: Things
    options:
      thing_list:
        description: [The C(things)., "A | B."]
        type: list
        elements: dict
        default: []
        options:
          name: {description: What it is called., type: str, required: true}
      thing_when:
        description: When.
        choices: [now, later]
        default: now
"""


def test_a_row_tells_type_default_and_meaning(tmp_path: Path) -> None:
    file = tmp_path / "thing" / "meta" / "argument_specs.yml"
    file.parent.mkdir(parents=True)
    file.write_text(SPEC)
    text = variables.page(tmp_path)
    assert "| `thing_list` | list of dict | `[]` | The `things`. A \\| B. |" in text
    assert "| `thing_list`: `name` | str | required | What it is called. |" in text
    assert "| `thing_when` | str: `now`, `later` | `now` | When. |" in text


def test_the_page_is_up_to_date() -> None:
    assert variables.main(["--check"]) == 0
