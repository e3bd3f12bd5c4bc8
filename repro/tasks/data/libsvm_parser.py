"""LIBSVM's text format, compiled: a parser that takes a file in pieces.

A line is `label index:value index:value ...`, indices from 1, ascending. Values are read exactly as float() would for
up to 15 digits, which all of LIBSVM's sets have.
"""

import numpy as np
from numba import njit

SPACE, NEWLINE, RETURN, COLON, MINUS, PLUS, DOT, ZERO, NINE = (ord(c) for c in " \n\r:-+.09")
EXPONENTS = (ord("e"), ord("E"))
POWERS = np.array([10.0**power for power in range(23)])  # the powers of ten that float64 has exactly


@njit(cache=True)
def number(text: np.ndarray, at: int) -> tuple[float, int]:
    """Return the decimal number that starts at `at`, and where it ends: `at` itself if there is none."""
    start, sign = at, 1.0
    if at < text.size and (text[at] == MINUS or text[at] == PLUS):
        sign = -1.0 if text[at] == MINUS else 1.0
        at += 1
    digits, mantissa, power, after_dot = 0, np.int64(0), 0, False
    while at < text.size and (ZERO <= text[at] <= NINE or (text[at] == DOT and not after_dot)):
        if text[at] == DOT:
            after_dot = True
        else:
            if mantissa < 10**17:
                mantissa = mantissa * 10 + (text[at] - ZERO)
                power -= after_dot
            else:
                power += not after_dot
            digits += 1
        at += 1
    if digits == 0:
        return 0.0, start
    if at < text.size and (text[at] == EXPONENTS[0] or text[at] == EXPONENTS[1]):
        direction, exponent, mark = 1, 0, at
        at += 1
        if at < text.size and (text[at] == MINUS or text[at] == PLUS):
            direction = -1 if text[at] == MINUS else 1
            at += 1
        first = at
        while at < text.size and ZERO <= text[at] <= NINE:
            exponent = min(exponent * 10 + (text[at] - ZERO), 9999)
            at += 1
        if at == first:
            return 0.0, mark
        power += direction * exponent
    value = np.float64(mantissa)
    if power < -22 or power > 22:
        value *= 10.0**power
    elif power < 0:
        value /= POWERS[-power]
    else:
        value *= POWERS[power]
    return sign * value, at


@njit(cache=True)
def parse(
    text: np.ndarray,
    width: int,
    labels: np.ndarray,
    lengths: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
) -> tuple[int, int, bool]:
    """Parse whole lines into rows: labels, numbers of non-zeros, and these one after another.

    Args:
        text: bytes, uint8; the last is a newline.
        width: d; no index may be above.
        labels, lengths: of at least as many elements as there are lines.
        columns, values: of at least as many elements as there are colons.

    Returns:
        rows, non-zeros, and whether all was in the format; if not, the line that was not is the one after the rows.
    """
    at = rows = filled = 0
    while at < text.size:
        label, end = number(text, at)
        if end == at:
            return rows, filled, False
        at, first, before = end, filled, -1
        while True:
            while text[at] == SPACE or text[at] == RETURN:
                at += 1
            if text[at] == NEWLINE:
                break
            index, end = number(text, at)
            column = int(index) - 1
            if end == at or text[end] != COLON or not before < column < width or column + 1 != index:
                return rows, filled, False
            value, at = number(text, end + 1)
            if at == end + 1 or not (text[at] == SPACE or text[at] == RETURN or text[at] == NEWLINE):
                return rows, filled, False
            columns[filled], values[filled] = column, value
            before = column
            filled += 1
        labels[rows], lengths[rows] = label, filled - first
        rows += 1
        at += 1
    return rows, filled, True
