"""All that the bench can measure, by name."""

from sitelab.bench import debian, site
from sitelab.bench.peer import Peer, of_package, of_tree

SITE, NATIVE, SCANNING = "qmail-site", "qmail-site-native", "qmail-site-scan"
STUNNEL4, POSTFIX, DOVECOT, OPENSMTPD = "stunnel4", "postfix", "dovecot", "opensmtpd"
TLS_FRONT = "tls_front"
"""The site's variable that says who speaks TLS at the doors: stunnel, or native."""
_HOME = "/var/qmail/queue"
_DOORS = ("/etc/init.d/qmail", "restart", "smtp", "smtps", "pop3s")
_POSTFIX = "/var/spool/postfix"


def _debian(name: str, host: str, queue: str, script: str, package: str) -> Peer:
    restart = ("systemctl", "restart", name)
    return Peer(name, host, queue, debian.by_script(script), of_package(package), restart=restart)


PEERS = {
    peer.name: peer
    for peer in (
        Peer(SITE, "site", _HOME, site.by_play(), of_tree, restart=_DOORS),
        Peer(
            NATIVE,
            "native",
            _HOME,
            site.by_play(**{TLS_FRONT: "native"}),
            of_tree,
            lacks=site.lacks_variable(TLS_FRONT),
            restart=_DOORS,
        ),
        Peer(SCANNING, "scan", _HOME, site.by_play(**site.SCANNING), of_tree, restart=_DOORS),
        # A door of the site's own host.
        Peer(STUNNEL4, "site", _HOME, site.install_stunnel4, site.stunnel4_version),
        _debian(POSTFIX, "postfix", _POSTFIX, debian.POSTFIX, "postfix"),
        _debian(DOVECOT, "postfix", _POSTFIX, debian.DOVECOT, "dovecot-core"),
        _debian(OPENSMTPD, "opensmtpd", "/var/spool/smtpd", debian.OPENSMTPD, "opensmtpd"),
    )
}
