"""Costs against the papers and against gradients; heat maps against each other."""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from cvhub.errors import CvhubError
from cvhub.explain.cam import class_activation_map, grad_cam, heat_map, paint
from cvhub.explain.cost import measure, measure_config
from cvhub.explain.watching import Watch, skeleton
from cvhub.models.mobilenet_v2 import CvMobileNetV2Config, CvMobileNetV2ForImageClassification
from cvhub.models.resnet import CvResNetBackbone, CvResNetConfig, CvResNetForImageClassification
from cvhub.models.swin import CvSwinConfig, CvSwinForImageClassification
from tests.tiny import TinyFamily


def resnet(name: str, **fields: Any) -> CvResNetForImageClassification:
    """A named ResNet without values."""
    with torch.device("meta"):
        return CvResNetForImageClassification(CvResNetConfig.variant(name, num_labels=1000, **fields))


def mobilenet(name: str, **fields: Any) -> CvMobileNetV2ForImageClassification:
    """A named MobileNetV2 without values."""
    with torch.device("meta"):
        return CvMobileNetV2ForImageClassification(CvMobileNetV2Config.variant(name, num_labels=1000, **fields))


def swin(name: str, **fields: Any) -> CvSwinForImageClassification:
    """A named Swin without values."""
    with torch.device("meta"):
        return CvSwinForImageClassification(CvSwinConfig.variant(name, num_labels=1000, **fields))


def tiny_resnet(**fields: Any) -> CvResNetForImageClassification:
    row: dict[str, Any] = dict(block="basic", depths=(1, 1), widths=(8, 16), stem_width=8, num_labels=5)
    return CvResNetForImageClassification(CvResNetConfig(**(row | fields)))


def tiny_mobilenet() -> CvMobileNetV2ForImageClassification:
    row: dict[str, Any] = dict(rows=[(1, 8, 1, 1), (4, 16, 2, 2), (4, 24, 2, 2, 5)], head_channels=32, num_labels=5)
    return CvMobileNetV2ForImageClassification(CvMobileNetV2Config(**row))


def tiny_swin(**fields: Any) -> CvSwinForImageClassification:
    row: dict[str, Any] = dict(embed_dim=8, depths=(2, 1), num_heads=(1, 2), window_size=3, num_labels=5)
    return CvSwinForImageClassification(CvSwinConfig(**(row | fields)))


def randomise(model: nn.Module) -> nn.Module:
    """Every parameter and statistic random, so that no map is constant."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_var", "norm.weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.is_floating_point():
            tensor.normal_(std=0.3, generator=generator)
    return model.eval()


class VggLike(nn.Module):
    """Convolutions, then a linear layer on the flattened map: no class activation map, and no cvhub model."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3),
            nn.ReLU(inplace=True),
        )
        self.dropout = nn.Dropout()
        self.head = nn.Linear(8 * 6 * 6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x).flatten(1)))


