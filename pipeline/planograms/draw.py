"""Flat drawing of a planogram, as seen straight from the front: boards, blocks with their facings, labels."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from assets.color import distinct_color
from assets.packages.print.lettering import write_fitted
from assets.planogram.types import HANGING, Planogram, PlanogramShelf
from assets.planogram.units import PlacedBlock, PlanogramUnit, SizeOf, block_units, placed_blocks
from pipeline.preview.sheet import INK, Box, Rgb, font

# Face of a product in an orientation, or None.
FaceOf = Callable[[str, str], Image.Image | None]
MARGIN_PX, SIDE_PX, HEAD_PX, LINE_PX = 20, 76, 44, 12
BACK, BOARD, EDGE, WRONG = (238, 237, 233), (206, 205, 200), (90, 90, 90), (214, 30, 40)
# A block without room for letters gets no name.
MIN_NAME_PX = 10
# Longer side of a drawing at most.
MAX_SIDE_PX = 12_000
# Colours of blocks whose products have no face.
COLORS = 24


@dataclass(frozen=True)
class PlanogramDrawing:
    """What a drawing shows beside the planogram. names: of products, by key. wrong: (shelf, position) of misfits.

    pixels: a metre.
    """

    size_of: SizeOf
    face_of: FaceOf
    names: Mapping[str, str] = field(default_factory=dict)
    wrong: Collection[tuple[str, str]] = ()
    pixels: int = 800


def draw_planogram(planogram: Planogram, drawing: PlanogramDrawing) -> Image.Image:
    """Draw a planogram to scale; under each block its position, facings (wide x high x deep) and SKU."""
    canvas = _Canvas(planogram, drawing)
    for shelf in sorted(planogram.shelves, key=lambda one: -one.z):  # what is nearer covers what is behind
        canvas.plot_board(shelf)
    for shelf in planogram.shelves:
        for block in placed_blocks(shelf, drawing.size_of):
            canvas.plot_block(shelf, block)
    return canvas.image


class _Canvas:
    """Drawing in progress; lengths are metres in the frame of the planogram."""

    def __init__(self, planogram: Planogram, drawing: PlanogramDrawing) -> None:
        self._planogram, self._drawing = planogram, drawing
        tops = [shelf.surface + planogram.free_height(shelf) for shelf in planogram.shelves]
        self._top = max([planogram.height, *tops])
        longest = max(planogram.width, self._top)
        self._scale = min(drawing.pixels, (MAX_SIDE_PX - 2 * SIDE_PX) / longest)
        width, height = round(planogram.width * self._scale), round(self._top * self._scale)
        self._base = HEAD_PX + height
        size = (width + SIDE_PX + MARGIN_PX, self._base + 3 * LINE_PX + MARGIN_PX)
        self.image = Image.new("RGB", size, (255, 255, 255))
        self._pen = ImageDraw.Draw(self.image)
        self._pen.rectangle(self._box(0, 0, planogram.width, planogram.height), fill=BACK, outline=EDGE)
        for bay in planogram.bays:
            self._pen.line(self._box(bay.x, 0, 0, planogram.height), fill=EDGE, width=2)
        self._write_head()

    def _box(self, x: float, y: float, width: float, height: float) -> Box:
        """Return the pixels (xyxy) of a rectangle given by its lower left corner."""
        left, bottom = SIDE_PX + x * self._scale, self._base - y * self._scale
        return round(left), round(bottom - height * self._scale), round(left + width * self._scale), round(bottom)

    def _write_head(self) -> None:
        plan = self._planogram
        count = sum(1 for _ in plan.positions())
        about = (
            f"{plan.width:.3g} x {plan.height:.3g} x {plan.depth:.3g} m, {len(plan.shelves)} shelves, {count} positions"
        )
        self._pen.text((SIDE_PX, 4), plan.name or "planogram", fill=INK, font=font(18))
        self._pen.text((SIDE_PX, 26), about, fill=EDGE, font=font(12))

    def plot_board(self, shelf: PlanogramShelf) -> None:
        """Draw a board or a pegboard, with its id and the height of its surface at the left."""
        hangs = shelf.kind in HANGING
        box = self._box(shelf.x, shelf.y, shelf.width, max(shelf.thickness, 2 / self._scale))
        self._pen.rectangle(box, fill=(222, 221, 214) if hangs else BOARD, outline=EDGE)
        if hangs and shelf.holes:
            self._plot_holes(shelf)
        if shelf.x < self._planogram.width / 2:
            letters = font(LINE_PX - 1)
            self._pen.text((SIDE_PX - 6, box[3]), f"shelf {shelf.id}"[:14], fill=INK, font=letters, anchor="rs")
            self._pen.text(
                (SIDE_PX - 6, box[3] + LINE_PX), f"{shelf.surface:.3f} m", fill=EDGE, font=letters, anchor="rs"
            )

    def _plot_holes(self, shelf: PlanogramShelf) -> None:
        assert shelf.holes is not None
        grid = shelf.holes
        step = [max(side, 12 / self._scale) for side in (grid.x_step, grid.y_step)]
        for x in np.arange(grid.x_start, shelf.width, step[0]):
            for y in np.arange(grid.y_start, shelf.thickness, step[1]):
                left, top, _, _ = self._box(shelf.x + float(x), shelf.y + float(y), 0, 0)
                self._pen.point((left, top), fill=EDGE)

    def plot_block(self, shelf: PlanogramShelf, block: PlacedBlock) -> None:
        """Draw the front of a block, facing by facing, and its label."""
        size = self._drawing.size_of(block.position.sku)
        assert size is not None
        left, bottom = shelf.x + block.x, shelf.surface + block.y
        for unit in block_units(shelf, block, size):
            if unit.row == 0 and unit.cap != "z":
                self._plot_facing(shelf, unit, np.array(size), block)
        wrong = (shelf.id, block.position.id) in self._drawing.wrong
        outline = self._box(left, bottom, block.size[0], block.size[1])
        if self._drawing.face_of(block.position.sku, block.position.orientation) is None:
            self._write_name(self._drawing.names.get(block.position.sku) or block.position.sku, outline)
        self._pen.rectangle(outline, outline=WRONG if wrong else EDGE, width=3 if wrong else 1)
        self._write_label(block, (outline[0], outline[3] + 1, outline[2]), WRONG if wrong else INK)

    def _plot_facing(self, shelf: PlanogramShelf, unit: PlanogramUnit, size: np.ndarray, block: PlacedBlock) -> None:
        pose, box = unit.shelf_from_object, size[[0, 2, 1]]
        extent = np.abs(pose[:3, :3]) @ box
        middle = pose[:3, 3] + pose[:3, :3] @ (0, 0, box[2] / 2)
        x, y = middle[[0, 2]] - extent[[0, 2]] / 2
        pixels = self._box(shelf.x + shelf.width / 2 + x, shelf.surface + y, extent[0], extent[2])
        width, height = max(int(pixels[2] - pixels[0]), 1), max(int(pixels[3] - pixels[1]), 1)
        cap = {"x": block.position.x_cap, "y": block.position.y_cap, "z": block.position.z_cap}.get(unit.cap)
        face = self._drawing.face_of(unit.sku, cap.orientation if cap else block.position.orientation)
        if face is None:
            self._pen.rectangle(pixels, fill=_color_of(unit.sku), outline=EDGE)
        else:
            picture = face.resize((width, height), Image.Resampling.LANCZOS)
            self.image.paste(picture, (int(pixels[0]), int(pixels[1])), picture)
            self._pen.rectangle(pixels, outline=(170, 170, 170))

    def _write_name(self, name: str, box: Box) -> None:
        """Write the name of a product without a face onto its block, upwards where that is much higher than wide."""
        width, height = (int(box[2] - box[0]) - 4, int(box[3] - box[1]) - 4)
        if min(width, height) < MIN_NAME_PX:
            return
        upwards = height > 2 * width
        size = (height, width) if upwards else (width, height)
        plate = Image.new("RGB", size, (255, 255, 255))
        write_fitted(plate, name, (0, 0, *size), (0, 0, 0))
        ink = ImageOps.invert((plate.rotate(90, expand=True) if upwards else plate).convert("L"))
        self.image.paste(INK, (int(box[0]) + 2, int(box[1]) + 2), ink)

    def _write_label(self, block: PlacedBlock, place: tuple[float, float, float], color: Rgb) -> None:
        """Write position and facings, below it the SKU, as much of it as is as wide as the block."""
        left, top, right = place[0], place[1], place[2] - 3
        one, letters = block.position, font(LINE_PX - 2)
        facings = f"{one.wide}x{one.high}x{one.deep}"
        turned = "" if one.orientation == "front" else f" {one.orientation}"
        for line, texts in enumerate([(f"{one.id}  {facings}{turned}", f"{one.id} {facings}", one.id), (one.sku,)]):
            fitting = (text for text in texts if self._pen.textlength(text, font=letters) <= right - left)
            text = next(fitting, _cut(texts[-1], lambda cut: self._pen.textlength(cut, font=letters) <= right - left))
            self._pen.text((left + 1, top + line * (LINE_PX - 1)), text, fill=color, font=letters)


def _cut(text: str, fits: Callable[[str], bool]) -> str:
    """Return the end of a text that fits, after an ellipsis: the ends of keys tell products apart."""
    shown = next((text[cut:] for cut in range(1, len(text)) if fits(f"…{text[cut:]}")), "")
    return f"…{shown}" if shown else ""


def _color_of(sku: str) -> Rgb:
    red, green, blue = distinct_color(sum(sku.encode()) % COLORS)
    return (red + 255) // 2, (green + 255) // 2, (blue + 255) // 2
