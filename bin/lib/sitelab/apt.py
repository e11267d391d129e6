"""The Debian archive that this machine uses, so that a container uses the same one.

No archive host is named here. The sources, the proxy and the validity checks come from the machine's own apt. On a
machine without Debian sources (Ubuntu, say) mmdebstrap's own default is used.
"""

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

_SUITE = re.compile(r"(?:bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)(?P<pocket>-\w+)?")
_INDEX_FORMAT = "$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)"
# What else of apt's configuration decides whether the archive can be reached and is believed.
_CONFIG = re.compile(
    r"(?:Acquire::(?:https?::|Check-Valid-Until|Check-Date|Max-FutureTime|Retries|ForceIPv[46])|APT::Authentication)",
    re.I,
)


@dataclass(frozen=True)
class Archive:
    """Where packages come from. An address is None where the machine has none of that kind."""

    main: str | None
    security: str | None
    config: str
    """apt.conf lines."""

    def sources(self, release: str) -> str:
        """Give a release's sources in deb822 form (sources.list(5)); empty where no main archive is known."""
        if self.main is None:
            return ""
        blocks = [(self.main, f"{release} {release}-updates")]
        if self.security:
            blocks.append((self.security, f"{release}-security"))
        return "\n".join(
            f"Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nSigned-By: {KEYRING}\n"
            for uri, suites in blocks
        )

    def one_line_sources(self, release: str) -> str:
        """Give a release's sources in the older form, one line each."""
        lines = []
        for block in self.sources(release).split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if line)
            lines += [f"deb {fields['URIs']} {suite} main" for suite in fields.get("Suites", "").split()]
        return "".join(f"{line}\n" for line in lines)


def as_seen_inside(text: str) -> str:
    """Rewrite addresses for use in a container, where localhost is the container itself."""
    return re.sub(r"(?<=://)(?:localhost|127\.0\.0\.1|\[::1\])(?=[:/\"]|$)", "host.containers.internal", text)


def parse_targets(lines: Iterable[str]) -> tuple[str | None, str | None]:
    """Find Debian's main and security archive in lines of `apt-get indextargets`.

    A line is "URI RELEASE COMPONENT ORIGIN", and the origin is missing until apt has fetched the lists. Third parties
    use Debian's release names for archives of their own, so the origin counts where it is known.
    """
    main: str | None = None
    security: str | None = None
    for line in lines:
        uri, release, component, *origin = line.split()
        match = _SUITE.fullmatch(release)
        if not match or component != "main" or not uri.startswith(("http://", "https://")):
            continue
        if origin[:1] != ["Debian"] and (origin or "debian" not in uri):
            continue
        if match["pocket"] == "-security":
            security = security or uri.rstrip("/")
        elif match["pocket"] is None:
            main = main or uri.rstrip("/")
    return main, security


def parse_config(dump: str) -> str:
    """Pick from `apt-config dump` what a container needs in order to reach the archive as this machine does."""
    lines = [line for line in dump.splitlines() if _CONFIG.match(line) and not line.endswith(' "";')]
    return "".join(f"{line}\n" for line in lines)


def look() -> Archive:
    """Ask this machine's apt."""
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", _INDEX_FORMAT, "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    main, security = parse_targets(targets.stdout.splitlines())
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True)
    return Archive(main=main, security=security, config=parse_config(dump.stdout))


def local_authorities() -> dict[str, str]:
    """Give the certificate authorities that this machine's owner added, by file name: a proxy's, often."""
    return {path.name: path.read_text() for path in sorted(Path("/usr/local/share/ca-certificates").glob("*.crt"))}
