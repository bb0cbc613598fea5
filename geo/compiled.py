"""Loops over fixes, compiled to machine code by numba: plain scalar Python over columns, at the speed of C.

A filter's next step needs its last one, so a driver's fixes cannot be one numpy call; and a tick of few fixes is all
fixed costs of numpy calls. Code is compiled on first use and kept: beside the source, else in the user's cache
directory, in `NUMBA_CACHE_DIR` where that is set; where none can be written, each process compiles its own.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import caching

F = TypeVar("F", bound=Callable[..., Any])

_njit: Any = numba.njit
_config: Any = numba.config
_ROOT = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(r"^(?:from|import) ((?:geo|tracker)[\w.]*)(?: import ([\w, ]+))?", re.MULTILINE)


def compiled(function: F) -> F:
    """Compile a function of arrays and numbers; the Python one stays at its `py_func`.

    Floating point is IEEE 754 to the letter: no reordering, so the same input gives the same bits, and a division by
    zero gives inf or NaN as in numpy.
    """
    return _compile(function, error_model="numpy")


def helper(function: F) -> F:
    """Compile a function that makes no arrays, but only reads or fills those given; into compiled ones that call it.

    Counting references to those, which an option of numba's own leaves out, costs more than a short function does; so
    does handing over a tuple of arrays, seven words each, which a call that is not inlined does.
    """
    return _compile(function, error_model="numpy", _nrt=False, forceinline=True)


def _compile(function: F, **options: Any) -> F:
    before = _config.CACHE_LOCATOR_CLASSES
    _config.CACHE_LOCATOR_CLASSES = ",".join(f"{__name__}.{place.__name__}" for place in (Given, Beside, OfUser))
    try:
        return cast(F, _njit(cache=True, **options)(function))
    except RuntimeError:  # no place for a cache can be written
        return cast(F, _njit(**options)(function))
    finally:
        _config.CACHE_LOCATOR_CLASSES = before


class _Stamped:
    """A cache is outdated when any source is that it was made from; numba itself looks at one file only."""

    _py_file: str

    def get_source_stamp(self) -> bytes:
        """A digest of the function's module and all of ours that it imports."""
        return _stamp(Path(self._py_file))


class Given(_Stamped, caching.UserProvidedCacheLocator):
    """`NUMBA_CACHE_DIR`."""


class Beside(_Stamped, caching.InTreeCacheLocator):
    """`__pycache__` of the module."""


class OfUser(_Stamped, caching.UserWideCacheLocator):
    """The user's cache directory."""


@lru_cache
def _stamp(path: Path) -> bytes:
    digest = hashlib.sha256()
    found = [path]
    for source in found:  # grows
        text = source.read_bytes()
        digest.update(text)
        found += [other for other in _imported(text.decode()) if other not in found]
    return digest.digest()


def _imported(text: str) -> Iterator[Path]:
    """The files of our own modules that a source imports."""
    for module, names in _IMPORT.findall(text):
        for name in (module, *(f"{module}.{name.strip()}" for name in names.split(","))):
            path = _ROOT.joinpath(*name.split("."))
            yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())
