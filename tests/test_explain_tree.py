"""An architecture as a tree: what is folded, and that its numbers are the model's."""

import pytest
from torch import Tensor, nn

from cvhub.convert.named import net_without_weights, read_config
from cvhub.explain.cost import measure
from cvhub.explain.tree import Node, architecture_tree, walk
from tests.tiny import TinyFamily


def tree_of(name: str, side: int = 224) -> Node:
    return architecture_tree(net_without_weights(read_config(name)), side, side)


def find(tree: Node, *path: str) -> Node:
    for name in path:
        tree = next(child for child in tree.children if child.name == name)
    return tree


def total(tree: Node, number: str) -> int:
    """The sum over the leaves, each as often as its ancestors repeat it, and what nodes have beside their children."""
    below = sum(child.times * getattr(child, number) for child in tree.children)
    assert below <= getattr(tree, number)
    return getattr(tree, number) - below + sum(child.times * total(child, number) for child in tree.children)


def test_resnet50_is_the_papers_table():
    """He et al. 2015, table 1: blocks a stage, their sizes and widths."""
    stages = find(tree_of("resnet50"), "resnet", "stages").children
    assert [stage.output_shape for stage in stages] == [(256, 56, 56), (512, 28, 28), (1024, 14, 14), (2048, 7, 7)]
    # The first block of a stage projects its shortcut; the rest are equal.
    assert [[block.times for block in stage.children] for stage in stages] == [[1, 2], [1, 3], [1, 5], [1, 2]]
    rest = stages[2].children[1]
    assert (rest.name, rest.kind, rest.receptive_field) == ("1–5", "Bottleneck", 267)
    assert [(child.name, child.output_shape[0]) for child in rest.children] == [
        ("conv1", 256),
        ("conv2", 256),
        ("conv3", 1024),
    ]
    assert find(rest, "conv2", "conv").kernel == (3, 3)


def test_names_and_receptive_fields_do_not_keep_equal_modules_apart_and_sizes_do():
    equal = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)]
    net = nn.Sequential(*equal, nn.ReLU(), nn.Conv2d(3, 3, 3), nn.Conv2d(3, 5, 3))
    tree = architecture_tree(net.to("meta"), 16, 16)
    assert [(node.name, node.times, node.receptive_field) for node in tree.children] == [
        ("0–2", 3, 7),
        ("4", 1, 9),
        ("5", 1, 11),
    ]


def test_what_is_not_called_keeps_its_parameters_and_has_no_shape():
    class WithAuxiliary(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 4, 1)
            self.auxiliary = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    auxiliary = find(architecture_tree(WithAuxiliary().to("meta"), 8, 8), "auxiliary")
    assert (auxiliary.parameters, auxiliary.multiply_adds, auxiliary.output_shape) == (10, 0, ())


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2_100"])
def test_the_tree_adds_up_to_the_model(name: str):
    tree, cost = tree_of(name, 96), measure(net_without_weights(read_config(name)), 96, 96)
    assert (tree.parameters, tree.multiply_adds) == (cost.parameters, cost.multiply_adds)
    assert (total(tree, "parameters"), total(tree, "multiply_adds")) == (cost.parameters, cost.multiply_adds)


def test_every_family_has_a_tree(family: TinyFamily):
    model = net_without_weights(family.config())
    side = max(64, model.config.smallest_input)
    tree = architecture_tree(model, side, side)
    assert total(tree, "parameters") == sum(parameter.numel() for parameter in model.parameters())
    assert tree.output_shape[0] == (1 if model.config.words else model.config.num_labels)  # a text is a class
    assert len(list(walk(tree))) > 3
