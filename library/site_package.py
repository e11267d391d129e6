#!/usr/bin/python
# SPDX-License-Identifier: MIT
"""Ansible module: a Debian package of the site's own, made and installed on the host."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: site_package
short_description: Make a small Debian package on the host, and have it installed
description:
  - Makes an architecture-independent package of O(links), O(files) and O(scripts) with C(dpkg-deb), and installs it by
    C(apt-get), so that dpkg and apt know what the site owns and stands for.
  - Its version is O(version) and the first 8 digits of a digest of everything in it, so another content is another
    version. The same content is, byte by byte, the same file.
  - It is installed again where its version is another one, where a link or a file of it is not as it should be, and
    where somebody's diversion keeps one of its paths from it.
options:
  name:
    description: The package.
    type: str
    required: true
  state:
    description: V(absent) purges it. It fails where another package depends on it.
    type: str
    choices: [present, absent]
    default: present
  version:
    description: Version for humans, the first half of the package's. Required with O(state=present).
    type: str
  description:
    description: The first line is the summary, further ones are paragraphs.
    type: list
    elements: str
    default: []
  fields:
    description: Further fields of the control file, such as C(Provides).
    type: dict
    default: {}
  links:
    description: Symlinks, path to target. A target that is absolute must exist, except in check mode.
    type: dict
    default: {}
  files:
    description: Files, root's.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      content:
        description: All of it.
        type: str
        required: true
      mode:
        description: In octal, such as V(0755).
        type: str
        default: "0644"
  scripts:
    description: Maintainer scripts by their names, such as C(postinst).
    type: dict
    default: {}
  instead_of:
    description:
      - Packages to remove (not purge) in the same step, on hold or not, since they conflict with this one. What depends
        on them goes as well. Without any, it is an error if another package would go.
    type: list
    elements: str
    default: []
  cache:
    description: Directory that keeps the package's file.
    type: path
    default: /var/cache/qmail-site
attributes:
  check_mode:
    description: Makes the package in a temporary directory, and says what its installation would change.
    support: full
  diff_mode:
    description: Lists the packages, links and files that differ.
    support: full
author:
  - qmail-site
"""

EXAMPLES = r"""
- name: Own the command hello
  site_package:
    name: qmail-site-hello
    version: "1.0"
    description: [the site's hello]
    links:
      /usr/bin/hello: /opt/qmail-site/hello/current/bin/hello
"""

RETURN = r"""
version:
  description: The package's version.
  type: str
  returned: with O(state=present)
  sample: 1.0-5f70bf18
removed:
  description: Packages that were removed (in check mode, would be).
  type: list
  elements: str
  returned: with O(state=present)
file:
  description: The package's file.
  type: str
  returned: where something changed, except in check mode
sha256:
  description: Digest of the package's file.
  type: str
  returned: where something changed
"""

import hashlib
import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

EPOCH = 946684800
"""The time of everything in the package."""
MAINTAINER = "qmail-site <postmaster@localhost>"
APT = ["apt-get", "--quiet", "--yes", "--no-install-recommends", "--option=DPkg::Lock::Timeout=120", "--reinstall"]
# A host whose mail system was torn out has packages that miss it: this mends them.
APT += ["--fix-broken", "--allow-downgrades", "--allow-change-held-packages"]
TAIL_LINES = 15


class PackageError(Exception):
    """The sentence for the operator."""


