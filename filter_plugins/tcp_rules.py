"""Filter `tcp_rules`: networks in CIDR notation as lines for tcprules."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: tcp_rules
short_description: Write networks as lines for tcprules
description:
  - Gives, for each network, the lines of a tcpserver rules file that match exactly its addresses.
  - tcpserver looks its client's address up as text, first the whole, then shorter and shorter prefixes of it that end
    in C(.) or C(:). A network whose length does not fall on such a border becomes several lines, or a range.
  - An IPv6 address is written with its first longest run of zeros left out, so some IPv6 networks with zeros inside
    can't be told apart by a prefix of the text. Those are refused rather than opened too wide.
options:
  _input:
    description: Networks or addresses, IPv4 or IPv6, such as V(192.0.2.0/24), V(2001:db8::/32) or V(192.0.2.7).
    type: list
    elements: str
    required: true
  instructions:
    description: What follows the colon, such as V(deny) or V(allow,RELAYCLIENT="").
    type: str
    required: true
  full:
    description:
      - Write IPv6 with all eight groups of four digits. That is for C(doors.rules), where tcpserver looks for that form
        too; there each network can be told from its neighbours.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Show who may relay
  ansible.builtin.debug:
    msg: "{{ ['127.0.0.0/8', '10.1.4.0/22', '2001:db8::/32'] | tcp_rules('allow,RELAYCLIENT=\"\"') }}"
  # 127.:allow,RELAYCLIENT=""   10.1.4-7.:allow,RELAYCLIENT=""   2001:db8::allow,RELAYCLIENT=""
"""

RETURN = r"""
_value:
  description: The lines, without line ends, in the order of the networks, each line once.
  type: list
  elements: str
"""

# 4096 lines compile in milliseconds; a /33 or /17 of IPv6 would need 32768.
_MOST_LINES = 4096


def _refuse(network: object, why: str) -> AnsibleFilterError:
    return AnsibleFilterError(f'tcp_rules: "{network}" {why}')


def _ipv4_keys(network: ipaddress.IPv4Network) -> Iterator[str]:
    octets = str(network.network_address).split(".")
    whole, bits = divmod(network.prefixlen, 8)
    if not bits:
        yield ".".join(octets[:whole]) + ("." if whole < 4 else "")
        return
    first = int(octets[whole])
    last = first + (1 << (8 - bits)) - 1
    yield ".".join([*octets[:whole], f"{first}-{last}"]) + ("." if whole < 3 else "")


def ipv6_text(address: ipaddress.IPv6Address) -> str:
    """Write an address as tcpserver does: the first longest run of zero groups, even of one, becomes `::`."""
    groups = [f"{int(group, 16):x}" for group in address.exploded.split(":")]
    runs = [
        (length, -start)
        for start in range(8)
        for length in range(1, 9 - start)
        if not any(group != "0" for group in groups[start : start + length])
    ]
    if not runs:
        return ":".join(groups)
    length, start = max(runs)
    return ":".join(groups[:-start]) + "::" + ":".join(groups[-start + length :])


def _whole(network: ipaddress.IPv6Network, address: ipaddress.IPv6Address) -> str:
    """Give the key of one address; refuses one whose text ends in a colon, since that is the key of a network."""
    text = ipv6_text(address)
    if text.endswith(":"):
        raise _refuse(
            network,
            f"holds {address} by itself, whose text ends in a colon, and so stands for the network around it in "
            "tcpserver's rules; name that network, or the other addresses",
        )
    return text


def _ipv6_keys(network: ipaddress.IPv6Network, *, full: bool) -> Iterator[str]:
    if network.network_address.ipv4_mapped or network.overlaps(ipaddress.IPv6Network("::ffff:0:0/96")):
        raise _refuse(network, "holds IPv4 addresses; write those as IPv4, as tcpserver does")
    if network.prefixlen == 128:
        yield network.network_address.exploded if full else _whole(network, network.network_address)
        return
    whole, bits = divmod(network.prefixlen, 16)
    if bits and 1 << (16 - bits) > _MOST_LINES:
        raise _refuse(network, f"would need {1 << (16 - bits)} lines; name larger or smaller networks")
    groups = [int(group, 16) for group in network.network_address.exploded.split(":")]
    lead = groups[:whole]
    tails: Iterable[list[int]] = (
        [[last] for last in range(groups[whole], groups[whole] + (1 << (16 - bits)))] if bits else [[]]
    )
    for tail in tails:
        prefix = lead + tail
        if full:
            yield ":".join(f"{group:04x}" for group in prefix) + (":" if len(prefix) < 8 else "")
            continue
        if len(prefix) == 8:  # every group is named, so these are whole addresses
            yield _whole(network, ipaddress.IPv6Address(":".join(f"{group:x}" for group in prefix)))
            continue
        if 0 in prefix[:-1]:
            raise _refuse(
                network,
                "has a zero group inside, which tcpserver's rules can't tell from its neighbours; name the network "
                "around it or its single addresses",
            )
        yield "".join(f"{group:x}:" for group in prefix)
        if prefix[-1] == 0:  # the same network in addresses where the run left out begins with this very group
            yield "".join(f"{group:x}:" for group in prefix[:-1]) + ("::" if len(prefix) == 1 else ":")


def tcp_rules(networks: Any, instructions: str, full: bool = False) -> list[str]:
    """Give the lines of a tcpserver rules file that match exactly these networks.

    `networks` is a list of CIDR strings; `full` is for a file where IPv6 has all its digits. Raises
    AnsibleFilterError, with a sentence, for anything that is not a network, has host bits set, is everything (an open
    relay, or a closed host), or can't be expressed.
    """
    if isinstance(networks, str) or not isinstance(networks, Iterable):
        raise AnsibleFilterError(f"tcp_rules: takes a list of networks, not {networks!r}")
    lines: dict[str, None] = {}
    for item in networks:
        text = str(item)
        if "%" in text:
            raise _refuse(text, "names an interface; tcpserver's rules know only addresses")
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise _refuse(text, f"is not a network: {error}") from None
        if network.prefixlen == 0:
            what = "nobody could come in any more" if full else "this host would be an open relay"
            raise _refuse(text, f"is every address there is: {what}")
        keys = _ipv4_keys(network) if isinstance(network, ipaddress.IPv4Network) else _ipv6_keys(network, full=full)
        lines.update(dict.fromkeys(f"{key}:{instructions}" for key in keys))
    return list(lines)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters."""
        return {"tcp_rules": tcp_rules}
