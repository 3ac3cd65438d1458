"""CLIP and BLIP beside transformers and open_clip: towers, zero-shot from a picture to its answer, captions."""

import functools
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import cpus
from benchmarks.models import BATCHES, compare, dtype_of
from benchmarks.photos import sample
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import take_turns
from cvhub.errors import one_line

TRANSFORMERS, OPEN_CLIP = "transformers eager", "open_clip eager"
PIPELINE = "transformers pipeline"
OPEN_CLIP_NAME = "ViT-B-32-quickgelu"  # the same net there
LABELS = (
    "a cat",
    "a dog",
    "a cup of coffee",
    "a rocket",
    "a street",
    "a forest",
    "a river",
    "a portrait",
    "food",
    "a map",
)
WORDS = 20  # that are written of a picture, whatever comes: weights are random
RUNTIMES = (("openvino", "bf16"), ("openvino", "fp32"), ("torch", "fp32"))

Makers = Mapping[str, Callable[[], Callable[[], Any]]]


def run(settings: Settings) -> Report:
    import torch

    torch.set_num_threads(cpus())
    report = Report(
        "Pictures and words",
        f"CLIP ViT-B/32 and BLIP base with random weights, {cpus()} threads. Milliseconds a picture or text. Zero-shot "
        f"goes from Pillow pictures and {len(LABELS)} labels to probabilities: with labels that were not asked before, "
        f"and with the same again, whose embeddings are kept. Captions are {WORDS} words, greedy.",
    )
    report.tables.append(_towers("image tower, ms", settings, report, _image_makers))
    report.tables.append(_towers("text tower, ms", settings, report, _text_makers))
    report.tables.append(_zero_shot(settings, report))
    report.tables.append(_captions(settings, report))
    return report


def _towers(title: str, settings: Settings, report: Report, makers: Callable[[Path, int], Makers]) -> Table:
    """A row a contender; the peers are behind ours, and what each is compared with."""
    table = Table([title])
    cells: dict[str, list[str]] = {}
    for batch in BATCHES:
        times = _timed(makers(settings.work, batch), settings, report)
        table.columns += [f"batch {batch}", f"× {TRANSFORMERS}", f"× {OPEN_CLIP}"]
        for name, seconds in times.items():
            ratios = [f"{times[peer] / seconds:.2f}" for peer in (TRANSFORMERS, OPEN_CLIP)]
            cells.setdefault(name, [name]).extend([f"{1e3 * seconds / batch:.2f}", *ratios])
    table.rows += cells.values()
    return table


def _timed(makers: Makers, settings: Settings, report: Report) -> dict[str, float]:
    contenders = {}
    for name, make in makers.items():
        try:
            contenders[name] = make()
        except Exception as error:  # of other libraries, of any kind
            report.missing.append(f"{name}: {one_line(error)}.")
    return take_turns(contenders, settings.rounds)


# -- nets, made once


@functools.cache
def _theirs(kind: str, work: Path) -> Any:
    """transformers' CLIP or BLIP, with its processor, in eval mode."""
    import torch
    from transformers import BlipConfig, BlipForConditionalGeneration, CLIPConfig, CLIPModel

    torch.manual_seed(0)
    made: Any = CLIPModel(CLIPConfig()) if kind == "clip" else BlipForConditionalGeneration(BlipConfig())
    return made.eval()


@functools.cache
def clip_folders(work: Path) -> tuple[Path, Path]:
    """The net as transformers has it, and ours of it."""
    from transformers import CLIPImageProcessor

    from cvhub.convert import convert_checkpoint
    from cvhub.convert.clip_tokenizer import make_tokenizer

    source, ours = work / "words" / "clip", work / "words" / "cvhub-clip"
    _theirs("clip", work).save_pretrained(source)
    CLIPImageProcessor().save_pretrained(source)
    make_tokenizer(_theirs("clip", work).config).save_pretrained(source)
    convert_checkpoint(source, ours)
    return source, ours


@functools.cache
def _open_clip() -> Any:
    import open_clip

    return open_clip.create_model(OPEN_CLIP_NAME, pretrained=None).eval()


@functools.cache
def _zero_shot_net(work: Path, runtime: str, precision: str) -> Any:
    from cvhub.inference.zero_shot import ZeroShot

    return ZeroShot(str(clip_folders(work)[1]), runtime, precision)


def _eagerly(call: Callable[[], Any]) -> Callable[[], Any]:
    import torch

    return torch.inference_mode()(call)


# -- towers


def _image_makers(work: Path, batch: int) -> Makers:
    import torch

    pixels = np.repeat(_zero_shot_net(work, "torch", "fp32").processor([sample()]), batch, axis=0)
    given = torch.from_numpy(pixels)
    expected = _eagerly(lambda: _theirs("clip", work).get_image_features(given).pooler_output)()

    def ours(runtime: str, precision: str) -> Callable[[], Any]:
        call = partial(_zero_shot_net(work, runtime, precision).image_runtime.run, pixels)
        _check(call()["embeds"], expected, runtime, precision)
        return call

    return {
        **{f"cvhub {runtime} {precision}": partial(ours, runtime, precision) for runtime, precision in RUNTIMES},
        TRANSFORMERS: lambda: _eagerly(lambda: _theirs("clip", work).get_image_features(given)),
        OPEN_CLIP: lambda: _eagerly(lambda: _open_clip().encode_image(given)),
    }