class TinyViT(nn.Module):
    """Patches, a class token, one block of attention over all positions."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.zeros(1, 1, 8))
        self.qkv = nn.Linear(8, 24)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token, x], dim=1)
        x = F.scaled_dot_product_attention(*self.qkv(x).chunk(3, dim=-1))
        return self.head(x[:, 0])


class WindowAttention(nn.Module):
    """Patches of 2 pixels, attention in windows of 4 x 4 patches, then 2 x 2 patches merged, as in Swin."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, 2)
        self.merge = nn.Linear(32, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        windows = x.view(n, h // 4, 4, w // 4, 4, c).transpose(2, 3).reshape(-1, 16, c)
        windows = F.scaled_dot_product_attention(windows, windows, windows)
        x = windows.view(n, h // 4, w // 4, 4, 4, c).transpose(2, 3).reshape(n, h, w, c)
        x = torch.cat([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], dim=-1)
        return self.merge(x).permute(0, 3, 1, 2)


class TestPublishedCosts:
    """What the papers' tables say, and Araujo et al. 2019 of receptive fields."""

    @pytest.mark.parametrize(
        ("model", "millions", "giga", "field"),
        [
            (resnet("resnet18"), 11.69, 1.8, 435),  # He et al. 2015, table 1
            (resnet("resnet34"), 21.80, 3.6, 899),
            (resnet("resnet50"), 25.56, 3.8, 483),
            (resnet("resnet101"), 44.55, 7.6, 1027),
            (resnet("resnet152"), 60.19, 11.3, 1507),
            (resnet("resnext50_32x4d", stride_in_1x1=False), 25.0, 4.2, 427),  # Xie et al. 2017, table 1
            (mobilenet("mobilenet_v2_100"), 3.5, 0.300, 491),  # Sandler et al. 2018 and the authors' checkpoints
            (mobilenet("mobilenet_v2_140"), 6.11, 0.582, 491),
            (mobilenet("mobilenet_v2_035"), 1.68, 0.059, 491),
            (swin("swin_tiny"), 28.3, 4.5, None),  # Liu et al. 2021, table 1; its last windows cover the whole map
            (swin("swin_small"), 49.6, 8.7, None),
            (swin("swin_base"), 87.8, 15.4, None),
        ],
    )
    def test_equal_the_papers(self, model, millions, giga, field):
        cost = measure(model, 224, 224)
        assert cost.parameters / 1e6 == pytest.approx(millions, rel=0.002 if millions != 3.5 else 0.005)
        assert cost.multiply_adds / 1e9 == pytest.approx(giga, rel=0.02)
        assert cost.receptive_field == field

    def test_resnet50_to_the_last_parameter_and_both_places_of_its_stride(self):
        paper, later = (measure(resnet("resnet50", stride_in_1x1=first), 224, 224) for first in (True, False))
        assert paper.parameters == later.parameters == 25_557_032
        assert (paper.multiply_adds, later.multiply_adds) == (3_857_973_248, 4_089_184_256)
        # The weights and statistics (2 a channel and a counter of 53 norms), and the last 1×1 norm of stage 1: 256×56².
        stored = 25_557_032 + 2 * 26_560 + 53
        assert paper.memory_bytes == 4 * (stored + 2 * 64 * 112 * 112)


class TestMultiplyAdds:
    @pytest.mark.parametrize(
        ("model", "size"),
        [
            (resnet("resnet50", output_stride=8), (65, 97)),
            (mobilenet("efficientnet_lite0", padding="same"), (224, 224)),
            (TinyViT(), (32, 24)),
            (WindowAttention(), (32, 32)),
            (swin("swin_tiny", attn_implementation="eager"), (224, 200)),
            (nn.Sequential(nn.Conv2d(3, 4, 3, groups=1), nn.ConvTranspose2d(4, 6, 3, 2, groups=2)), (20, 21)),
        ],
        ids=["resnet50", "lite0", "attention", "windows", "swin", "transposed"],
    )
    def test_equal_torchs_own_counter(self, model, size):
        cost = measure(model, *size)
        counter = FlopCounterMode(display=False)
        with counter, torch.no_grad():
            skeleton(model).eval()(torch.empty(1, 3, *size, device="meta"))
        assert cost.multiply_adds == counter.get_total_flops() // 2
        assert sum(layer.multiply_adds for layer in cost.layers) == cost.multiply_adds
        assert sum(layer.parameters for layer in cost.layers) == cost.parameters

    def test_a_product_written_with_matmul_counts(self):
        class Written(nn.Module):
            def __init__(self):
                super().__init__()
                self.project = nn.Conv2d(3, 4, 1)

            def forward(self, x: Tensor) -> Tensor:
                x = self.project(x).flatten(2)
                return torch.bmm(x.transpose(1, 2) @ x, x.transpose(1, 2))

        cost = measure(Written(), 5, 6)
        assert cost.multiply_adds == 30 * 3 * 4 + 2 * 30 * 30 * 4
        assert cost.receptive_field is None


class TestLayers:
    def test_the_table_of_a_small_net(self):
        layers = {layer.name: layer for layer in measure(VggLike(), 16, 16).layers}
        assert list(layers) == ["features.0", "features.2", "features.3", "head"]
        conv, pool, head = layers["features.0"], layers["features.2"], layers["head"]
        assert (conv.kind, conv.kernel, conv.output_shape) == ("Conv2d", (3, 3), (6, 16, 16))
        assert (conv.parameters, conv.multiply_adds, conv.receptive_field) == (168, 27 * 6 * 256, 3)
        assert (pool.kind, pool.kernel, pool.output_shape, pool.receptive_field) == ("MaxPool2d", (2, 2), (6, 8, 8), 4)
        assert (head.kernel, head.output_shape, head.parameters, head.receptive_field) == (None, (4,), 1156, None)

    def test_a_shared_layer_has_two_rows_and_one_set_of_parameters(self):
        conv = nn.Conv2d(3, 3, 3, padding=1)
        cost = measure(nn.Sequential(conv, conv), 8, 8)
        assert [layer.parameters for layer in cost.layers] == [84, 0]
        assert [layer.receptive_field for layer in cost.layers] == [3, 5]
        assert cost.multiply_adds == 2 * 81 * 64

    def test_the_model_is_left_alone(self):
        model = tiny_resnet().train()
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        measure(model, 64, 64)
        assert all(module.training for module in model.modules())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

    @pytest.mark.parametrize("size", [(0, 5), (8, 64)])
    def test_a_size_the_model_cannot_take(self, size):
        with pytest.raises(CvhubError, match=f"{size[0]}x{size[1]} pixels"):
            measure(resnet("resnet18"), *size)


class Upsample(nn.Module):
    def __init__(self, scale: int, mode: str):
        super().__init__()
        self.scale, self.mode = scale, mode

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.scale, mode=self.mode)


class ShiftedSum(nn.Module):
    """A pixel and the one three to its right and below: neither sees more than one, together they see four."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :-3, :-3] + x[..., 3:, 3:]


def positive(model: nn.Module) -> nn.Module:
    """Weights of which none can cancel another's gradient, in float64."""
    for parameter in model.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0)
    return model.double().eval()


def seen_by_gradient(model: nn.Module, size: int) -> tuple[range, range, tuple[int, int]]:
    """Rows and columns with a gradient from the centre of the output map, and where that centre is."""
    pixels = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    output = model(pixels)
    row, column = output.shape[2] // 2, output.shape[3] // 2
    (gradient,) = torch.autograd.grad(output[0, :, row, column].sum(), pixels)
    rows, columns = gradient.abs().sum((0, 1)).nonzero(as_tuple=True)
    return range(rows.min(), rows.max() + 1), range(columns.min(), columns.max() + 1), (row, column)


def seen_by_rule(model: nn.Module, size: int, centre: tuple[int, int]) -> list[range]:
    """The same by receptive field arithmetic."""
    pixels, copy = torch.empty(1, 3, size, size, dtype=torch.float64, device="meta"), skeleton(model)
    watch = Watch(pixels)
    watch.attach(copy)
    with torch.no_grad(), watch:
        field = watch.field_of(copy(pixels))
    assert field is not None
    ends = [(axis.first + i * axis.jump, axis.last + i * axis.jump) for axis, i in zip(field, centre, strict=True)]
    return [range(int(np.floor(first)), int(np.ceil(last)) + 1) for first, last in ends]


class TestReceptiveField:
    @pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
    @pytest.mark.parametrize(
        "layers",
        [
            [nn.Conv2d(3, 2, 3), nn.Conv2d(2, 2, 5, 2, 2), nn.Conv2d(2, 2, 3, dilation=2, padding=2)],
            [nn.Conv2d(3, 2, (1, 7), padding=(0, 3)), nn.Conv2d(2, 2, (3, 1), (2, 1))],
            [nn.Conv2d(3, 2, 4, padding="same"), nn.AvgPool2d(3, 2, 1), nn.Conv2d(2, 2, 3, padding="valid")],
            [nn.ZeroPad2d((3, 0, 1, 2)), nn.Conv2d(3, 2, 4, 3)],
            [nn.Conv2d(3, 3, 3, 2), ShiftedSum()],
            [nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(5)],
            [nn.Conv2d(3, 2, 3, 2, 1), nn.ConvTranspose2d(2, 2, 2, 2), nn.Conv2d(2, 2, 3, padding=1)],
            [nn.Conv2d(3, 2, 4, 4), Upsample(2, "nearest")],
        ],
        ids=["convs", "oblong", "same", "padded", "slices", "adaptive", "transposed", "nearest"],
    )
    def test_equals_what_has_a_gradient(self, layers):
        model = positive(nn.Sequential(*layers))
        rows, columns, centre = seen_by_gradient(model, 40)
        expected = seen_by_rule(model, 40, centre)
        assert [len(rows), len(columns)] == [len(axis) for axis in expected]

    @pytest.mark.parametrize(
        "model",
        [
            CvResNetBackbone(CvResNetConfig.cifar(8, shortcut="A", out_indices=[-1])),
            CvResNetBackbone(CvResNetConfig.cifar(14, shortcut="B", out_indices=[-1])),
            CvResNetBackbone(CvResNetConfig.cifar(8, shortcut="none", output_stride=8, out_indices=[-1])),
        ],
        ids=["A", "B", "plain"],
    )
    def test_of_our_nets_is_where_it_says(self, model):
        """Positive weights and pixels: no ReLU cuts anything off."""
        net = nn.Sequential(positive(model), LastMap())
        rows, columns, centre = seen_by_gradient(net, 101)
        assert [rows, columns] == seen_by_rule(net, 101, centre)

    @pytest.mark.parametrize(
        "layers",
        [
            [nn.Conv2d(3, 2, 3, 2, 1), Upsample(2, "bilinear"), nn.Conv2d(2, 2, 3)],
            [nn.Conv2d(3, 2, 2, 2), Upsample(3, "bicubic")],
            [nn.Conv2d(3, 2, 3), nn.ConvTranspose2d(2, 2, 3, 2, 1)],
            [nn.Conv2d(3, 2, 3), nn.MaxPool2d(3, 2, 1), nn.ReLU(), nn.Conv2d(2, 2, 3)],
            [WindowAttention()],
        ],
        ids=["bilinear", "bicubic", "transposed", "max pool", "windows"],
    )
    def test_is_never_less_than_what_has_a_gradient(self, layers):
        model = positive(nn.Sequential(*layers))
        rows, columns, centre = seen_by_gradient(model, 48)
        for seen, bound in zip((rows, columns), seen_by_rule(model, 48, centre), strict=True):
            assert len(seen) <= len(bound) < 48

    def test_attention_sees_the_whole_picture_and_windows_do_not(self):
        assert measure(TinyViT(), 32, 32).receptive_field is None
        # 2 pixels a patch; a window adds 4 patches, merging one more.
        assert measure(WindowAttention(), 32, 32).receptive_field == 2 + 4 * 2 + 2

    def test_a_pooled_net_tells_of_its_last_map_and_a_dense_one_of_its_output(self):
        pooled = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
        assert measure(pooled, 20, 20).receptive_field == 3
        assert measure(pooled, 20, 20).layers[-1].receptive_field is None
        assert measure(nn.Sequential(nn.Conv2d(3, 2, 3), nn.Conv2d(2, 5, 3)), 20, 20).receptive_field == 5


class LastMap(nn.Module):
    def forward(self, output: Any) -> Tensor:
        return output.feature_maps[-1]


class TestCostOfAFolder:
    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv("CVHUB_CACHE", str(tmp_path / "cache"))
        folder = tmp_path / "model"
        model = tiny_resnet()
        model.config.architectures = [type(model).__name__]
        model.config.save_pretrained(folder)
        return folder

    def test_equals_the_models_and_needs_no_weights(self, folder):
        assert measure_config(folder, 64, 48) == measure(tiny_resnet(), 64, 48)

    def test_is_remembered_for_a_process_without_torch(self, folder):
        cost = measure_config(folder, 64, 64)
        program = (
            "import sys, pathlib\nfrom cvhub.explain.cost import measure_config\n"
            "print(measure_config(pathlib.Path(sys.argv[1]), 64, 64).multiply_adds, 'torch' in sys.modules)"
        )
        answer = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
        assert answer.stdout.split() == [str(cost.multiply_adds), "False"]

    def test_is_measured_again_when_the_config_changes(self, folder):
        before = measure_config(folder, 64, 64)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"depths": [2, 1]}))
        assert measure_config(folder, 64, 64).parameters > before.parameters

    @pytest.mark.parametrize("fields", [{"model_type": "resnet"}, {"architectures": ["make_stage"]}])
    def test_refuses_what_is_not_ours(self, folder, fields):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | fields))
        with pytest.raises(CvhubError, match=next(iter(fields))):
            measure_config(folder, 64, 64)


