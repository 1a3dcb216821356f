"""Kinds of packages, and the common words and codes that lists use for them.

GS1: its PackageTypeCode; UN: UN/ECE Recommendation 21. Only codes that determine the shape are included.
"""

from __future__ import annotations

import difflib

KINDS = ("carton", "gable_top", "can", "bottle", "jar", "pouch", "bag", "tube", "tray", "blister", "multipack")
# Chosen from the silhouette of the packshot.
AUTO = "auto"
# Lower-case letters only: spaces, hyphens and underscores are removed before a name is looked up.
NAMES: dict[str, str] = {
    **dict.fromkeys(("box", "cardboardbox", "foldingbox", "foldingcarton", "brick", "baginbox"), "carton"),
    **dict.fromkeys(("milkcarton", "gabletopcarton", "gable", "purepak"), "gable_top"),
    **dict.fromkeys(("tin", "drinkcan", "beveragecan", "foodcan", "aerosol", "spraycan", "canister"), "can"),
    **dict.fromkeys(("flask", "petbottle", "glassbottle", "jug", "sprayer", "dispenser"), "bottle"),
    **dict.fromkeys(("glassjar", "pot", "tub", "cup", "beaker"), "jar"),
    **dict.fromkeys(("standuppouch", "doypack", "doypouch", "standupbag", "sachet", "envelope"), "pouch"),
    **dict.fromkeys(("flowpack", "flowwrap", "pillowbag", "crispbag", "sack", "wrapper", "packet", "bread"), "bag"),
    **dict.fromkeys(("squeezetube", "toothpastetube"), "tube"),
    **dict.fromkeys(("punnet", "bowl", "dish", "mealtray"), "tray"),
    **dict.fromkeys(("blisterpack", "blistercard", "clamshell", "card", "skinpack"), "blister"),
    **dict.fromkeys(("multiunitpack", "sixpack", "bundle", "clusterpack", "shrinkpack"), "multipack"),
}
CODES: dict[str, str] = {
    **dict.fromkeys(("BX", "CT", "BRI", "BBG"), "carton"),  # GS1 box, carton, brick, bag in box
    "GTG": "gable_top",  # GS1
    **dict.fromkeys(("CNG", "AE", "CX", "TN"), "can"),  # GS1 can, aerosol; UN can (cylindrical), tin
    **dict.fromkeys(("BO", "JG", "BS"), "bottle"),  # GS1 bottle, jug; UN bottle (bulbous)
    **dict.fromkeys(("JR", "PT", "CU", "TB"), "jar"),  # GS1 jar, pot, cup or tub; UN tub
    **dict.fromkeys(("PO", "EN", "SH"), "pouch"),  # GS1 pouch, envelope; UN sachet
    **dict.fromkeys(("BG", "WRP", "IF", "SA"), "bag"),  # GS1 bag, wrapper; UN flow pack, sack
    "TU": "tube",  # GS1
    "PU": "tray",  # GS1
    **dict.fromkeys(("BPG", "CMS", "CM"), "blister"),  # GS1 blister, clam shell, card
    **dict.fromkeys(("MPG", "SW"), "multipack"),  # GS1 multipack, shrink-wrapped
}
_KNOWN = {
    **{code.lower(): kind for code, kind in CODES.items()},
    **NAMES,
    **{kind.replace("_", ""): kind for kind in (*KINDS, AUTO)},
}


def package_kind(text: str) -> str | None:
    """Return the kind (or AUTO) named by a kind, a common word or a code; None if unknown."""
    plain = _normalize_name(text)
    return _KNOWN.get(plain) or _KNOWN.get(plain.removesuffix("s")) or _KNOWN.get(plain.removesuffix("es"))


def closest_kind(text: str) -> str | None:
    """Return the kind with the name closest to an unknown one, or None."""
    close = difflib.get_close_matches(_normalize_name(text)[:40], _KNOWN, n=1, cutoff=0.5)
    return _KNOWN[close[0]] if close else None


def _normalize_name(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
