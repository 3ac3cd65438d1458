"""Runs the text decoder of a net that writes with OpenVINO, a token at a time.

Two programs: `memory` makes of a picture's tokens the keys and values that each block looks at, once a text; `next`
takes a token, what those before it left in each block, and the memory. Both are made, compared with torch and kept as
`openvino_runtime` does with other networks.
"""

import functools
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from openvino.preprocess import PrePostProcessor
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.generation import GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions

from cvhub.cache import build_once, cache_dir
from cvhub.errors import CvhubError, one_line
from cvhub.inference.openvino_conversion import convert_module
from cvhub.inference.openvino_runtime import TOLERANCE, compile_model, core, fingerprint, has_native_bf16
from cvhub.inference.runtime import RuntimeUnavailable, choose_precision
from cvhub.load import load_config, load_model
from cvhub.models.blip_text import CvBlipTextDecoder, CvBlipTextPreTrainedModel

MEMORY, NEXT, REFERENCE = "memory.xml", "next.xml", "reference.npz"
TEXTS, SEEN, WRITTEN = 3, 5, 4  # of the example: how many texts, of how many tokens of a picture, which ids


class OpenVINODecoder(CvBlipTextPreTrainedModel, GenerationMixin):
    """`CvBlipTextDecoder` without its weights: the same calls, answered by OpenVINO, and so the same `generate`.

    All tokens are seen, so that texts must be of one length. Raises `RuntimeUnavailable` where OpenVINO can't do it.
    """

    def __init__(self, folder: Path, precision: str = "auto"):
        if precision == "bf16" and not has_native_bf16():
            raise RuntimeUnavailable("precision bf16 needs a processor that has it; OpenVINO would silently use fp32.")
        self.precision, _ = choose_precision(precision, has_native_bf16())
        kept = cache_dir() / "openvino" / fingerprint(folder) / "decoder"
        converted = build_once(kept / "converted", functools.partial(_convert, folder))
        compiled = build_once(kept / self.precision, functools.partial(_compare, converted, self.precision))
        super().__init__(load_config(str(folder)).text_config)
        self._steps = _Steps(converted, compiled, self.precision)

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # `Written` is made by the first step

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        cache: "Written | None" = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithCrossAttentions:
        """`input_ids` (N, T) that come after those of the `cache`, `encoder_hidden_states` (N, S, D') → logits
        (N, T, V), and where asked the attention to the picture, (N, heads, T, S) of each block."""
        if any(mask is not None and not mask.all() for mask in (attention_mask, encoder_attention_mask)):
            raise ValueError("a mask hides some tokens, and here all are seen.")
        if cache is None:
            if encoder_hidden_states is None:
                raise ValueError("There are no encoder_hidden_states to write about.")
            cache = Written(self._steps.remember(encoder_hidden_states.float().numpy()))
        length, most = cache.get_seq_length() + input_ids.shape[1], self.config.max_position_embeddings
        if length > most:
            raise ValueError(f"input_ids have {length} tokens, this text transformer takes at most {most}.")
        logits, looks = [], []
        for ids in input_ids.split(1, dim=1):
            said, cache.past, look = self._steps.step(ids.numpy(), cache.past, cache.memory)
            logits.append(torch.from_numpy(said))
            looks.append(torch.from_numpy(look))
        attention = torch.cat(looks, dim=3).unbind(1) if output_attentions else None
        return CausalLMOutputWithCrossAttentions(
            logits=torch.cat(logits, dim=1),
            cache=cache,  # pyright: ignore[reportCallIssue, reportArgumentType]
            cross_attentions=attention,
        )


class Written:
    """What is kept from step to step: `past`, keys and values (N, heads, P, D/heads) of the P tokens written, block by
    block; `memory`, those of the picture, as OpenVINO has them."""

    is_compileable = False

    def __init__(self, memory: list[Any]):
        self.memory = memory
        self.past: list[np.ndarray] = []

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.past[0].shape[2] if self.past else 0

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Beams go on from others of the same picture, so that the memory stays as it is."""
        self.past = [values[beam_idx.numpy()] for values in self.past]


class _Steps:
    """The two programs, compiled. Threads use them in turn."""

    def __init__(self, converted: Path, compiled: Path, precision: str):
        memory, step = (core().read_model(converted / name) for name in (MEMORY, NEXT))
        blocks2 = len(memory.outputs)
        if precision == "bf16":  # else each step would round the memory anew
            memory = _in_bf16(memory, outputs=range(blocks2))
            step = _in_bf16(step, inputs=range(1 + blocks2, 1 + 2 * blocks2))
        self._memory, self._next = (
            compile_model(model, compiled, precision).create_infer_request() for model in (memory, step)
        )
        _, heads, _, size = step.inputs[1].partial_shape
        self._nothing = (heads.get_length(), 0, size.get_length())
        self._blocks2 = blocks2
        self._turn = threading.Lock()

    def remember(self, tokens: np.ndarray) -> list[openvino.Tensor]:
        """Of tokens (N, S, D') each block's keys (N, heads, D/heads, S) and values (N, heads, S, D/heads)."""
        with self._turn:
            self._run(self._memory, [np.ascontiguousarray(tokens)])
            return [_copy(self._memory.get_output_tensor(i)) for i in range(self._blocks2)]

    def step(
        self, ids: np.ndarray, past: list[np.ndarray], memory: list[openvino.Tensor]
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """Ids (N, 1) → logits (N, 1, V), the past with them, and the attention (N, L, heads, 1, S) to the memory."""
        if not past:
            past = [np.zeros((len(ids), *self._nothing), np.float32)] * self._blocks2
        with self._turn:
            results = self._run(self._next, [ids, *past, *memory])
            logits, *longer, attention = [np.array(results[i]) for i in range(len(results))]
        return logits, longer, attention

    def _run(self, request: openvino.InferRequest, inputs: Sequence[Any]) -> Any:
        try:
            return request.infer(dict(enumerate(inputs)), share_inputs=True, share_outputs=True)
        except RuntimeError as error:
            raise CvhubError(f"OpenVINO can't write on: {one_line(error)}.") from error


def _copy(tensor: openvino.Tensor) -> openvino.Tensor:
    kept = openvino.Tensor(tensor.element_type, tensor.shape)
    tensor.copy_to(kept)
    return kept


def _in_bf16(model: openvino.Model, inputs: Iterable[int] = (), outputs: Iterable[int] = ()) -> openvino.Model:
    """`model`, some of whose inputs and outputs are bf16 outside too."""
    edges = PrePostProcessor(model)
    for i in inputs:
        edges.input(i).tensor().set_element_type(openvino.Type.bf16)
    for i in outputs:
        edges.output(i).tensor().set_element_type(openvino.Type.bf16)
    return edges.build()


class Memory(nn.Module):
    """A picture's tokens (N, S, D') → each block's keys, transposed as they will be needed, and values."""

    def __init__(self, decoder: CvBlipTextDecoder):
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor) -> tuple[Tensor, ...]:
        seen, blocks = [], list[Any](self.decoder.text.blocks)
        for block in blocks:
            keys, values = block.cross_attention.remember(tokens)
            seen += [keys.transpose(2, 3).contiguous(), values.contiguous()]
        return tuple(seen)


