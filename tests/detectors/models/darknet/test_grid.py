"""Places, decoding and responsibility, worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from detectors.models import build_model, detector_module
from detectors.models.darknet.grid import (
    Level,
    anchors_above,
    background_places,
    best_anchor,
    decode_boxes,
    encode_boxes,
    make_places,
    match_objects,
    paired_overlap,
    read_head,
)
from detectors.models.spec import ModelSpec

# Four by four cells of 16 pixels with anchors of 10 and 20, two by two of 32 with one of 40: 32 + 4 places.
LEVELS = (
    Level((4, 4), torch.tensor([[10.0, 10], [20, 20]])),
    Level((2, 2), torch.tensor([[40.0, 40]])),
)


def target(*boxes: tuple[float, ...], ignored: tuple[tuple[float, ...], ...] = ()) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        "labels": torch.arange(len(boxes)),
        "ignored": torch.tensor(ignored, dtype=torch.float32).view(-1, 4),
    }


@pytest.mark.parametrize(
    ("name", "side", "count"), [("yolov1", 448, 98), ("yolov2", 416, 845), ("yolov3", 416, 10_647)]
)
def test_number_of_boxes_as_published(name: str, side: int, count: int) -> None:
    """7 x 7 x 2, 13 x 13 x 5 and (13^2 + 26^2 + 52^2) x 3."""
    options = {"width": 0.05} | ({"hidden": 16} if name == "yolov1" else {})
    spec = ModelSpec(name, None, 2, side, side, (0, 0, 0), (1, 1, 1), tuple(sorted(options.items())))
    with torch.inference_mode():
        outputs = build_model(spec).eval().soft_outputs(torch.zeros(1, 3, side, side))
    assert len(outputs.heads["places"].boxes) == count
    assert side == detector_module(name).LONG_SIDE


def test_order_of_places() -> None:
    places = make_places(LEVELS, 64, 64)
    assert places.starts == (0, 32) and len(places.cells) == 36
    # Anchor after anchor, cell after cell of a row, row after row.
    assert places.cells[:5].tolist() == [[0, 0], [0, 0], [1, 0], [1, 0], [2, 0]]
    assert places.cells[8].tolist() == [0, 1] and places.anchors[8:10, 0].tolist() == [10, 20]
    assert places.cell_boxes[35].tolist() == [32, 32, 64, 64]


def test_head_values_belong_to_their_places() -> None:
    """Channel 5 a + v of cell (row, column) is value v of anchor a there."""
    maps = torch.arange(2 * 3 * 2 * 2, dtype=torch.float32).view(1, 6, 2, 2)
    values = read_head(maps, 2)
    assert values.shape == (1, 8, 3)
    # Row 1, column 0 is place 2; its anchor 1 has channels 3, 4 and 5.
    assert values[0, 2 * 2 + 1].tolist() == [maps[0, channel, 1, 0].item() for channel in (3, 4, 5)]


@pytest.mark.parametrize(("sensitivity", "middle"), [(1.0, 24.0), (1.2, 25.6)])
def test_decoding(sensitivity: float, middle: float) -> None:
    """Cell (1, 0) of 32 pixels, anchor 16 x 32, t = (0, ln 3, ln 2, 0).

    x = (sigmoid(0) + 1) 32 = 48; y = sigmoid(ln 3) 32 = 24, with s = 1.2 (1.2 * 0.75 - 0.1) 32 = 25.6; 32 x 32.
    """
    places = make_places([Level((2, 2), torch.tensor([[16.0, 32]]), sensitivity)], 64, 64)
    raw = torch.zeros(1, 4, 4)
    raw[0, 1] = torch.tensor([0, math.log(3), math.log(2), 0])
    assert decode_boxes(raw, places)[0, 1].tolist() == pytest.approx([32, middle - 16, 64, middle + 16])


def test_encoding_inverts_decoding() -> None:
    places = make_places(LEVELS, 64, 64)
    raw = torch.randn(36, 4, generator=torch.Generator().manual_seed(0))
    encoded = encode_boxes(decode_boxes(raw, places), places, torch.arange(36))
    torch.testing.assert_close(encoded[:, :2], raw[:, :2].sigmoid(), atol=1e-4, rtol=0)
    torch.testing.assert_close(encoded[:, 2:], raw[:, 2:], atol=1e-4, rtol=0)


def test_the_cell_of_the_centre_and_the_anchor_of_the_shape_are_responsible() -> None:
    """12 x 12: IoU 100/144 with the first anchor, centre (6, 6). 20 x 20: the second, centre (34, 18) in cell (2, 1),
    place (4 + 2) 2 + 1. 38 x 38: the one of 40, centre (21, 39) in cell (0, 1) of the second level, place 32 + 2.
    """
    places = make_places(LEVELS, 64, 64)
    objects = target((0, 0, 12, 12), (24, 8, 44, 28), (2, 20, 40, 58))
    matches = match_objects(places, [target(), objects], best_anchor)
    assert dict(zip(matches.labels.tolist(), matches.places.tolist(), strict=True)) == {0: 0, 1: 13, 2: 34}
    assert matches.images.tolist() == [1, 1, 1]


def test_several_anchors_per_object() -> None:
    """12 x 12 overlaps 10 x 10 by 0.69, 20 x 20 by 0.36 and 40 x 40 by 0.09: two of them are above 0.213.

    5 x 5 overlaps the three by 0.25, 0.06 and 0.02; of 2 x 2 none is above it, and the best one is taken.
    """
    places = make_places(LEVELS, 64, 64)
    for side, expected in ((12, [0, 1]), (5, [0]), (2, [0])):
        found = match_objects(places, [target((0, 0, side, side))], anchors_above(0.213))
        assert sorted(found.places.tolist()) == expected


def test_one_place_takes_the_object_that_fits_it_best() -> None:
    places = make_places(LEVELS, 64, 64)
    matches = match_objects(places, [target((0, 0, 12, 12), (1, 1, 11, 11))], best_anchor)
    assert (matches.places.tolist(), matches.labels.tolist()) == ([0], [1])


def test_centres_on_the_far_border_stay_in_the_last_cell() -> None:
    matches = match_objects(make_places(LEVELS, 64, 64), [target((63, 63, 65, 65))], best_anchor)
    assert matches.places.tolist() == [30]


def test_what_counts_as_background() -> None:
    """Not a box that overlaps an object enough, nor a box or a cell that lies mostly in an ignored region."""
    places = make_places([Level((1, 4), torch.tensor([[16.0, 16]]))], 64, 16)
    boxes = torch.tensor([[[0.0, 0, 16, 16], [16, 0, 32, 16], [32, 0, 48, 16], [0, 0, 64, 16]]])
    # The first box overlaps 16 x 12 of the object's 16 x 12: 0.75. The third lies in the region, and so does its cell.
    said = target((0, 0, 16, 12), ignored=((32, 0, 48, 16),))
    assert background_places(places, boxes, [said], 0.7)[0].tolist() == [False, True, False, True]
    assert background_places(places, boxes, [said], 0.8)[0].tolist() == [True, True, False, True]
    # A wide box whose cell lies in the region, and a box in the region whose cell does not.
    wide = target(ignored=((48, 0, 64, 16), (16, 0, 24, 16)))
    boxes[0, 0] = torch.tensor([17.0, 2, 23, 8])
    assert background_places(places, boxes, [wide], 0.5)[0].tolist() == [False, True, True, False]


def test_overlap_of_pairs() -> None:
    """5 x 10 of two boxes of 100 in common: 50 / 150."""
    boxes, others = torch.tensor([[0.0, 0, 10, 10], [0, 0, 1, 1]]), torch.tensor([[5.0, 0, 15, 10], [2, 2, 3, 3]])
    assert paired_overlap(boxes, others).tolist() == pytest.approx([1 / 3, 0])


@pytest.mark.parametrize("name", ["yolov1", "yolov2", "yolov3", "yolov4"])
def test_explanation(name: str) -> None:
    """The object of 20 x 20 around (34, 18) belongs to the cell there; detections are among the boxes of the places."""
    options = {"width": 0.05} | ({"hidden": 16, "stride": 32} if name == "yolov1" else {})
    torch.manual_seed(0)
    model = build_model(ModelSpec(name, None, 2, 64, 64, (0, 0, 0), (1, 1, 1), tuple(sorted(options.items())))).eval()
    image, objects = torch.rand(1, 3, 64, 64), target((24, 8, 44, 28))
    with torch.inference_mode():
        first, places, found = model.explain(image, [objects]).stages
        assert model.explain(image).stages[0].matched is None
    assert first.matched is not None and first.matched.unique().tolist() == [-1, 0]
    for left, top, right, bottom in first.boxes[first.matched == 0].tolist():
        assert abs((left + right) / 2 - 34) <= 16 and abs((top + bottom) / 2 - 18) <= 16
    inside = places.boxes.clamp(0, 64)
    assert (torch.cdist(found.boxes, inside, p=1).amin(1) < 0.01).all()
    assert places.scores is not None and found.scores is not None
    assert not len(found.boxes) or float(places.scores.amax()) == pytest.approx(float(found.scores.amax()))