def run(command: list[str], codes: tuple[int, ...] = (0,)) -> str:
    """Run a command that speaks English and asks nothing; give what it says on standard output."""
    settings = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "SOURCE_DATE_EPOCH": str(EPOCH)}
    done = subprocess.run(
        command, env=os.environ | settings, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode not in codes:
        said = "\n".join(f"  | {line}" for line in (done.stdout + done.stderr).splitlines()[-TAIL_LINES:])
        raise PackageError(f"`{' '.join(command)}` ended with exit code {done.returncode}:\n{said}")
    return done.stdout


def check(params: dict[str, Any]) -> None:
    """Refuse what makes no package."""
    for name in [params["name"], *params["instead_of"]]:
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name):
            raise PackageError(f"{name!r} is not a package's name (lower-case letters, digits and +.-)")
    if params["state"] == "absent":
        return
    if not re.fullmatch(r"[0-9][A-Za-z0-9.+~]*", params["version"] or ""):
        raise PackageError(f"version: {params['version']!r} is not a plain version (a digit; letters, digits and .+~)")
    for path in [*params["links"], *(file["path"] for file in params["files"])]:
        if not path.startswith("/") or {"", ".", ".."} & set(path.split("/")[1:]):
            raise PackageError(f"{path!r} is not an absolute path")
    for key, value in params["fields"].items():
        if not re.fullmatch(r"[A-Z][A-Za-z-]*", key) or "\n" in value:
            raise PackageError(f"fields: {key!r}: {value!r} is not a line of a control file")
    for file in params["files"]:
        if not re.fullmatch(r"0?[0-7]{3}", file["mode"]):
            raise PackageError(f'files: {file["mode"]!r} of {file["path"]} is not an octal mode such as "0755"')


def full_version(params: dict[str, Any]) -> str:
    """The version for humans and the digest of all that the package is."""
    keys = ("name", "version", "description", "fields", "links", "files", "scripts")
    content = json.dumps([{key: params[key] for key in keys}, MAINTAINER, EPOCH], sort_keys=True)
    return f"{params['version']}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def control(params: dict[str, Any]) -> str:
    """The control file."""
    summary, *paragraphs = params["description"] or [params["name"]]
    fields = {
        "Package": params["name"],
        "Version": full_version(params),
        "Architecture": "all",
        "Maintainer": MAINTAINER,
        "Section": "mail",
        "Priority": "optional",
        **params["fields"],
        "Description": "\n".join([summary, "\n .\n".join(f" {text}" for text in paragraphs)]).rstrip(),
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items())


def build(params: dict[str, Any], folder: Path) -> Path:
    """Make the package in FOLDER; neither the time nor the umask nor who runs this is in its bytes."""
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    contents = [("/DEBIAN/control", control(params), "0644")]
    contents += [(f"/DEBIAN/{name}", content, "0755") for name, content in params["scripts"].items()]
    contents += [(file["path"], file["content"], file["mode"]) for file in params["files"]]
    for path, content, mode in contents:
        place = tree / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")
        place.chmod(int(mode, 8))
    for path, target in params["links"].items():
        place = tree / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    for directory, _, _ in os.walk(tree):
        Path(directory).chmod(0o755)
    package = folder / f"{params['name']}_{full_version(params)}_all.deb"
    run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(package)])
    return package


def installed(name: str) -> str:
    """Version of an installed package, with what is not well about it; empty if it is not there."""
    said = run(["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}|${Version}", name], codes=(0, 1)).strip()
    status, _, version = said.partition("|")
    if not version or status[1] in "nc":
        return ""
    return version if re.fullmatch("[ih]i *", status) else f"{version} (dpkg: {status.strip()})"


def present_on_disk(params: dict[str, Any]) -> dict[str, str]:
    """What is at the package's paths: a line for each."""
    found = {}
    for path in params["links"]:
        place = Path(path)
        found[path] = f"-> {place.readlink()}" if place.is_symlink() else "a file" if place.exists() else "absent"
    for file in params["files"]:
        place = Path(file["path"])
        try:
            have = place.lstat()
            content = place.read_text(encoding="utf-8", errors="replace") if not place.is_symlink() else None
        except OSError:
            found[file["path"]] = "absent"
            continue
        same = "as packaged" if content == file["content"] else "altered"
        found[file["path"]] = f"{same}, {have.st_uid}:{have.st_gid} {have.st_mode & 0o7777:04o}"
    for path in found:
        name = run(["dpkg-divert", "--truename", path]).strip()
        if name != path:
            found[path] += f", diverted to {name}"
    return found


def wanted_on_disk(params: dict[str, Any]) -> dict[str, str]:
    """The same, as it should be."""
    links = {path: f"-> {target}" for path, target in params["links"].items()}
    return links | {file["path"]: f"as packaged, 0:0 {int(file['mode'], 8):04o}" for file in params["files"]}


