"""Checkpoints to be damaged: small nets of ours and of others, folders and files, and what a stranger may add."""

import io
import json
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.damage import Content, altered, damaged, hostile

# A file's name → its content; what is no file: a link to somewhere, a pipe, a folder.
Files = dict[str, "bytes | Link | str"]
PIPE, FOLDER = "pipe", "folder"


class Link(str):
    """Where a symbolic link points to."""


class Runs:
    """A pickle of it starts a program when it is read."""

    def __reduce__(self) -> Any:
        return os.system, ("true",)


CODE = b"import os\nos.system('true')\nclass Net: pass\n"
AUTO_MAP: dict[str, Any] = dict.fromkeys(("AutoConfig", "AutoModel", "AutoModelForImageClassification"), "evil.Net")
AUTO_MAP |= {"AutoImageProcessor": "evil.Net", "AutoTokenizer": ["evil.Net", None]}


def folders() -> dict[str, Files]:
    """Whole checkpoints: in our layout, in transformers', in timm's."""
    import timm
    import transformers
    from timm.models._hub import save_for_hf

    from tests.tiny import TinyFamily

    made: dict[str, Files] = {}
    for family in ("resnet", "vit", "mobilenet_v2", "swin", "unet"):
        tiny = TinyFamily(family)
        auto = "AutoModelForSemanticSegmentation" if family == "unet" else "AutoModelForImageClassification"
        net = tiny.model(auto)
        made[f"ours {family}"] = _saved(net) | _processor(net.config)
    small: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
    made["transformers resnet"] = _saved(
        transformers.ResNetForImageClassification(transformers.ResNetConfig(**small, num_labels=3))
    )
    vit = transformers.ViTConfig(
        hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32
    )
    made["transformers vit"] = _saved(transformers.ViTForImageClassification(vit))
    net = timm.create_model("vit_tiny_patch16_224", embed_dim=24, num_heads=3, depth=2, num_classes=3)
    with tempfile.TemporaryDirectory() as folder:
        save_for_hf(net, folder, safe_serialization=True)
        made["timm vit"] = _contents(Path(folder))
    return made


def weight_files() -> dict[str, bytes]:
    """Bare files of torchvision's: pickles of tensors, with and without more, and safetensors."""
    import torch
    import torchvision
    from safetensors.torch import save

    state = torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=3).state_dict()
    made = {"a.safetensors": save(state)}
    contents = {"a.pth": state, "b.pth": {"model": state, "epoch": 3}, "c.pth": {"state_dict": state, "more": Runs()}}
    for name, content in contents.items():
        buffer = io.BytesIO()
        torch.save(content, buffer)
        made[name] = buffer.getvalue()
    made["d.pth"] = pickle.dumps(Runs())
    made["e.pth"] = _with_odd_strides(made["a.pth"])
    return made


def _saved(net: Any) -> Files:
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        return {name: content for name, content in _contents(Path(folder)).items() if not name.endswith(".py")}


def _processor(config: Any) -> Files:
    from cvhub.convert.family import HALF, resize_then_crop
    from cvhub.convert.importing import save_processor

    side = config.fitting_size(64)
    with tempfile.TemporaryDirectory() as folder:
        save_processor(Path(folder), resize_then_crop(side, side, 2, **HALF), config)
        return _contents(Path(folder))


def _contents(folder: Path) -> Files:
    files = (file for file in folder.iterdir() if file.suffix in (".json", ".safetensors"))
    return {file.name: Content(file.read_bytes()) for file in files}


def _with_odd_strides(checkpoint: bytes) -> bytes:
    """A checkpoint whose first tensors claim sizes, offsets and strides that their storage doesn't have."""
    source, made = zipfile.ZipFile(io.BytesIO(checkpoint)), io.BytesIO()
    with zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):  # BININT1 3 of the first convolution's shape becomes BININT -4
                content = content.replace(b"K\x03", b"J\xfc\xff\xff\xff", 2)
            target.writestr(name, content)
    return made.getvalue()


def repacked(header: Any, content: bytes) -> bytes:
    """A safetensors file with another header."""
    text = json.dumps(header).encode()
    return Content(len(text).to_bytes(8, "little") + text + content)


def split(safetensors: bytes) -> tuple[Any, bytes]:
    length = int.from_bytes(safetensors[:8], "little")
    return json.loads(safetensors[8 : 8 + length]), safetensors[8 + length :]


@st.composite
def harmed(draw: st.DrawFn, name: str, content: bytes) -> bytes:
    """One file, its bytes damaged or what they say altered."""
    if draw(st.integers(0, 5)) == 0:
        return draw(damaged([content]))
    if name.endswith(".json"):
        return Content(json.dumps(draw(altered(json.loads(content)))).encode())
    if name.endswith(".safetensors"):
        header, tensors = split(content)
        return repacked(draw(altered(header)), tensors)
    return draw(damaged([content]))


