"""Loops over fixes, compiled to machine code by numba: plain scalar Python over columns, at the speed of C.

A filter's next step needs its last one, so a driver's fixes cannot be one numpy call; and a tick of few fixes is all
fixed costs of numpy calls. Compiled code is made on first use and kept in a cache beside the source.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function of arrays and numbers; the Python one stays at its `py_func`.

    Floating point is IEEE 754 to the letter: no reordering, so the same input gives the same bits, and a division by
    zero gives inf or NaN as in numpy.
    """
    return cast(F, njit(cache=True, error_model="numpy")(function))


def helper(function: F) -> F:
    """Compile a function for compiled ones to call, which makes no arrays: it only reads or fills those it is given.

    Counting references to those, which an option of numba's own leaves out, costs more than a short function does.
    """
    return cast(F, njit(cache=True, error_model="numpy", _nrt=False)(function))  # type: ignore[call-overload]
