"""Every detector of the table and a third party's through the same contract; weights and checkpoints around them."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from detectors.checkpoints.detector import Checkpoint, load_checkpoint, restore_model, save_checkpoint
from detectors.checkpoints.recorded import RecordedSettings
from detectors.checkpoints.weights import fit_weights, load_weights
from detectors.data.image_set import Classes
from detectors.explain.stages import explain_detector
from detectors.models import DETECTORS, build_model, detector_module, detector_summary
from detectors.models.parts import covered_by
from detectors.models.spec import ModelSpec
from detectors.models.well_known import WELL_KNOWN
from support.errors import raises
from support.paths import ROOT

WIDTH, HEIGHT = 128, 96
TINY = "mobilenetv3_small_050"
# A third party's, in a Python file; it has a network of its own and takes no backbone.
OWN = str(ROOT / "examples" / "own_detector.py")
CLASSES = Classes(("a", "b", "c"), ("A", "B", "C"))
detectors = pytest.mark.parametrize("name", [*DETECTORS, pytest.param(OWN, id="own_detector.py")])
# Those whose backbone a timm model can be.
REPLACEABLE = [name for name in DETECTORS if getattr(detector_module(name), "TAKES_BACKBONE", True)]


def spec_of(name: str, backbone: str | None = TINY, classes: int = 3) -> ModelSpec:
    module = detector_module(name)
    backbone = backbone if getattr(module, "TAKES_BACKBONE", True) else None
    width, height = module.FIXED_SIZE or (WIDTH, HEIGHT)
    options = tuple(sorted(getattr(module, "SMALLEST", {}).items()))
    return ModelSpec(name, backbone, classes, width, height, module.MEAN, module.STD, options)


def small(name: str, backbone: str | None = TINY) -> nn.Module:
    """The network, with few proposals where it has any: they are what costs time."""
    torch.manual_seed(0)
    model = build_model(spec_of(name, backbone))
    if hasattr(model, "roi_heads"):
        model.roi_heads.fg_bg_sampler.batch_size_per_image = 16
        model.rpn._pre_nms_top_n = {"training": 50, "testing": 50}
        model.rpn._post_nms_top_n = {"training": 20, "testing": 20}
    return model


def target(boxes: list[list[float]], ignored: list[list[float]], spec: ModelSpec) -> dict[str, Tensor]:
    return {
        "boxes": torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.arange(len(boxes)),
        "ignored": torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4),
        "masks": torch.ones(len(boxes), spec.height, spec.width, dtype=torch.uint8),
        "keypoints": torch.tensor([[20.0, 30.0, 2.0]]).expand(len(boxes), 8, 3),
    }


def images(spec: ModelSpec, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.stack([torch.rand(3, spec.height, spec.width, generator=generator) for _ in range(count)])


@pytest.mark.parametrize(
    ("name", "backbone"),
    [*((name, None) for name in DETECTORS), *((name, TINY) for name in REPLACEABLE), pytest.param(OWN, None, id="own")],
)
def test_learns_and_finds(name: str, backbone: str | None) -> None:
    """Finite losses with gradients, also for an image without products; boxes inside the image, labels from 0."""
    spec, model = spec_of(name, backbone), small(name, backbone)
    targets = [target([[10, 10, 60, 80], [70, 20, 120, 60]], [], spec), target([], [], spec)]
    losses = model.losses(images(spec), targets)
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    assert torch.isfinite(total) and any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    model.eval()
    with torch.inference_mode():
        maps = model.features(images(spec))
        assert all(one.ndim == 4 and len(one) == 2 for one in maps) and maps[0].shape[2] >= maps[-1].shape[2]
        for found in model.detect(images(spec)):
            assert found["boxes"].shape[1] == 4 and (found["boxes"] >= 0).all()
            assert (found["boxes"][:, 2] <= spec.width).all() and (found["boxes"][:, 3] <= spec.height).all()
            assert ((found["labels"] >= 0) & (found["labels"] < spec.classes)).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_half_precision_moves_no_box_to_a_grid(name: str) -> None:
    """Under autocast, as on a GPU, boxes and scores come in float32: bfloat16 has even pixels alone from 256 on."""
    spec, model = spec_of(name), small(name).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        (found,) = model.detect(images(spec, 1))
    assert found["boxes"].dtype == found["scores"].dtype == torch.float32


@detectors
def test_images_are_never_resized(name: str) -> None:
    """Wide images stay wide in evaluation too: torchvision's SSD would make them square."""
    if getattr(detector_module(name), "CUTS_WINDOWS", False):
        pytest.skip("its backbone is meant to see windows or scaled images")
    spec, model = spec_of(name), small(name).eval()
    seen: list[tuple[int, ...]] = []
    model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(tuple(inputs[0].shape)))
    with torch.inference_mode():
        model.detect(images(spec, 1))
    assert seen == [(1, 3, spec.height, spec.width)]


