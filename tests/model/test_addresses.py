import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reactor.errors import AddressRefused
from reactor.model.addresses import is_open, refuse_name, target_of

HOUSE = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0X7F.1/",
    "http://017700000001/",
    "http://0177.0.0.01/",
    "http://0/",
    "http://0.0.0.0/",
    "http://１２７.０.０.１/",
    "http://①②⑦.0.0.1/",
    "http://127。0。0。1/",
    "http://127.0.0.1./",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://a.localhost:8420/api/ops",
    "http://printer.local/",
    "http://metadata.google.internal/computeMetadata/v1/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://3232235777/",
    "http://100.64.0.1/",
    "http://100.100.100.200/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0xA9FEA9FE/",
    "http://168.63.129.16/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://[::1]/",
    "http://[::]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:c0a8:101::1]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
]
NO_URLS = [
    "",
    "/etc/passwd",
    "file:///etc/passwd",
    "ftp://example.com/",
    "gopher://127.0.0.1:25/",
    "javascript:alert(1)",
    "http://",
    "http:///path",
    "http://user@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1\\@example.com/",
    "http://exa mple.com/",
    "http://example.com/\r\nhost: x",
    "http://%31%32%37.0.0.1/",
    "http://[fe80::1%25eth0]/",
    "http://256.1.1.1/",
    "http://1.2.3.4.5/",
    "http://0x100000000/",
    "http://example.com:0/",
    "http://example.com:99999/",
    "http://example.com:x/",
    "http://a..b/",
    "http://[::1/",
    "http://" + "a" * 3000,
]


@pytest.mark.parametrize("url", HOUSE)
def test_no_spelling_of_an_address_of_the_house_is_let_through(url: str) -> None:
    with pytest.raises(AddressRefused):
        refuse_name(target_of(url))


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_plain_url_of_the_web_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        target_of(url)


@pytest.mark.parametrize(
    ("url", "place", "path"),
    [
        ("https://example.com", "example.com:443", "/"),
        ("HTTP://Example.COM:8080/a?b=c#d", "example.com:8080", "/a?b=c"),
        ("https://bücher.example/ä?ö", "xn--bcher-kva.example:443", "/%C3%A4?%C3%B6"),
        ("http://8.8.8.8/", "8.8.8.8:80", "/"),
        ("http://[2606:4700::1111]/", "[2606:4700::1111]:80", "/"),
    ],
)
def test_a_url_of_the_open_net_is_read_in_one_spelling(url: str, place: str, path: str) -> None:
    target = target_of(url)
    refuse_name(target)
    assert (target.place, target.path) == (place, path)
    assert target_of(target.url) == target


def test_a_place_that_a_person_named_is_let_through_and_no_other_port_of_it() -> None:
    refuse_name(target_of("http://127.0.0.1:5678/hook"), {"127.0.0.1:5678"})
    with pytest.raises(AddressRefused):
        refuse_name(target_of("http://127.0.0.1:5679/hook"), {"127.0.0.1:5678"})


@given(st.integers(0, 2**32 - 1))
def test_every_way_to_write_a_number_means_the_same_address(number: int) -> None:
    plain = str(ipaddress.IPv4Address(number))
    a, rest = number >> 24, number & 0xFFFFFF
    for host in (str(number), hex(number), f"0{number:o}", f"{a}.{rest}", f"{a:#x}.0{rest:o}"):
        assert target_of(f"http://{host}/").host == plain


@given(st.integers(0, 2**32 - 1))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_like_itself(number: int) -> None:
    inner = ipaddress.IPv4Address(number)
    if is_open(inner):
        return
    for outer in (0xFFFF << 32 | number, (0x64FF9B << 96) | number, (0x2002 << 112) | (number << 80), number):
        assert not is_open(ipaddress.IPv6Address(outer))


@given(st.text(max_size=60))
def test_any_text_is_a_target_or_refused(text: str) -> None:
    for url in (text, f"http://{text}"):
        try:
            target = target_of(url)
        except AddressRefused:
            continue
        assert target.host.isascii()
