"""New classes from a handful of pictures: the head that is learned, how it is judged, and the folder that is left."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from torch import nn

from cvhub.errors import CvhubError
from cvhub.inference.classify import Classifier
from cvhub.load import load_model
from cvhub.training.few_shot import C, _fit, find_heads, frozen_features, learn_classes, write_model
from cvhub.training.leave_one_out import leave_each_out
from tests.test_inference import save, tiny
from tests.tiny import CLASSIFIER, families_with

SHADES = {"dark": 40, "light": 210, "middle": 128}


def pictures(each: int = 5) -> tuple[list[Image.Image], list[int]]:
    """Noisy grey pictures, of which a class is a shade."""
    chance = np.random.default_rng(0)
    targets = [index for index in range(len(SHADES)) for _ in range(each)]
    shades = [list(SHADES.values())[target] for target in targets]
    return [Image.fromarray(chance.integers(s - 30, s + 30, (64, 64, 3), dtype=np.uint8)) for s in shades], targets


@pytest.fixture(scope="module")
def features() -> np.ndarray:
    """Of 18 pictures of three classes that overlap, 40 numbers each."""
    return np.random.default_rng(1).standard_normal((18, 40)) * 4 + np.repeat(np.eye(3, 40) * 7, 6, axis=0) + 20


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_scikit_learns_logistic_regression(features: np.ndarray, classes: int):
    features, targets = features[: 6 * classes], np.repeat(np.arange(classes), 6)
    learned = learn_classes(features, targets, list("abc")[:classes])
    centred = features - features.mean(0)
    plain = LogisticRegression(C=C, max_iter=5000, tol=1e-8)
    scaled = centred / np.linalg.norm(centred, axis=1).mean()
    logits = features @ learned.weight.T + learned.bias
    powers = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(
        powers / powers.sum(1, keepdims=True), plain.fit(scaled, targets).predict_proba(scaled), atol=2e-3
    )


def test_each_picture_is_judged_by_a_head_that_has_not_seen_it(features: np.ndarray):
    targets = np.repeat(np.arange(3), 6)
    learned = learn_classes(features, targets, ["a", "b", "c"])
    centred = features - features.mean(0)
    scaled = centred / np.linalg.norm(centred, axis=1).mean()
    apart = cross_val_predict(LogisticRegression(C=C, max_iter=5000), scaled, targets, cv=LeaveOneOut())
    np.testing.assert_array_equal(learned.left_out, apart)
    assert learned.mistaken == np.flatnonzero(apart != targets).tolist() != []
    assert learned.accuracy == 1 - len(learned.mistaken) / 18


def slow_way(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(N, K) probabilities, of N fits."""
    plain = LogisticRegression(C=C, max_iter=20000, tol=1e-8)
    return np.asarray(cross_val_predict(plain, features, targets, cv=LeaveOneOut(), method="predict_proba"))


@pytest.mark.parametrize("classes", [2, 3])
def test_leaving_each_out_is_as_good_as_fitting_again(features: np.ndarray, classes: int):
    targets = np.repeat(np.arange(classes), 6)
    points = (features[: 6 * classes] - 20) / 10
    weight, bias = _fit(points, targets)
    probabilities, settled = leave_each_out(points, targets, weight, bias, (2 if classes == 2 else 1) / C)
    assert settled.all()
    np.testing.assert_allclose(probabilities, slow_way(points, targets), atol=1e-4)


def test_a_picture_that_is_far_from_all_others_is_left_out_too():
    chance = np.random.default_rng(0)
    targets = np.repeat(np.arange(4), 8)
    features = np.eye(4, 5)[targets] + chance.standard_t(1.2, (32, 5))
    scale = np.linalg.norm(features - features.mean(0), axis=1).mean()
    points = (features - features.mean(0)) / scale
    _, settled = leave_each_out(points, targets, *_fit(points, targets), 1 / C)
    assert not settled.all()  # the case that this test is for
    learned = learn_classes(features, targets.tolist(), list("abcd"))
    np.testing.assert_array_equal(learned.left_out, slow_way(points, targets).argmax(1))


@pytest.mark.parametrize("family", families_with(CLASSIFIER))
def test_the_folder_answers_as_what_was_learned(family: str, tmp_path: Path):
    save(tmp_path / "base", tiny(family))
    images, targets = pictures()
    classifier = Classifier(str(tmp_path / "base"), "torch", "fp32")
    if not isinstance(load_model(str(tmp_path / "base")).classifier, nn.Linear):
        with pytest.raises(CvhubError, match="doesn't end in a linear layer"):
            frozen_features(classifier, images)
        return
    features = frozen_features(classifier, images)
    learned = learn_classes(features, targets, list(SHADES))
    write_model(tmp_path / "own", str(tmp_path / "base"), learned, "Shades", "base")
    own = Classifier(str(tmp_path / "own"), "torch", "fp32")
    assert own.labels == list(SHADES)
    logits = np.stack([answer.logits for answer in own.predict(images)])
    expected = features @ learned.weight.T + learned.bias
    assert np.linalg.norm(logits - expected) <= 1e-3 * np.linalg.norm(expected)
    before, after = load_model(str(tmp_path / "base")).base_model, load_model(str(tmp_path / "own")).base_model
    for name, tensor in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], tensor)


def test_the_folder_loads_without_cvhub(tmp_path: Path):
    save(tmp_path / "base", tiny("mobilenet_v2"))
    images, targets = pictures()
    features = frozen_features(Classifier(str(tmp_path / "base"), "torch", "fp32"), images)
    learned = learn_classes(features, targets, list(SHADES))
    write_model(tmp_path / "own", str(tmp_path / "base"), learned, "Shades", "owner/base")
    card = (tmp_path / "own" / "README.md").read_text(encoding="utf-8")
    assert "base_model: owner/base" in card
    assert "dark (5), light (5), middle (5)" in card
    script = (
        "import sys; sys.modules['cvhub'] = None\n"
        "from transformers import AutoModelForImageClassification as A\n"
        f"m = A.from_pretrained({str(tmp_path / 'own')!r}, trust_remote_code=True)\n"
        "print(m.config.id2label)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert "{0: 'dark', 1: 'light', 2: 'middle'}" in done.stdout, done.stderr


def test_a_distilled_net_has_two_heads(tmp_path: Path):
    save(tmp_path / "base", tiny("deit"))
    model = load_model(str(tmp_path / "base"))
    assert find_heads(model, torch.zeros(2, 3, 64, 64)) == [model.classifier, model.distillation_classifier]


def test_what_can_not_be_learned_is_said():
    features = np.ones((3, 4))
    with pytest.raises(CvhubError, match="There are 1 classes, expected at least 2"):
        learn_classes(features, [0, 0, 0], ["a"])
    with pytest.raises(CvhubError, match="The class 'b' has 1 pictures, expected at least 2"):
        learn_classes(features, [0, 0, 1], ["a", "b"])
