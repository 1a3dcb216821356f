"""Label formats: how files of other tools are read as records, and records are written as such files.

A format is a module with

    detect(path)                whether the files at a path are of this format, by their names and places alone
    open_labels(path, images)   the data set at a path, as a store
    lost(labels)                what it cannot carry of an image's labels, in words
    image_folder(split)         where the images of a split lie, relative to the data set
    write_labels(folder, sets)  writes the labels of all splits, whose images are written before or meanwhile

and, where it applies,

    PRECISION                   how far the edges of boxes may move, in pixels
    NEEDS_MASKS                 whether products without a mask are lost
    NEEDS_KEYPOINTS             whether it is of use with keypoints alone
    NEEDS_POSES                 whether products without a pose, and images without a camera, are lost
    RENAMES                     whether images get other names
    beside_file(folder, split, name)  where a file beside an image (of depth, ...) comes, None if it is not carried
    write_models(folder, categories, mesh_of)  writes models of products; what it returns goes to write_labels
    READ_AS                     the format by which its files are known, if that reads them as well

The first line of its docstring says what it is.
"""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from assets.errors import SynthError
from assets.plugins import PluginTable
from dataset.formats.remote import copy_set, open_remote_coco, remote_location
from dataset.store import DataStore, open_dataset, sharded_store

# Name -> module.
FORMATS = {
    "coco": "dataset.formats.coco",
    "bop": "dataset.formats.bop.scenes",
    "bop-webdataset": "dataset.formats.bop.shards",
    "coco-keypoints": "dataset.formats.coco_keypoints",
    "cvat": "dataset.formats.cvat",
    "huggingface": "dataset.formats.huggingface",
    "huggingface-parquet": "dataset.formats.huggingface_parquet",
    "label-studio": "dataset.formats.label_studio",
    "masks": "dataset.formats.masks",
    "panoptic": "dataset.formats.panoptic",
    "roboflow": "dataset.formats.roboflow",
    "voc": "dataset.formats.voc",
    "webdataset": "dataset.formats.webdataset",
    "yolo": "dataset.formats.yolo",
    "yolo-segment": "dataset.formats.yolo_segment",
}
FORMAT_TABLE = PluginTable(
    "label format",
    FORMATS,
    group="synth.formats",
    requires=("detect", "open_labels", "lost", "image_folder", "write_labels"),
)


def open_labels(
    source: str | Path,
    *,
    images: Path | None = None,
    name: str | None = None,
    unfinished: bool = False,
    console: Console | None = None,
) -> DataStore:
    """Open the data set at `source` in the label format `name`, or in the one that its files show.

    source: a path, or the URL of shards or of a folder of any format: images of COCO are read there when they are due,
    other formats are copied to the cache folder first. images, unfinished: as for `open_dataset`. console: for the
    progress of such a copy. Raises SynthError for an unknown name, and if there is no data set.
    """
    location = remote_location(source)
    if location is not None:
        if (name is None or name == "coco") and (store := sharded_store(source) or open_remote_coco(location, images)):
            return _checked(store)
        source = copy_set(location, console)
    path = Path(source)
    if name is not None:
        return _checked(FORMAT_TABLE.load(name).open_labels(path, images))
    if path.exists() and sharded_store(path) is None:
        for known in FORMAT_TABLE.names():
            # COCO last: it has several layouts, and errors that name them all.
            if known != "coco" and FORMAT_TABLE.load(known).detect(path):
                return _checked(FORMAT_TABLE.load(known).open_labels(path, images))
    return open_dataset(source, images=images, unfinished=unfinished)


def _checked(store: DataStore) -> DataStore:
    if not store.parts:
        raise SynthError("the data set has no splits", code="dataset-empty", where=store.where)
    return store
