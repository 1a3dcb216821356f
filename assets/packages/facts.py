"""What follows for a package from its row and its pictures together: its kind, and what does not fit."""

from __future__ import annotations

from dataclasses import replace

from assets.catalog.package_kinds import AUTO
from assets.catalog.types import Sku
from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.silhouette import guess_kind

# Picture and stated sizes agree within this factor; a permutation of the sizes explains it within the second.
AGREES, EXPLAINS = 1.15, 1.07
# Kilograms in a cubic metre of box: air in film, and solid metal, at the extremes.
DENSITY = (10.0, 2500.0)
NAMES = ("width", "depth", "height")
# Which sizes lie across and upright in the picture of each side.
SEEN = {"front": (0, 2), "back": (0, 2), "left": (1, 2), "right": (1, 2), "top": (0, 1), "bottom": (0, 1)}


def settled_sku(sku: Sku, art: PackageArt) -> Sku:
    """The row with kinds in place of "auto": chosen from the silhouette, a carton where there is none."""
    if sku.unit_package == AUTO:
        sku = replace(sku, unit_package="")
    if sku.package != AUTO:
        return sku
    shown = art.sides.get("front", art.sides.get("back"))
    if shown is None or sku.width_m is None or sku.depth_m is None or sku.height_m is None:
        return replace(sku, package="carton")
    size = (sku.width_m, sku.depth_m, sku.height_m)
    kind = guess_kind(shown[..., 3] >= 128, size, side=art.side_profile, mass_kg=sku.mass_kg)
    return replace(sku, package=kind)


def package_doubts(sku: Sku, art: PackageArt) -> list[str]:
    """Notes for people: what was guessed, and where pictures, sizes and mass do not fit together."""
    notes = list(art.notes)
    if sku.package == AUTO:
        kind = settled_sku(sku, art).package
        pictured = "front" in art.sides or "back" in art.sides
        notes.append(
            f"package: {kind}, chosen from the silhouette" if pictured else f"package: {kind}, without a packshot"
        )
    whole = {note.partition(":")[0] for note in art.notes}
    for side, picture in art.sides.items():
        if column_of(side) not in whole:
            notes += _shape_doubts(sku, side, picture.shape[1] / picture.shape[0])
    return [*notes, *_density_doubts(sku)]


def column_of(side: str) -> str:
    """The column of the list that names the picture of a side."""
    return "packshot" if side == "front" else f"packshot_{side}"


def _shape_doubts(sku: Sku, side: str, found: float) -> list[str]:
    sizes = (sku.width_m, sku.depth_m, sku.height_m)
    if None in sizes:
        return []
    sides = [float(size or 0) for size in sizes]
    across, upright = SEEN[side]
    stated = sides[across] / sides[upright]
    if _misfit(found, stated) <= AGREES:
        return []
    note = f"{column_of(side)}: {found:.2f} times as wide as high, {stated:.2f} by the stated sizes"
    fits = [(a, b) for a in range(3) for b in range(3) if a != b and _misfit(found, sides[a] / sides[b]) <= EXPLAINS]
    if fits:
        a, b = min(fits, key=lambda pair: _misfit(found, sides[pair[0]] / sides[pair[1]]))
        return [f"{note}: {NAMES[a]} x {NAMES[b]} would fit, are sizes exchanged?"]
    for factor in (10.0, 100.0, 1000.0, 2.54, 25.4):
        if min(_misfit(found, stated * factor), _misfit(found, stated / factor)) <= EXPLAINS:
            return [f"{note}: a factor of {factor:g}, is one of them in another unit?"]
    return [note]


def _misfit(found: float, stated: float) -> float:
    return max(found / stated, stated / found)


def _density_doubts(sku: Sku) -> list[str]:
    if sku.mass_kg is None or sku.width_m is None or sku.depth_m is None or sku.height_m is None:
        return []
    litres = sku.width_m * sku.depth_m * sku.height_m * 1000
    density = sku.mass_kg / litres * 1000
    if DENSITY[0] <= density <= DENSITY[1]:
        return []
    return [f"mass_kg: {sku.mass_kg:g} kg in {litres:.3g} litres: is the mass or a size in another unit?"]
