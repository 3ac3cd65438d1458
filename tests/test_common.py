"""What transformers' common model tests ask and our contracts don't, over every class that an Auto class lists.

docs/site/en/common_tests.md has the whole list: for each of transformers' tests, what stands for it here, or why not.
"""

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from cvhub.models import FAMILIES
from tests.test_words_contract import LOSSES, inputs_of
from tests.tiny import CLASSIFIER, SEGMENTERS, TinyFamily, reads_words

AUTO = ("AutoModel", "AutoBackbone", CLASSIFIER, *SEGMENTERS, *LOSSES)
ROLES = [(name, auto) for name in FAMILIES for auto in AUTO if TinyFamily(name).has(auto)]


def takes(role: tuple[str, str], argument: str) -> bool:
    """Whether a class's `forward` has that argument."""
    name, auto = role
    return argument in inspect.signature(TinyFamily(name).class_for(auto).forward).parameters


def has_tied_weights(role: tuple[str, str]) -> bool:
    name, auto = role
    return bool(TinyFamily(name).class_for(auto)._tied_weights_keys)


def each(roles: list[tuple[str, str]]) -> Any:
    return pytest.mark.parametrize(("family", "auto"), roles, indirect=["family"])


each_role = each(ROLES)
each_that_attends = each([role for role in ROLES if takes(role, "output_attentions") or reads_words(role[0])])
each_that_gives_weights = each([role for role in ROLES if takes(role, "output_attentions") and role[1] == CLASSIFIER])
each_with_tied_weights = each([role for role in ROLES if has_tied_weights(role)])
each_that_compares_texts = each([role for role in ROLES if "ZeroShot" in role[1]])
# Swin gives its maps channels first, and computes with them channels last: they are not what it goes on with.
each_that_goes_on_with_its_maps = each([role for role in ROLES if role[1] == CLASSIFIER and role[0] != "swin"])

# Parameters that the loss of a forward pass with plain labels doesn't reach, by the beginnings of their names.
UNTAUGHT = {
    ("deit", CLASSIFIER): ("distillation_classifier",),  # a teacher's answers teach it
    # A batch's pairs teach contrast; matching is learnt beside wrong pairs (blip_pretraining.py).
    ("blip", "AutoModelForZeroShotImageClassification"): ("matching", "text_encoder.blocks"),
}


def inputs_for(family: TinyFamily, auto: str) -> dict[str, Tensor]:
    config = family.config()
    if reads_words(family.name) and "input_ids" in inspect.signature(family.class_for(auto).forward).parameters:
        return inputs_of(family, auto)
    return {"pixel_values": torch.randn(2, config.num_channels, 64, 64)}


def labels_for(family: TinyFamily, auto: str, inputs: dict[str, Tensor]) -> dict[str, Any]:
    if auto in LOSSES:
        return LOSSES[auto](inputs)
    if auto == CLASSIFIER:
        return {"labels": torch.tensor([1, 4])}
    labels = torch.randint(5, (2, 64, 64))
    return {"labels": labels} | ({"instance_labels": labels} if "Universal" in auto else {})


def answer(model: Any, inputs: dict[str, Tensor]) -> Any:
    with torch.no_grad():
        return model(**inputs).to_tuple()


# --- Building and saving ---------------------------------------------------------------------------------------------


@each_role
def test_every_tensor_is_a_parameter_or_a_buffer(family: TinyFamily, auto: str) -> None:
    """Another one would stay behind when the net goes to another device or type."""
    for name, module in family.model(auto).named_modules():
        loose = [field for field, value in vars(module).items() if isinstance(value, Tensor)]
        assert not loose, name


@each_role
def test_a_net_can_be_built_without_memory(family: TinyFamily, auto: str) -> None:
    with torch.device("meta"):
        model = family.class_for(auto)(family.config())
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


@each_role
def test_weights_that_lie_in_another_order_are_saved(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    """As those of a net that was trained with channels last."""
    model = family.model(auto).to(memory_format=torch.channels_last)
    assert not all(parameter.is_contiguous() for parameter in model.parameters())
    model.save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.state_dict().items())


