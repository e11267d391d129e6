"""pem_bundle: what a server can't use is refused in one sentence and touches nothing; the rest is swapped in whole."""

from __future__ import annotations

import contextlib
import errno
import os
import ssl
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import pem_bundle, pem_chain  # type: ignore[attr-defined,unused-ignore]
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import given
from hypothesis import strategies as st

from library import host_certificates
from tests.unit.pki import HOST, Pair, Pki, issue, new_key

Run = Any

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="gives files away")


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


OWNER = {"owner": "root", "group": "root", "mode": "0600"}


def put(run_module: Run, options: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Have one bundle, as the role has it by its module; give what there is to say of it."""
    dest = Path(options["dest"])
    certificate = {"name": dest.stem, "services": [], "source": "files"}
    certificate |= {key: options[key] for key in ("chain", "key", "names")}
    bundle = {key: value for key, value in options.items() if key not in ("chain", "key", "names", "dest")}
    arguments = {"certificates": [certificate], "bundles": str(dest.parent), "bundle": bundle, "verify": False}
    answer: dict[str, Any] = run_module(host_certificates, arguments, check=check)
    facts: dict[str, Any] = answer.get("certificates", {}).get(dest.stem, {})
    return answer | facts | ({"diff": answer["diff"][0]} if answer.get("diff") else {})


def back(options: dict[str, Any], check: bool = False) -> dict[str, Any]:
    """Go back to the bundle before, as the module does where a port does not serve the new one."""
    try:
        answer: dict[str, Any] = pem_bundle.back({**OWNER, "fingerprint": "", **options}, check)
    except pem_chain.RefusedError as error:
        return {"failed": True, "msg": str(error)}
    return answer


@pytest.fixture(autouse=True)
def lock(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is not root has no /run."""
    monkeypatch.setattr(host_certificates, "LOCK", str(tmp_path_factory.mktemp("run") / "lock"))


def fingerprint(pair: Pair) -> str:
    return pair.certificate.fingerprint(hashes.SHA256()).hex()


# ---- what is accepted ----


@pytest.mark.parametrize("kind", ["ecdsa", "p384", "2048", "ed25519", "ed448"])
def test_a_good_pair_becomes_a_bundle_that_openssl_loads(run_module: Run, pki: Pki, kind: str) -> None:
    leaf = issue(issuer=pki.middle, kind=kind)
    options = pki.options(leaf)
    result = put(run_module, options)
    assert result["changed"]
    assert result["fingerprint"] == fingerprint(leaf)
    assert result["names"] == [HOST]
    assert result["days_left"] == 90
    assert result["chain"] == ["CN=mail.example.test", "CN=middle CA"]
    assert result["previous"] == ""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(options["dest"])
    assert stat.S_IMODE(Path(options["dest"]).stat().st_mode) == 0o600


def test_a_second_run_changes_nothing(run_module: Run, pki: Pki) -> None:
    options = pki.options()
    put(run_module, options)
    before = Path(options["dest"]).stat()
    again = put(run_module, options)
    assert not again["changed"]
    assert Path(options["dest"]).stat().st_ino == before.st_ino


@pytest.mark.parametrize("kind", ["2048", "ecdsa"])
def test_a_key_in_the_traditional_form_makes_the_same_bundle(run_module: Run, pki: Pki, kind: str) -> None:
    leaf = issue(issuer=pki.middle, kind=kind)
    options = pki.options(leaf)
    put(run_module, options)
    pki.write("key.pem", leaf.key_pem(traditional=True))
    assert not put(run_module, options)["changed"]


def test_text_around_the_blocks_is_left_out(run_module: Run, pki: Pki) -> None:
    leaf = issue(issuer=pki.middle)
    options = pki.options(leaf)
    pki.write(
        "chain.pem", b"Bag Attributes\n  friendlyName: x\n", leaf.pem, "ünïcode \0\n".encode(), pki.middle.pem, b"#"
    )
    assert put(run_module, options)["changed"]
    assert Path(options["dest"]).read_bytes().startswith(leaf.pem + pki.middle.pem + b"-----BEGIN PRIVATE KEY-----")


def test_windows_line_ends_are_read(run_module: Run, pki: Pki) -> None:
    leaf = issue(issuer=pki.middle)
    options = pki.options(leaf)
    pki.write("chain.pem", (leaf.pem + pki.middle.pem).replace(b"\n", b"\r\n"))
    assert put(run_module, options)["changed"]


@pytest.mark.parametrize("end", [b"  \n", b"\t\r\n", b" \r\n"])
def test_blanks_at_the_ends_of_lines_are_passed_over(run_module: Run, pki: Pki, end: bytes) -> None:
    leaf = issue(issuer=pki.middle)
    options = pki.options(leaf)
    put(run_module, options)
    pki.write("chain.pem", (leaf.pem + pki.middle.pem).replace(b"\n", end))
    pki.write("key.pem", leaf.key_pem().replace(b"\n", end))
    assert not put(run_module, options)["changed"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_certificate_that_is_there_twice_counts_once(run_module: Run, pki: Pki, number: int) -> None:
    leaf = issue(issuer=pki.middle)
    options = pki.options(leaf)
    put(run_module, options)
    pki.write("chain.pem", leaf.pem * number + pki.middle.pem * 2)
    assert not put(run_module, options)["changed"]


def test_chain_and_key_may_be_one_file(run_module: Run, pki: Pki) -> None:
    leaf = issue(issuer=pki.middle)
    both = str(pki.write("both.pem", leaf.key_pem(), leaf.pem, pki.middle.pem))
    assert put(run_module, pki.options(leaf) | {"chain": both, "key": both})["changed"]


def test_a_chain_with_its_own_root_needs_no_trust_store(run_module: Run, pki: Pki) -> None:
    options = pki.options(None, pki.middle, pki.root, roots=["/no/such/file"])
    assert put(run_module, options)["chain"][-1] == "CN=root CA"


def test_a_certificate_that_signs_itself_is_a_whole_chain(run_module: Run, pki: Pki) -> None:
    leaf = issue()
    options = pki.options(leaf) | {"chain": str(pki.write("alone.pem", leaf.pem)), "roots": []}
    assert put(run_module, options)["changed"]


@pytest.mark.parametrize(
    ("have", "want"),
    [
        (["*.example.test"], ["mail.example.test"]),
        (["MAIL.example.test"], ["mail.EXAMPLE.test"]),
        (["a.test", HOST], [HOST, "a.test"]),
        (["xn--bcher-kva.example.test"], ["bücher.example.test"]),
        (["192.0.2.1", "2001:db8::1"], ["192.0.2.1", "2001:db8:0::1"]),
        ([HOST], [HOST + "."]),
        ([HOST], []),
    ],
)
def test_names_that_are_covered(run_module: Run, pki: Pki, have: list[str], want: list[str]) -> None:
    options = pki.options(issue(issuer=pki.middle, names=have), names=want)
    assert put(run_module, options)["changed"]


def test_few_days_left_is_a_warning(run_module: Run, pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    monkeypatch.setattr("library.host_certificates.AnsibleModule.warn", lambda _, text: warnings.append(text))
    assert put(run_module, pki.options(issue(issuer=pki.middle, days=10)))["changed"]
    assert "expires in 10 days" in warnings[0]
    put(run_module, pki.options(warn_days=20))
    assert len(warnings) == 1


def test_an_issuer_that_expires_first_counts(run_module: Run, pki: Pki) -> None:
    middle = issue("middle CA", pki.root, ca=True, days=10)
    result = put(run_module, pki.options(issue(issuer=middle), middle))
    assert result["days_left"] == 10


def test_symlinked_sources_are_followed(run_module: Run, pki: Pki) -> None:
    options = pki.options()
    for name in ("chain", "key"):
        (pki.directory / f"live-{name}").symlink_to(options[name])
        options[name] = str(pki.directory / f"live-{name}")
    assert put(run_module, options)["changed"]


# ---- what is refused ----


def with_files(chain: Callable[[Pki, Pair], bytes], key: Callable[[Pki, Pair], bytes] | None = None) -> Any:
    """Make a fault out of what the two files hold."""

    def make(pki: Pki) -> dict[str, Any]:
        leaf = issue(issuer=pki.middle)
        options = pki.options(leaf)
        pki.write("chain.pem", chain(pki, leaf))
        if key:
            pki.write("key.pem", key(pki, leaf))
        return options

    return make


def good(pki: Pki, leaf: Pair) -> bytes:
    return leaf.pem + pki.middle.pem


def with_leaf(**details: Any) -> Any:
    """Make a fault out of a certificate's own details."""
    return lambda pki: pki.options(issue(issuer=pki.middle, **details))


def weak_issuer(**details: Any) -> Any:
    """Make a fault out of an intermediate's details."""

    def make(pki: Pki) -> dict[str, Any]:
        middle = issue("middle CA", pki.root, **({"ca": True} | details))
        return pki.options(issue(issuer=middle), middle)

    return make


def too_deep(pki: Pki) -> dict[str, Any]:
    """Let the intermediate, which allows none, have an authority below it."""
    low = issue("low CA", pki.middle, ca=True)
    return pki.options(issue(issuer=low), low, pki.middle)


def forged(pki: Pki) -> dict[str, Any]:
    """Take another authority of the same name."""
    return pki.options(issue(issuer=pki.middle), issue("middle CA", pki.root, ca=True))


def changed(**changes: Any) -> Any:
    """Make a fault out of an option."""
    return lambda pki: pki.options() | changes


FAULTS = {
    "no chain file": (changed(chain="/no/such/chain.pem"), "/no/such/chain.pem: No such file or directory"),
    "no key file": (changed(key="/no/such/key.pem"), "/no/such/key.pem: No such file or directory"),
    "chain is a directory": (changed(chain="/etc"), "/etc: Is a directory"),
    "endless chain": (changed(chain="/dev/zero"), "is larger than"),
    "empty": (with_files(lambda *_: b""), "chain.pem: holds nothing in PEM form (it is empty)"),
    "not PEM": (with_files(lambda *_: b"hello"), "chain.pem: holds nothing in PEM form"),
    "DER": (with_files(lambda _, leaf: leaf.der), "chain.pem: is DER or PKCS #12, not PEM; convert it"),
    "cut off": (with_files(lambda _, leaf: leaf.pem[:300]), "may be cut off"),
    "cut off before the next": (with_files(lambda p, leaf: leaf.pem[:300] + p.middle.pem), "may be cut off"),
    "damaged": (
        with_files(lambda p, leaf: leaf.pem.replace(b"M", b"!", 1) + p.middle.pem),
        "chain.pem: certificate 1 can't be read",
    ),
    "damaged inside": (
        with_files(lambda p, leaf: leaf.pem + p.middle.pem[:60] + b"\xff!\xff!" + p.middle.pem[64:]),
        "chain.pem: certificate 2 can't be read",
    ),
    "a key where the chain should be": (
        with_files(lambda _, leaf: leaf.key_pem()),
        "chain.pem: holds no certificate (only PRIVATE KEY)",
    ),
    "too many": (with_files(lambda p, leaf: leaf.pem + p.middle.pem * 10), "holds 11 certificates"),
    "a chain where the key should be": (with_files(good, good), "key.pem: holds no private keys, not one"),
    "two keys": (with_files(good, lambda _, leaf: leaf.key_pem() * 2), "key.pem: holds 2 private keys"),
    "encrypted key": (with_files(good, lambda _, leaf: leaf.key_pem(b"secret")), "key.pem: the key is encrypted"),
    "old encrypted key": (
        with_files(good, lambda _, leaf: leaf.key_pem(b"secret", traditional=True)),
        "key.pem: the key is encrypted",
    ),
    "damaged key": (
        with_files(good, lambda _, leaf: leaf.key_pem().replace(b"M", b"A")),
        "key.pem: the private key can't be read",
    ),
    "DER key": (with_files(good, lambda _, leaf: leaf.der), "key.pem: is DER"),
    "another's key": (
        with_files(good, lambda *_: issue().key_pem()),
        "key.pem: is not the key of CN=mail.example.test, the first certificate in",
    ),
    "the issuer first": (
        with_files(lambda p, leaf: p.middle.pem + leaf.pem),
        "that of certificate 2 (CN=mail.example.test); the server's own certificate must be the first",
    ),
    "the root before the intermediate": (
        with_files(lambda p, leaf: leaf.pem + p.root.pem + p.middle.pem),
        "certificate 2 (CN=root CA) has not issued the one before it: the order is wrong",
    ),
    "no intermediate": (
        with_files(lambda _, leaf: leaf.pem),
        "the chain ends with CN=mail.example.test, whose issuer (CN=middle CA) is neither in the file nor among",
    ),
    "the root without the intermediate": (
        with_files(lambda p, leaf: leaf.pem + p.root.pem),
        "a certificate between them is missing",
    ),
    "an authority of the same name": (forged, "certificate 2 (CN=middle CA) has not issued the one before it"),
    "an unknown root": (changed(roots=["/no/such/roots.pem"]), "among the roots of this host; add the missing"),
    "an issuer that is none": (weak_issuer(ca=False), "is not a certification authority's"),
    "an issuer that allows no other": (too_deep, "allows 0 authorities below it, and here are 1"),
    "an expired issuer": (weak_issuer(days=-1, begin=timedelta(-9)), "certificate 2 (CN=middle CA): expired on"),
    "expired": (with_leaf(days=-1, begin=timedelta(-9)), "certificate 1 (CN=mail.example.test): expired on"),
    "not yet valid": (with_leaf(begin=timedelta(1)), "is valid only from"),
    "for clients": (with_leaf(client=True), "is not for servers"),
    "1024 bits": (with_leaf(kind="1024"), "its key is RSA 1024; an RSA key has between 2048 and 8192 bits"),
    "an odd curve": (with_leaf(kind="k256"), "its key is ECDSA secp256k1; the curves that clients know are"),
    "DSA": (with_leaf(kind="dsa"), "its key is of type DSA"),
    "another name": (with_leaf(names=["www.example.test"]), f'not cover "{HOST}"; its names are www.example.test'),
    "a wildcard one level up": (with_leaf(names=["*.test"]), f'does not cover "{HOST}"'),
    "part of a label as a wildcard": (with_leaf(names=["m*.example.test"]), f'does not cover "{HOST}"'),
    "a common name only": (with_leaf(no_san=True), f'does not cover "{HOST}"; it has no subjectAltName'),
    "one name of two": (changed(names=[HOST, "mx.example.test"]), 'does not cover "mx.example.test"'),
    "a name that is none": (changed(names=["a..b"]), 'names: "a..b" is not a host name'),
    "no directory": (changed(dest="/no/such/dir/bundle.pem"), "its directory is not there"),
    "no such group": (changed(group="no-such-group"), "there is no group no-such-group on this host"),
    "no such owner": (changed(owner="no-such-user"), "there is no user no-such-user on this host"),
    "open to all": (changed(mode="0644"), 'mode: "0644" would let others at the key'),
    "not octal": (changed(mode="u=rw"), 'mode: "u=rw"'),
}


# What earlier tasks of a play make, which they have not done in check mode.
MADE_BEFORE = ("no chain file", "no such group", "no directory")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("check", [False, True])
def test_a_fault_is_named_and_nothing_is_touched(run_module: Run, pki: Pki, fault: str, check: bool) -> None:
    make, sentence = FAULTS[fault]
    options = make(pki)
    dest = pki.directory / "bundle.pem"
    dest.write_bytes(b"what was there")
    before = sorted(path.name for path in pki.directory.iterdir())
    result = put(run_module, options, check=check)
    if check and fault in MADE_BEFORE:
        assert result["changed"]
        return
    assert result["failed"]
    assert sentence in result["msg"]
    assert result["msg"].startswith("certs: ")
    assert "\n" not in result["msg"]
    assert dest.read_bytes() == b"what was there"
    assert sorted(path.name for path in pki.directory.iterdir()) == before


def test_dest_that_is_a_directory_is_refused(run_module: Run, pki: Pki) -> None:
    (pki.directory / "bundle.pem").mkdir()
    assert "bundle.pem: is there and is not a file" in put(run_module, pki.options())["msg"]


def test_dest_that_is_a_symlink_is_refused(run_module: Run, pki: Pki) -> None:
    target = pki.write("target.pem", b"x")
    (pki.directory / "bundle.pem").symlink_to("target.pem")
    result = put(run_module, pki.options())
    assert "is a symlink to target.pem" in result["msg"]
    assert target.read_bytes() == b"x"


@as_root
def test_an_unreadable_key(pki: Pki) -> None:
    """Root reads everything, so another user tries."""
    options = pki.options()
    Path(options["key"]).chmod(0o600)
    child = os.fork()
    if not child:
        os.setuid(65534)
        try:
            pem_chain.load_key(Path(options["key"]))
        except pem_chain.RefusedError as error:
            os._exit(0 if "Permission denied" in str(error) else 1)
        except PermissionError:
            os._exit(2)
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- how it is written ----


def test_check_mode_tells_and_does_nothing(run_module: Run, pki: Pki) -> None:
    options = pki.options()
    result = put(run_module, options, check=True)
    assert result["changed"]
    assert not Path(options["dest"]).exists()
    put(run_module, options)
    assert not put(run_module, options, check=True)["changed"]


def test_the_diff_shows_both_and_nothing_of_a_key(run_module: Run, pki: Pki) -> None:
    first, second = issue(issuer=pki.middle), issue(issuer=pki.middle)
    put(run_module, pki.options(first))
    result = put(run_module, pki.options(second), check=True)
    assert fingerprint(first) in result["diff"]["before"]
    assert fingerprint(second) in result["diff"]["after"]
    assert "names mail.example.test" in result["diff"]["after"]
    secret = second.key_pem().splitlines()[1].decode()
    assert secret not in str(result)


def test_the_bundle_before_is_kept_and_comes_back(run_module: Run, pki: Pki) -> None:
    first, second = issue(issuer=pki.middle), issue(issuer=pki.middle)
    options = pki.options(first)
    put(run_module, options)
    result = put(run_module, pki.options(second))
    assert result["previous"] == options["dest"] + ".previous"
    before = {"dest": options["dest"]}
    checked = back(before, check=True)
    assert checked["fingerprint"] == fingerprint(first)
    assert Path(options["dest"]).read_bytes().startswith(second.pem)
    result = back(before)
    assert result["changed"]
    assert result["fingerprint"] == fingerprint(first)
    assert Path(options["dest"]).read_bytes().startswith(first.pem)
    assert Path(options["dest"] + ".previous").read_bytes().startswith(second.pem)


def test_a_bundle_that_another_run_put_there_is_not_taken_back(run_module: Run, pki: Pki) -> None:
    ours, theirs = issue(issuer=pki.middle), issue(issuer=pki.middle)
    options = pki.options(issue(issuer=pki.middle))
    put(run_module, options)
    put(run_module, pki.options(ours))
    from_ours = {"dest": options["dest"], "fingerprint": fingerprint(ours)}
    put(run_module, pki.options(theirs))
    before = {path.name: path.read_bytes() for path in Path(options["dest"]).parent.iterdir() if path.is_file()}
    for check in (True, False):
        result = back(from_ours, check=check)
        assert result["failed"]
        assert f"{fingerprint(theirs)} is there, not {fingerprint(ours)}" in result["msg"]
    assert {name: (Path(options["dest"]).parent / name).read_bytes() for name in before} == before
    put(run_module, pki.options(ours))
    assert back(from_ours)["fingerprint"] == fingerprint(theirs)


def test_nothing_to_go_back_to(run_module: Run, pki: Pki) -> None:
    result = back({"dest": str(pki.directory / "bundle.pem")})
    assert "there is no bundle from before" in result["msg"]


@as_root
def test_owner_and_mode_are_final_and_are_repaired(run_module: Run, pki: Pki) -> None:
    options = pki.options(group="nogroup", mode="0640")
    put(run_module, options)
    dest = Path(options["dest"])
    assert (dest.owner(), dest.group(), stat.S_IMODE(dest.stat().st_mode)) == ("root", "nogroup", 0o640)
    dest.chmod(0o644)
    assert put(run_module, options, check=True)["changed"]
    assert put(run_module, options)["changed"]
    assert stat.S_IMODE(dest.stat().st_mode) == 0o640


def test_the_key_is_never_in_a_file_that_others_may_read(
    run_module: Run, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    really = os.fchmod

    def watch(fd: int, mode: int) -> None:
        seen.append((os.fstat(fd).st_size, stat.S_IMODE(os.fstat(fd).st_mode)))
        really(fd, mode)

    monkeypatch.setattr(os, "fchmod", watch)
    put(run_module, pki.options(mode="0640"))
    assert seen == [(0, 0o600)], "the mode is set before the first byte"


@pytest.mark.parametrize("call", ["fsync", "link"])
def test_a_full_disk_leaves_the_old_bundle(
    run_module: Run, pki: Pki, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    options = pki.options(issue(issuer=pki.middle))
    put(run_module, options)
    old = Path(options["dest"]).read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    result = put(run_module, pki.options(issue(issuer=pki.middle)))
    assert result["failed"]
    assert "No space left on device; the old bundle stays" in result["msg"]
    assert Path(options["dest"]).read_bytes() == old
    assert not [path for path in pki.directory.iterdir() if path.name.startswith(".")]


@as_root
def test_a_really_full_disk(run_module: Run, pki: Pki) -> None:
    disk = pki.directory / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8k,mode=755", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no mounts here")
    try:
        options = pki.options(dest=str(disk / "bundle.pem"))
        put(run_module, options)
        old = (disk / "bundle.pem").read_bytes()
        (disk / "rest").write_bytes(b"x" * 4096)
        result = put(run_module, pki.options(dest=str(disk / "bundle.pem")))
        assert "No space left on device" in result["msg"]
        assert (disk / "bundle.pem").read_bytes() == old
        assert sorted(path.name for path in disk.iterdir()) == ["bundle.pem", "rest"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_a_killed_run_left_does_not_hinder(run_module: Run, pki: Pki) -> None:
    for name in (".bundle.pem.new", ".bundle.pem.previous.new"):
        pki.write(name, b"half")
    put(run_module, pki.options())
    assert put(run_module, pki.options())["changed"]
    assert not [path for path in pki.directory.iterdir() if path.name.startswith(".")]


def test_a_planted_symlink_is_not_written_through(run_module: Run, pki: Pki) -> None:
    victim = pki.write("victim", b"precious")
    (pki.directory / ".bundle.pem.new").symlink_to(victim)
    assert put(run_module, pki.options())["changed"]
    assert victim.read_bytes() == b"precious"


def test_a_reader_always_sees_a_whole_bundle(run_module: Run, pki: Pki) -> None:
    options = pki.options()
    put(run_module, options)
    stop, trouble = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            # Read once, as one must: who opens the file twice may meet the old and the new one.
            content = Path(options["dest"]).read_bytes()
            key = serialization.load_pem_private_key(content[content.index(b"-----BEGIN PRIVATE") :], None)
            if not pem_chain.same_key(x509.load_pem_x509_certificate(content).public_key(), key.public_key()):
                trouble.append(content)

    reader = threading.Thread(target=load)
    reader.start()
    try:
        for _ in range(30):
            put(run_module, pki.options())
            back({"dest": options["dest"]})
    finally:
        stop.set()
        reader.join()
    assert not trouble


def test_the_file_is_on_disk_before_its_name_and_the_name_before_the_end(
    run_module: Run, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(run_module, pki.options())
    options = pki.options(issue(issuer=pki.middle))
    done: list[str] = []
    sync, rename = os.fsync, Path.replace

    def fsync(fd: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(fd).st_mode) else "file")
        sync(fd)

    def replace(path: Path, target: Path) -> Path:
        done.append(f"name {target.name}")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    assert put(run_module, options)["changed"]
    assert done == ["file", "name bundle.pem.previous", "name bundle.pem", "directory"]
    done.clear()
    assert back({"dest": options["dest"]})["changed"]
    assert done == ["name bundle.pem", "name bundle.pem.previous", "directory"]


# ---- attacks ----


HOSTILE = "\x1b[2Jmail\nFrom: root\r\n\u202egpj.exe"


def test_what_a_certificate_says_is_shown_but_not_obeyed(run_module: Run, pki: Pki) -> None:
    """A subject may hold any text. It must not begin a line in a log, a header in a mail, or move a cursor."""
    hostile = issue(HOSTILE, pki.middle, names=[HOST])
    result = put(run_module, pki.options(hostile))
    shown = [result["subject"], *result["names"], *result["chain"], *result["diff"]["after"].splitlines()]
    assert all(text.isprintable() for text in shown)
    refused: list[tuple[Pair, dict[str, Any]]] = [
        (issue(HOSTILE, pki.middle, names=["www.example.test"]), {}),
        (issue(HOSTILE, pki.middle, names=[HOST], days=-1, begin=timedelta(-9)), {}),
        (issue(issuer=issue(HOSTILE, pki.root, ca=True)), {}),
        (hostile, {"roots": []}),
        (hostile, {"key": str(pki.write("other.key", issue().key_pem()))}),
    ]
    for leaf, changes in refused:
        result = put(run_module, pki.options(leaf, **changes))
        assert result["failed"]
        assert result["msg"].isprintable()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_directory_that_others_may_write_to_is_refused(run_module: Run, pki: Pki, mode: int) -> None:
    place = pki.directory / "place"
    place.mkdir()
    place.chmod(mode)
    result = put(run_module, pki.options(dest=str(place / "bundle.pem")))
    assert f"its directory has the mode {mode:04o}, so that others could" in result["msg"]
    assert list(place.iterdir()) == []


def test_what_is_kept_of_a_bundle_that_was_open_to_all_is_not(run_module: Run, pki: Pki) -> None:
    options = pki.options()
    put(run_module, options)
    Path(options["dest"]).chmod(0o644)
    result = put(run_module, pki.options(issue(issuer=pki.middle)))
    assert stat.S_IMODE(Path(result["previous"]).stat().st_mode) == 0o600
    Path(result["previous"]).chmod(0o644)
    back({"dest": options["dest"]})
    assert stat.S_IMODE(Path(options["dest"]).stat().st_mode) == 0o600


def read_all_the_time(place: Path) -> int:
    """Try to open what is in a directory until there is a file called `end`; give how often that went well."""
    found = 0
    while not (place / "end").exists():
        for path in place.iterdir():
            with contextlib.suppress(OSError):
                os.close(os.open(path, os.O_RDONLY))
                found += 1
    return found


@as_root
def test_nobody_else_can_read_a_key_at_any_moment(run_module: Run, pki: Pki) -> None:
    """Another user tries to open everything in the directory, all the time, while bundles come and go."""
    # Not below pytest's own directory, which each run of pytest closes to others.
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        begun, begin = os.pipe()
        child = os.fork()
        if not child:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(begin, b".")
            try:
                os._exit(read_all_the_time(place) != 0)
            finally:
                os._exit(2)
        os.read(begun, 1)
        for _ in range(20):
            put(run_module, pki.options(dest=str(place / "bundle.pem"), mode="0640"))
            back({"dest": str(place / "bundle.pem"), "mode": "0640"})
        (place / "end").touch(0o000)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        os.close(begun)
        os.close(begin)


# ---- parsers are total ----

SAMPLE = issue(key=new_key())


@given(st.binary(max_size=2000), st.integers(0, 3000), st.integers(0, 3000))
def test_whatever_a_file_holds_there_is_an_answer(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, begin: int, end: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "sample.pem"
    whole = SAMPLE.pem + SAMPLE.key_pem()
    for content in (junk, whole[:begin] + junk + whole[end:]):
        file.write_bytes(content)
        for load in (pem_chain.load_chain, pem_chain.load_key):
            with contextlib.suppress(pem_chain.RefusedError):  # and nothing else
                load(file)


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("example.org", "example.org", True),
        ("*.example.org", "mx.example.org", True),
        ("*.org", "example.org", False),
        ("*", "org", False),
        ("*.example.org", "example.org", False),
        ("*.example.org", ".example.org", False),
        ("*.example.org", "a.mx.example.org", False),
    ],
)
def test_a_wildcard_stands_for_one_label_of_a_domain_that_somebody_owns(pattern: str, name: str, covered: bool) -> None:
    assert pem_chain.covers(pattern, name) is covered


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
def test_a_certificate_signed_with_a_digest_that_can_be_forged_is_refused(
    pki: Pki, run_module: Run, digest: str
) -> None:
    """Signed by openssl: cryptography makes none such."""
    leaf = issue()
    authority = pki.write("signer.pem", pki.middle.pem, pki.middle.key_pem())
    command: list[str | Path] = [
        "openssl",
        "x509",
        "-in",
        pki.write("leaf.pem", leaf.pem),
        "-CA",
        authority,
        "-CAkey",
        authority,
    ]
    command += ["-set_serial", "7", "-days", "90", f"-{digest}"]
    signed = subprocess.run(command, capture_output=True, check=True)
    again = Pair(x509.load_pem_x509_certificate(signed.stdout), leaf.key)
    answer = put(run_module, pki.options(again))
    if digest == "sha256":
        assert not answer.get("failed"), answer
    else:
        assert f"is signed with {digest.upper()}, which no client accepts any more" in answer["msg"]