class TestHeat:
    @pytest.mark.parametrize(
        "model", [tiny_resnet(), tiny_resnet(stem="cifar", shortcut="A"), tiny_mobilenet(), tiny_swin()]
    )
    def test_grad_cam_equals_the_exact_map_where_there_is_one(self, model):
        model = cast(Any, randomise(model))
        pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
        features = model.base_model(pixels).last_hidden_state[0].detach().numpy()
        for class_index in range(5):
            exact = class_activation_map(features, model.classifier.weight.detach().numpy(), class_index)
            heat = grad_cam(model, pixels, class_index)
            assert heat.shape == features.shape[1:]
            assert exact.max() == pytest.approx(1)
            np.testing.assert_allclose(heat, exact, atol=1e-5)

    def test_class_activation_map_by_hand(self):
        features = np.array([[[1.0, 2.0]], [[3.0, 0.0]]])
        weight = np.array([[2.0, -1.0], [-1.0, -1.0]])
        np.testing.assert_array_equal(class_activation_map(features, weight, 0), [[0.0, 1.0]])
        np.testing.assert_array_equal(class_activation_map(features, weight, 1), [[0.0, 0.0]])

    def test_grad_cam_of_a_foreign_net_by_its_formula(self):
        model = randomise(VggLike())
        pixels = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        maps = cast(VggLike, model).features(pixels)[0].detach()
        # The gradient of a linear layer on the flattened map is its weight.
        alpha = cast(VggLike, model).head.weight[2].detach().view(8, 6, 6).mean((1, 2))
        heat = torch.relu((alpha[:, None, None] * maps).sum(0))
        np.testing.assert_allclose(grad_cam(model, pixels, 2), heat / heat.max(), atol=1e-5)

    def test_a_layer_can_be_chosen(self):
        model = cast(VggLike, randomise(VggLike()))
        pixels = torch.randn(1, 3, 16, 16)
        assert grad_cam(model, pixels, 0).shape == (6, 6)
        assert grad_cam(model, pixels, 0, layer=model.features[0]).shape == (16, 16)

    @pytest.mark.parametrize("frozen", [False, True])
    def test_grad_cam_leaves_the_model_as_it_was(self, frozen):
        model = randomise(VggLike()).requires_grad_(not frozen)
        model.train()
        cast(VggLike, model).features.eval()
        modes = [module.training for module in model.modules()]
        pixels = torch.randn(1, 3, 16, 16)
        with torch.no_grad():
            first, second = grad_cam(model, pixels, 1), grad_cam(model, pixels, 1)
        np.testing.assert_array_equal(first, second)  # no dropout took part
        assert [module.training for module in model.modules()] == modes
        assert all(parameter.grad is None for parameter in model.parameters())
        assert not any(module._forward_hooks for module in model.modules())
        assert not pixels.requires_grad

    def test_a_forward_that_fails_leaves_no_hook(self):
        model = VggLike().train()
        with pytest.raises(RuntimeError):
            grad_cam(model, torch.randn(1, 3, 20, 20), 0)
        assert not any(module._forward_hooks for module in model.modules())
        assert all(module.training for module in model.modules())

    @pytest.mark.parametrize(
        ("family", "fields", "norm"),
        [("vit", {}, "norm1"), ("deit", {}, "norm1"), ("vit", {"pooling": "mean"}, "norm2")],
        ids=["class token", "two tokens", "mean"],
    )
    def test_grad_cam_of_tokens_by_its_formula(self, family, fields, norm):
        """On the last norm whose patches still have a say; the tokens before them have no place in the picture."""
        model = cast(Any, randomise(TinyFamily(family).model(**fields)))
        pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
        layer = getattr(model.base_model.blocks[-1], norm)
        kept: list[Tensor] = []
        handle = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
        (gradient,) = torch.autograd.grad(model(pixels).logits[0, 2], kept)
        handle.remove()
        first = model.config.num_prefix_tokens
        alpha = gradient[0, first:].mean(0)
        heat = torch.relu(kept[0][0, first:] @ alpha).view(4, 6).detach()
        assert heat.any()
        for chosen in (None, layer):
            np.testing.assert_allclose(grad_cam(model, pixels, 2, chosen), heat / heat.max(), atol=1e-5)

    def test_grad_cam_of_another_librarys_tokens(self):
        """transformers' ViT: the norm before the last layer's attention."""
        config = transformers.ViTConfig(image_size=64, hidden_size=24, num_attention_heads=3, num_hidden_layers=2)
        model = cast(Any, randomise(transformers.ViTForImageClassification(config)))
        pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
        heat = grad_cam(model, pixels, 1)
        assert heat.shape == (4, 4)
        assert heat.any()
        np.testing.assert_array_equal(heat, grad_cam(model, pixels, 1, model.vit.layers[-1].layernorm_before))

    def test_what_cannot_be_explained_is_said(self):
        with pytest.raises(CvhubError, match="class 9 doesn't exist, expected 0 to 3"):
            grad_cam(VggLike(), torch.randn(1, 3, 16, 16), 9)
        flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
        with pytest.raises(CvhubError, match="no layer of Sequential"):
            grad_cam(flat, torch.randn(1, 3, 2, 2), 0)


