"""Networks become rules that match their addresses and no others."""

import ipaddress

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from filter_plugins.tcp_rules import ipv6_text, tcp_rules


def expand(key: str) -> list[str]:
    """Spell the range in a key out, as tcprules does."""
    if "-" not in key:
        return [key]
    body = key[:-1] if key.endswith(".") else key
    head, dot, last = body.rpartition(".")
    first, to = last.split("-")
    end = "." if key.endswith(".") else ""
    return [f"{head}{dot}{number}{end}" for number in range(int(first), int(to) + 1)]


def matches(lines: list[str], address: str) -> bool:
    """Look an address up as tcpserver(1) says: the whole text, then prefixes that end in a dot or colon."""
    keys = {key for line in lines for key in expand(line.removesuffix(":allow"))}
    ip = ipaddress.ip_address(address)
    text = ipv6_text(ip) if isinstance(ip, ipaddress.IPv6Address) else str(ip)
    return text in keys or any(text[:end] in keys for end in range(len(text), 0, -1) if text[end - 1] in ".:")


@pytest.mark.parametrize(
    ("network", "lines"),
    [
        ("127.0.0.0/8", ["127.:allow"]),
        ("10.1.0.0/16", ["10.1.:allow"]),
        ("192.0.2.0/24", ["192.0.2.:allow"]),
        ("192.0.2.7", ["192.0.2.7:allow"]),
        ("192.0.2.64/26", ["192.0.2.64-127:allow"]),
        ("10.1.4.0/22", ["10.1.4-7.:allow"]),
        ("172.16.0.0/12", ["172.16-31.:allow"]),
        ("96.0.0.0/3", ["96-127.:allow"]),
        ("::1/128", ["::1:allow"]),
        ("2001:DB8::/32", ["2001:db8::allow"]),
        ("2001:db8:0::/48", ["2001:db8:0::allow", "2001:db8:::allow"]),
        ("2001:db8:a:b::/64", ["2001:db8:a:b::allow"]),
        ("2001:db8:a:fffe::/63", ["2001:db8:a:fffe::allow", "2001:db8:a:ffff::allow"]),
        ("2001:db8::1/128", ["2001:db8::1:allow"]),
        ("2001:db8:1:0:2:3:4:5/128", ["2001:db8:1::2:3:4:5:allow"]),
    ],
)
def test_lines(network: str, lines: list[str]) -> None:
    assert tcp_rules([network], "allow") == lines


@pytest.mark.parametrize(
    ("network", "lines"),
    [
        ("192.0.2.0/24", ["192.0.2.:deny"]),
        ("::1/128", ["0000:0000:0000:0000:0000:0000:0000:0001:deny"]),
        ("2001:db8:0:5::/64", ["2001:0db8:0000:0005::deny"]),
        ("2001:db8::/32", ["2001:0db8::deny"]),
        ("2001:db8:0:fffe::/63", ["2001:0db8:0000:fffe::deny", "2001:0db8:0000:ffff::deny"]),
    ],
)
def test_lines_with_all_the_digits(network: str, lines: list[str]) -> None:
    assert tcp_rules([network], "deny", full=True) == lines


@given(st.integers(0, 2**128 - 1), st.sampled_from([16, 32, 48, 60, 64, 112, 128]), st.integers(0, 2**128 - 1))
def test_with_all_the_digits_a_rule_matches_its_network_alone(base: int, length: int, other: int) -> None:
    network = ipaddress.ip_network((base, length), strict=False)
    if network.overlaps(ipaddress.ip_network("::ffff:0:0/96")):
        return
    keys = {line.removesuffix(":deny") for line in tcp_rules([str(network)], "deny", full=True)}
    for number in (base, other, int(network.network_address), int(network.broadcast_address)):
        text = ipaddress.IPv6Address(number).exploded
        found = text in keys or any(text[:end] in keys for end in range(len(text), 0, -1) if text[end - 1] == ":")
        assert found == (ipaddress.IPv6Address(number) in network)


