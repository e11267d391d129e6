"""Hosts with other mail systems on them, as trees of files: what is to be taken over."""

from __future__ import annotations

from pathlib import Path

HASH = "$y$j9T$salt$" + "a" * 43
ACCOUNTS = "root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\nbert:x:1001:1001::/home/bert:/bin/sh\n"
SHADOW = f"root:*:1::::::\nanna:{HASH}:1::::::\nbert:$1$weak$hash:1::::::\n"


QMAIL = {
    "etc/passwd": ACCOUNTS,
    "etc/shadow": SHADOW,
    "home/anna/Maildir/": "",
    "home/bert/Maildir/": "",
    "home/anna/.qmail-info": "./Maildir/\n",
    "home/anna/.qmail-both": "&bert@a.example\n&x@elsewhere.example\n",
    "home/anna/.qmail-robot": "|program\n",
    "home/anna/.qmail-default": "./Maildir/\n",
    "var/qmail/control/me": "mail.a.example\n",
    "var/qmail/control/locals": "localhost\na.example\n",
    "var/qmail/control/rcpthosts": "localhost\na.example\nb.example\nc.example\n.wild.example\n",
    "var/qmail/control/virtualdomains": "b.example:anna\n",
    "var/qmail/control/smtproutes": "c.example:mx.c.example\n:relay.example:587\n",
    "var/qmail/alias/.qmail-postmaster": "anna\n",
    "var/qmail/alias/.qmail-first:last": "&bert@a.example\n",
    "var/qmail/alias/.qmail-all": "anna\nbert\n",
}
VPOPMAIL_HOME = "home/vpopmail/domains/v.example"
VPOPMAIL = {
    "etc/passwd": ACCOUNTS,
    "home/anna/Maildir/": "",
    "home/bert/Maildir/": "",
    "var/qmail/control/me": "mail.a.example\n",
    "var/qmail/control/locals": "a.example\n",
    "var/qmail/control/virtualdomains": "v.example:v.example\n",
    "var/qmail/users/assign": f"+v.example-:v.example:89:89:/{VPOPMAIL_HOME}:-::\n.\n",
    f"{VPOPMAIL_HOME}/vpasswd": (
        f"info:{HASH}:1:0:Info:/{VPOPMAIL_HOME}/info:50000000S\njoe:$1$a$b:1:0::/{VPOPMAIL_HOME}/joe:NOQUOTA\n"
    ),
    f"{VPOPMAIL_HOME}/.qmail-sales": "&info@v.example\n&x@elsewhere.example\n",
    f"{VPOPMAIL_HOME}/.qmail-default": f"| /home/vpopmail/bin/vdelivermail '' /{VPOPMAIL_HOME}/info\n",
}
POSTFIX = {
    "etc/passwd": ACCOUNTS,
    "etc/shadow": SHADOW,
    "home/anna/Maildir/": "",
    "home/bert/Maildir/": "",
    "etc/postfix/main.cf": (
        "myhostname = mail.a.example\nmydomain = a.example\n"
        "mydestination = $myhostname, localhost.$mydomain,\n  localhost, ${mydomain}\n"
        "# a comment\nvirtual_alias_domains = b.example\n"
        "virtual_alias_maps = hash:/etc/postfix/virtual, pgsql:/etc/postfix/pg.cf\n"
        "virtual_mailbox_domains = v.example\nvirtual_mailbox_base = /srv/vhosts\n"
        "virtual_mailbox_maps = hash:/etc/postfix/vmailbox\n"
        "alias_maps = hash:/etc/aliases\nrelay_domains = c.example, d.example\n"
        "relay_recipient_maps = hash:/etc/postfix/recipients\n"
        "transport_maps = hash:/etc/postfix/transport\n"
        "relayhost = [smtp.provider.example]:587\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl\n"
    ),
    "etc/postfix/virtual": (
        "b.example anything\ninfo@b.example\tanna\nall@b.example anna,\n  x@elsewhere.example\n@b.example bert\n"
    ),
    "etc/postfix/vmailbox": "info@v.example v.example/info/\nold@v.example v.example/old\n",
    "etc/postfix/recipients": "joe@c.example OK\n",
    "etc/postfix/transport": "c.example smtp:[mx.c.example]\npartner.example smtp:[192.0.2.9]:2525\n",
    "etc/aliases": 'postmaster: root\nwebmaster: anna\nrobot: "|/bin/program"\n',
}


def tree(root: Path, files: dict[str, str]) -> Path:
    """A host's root with these files; a name that ends in a slash is a directory."""
    for name, text in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
