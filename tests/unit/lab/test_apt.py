"""What a container takes over from the machine's apt."""

import pytest
from sitelab import apt, image

TARGETS = """\
http://archive.example/debian/ bookworm main Debian
http://archive.example/debian/ bookworm-updates main Debian
http://archive.example/debian-security/ bookworm-security main Debian
http://vendor.example/debian/ bookworm main Vendor Inc.
http://vendor.example/apt/ cloud-tools main Vendor
"""


def test_main_and_security_are_found_by_their_release_and_origin() -> None:
    assert apt.parse_targets(TARGETS.splitlines()) == (
        "http://archive.example/debian",
        "http://archive.example/debian-security",
    )


def test_before_the_first_update_there_is_no_origin_and_the_address_decides() -> None:
    lines = ["http://vendor.example/apt/ bookworm main", "http://archive.example/debian/ bookworm main"]
    assert apt.parse_targets(lines) == ("http://archive.example/debian", None)


def test_a_third_party_that_uses_a_release_name_is_not_debian() -> None:
    assert apt.parse_targets(["http://vendor.example/debian/ bookworm main Vendor Inc."]) == (None, None)


def test_a_local_archive_is_no_use_in_a_container() -> None:
    assert apt.parse_targets(["file:/srv/debian/ bookworm main Debian"]) == (None, None)


def test_the_sources_name_the_release_that_is_asked_for() -> None:
    archive = apt.Archive("http://archive.example/debian", "http://archive.example/debian-security", "")
    assert archive.one_line_sources("trixie").splitlines() == [
        "deb http://archive.example/debian trixie main",
        "deb http://archive.example/debian trixie-updates main",
        "deb http://archive.example/debian-security trixie-security main",
    ]


def test_without_debian_sources_the_builder_is_left_to_its_default() -> None:
    assert apt.Archive(None, None, "").sources("trixie") == ""
    assert apt.Archive(None, None, "").one_line_sources("trixie") == ""


def test_of_the_configuration_only_the_way_to_the_archive_is_taken() -> None:
    dump = (
        'APT::Architecture "amd64";\nAcquire::http "";\nAcquire::http::Proxy "http://127.0.0.1:3142";\n'
        'Acquire::Languages "none";\nAcquire::Check-Valid-Until "false";\n'
    )
    assert apt.parse_config(dump) == (
        'Acquire::http::Proxy "http://127.0.0.1:3142";\nAcquire::Check-Valid-Until "false";\n'
    )


@pytest.mark.parametrize(
    ("outside", "inside"),
    [
        ('Proxy "http://127.0.0.1:3142";', 'Proxy "http://host.containers.internal:3142";'),
        ("URIs: http://localhost/debian", "URIs: http://host.containers.internal/debian"),
        ("URIs: http://localhost.example/debian", "URIs: http://localhost.example/debian"),
    ],
)
def test_the_machine_itself_has_another_name_inside(outside: str, inside: str) -> None:
    assert apt.as_seen_inside(outside) == inside


def test_an_image_is_named_after_all_that_it_is_made_from() -> None:
    one = apt.Archive("http://archive.example/debian", None, "")
    other = apt.Archive("http://other.example/debian", None, "")
    tags = {
        image.recipe("trixie", one, {}).tag,
        image.recipe("trixie", other, {}).tag,
        image.recipe("bookworm", one, {}).tag,
    }
    assert len(tags) == 3
    assert image.recipe("trixie", one, {}).tag in tags


def test_an_unknown_release_is_refused() -> None:
    with pytest.raises(ValueError, match='"buster" is not a Debian release that the playbooks support'):
        image.recipe("buster", apt.Archive(None, None, ""), {})