EXTRAS: list[Files] = [
    {"model.safetensors": Link("/dev/zero")},
    {"config.json": Link("/dev/zero")},
    {"config.json": Link("../secret")},
    {"model.safetensors": Link("../secret")},
    {"preprocessor_config.json": Link("preprocessor_config.json")},
    {"config.json": PIPE},
    {"model.safetensors": PIPE},
    {"preprocessor_config.json": PIPE},
    {"config.json": FOLDER},
    {"model.safetensors": FOLDER},
    {"preprocessor_config.json": FOLDER},
    {"model.safetensors.index.json": b'{"weight_map": {"a": "../../secret", "b": "/etc/passwd", "c": 1}}'},
    {"model.safetensors.index.json": b'{"weight_map": ["model.safetensors"]}'},
    {"model.safetensors.index.json": b'{"weight_map": {"a": ".."}}'},
    {"config.json": b"[" * 100_000},
    {"config.json": b'{"a":' * 100_000},
    {"config.json": b"\xff\xfe\x00"},
    {"model.safetensors": b""},
    {"model.safetensors": (1 << 62).to_bytes(8, "little") + b"{}"},
    {"model.safetensors": pickle.dumps(Runs())},
    {"pytorch_model.bin": pickle.dumps(Runs())},
    {"tokenizer_config.json": json.dumps({"auto_map": AUTO_MAP, "tokenizer_class": "Net"}).encode(), "evil.py": CODE},
    {"processor_config.json": json.dumps({"auto_map": AUTO_MAP, "processor_class": "Net"}).encode(), "evil.py": CODE},
]


@st.composite
def checkpoints(draw: st.DrawFn, whole: dict[str, Files]) -> Files:
    """A folder with one to three files or fields that are not what they should be."""
    files = dict(whole[draw(st.sampled_from(sorted(whole)))])
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(("harm",) * 4 + ("field",) * 4 + ("extra", "missing")))
        name = draw(st.sampled_from(sorted(files, key=lambda name: (name != "config.json", name))))
        content, config = files[name], files.get("config.json")
        if kind == "harm" and isinstance(content, bytes):
            with_harm = st.just(content) if not content else _safely_harmed(name, content)
            files[name] = draw(with_harm)
        elif kind == "field" and isinstance(config, bytes):
            files |= draw(_with_field(config))
        elif kind == "extra":
            files |= draw(st.sampled_from(EXTRAS))
        elif kind == "missing" and len(files) > 1:
            del files[name]
    return files


def _safely_harmed(name: str, content: bytes) -> st.SearchStrategy[bytes]:
    """`harmed`, or damage of bytes where earlier harm left nothing to be read."""
    try:
        split(content) if name.endswith(".safetensors") else json.loads(content)
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return damaged([content])
    return harmed(name, content)


DEEP = 20_000
BOMB = "\n".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else '1'}]" for n in range(12))
# Values of YAML that its readers stumble over: dates that don't exist, tags, nesting, what grows.
VALUES = ["mit", "[imagenet, 3]", "2026-13-45", "2001-02-30", "2001-01-01T99:00:00Z", "!!bool foo", "!!int foo"]
VALUES += ["!!float foo", "!!timestamp foo", "!!binary foo", "!!python/object/apply:os.system ['true']", "!!set [a]"]
VALUES += ["!foo bar", "[" * DEEP, "{a: " * DEEP, "&a [*a]", "*nobody", "{[a]: b}", "{{a: b}: c}", "9" * 10_000]
VALUES += ["1:2:3:" * 3000 + "4", "0x" + "f" * 10_000, "1e999", ".nan", "\0", "\ud800", '"\\ud800"', "'", "<<: *a", "%"]
VALUES += ["- - - " * 3000, "? " * DEEP, "|\n  text", "*x11", "<script>alert(1)</script>", "{a: [{b: [c]}]}", "~", "@"]
# Below the metadata: what patterns could try again from each place.
TEXTS = ["# Net", "![", "![a](", "<img ", "![x](https://elsewhere/x.png)", "```", "#### ", "<script>alert(1)</script>"]


@st.composite
def cards(draw: st.DrawFn) -> bytes:
    """A README.md whose metadata or text is not what it should be."""
    keys = st.sampled_from(("license", "datasets", "tags", "<<", "date", "[a]"))
    lines = [f"{draw(keys)}: {draw(st.sampled_from(VALUES))}" for _ in range(draw(st.integers(0, 3)))]
    metadata = "\n".join(draw(st.sampled_from(([], [BOMB]))) + lines)
    rest = draw(st.sampled_from(TEXTS)) * draw(st.sampled_from((1, 50, 200_000)))
    end = draw(st.sampled_from(("---", "---", "")))
    content = Content(f"---\n{metadata}\n{end}\n{rest}".encode(errors="surrogatepass"))
    return draw(st.one_of(st.just(content), damaged([content])))


FIELDS = ("auto_map", "architectures", "model_type", "id2label", "num_labels", "dtype", "quantization_config")
FIELDS += ("attn_implementation", "_attn_implementation", "problem_type", "hidden_sizes", "depths", "image_size")
FIELDS += ("patch_size", "num_hidden_layers", "num_channels", "backbone", "architecture", "pretrained_cfg", "rows")
FIELDS += ("label2id", "transformers_version", "_name_or_path", "vision_config", "tie_word_embeddings", "width")


@st.composite
def _with_field(draw: st.DrawFn, config: bytes) -> Files:
    """The config with a field that it may not have had."""
    try:
        fields = json.loads(config)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(fields, dict):
        return {}
    name = draw(st.sampled_from(FIELDS))
    if name == "auto_map":
        return {"config.json": json.dumps(fields | {name: AUTO_MAP}).encode(), "evil.py": CODE}
    known = [["AutoModel"], ["CvResNetModel"], "cvhub_vit", "vit", "resnet", "kernels-community/flash-attn", "float64"]
    known += [{"quant_method": "bitsandbytes", "load_in_4bit": True}, [10**6] * 4, {"0": "a", "x": "b"}]
    value = draw(st.one_of(hostile(), st.sampled_from(known)))
    return {"config.json": json.dumps(fields | {name: value}).encode()}


def lay_out(files: Files, folder: Path) -> None:
    """Writes what a case says; `folder` must not exist."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, Link):
            (folder / name).symlink_to(content)
        elif content == PIPE:
            os.mkfifo(folder / name)
        else:
            (folder / name).mkdir()