def apt(package: Path, params: dict[str, Any], *options: str) -> str:
    """Have apt install the package's file, and remove what it is there instead of."""
    return run([*APT, *options, "install", str(package), *(f"{name}-" for name in params["instead_of"])])


def removed_for(package: Path, params: dict[str, Any]) -> list[str]:
    """Which packages would go if this one came. That it brings others is none of its business."""
    plan = apt(package, params, "--simulate")
    if others := [found for found in re.findall(r"^Inst (\S+)", plan, re.MULTILINE) if found != params["name"]]:
        raise PackageError(f"apt would install {', '.join(others)} with it; look at `apt-get --simulate install` first")
    return re.findall(r"^Remv (\S+)", plan, re.MULTILINE)


def install(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Make it, see what would go for it, and install it."""
    with tempfile.TemporaryDirectory(prefix="site-package-") as scratch:
        # apt reads the file as a user of its own.
        Path(scratch).chmod(0o755)
        package = build(params, Path(scratch))
        removed = removed_for(package, params)
        result = {"removed": removed, "sha256": hashlib.sha256(package.read_bytes()).hexdigest()}
        if removed and not params["instead_of"]:
            raise PackageError(f"it can't be installed beside {', '.join(removed)}, which would be removed for it")
        if check_mode:
            return result
        cache = Path(params["cache"])
        cache.mkdir(parents=True, exist_ok=True)
        kept = cache / package.name
        new = cache / f".{package.name}.new"
        new.unlink(missing_ok=True)
        new.write_bytes(package.read_bytes())
        new.chmod(0o644)
        new.replace(kept)
    apt(kept, params)
    for old in cache.glob(f"{params['name']}_*_all.deb"):
        if old != kept:
            old.unlink()
    return result | {"file": str(kept)}


def present(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Have it installed, and all of it in place."""
    name, version = params["name"], full_version(params)

    def state() -> dict[str, str]:
        return {name: installed(name) or "absent", **present_on_disk(params)}

    before, wanted = state(), {name: version, **wanted_on_disk(params)}
    result: dict[str, Any] = {"changed": before != wanted, "version": version, "removed": []}
    if not result["changed"]:
        return result
    if not check_mode:
        for path, target in params["links"].items():
            if target.startswith("/") and not Path(target).exists():
                raise PackageError(f"{path} is to lead to {target}, which is not there; install what brings it first")
    result |= install(params, check_mode)
    after = wanted if check_mode else state()
    if after != wanted:
        wrong = [f"{what} is {after[what]}, and not {how}" for what, how in wanted.items() if after[what] != how]
        raise PackageError(f"apt installed it, but {'; '.join(wrong)}")
    before |= dict.fromkeys(result["removed"], "present")
    after |= dict.fromkeys(result["removed"], "removed")
    texts = ["".join(f"{what}: {how}\n" for what, how in each.items()) for each in (before, after)]
    return result | {"diff": {"before": texts[0], "after": texts[1]}}


def absent(params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Have it purged; dpkg refuses where another package needs it."""
    have = installed(params["name"])
    if have and not check_mode:
        run(["dpkg", "--force-remove-protected", "--purge", params["name"]])
        for file in Path(params["cache"]).glob(f"{params['name']}_*_all.deb"):
            file.unlink()
    diff = {"before": f"{params['name']}: {have or 'absent'}\n", "after": f"{params['name']}: absent\n"}
    return {"changed": bool(have), "diff": diff}


def main() -> None:
    """Run as an Ansible module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "version": {"type": "str"},
            "description": {"type": "list", "elements": "str", "default": []},
            "fields": {"type": "dict", "default": {}},
            "links": {"type": "dict", "default": {}},
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str", "required": True},
                    "mode": {"type": "str", "default": "0644"},
                },
            },
            "scripts": {"type": "dict", "default": {}},
            "instead_of": {"type": "list", "elements": "str", "default": []},
            "cache": {"type": "path", "default": "/var/cache/qmail-site"},
        },
        required_if=[("state", "present", ("version",))],
        supports_check_mode=True,
    )
    params = module.params
    try:
        check(params)
        result = (present if params["state"] == "present" else absent)(params, module.check_mode)
    except (PackageError, OSError) as error:
        module.fail_json(msg=f"{params['name']}: {error}")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
