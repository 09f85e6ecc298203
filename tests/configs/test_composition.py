"""Every option composes, and published settings are the defaults of their runs."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from selfalign.commands import composing
from selfalign.engine.building import build_data, build_module, build_tokenizer
from selfalign.engine.modules.retrieval import RetrievalModule
from selfalign.errors import UserError
from tests.conftest import write_scan_folder

CONFIGS = Path(__file__).parents[2] / "configs"
DATA = ("scenes", "f8k", "f30k", "coco", "precomputed")
LOSSES = ("selfalign", "baseline", "concept", "context")
"""Those of the paper and its ablations."""
OURS = ("infonce", "words")


def composed(*overrides: str, name: str = "train") -> dict[str, Any]:
    return composing.composed(overrides, name)


PUBLISHED = {  # learning rate, decay every, epochs
    ("camera", "f30k"): (1e-4, 10, 30),
    ("camera", "coco"): (1e-4, 20, 40),
    ("vsrn", "f30k"): (2e-4, 10, 30),
    ("vsrn", "coco"): (2e-4, 15, 30),
}


@pytest.mark.parametrize("pair", PUBLISHED)
def test_published_settings_are_the_defaults(pair: tuple[str, str]) -> None:
    backbone, data = pair
    config = composed(f"backbone={backbone}", f"data={data}")
    rate, decay, epochs = PUBLISHED[pair]
    assert config["training"] == {
        "learning_rate": rate,
        "decay_every": decay,
        "epochs": epochs,
        "clip_norm": 2.0,
        "validate_every": 500,
        "save_every": 500,
    }
    assert (config["seed"], config["data"]["batch_size"], config["data"]["validation_captions"]) == (1024, 128, 5000)
    assert config["backbone"]["width"] == 2048
    towers = {"image_pooling": "published", "text_pooling": "published", "norm_axis": "regions", "concepts": "shared"}
    assert config["backbone"] | towers == config["backbone"]
    assert not config["backbone"].get("zero_start")
    assert not config["backbone"].get("shortcut")
    loss = config["loss"]
    assert loss["words"]["weight"] == 0
    published = {
        "name": "hinge",
        "weight": 1.0,
        "margin": 0.2,
        "hardest": True,
        "warm_up_epochs": 0,
        "mask_same_image": False,
    }
    assert loss["ranking"] == published
    assert loss["context"] == {"weight": 1.0, "temperature": 0.7, "negatives": 512}
    assert (loss["concept"]["weight"], loss["concept"]["prototypes"], loss["concept"]["iterations"]) == (1.0, 1024, 2)
    assert (loss["concept"]["teacher_temperature"], loss["concept"]["student_temperature"]) == (0.05, 0.1)
    if backbone == "camera":
        assert (config["backbone"]["heads"], config["backbone"]["views"]) == (64, 12)
        bert = config["backbone"]["bert"]
        assert (bert["source"], bert["frozen"], bert["maximum_length"]) == ("bert-base-uncased", True, 32)
        assert loss["diversity"]["weight"] == 0.01
        assert loss["concept"]["freeze_epochs"] == 1
    else:
        switches = config["backbone"]["final_norm"], config["backbone"]["region_norm"]
        assert switches == ((True, False) if data == "f30k" else (False, True))
        assert config["backbone"]["word_width"] == 300
        assert loss["captioning"] | {"weight": 1} == {
            "weight": 1,
            "hidden": 512,
            "word_width": 300,
            "dropout": 0.2,
            "maximum_length": 60,
        }
        assert loss["concept"]["freeze_epochs"] == 0


def test_coco_is_tested_on_5k_and_on_five_folds_of_1k() -> None:
    data = composed("data=coco")["data"]
    assert (data["test_split"], data["protocol"]) == ("testall", ["full", "coco_1k_5fold"])


def build_all(config: dict[str, Any]) -> RetrievalModule:
    tokenizer = build_tokenizer(config, lambda line: None)
    build_data(config, tokenizer)
    return build_module(config, 10, tokenizer)


TINY = {
    "camera": (
        "backbone.heads=2",
        "backbone.views=2",
        "backbone.bert.source=null",
        "+backbone.bert.scratch={vocabulary_size:600,hidden_size:8,num_hidden_layers:1,num_attention_heads:2}",
    ),
    "vsrn": (
        "backbone.vocabulary.minimum_count=1",
        "backbone.word_width=6",
        "loss.captioning.hidden=8",
        "loss.captioning.word_width=6",
    ),
}


@pytest.mark.parametrize(("backbone", "data", "loss"), list(product(TINY, DATA, (*LOSSES, *OURS))))
def test_every_combination_builds(backbone: str, data: str, loss: str, tmp_path: Path) -> None:
    root = write_scan_folder(tmp_path / "d", {"train": 3})
    choices = (f"backbone={backbone}", f"data={data}", f"loss={loss}", "recipe=published")
    module = build_all(composed(*choices, f"data.root={root}", "backbone.width=8", *TINY[backbone]))
    names = set(module.losses)
    assert ("words" in names) == (loss == "words")
    assert ("concept" in names) == (loss in ("selfalign", "concept"))
    assert ("context" in names) == (loss in ("selfalign", "context"))
    assert ("captioning" in names) == (backbone == "vsrn")
    assert ("diversity" in names) == (backbone == "camera")
    parameters = [name for name, _ in module.named_parameters()]
    assert any("prototypes" in name for name in parameters) == ("concept" in names)
    assert any(".context." in name for name in parameters) == ("context" in names)


@pytest.mark.parametrize(("backbone", "data"), list(product(TINY, DATA)))
def test_a_tuned_recipe_is_there_for_every_pair(backbone: str, data: str, tmp_path: Path) -> None:
    root = write_scan_folder(tmp_path / "d", {"train": 3})
    choices = (f"backbone={backbone}", f"data={data}", "recipe=tuned", "loss=infonce")
    config = composed(*choices, f"data.root={root}", "backbone.width=8", *TINY[backbone])
    assert (config["backbone"]["norm_axis"], config["scheduler"]["name"]) == ("none", "cosine")
    assert set(build_all(config).losses) == {"ranking"}


@pytest.mark.parametrize("backbone", TINY)
def test_the_built_in_data_set_is_trained_with_the_tuned_recipe_and_the_words_loss(backbone: str) -> None:
    config = composed(f"backbone={backbone}")
    assert config == composed(f"backbone={backbone}", "data=scenes", "recipe=tuned", "loss=words")
    assert (config["loss"]["ranking"]["name"], config["loss"]["words"]["weight"]) == ("infonce", 1.0)


@pytest.mark.parametrize("backbone", ["linear", "linear_bert"])
@pytest.mark.parametrize("data", DATA)
def test_the_trivial_two_tower_trains_infonce_on_every_data_set(backbone: str, data: str) -> None:
    config = composed(f"backbone={backbone}", f"data={data}", "data.root=nowhere")
    weights = {name: values["weight"] for name, values in config["loss"].items() if isinstance(values, dict)}
    assert weights == {"ranking": 1.0, "words": 0.0, "concept": 0.0, "context": 0.0}
    assert config["loss"]["ranking"]["name"] == "infonce"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.concept.weight=-1", "loss.concept.weight"),
        ("loss.towers=paper", "towers"),
        ("+loss.ranking.margins=1", "loss.ranking"),
        ("+loss.triplet.weight=1", "loss.triplet.weight: unknown setting"),
        ("+backbone.depth=3", "backbone"),
        ("+backbone.bert.layers=3", "backbone.bert.layers"),
        ("+training.warm_ups=3", "training.warm_up"),
        ("padding=none", "padding"),
        ("training.learning_rate=0", "learning_rate"),
        ("data.batch_size=0", "batch_size"),
        ("backbone.heads=3", "heads"),
    ],
)
def test_a_wrong_setting_is_named(override: str, message: str, tmp_path: Path) -> None:
    root = write_scan_folder(tmp_path / "d", {"train": 3})
    tiny = [item for item in TINY["camera"] if not override.startswith(item.split("=")[0])]
    with pytest.raises(UserError, match=message) as caught:
        composed("data=f8k", f"data.root={root}", "backbone.width=8", *tiny, override)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("experiment", sorted(path.stem for path in (CONFIGS / "experiment").glob("*.yaml")))
def test_every_experiment_composes(experiment: str) -> None:
    assert composed(f"experiment={experiment}")["training"]["epochs"] > 0
