"""Safe opening of untrusted videos: regular files of common containers, with frames within the size limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import SynthError
from assets.limits import IMAGE_PIXELS, VIDEO_BYTES, check_file

if TYPE_CHECKING:
    import cv2

# Signatures of containers and their offsets. FFmpeg accepts more, such as playlists that refer to other files.
CONTAINERS = (
    *((4, mark) for mark in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")),  # MP4, MOV, M4V
    (8, b"AVI "),
    (0, b"\x1a\x45\xdf\xa3"),  # MKV, WebM
)


def open_video(file: Path) -> cv2.VideoCapture:
    """Open a video. Raises SynthError if it is not a regular file of a known container, or its frames are too big."""
    import cv2

    check_file(file, VIDEO_BYTES, "the video")
    with file.open("rb") as stream:
        head = stream.read(16)
    if not any(head[at:].startswith(mark) for at, mark in CONTAINERS):
        expected = "an MP4, MOV, AVI, MKV or WebM by its content"
        raise SynthError(
            "the video cannot be read",
            code="video-unreadable",
            where=str(file),
            found="another kind of file",
            expected=expected,
        )
    video = cv2.VideoCapture(str(file.resolve()), cv2.CAP_FFMPEG)
    width, height = (max(0, int(video.get(side))) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    try:
        IMAGE_PIXELS.check(width * height, str(file))
    except SynthError:
        video.release()
        raise
    return video
