"""Blocks that several architectures share."""

import pytest
import torch
from torch import nn

from cvhub.models.layers import ConvNormAct, DepthwiseConv2d


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding", "dilation"), [(3, 2, 1, 1), (3, 2, 0, 1), (5, 3, 2, 1), (3, 2, 2, 2)]
)
def test_a_depthwise_convolution_trains_as_torchs_own(kernel_size, stride, padding, dilation, memory_format):
    torch.manual_seed(0)
    ours = DepthwiseConv2d(6, 6, kernel_size, stride, padding, dilation, groups=6).double().train()
    theirs = nn.Conv2d(6, 6, kernel_size, stride, padding, dilation, groups=6).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 6, 11, 14, dtype=torch.float64).to(memory_format=memory_format)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = [conv(given) for conv, given in zip((ours, theirs), inputs, strict=True)]
    weights = torch.randn_like(outputs[1])
    for output in outputs:
        (output * weights).sum().backward()

    torch.testing.assert_close(outputs[0], outputs[1])
    assert outputs[0].is_contiguous(memory_format=memory_format)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    for (name, our), (_, their) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        torch.testing.assert_close(our.grad, their.grad, msg=name)


def test_only_one_channel_a_group_makes_a_convolution_depthwise():
    assert isinstance(ConvNormAct(8, 8, 3, groups=8).conv, DepthwiseConv2d)
    assert not isinstance(ConvNormAct(8, 8, 3, groups=4).conv, DepthwiseConv2d)
    assert not isinstance(ConvNormAct(1, 8, 3).conv, DepthwiseConv2d)
