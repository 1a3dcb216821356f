"""Drawing of labels of shops in a preview: everything of one position has one colour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from PIL import ImageDraw

from assets.color import distinct_color
from dataset.records import AnnotationRecord
from dataset.shop import ShopRecords
from pipeline.preview.sheet import Rgb

# Of products that stand where they do not belong, and of shelf lines.
NO_POSITION: Rgb = (235, 235, 235)
Point = tuple[float, float]


def shop_colors(shop: ShopRecords) -> dict[str | None, Rgb]:
    """Return the colour of each position of an image."""
    places = [mark.position for mark in shop.marks if mark.kind != "shelf_line"]
    names = dict.fromkeys(name for name in (*places, *(link.position for link in shop.links)) if name is not None)
    return {name: distinct_color(number) for number, name in enumerate(names)}


def shop_items(products: Sequence[AnnotationRecord], shop: ShopRecords) -> Iterator[tuple[AnnotationRecord, Rgb, str]]:
    """Yield products, then marks, each with its colour and its words: of a tag the last one, its price."""
    colors = shop_colors(shop)
    positions = {link.instance: link.position for link in shop.links}
    for record in products:
        yield record, colors.get(positions.get(record.instance), NO_POSITION), ""
    for mark in shop.marks:
        words = "gap" if mark.kind == "gap" else (mark.text or "").rpartition(" ")[2]
        yield mark, colors.get(mark.position, NO_POSITION), words


def plot_links(draw: ImageDraw.ImageDraw, middles: Mapping[int | None, Point], shop: ShopRecords) -> None:
    """Draw a line from each product to its tag. middles: of the boxes of products and tags that are drawn."""
    colors = shop_colors(shop)
    for link in shop.links:
        if link.tag_instance is not None and {link.instance, link.tag_instance} <= middles.keys():
            ends = (*middles[link.instance], *middles[link.tag_instance])
            draw.line(ends, fill=colors.get(link.position, NO_POSITION))
