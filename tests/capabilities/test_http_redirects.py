"""What leads elsewhere, and what must not be told there: redirects and secrets."""

from __future__ import annotations

import pytest

from tests.capabilities.web import (
    SECRET,
    VALUES,
    Names,
    Page,
    Web,
    fetched,
    local,
    ok,
    packed,
    refusal,
    request,
)
from theater.capabilities.http_wire.service import HttpService

# -- redirects -------------------------------------------------------------------------------------------------------


def to(location: str, status: int = 302) -> Page:
    return Page(status=status, headers=(("Location", location),))


def test_a_redirect_is_followed_and_the_answer_says_where_it_came_from(web: Web, service: HttpService) -> None:
    web.pages |= {"/a": to("b?x=1#part"), "/b": to(f"http://here.example:{web.port}/c"), "/c": Page(b"here")}

    response = ok(fetched(service, local(web), request(f"{web.url}/a")))

    assert response["body"] == ("text", "here")
    assert response["url"] == f"http://here.example:{web.port}/c"
    assert [each.target for each in web.asked] == ["/a", "/b?x=1", "/c"]


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (303, "PUT", "GET"), (303, "HEAD", "HEAD"),
        (301, "PUT", "PUT"), (307, "POST", "POST"), (308, "POST", "POST"), (302, "GET", "GET"),
    ],
)  # fmt: skip
def test_a_redirect_keeps_the_method_or_becomes_a_get(
    web: Web, service: HttpService, status: int, method: str, becomes: str
) -> None:
    web.pages["/a"] = to("/b", status)
    asked = request(f"{web.url}/a", method, headers=[("content-type", "x/y")], body=("text", "body"))

    ok(fetched(service, local(web), asked))

    assert web.asked[1].method == becomes
    is_kept = becomes == method
    assert web.asked[1].body == (b"body" if is_kept else b"")
    assert ("content-type" in web.asked[1].headers) is is_kept


@pytest.mark.parametrize("limit", [1, 3, None])
def test_no_more_redirects_are_followed_than_were_wanted(web: Web, service: HttpService, limit: int | None) -> None:
    web.pages["/"] = to("/")

    answer = fetched(service, local(web), request(web.url, max_redirects=limit))

    assert answer == ("err", ("too-many-redirects", None))
    assert len(web.asked) == (10 if limit is None else limit) + 1


def test_without_redirects_one_is_an_answer_and_more_than_granted_are_denied(web: Web, service: HttpService) -> None:
    web.pages["/"] = to("/x")

    assert ok(fetched(service, local(web), request(web.url, max_redirects=0)))["status"] == 302
    assert refusal(local(web), request(web.url, max_redirects=11)) == ("denied", "redirects = 11")


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://127.0.0.2:{port}/", "denied"),
        ("http://elsewhere.example/", "denied"),
        ("https://127.0.0.1:{port}/", "denied"),
        ("//evil.example/", "denied"),
        ("http://rebound.example:{port}/", "denied"),
        ("http://user@here.example:{port}/", "protocol"),
        ("http://here.example:{port}@evil.example/", "protocol"),
        ("file:///etc/passwd", "protocol"),
        ("http://0x7f.1/", "protocol"),
        ("/x/..%2f..", "protocol"),
        ("http://[::ffff:127.0.0.1]:{port}/", "denied"),
        ("gopher://127.0.0.1/", "protocol"),
        ("http://[::1", "protocol"),
    ],
)
def test_a_redirect_out_of_the_grant_leads_nowhere(
    web: Web, service: HttpService, names: Names, location: str, error: str
) -> None:
    names.known["rebound.example"] = ["169.254.169.254"]
    web.pages["/"] = to(location.format(port=web.port))
    grant = local(web, f"GET http://rebound.example:{web.port}/")

    match fetched(service, grant, request(web.url)):
        case ("err", (str(case), str())):
            assert case == error
        case other:
            pytest.fail(repr(other))
    assert len(web.asked) == 1


def test_what_was_for_one_origin_is_not_told_another(web: Web, service: HttpService) -> None:
    web.pages |= {"/a": to("/b"), "/b": to(f"http://here.example:{web.port}/c"), "/c": to(f"{web.url}/d")}
    headers = [("Authorization", "Basic abc"), ("Cookie", "a=1"), ("X-Key", "{{secret:KEY}}"), ("X-Own", "1")]

    ok(fetched(service, local(web, secrets=["KEY"]), request(f"{web.url}/a", headers=headers)))

    private = [{"authorization", "cookie", "x-key"} & each.headers.keys() for each in web.asked]
    assert [len(each) for each in private] == [3, 3, 0, 0]
    assert all("x-own" in each.headers for each in web.asked)