@detectors
def test_ignored_regions_are_not_background(name: str) -> None:
    """An image that is ignored from edge to edge teaches nothing about background; a target in it is still learned."""
    spec, model = spec_of(name), small(name)
    # Wider than the image: anchors reach beyond its border, and count by the share that is covered.
    everywhere = [[-2000.0, -2000.0, 4000.0, 4000.0]]
    as_background = classification(model, images(spec, 1), [target([], [], spec)])
    as_ignored = classification(model, images(spec, 1), [target([], everywhere, spec)])
    assert as_ignored < 0.02 * as_background or as_ignored < 1e-6
    learned = classification(model, images(spec, 1), [target([[20, 20, 90, 80]], everywhere, spec)])
    assert learned > max(10 * as_ignored, 1e-3)


@pytest.mark.parametrize("name", DETECTORS)
def test_soft_outputs_are_what_detections_are_made_of(name: str) -> None:
    """Every box that is detected is that of a place; a second network of equal weights says the same of it."""
    spec, model = spec_of(name), small(name).eval()
    if not hasattr(model, "soft_outputs"):
        pytest.skip("its heads say nothing at fixed places")
    size = torch.tensor([spec.width, spec.height] * 2)
    with torch.inference_mode():
        first = model.soft_outputs(images(spec, 1))
        again = model.train(False).soft_outputs(images(spec, 1), first)
        for part, head in first.heads.items():
            torch.testing.assert_close(again.heads[part].logits, head.logits)
            torch.testing.assert_close(again.heads[part].boxes, head.boxes)
            assert len(head.boxes) == len(head.logits) and head.logits.shape[1] in (1, spec.classes, spec.classes + 1)
        last = list(first.heads.values())[-1]
        places = torch.minimum(last.boxes.clamp(min=0), size)
        found = model.detect(images(spec, 1))[0]["boxes"][:5]
    if first.classes is None:  # a second stage has a box for each class, of which one is given
        assert (torch.cdist(found, places, p=1).amin(1) < 0.01).all()
    if len(first.regions):
        assert [len(one) for one in first.regions] == [len(last.boxes)]


@detectors
def test_steps_from_places_to_detections(name: str) -> None:
    """`synth explain` shows every detector: its last step is what it detects, and each place has its numbers."""
    spec, model = spec_of(name), small(name).eval()
    given = target([[20, 20, 90, 80]], [], spec)
    stages = explain_detector(model, images(spec, 1), given).stages
    with torch.inference_mode():
        (found,) = model.detect(images(spec, 1))
    assert stages[-1].name == "detections" and torch.equal(stages[-1].boxes, found["boxes"].float())
    for stage in stages:
        columns = (stage.scores, stage.labels, stage.matched)
        assert all(len(column) == len(stage.boxes) for column in columns if column is not None), stage.name
        assert stage.scores is None or not len(stage.scores) or 0 <= stage.scores.min() <= stage.scores.max() <= 1
        assert stage.matched is None or set(stage.matched.tolist()) <= {-1, 0}


