"""URLs and rules: what is one place has one spelling, and no spelling leads out of what was granted."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theater.capabilities.http_addresses import is_public
from theater.capabilities.http_rules import parse_allow, parse_private, parse_secret
from theater.capabilities.http_url import URL_MAX_CHARS, parse_url


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("HTTPS://API.Example.COM", "https://api.example.com/"),
        ("https://api.example.com:443/v1", "https://api.example.com/v1"),
        ("http://api.example.com:443/v1", "http://api.example.com:443/v1"),
        ("https://api.example.com:/v1", "https://api.example.com/v1"),
        ("https://api.example.com./v1", "https://api.example.com/v1"),
        ("https://a.b/v1/../v2/./x", "https://a.b/v2/x"),
        ("https://a.b/v1/%2e%2E/v2", "https://a.b/v2"),
        ("https://a.b/../../x/..", "https://a.b/"),
        ("https://a.b/%41%7e%2f%c3%a4ä", "https://a.b/A~%2F%C3%A4%C3%A4"),
        ("https://a.b/a//b/", "https://a.b/a//b/"),
        ("https://a.b/x?q=%41&r=ä b".replace(" ", "+"), "https://a.b/x?q=A&r=%C3%A4+b"),
        ("https://a.b?", "https://a.b/?"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://[0:0::1]:80/", "http://[::1]/"),
        ("http://127.0.0.1./", "http://127.0.0.1/"),
        ("http://127\u30020.0.1/", "http://127.0.0.1/"),
    ],
)
def test_a_url_has_one_spelling(written: str, read: str) -> None:
    assert str(parse_url(written)) == read
    assert parse_url(read) == parse_url(written)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "//a.b/",
        "ftp://a.b/",
        "file:///etc/passwd",
        "https:/a.b",
        "https://",
        "https:///x",
        "http://user@a.b/",
        "http://user:pass@a.b/",
        "http://a.b@127.0.0.1/",
        "http://a.b\\@127.0.0.1/",
        "https://a.b/x#y",
        "https://a.b/x y",
        "https://a.b/x\r\nhost: c",
        "https://a.b/\x00",
        "https://a.b\t/",
        "https://a.b/%",
        "https://a.b/%2",
        "https://a.b/%zz",
        "https://a.b/?q=%g1",
        "https://a.b:0/",
        "https://a.b:65536/",
        "https://a.b:8x/",
        "https://a.b:-1/",
        "https://a.b:\u0661/",
        "https://a..b/",
        "https://a.b../",
        "https://.a.b/",
        "https://-a.b/",
        "https://a%2eb/",
        "https://a_b-.c/",
        "https://" + "a" * 64 + ".b/",
        "https://" + "a." * 130 + "b/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.256/",
        "http://1.2.3.4.5/",
        "http://127.0.0.1../",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[fe80::1%eth0]/",
        "http://[127.0.0.1]/",
        "http://[]/",
        "https://a.b/v1/..%2fadmin",
        "https://a.b/v1/%2e%2e%2fadmin",
        "https://a.b/v1/..%5cadmin",
        "https://a.b/v1/%252e%252e/admin",
        "https://a.b/v1/%25252e%25252e/admin",
        "https://a.b/v1/..;/admin",
        "https://a.b/v1/..;x=1/admin",
        "https://a.b/v1/%2e%2e;/admin",
        "https://a.b/v1/%c0%ae%c0%ae/admin",
        "https://a.b/v1/..%c0%afadmin",
        "https://a.b/v1/%20../admin",
        "https://a.b/" + "%25" * 9 + "2525252525252541",
        "https://a.b/" + "x" * URL_MAX_CHARS,
    ],
)
def test_what_is_read_differently_by_different_programs_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_url(written)


def test_an_escaped_slash_is_part_of_a_segment() -> None:
    rule = parse_allow("GET https://a.b/projects/")

    assert rule.allows("GET", parse_url("https://a.b/projects/group%2Fname"))
    assert not rule.allows("GET", parse_url("https://a.b/projects%2Fname"))


@pytest.mark.parametrize(
    ("rule", "method", "url", "is_allowed"),
    [
        ("GET https://a.b/v1/", "GET", "https://a.b/v1/", True),
        ("GET https://a.b/v1/", "GET", "https://a.b/v1/x?y", True),
        ("GET https://a.b/v1/", "GET", "https://a.b/v1", False),
        ("GET https://a.b/v1", "GET", "https://a.b/v1", True),
        ("GET https://a.b/v1", "GET", "https://a.b/v1?x=1", True),
        ("GET https://a.b/v1", "GET", "https://a.b/v1/x", True),
        ("GET https://a.b/v1", "GET", "https://a.b/v10", False),
        ("GET https://a.b/v1/", "GET", "https://a.b/v1/../v2", False),
        ("GET https://a.b/v1/", "GET", "https://a.b/V1/", False),
        ("GET https://a.b/", "GET", "https://a.b//x", True),
        ("GET https://a.b", "GET", "https://a.b/x", True),
        ("GET https://a.b", "GET", "https://a.b.evil.example/x", False),
        ("GET https://a.b", "GET", "https://a.b:444/", False),
        ("GET https://a.b", "GET", "http://a.b/", False),
        ("GET https://a.b", "GET", "https://x.a.b/", False),
        ("GET https://a.b", "POST", "https://a.b/", False),
        ("GET https://a.b", "HEAD", "https://a.b/", False),
        ("* https://a.b", "DELETE", "https://a.b/", True),
        ("PURGE https://a.b", "PURGE", "https://a.b/", True),
    ],
)
def test_a_rule_allows_its_method_and_what_is_below_its_url(rule: str, method: str, url: str, is_allowed: bool) -> None:  # noqa: FBT001 - a row
    assert parse_allow(rule).allows(method, parse_url(url)) is is_allowed


@pytest.mark.parametrize(
    "rule",
    [
        "https://a.b/",
        "get https://a.b/",
        "CONNECT https://a.b/",
        "GET",
        "GET a.b",
        "GET https://a.b/?q",
        "GET  https://a.b",
    ],
)
def test_a_rule_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_allow(rule)


@given(st.text(st.sampled_from("abA./%2eEfF5cC;\\:@?#[]0x17 é"), max_size=30))
def test_whatever_is_read_is_read_again_the_same_and_has_no_way_up(rest: str) -> None:
    try:
        url = parse_url("http://a.b/v1/" + rest)
    except ValueError:
        return
    assert parse_url(str(url)) == url
    assert ".." not in url.path.split("/")
    assert url.origin == ("http", "a.b", 80)


# -- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1", "127.255.255.254", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "fe80::1", "fc00::1", "fd12::1", "fec0::1",
        "ff02::1", "ff0e::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "2001::1", "100::1", "4000::1",
    ],
)  # fmt: skip
def test_an_address_that_is_somebodys_own_is_not_public(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    ["8.8.8.8", "93.184.216.34", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
)
def test_an_address_of_the_internet_is_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.0/8:8080", "10.0.0.0/8:8080"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("LocalHost:8080", "localhost:8080"),
        ("intranet.example.", "intranet.example"),
        ("::1", "[::1]"),
        ("[::1]:8080", "[::1]:8080"),
        ("fc00::/7", "[fc00::/7]"),
        ("[fc00::/7]:443", "[fc00::/7]:443"),
    ],
)
def test_a_private_place_is_a_name_or_a_network_and_perhaps_a_port(rule: str, shown: str) -> None:
    assert str(parse_private(rule)) == shown
    assert parse_private(shown) == parse_private(rule)


@pytest.mark.parametrize(
    "rule", ["", "10.0.0.1/8", "a b", "host:0", "host:99999", "[::1", "[::1]x", "*", "127.1", "http://a"]
)
def test_a_private_place_that_is_none_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_private(rule)


@pytest.mark.parametrize(
    ("rule", "url", "address", "is_allowed"),
    [
        ("localhost:8080", "http://localhost:8080/", "127.0.0.1", True),
        ("localhost:8080", "http://localhost:8081/", "127.0.0.1", False),
        ("localhost:8080", "http://127.0.0.1:8080/", "127.0.0.1", False),
        ("localhost", "http://localhost:8081/", "::1", True),
        ("127.0.0.0/8", "http://any.example/", "127.0.0.1", True),
        ("127.0.0.0/8", "http://[::ffff:127.0.0.1]/", "::ffff:127.0.0.1", True),
        ("127.0.0.0/8:81", "http://any.example/", "127.0.0.1", False),
        ("10.0.0.0/8", "http://any.example/", "127.0.0.1", False),
    ],
)
def test_a_private_place_is_reached_where_it_is_named(rule: str, url: str, address: str, is_allowed: bool) -> None:  # noqa: FBT001 - a row
    assert parse_private(rule).allows(parse_url(url), ipaddress.ip_address(address)) is is_allowed


def test_a_secret_goes_where_its_rule_says() -> None:
    assert parse_secret("KEY https://a.b/v1/").allows("KEY", parse_url("https://a.b/v1/x"))
    assert not parse_secret("KEY https://a.b/v1/").allows("KEY", parse_url("https://a.b/v2"))
    assert not parse_secret("KEY").allows("OTHER", parse_url("https://a.b/"))
    assert parse_secret("KEY").allows("KEY", parse_url("https://c.d/"))
    for text in ("", "1KEY", "a b", "KEY https://u@a.b/", "K" * 65):
        with pytest.raises(ValueError, match=r"\w"):
            parse_secret(text)