# -- secrets ---------------------------------------------------------------------------------------------------------


def test_a_secret_is_put_in_on_the_way_out_and_masked_on_the_way_back(web: Web, service: HttpService) -> None:
    web.pages["/json"] = Page(b'{"key":"' + SECRET.replace("/", "\\/").encode() + b'"}', headers=(("X-Echo", SECRET),))
    grant = local(web, secrets=[f"KEY {web.url}/"])
    headers = [("Authorization", "Bearer {{secret:KEY}}")]

    echoed = ok(fetched(service, grant, request(f"{web.url}/x?key={{{{secret:KEY}}}}&z=1", headers=headers)))
    as_json = ok(fetched(service, grant, request(f"{web.url}/json", headers=headers)))

    assert web.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert web.asked[0].target == "/x?key=s3cr3t%2Fv%40lue%2Bx&z=1"
    assert SECRET not in repr(echoed)
    assert "s3cr3t" not in repr(echoed)
    assert "Bearer {{secret:KEY}}" in echoed["body"][1]
    assert echoed["url"] == f"{web.url}/x?key=%7B%7Bsecret:KEY%7D%7D&z=1"
    assert "s3cr3t" not in repr(as_json)
    assert ("x-echo", "{{secret:KEY}}") in as_json["headers"]


def test_a_packed_echo_and_one_in_a_redirect_are_masked_too(web: Web, service: HttpService) -> None:
    web.pages |= {
        "/packed": packed(b"you said " + SECRET.encode()),
        "/back": to("/echo?k=s3cr3t%2Fv%40lue%2Bx"),
        "/out": to("http://evil.example/s3cr3t%2Fv%40lue%2Bx"),
    }
    grant, headers = local(web, secrets=["KEY"]), [("x", "{{secret:KEY}}")]

    assert ok(fetched(service, grant, request(f"{web.url}/packed", headers=headers)))["body"][1] == (
        "you said {{secret:KEY}}"
    )
    assert "s3cr3t" not in repr(fetched(service, grant, request(f"{web.url}/back", headers=headers)))
    out = fetched(service, grant, request(f"{web.url}/out", headers=headers))
    assert out == ("err", ("denied", 'allow = ["GET http://evil.example/{{secret:KEY}}"]'))


def test_a_placeholder_that_a_server_writes_is_text(web: Web, service: HttpService) -> None:
    web.pages["/"] = to("/x?k={{secret:KEY}}")

    ok(fetched(service, local(web, secrets=["KEY"]), request(web.url, headers=[("x", "{{secret:KEY}}")])))

    assert web.asked[1].target == "/x?k=%7B%7Bsecret:KEY%7D%7D"


def test_a_secret_goes_nowhere_but_where_it_is_granted_for(web: Web, service: HttpService) -> None:
    asked = request(f"{web.url}/b", headers=[("x", "{{secret:KEY}}")])
    assert refusal(local(web), asked) == ("denied", f'secrets = ["KEY {web.url}/b"]')
    grant = local(web, secrets=[f"KEY {web.url}/a"])
    assert refusal(grant, asked) == ("denied", f'secrets = ["KEY {web.url}/b"]')
    in_query = request(f"{web.url}/b?{{{{secret:KEY}}}}")
    assert refusal(grant, in_query) == ("denied", f'secrets = ["KEY {web.url}/b"]')

    web.pages["/a"] = to("/b")
    ok(fetched(service, grant, request(f"{web.url}/a", headers=[("x", "{{secret:KEY}}")])))
    assert web.asked[0].headers["x"] == SECRET
    assert "x" not in web.asked[1].headers


@pytest.mark.parametrize("name", ["SHORT", "ODD", "MISSING"])
def test_a_secret_that_cannot_be_sent_is_named_and_not_told(web: Web, service: HttpService, name: str) -> None:
    asked = request(web.url, headers=[("x", f"{{{{secret:{name}}}}}")])

    match fetched(service, local(web, secrets=[name]), asked):
        case ("err", ("other", str(text))):
            assert text.startswith("secret-unavailable: ")
            assert name in text
            assert VALUES.get(name, "?") not in text
        case other:
            pytest.fail(repr(other))
    assert web.asked == []
