"""No link-local and no cloud metadata address is called, however it is written."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.customer_lookup.directory.addresses import is_refused

REFUSED_4 = ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192"]


def six(bits: int) -> str:
    return str(ipaddress.IPv6Address(bits))


def spellings(address: str) -> list[str]:
    """An IPv4 address as resolvers take it, and as gateways and tunnels carry it in IPv6."""
    a, b, c, d = (int(part) for part in address.split("."))
    bits = int(ipaddress.IPv4Address(address))
    nat64 = 0x0064_FF9B_0001 << 80
    return [
        address,
        f"{address}.",
        f"{address}..",
        str(bits),
        hex(bits),
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a}.{b}.{c << 8 | d}",
        f"{a}.{b << 16 | c << 8 | d}",
        f"::ffff:{address}",
        f"[::ffff:{address}]",
        f"::{address}",
        f"::ffff:0:{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"64:ff9b:1:fffe::{address}",
        six(nat64 | bits >> 16 << 64 | (bits & 0xFFFF) << 40),
        six(nat64 | bits >> 24 << 64 | (bits & 0xFF_FFFF) << 32),
        six(nat64 | bits << 24),
        six(0x2002 << 112 | bits << 80 | 1),
        six(0x2001_0000 << 96 | bits << 64),
        six(0x2001_0000 << 96 | ~bits & 0xFFFF_FFFF),
        f"2001:db8::5efe:{address}",
        f"2001:db8::200:5efe:{address}",
    ]


@pytest.mark.parametrize("address", REFUSED_4)
def test_an_ipv4_address_is_refused_in_every_form(address: str) -> None:
    assert [each for each in spellings(address) if not is_refused(each)] == []


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "100.100.100.201", "8.8.8.8"])
def test_another_ipv4_address_is_allowed_in_every_form(address: str) -> None:
    assert [each for each in spellings(address) if is_refused(each)] == []


@pytest.mark.parametrize(
    "host",
    [
        "fe80::1",
        "fe80::1%eth0",
        "febf::1",
        "fd00:ec2::254",
        "fd00:0ec2:0:0::254",
        "[FD00:EC2::254]",
        "fd00:ec2::254%1",
        "fd00:ec2::23",
        "fd20:ce::254",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "instance-data.ec2.internal",
    ],
)
def test_a_metadata_service_is_refused_by_its_address_and_its_name(host: str) -> None:
    assert is_refused(host)


@pytest.mark.parametrize(
    "host",
    [
        "crm.example",
        "localhost",
        "::1",
        "fd00::1",
        "2001:4860:4860::8888",
        "fe80.example",
        "x" * 300,
    ],
)
def test_any_other_host_is_allowed(host: str) -> None:
    assert not is_refused(host)


@given(st.text(max_size=40))
def test_no_host_breaks_the_judgement(host: str) -> None:
    assert is_refused(host) in {True, False}