class TestHeatMap:
    """Which way `heat_map` takes; the classifier is reduced to what it reads."""

    def test_the_features_of_the_forward_pass_are_enough(self):
        """In a process of its own, to see that torch stays out."""
        program = """
import sys
from types import SimpleNamespace
import numpy as np
from PIL import Image
from cvhub.explain.cam import heat_map
features, weight = np.eye(4, dtype=np.float32).reshape(4, 2, 2), np.eye(4, dtype=np.float32)
classifier = SimpleNamespace(classifier_weight=weight)
heat = heat_map(classifier, Image.new("RGB", (9, 9)), SimpleNamespace(features=features), 2)
print(heat.tolist(), "torch" in sys.modules)
"""
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert answer.stdout.strip() == "[[0.0, 0.0], [1.0, 0.0]] False"

    @pytest.mark.parametrize("model", [tiny_resnet(), TinyFamily("vit").model()], ids=["map", "tokens"])
    def test_without_them_it_takes_the_gradient_of_the_folders_model(self, model, tmp_path):
        randomise(model)
        model.save_pretrained(tmp_path)
        pixels = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
        classifier = SimpleNamespace(folder=tmp_path, classifier_weight=None, processor=lambda images: pixels)
        heat = heat_map(cast(Any, classifier), Image.new("RGB", (64, 64)), cast(Any, SimpleNamespace(features=None)), 3)
        np.testing.assert_allclose(heat, grad_cam(model, torch.from_numpy(pixels), 3), atol=1e-6)


class TestPaint:
    def test_the_colours_grow_lighter_with_heat(self):
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
        lightness = np.asarray(paint(ramp)).astype(float) @ (0.2126, 0.7152, 0.0722)
        assert (np.diff(lightness) >= -0.5).all()
        assert lightness[0, 0] < 5
        assert lightness[0, -1] > 240
