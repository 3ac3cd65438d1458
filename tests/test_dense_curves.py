"""What deep supervision and skip connections do, as data that ships: how docs/dense_curves.py makes it."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cvhub.errors import CvhubError
from cvhub.explain.figures import dense_curves as curves
from cvhub.load import load_model
from cvhub.models.unet import CvUNetConfig, CvUNetForSemanticSegmentation
from cvhub.training.curves import read_curve
from cvhub.training.nets import build_net
from cvhub.training.recipe_file import read_recipe
from docs import dense_curves as script
from docs.curves import chosen
from tests.test_bad_masks import mask, picture, png, write

NAME = "supervised"
CLASSES = ["background", "nucleus"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script writes of one run with a narrow net on small pictures, and beside it `work`."""
    folder = tmp_path_factory.mktemp("curves")
    data = write(folder / "nuclei", [(png(picture(64, 64)), png(mask(64, 64)))] * 12)
    narrow = {name: net | {"widths": [2, 2, 2, 2, 2]} for name, net in script.NETS.items()}
    common = script.COMMON | {
        "data": script.COMMON["data"] | {"target": "mask", "holdout": "", "validation": 0.25},
        "picture": {"size": 32},
        "optimiser": script.COMMON["optimiser"] | {"batch": 4},
        "budget": {"epochs": 5, "validate_every": 1},
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "NETS", narrow)
        patch.setattr(script, "COMMON", common)
        script.main([str(data), "--only", NAME, "--work", str(folder / "work"), "--into", str(folder / "into")])
    return folder


def test_a_run_is_measured_at_the_start_and_after_each_tenth(made: Path) -> None:
    run = curves.read_runs(made / "into")[NAME]
    assert [row.tenth for row in run.tenths] == list(range(11))
    assert [row.step for row in run.tenths] == [-(-run.steps * tenth // 10) for tenth in range(11)]
    assert run.pictures == 9
    assert run.last.step == run.steps == read_curve(made / "into" / f"{NAME}.csv")[-1]["step"]
    for row in run.tenths:
        assert (len(row.losses), len(row.gradient), len(row.supervised_gradient)) == (4, 5, 5)
        assert all(np.isfinite(value) for value in (*row.losses, *row.gradient, *row.supervised_gradient))
        assert 0 <= row.iou <= 1
    assert run.tenths[0].losses != run.last.losses


def test_what_was_measured_last_is_what_the_folder_holds(made: Path) -> None:
    """The weights of the folder, judged again."""
    run = curves.read_runs(made / "into")[NAME]
    recipe = read_recipe(tomllib.loads((made / "into" / f"{NAME}.toml").read_text(encoding="utf-8")))
    data = {"source": str(made / "nuclei")}
    recipe = read_recipe(recipe.as_dict() | {"data": recipe.as_dict()["data"] | data})
    transform = script.picture_transform(recipe)
    held_out = script.load_masked_pictures(recipe.data, "RGB").held_out
    assert held_out is not None
    iou, boundary_f = script.judge(script.load_model(str(made / "work" / NAME)), held_out, transform)
    assert (iou, boundary_f) == pytest.approx((run.last.iou, run.last.boundary_f), abs=0.02)  # of half precision


def test_what_is_there_is_left(made: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "train", None)
    script.main([str(made / "nuclei"), "--only", NAME, "--into", str(made / "into")])
    assert f"{NAME} is there already" in capsys.readouterr().out


def test_gradients_are_those_of_the_losses() -> None:
    """Of the main loss alone, and of the weighted sum; without auxiliary heads both are the same."""
    fields: dict[str, Any] = {"widths": (4, 4, 4), "padding": True, "num_channels": 3, "dropout": 0.0}
    batch = {"pixel_values": torch.randn(2, 3, 16, 16), "labels": torch.randint(2, (2, 16, 16))}
    plain = CvUNetForSemanticSegmentation(CvUNetConfig(**fields)).train()
    losses, main, together = script.probe(plain, batch)
    assert (len(losses), len(main)) == (1, 3)
    assert main == together
    net = CvUNetForSemanticSegmentation(CvUNetConfig(**fields, auxiliary_weights=(0.5,))).train()
    losses, main, together = script.probe(net, batch)
    net(**batch).loss.backward()
    assert net(**batch).loss.item() == pytest.approx(losses[0] + 0.5 * losses[1], rel=1e-3)
    by_hand = [
        torch.stack([values.grad.norm() for values in level.parameters()]).norm().item()
        for level in net.base_model.encoder.levels
    ]
    assert together == pytest.approx(tuple(by_hand), rel=1e-3)
    assert main != together


def test_every_run_of_an_experiment_has_a_recipe_and_the_other_way_round() -> None:
    assert {name for names in curves.EXPERIMENTS.values() for name in names} == set(script.NETS)
    assert chosen(["skips"], curves.EXPERIMENTS, script.NETS) == ["unet", "no_skips"]
    with pytest.raises(CvhubError, match="There is no run 'skip'"):
        chosen(["skip"], curves.EXPERIMENTS, script.NETS)


@pytest.mark.parametrize("experiment", curves.EXPERIMENTS)
def test_runs_of_an_experiment_differ_in_what_it_is_about(experiment: str) -> None:
    one, other = (script.NETS[name] for name in curves.EXPERIMENTS[experiment])
    differing = {key for key in one | other if one.get(key) != other.get(key)}
    of = {"skips": {"skip_connections"}, "encoder": {"backbone", "decoder_widths", "upsampling"}}
    assert differing == of.get(experiment, {"auxiliary_weights"})


def test_both_encoders_cost_about_as_much() -> None:
    nets = [build_net(script.recipe_of(name, "somewhere").model, CLASSES, 0) for name in curves.EXPERIMENTS["encoder"]]
    sizes = [net.num_parameters() for net in nets]
    assert max(sizes) < 1.1 * min(sizes)
    trained = load_model("efficientnet_lite0").base_model.state_dict()
    assert torch.equal(nets[1].base_model.encoder.state_dict()["stem.conv.weight"], trained["stem.conv.weight"])


def test_levels_of_a_backbone_are_those_of_its_maps() -> None:
    net = build_net(script.recipe_of("pretrained", "somewhere").model, CLASSES, 0)
    levels = script.contracting_levels(net.base_model.encoder)
    assert len(levels) == len(net.config.encoder_widths)
    assert sum(len(level) for level in levels) == len(list(net.base_model.encoder.parameters()))


@pytest.mark.parametrize("name", script.NETS)
def test_every_recipe_builds_its_net(name: str) -> None:
    recipe = script.recipe_of(name, "somewhere")
    net = build_net(recipe.model, CLASSES, recipe.seed).train()
    side = recipe.picture.size
    output = net(torch.zeros(2, 3, side, side))
    assert output.logits.shape == (2, 2, side, side)
    assert len(output.auxiliary_logits or ()) == len(net.config.auxiliary_weights)
    assert net.num_parameters() < 2_000_000


def test_what_ships_is_what_the_recipes_leave() -> None:
    """Each curve ends where its line in runs.json says, and its recipe is the script's."""
    folder = curves.FOLDER
    made = {run.name: run for names in curves.EXPERIMENTS for run in curves.runs(names)}
    assert set(made) == {file.stem for file in folder.glob("*.csv")}
    for name, run in made.items():
        assert read_curve(folder / f"{name}.csv")[-1]["step"] == run.steps == run.last.step
        recipe = read_recipe(tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8")))
        assert recipe == script.recipe_of(name, recipe.data.source)
        assert not recipe.data.source.startswith(("/", "."))  # no path of the machine it was made on
