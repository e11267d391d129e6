"""What bin/dns is asked for. Run, it prints the help.

Nothing but Python's own library is needed for that, so bin/dns makes nothing ready first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

ABOUT = """bin/dns: the DNS records that a mail site needs, and what is wrong with those that there are.

It knows from the inventory which ones: MX, A and AAAA, PTR, SPF with its look-ups counted, DMARC, TLS-RPT, MTA-STS,
SRV, CAA; and from the host, with --from-host, its addresses and the keys of DKIM and DANE. Every server with authority
is asked for each of them. Nothing is written, unless --update says so and the inventory has a key for it (dns_update).

Exit code: 0 all that is required is right, 1 something required is not, 2 it could not be asked, 3 a server gave no
answer.
"""


def parser() -> argparse.ArgumentParser:
    """Give what reads the command line."""
    words = argparse.ArgumentParser(prog="dns", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = words.add_argument_group("the site")
    where.add_argument("-i", "--inventory", metavar="PATH", help="the inventory that declares it")
    where.add_argument("--host", help="of several hosts, this one")
    where.add_argument("--from-host", action="store_true", help="ask the host for its addresses and keys, too")
    where.add_argument("--site", type=Path, help="all of this as JSON instead, in the form that --describe prints")
    where.add_argument(
        "--ansible", action="append", default=[], metavar="OPTION",
        help="an option for ansible-playbook, such as --ansible=--vault-password-file=FILE; may be given again",
    )  # fmt: skip
    what = words.add_argument_group("what is printed")
    form = what.add_mutually_exclusive_group()
    form.add_argument("--table", action="store_const", const="table", dest="form", help="in words (the default)")
    form.add_argument("--zone", action="store_const", const="zone", dest="form", help="a zone file")
    form.add_argument(
        "--nsupdate", action="store_const", const="nsupdate", dest="form",
        help="commands for nsupdate(1) that make what is there what should be there",
    )  # fmt: skip
    form.add_argument(
        "--policy", action="store_const", const="policy", dest="form",
        help="the MTA-STS policy, for a web server elsewhere",
    )  # fmt: skip
    form.add_argument("--json", action="store_const", const="json", dest="form", help="one JSON object")
    form.add_argument(
        "--describe", action="store_const", const="describe", dest="form", help="what is known of the site"
    )
    what.add_argument("--all", action="store_true", help="in the table, also what is right")
    what.add_argument("--offline", action="store_true", help="ask no name server: only say which records are needed")
    what.add_argument("--strict", action="store_true", help="exit with 1 for what is only recommended, too")
    what.add_argument("--update", action="store_true", help="write what is amiss, by the key of dns_update")
    who = words.add_argument_group("who is asked")
    who.add_argument(
        "--server", action="append", default=[], metavar="ADDRESS[#PORT]",
        help="this one has authority for all of it, whatever NS records say; may be given again",
    )  # fmt: skip
    who.add_argument(
        "--also", action="append", default=[], metavar="ADDRESS[#PORT]",
        help="beside those of the NS records, such as a hidden primary",
    )  # fmt: skip
    who.add_argument(
        "--resolver", action="append", default=[], metavar="ADDRESS[#PORT]", help="default: those of resolv.conf"
    )
    who.add_argument("--port", type=int, default=53, help="of all name servers (default: 53)")
    who.add_argument(
        "--deadline", type=int, default=120, metavar="SECONDS", help="the longest that it may take (default: 120)"
    )
    words.set_defaults(form="table")
    return words


if __name__ == "__main__":
    parser().print_help()
