"""EAN-13 barcodes as defined in ISO/IEC 15420."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

LEFT_ODD = (
    "0001101",
    "0011001",
    "0010011",
    "0111101",
    "0100011",
    "0110001",
    "0101111",
    "0111011",
    "0110111",
    "0001011",
)
PARITY = ("OOOOOO", "OOEOEE", "OOEEOE", "OOEEEO", "OEOOEE", "OEEOOE", "OEEEOO", "OEOEOE", "OEOEEO", "OEEOEO")
QUIET = 9


def ean13(text: str) -> str:
    """Return a 13-digit EAN: `text` if it has 12 or 13 digits, otherwise derived from its hash (prefix 20: in-store).

    The last digit is always the computed check digit.
    """
    digits = text if text.isdecimal() and text.isascii() and len(text) in (12, 13) else ""
    if not digits:
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10**10
        digits = f"20{number:010d}"
    first = digits[:12]
    return first + check_digit(first)


def check_digit(first: str) -> str:
    """Compute the last digit of an EAN from an even number of digits before it (alternating weights 1 and 3)."""
    total = sum(int(digit) * (3 if index % 2 else 1) for index, digit in enumerate(first))
    return str(-total % 10)


def is_gtin(digits: str) -> bool:
    """Return whether the last of 8 to 14 digits is the check digit of the others, which are not all zero."""
    first, last = digits[:-1], digits[-1]
    return bool(int(first)) and check_digit(first.zfill(14)) == last


def modules(code: str) -> str:
    """Return the 95 modules of a 13-digit code as a string; 1 = bar, 0 = space."""
    sides = "".join(
        LEFT_ODD[int(digit)] if parity == "O" else _even_parity(int(digit))
        for digit, parity in zip(code[1:7], PARITY[int(code[0])], strict=True)
    )
    right = "".join(_invert_bits(LEFT_ODD[int(digit)]) for digit in code[7:])
    return f"101{sides}01010{right}101"


def _invert_bits(bits: str) -> str:
    return bits.translate(str.maketrans("01", "10"))


def _even_parity(digit: int) -> str:
    return _invert_bits(LEFT_ODD[digit])[::-1]


def barcode_image(code: str, *, module_px: int = 3) -> Image.Image:
    """Render black bars on white with a quiet zone; `module_px` is the width of one module in pixels."""
    bars = np.array([0] * QUIET + [int(bit) for bit in modules(code)] + [0] * QUIET, dtype=np.uint8)
    row = np.repeat(255 - bars * 245, module_px)
    image = np.full((70 * module_px, len(row)), 255, np.uint8)
    image[5 * module_px : 62 * module_px] = row
    return Image.fromarray(image).convert("RGB")
