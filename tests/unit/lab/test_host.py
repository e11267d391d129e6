"""The decisions about a container's options, for machines of each kind."""

import dataclasses

import pytest
from sitelab.host import Cgroups, Host, UnfitHostError, cgroup_layout, has_capability

UNIFIED = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
HYBRID = (
    "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"
    "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
)
LEGACY = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n"

SERVER = Host(
    cgroups=Cgroups.UNIFIED,
    may_raise_limits=True,
    nofile=1 << 20,
    nproc=1 << 20,
    runtimes=frozenset({"crun", "runc"}),
    booted_with_systemd=True,
)


@pytest.mark.parametrize(
    ("mounts", "layout"), [(UNIFIED, Cgroups.UNIFIED), (HYBRID, Cgroups.HYBRID), (LEGACY, Cgroups.LEGACY)]
)
def test_the_layout_is_read_from_the_mounts(mounts: str, layout: Cgroups) -> None:
    assert cgroup_layout(mounts) is layout


@pytest.mark.parametrize(("mask", "held"), [("000001fffeffffff", False), ("000001ffffffffff", True)])
def test_a_capability_is_a_bit_of_the_effective_set(mask: str, held: bool) -> None:
    assert has_capability(f"Name:\tcat\nCapEff:\t{mask}\n", 24) is held


def test_a_plain_server_leaves_the_choices_to_podman() -> None:
    assert SERVER.podman_options() == []
    assert SERVER.run_options() == ["--privileged", "--systemd=always"]


def test_a_container_without_an_init_needs_nothing_of_systemds() -> None:
    host = dataclasses.replace(SERVER, cgroups=Cgroups.HYBRID)
    assert host.run_options(init=False) == ["--privileged", "--systemd=false"]


def test_a_hybrid_host_gets_runc_and_the_unified_hierarchy() -> None:
    host = dataclasses.replace(SERVER, cgroups=Cgroups.HYBRID)
    assert host.podman_options() == ["--runtime", "runc"]
    assert "/sys/fs/cgroup/unified:/sys/fs/cgroup:rw" in host.run_options()


def test_without_crun_a_unified_host_gets_runc() -> None:
    assert dataclasses.replace(SERVER, runtimes=frozenset({"runc"})).podman_options() == ["--runtime", "runc"]


def test_without_systemd_podman_manages_cgroups_itself() -> None:
    host = dataclasses.replace(SERVER, booted_with_systemd=False)
    assert host.podman_options() == ["--cgroup-manager", "cgroupfs"]


def test_limits_that_cannot_be_raised_are_asked_for_within_the_hard_limit() -> None:
    host = dataclasses.replace(SERVER, may_raise_limits=False, nofile=1024)
    options = host.run_options()
    assert "nofile=1024:1024" in options
    assert "nproc=8192:8192" in options


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cgroups": Cgroups.LEGACY}, "legacy layout"),
        ({"cgroups": Cgroups.HYBRID, "runtimes": frozenset({"crun"})}, "needs runc"),
        ({"runtimes": frozenset()}, "no container runtime"),
    ],
)
def test_an_unfit_host_is_told_why(changes: dict[str, object], reason: str) -> None:
    host = dataclasses.replace(SERVER, **changes)  # type: ignore[arg-type]
    with pytest.raises(UnfitHostError, match=reason):
        host.podman_options()
