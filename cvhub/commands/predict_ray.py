"""`cvhub predict --engine ray`: any number of pictures on the processes of a Ray cluster, into parquet files.

The pictures are cut into shards, each a parquet file of --out in the end. A shard goes to one worker, which opens its
pictures itself and answers as the plain engine does: over the cluster go names, not pixels. What a restart finds
finished it leaves out.
"""

import argparse
import hashlib
import io
import json
import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from cvhub.commands.command import print_json
from cvhub.errors import CvhubError
from cvhub.inference.images import MAX_FILE_BYTES, SUFFIXES, decoded, reason_of
from cvhub.inference.picture_index import portable_name, weights_fingerprint

SHARD = 256  # pictures, so many of which a kill costs each worker at most
# A worker asks for half a processor, though it uses one: where workers have asked for all, Ray starts nothing else.
PROCESSOR = 0.5
MANIFEST = "manifest.json"
SETTINGS = ("precision", "labels", "template", "question", "beams", "task", "top_k", "logits", "max_pixels")


class Item(NamedTuple):
    """A picture: in a file, or in `row` of a parquet file's `column`."""

    address: str
    column: str = ""
    row: int = -1

    def __str__(self) -> str:
        return f"{self.address}#{self.row}" if self.column else self.address


def run_on_ray(options: argparse.Namespace, task: str) -> int:
    """Paths become those that any process of this machine knows."""
    options.model, options.out = portable_name(options.model), absolute(options.out)
    shards = cut([item for path in options.paths for item in list_items(absolute(path))])
    files, out = opened_folder(options.out)
    files.makedirs(out, exist_ok=True)
    claim(options, task, files, out)
    left = [shard for shard in shards if not files.exists(f"{out}/{name_of_shard(shard)}")]
    if len(left) < len(shards):
        print(f"{len(shards) - len(left)} of {len(shards)} shards are there already.", file=sys.stderr)
    failed = 0
    for report in work(options, task, left):
        failed += report["failed"]
        print_json(report) if options.json else print(f"{report['path']}: {report['n']} pictures")
    return 1 if failed else 0


# --- What there is to do ---


def list_items(address: str) -> Iterator[Item]:
    """Picture files, and the rows of parquet files, of a folder or one file that fsspec reads; hidden ones not."""
    files, root = opened_folder(address)
    try:
        found = sorted(files.find(root))
    except Exception as error:  # each file system has its own
        raise CvhubError(f"{address} can't be listed: {reason_of(error)}.") from None
    if not found:
        raise CvhubError(f"{address} does not exist or is empty.")
    for path in found:
        if any(part.startswith(".") for part in path.removeprefix(root).split("/")):
            continue
        if path.endswith(".parquet"):
            yield from rows_of(chained(address, root, path))
        elif path == root or path.lower().endswith(SUFFIXES):
            yield Item(chained(address, root, path))


def chained(address: str, root: str, path: str) -> str:
    """The address of a file found under another: `zip://a::x.zip` has `zip://a/b.png::x.zip`."""
    first, *others = address.split("::")
    below = path.removeprefix(root).strip("/")
    slash = "" if first.endswith("/") or not below else "/"
    return "::".join([f"{first}{slash}{below}", *others])


def rows_of(address: str) -> Iterator[Item]:
    import pyarrow.parquet as pq

    with opened_file(address) as file:
        table = pq.ParquetFile(file)
        column = picture_column(table.schema_arrow, address)
        yield from (Item(address, column, row) for row in range(table.metadata.num_rows))


def picture_column(schema: Any, address: str) -> str:
    """The first that holds files: binary, or as `datasets` has it, of `bytes` and `path`."""
    import pyarrow as pa

    for field in schema:
        kind = field.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return field.name
        if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            return field.name
    raise CvhubError(f"{address} has no column of pictures, only {', '.join(schema.names)}.")


def cut(items: Sequence[Item]) -> list[list[Item]]:
    return [list(items[start : start + SHARD]) for start in range(0, len(items), SHARD)]


def name_of_shard(shard: Sequence[Item]) -> str:
    digest = hashlib.blake2b("\n".join(map(str, shard)).encode(errors="surrogateescape"), digest_size=10)
    return f"{digest.hexdigest()}.parquet"


def absolute(path: Path | str) -> str:
    return str(path.absolute()) if isinstance(path, Path) else path


def claim(options: argparse.Namespace, task: str, files: Any, out: str) -> None:
    """Notes whose answers --out holds. Raises `CvhubError` where they are another net's, or to another question."""
    from cvhub.load import resolve

    facts = {"model": options.model, "weights": weights_fingerprint(resolve(options.model)), "does": task}
    facts |= {name: getattr(options, name) for name in SETTINGS}
    if not files.exists(f"{out}/{MANIFEST}"):
        files.pipe_file(f"{out}/{MANIFEST}", json.dumps(facts, indent=2).encode())
        return
    found = json.loads(files.cat_file(f"{out}/{MANIFEST}"))
    for name, value in facts.items():
        if found.get(name) != value:
            raise CvhubError(f"{options.out} holds answers of which {name} is {found.get(name)!r}, not {value!r}.")


# --- Ray ---


