"""Tokens: where a request carries one, what it must hold, and whom it makes its bearer."""

import base64
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs

import jwt
import msgspec
import structlog

from api.config import Config
from tracker.channels import Role, Viewer
from tracker.errors import ConfigurationError, NotAuthenticated, TokenExpired

log = structlog.get_logger()

_LONGEST_TOKEN = 8192
_SHORTEST_SECRET = 32  # bytes, RFC 7518 section 3.2
_LATEST_EXPIRY = 1e11  # the year 5138; beyond it somebody wrote milliseconds
_MOST_HEADERS = 16  # that tokens begin with; an issuer's all begin with one a key

_Id = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f\ud800-\udfff]+\Z")]

_SENTENCES: dict[type[jwt.PyJWTError], str] = {
    jwt.InvalidAlgorithmError: "The token is not signed with the algorithm this server expects.",
    jwt.InvalidSignatureError: "The token's signature is not valid.",
    jwt.InvalidAudienceError: "The token is for another audience.",
    jwt.InvalidIssuerError: "The token is from another issuer.",
}
"""Our own sentences: those of the library may repeat a part of the token."""


@dataclass(frozen=True)
class Claims:
    """What a valid token says."""

    viewer: Viewer
    expires_at: float  # Unix seconds, with the leeway
    lang: str | None


class _Payload(msgspec.Struct):
    sub: _Id
    role: Role
    exp: float
    nbf: float = 0.0
    driver_id: _Id | None = None
    customer_id: _Id | None = None
    lang: str | None = None


