from __future__ import annotations

import pytest

from workbench.errors import ConfigError
from workbench.providers.address import check_ip, parse_address


@pytest.mark.parametrize(
    ("url", "kept", "netloc", "loopback"),
    [
        ("https://api.example.com/v1/", "https://api.example.com/v1", "api.example.com", False),
        ("https://API.Example.com:8443", "https://api.example.com:8443", "api.example.com:8443", False),
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1", "127.0.0.1:11434", True),
        ("http://localhost:1/v1", "http://localhost:1/v1", "localhost:1", True),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1", "[::1]:8000", True),
        ("https://8.8.8.8/v1", "https://8.8.8.8/v1", "8.8.8.8", False),
    ],
)
def test_a_good_url_is_kept(url, kept, netloc, loopback):
    address = parse_address(url)
    assert (address.url, address.netloc, address.loopback) == (kept, netloc, loopback)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/v1",
        "https://user@api.example.com/v1",
        "https://user:secret@api.example.com/v1",
        "https://:secret@127.0.0.1/v1",
        "https://10.0.0.7/v1",
        "https://192.168.1.1/v1",
        "https://169.254.169.254/latest",
        "http://169.254.169.254/latest",
        "https://[fd00:ec2::254]/v1",
        "https://[::ffff:10.0.0.1]/v1",
        "https://0.0.0.0/v1",
        "https://[::]/v1",
        "https://100.100.100.200/v1",
        "https://224.0.0.1/v1",
        "http://127.1:80/v1",
        "http://2130706433/v1",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "api.example.com/v1",
        "https:///v1",
        "https://api.example.com/v1?key=1",
        "https://api.example.com/v1#x",
        "https://api.example.com:99999/v1",
        "https://[::1/v1",
        "",
    ],
)
def test_a_bad_url_is_refused_with_a_cure(url):
    with pytest.raises(ConfigError) as caught:
        parse_address(url)
    assert caught.value.cure
    assert "secret" not in str(caught.value)


def test_a_private_address_is_allowed_where_it_was_asked_for_but_metadata_never():
    assert parse_address("https://10.0.0.7/v1", private=True).host == "10.0.0.7"
    for host in ("169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "0.0.0.0", "240.0.0.1"):
        with pytest.raises(ConfigError):
            parse_address(f"https://{host}/v1", private=True)
    with pytest.raises(ConfigError):
        parse_address("http://10.0.0.7/v1", private=True)


def test_what_a_name_resolves_to_is_checked_too():
    remote, here = parse_address("https://api.example.com"), parse_address("http://localhost:1")
    check_ip(remote, "93.184.216.34")
    check_ip(here, "127.0.0.1")
    for address, found in (
        (remote, "127.0.0.1"),
        (remote, "10.1.2.3"),
        (remote, "fe80::1%eth0"),
        (here, "8.8.8.8"),
    ):
        with pytest.raises(ConfigError, match="leads to"):
            check_ip(address, found)
