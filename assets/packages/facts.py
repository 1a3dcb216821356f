"""Package kind and consistency notes derived from a row and its images together."""

from __future__ import annotations

from dataclasses import replace

from assets.catalog.package_kinds import AUTO
from assets.catalog.types import Sku
from assets.packages.packshots.art import PackageArt
from assets.packages.packshots.cutout import misfit
from assets.packages.packshots.silhouette import guess_kind

# Image and stated sizes agree within the first factor; swapped sizes or units explain a misfit within the second.
MAX_MISFIT, MAX_RESIDUAL = 1.15, 1.07
# Kilograms per cubic metre of the bounding box: from air in film to solid metal.
DENSITY = (10.0, 2500.0)
NAMES = ("width", "depth", "height")
# Indices of the horizontal and vertical size in the image of each side.
SIDE_AXES = {"front": (0, 2), "back": (0, 2), "left": (1, 2), "right": (1, 2), "top": (0, 1), "bottom": (0, 1)}


def resolve_kind(sku: Sku, art: PackageArt) -> Sku:
    """Return the row with "auto" replaced by the kind of the silhouette, or by a carton without one."""
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
    """Return notes on guesses and on inconsistencies between images, sizes and mass."""
    notes = list(art.notes)
    if sku.package == AUTO:
        kind = resolve_kind(sku, art).package
        pictured = "front" in art.sides or "back" in art.sides
        notes.append(
            f"package: {kind}, chosen from the silhouette" if pictured else f"package: {kind}, without a packshot"
        )
    whole = {note.partition(":")[0] for note in art.notes}
    for side, image in art.sides.items():
        if column_of(side) not in whole:
            notes += _check_proportions(sku, side, image.shape[1] / image.shape[0])
    return [*notes, *_check_density(sku)]


def column_of(side: str) -> str:
    """Return the column of the list with the image of a side."""
    return "packshot" if side == "front" else f"packshot_{side}"


def _check_proportions(sku: Sku, side: str, found: float) -> list[str]:
    sizes = (sku.width_m, sku.depth_m, sku.height_m)
    if None in sizes:
        return []
    sides = [float(size or 0) for size in sizes]
    across, upright = SIDE_AXES[side]
    stated = sides[across] / sides[upright]
    if misfit(found, stated) <= MAX_MISFIT:
        return []
    note = f"{column_of(side)}: {found:.2f} times as wide as high, {stated:.2f} by the stated sizes"
    fits = [(a, b) for a in range(3) for b in range(3) if a != b and misfit(found, sides[a] / sides[b]) <= MAX_RESIDUAL]
    if fits:
        a, b = min(fits, key=lambda pair: misfit(found, sides[pair[0]] / sides[pair[1]]))
        return [f"{note}: {NAMES[a]} x {NAMES[b]} would fit, are sizes swapped?"]
    for factor in (10.0, 100.0, 1000.0, 2.54, 25.4):
        if min(misfit(found, stated * factor), misfit(found, stated / factor)) <= MAX_RESIDUAL:
            return [f"{note}: a factor of {factor:g}, is one of them in another unit?"]
    return [note]


def _check_density(sku: Sku) -> list[str]:
    if sku.mass_kg is None or sku.width_m is None or sku.depth_m is None or sku.height_m is None:
        return []
    litres = sku.width_m * sku.depth_m * sku.height_m * 1000
    density = sku.mass_kg / litres * 1000
    if DENSITY[0] <= density <= DENSITY[1]:
        return []
    return [f"mass_kg: {sku.mass_kg:g} kg in {litres:.3g} litres: is the mass or a size in another unit?"]
