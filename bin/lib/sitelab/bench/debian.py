"""Debian's mail servers among the peers, as they are installed.

Set is only what it takes to receive mail for the same people from this machine, and to send to the sink there.
"""

from collections.abc import Callable

from sitelab.bench.peer import DOMAIN, HOSTNAME, KEEPER, NETWORKS, SINK, SINK_PORT, USER, Peer, crowd
from sitelab.bench.site import known
from verify.progress import say

_APT = "DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install"
_KEY = f"""
[ -e /etc/ssl/bench.pem ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 \\
	-subj /CN={HOSTNAME} -keyout /etc/ssl/bench.key -out /etc/ssl/bench.pem 2>/dev/null
"""
POSTFIX = rf"""
echo 'postfix postfix/main_mailer_type select Internet Site' | debconf-set-selections
echo 'postfix postfix/mailname string {DOMAIN}' | debconf-set-selections
apt-get -qq update && {_APT} postfix openssl
{_KEY}
postconf -e 'home_mailbox = Maildir/' 'mydestination = {DOMAIN}, localhost' 'inet_interfaces = all' \
	'mynetworks = 127.0.0.0/8 {NETWORKS}' 'myhostname = {HOSTNAME}' 'smtpd_tls_security_level = may' \
	'smtpd_tls_cert_file = /etc/ssl/bench.pem' 'smtpd_tls_key_file = /etc/ssl/bench.key' \
	'transport_maps = inline:{{{{ {SINK} = smtp:[GATEWAY]:{SINK_PORT} }}}}'
postconf -Me 'submissions/inet=submissions inet n - y - - smtpd'
postconf -Pe 'submissions/inet/smtpd_tls_wrappermode=yes'
systemctl restart postfix
"""
DOVECOT = rf"""
apt-get -qq update && {_APT} dovecot-pop3d openssl
{_KEY}
cat >/etc/dovecot/local.conf <<'END'
protocols = pop3
mail_driver = maildir
mail_path = ~/Maildir
mail_inbox_path = ~/Maildir
ssl_server_cert_file = /etc/ssl/bench.pem
ssl_server_key_file = /etc/ssl/bench.key
END
systemctl restart dovecot
"""
OPENSMTPD = rf"""
echo 'opensmtpd opensmtpd/mailname string {DOMAIN}' | debconf-set-selections
apt-get -qq update && {_APT} opensmtpd
chmod 0711 /var/spool/smtpd
cat >/etc/smtpd.conf <<'END'
listen on 0.0.0.0
action "local" maildir
match from any for domain "{DOMAIN}" action "local"
END
systemctl restart opensmtpd
"""


def accounts() -> str:
    """Give the shell script that has the same people there as a site, with the same passwords."""
    hashes = {user["name"]: user["password_hash"] for user in known()["users"]}
    lines = [f"{name}:{hashes[name]}" for name in (USER, KEEPER)]
    return f"""
cat >/root/people <<'END'
{chr(10).join([USER, KEEPER, *crowd()])}
END
while read -r name; do id "$name" >/dev/null 2>&1 || useradd -m -s /bin/sh "$name"; done </root/people
chpasswd -e <<'END'
{chr(10).join(lines)}
END
"""


def by_script(script: str) -> Callable[[Peer], None]:
    """Give what installs a server by a shell script, unless that script has run there already.

    GATEWAY in it is this machine, as the host sees it.
    """

    def install(peer: Peer) -> None:
        mark = f"/root/bench-{peer.name}"
        whole = accounts() + script.replace("GATEWAY", peer.container.gateway())
        if peer.container.run("cat", mark, check=False).stdout == whole:
            return
        say(f"{peer.name}: installing Debian's")
        peer.container.run("sh", "-eu", "-s", stdin=whole)
        peer.container.run("sh", "-c", f"umask 077; cat >{mark}", stdin=whole)

    return install