class Authenticator:
    """Verifies tokens with the one algorithm and the keys of the configuration; a JWKS file is read when it changes."""

    def __init__(self, config: Config) -> None:
        """Read the keys. Raises ConfigurationError where they are missing, weak or of another kind."""
        self._algorithm = config.jwt_algorithm
        self._leeway = config.jwt_leeway_s
        self._audience = config.jwt_audience or None
        self._issuer = config.jwt_issuer or None
        self._file = ""  # with keys that may change while the server runs
        self._stamp: tuple[int, ...] | None = None  # of the file when it was read
        self._key: Any = None
        self._keys: dict[str | None, Any] = {}
        """By `kid`; empty where there is but one key."""
        self._method = jwt.get_algorithm_by_name(self._algorithm)
        self._kids: dict[str, str | None] = {}
        """By the first parts of tokens that were accepted."""
        if self._algorithm == "HS256":
            self._key = self._method.prepare_key(secret_of(config))
        elif config.jwt_jwks_file:
            self._file = config.jwt_jwks_file
            self._stamp = _stamp(self._file)
            self._keys = _key_set(self._file, self._algorithm)
        else:
            self._key = _public_key(config.jwt_public_key_file, self._algorithm)

    def verify(self, token: str, now: float) -> Claims:
        """Whom this token makes its bearer at `now`. Raises NotAuthenticated, TokenExpired."""
        if len(token) > _LONGEST_TOKEN:
            raise NotAuthenticated(f"The token is longer than {_LONGEST_TOKEN} characters.")
        if not token.isascii():
            raise NotAuthenticated("This is not a JWT.")
        payload = self._payload(token)
        if payload.exp > _LATEST_EXPIRY:
            raise NotAuthenticated("The token's exp must be in Unix seconds.")
        if not now < payload.exp + self._leeway:  # NaN has expired, too
            raise TokenExpired
        if not payload.nbf <= now + self._leeway:
            raise NotAuthenticated("The token is not valid yet (nbf).")
        return Claims(_viewer(payload), payload.exp + self._leeway, payload.lang)

    def _payload(self, token: str) -> _Payload:
        head = token.partition(".")[0]
        if head in self._kids:
            payload = self._plain_payload(token, self._kids[head])
            if payload is not None:
                return payload
        payload = self._any_payload(token)
        if len(self._kids) < _MOST_HEADERS:
            self._kids[head] = _kid_of(token)
        return payload

    def _plain_payload(self, token: str, kid: str | None) -> _Payload | None:
        """Of a token whose header was accepted before, in a fifth of the library's time; None where that has to judge.

        Keys and claims are looked at each time, so nothing that was accepted once is so for that reason.
        """
        signed, _, signature = token.rpartition(".")
        try:
            if not self._method.verify(signed.encode(), self._key or self._key_named(kid), _decoded(signature)):
                return None
            claims = json.loads(_decoded(signed.partition(".")[2]))
            payload = msgspec.convert(claims, _Payload)
        except (ValueError, RecursionError):  # msgspec.ValidationError is one, too
            return None
        plain = isinstance(claims.get("jti", ""), str)
        plain = plain and (self._audience is None or claims.get("aud") == self._audience)
        return payload if plain and (self._issuer is None or claims.get("iss") == self._issuer) else None

    def _any_payload(self, token: str) -> _Payload:
        try:
            claims = jwt.decode(
                token,
                self._key or self._key_named(_kid_of(token)),
                algorithms=[self._algorithm],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "sub", "role"],
                    "verify_exp": False,  # time is an argument: `verify` looks at exp and nbf
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_sub": False,  # `_Payload` says what it must be
                    "verify_aud": self._audience is not None,
                },
            )
            return msgspec.convert(claims, _Payload)
        except jwt.MissingRequiredClaimError as error:
            raise NotAuthenticated(f"The token lacks the claim {error.claim}.") from None
        except jwt.PyJWTError as error:
            raise NotAuthenticated(_SENTENCES.get(type(error), "This is not a valid JWT.")) from None
        except msgspec.ValidationError as error:
            claim = str(error).partition("`$.")[2].rstrip("`")
            raise NotAuthenticated(f"The token's {claim} is not one this server can use.") from None

    def _read_again(self) -> None:
        """Take the keys of a file that has changed; while it is missing or no key set, those there were."""
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = _key_set(self._file, self._algorithm)
        except ConfigurationError as error:
            log.error("keys not read again", reason=error.message)
        else:
            self._kids.clear()  # of keys that may be gone; new ones need the room
            log.info("keys read again", kids=sorted(str(kid) for kid in self._keys))

    def _key_named(self, kid: str | None) -> Any:
        self._read_again()
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        if kid not in self._keys:
            raise NotAuthenticated("The token's kid names no key this server knows.")
        return self._keys[kid]


def find_token(headers: Mapping[str, str], query: str) -> str | None:
    """The token of a request: `token` of the query string, a bearer, or a subprotocol `bearer.<jwt>`."""
    given = parse_qs(query).get("token")
    if given:
        return given[0]
    scheme, _, token = _header(headers, "Authorization").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    for offered in _header(headers, "Sec-WebSocket-Protocol").split(","):
        name, _, token = offered.strip().partition(".")
        if name == "bearer" and token:
            return token
    return None


def secret_of(config: Config) -> str:
    """The secret of HS256 tokens. Raises ConfigurationError where it is missing or weak."""
    return _checked_secret(config.jwt_secret or _read(config.jwt_secret_file, "jwt_secret_file").strip())


def sign(secret: str, *, sub: str, role: Role, ttl_s: float, now: float, **claims: Any) -> str:
    """An HS256 token that is valid for `ttl_s` seconds from `now`. Raises ConfigurationError on a weak secret."""
    payload = {**claims, "sub": sub, "role": role, "iat": int(now), "exp": math.ceil(now + ttl_s)}
    return jwt.encode(payload, _checked_secret(secret), algorithm="HS256")


