"""A stream of rendered images as a source of training images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.files.atomic import write_atomic
from dataset.layout import Layout
from dataset.records import ImageLabels
from detectors.data.class_match import Classes, label_table
from detectors.data.sample import Sample
from detectors.data.settings import BoxKind
from detectors.data.shard_set import OwnLabels, decode_file, labelled_image, make_sample
from detectors.data.source import ENDLESS, LiveCounts
from pipeline.run.dataset_info import DatasetInfo
from pipeline.stream.order import SlidingOrder
from pipeline.stream.renderer import StreamRenderer


@dataclass(frozen=True, eq=False)
class RenderedStream:
    """Images of scenes that are rendered as they are needed: image i is view i % views of scene i // views.

    root: names the recipe, for messages. own, ids: the catalogue's classes, and the category id of each SKU.
    own_label: label of each category id. label_of: own label -> label in `classes`, IGNORED if it has none.
    boxes: kind of the boxes.
    """

    name: str
    root: str
    classes: Classes
    own: Classes
    ids: dict[str, int]
    own_label: dict[int, int]
    label_of: NDArray[np.int32]
    order: SlidingOrder
    info: DatasetInfo
    renderer: StreamRenderer
    boxes: BoxKind = "visible"

    def __len__(self) -> int:
        return ENDLESS

    @property
    def rendered(self) -> bool:
        """True."""
        return True

    @property
    def sizes(self) -> NDArray[np.int32]:
        """(1, 2) width and height of all images."""
        return np.array([[self.info.identity.width, self.info.identity.height]], np.int32)

    @property
    def box_count(self) -> int:
        """An upper bound that no training reaches; 0 if none of the catalogue's classes has a label."""
        return ENDLESS if (self.label_of >= 0).any() else 0

    @property
    def missing_masks(self) -> str:
        """A message for amodal boxes; rendered ones of visible pixels all have masks."""
        return "amodal boxes have no masks" if self.boxes == "amodal" else ""

    @property
    def missing_keypoints(self) -> str:
        """A message unless corners of cuboids are labelled."""
        return "" if self.info.identity.keypoints else "rendered without --keypoints"

    @property
    def columns(self) -> None:
        """None, since labels are made together with their images."""

    @property
    def windows(self) -> SlidingOrder:
        """The order in which to read the images."""
        return self.order

    @property
    def live(self) -> LiveCounts:
        """What was rendered so far."""
        return self.renderer.counts

    def fetch_ahead(self, shards: Iterable[int]) -> None:
        """Start to render images and drop those before them. shards: consecutive images."""
        images = list(shards)
        views = self.info.identity.views
        self.renderer.want(range(images[0] // views, images[-1] // views + 1))

    def locate(self, index: int) -> str:
        """Return the name of an image for messages."""
        scene, view = divmod(index, self.info.identity.views)
        return f"{self.root}, seed {self.info.identity.seed}, scene {scene}, view {view}"

    def read_sample(self, index: int, *, masks: bool) -> Sample:
        """Return an image with its boxes once it is rendered, and with masks if requested.

        Raises SynthError if no scene can be rendered.
        """
        labels, files = self._read(index)
        own = OwnLabels(self.own, self.own_label, self.label_of, self.boxes)
        return make_sample(labels, files, self.locate(index), own, masks=masks)

    def read_image(self, index: int) -> NDArray[np.uint8]:
        """Return an image as (H, W, 3) uint8 RGB once it is rendered. Raises SynthError if none can be rendered."""
        labels, files = self._read(index)
        image = labelled_image(labels.image, [], self.locate(index), masks=False)
        return decode_file(image, files, self.locate(index))

    def relabelled(self, classes: Classes) -> RenderedStream:
        """Return the same images labelled by `classes`; boxes of other classes become ignored regions."""
        return replace(self, classes=classes, label_of=label_table(classes, replace(self, classes=self.own)))

    def lost_classes(self, classes: Classes) -> list[str]:
        """Return the keys of the catalogue's classes that are not in `classes`."""
        return [self.own.keys[label] for label in np.flatnonzero(self.relabelled(classes).label_of < 0)]

    def save(self, folder: Path) -> None:
        """Write what the images are made from as the dataset.json of a rendered set.

        Workers that start later compare their sources with it; other processes cannot open a stream.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(Layout(folder).info, self.info.to_json().encode())

    def _read(self, index: int) -> tuple[ImageLabels, Mapping[str, bytes]]:
        """Return the records of an image, with category ids, and its files by suffix."""
        scene, view = divmod(index, self.info.identity.views)
        sample = self.renderer.scene(scene)[view]
        annotations = [replace(one, category_id=self.ids[one.sku or ""]) for one in sample.annotations]
        return ImageLabels(sample.image, annotations), sample.files