def classification(model: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]) -> float:
    """What tells products from background; SSD mines backgrounds beside targets only, so its own are summed."""
    torch.manual_seed(0)
    names = ("classification", "objectness", "loss_classifier", "loss_objectness")
    if type(model).__name__ == "IgnoringSsd":
        return ssd_background(model, images, targets)
    losses = model.losses(images, targets)
    return sum(float(torch.nan_to_num(losses[name]).detach()) for name in names if name in losses)


def ssd_background(model: nn.Module, images: Tensor, targets: list[dict[str, Tensor]]) -> float:
    """Cross entropy of all anchors against what the loss is given."""
    from detectors.models.ignoring import silence_ignored

    batch, _ = model.transform(list(images))
    features = list(model.backbone(batch.tensors).values())
    anchors = model.anchor_generator(batch, features)
    logits = model.head(features)["cls_logits"]
    matched = [torch.full((len(boxes),), -1) for boxes in anchors]
    if len(targets[0]["boxes"]):
        from torchvision.ops import box_iou

        matched = [model.proposal_matcher(box_iou(targets[0]["boxes"], anchors[0]))]
    silent = silence_ignored(logits, targets, anchors, matched, background=0)
    wanted = torch.where(matched[0] >= 0, 1, 0)[None]
    return float(nn.functional.cross_entropy(silent.flatten(0, 1), wanted.flatten(), reduction="sum").detach())


def test_covered_by_is_a_share_of_the_box() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 20, 10], [50, 50, 60, 60]])
    regions = torch.tensor([[0.0, 0, 10, 10], [5, 0, 10, 10]])
    assert covered_by(boxes, regions).tolist() == pytest.approx([1.0, 0.5, 0.0])
    assert covered_by(boxes, torch.zeros(0, 4)).tolist() == [0.0, 0.0, 0.0]


def test_every_detector_says_what_it_is() -> None:
    for name in DETECTORS:
        assert len(detector_summary(name)) > 20
        assert detector_module(name).LONG_SIDE >= 300


def test_a_plain_transformer_is_refused() -> None:
    with raises("backbone-unsupported"):
        build_model(spec_of("fcos", "vit_tiny_patch16_224"))


def test_a_backbone_that_has_no_place_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_module("yolo"), "TAKES_BACKBONE", False, raising=False)
    with raises("backbone-unsupported", found="it has a network of its own"):
        build_model(ModelSpec("yolo", TINY, 3, WIDTH, HEIGHT, (0, 0, 0), (1, 1, 1)))


def test_weights_of_a_backbone_fit_under_any_prefix(tmp_path: Path) -> None:
    import timm

    backbone = timm.create_model(TINY, pretrained=False)
    for wrap in (lambda state: state, lambda state: {"state_dict": {f"module.{k}": v for k, v in state.items()}}):
        torch.save(wrap(backbone.state_dict()), tmp_path / "backbone.pth")
        model = small("ssdlite")
        loaded = load_weights(model, spec_of("ssdlite"), CLASSES, str(tmp_path / "backbone.pth"))
        assert loaded is not None and len(loaded.fitted) > 150
        assert torch.equal(
            model.state_dict()["backbone.body.conv_stem.weight"], backbone.state_dict()["conv_stem.weight"]
        )
        assert any("head" in name for name in loaded.missing) and any("classifier" in name for name in loaded.unused)
        assert "randomly initialised" in "\n".join(loaded.lines())


def test_heads_of_other_classes_are_never_taken(tmp_path: Path) -> None:
    """As many classes in another order would fit by shape, and be silently wrong."""
    model = small("fasterrcnn_mobilenet")
    spec = spec_of("fasterrcnn_mobilenet")
    saved = Checkpoint(spec, CLASSES, model.state_dict(), settings=RecordedSettings(), data={})
    save_checkpoint(saved, tmp_path / "a.ckpt")
    others = Classes(("c", "b", "a"), ("C", "B", "A"))
    for classes, taken in ((CLASSES, True), (others, False)):
        loaded = load_weights(small("fasterrcnn_mobilenet"), spec, classes, str(tmp_path / "a.ckpt"))
        assert loaded is not None
        assert ("roi_heads.box_predictor.cls_score.weight" in loaded.fitted) == taken
        assert "roi_heads.box_head.fc6.weight" in loaded.fitted and "rpn.head.cls_logits.weight" in loaded.fitted