def _text_makers(work: Path, batch: int) -> Makers:
    """Each library's own way: transformers fills up to the longest text, open_clip always to 77 tokens."""
    import open_clip
    from transformers import AutoTokenizer

    texts = [f"This is a photo of {LABELS[i % len(LABELS)]}, number {i}." for i in range(batch)]
    theirs = AutoTokenizer.from_pretrained(clip_folders(work)[0])(texts, padding=True, return_tensors="pt")
    in_open_clip = open_clip.get_tokenizer(OPEN_CLIP_NAME)(texts)
    expected = _eagerly(lambda: _theirs("clip", work).get_text_features(**theirs).pooler_output)()

    def ours(runtime: str, precision: str) -> Callable[[], Any]:
        net = _zero_shot_net(work, runtime, precision)
        call = partial(net.text_runtime.run, net.tokens(texts))
        _check(call()["embeds"], expected, runtime, precision)
        return call

    return {
        **{f"cvhub {runtime} {precision}": partial(ours, runtime, precision) for runtime, precision in RUNTIMES},
        TRANSFORMERS: lambda: _eagerly(lambda: _theirs("clip", work).get_text_features(**theirs)),
        OPEN_CLIP: lambda: _eagerly(lambda: _open_clip().encode_text(in_open_clip)),
    }


def _check(embeds: np.ndarray, expected: Any, runtime: str, precision: str) -> None:
    """Raises CvhubError where ours are not the peer's, which are not of length 1 yet."""
    lengths = np.linalg.norm(expected.numpy(), axis=1, keepdims=True)
    compare(embeds, expected.numpy() / lengths, dtype_of(f"{runtime} {precision}"))


# -- from a picture to its answer


def _zero_shot(settings: Settings, report: Report) -> Table:
    from transformers import pipeline

    source, _ = clip_folders(settings.work)
    images = {batch: [sample()] * batch for batch in BATCHES}

    def ours(batch: int, remembered: bool) -> Callable[[], Any]:
        net = _zero_shot_net(settings.work, "auto", "auto")

        def answer() -> Any:
            if not remembered:
                net._remembered.clear()
            return net.scores(net.logits(net.embed_images(images[batch]), net.embed_labels(LABELS)))

        return answer

    def theirs(batch: int) -> Callable[[], Any]:
        pipe = pipeline("zero-shot-image-classification", model=str(source))
        return lambda: pipe(images[batch], candidate_labels=list(LABELS), batch_size=batch)

    table = Table(["zero-shot, ms a picture"])
    cells: dict[str, list[str]] = {}
    for batch in BATCHES:
        makers = {
            "cvhub, new labels": partial(ours, batch, False),
            "cvhub, the same labels": partial(ours, batch, True),
            PIPELINE: partial(theirs, batch),
        }
        times = _timed(makers, settings, report)
        table.columns += [f"batch {batch}", f"× {PIPELINE}"]
        for name, seconds in times.items():
            cells.setdefault(name, [name]).extend([f"{1e3 * seconds / batch:.1f}", f"{times[PIPELINE] / seconds:.2f}"])
    table.rows += cells.values()
    return table


# -- captions


@functools.cache
def _blip_folder(work: Path) -> Path:
    from transformers import BertTokenizer, BlipImageProcessor

    from cvhub.convert import convert_checkpoint
    from cvhub.convert.blip_tokenizer import with_starts

    source, ours = work / "words" / "blip", work / "words" / "cvhub-blip"
    theirs = _theirs("blip", work)
    theirs.save_pretrained(source)
    BlipImageProcessor().save_pretrained(source)
    with_starts(BertTokenizer()).save_pretrained(source)
    convert_checkpoint(source, ours)
    return ours


def _captions(settings: Settings, report: Report) -> Table:
    """Words a second, the picture's encoding included."""
    import torch

    exactly = {"max_new_tokens": WORDS, "min_new_tokens": WORDS, "do_sample": False, "num_beams": 1}

    def ours(precision: str, batch: int) -> Callable[[], Any]:
        from cvhub.inference.writing import Writer

        writer = Writer(str(_blip_folder(settings.work)), precision=precision)
        return partial(writer.write, [sample()] * batch, **exactly)

    def theirs(batch: int) -> Callable[[], Any]:
        from transformers import BlipImageProcessor

        net, processor = _theirs("blip", settings.work), BlipImageProcessor()
        images = [sample()] * batch

        def write() -> Any:
            pixels: Any = processor(images, return_tensors="pt")["pixel_values"]
            return net.generate(pixel_values=torch.as_tensor(pixels), **exactly)

        return _eagerly(write)

    table = Table(["captions, words a second"])
    cells: dict[str, list[str]] = {}
    for batch in BATCHES:
        makers = {f"cvhub {precision}": partial(ours, precision, batch) for precision in ("bf16", "fp32")}
        times = _timed({**makers, TRANSFORMERS: partial(theirs, batch)}, settings, report)
        table.columns += [f"batch {batch}", f"× {TRANSFORMERS}"]
        for name, seconds in times.items():
            ratio = times[TRANSFORMERS] / seconds
            cells.setdefault(name, [name]).extend([f"{WORDS * batch / seconds:.1f}", f"{ratio:.2f}"])
    table.rows += cells.values()
    return table
