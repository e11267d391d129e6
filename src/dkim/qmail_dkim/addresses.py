"""The domains of the addresses in a From field (RFC 5322 section 3.6.2)."""

from __future__ import annotations

FIELD_MOST = 65536  # bytes
BLANKS = " \t\r\n"


class AddressError(ValueError):
    """A field of which nobody can say whose it is."""


def mailboxes(value: str) -> list[str]:
    """Give the addresses in a field's value: comments are blanks in them, and a quoted string is a quote.

    Total, and in linear time. Raises AddressError where two readers could find different ones.
    """
    found: list[str] = []
    plain: list[str] = []  # what stands outside of angle brackets
    inside: list[str] | None = None
    comments = 0
    quoted = False
    literal = False
    angle = False

    def ended() -> None:
        nonlocal angle
        if angle and "@" in plain:
            raise AddressError("an address behind another one")
        if not angle and "".join(plain).strip():
            found.append("".join(plain))
        plain.clear()
        angle = False

    characters = iter(value)
    for character in characters:
        to = plain if inside is None else inside
        if character == "\\" and (quoted or comments):
            next(characters, None)
        elif comments:
            comments += (character == "(") - (character == ")")
        elif quoted:
            quoted = character != '"'
        elif character == '"':
            quoted = True
            to.append(character)
        elif character == "(":
            comments = 1
            to.append(" ")
        elif literal:
            literal = character != "]"
            to.append(character)
        elif character == "<":
            if inside is not None:
                raise AddressError("an address within another one")
            if angle:
                ended()
            inside = []
            plain.clear()  # a name
        elif character == ">":
            if inside is None:
                raise AddressError("an address without its beginning")
            found.append("".join(inside))
            inside = None
            angle = True
        elif inside is None and character in ",;":
            ended()
        elif inside is None and character == ":":
            if "@" in plain:
                raise AddressError("an address that is a group's name")
            plain.clear()  # a group's name
        else:
            literal = character == "[" and to[-1:] == ["@"]
            to.append(character)
    if inside is not None or comments or quoted or literal:
        raise AddressError("an address without its end")
    ended()
    return found


def domain_of(address: str) -> str:
    """Give an address's domain, as it is asked for in the DNS. Raises AddressError."""
    if address.lstrip(BLANKS).startswith("@"):
        route, _, address = address.partition(":")
        if not all(hop.strip(BLANKS).rfind("@") == 0 for hop in route.split(",")):
            raise AddressError("a route that is none")
    if address.count("@") > 1:
        raise AddressError("addresses with nothing between them")
    # RFC 5322 section 4.4 had blanks beside its dots; there, too, is the end for some.
    domain = address.partition("@")[2].strip(BLANKS).rstrip(".").lower()
    if not domain:
        raise AddressError("an address without a domain")
    try:
        name = domain if domain.isascii() else domain.encode("idna").decode()
    except UnicodeError:
        raise AddressError("a domain that is none") from None
    if len(name) > 253 or not all(0 < len(label) < 64 for label in name.split(".")):
        raise AddressError("a domain that is none")
    if not name.replace(".", "").replace("-", "").replace("_", "").isalnum():
        raise AddressError("a domain that is none")
    return name


def author_domains(fields: list[bytes]) -> list[str]:
    """Give the domains of a message's From field, each once. Raises AddressError, also unless there is one field."""
    if len(fields) != 1:
        raise AddressError(f"{len(fields)} From fields" if fields else "no From field")
    if len(fields[0]) > FIELD_MOST:
        raise AddressError("a From field that is too long")
    value = fields[0].partition(b":")[2].replace(b"\r\n", b"")
    text = value.decode("utf-8", "replace")
    domains = list(dict.fromkeys(domain_of(each) for each in mailboxes(text)))
    if not domains:
        raise AddressError("a From field without an address")
    return domains
