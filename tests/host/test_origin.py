"""Origins are parsed strictly and compared whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyodide_msgchan import ANY_ORIGIN, OPAQUE_ORIGIN
from pyodide_msgchan._origins import allowed_origins, parse, target_origin


@pytest.mark.parametrize(
    "given_origin,expected",
    [
        ("https://app.example", "https://app.example"),
        ("https://app.example/", "https://app.example"),
        ("HTTPS://App.Example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("http://app.example:443", "http://app.example:443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
        ("https://xn--fa-hia.de", "https://xn--fa-hia.de"),
        ("http://[::ffff:1.2.3.4]", "http://[::ffff:102:304]"),
        ("http://[1:0:0:2::3]", "http://[1:0:0:2::3]"),
        ("http://[0:0:1:0:0:0:2:0]", "http://[0:0:1::2:0]"),
        ("http://[1:0:2:3:4:5:6:7]", "http://[1:0:2:3:4:5:6:7]"),
        ("http://[::]", "http://[::]"),
        ("app://Local.Host:8080/", "app://Local.Host:8080"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("app://", "app://"),
        ("chrome-extension://abcdefgh", "chrome-extension://abcdefgh"),
    ],
)
def test_origins_are_written_as_browsers_do(given_origin, expected):
    assert parse(given_origin) == expected


@pytest.mark.parametrize(
    "bad",
    [
        "", "app.example", "//app.example", "https:", "https://", "https:/app.example", "https://app.example/path",
        "https://app.example?", "https://app.example#", "https://user@app.example", "https://app.example:",
        "https://app.example:65536", "https://app.example:-1", "https://app .example", " https://app.example",
        "https://app.example\n", "https://app..example",
        "https://-app.example",
        "https://a.example,https://b.example",
        "https://*.example", "http://1.2.3.256", "http://[::g]", "http://[::1",
        "https://faß.de", "https://bücher.example", "https://ς.example", "https://a\u200cb.example",
        "https://ex%61mple.com", "http://0x7f.1", "http://1.2.0x3", "http://127.1", "https://app.example\x00",
        "https://app.example:\uff14\uff14\uff13",
        "app://bücher", "app://host/path", "file:///", "app:host",
        "https://app.example\\", "*", "null", "/",
    ],
)  # fmt: skip
def test_what_is_no_origin_raises(bad):
    with pytest.raises(ValueError, match="not an origin"):
        parse(bad)


@pytest.mark.parametrize("host", ["faß.de", "bücher.example", "ς.example", "a\u200cb.example"])
def test_a_host_that_is_not_ascii_is_asked_for_in_ascii_off_the_browser(host):
    with pytest.raises(ValueError, match="xn--"):
        allowed_origins(f"https://{host}")


@pytest.mark.parametrize("bad", ["*", "null"])
def test_the_named_exceptions_are_pointed_out(bad):
    with pytest.raises(ValueError, match=r"ANY_ORIGIN|OPAQUE_ORIGIN"):
        target_origin(bad)


@pytest.mark.parametrize("bad", [None, 1, b"https://app.example"])
def test_what_is_no_string_is_a_type_error(bad):
    with pytest.raises(TypeError):
        target_origin(bad)


def test_targets():
    assert target_origin("https://app.example/") == "https://app.example"
    assert target_origin(ANY_ORIGIN) == target_origin(OPAQUE_ORIGIN) == "*"


def test_allowed():
    assert allowed_origins("https://a.example") == {"https://a.example"}
    assert allowed_origins(["https://a.example", OPAQUE_ORIGIN]) == {"https://a.example", "null"}
    assert allowed_origins(ANY_ORIGIN) == {"*"}
    with pytest.raises(ValueError, match="no origin"):
        allowed_origins([])
    assert (repr(ANY_ORIGIN), repr(OPAQUE_ORIGIN)) == ("ANY_ORIGIN", "OPAQUE_ORIGIN")


@given(st.text(max_size=40))
def test_whatever_is_parsed_is_stable_and_has_no_path(text):
    try:
        origin = parse(text)
    except ValueError:
        return
    assert parse(origin) == origin
    assert origin.count("/") == 2