def test_not_everybody_is_denied() -> None:
    with pytest.raises(AnsibleFilterError, match="nobody could come in"):
        tcp_rules(["0.0.0.0/0"], "deny", full=True)


def test_networks_keep_their_order_and_come_once() -> None:
    assert tcp_rules(["192.0.2.1", "127.0.0.0/8", "192.0.2.1"], 'allow,RELAYCLIENT=""') == [
        '192.0.2.1:allow,RELAYCLIENT=""',
        '127.:allow,RELAYCLIENT=""',
    ]


@pytest.mark.parametrize(
    ("networks", "sentence"),
    [
        ("127.0.0.0/8", "takes a list"),
        (None, "takes a list"),
        (["10.0.0.1/8"], "has host bits set"),
        (["300.0.0.0/8"], '"300.0.0.0/8" is not a network'),
        (["0.0.0.0/0"], "open relay"),
        (["::/0"], "open relay"),
        (["::ffff:192.0.2.0/120"], "write those as IPv4"),
        (["::/8"], "write those as IPv4"),
        (["2001:db8::/64"], "zero group inside"),
        (["fe80::/64"], "zero group inside"),
        (["2001:db8::/33"], "would need 32768 lines"),
        (["fe80::1%eth0"], "names an interface"),
        (['127.0.0.1":allow\n:allow,X="'], "is not a network"),
    ],
)
def test_what_is_refused_and_why(networks: object, sentence: str) -> None:
    with pytest.raises(AnsibleFilterError, match=sentence):
        tcp_rules(networks, "allow")


# Addresses with many zero groups, where a prefix of the text could mislead.
GROUPS = st.lists(st.sampled_from([0, 0, 0, 1, 2, 0xA, 0xDB8, 0xFFFF]), min_size=8, max_size=8)


def address(groups: list[int]) -> ipaddress.IPv6Address:
    return ipaddress.IPv6Address(":".join(f"{group:x}" for group in groups))


@given(GROUPS, st.integers(1, 128), GROUPS, st.integers(0, 8))
def test_ipv6_rules_match_exactly_the_network(base: list[int], length: int, other: list[int], shared: int) -> None:
    network = ipaddress.IPv6Network((address(base), length), strict=False)
    try:
        lines = tcp_rules([str(network)], "allow")
    except AnsibleFilterError:
        return
    for candidate in (address(other), address(base[:shared] + other[shared:]), network[0], network[-1]):
        assert matches(lines, str(candidate)) == (candidate in network), (lines, candidate)


@pytest.mark.parametrize("network", ["2001:db8::/128", "2001:db8:1::/127", "::/127"])
def test_an_address_that_tcpserver_takes_for_a_network_is_refused(network: str) -> None:
    """2001:db8:: as a key lets in all that begins so: an open relay for strangers."""
    with pytest.raises(AnsibleFilterError, match="text ends in a colon"):
        tcp_rules([network], "allow")


@given(st.integers(0, 2**32 - 1), st.integers(1, 32), st.integers(0, 2**32 - 1), st.integers(0, 32))
def test_ipv4_rules_match_exactly_the_network(base: int, length: int, other: int, shared: int) -> None:
    network = ipaddress.IPv4Network((base, length), strict=False)
    lines = tcp_rules([str(network)], "allow")
    near = (base >> (32 - shared) << (32 - shared)) | (other & ((1 << (32 - shared)) - 1))
    for candidate in (ipaddress.IPv4Address(other), ipaddress.IPv4Address(near), network[0], network[-1]):
        assert matches(lines, str(candidate)) == (candidate in network)


@given(GROUPS)
def test_the_text_of_an_address_is_an_address(groups: list[int]) -> None:
    assert ipaddress.IPv6Address(ipv6_text(address(groups))) == address(groups)