class NextWord(Memory):
    """Ids (N, 1), the past and the memory of each block → logits (N, 1, V), the longer past, and the attention."""

    def forward(self, input_ids: Tensor, *kept: Tensor) -> tuple[Tensor, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        text: Any = self.decoder.text
        past, memory = kept[: 2 * len(text.blocks)], kept[2 * len(text.blocks) :]
        seen = [values.transpose(2, 3) if i % 2 == 0 else values for i, values in enumerate(memory)]
        cache = EncoderDecoderCache(_holding(past), _holding(seen))
        place = past[0].shape[2]
        x = text.norm(text.embedding(input_ids) + text.positions[place : place + 1])
        looks = []
        for block in text.blocks:
            # Plainly computed attention, whose keys OpenVINO needs not turn round, is many times as fast here.
            x, _, look = block(x, x, cache=cache, keep_weights=True)
            looks.append(look)
        layers: Any = cache.self_attention_cache.layers
        longer = [values for layer in layers for values in (layer.keys, layer.values)]
        return self.decoder.head(x), *longer, torch.stack(looks, dim=1)


def _holding(tensors: Sequence[Tensor]) -> Cache:
    """A cache as it is after keys and values, in turns, were put into it; `update` can't be traced from nothing."""
    cache = DynamicCache()
    for keys, values in zip(tensors[::2], tensors[1::2], strict=True):
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


@torch.no_grad()
def _convert(folder: Path, target: Path) -> None:
    """Writes both programs, and what torch answers to some ids about some tokens."""
    decoder: CvBlipTextDecoder = load_model(str(folder)).text_decoder
    text = decoder.config
    chance = torch.Generator().manual_seed(0)
    tokens = torch.randn(TEXTS, SEEN, text.encoder_hidden_size, generator=chance)
    ids = torch.randint(text.vocab_size, (TEXTS, WRITTEN), generator=chance)
    memory = Memory(decoder)(tokens)
    heads, size = text.num_attention_heads, text.hidden_size // text.num_attention_heads
    past = torch.randn(2 * text.num_hidden_layers, TEXTS, heads, 2, size, generator=chance)
    openvino.save_model(convert_module(Memory(decoder), tokens), target / MEMORY, compress_to_fp16=False)
    step = convert_module(NextWord(decoder), (ids[:, :1], *past, *memory))
    kept = [[-1, heads, -1, size]] * len(past) + [[-1, heads, size, -1], [-1, heads, -1, size]] * text.num_hidden_layers
    step.reshape(dict(enumerate([[-1, 1], *kept])))
    openvino.save_model(step, target / NEXT, compress_to_fp16=False)
    logits = decoder(ids, encoder_hidden_states=tokens, use_cache=False).logits
    np.savez(target / REFERENCE, allow_pickle=False, tokens=tokens.numpy(), ids=ids.numpy(), logits=logits.numpy())


def _compare(converted: Path, precision: str, compiled: Path) -> None:
    """Raises RuntimeUnavailable where the steps' answers are not torch's."""
    with np.load(converted / REFERENCE) as file:
        tokens, ids, expected = file["tokens"], file["ids"], file["logits"]
    steps = _Steps(converted, compiled, precision)
    memory, past, said = steps.remember(tokens), [], []
    for place in range(ids.shape[1]):
        logits, past, _ = steps.step(ids[:, place : place + 1], past, memory)
        said.append(logits)
    difference, size = np.linalg.norm(np.concatenate(said, axis=1) - expected), np.linalg.norm(expected)
    if not difference <= TOLERANCE[precision] * size:  # so that NaN fails too
        raise RuntimeUnavailable(f"OpenVINO's next words in {precision} are off by {difference:.1g} of {size:.1g}.")
