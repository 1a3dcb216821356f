"""All limits on untrusted input; docs/limits.md documents them, and a test keeps the two equal.

A third party's file may claim anything. Before reading, its type (no pipe, no device) and its size are checked.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from assets.errors import SynthError

MIB = 1 << 20


@dataclass(frozen=True)
class Limit:
    """Upper limit of a quantity. name: as in docs/limits.md. hint: what to do if it is exceeded."""

    name: str
    maximum: int
    hint: str = ""

    def check(self, found: int, where: str) -> None:
        """Raise SynthError with the name of the limit if `found` exceeds it."""
        if found > self.maximum:
            raise SynthError(
                f"too large: {self.name}",
                code="limit-exceeded",
                where=where,
                found=f"{found:,}",
                expected=f"at most {self.maximum:,} (a limit of docs/limits.md)",
                hint=self.hint or None,
            )


class Budget:
    """Budget for all parts of one file together: a small file can refer to a large one many times."""

    def __init__(self, limit: Limit, where: str) -> None:
        self._limit, self._where, self._used = limit, where, 0

    def take(self, amount: int) -> None:
        """Add `amount`; raise SynthError with the name of the limit once the total exceeds it."""
        self._used += amount
        self._limit.check(self._used, self._where)


SPLIT = "split it, or check that it is the right file"
LIST_BYTES = Limit("bytes of a SKU list", 1024 * MIB, SPLIT)
LIST_ROWS = Limit("rows of a SKU list", 2_000_000, SPLIT)
LIST_COLUMNS = Limit("columns of a SKU list", 1000, "keep the columns that are used")
# Python's csv module refuses longer cells; the other formats have the same limit.
LIST_CELL = Limit("characters of a cell of a SKU list", 131_072, "look for a quote that is opened and not closed")
LIST_LINE = Limit("characters of a line of a SKU list", MIB, "look for a quote that is opened and not closed")
LIST_PROBLEMS = Limit("problems of a SKU list that are reported", 10_000)
LIST_KEY = Limit("characters of a SKU key", 200)
LIST_TEXT = Limit("characters of any other text of a SKU", 1000)

PLANOGRAM_BYTES = Limit("bytes of a planogram file", 64 * MIB, SPLIT)
PLANOGRAM_TOML_BYTES = Limit("bytes of a planogram file in TOML", 8 * MIB, SPLIT)
PLANOGRAM_ROWS = Limit("rows of a planogram file", 500_000, SPLIT)
SHELF_POSITIONS = Limit("positions on a shelf of a planogram", 1000, "check that they are on the right shelf")

LIGHTER = "export it with fewer triangles: 100,000 show everything"
MESH_BYTES = Limit("bytes of a mesh file, and of each file that it names", 512 * MIB, LIGHTER)
# Unpacked size of an archive (3MF, ZAE): a zip of 1 MB can contain 1 GB of zeros.
MESH_UNPACKED = Limit("bytes that a mesh file unpacks to", 1024 * MIB, LIGHTER)
MESH_NUMBERS = Limit("numbers in the arrays of a mesh", 100_000_000, LIGHTER)
MESH_PIXELS = Limit("pixels of all textures of a mesh", 1_000_000_000, "shrink them: 4096 pixels a side are plenty")
MESH_FACES = Limit("triangles of a mesh", 10_000_000, LIGHTER)
MESH_NODES = Limit("placed parts of a mesh file", 10_000, "join the parts in a 3D program")
MESH_SECONDS = Limit("seconds for reading a mesh", 300, LIGHTER)
MESH_MEMORY = Limit("bytes of memory for reading a mesh", 12 * 1024 * MIB, LIGHTER)

IMAGE_PIXELS = Limit("pixels of an image", 90_000_000, "shrink it: 4096 pixels a side are plenty")
IMAGE_BYTES = Limit("bytes of an image", 256 * MIB, "save it again as PNG or JPEG")
VIDEO_BYTES = Limit("bytes of a video", 1024 * 1024 * MIB, "cut it into pieces")
HDRI_PIXELS = Limit("pixels of an HDRI", 1 << 26, "shrink it: lights need no more than 1024 pixels of width")
HDRI_BYTES = Limit("bytes of an HDRI", 512 * MIB, "shrink it: lights need no more than 1024 pixels of width")
PACKSHOT_FILES = Limit("files in a folder of packshots", 2_000_000, "give the folder of one supplier at a time")
FOLDER_FILES = Limit("files in a folder of backdrops", 200_000, "give a folder with images only")

RECIPE_BYTES = Limit("bytes of a recipe", 65_536, "a recipe is a page of text: check that it is the right file")
RECIPE_VALUES = Limit("values in a recipe, those that aliases repeat included", 10_000, "write the values out")

DATA_YAML_BYTES = Limit("bytes of data.yaml of a YOLO data set", 64 * MIB)
DATA_YAML_VALUES = Limit("values in data.yaml of a YOLO data set", 8_000_000)

IMAGE_LIST = Limit("bytes of a list of images", 1024 * MIB, SPLIT)
LABEL_FILE = Limit("bytes of a file with labels of one image", 64 * MIB)
LABELS_FILE = Limit("bytes of a file with labels of many images", 16 * 1024 * MIB, SPLIT)
DATASET_JSON = Limit("bytes of dataset.json, or of an image's labels or scene", 256 * MIB)
COCO_BYTES = Limit("bytes of a COCO file", 64 * 1024 * MIB)
REVIEW_BYTES = Limit("bytes of a CSV of review decisions", 256 * MIB, SPLIT)
REVIEW_ROWS = Limit("rows of a CSV of review decisions", 1_000_000, SPLIT)
GALLERY_PHOTOS = Limit("photographs of a SKU in a gallery", 200, "the first ones are enough")
SHARD_BYTES = Limit("bytes of a shard, or of its labels", 4096 * MIB, "pack it again with fewer --shard-images")
DATASET_IMAGES = Limit("images of a data set", 10_000_000)
STORED_FILES = Limit("files of a data set in a storage that are copied", 20_000_000, "pack it with 'synth data pack'")
SET_CLASSES = Limit("classes of a data set or model", 2_000_000)
DATASET_INSTANCES = Limit("annotations of an image of a data set", 10_000)

# JSON, checked before anything is built: a Python value takes up to 200 bytes.
JSON_DEPTH = Limit("levels of lists and objects in a JSON file", 64, "check that it is the right file")
JSON_VALUES = Limit("values of a JSON file", 10_000_000, "check that it is the right file")
COCO_VALUES = Limit("values of a COCO file that is read whole", 200_000_000, "make shards of it with 'synth data pack'")
ARRAY_BYTES = Limit("bytes of the arrays of a job's plan", 4096 * MIB, "check that it is the right file")
COLUMN_BYTES = Limit("bytes of a column of a training run's data", 64 * 1024 * MIB, "give another --out")
JSON_RECORD = Limit("bytes of one record of a COCO file", 4 * MIB, "check that it is the right file")

SMALLER_MODEL = "check that it is the right file: weights of networks are far smaller"
TENSOR_FILE_BYTES = Limit("bytes of a checkpoint or file of weights", 16 * 1024 * MIB, SMALLER_MODEL)
TENSOR_FILE_DIRECTORY = Limit("bytes of the list of tensors of a checkpoint", 16 * MIB, SMALLER_MODEL)
TENSOR_FILE_STRUCTURE = Limit("bytes of a checkpoint apart from its tensors", 64 * MIB, SMALLER_MODEL)
# Each step of the structure takes up to 72 bytes of memory.
TENSOR_FILE_STEPS = Limit("steps of the structure of a checkpoint", 4_000_000, SMALLER_MODEL)
TENSOR_FILE_TUPLES = Limit("values that a tuple of a checkpoint stands for", 100_000, SMALLER_MODEL)
GALLERY_FILE = Limit("bytes of a JSON file of a gallery", 256 * MIB)
GALLERY_ROWS = Limit("vectors of a gallery", 100_000_000)
NETWORK_PIXELS = Limit("pixels that a detector looks at", 1 << 24, "no detector needs more than 4096 x 4096")


def check_file(path: Path, limit: Limit, what: str, where: str = "") -> int:
    """Return the size in bytes of a regular file. Raises SynthError if it is not one or exceeds the limit.

    Opening a named pipe blocks and reading /dev/zero never ends, so neither is opened. Links are followed.
    what: name for messages, such as "the SKU list". where: location for messages, if not the path.
    """
    where = where or str(path)
    try:
        status = path.stat()
    except FileNotFoundError as error:
        hint = "check the path; it is relative to the current folder"
        raise SynthError(f"{what} does not exist", code="file-missing", where=where, hint=hint) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        raise SynthError(f"{what} cannot be read", code="file-unreadable", where=where, found=str(error)) from error
    mode = status.st_mode
    if not stat.S_ISREG(mode):
        raise SynthError(
            f"{what} is not a file", code="not-a-file", where=where, found=_type_of(mode), expected="a regular file"
        )
    limit.check(status.st_size, where)
    return status.st_size


def _type_of(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def read_file(path: Path, limit: Limit, what: str, where: str = "") -> bytes:
    """Read a regular file of at most `limit` bytes. Raises SynthError if it is not one or cannot be read."""
    size = check_file(path, limit, what, where)
    try:
        with path.open("rb") as file:
            data = file.read(size + 1)  # not more: Python allocates what it is asked for
    except OSError as error:
        raise SynthError(
            f"{what} cannot be read", code="file-unreadable", where=where or str(path), found=str(error)
        ) from error
    return data[:size]  # it may have grown in the meantime