def test_weights_that_fit_nothing_are_refused(tmp_path: Path) -> None:
    with raises("weights-mismatch"):
        fit_weights(small("ssdlite"), {"encoder.weight": torch.zeros(3, 3)}, "other.pth")
    with raises("file-missing"):
        load_weights(small("ssdlite"), spec_of("ssdlite"), CLASSES, str(tmp_path / "gone.pth"))
    (tmp_path / "text.pth").write_text("hello")
    with raises("tensor-file-unreadable"):
        load_weights(small("ssdlite"), spec_of("ssdlite"), CLASSES, str(tmp_path / "text.pth"))
    assert load_weights(small("ssdlite"), spec_of("ssdlite"), CLASSES, "none") is None
    with raises("weights-unavailable", what="no ImageNet weights for ssdlite"):
        load_weights(small("ssdlite", None), spec_of("ssdlite", None), CLASSES, "imagenet")


def test_checkpoints_come_back_whole(tmp_path: Path) -> None:
    model = small("ssdlite")
    norms = ("backbone.body.bn1",)
    settings = RecordedSettings('{"out": "x", "mix": [["real", 0.2]]}')
    fields = {"settings": settings, "data": {"real": "abc"}, "frozen_norms": norms}
    saved = Checkpoint(spec_of("ssdlite"), CLASSES, model.state_dict(), **fields, step=7, threshold=0.4)  # type: ignore[arg-type]
    save_checkpoint(saved, tmp_path / "best.ckpt")
    back = load_checkpoint(tmp_path)
    assert (back.spec, back.classes, back.settings, back.data) == (saved.spec, CLASSES, saved.settings, saved.data)
    assert (back.step, back.threshold, back.frozen_norms) == (7, 0.4, norms)
    restored = restore_model(back)
    assert not restored.training
    assert all(
        torch.equal(a, b) for a, b in zip(restored.state_dict().values(), model.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"not a checkpoint", "tensor-file-unreadable"),
        ({"weights": {}}, "checkpoint-foreign"),
        ({"weights": {}, "spec": {}, "format": 99}, "format-version-unsupported"),
    ],
)
def test_damaged_checkpoints_are_told(content: object, code: str, tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with raises(code):
        load_checkpoint(tmp_path)


def test_a_folder_without_checkpoints_is_told(tmp_path: Path) -> None:
    with raises("checkpoint-missing"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("YOLOv8n", "yolo"),
        ("yolo9000", "yolov2"),
        ("YOLOv3-tiny", "yolov3"),
        ("yolov1-tiny", "yolov1"),
        ("YOLOv12s", "yolo"),
        ("scaled-yolov4", "yolov4"),
        ("rf-detr", "dfine"),
        ("efficientdet-d7", "efficientdet_d2"),
        ("centernet2", "centernet"),
        ("faster-rcnn", "fasterrcnn"),
        ("fasterrcnn_resnet50_fpn", "fasterrcnn"),
        ("fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet"),
        ("fastrcnn", "fast_rcnn"),
        ("R-CNN", "rcnn"),
        ("OverFeat", "sliding_window"),
        ("mask_rcnn", "maskrcnn"),
        ("ssd", "ssdlite"),
        ("DeepLabV3", "fcn"),
    ],
)
def test_well_known_names_lead_to_what_comes_closest(name: str, nearest: str) -> None:
    with raises("unknown-name", hint=f"--detector {nearest}$", problems=f"^{nearest}: ") as caught:
        detector_module(name)
    assert all(known in DETECTORS for known in itertools.chain(*WELL_KNOWN.values()))
    assert all(line.count(": ") and line.endswith(".") for line in caught.value.problems)