def work(options: argparse.Namespace, task: str, shards: list[list[Item]]) -> Iterator[dict[str, Any]]:
    """A report of each shard, as they are finished."""
    if not shards:
        return
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # its new way, of which it warns otherwise
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext, from_items
    except ImportError:
        raise CvhubError("--engine ray needs Ray: pip install 'cvhub[scale]'.") from None
    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    workers = min(options.workers or int(ray.cluster_resources()["CPU"]), len(shards))
    plain = {name: value for name, value in vars(options).items() if name not in ("run", "command")}
    rows = [{"shard": json.dumps(shard)} for shard in shards]
    done = from_items(rows, override_num_blocks=len(rows)).map_batches(
        Worker,
        fn_constructor_args=(plain, task),
        compute=ActorPoolStrategy(size=workers),
        num_cpus=PROCESSOR,
        batch_size=1,
    )
    yield from done.iter_rows()


class Worker:
    """A process of the cluster, with the model loaded. The plain engine's functions answer."""

    def __init__(self, options: dict[str, Any], task: str):
        os.environ["OMP_NUM_THREADS"] = "1"  # a processor each
        from cvhub.inference.pool import build_predictor

        self.options = argparse.Namespace(**options)
        given = self.options
        self.predictor = build_predictor(given.model, given.runtime, given.precision, task)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        reports = [self.answer([Item(*item) for item in json.loads(shard)]) for shard in batch["shard"]]
        return {name: [report[name] for report in reports] for name in reports[0]}

    def answer(self, shard: list[Item]) -> dict[str, Any]:
        rows = list(self.rows(shard))
        files, out = opened_folder(self.options.out)
        file = f"{out}/{name_of_shard(shard)}"
        write_table(files, file, rows)
        return {"path": file, "n": len(rows), "failed": sum("error" in row for row in rows)}

    def rows(self, shard: list[Item]) -> Iterator[dict[str, Any]]:
        from cvhub.commands.predict import answers
        from cvhub.inference.segment import Segmenter

        def opened(item: Item) -> AbstractContextManager[Image.Image]:
            of_a_disk = not item.column and "://" not in item.address
            source = Path(item.address) if of_a_disk else io.BytesIO(content_of(item))
            return decoded(source, self.options.max_pixels)

        if isinstance(self.predictor, Segmenter):
            return masks(self.predictor, self.options, shard, opened)
        return answers(self.predictor, self.options, shard, opened)


def masks(segmenter: Any, options: argparse.Namespace, shard: list[Item], opened: Any) -> Iterator[dict[str, Any]]:
    from cvhub.inference.mask_file import MaskWriter, bits_for

    answered = segmenter.answers(shard, opened, options.task or "semantic", None, options.batch_size or 1)
    for item, answer in answered:
        if isinstance(answer, str):
            yield {"path": str(item), "error": answer}
            continue
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "mask.png")
            height, width = answer.mask.shape
            with MaskWriter(file, height, width, bits_for(int(answer.mask.max(initial=0)))) as writer:
                writer.write(answer.mask)
            segments = [asdict(segment) for segment in answer.segments]
            yield {"path": str(item), "mask": file.read_bytes(), "segments_info": segments}


# --- Files ---


def opened_folder(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it."""
    from fsspec.core import url_to_fs

    try:
        return url_to_fs(address)
    except (ImportError, ValueError) as error:  # of S3 and others a package of their own
        raise CvhubError(f"{address} can't be opened: {reason_of(error)}.") from None


def opened_file(address: str) -> Any:
    """For a with block."""
    import fsspec

    return fsspec.open(address, "rb")


def content_of(item: Item) -> bytes:
    """A picture's file. Raises `CvhubError` where it can't be read."""
    try:
        if item.column:
            value = row_of(item.address, item.column, item.row)
            content = value.get("bytes") if isinstance(value, dict) else value
            if content is None:
                raise CvhubError("there is no picture in this row.")
            return content
        with opened_file(item.address) as file:
            return file.read(MAX_FILE_BYTES + 1)
    except CvhubError:
        raise
    except Exception as error:  # each file system has its own
        raise CvhubError(f"{item} cannot be read: {reason_of(error)}.") from None


def row_of(address: str, column: str, row: int) -> Any:
    """Of a parquet file; a group of its rows is read once for all of them."""
    starts = group_starts(address)
    group = max(index for index, start in enumerate(starts) if start <= row)
    return column_of_group(address, column, group)[row - starts[group]].as_py()


@cache
def group_starts(address: str) -> list[int]:
    import pyarrow.parquet as pq

    with opened_file(address) as file:
        metadata = pq.ParquetFile(file).metadata
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [sum(counts[:group]) for group in range(len(counts))]


@lru_cache(maxsize=2)
def column_of_group(address: str, column: str, group: int) -> Any:
    import pyarrow.parquet as pq

    with opened_file(address) as file:
        return pq.ParquetFile(file).read_row_group(group, columns=[column])[column]


def write_table(files: Any, path: str, rows: list[dict[str, Any]]) -> None:
    """The file is there when it is whole."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    score = pa.struct([("label", pa.string()), ("score", pa.float64())])
    segment = pa.struct([("id", pa.int64()), ("label_id", pa.int64()), ("label", pa.string()), ("score", pa.float64())])
    kinds = {
        "path": pa.string(),
        "error": pa.string(),
        "predictions": pa.list_(score),
        "logits": pa.list_(pa.float32()),
        "caption": pa.string(),
        "answer": pa.string(),
        "mask": pa.binary(),
        "segments_info": pa.list_(segment),
    }
    told = pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))
    folder, _, name = path.rpartition("/")
    partial = f"{folder}/.{name}"
    files.makedirs(folder, exist_ok=True)
    with files.open(partial, "wb") as file:
        pq.write_table(told, file)
    files.mv(partial, path)
