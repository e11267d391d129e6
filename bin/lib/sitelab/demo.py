"""bin/demo: a mail host in a container, made from nothing, and real mail through it."""

import argparse
import hashlib
import json
import re
import secrets
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from action_plugins.distfile import source_files
from sitelab import host as machine
from sitelab import image, people
from sitelab.container import Container
from sitelab.host import UnfitHostError
from sitelab.paths import DEMO, ROOT
from verify.progress import elapsed, say

CONTAINER = "qmail-site-demo"
HOSTNAME = "mail.example.test"
DOMAIN = "example.test"
RELEASE = "trixie"
PORTS = {"smtp": 25, "smtps": 465, "pop3s": 995}
USERS = DEMO / "users.json"
CA_FILE = DEMO / "ca.pem"
STAMP = DEMO / "provisioned"
LOG = DEMO / "site.log"
# What the state of the host follows from. If none of it changed, running the playbook would change nothing.
SOURCES = (
    "ansible.cfg", "playbooks", "roles", "library", "action_plugins", "filter_plugins", "module_utils", "src",
    "inventories/demo",
)  # fmt: skip
DELIVERY_SECONDS = 20


class DemoError(Exception):
    """The demonstration can't go on; the text says why and what to do."""


@dataclass(frozen=True)
class Proof:
    """One thing that was tried with a client that is not ours."""

    what: str
    client: str
    worked: bool
    remark: str


