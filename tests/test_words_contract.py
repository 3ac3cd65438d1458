"""What nets that read pictures and texts promise to transformers, to the Hub and to training, each on a tiny net."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModel

from cvhub.models import FAMILIES
from tests.tiny import TinyFamily, reads_words

# The nets that are given both, and how each is asked for its loss.
LOSSES: dict[str, Any] = {
    "AutoModelForZeroShotImageClassification": lambda inputs: {"return_loss": True},
    "AutoModelForImageTextToText": lambda inputs: {"labels": inputs["input_ids"]},
    "AutoModelForVisualQuestionAnswering": lambda inputs: {"labels": inputs["input_ids"]},
}
ROLES = [(name, auto) for name in FAMILIES if reads_words(name) for auto in LOSSES if TinyFamily(name).has(auto)]
each_role = pytest.mark.parametrize(("name", "auto"), ROLES)


@pytest.fixture
def family(name: str) -> TinyFamily:
    return TinyFamily(name)


def inputs_of(family: TinyFamily, auto: str, pictures: int = 2) -> dict[str, Tensor]:
    """As many texts as pictures, of chance."""
    text = family.config().text_config
    ids = torch.randint(text.vocab_size, (pictures, text.max_position_embeddings - 2))
    ids[:, -1] = text.eos_token_id
    inputs = {"input_ids": ids, "pixel_values": torch.randn(pictures, 3, 64, 96)}
    return inputs | ({"decoder_input_ids": ids} if "Question" in auto else {})


def tuple_of(model: Any, inputs: dict[str, Tensor]) -> Any:
    with torch.no_grad():
        return model(**inputs).to_tuple()


@each_role
def test_a_round_trip_is_exact(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    model, inputs = family.model(auto), inputs_of(family, auto)
    model.save_pretrained(tmp_path)
    loaded, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert type(AutoConfig.from_pretrained(tmp_path)) is type(model.config)
    assert type(getattr(transformers, auto).from_pretrained(tmp_path)) is type(model)
    assert type(AutoModel.from_pretrained(tmp_path)) is family.class_for("AutoModel")
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    torch.testing.assert_close(tuple_of(loaded, inputs), tuple_of(model, inputs))


@each_role
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_loads_as_float32(family: TinyFamily, auto: str, dtype: torch.dtype, tmp_path: Path) -> None:
    model, inputs = family.model(auto), inputs_of(family, auto)
    (expected, *_) = tuple_of(model, inputs)
    model.to(dtype).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors").items()
    assert {tensor.dtype for name, tensor in weights if "num_batches" not in name} == {dtype}
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.dtype == torch.float32
    (said, *_) = tuple_of(loaded.eval(), inputs)
    torch.testing.assert_close(said, expected, rtol=0, atol=0.05 * expected.abs().max().item())


@each_role
def test_outputs_as_tuples(family: TinyFamily, auto: str) -> None:
    model, inputs = family.model(auto), inputs_of(family, auto)
    with torch.no_grad():
        torch.testing.assert_close(model(**inputs, return_dict=False), model(**inputs).to_tuple())


@each_role
def test_what_a_file_lacks_is_initialised(family: TinyFamily, auto: str) -> None:
    """transformers builds nets without memory: what nothing fills would be whatever lay there."""
    torch.manual_seed(0)
    model = family.class_for(auto).from_pretrained(None, config=family.config(), state_dict={})
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all(), name
        assert parameter.abs().max() < 20, name


@each_role
def test_a_pair_gets_the_same_answer_in_any_batch(family: TinyFamily, auto: str) -> None:
    model = family.model(auto).double()
    inputs = {name: values.double() if values.is_floating_point() else values
              for name, values in inputs_of(family, auto, 3).items()}  # fmt: skip
    alone = {name: values[1:2] for name, values in inputs.items()}
    with torch.no_grad():
        together, single = model(**inputs), model(**alone)
    if "ZeroShot" in auto:
        torch.testing.assert_close(together.logits_per_image[1:2, 1:2], single.logits_per_image)
    else:
        torch.testing.assert_close(together.logits[1:2], single.logits)


@each_role
def test_training_lowers_the_loss(family: TinyFamily, auto: str) -> None:
    """Of four pairs, with activations kept and computed again: the same gradients."""
    model, inputs = family.model(auto).train(), inputs_of(family, auto, 4)
    inputs |= LOSSES[auto](inputs)
    model(**inputs).loss.backward()
    kept = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.activation_checkpointing_enable()
    model(**inputs).loss.backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, kept[name], msg=name)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = model(**inputs).loss
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
