#!/usr/bin/env python3
"""Make docs/control-files.md and man/qmail-control.5 from lib/controls.def; --check only compares."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

SUITE = Path(__file__).resolve().parent.parent
TABLE = SUITE / "lib" / "controls.def"
MARKDOWN = SUITE.parent.parent / "docs" / "control-files.md"
MANUAL = SUITE / "man" / "qmail-control.5"

STRING = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
ROW = re.compile(rf"^(CLASSIC|CONTROL)\({STRING},\s*(\w+),\s*{STRING},\s*(\d+),\s*{STRING},\s*{STRING}\)", re.M)

KINDS = {
    "LINE": "one line",
    "NUMBER": "a number",
    "LIST": "a list",
    "TABLE": "a table",
    "DATABASE": "a cdb",
    "SECRET": "a list with passwords",
    "PEM": "PEM",
    "DIRECTORY": "a directory",
}


@dataclass(frozen=True)
class Control:
    """One control file: a row of the table."""

    name: str
    classic: bool
    kind: str
    default: str
    max: int
    programs: list[str]
    meaning: str

    def shown_default(self) -> str:
        """Say what holds without the file, with the bound of a number."""
        if self.kind == "NUMBER":
            return f"{self.default} (at most {self.max})"
        return self.default


def text(literal: str) -> str:
    """Join C string literals that stand side by side."""
    return "".join(re.sub(r"\\(.)", r"\1", part) for part in re.findall(r'"((?:[^"\\]|\\.)*)"', literal))


def read_table(source: str) -> list[Control]:
    """Read the rows of controls.def; ValueError where a row is not understood or not in order."""
    body = re.sub(r"/\*.*?\*/", "", source, flags=re.S)
    rows = [
        Control(
            text(row[1]), row[0] == "CLASSIC", row[2], text(row[3]), int(row[4]), text(row[5]).split(), text(row[6])
        )
        for row in ROW.findall(body)
    ]
    if len(rows) != len(re.findall(r"^(?:CLASSIC|CONTROL)\(", body, re.M)) or ROW.sub("", body).strip():
        raise ValueError("controls.def: a row is not CLASSIC or CONTROL(name, kind, default, max, programs, meaning)")
    for before, row in pairwise(rows):
        if before.name >= row.name:
            raise ValueError(f"controls.def: {row.name} behind {before.name} is not in order, or there twice")
    return rows


def markdown_table(rows: list[Control]) -> list[str]:
    """Lay rows out as a table."""
    lines = ["| file | content | without it | read by | meaning |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (f"`{row.name}`", KINDS[row.kind], row.shown_default(), ", ".join(row.programs), row.meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def markdown(rows: list[Control]) -> str:
    """Write the page of docs/."""
    return "\n".join(
        [
            "# Control files",
            "",
            "The files of `/var/qmail/control`. This page is made by `src/qmail/look/control_files.py` from",
            "`src/qmail/lib/controls.def`; `qmail-showctl` prints the same table with a host's values.",
            "",
            "A list has one item a line, a table `key:value`; blanks at the end of a line, empty lines and lines that",
            "begin with `#` do not count. *me* means the content of `control/me`. A file that exists and can't be",
            "read or understood makes its programs refuse work for now, never apply another rule.",
            "",
            "## Those that every qmail knows",
            "",
            *markdown_table([row for row in rows if row.classic]),
            "",
            "## Those of this suite",
            "",
            *markdown_table([row for row in rows if not row.classic]),
            "",
        ]
    )


def roff(line: str) -> str:
    """Keep what roff would take for its own from being taken so."""
    line = line.replace("\\", "\\e")
    return "\\&" + line if line[:1] in (".", "'") else line


def manual(rows: list[Control]) -> str:
    """Write qmail-control(5)."""
    lines = [
        '.\\" Made by look/control_files.py from lib/controls.def.',
        ".Dd November 23, 2026",
        ".Dt QMAIL-CONTROL 5",
        ".Os qmail-site",
        ".Sh NAME",
        ".Nm qmail-control",
        ".Nd the files that say what qmail does",
        ".Sh DESCRIPTION",
        "The directory",
        ".Pa control",
        "in qmail's home holds one file for each thing that a site decides.",
        "A list has one item a line, a table",
        ".Ar key : Ns Ar value ;",
        "blanks at the end of a line, empty lines, and lines that begin with # do not count.",
        "A file that exists and can't be read or understood makes its programs refuse work for now,",
        "never apply another rule.",
        "Files marked * are not known to other qmails.",
        ".Xr qmail-showctl 8",
        "prints all of them with their present values.",
        ".Sh FILES",
        ".Bl -tag -width Ds",
    ]
    for row in rows:
        lines += [
            f".It Pa {row.name}" + ("" if row.classic else " *"),
            f"{roff(row.meaning[0].upper() + row.meaning[1:])}.",
            f"({KINDS[row.kind][0].upper()}{KINDS[row.kind][1:]}, for {roff(', '.join(row.programs))}; without it: "
            f"{roff(row.shown_default())}.)",
        ]
    lines += [".El", ".Sh SEE ALSO", ".Xr qmail-showctl 8", ""]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the files, or with --check say which of them would change (exit code 1)."""
    rows = read_table(TABLE.read_text())
    wanted = {MARKDOWN: markdown(rows), MANUAL: manual(rows)}
    stale = [path for path, content in wanted.items() if not path.exists() or path.read_text() != content]
    for path in stale:
        if arguments == ["--check"]:
            print(f"{path} is out of date: run {Path(__file__).resolve()}")
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted[path])
    return int(bool(stale) and arguments == ["--check"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
