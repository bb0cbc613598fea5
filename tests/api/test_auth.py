"""Tokens: every way one can be wrong is refused by name, and no sentence repeats the token."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers as StarletteHeaders
from structlog.testing import capture_logs
from websockets.datastructures import Headers

from api.auth import Authenticator, find_token, sign
from api.config import Config
from tracker.channels import Viewer
from tracker.errors import ConfigurationError, NotAuthenticated, TokenExpired

NOW = 1_760_000_000.0
SECRET = "0123456789abcdef0123456789abcdef"
ELLIPTIC = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(65537, 2048)
KEYS = {"RS256": RSA, "ES256": ELLIPTIC, "EdDSA": EDWARDS}


def authenticator(**settings) -> Authenticator:
    return Authenticator(Config(**{"jwt_secret": SECRET, "jwt_leeway_s": 0.0} | settings))


def token(key=SECRET, algorithm: str = "HS256", headers=None, without: str = "", **claims) -> str:
    payload = {"sub": "U1", "role": "driver", "exp": NOW + 60} | claims
    payload.pop(without, None)
    return jwt.encode(payload, key, algorithm=algorithm, headers=headers)


def public_pem(key, path: Path) -> str:
    path.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(path)


def private_pem(key, path: Path) -> str:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(path)


def key_set(path: Path, **keys) -> str:
    methods = {
        kid: jwt.get_algorithm_by_name(next(a for a, k in KEYS.items() if type(k) is type(keys[kid]))) for kid in keys
    }
    jwks = [methods[kid].to_jwk(key.public_key(), as_dict=True) | {"kid": kid} for kid, key in keys.items()]
    path.write_text(json.dumps({"keys": jwks}))
    return str(path)


def refusal(who: Authenticator, text: str, now: float = NOW) -> NotAuthenticated:
    with pytest.raises(NotAuthenticated) as caught:
        who.verify(text, now)
    assert text not in caught.value.message
    assert all(part not in caught.value.message for part in text.split(".") if len(part) > 3)
    return caught.value


def test_a_signed_token_says_who_it_is():
    text = sign(SECRET, sub="D1", role="driver", ttl_s=60, now=NOW, lang="en")
    claims = authenticator().verify(text, NOW)
    assert claims.viewer == Viewer("D1", "driver", driver_id="D1", customer_id=None)
    assert (claims.expires_at, claims.lang) == (NOW + 60, "en")


@pytest.mark.parametrize(
    ("claims", "driver_id", "customer_id"),
    [
        ({"role": "driver"}, "U1", None),
        ({"role": "driver", "driver_id": "D7"}, "D7", None),
        ({"role": "customer"}, None, "U1"),
        ({"role": "customer", "customer_id": "C7"}, None, "C7"),
        ({"role": "office"}, None, None),
        ({"role": "admin"}, None, None),
        ({"role": "service"}, None, None),
    ],
)
def test_a_driver_or_customer_is_the_subject_unless_the_token_names_another(claims, driver_id, customer_id):
    viewer = authenticator().verify(token(**claims), NOW).viewer
    assert viewer == Viewer("U1", claims["role"], driver_id, customer_id)


def test_a_token_ends_at_exp():
    who = authenticator()
    assert who.verify(token(), NOW + 59.9)
    assert isinstance(refusal(who, token(), NOW + 60), TokenExpired)


def test_leeway_lengthens_both_ends():
    who = authenticator(jwt_leeway_s=5.0)
    assert who.verify(token(), NOW + 64).expires_at == NOW + 65
    assert isinstance(refusal(who, token(), NOW + 65), TokenExpired)
    assert who.verify(token(nbf=NOW + 5), NOW)
    assert "nbf" in refusal(who, token(nbf=NOW + 6), NOW).message


@pytest.mark.parametrize("claim", ["exp", "sub", "role"])
def test_a_missing_claim_is_named(claim):
    assert f"lacks the claim {claim}" in refusal(authenticator(), token(without=claim)).message


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("role", "boss"),
        ("role", ["admin"]),
        ("sub", ""),
        ("sub", "a\nb"),
        ("sub", "a\x00b"),
        ("sub", "\ud800"),
        ("sub", "x" * 201),
        ("sub", 5),
        ("exp", "tomorrow"),
        ("exp", True),
        ("exp", float("nan")),
        ("exp", (NOW + 60) * 1000),
        ("nbf", float("nan")),
        ("nbf", "now"),
        ("driver_id", 5),
        ("customer_id", ""),
        ("lang", 1),
    ],
)
def test_a_claim_of_another_form_is_refused_and_named(claim, value):
    assert claim in refusal(authenticator(), token(**{claim: value})).message


def test_a_token_of_another_secret_is_refused():
    assert "signature" in refusal(authenticator(), token(key=SECRET[::-1])).message


def test_an_unsigned_token_is_refused():
    assert "algorithm" in refusal(authenticator(), jwt.encode({"sub": "U1", "exp": NOW + 60}, None, "none")).message


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_the_token_cannot_choose_its_algorithm(algorithm):
    assert "algorithm" in refusal(authenticator(), token(algorithm=algorithm)).message


def test_the_public_key_is_no_secret(tmp_path):
    """The classic confusion: HS256 over the text of the public key."""
    file = public_pem(ELLIPTIC, tmp_path / "key.pem")
    who = authenticator(jwt_algorithm="ES256", jwt_public_key_file=file)
    header, payload, _ = token().split(".")
    hmac = jwt.get_algorithm_by_name("HS256")
    signature = hmac.sign(f"{header}.{payload}".encode(), Path(file).read_bytes())
    forged = f"{header}.{payload}.{jwt.utils.base64url_encode(signature).decode()}"
    assert "algorithm" in refusal(who, forged).message


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "token", "é.é.é", "\ud800", "[" * 3000, token()[:-4], token() + "."]
)
def test_what_is_no_jwt_is_refused(text):
    with pytest.raises(NotAuthenticated):
        authenticator().verify(text, NOW)


def test_a_header_nested_too_deeply_is_refused():
    nested = jwt.utils.base64url_encode(b"[" * 5000).decode()
    refusal(authenticator(), f"{nested}.e30.e30")


def test_an_over_long_token_is_refused_before_it_is_read():
    assert "longer" in refusal(authenticator(), token(notes="x" * 8192)).message


@given(st.text(max_size=50) | st.binary(max_size=50).map(lambda b: b.decode("latin-1")))
def test_any_text_is_refused_with_a_sentence(text):
    with pytest.raises(NotAuthenticated):
        authenticator().verify(text, NOW)


def test_audience_and_issuer_are_checked_where_configured():
    who = authenticator(jwt_audience="drivers", jwt_issuer="https://login")
    assert who.verify(token(aud=["drivers", "x"], iss="https://login"), NOW)
    assert "audience" in refusal(who, token(aud="customers", iss="https://login")).message
    assert "issuer" in refusal(who, token(aud="drivers", iss="https://other")).message
    assert "aud" in refusal(who, token(iss="https://login")).message
    assert "iss" in refusal(who, token(aud="drivers")).message


def test_audience_and_issuer_do_not_matter_where_not_configured():
    assert authenticator().verify(token(aud="anything", iss="anyone"), NOW)


def outcome(judge: Callable[[str], Any], text: str) -> Any:
    try:
        return judge(text)
    except NotAuthenticated as error:
        return error.message


ANYTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(["here"])
NAMES = ["sub", "role", "exp", "aud", "iss", "jti", "nbf", "lang", "driver_id", "x"]


@given(
    who=st.sampled_from([authenticator(), authenticator(jwt_audience="here"), authenticator(jwt_issuer="here")]),
    changed=st.dictionaries(st.sampled_from(NAMES), st.just("here") | ANYTHING, max_size=2),
    secret=st.sampled_from([SECRET, SECRET, SECRET[::-1]]),
    without=st.sampled_from(["", "", "sub", "iss"]),
    headers=st.sampled_from([None, {"kid": "k"}, {"crit": ["exp"], "exp": 1}]),
    edits=st.just([]) | st.lists(st.tuples(st.integers(0, 300), st.sampled_from([*"AQgw-_.= \n", ""])), max_size=1),
)
def test_a_token_like_others_before_is_judged_as_the_library_does(who, changed, secret, without, headers, edits):
    who.verify(token(headers={"kid": "k"}, aud="here", iss="here"), NOW)
    who.verify(token(aud="here", iss="here"), NOW)
    claims = {"sub": "U1", "role": "driver", "exp": NOW + 60, "aud": "here", "iss": "here"} | changed
    claims.pop(without, None)
    text = jwt.PyJWS().encode(json.dumps(claims).encode(), secret, "HS256", headers)
    for at, character in edits:
        text = text[: at % len(text)] + character + text[at % len(text) + 1 :]
    assert outcome(who._payload, text) == outcome(who._any_payload, text)


def test_a_known_beginning_excuses_nothing():
    who = authenticator()
    text = token()
    assert who.verify(text, NOW)
    same_bits = text[:-1] + chr(ord(text[-1]) + 1)  # base64 has two more bits here than the signature
    assert "not a valid JWT" in refusal(who, same_bits).message
    assert "not a valid JWT" in refusal(who, token(jti=5)).message
    assert "not a valid JWT" in refusal(who, f"{text}==").message
    assert who.verify(f"{text}=", NOW), "as some issuers write it"


@pytest.mark.parametrize("algorithm", ["HS256", *KEYS])
def test_the_library_judges_the_first_of_tokens_that_begin_alike(algorithm, tmp_path, monkeypatch):
    key = KEYS.get(algorithm, SECRET)
    keys = {"jwt_jwks_file": key_set(tmp_path / "jwks.json", mine=key)} if algorithm in KEYS else {}
    who = authenticator(jwt_algorithm=algorithm, **keys)
    first, next_, forged = (token(key, algorithm, {"kid": "mine"}, sub=sub) for sub in ("U1", "U2", "U3"))
    assert who.verify(first, NOW)
    monkeypatch.setattr(jwt, "decode", None)
    assert who.verify(next_, NOW).viewer.user_id == "U2"
    assert isinstance(refusal(who, next_, NOW + 60), TokenExpired)
    monkeypatch.undo()
    assert "signature" in refusal(who, ".".join([*next_.split(".")[:2], forged.split(".")[2]])).message
    assert "signature" in refusal(who, ".".join([next_.split(".")[0], *forged.split(".")[1:2], "AAAA"])).message


def test_an_issuer_of_many_headers_costs_no_memory():
    who = authenticator()
    for n in range(100):
        assert who.verify(token(headers={"n": n}), NOW)
    assert len(who._kids) == 16


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_public_key_verifies(algorithm, tmp_path):
    file = public_pem(KEYS[algorithm], tmp_path / "key.pem")
    who = authenticator(jwt_algorithm=algorithm, jwt_public_key_file=file)
    assert who.verify(token(KEYS[algorithm], algorithm), NOW).viewer.user_id == "U1"
    assert "algorithm" in refusal(who, token()).message


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_key_set_verifies_by_kid(algorithm, tmp_path):
    other = {"RS256": ELLIPTIC, "ES256": EDWARDS, "EdDSA": RSA}[algorithm]
    file = key_set(tmp_path / "jwks.json", mine=KEYS[algorithm], other=other)
    who = authenticator(jwt_algorithm=algorithm, jwt_jwks_file=file)
    assert who.verify(token(KEYS[algorithm], algorithm, {"kid": "mine"}), NOW)
    assert who.verify(token(KEYS[algorithm], algorithm), NOW), "the only key of this algorithm"
    assert "kid" in refusal(who, token(KEYS[algorithm], algorithm, {"kid": "other"})).message


def test_a_rotated_key_set_asks_for_the_kid(tmp_path):
    newer = ec.generate_private_key(ec.SECP256R1())
    file = key_set(tmp_path / "jwks.json", old=ELLIPTIC, new=newer)
    who = authenticator(jwt_algorithm="ES256", jwt_jwks_file=file)
    assert who.verify(token(newer, "ES256", {"kid": "new"}), NOW)
    assert "signature" in refusal(who, token(newer, "ES256", {"kid": "old"})).message
    assert "kid" in refusal(who, token(newer, "ES256")).message


def test_keys_rotate_when_the_file_changes(tmp_path):
    newer = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "jwks.json"
    who = authenticator(jwt_algorithm="ES256", jwt_jwks_file=key_set(path, old=ELLIPTIC))
    old, new = token(ELLIPTIC, "ES256", {"kid": "old"}), token(newer, "ES256", {"kid": "new"})
    assert who.verify(old, NOW)
    assert "kid" in refusal(who, new).message
    replace_file(path, key_set(tmp_path / "both", old=ELLIPTIC, new=newer))
    assert who.verify(old, NOW) and who.verify(new, NOW)
    replace_file(path, key_set(tmp_path / "next", new=newer))
    assert who.verify(new, NOW)
    assert "kid" in refusal(who, old).message


def test_keys_that_come_and_go_are_judged_as_fast_as_the_first(tmp_path, monkeypatch):
    path = tmp_path / "jwks.json"
    who = authenticator(jwt_algorithm="ES256", jwt_jwks_file=key_set(path, first=ELLIPTIC))
    for n in range(20):
        replace_file(path, key_set(tmp_path / "next", **{f"key{n}": ELLIPTIC}))
        assert who.verify(token(ELLIPTIC, "ES256", {"kid": f"key{n}"}), NOW)
    monkeypatch.setattr(jwt, "decode", None)
    assert who.verify(token(ELLIPTIC, "ES256", {"kid": "key19"}, sub="U2"), NOW)


@pytest.mark.parametrize("broken", [None, "", "{", '{"keys":[]}'], ids=["gone", "empty", "half written", "no keys"])
def test_a_key_file_that_cannot_be_read_leaves_the_keys_there_were(tmp_path, broken):
    path = tmp_path / "jwks.json"
    who = authenticator(jwt_algorithm="ES256", jwt_jwks_file=key_set(path, mine=ELLIPTIC))
    text = token(ELLIPTIC, "ES256", {"kid": "mine"})
    path.unlink()
    if broken is not None:
        path.write_text(broken)
    with capture_logs() as logs:
        assert who.verify(text, NOW) and who.verify(text, NOW)
    assert [entry["event"] for entry in logs] == ["keys not read again"], "once"
    key_set(path, other=ELLIPTIC)
    assert "kid" in refusal(who, text).message


def replace_file(path: Path, other: str) -> None:
    """As a careful program writes one: whole, and then in place of the old."""
    Path(other).rename(path)


def test_a_secret_may_come_from_a_file(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert authenticator(jwt_secret="", jwt_secret_file=str(tmp_path / "secret")).verify(token(), NOW)


@pytest.mark.parametrize("secret", ["", "short", "x" * 31])
def test_a_weak_secret_refuses_to_start(secret):
    with pytest.raises(ConfigurationError, match="32 bytes") as caught:
        authenticator(jwt_secret=secret)
    assert caught.value.field == "jwt_secret"
    with pytest.raises(ConfigurationError):
        sign(secret, sub="U1", role="driver", ttl_s=60, now=NOW)


def test_a_missing_or_wrong_key_refuses_to_start(tmp_path):
    pem = public_pem(ELLIPTIC, tmp_path / "key.pem")
    for settings, reason in [
        ({"jwt_algorithm": "ES256"}, "needs a PEM file"),
        ({"jwt_algorithm": "ES256", "jwt_public_key_file": str(tmp_path / "none")}, "cannot read"),
        ({"jwt_algorithm": "RS256", "jwt_public_key_file": pem}, "not a key for RS256"),
        ({"jwt_algorithm": "EdDSA", "jwt_public_key_file": pem}, "not a key for EdDSA"),
        ({"jwt_algorithm": "HS256", "jwt_secret": Path(pem).read_text()}, "not a key for HS256"),
        ({"jwt_algorithm": "ES256", "jwt_jwks_file": pem}, "not a JWKS"),
        ({"jwt_algorithm": "ES256", "jwt_jwks_file": key_set(tmp_path / "jwks", a=RSA)}, "holds no ES256 key"),
        ({"jwt_secret": "", "jwt_secret_file": str(tmp_path / "none")}, "cannot read"),
    ]:
        with pytest.raises(ConfigurationError, match=reason):
            authenticator(**settings)


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_private_key_does_not_belong_on_the_server(algorithm, tmp_path):
    with pytest.raises(ConfigurationError, match="private key"):
        authenticator(jwt_algorithm=algorithm, jwt_public_key_file=private_pem(KEYS[algorithm], tmp_path / "key.pem"))


def test_a_short_rsa_key_refuses_to_start(tmp_path):
    file = public_pem(rsa.generate_private_key(65537, 1024), tmp_path / "key.pem")
    with pytest.raises(ConfigurationError, match="2048"):
        authenticator(jwt_algorithm="RS256", jwt_public_key_file=file)


@pytest.mark.parametrize("kind", [Headers, StarletteHeaders])
def test_a_token_is_found_in_query_then_bearer_then_subprotocol(kind):
    bearer = {"Authorization": "Bearer b.e.a"}
    protocol = {"Sec-WebSocket-Protocol": "tracker.v1, bearer.p.r.o"}
    assert find_token(kind(bearer | protocol), "lang=en&token=q.u.e") == "q.u.e"
    assert find_token(kind(bearer | protocol), "token=") == "b.e.a"
    assert find_token(kind({"authorization": "bearer  b.e.a "}), "") == "b.e.a"
    assert find_token(kind(protocol | {"Authorization": "Basic dXNlcg=="}), "") == "p.r.o"
    assert find_token(kind({"Sec-WebSocket-Protocol": "tracker.v1, bearer."}), "x=1") is None
    assert find_token(kind({}), "") is None


def test_two_authorization_headers_count_for_none():
    assert find_token(Headers([("Authorization", "Bearer a"), ("Authorization", "Bearer b")]), "") is None
