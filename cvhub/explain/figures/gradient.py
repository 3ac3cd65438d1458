"""Gradient by layer of residual and plain nets (He et al. 2015, https://arxiv.org/abs/1512.03385, section 4.2)."""

from functools import lru_cache

import torch
from torch import nn

from cvhub.models.layers import ConvNormAct
from cvhub.models.resnet import SHORTCUTS, CvResNetConfig, CvResNetForImageClassification

BATCH = 8


def by_layer(layers: int, normalised: bool) -> dict[str, tuple[float, ...]]:
    """Shortcut → ‖∂L/∂W‖ of each 3×3 convolution, the first layer's first, in a net that has just been initialised."""
    return {shortcut: norms(layers, shortcut, normalised) for shortcut in SHORTCUTS}


@lru_cache(maxsize=32)
def norms(layers: int, shortcut: str, normalised: bool) -> tuple[float, ...]:
    """Of cross entropy on a batch of noise with random labels; without `normalised` BatchNorm does nothing."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        model = CvResNetForImageClassification(CvResNetConfig.cifar(layers, shortcut=shortcut)).train()
        if not normalised:
            for module in list(model.modules()):
                if isinstance(module, ConvNormAct):
                    module.add_module("norm", nn.Identity())
        pixels, labels = torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))
        weights = [m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
        gradients = torch.autograd.grad(model(pixels, labels=labels).loss, weights)
    return tuple(float(gradient.norm()) for gradient in gradients)
