"""Dynamic updates (RFC 2136), signed by TSIG (RFC 8945), where the site declares a key for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dns.exception
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.tsigkeyring
import dns.update

from module_utils.dns_records import Change
from module_utils.dns_records.record import absolute, presented
from module_utils.dns_records.tsig import ALGORITHMS
from module_utils.dns_records.words import below, plain, shown
from module_utils.name_servers import PORT, TIMEOUT, Server


class UpdateError(Exception):
    """An update was not made; the text says why, without the secret."""


class Updater:
    """Writes records to the primary name server that the site declares."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        """Take dns_update, which has no fault."""
        self.zones = [plain(zone) for zone in said["zones"]]
        self._server = Server(said["server"], said["server"], said.get("port", PORT))
        self._algorithm = dns.name.from_text(said.get("algorithm", ALGORITHMS[0]))
        self._keyring = dns.tsigkeyring.from_text({said["key"]: said["secret"]})

    def zone_of(self, name: str) -> str | None:
        """The zone of ours that a name is in: the longest."""
        return max((zone for zone in self.zones if below(name, zone)), key=len, default=None)

    def update(self, changes: Sequence[Change], ttl: int) -> list[Change]:
        """Make the changes in our zones, each zone's all at once; give those that were made. Raises UpdateError."""
        by_zone: dict[str, list[Change]] = {}
        for change in changes:
            if zone := self.zone_of(change.name):
                by_zone.setdefault(zone, []).append(change)
        for zone, each_change in by_zone.items():
            self._send(self._message(zone, each_change, ttl), zone)
        return [change for each_change in by_zone.values() for change in each_change]

    def _message(self, zone: str, changes: Sequence[Change], ttl: int) -> dns.update.UpdateMessage:
        message = dns.update.UpdateMessage(absolute(zone), keyring=self._keyring, keyalgorithm=self._algorithm)
        # First all that goes: a name with a CNAME takes nothing else.
        for change in changes:
            if change.old:
                message.delete(absolute(change.name), change.type, presented(change.type, change.old))
        for change in changes:
            if change.new:
                message.add(absolute(change.name), ttl, change.type, presented(change.type, change.new))
        return message

    def _send(self, message: dns.update.UpdateMessage, zone: str) -> None:
        where = f"{zone}: the update at {self._server}"
        try:
            answer = dns.query.tcp(message, self._server.address, timeout=3 * TIMEOUT, port=self._server.port)
        except dns.tsig.PeerError as error:
            raise UpdateError(
                f"{where} was refused: {_sentence(error)}; is dns_update's key the server's, and the time?"
            ) from None
        except dns.exception.Timeout:
            raise UpdateError(f"{where} had no answer") from None
        except (dns.exception.DNSException, OSError, ValueError, EOFError) as error:
            raise UpdateError(f"{where} failed: {_sentence(error)}") from None
        if answer.rcode() != dns.rcode.NOERROR:
            raise UpdateError(
                f"{where} was refused: {dns.rcode.to_text(answer.rcode())}; the server's update-policy or allow-update "
                f"decides what the key may write"
            )


def _sentence(error: Exception) -> str:
    return shown(str(error) or type(error).__name__)