@each_with_tied_weights
def test_tied_weights_are_one_in_memory_and_in_the_file(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    model = family.model(auto)
    model.save_pretrained(tmp_path)
    saved, loaded = load_file(tmp_path / "model.safetensors"), type(model).from_pretrained(tmp_path)
    for target, source in loaded._tied_weights_keys.items():
        assert loaded.get_parameter(target) is loaded.get_parameter(source)
        assert len({target, source} & saved.keys()) == 1


@each_that_compares_texts
def test_a_vocabulary_can_grow(family: TinyFamily, auto: str) -> None:
    """Texts of old words keep their answer, and new words have one."""
    model, inputs = family.model(auto), inputs_for(family, auto)
    size, expected = model.config.text_config.vocab_size, model(**inputs).logits_per_text
    model.resize_token_embeddings(size + 3)
    assert model.config.text_config.vocab_size == model.get_input_embeddings().num_embeddings == size + 3
    torch.testing.assert_close(model(**inputs).logits_per_text, expected)
    inputs["input_ids"][:, 1] = size + 1
    assert model(**inputs).logits_per_text.isfinite().all()


# --- Answers ---------------------------------------------------------------------------------------------------------


@each_role
def test_the_same_pictures_get_the_same_answer_again(family: TinyFamily, auto: str) -> None:
    """Nothing is by chance in evaluation, and no pass leaves anything behind that the next one sees."""
    model, inputs = family.model(auto), inputs_for(family, auto)
    expected = answer(model, inputs)
    answer(model, {name: values[:1] for name, values in inputs.items()})
    torch.testing.assert_close(answer(model, inputs), expected, rtol=0, atol=0)


@each_that_attends
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_written_out_and_fast_answer_alike(family: TinyFamily, auto: str, implementation: str) -> None:
    model, inputs = family.model(auto).double(), inputs_for(family, auto)
    inputs["pixel_values"] = inputs["pixel_values"].double()
    expected = answer(model, inputs)
    model.set_attn_implementation(implementation)
    parts = [part for part in model.modules() if isinstance(part, PreTrainedModel)]
    assert {part.config._attn_implementation for part in parts} == {implementation}
    torch.testing.assert_close(answer(model, inputs), expected)


@each_that_gives_weights
def test_weights_of_attention_are_shares(family: TinyFamily, auto: str) -> None:
    """Where they are asked for, of each block, and the answer is the same."""
    model, inputs = family.model(auto), inputs_for(family, auto)
    output = model(**inputs, output_attentions=True)
    assert output.attentions
    for weights in output.attentions:
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    torch.testing.assert_close(output.logits, model(**inputs).logits)
    assert model(**inputs).attentions is None


# --- Gradients -------------------------------------------------------------------------------------------------------


@each([role for role in ROLES if role[1] not in ("AutoModel", "AutoBackbone")])
def test_every_weight_learns(family: TinyFamily, auto: str) -> None:
    """But for those that the class's own loss is not about."""
    model, inputs = family.model(auto).train(), inputs_for(family, auto)
    model(**inputs, **labels_for(family, auto, inputs)).loss.backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    untaught = UNTAUGHT.get((family.name, auto), ())
    assert not [name for name in still if not name.startswith(untaught or "\0")]
    assert not untaught or any(name.startswith(untaught) for name in still)


@each_that_goes_on_with_its_maps
def test_gradients_of_hidden_states_can_be_looked_at(family: TinyFamily, auto: str) -> None:
    model, inputs = family.model(auto), inputs_for(family, auto)
    output = model(**inputs, output_hidden_states=True)
    for state in output.hidden_states:
        state.retain_grad()
    output.logits.sum().backward()
    assert all(state.grad is not None and state.grad.isfinite().all() for state in output.hidden_states)


def test_every_class_is_asked() -> None:
    """Each class that a family lists, and each Auto class but the config's and a second name of one."""
    listed = {(name, auto) for name in FAMILIES for auto in TinyFamily(name)._classes() if auto != "AutoConfig"}
    asked = {TinyFamily(name).class_for(auto) for name, auto in ROLES}
    assert {TinyFamily(name).class_for(auto) for name, auto in listed} == asked
    assert all(issubclass(cls, nn.Module) for cls in asked)
