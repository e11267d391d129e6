"""The table of what each unit may do: it is read, and each difference from what systemd says gets its sentence."""

import pytest
from ansible.errors import AnsibleFilterError

from filter_plugins.unit_faults import unit_faults

DOCUMENT = """
| property | smtp smtps | send |
|---|---|---|
| `ProtectSystem` | strict | full |
| `ReadWritePaths` | /run/qmail /var/qmail/queue | |

| `file` | what |
"""
SMTP = "Id=x\nProtectSystem=strict\nReadWritePaths=/var/qmail/queue /run/qmail\n"
SEND = "ProtectSystem=full\n"


def test_no_difference_no_fault() -> None:
    assert unit_faults({"smtp": SMTP, "smtps": SMTP, "send": SEND}, DOCUMENT) == []


def test_each_difference_is_named() -> None:
    assert unit_faults({"smtps": SEND, "send": "ProtectSystem=no\nReadWritePaths=/\n"}, DOCUMENT) == [
        'smtps: ProtectSystem is "full"; docs/architecture.md says "strict"',
        'smtps: ReadWritePaths is ""; docs/architecture.md says "/run/qmail /var/qmail/queue"',
        'send: ProtectSystem is "no"; docs/architecture.md says "full"',
        'send: ReadWritePaths is "/"; docs/architecture.md says ""',
    ]


@pytest.mark.parametrize(
    ("shown", "document", "sentence"),
    [
        ({"smtp": SMTP}, "no table", "has no table"),
        ({"imap": SMTP}, DOCUMENT, "no column for 'imap'"),
        ({"smtp": SMTP}, DOCUMENT + "| `OOMPolicy` | stop |\n", "a row of"),
        ([], DOCUMENT, "wants a mapping"),
    ],
)
def test_what_can_t_be_compared_is_an_error(shown: object, document: str, sentence: str) -> None:
    with pytest.raises(AnsibleFilterError, match=sentence):
        unit_faults(shown, document)