def digest_of_sources(container_id: str) -> str:
    """Give a digest of everything the host is made from, and of which container it is."""
    digest = hashlib.sha256(container_id.encode())
    sources = [path for path in source_files(ROOT) if any(path.is_relative_to(ROOT / name) for name in SOURCES)]
    for path in [*sources, USERS]:
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def provision(again: bool, container_id: str) -> bool:
    """Run the playbook unless nothing changed since it last ended well; tell whether it ran."""
    digest = digest_of_sources(container_id)
    if not again and STAMP.exists() and STAMP.read_text() == digest:
        say("nothing changed since the playbook last ran: using the host as it is")
        return False
    STAMP.unlink(missing_ok=True)
    say("running playbooks/site.yml (its output: .demo/site.log)")
    role = ""
    parts = re.findall(r"role: (\w+)", (ROOT / "playbooks" / "site.yml").read_text())
    with LOG.open("w") as log:
        process = subprocess.Popen(
            ["ansible-playbook", "-i", "inventories/demo", "playbooks/site.yml"],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None  # noqa: S101 (asked for in the line above)
        for line in process.stdout:
            log.write(line)
            log.flush()
            task = re.match(r"TASK \[(?P<role>\w+) : (?P<task>[^]]*)", line)
            # The parts of site.yml are named, and not the roles that these are made of.
            if task and task["role"] != role and task["role"] in parts:
                role = task["role"]
                say(f"  {role}")
        code = process.wait()
    if code != 0:
        tail = "\n".join(LOG.read_text().splitlines()[-40:])
        raise DemoError(f"the playbook failed; the end of .demo/site.log:\n{tail}")
    STAMP.write_text(digest)
    return True


def fetch_ca(container: Container) -> None:
    """Copy the certificate of the demo's own authority, for clients on this machine."""
    CA_FILE.write_text(container.run("cat", "/etc/qmail-site/ca/ca.pem").stdout)


def site(container: Container, known: people.People) -> dict[str, Any]:
    """Give what a script needs in order to talk to the host."""
    return {
        "container": container.name,
        "host": HOSTNAME,
        "address": container.address(),
        "ports": PORTS,
        "ca_file": str(CA_FILE),
        "domain": DOMAIN,
        "users": [
            {
                "address": f"{user['name']}@{DOMAIN}",
                "login": user["name"],
                "password": known["passwords"][user["name"]],
                "aliases": [f"{alias}@{DOMAIN}" for alias in user["aliases"]],
            }
            for user in known["users"]
        ],
    }


class Prover:
    """Sends and fetches mail with swaks and curl, and remembers what worked."""

    def __init__(self, about: dict[str, Any]) -> None:
        """Take what `site` gives."""
        self.about = about
        self.marker = secrets.token_hex(6)
        self.proofs: list[Proof] = []

    def _try(self, what: str, client: str, attempt: Callable[[], str]) -> None:
        say(f"  {what}")
        try:
            self.proofs.append(Proof(what, client, True, attempt()))
        except (DemoError, subprocess.TimeoutExpired) as error:
            self.proofs.append(Proof(what, client, False, str(error)))

    def _swaks(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["swaks", "--server", self.about["address"], "--port", "25", "--helo", "client.example.test", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)

    def _curl(
        self, scheme: str, path: str, *words: str, user: dict[str, str] | None = None, stdin: Path | None = None
    ) -> str:
        port = PORTS[scheme]
        # The name is the certificate's; only its address is told to curl, so the name is verified.
        settings = [
            f'url = "{scheme}://{HOSTNAME}:{port}/{path}"',
            f'resolve = "{HOSTNAME}:{port}:{self.about["address"]}"',
            f'cacert = "{self.about["ca_file"]}"',
        ]
        if user:
            settings.append(f'user = "{user["login"]}:{user["password"]}"')
        if stdin:
            settings.append(f'upload-file = "{stdin}"')
        # Through standard input, as a command line is everybody's to read.
        result = subprocess.run(
            ["curl", "--silent", "--show-error", "--max-time", "30", "--config", "-", *words],
            input="\n".join(settings), capture_output=True, text=True, errors="replace", timeout=40, check=False,
        )  # fmt: skip
        if result.returncode != 0:
            raise DemoError(result.stderr.strip() or f"curl ended with exit code {result.returncode}")
        return result.stdout

    def _send(self, sender: str, recipient: str, name: str) -> str:
        result = self._swaks(
            "--from", sender, "--to", recipient, "--header", f"Subject: demo {name} {self.marker}",
            "--body", f"Written for the demonstration.\n{name} {self.marker}",
        )  # fmt: skip
        accepted = re.findall(r"^<\S* +(250 .*)", result.stdout, re.MULTILINE)
        if result.returncode != 0 or not accepted:
            raise DemoError(_last_answer(result.stdout))
        return str(accepted[-1])

    def _refused(self, sender: str, recipient: str) -> str:
        result = self._swaks("--from", sender, "--to", recipient, "--quit-after", "RCPT")
        answer = re.search(r"^<\S* +(5\d\d .*)", result.stdout, re.MULTILINE)
        if not answer:
            raise DemoError(f"it was not refused: {_last_answer(result.stdout)}")
        return answer[1]

    def _send_by_smtps(self, user: dict[str, str], recipient: str, name: str) -> str:
        message = DEMO / "message.eml"
        head = f"From: <{user['address']}>\nTo: <{recipient}>\nSubject: demo {name} {self.marker}\n"
        # What every mail program writes, and a spam filter looks for.
        head += f"Date: {formatdate()}\nMessage-ID: {make_msgid(domain=DOMAIN)}\n"
        # With CRLF, as curl sends it byte for byte and a bare LF is refused.
        message.write_text(f"{head}\n{name} {self.marker}\n", newline="\r\n")
        self._curl(
            "smtps", "client.example.test", "--mail-from", user["address"], "--mail-rcpt", recipient, stdin=message
        )
        return "chain and name verified"

    def _fetch(self, user: dict[str, str], name: str) -> str:
        deadline = time.monotonic() + DELIVERY_SECONDS
        seen: set[str] = set()
        while True:
            listing = self._curl("pop3s", "", user=user)
            numbers = [line.split()[0] for line in listing.splitlines() if line.split()]
            for number in reversed([n for n in numbers if n not in seen]):
                seen.add(number)
                if f"{name} {self.marker}" in self._curl("pop3s", number, user=user):
                    return f"message {number} of {len(numbers)}"
            if time.monotonic() > deadline:
                raise DemoError(f"the message did not arrive within {DELIVERY_SECONDS} s")
            time.sleep(0.3)

    def _wrong_password(self, user: dict[str, str]) -> str:
        try:
            self._curl("pop3s", "", user={**user, "password": "wrong"})
        except DemoError as error:
            if "denied" in str(error).lower() or "login" in str(error).lower():
                return "denied"
            raise
        raise DemoError("a wrong password was accepted")

    def _pop3_closed(self) -> str:
        command = ["curl", "--silent", "--max-time", "5", f"pop3://{self.about['address']}:110/"]
        code = subprocess.run(command, capture_output=True, timeout=10, check=False).returncode
        if code != 7:  # curl(1): failed to connect
            raise DemoError(f"something answers there (curl: {code})")
        return "nothing listens"

    def prove(self) -> list[Proof]:
        """Try it all; give what came of it."""
        alice, bob = self.about["users"][:2]
        stranger = "stranger@example.org"
        self._try(
            "SMTP, port 25: a stranger writes to alice", "swaks", lambda: self._send(stranger, alice["address"], "one")
        )
        self._try("POP3S, port 995: alice fetches it", "curl", lambda: self._fetch(alice, "one"))
        self._try(
            "SMTPS, port 465: alice writes to bob", "curl", lambda: self._send_by_smtps(alice, bob["address"], "two")
        )
        self._try("POP3S, port 995: bob fetches it", "curl", lambda: self._fetch(bob, "two"))
        self._try(
            "a stranger may not relay to another domain",
            "swaks",
            lambda: self._refused(stranger, "somebody@example.com"),
        )
        self._try("a wrong password opens no mailbox", "curl", lambda: self._wrong_password(alice))
        self._try("no POP3 in the clear, port 110", "curl", self._pop3_closed)
        return self.proofs


def _last_answer(transcript: str) -> str:
    answers = re.findall(r"^(?:<|\*\*\*).*", transcript, re.MULTILINE)
    return answers[-1] if answers else "no answer"


def report(about: dict[str, Any], proofs: list[Proof]) -> str:
    """Give the table of what worked, the addresses, and how to look around."""
    width = max(len(proof.what) for proof in proofs)
    lines = [""]
    for proof in proofs:
        mark = "ok    " if proof.worked else "FAILED"
        lines.append(f"  {mark} {proof.what:<{width}}  {proof.client:<5}  {textwrap.shorten(proof.remark, 70)}")
    lines += ["", f"  host      {HOSTNAME} at {about['address']}, ports " + ", ".join(map(str, PORTS.values()))]
    lines += [f"  login     {u['login']} / {u['password']}  ({u['address']})" for u in about["users"]]
    lines += [
        f"  CA file   {CA_FILE.relative_to(ROOT)}",
        "",
        f"  look around    bin/lab shell {CONTAINER}",
        f"  read mail      curl --cacert {CA_FILE.relative_to(ROOT)} --resolve {HOSTNAME}:995:{about['address']} "
        f"-u alice pop3s://{HOSTNAME}/1",
        "  for scripts    bin/demo --json",
        "  remove it all  bin/demo --clean",
        "",
    ]
    return "\n".join(lines)


def clean() -> None:
    """Remove the container, the images and .demo."""
    host = machine.look()
    Container(CONTAINER, host).down()
    kept = image.remove_all(host)
    shutil.rmtree(DEMO, ignore_errors=True)
    say(f"removed the container {CONTAINER}{'' if kept else ', the system images'} and .demo")
    for tag in kept:
        say(f"the system image {tag} stays: another container uses it (podman ps --all tells which)")


def demonstrate(as_json: bool, again: bool) -> int:
    """Do it all; give the exit code."""
    DEMO.mkdir(mode=0o700, exist_ok=True)
    known = people.ensure(USERS)
    container = Container(CONTAINER)
    container.up(RELEASE, HOSTNAME)
    provision(again, container.identity())
    fetch_ca(container)
    about = site(container, known)
    say("sending and fetching mail")
    proofs = Prover(about).prove()
    if as_json:
        print(json.dumps(about))
        failed = [proof for proof in proofs if not proof.worked]
        for proof in failed:
            say(f"FAILED: {proof.what}: {proof.remark}")
    else:
        print(report(about, proofs))
    say(f"done in {elapsed():.0f} s")
    return 0 if all(proof.worked for proof in proofs) else 1


def main(words: list[str]) -> int:
    """Run the command; give its exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--again", action="store_true", help="run the playbook even if nothing changed")
    parser.add_argument("--clean", action="store_true", help="remove the container, the images, and all that was made")
    arguments = parser.parse_args(words)
    try:
        if arguments.clean:
            clean()
            return 0
        return demonstrate(arguments.json, arguments.again)
    except UnfitHostError as error:
        print(
            f"demo: no container can be started here: {error}\n"
            "To make this machine itself the mail host, see inventories/local (and README.md, The production way).",
            file=sys.stderr,
        )
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
    except subprocess.CalledProcessError as error:
        print(f"demo: `{error.cmd[0]}` failed with exit code {error.returncode}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