def sign_for(config: Config, sub: str, role: Role, *, ttl_s: float, now: float) -> str:
    """A token that a server with these settings accepts. Raises ConfigurationError without a secret to sign with."""
    if config.jwt_algorithm != "HS256":
        raise ConfigurationError(f"jwt_algorithm: {config.jwt_algorithm} tokens are signed where their private key is")
    claims = {name: value for name, value in (("aud", config.jwt_audience), ("iss", config.jwt_issuer)) if value}
    return sign(secret_of(config), sub=sub, role=role, ttl_s=ttl_s, now=now, **claims)


def _viewer(payload: _Payload) -> Viewer:
    """A driver or a customer is himself where the token does not say otherwise."""
    return Viewer(
        user_id=payload.sub,
        role=payload.role,
        driver_id=payload.driver_id or (payload.sub if payload.role == "driver" else None),
        customer_id=payload.customer_id or (payload.sub if payload.role == "customer" else None),
    )


def _kid_of(token: str) -> str | None:
    """The name of the key a token says it is signed with. Raises jwt.PyJWTError."""
    kid: str | None = jwt.get_unverified_header(token).get("kid")
    return kid


def _decoded(part: str) -> bytes:
    """The bytes of a part of a token. Raises ValueError where they would be written otherwise."""
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise ValueError
    return data


def _header(headers: Mapping[str, str], name: str) -> str:
    try:
        return headers.get(name, "")
    except LookupError:  # `websockets` raises where a header came twice; which one is meant cannot be known
        return ""


def _checked_secret(secret: str) -> str:
    if len(secret.encode()) < _SHORTEST_SECRET:
        raise ConfigurationError(
            f"jwt_secret: HS256 needs a secret of {_SHORTEST_SECRET} bytes or more; set TRACKER_JWT_SECRET, "
            "for example to what `openssl rand -hex 32` prints.",
            field="jwt_secret",
        )
    _prepare(secret, "HS256", "jwt_secret")
    return secret


def _public_key(file: str, algorithm: str) -> Any:
    if not file:
        raise ConfigurationError(
            f"jwt_public_key_file: {algorithm} needs a PEM file with the public key, or a jwt_jwks_file.",
            field="jwt_public_key_file",
        )
    return _prepare(_read(file, "jwt_public_key_file"), algorithm, "jwt_public_key_file")


def _key_set(file: str, algorithm: str) -> dict[str | None, Any]:
    """The keys of a JWKS file that are for signatures with this algorithm, by `kid`."""
    try:
        found = jwt.PyJWKSet.from_dict(json.loads(_read(file, "jwt_jwks_file")))
    except (ValueError, AttributeError, jwt.PyJWTError):
        raise ConfigurationError("jwt_jwks_file: not a JWKS file with usable keys.", field="jwt_jwks_file") from None
    keys = {
        key.key_id: _prepare(key.key, algorithm, "jwt_jwks_file")
        for key in found
        if key.algorithm_name == algorithm and key.public_key_use in (None, "sig")
    }
    if not keys:
        raise ConfigurationError(f"jwt_jwks_file: holds no {algorithm} key.", field="jwt_jwks_file")
    return keys


def _prepare(key: Any, algorithm: str, setting: str) -> Any:
    """The key as the algorithm uses it, if it is one of its public keys or secrets and long enough."""
    method = jwt.get_algorithm_by_name(algorithm)
    try:
        prepared = method.prepare_key(key)
    except (ValueError, TypeError, jwt.PyJWTError):
        raise ConfigurationError(f"{setting}: not a key for {algorithm}.", field=setting) from None
    if hasattr(prepared, "private_bytes"):
        raise ConfigurationError(f"{setting}: holds a private key; give the server the public one.", field=setting)
    weakness = method.check_key_length(prepared)
    if weakness:
        raise ConfigurationError(f"{setting}: {weakness}", field=setting)
    return prepared


def _stamp(file: str) -> tuple[int, ...] | None:
    """Changes when a file does; None where there is none."""
    try:
        stat = os.stat(file)
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _read(file: str, setting: str) -> str:
    if not file:
        return ""
    try:
        return Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{setting}: cannot read {file}: {error}", field=setting) from None
