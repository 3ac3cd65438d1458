"""Single tensors of a safetensors file, without torch."""

import json
from pathlib import Path

import numpy as np


def read_tensor(file: Path, name: str) -> np.ndarray | None:
    """One tensor as float32, None where the file has none of this name. safetensors' own numpy reader doesn't know
    bfloat16."""
    with file.open("rb") as opened:
        header_bytes = int.from_bytes(opened.read(8), "little")
        entry = json.loads(opened.read(header_bytes)).get(name)
        if entry is None:
            return None
        begin, end = entry["data_offsets"]
        opened.seek(8 + header_bytes + begin)
        data = opened.read(end - begin)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        values = np.frombuffer(data, {"F16": "<f2", "F32": "<f4", "F64": "<f8"}[entry["dtype"]])
    return values.reshape(entry["shape"]).astype(np.float32)
