"""What a refined data set records of itself: its pictures are others than those that were rendered."""

from __future__ import annotations

from pathlib import Path

from assets.files.json_input import read_json
from assets.files.models import Count, Sha256, check_model
from assets.limits import DATASET_JSON
from assets.plurals import count_of
from pipeline.run.identity import StoredIdentity

REFINEMENT = "refined.json"
Setting = bool | int | float | str | list[float] | None


class Refinement(StoredIdentity):
    """How the pictures of a data set were refined, which must be equal to resume.

    method, settings: of `synth refine`. photos: digest of the photographs; photo_count: their number. source: digest of
    the set that was refined: of its COCO files and images.
    """

    method: str
    settings: dict[str, Setting]
    photos: Sha256
    photo_count: Count
    source: Sha256

    def differing(self, new: StoredIdentity) -> list[str]:
        """Return a line for each field and each setting that is another in `new`."""
        lines = [line for line in super().differing(new) if not line.startswith("settings: ")]
        now = new.settings if isinstance(new, Refinement) else {}
        names = [name for name in {**self.settings, **now} if self.settings.get(name) != now.get(name)]
        return lines + [f"{name}: was {self.settings.get(name)!r}, now {now.get(name)!r}" for name in names]

    @property
    def words(self) -> str:
        """What was done, in words."""
        return f"pictures were refined by {self.method} towards {count_of(self.photo_count, 'photograph')}"


def read_refinement(folder: Path) -> Refinement | None:
    """Read what a data set says of its refinement; None if there is none. Raises SynthError if it is damaged."""
    file = folder / REFINEMENT
    if not file.is_file():
        return None
    content = read_json(file, DATASET_JSON, REFINEMENT)
    return check_model(Refinement, content, REFINEMENT, str(file))
