"""`cvhub predict --engine ray`: any number of pictures on the processes of a Ray cluster, into parquet files.

The pictures are cut into shards, each a parquet file of --out in the end. A shard goes to one worker, which opens its
pictures itself and answers as the plain engine does: over the cluster go names, not pixels. What a restart finds
finished it leaves out, and what is of pictures that changed or went it removes at its end.
"""

import argparse
import hashlib
import io
import json
import logging
import os
import re
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import cache, lru_cache, partial
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
MANIFEST = "_manifest.json"  # what reads a folder of parquet files leaves such names out
# A shard's name, and how many of its pictures failed: a restart counts them without opening files.
SHARD_FILE = re.compile(r"(?P<shard>[0-9a-f]{20})(-(?P<failed>\d+)-failed)?\.parquet")
SETTINGS = ("precision", "labels", "template", "question", "beams", "logits", "max_pixels")
# By which file systems tell that a file's content is another one.
VERSIONS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "size")


class Item(NamedTuple):
    """A picture: in a file, or in `row` of a parquet file's `column`. `version` changes with the file's content."""

    address: str
    column: str = ""
    row: int = -1
    version: str = ""

    def __str__(self) -> str:
        return f"{self.address}#{self.row}" if self.column else self.address


class Unreachable(CvhubError):
    """A picture could not be read today, and may be tomorrow: its shard is left to the next run."""


def run_on_ray(options: argparse.Namespace, task: str) -> int:
    """Paths become those that any process of this machine knows."""
    options.model, options.out = portable_name(options.model), absolute(options.out)
    options.paths = [absolute(path) for path in options.paths]
    within = f"{options.out.rstrip('/')}/"
    items = [item for path in options.paths for item in list_items(path, within)]
    shards = {name_of_shard(shard): shard for shard in cut(list(dict.fromkeys(items)))}
    files, out = opened_folder(options.out)
    files.makedirs(out, exist_ok=True)
    known = finished(files, out)
    ask_once(options, task)  # what can't be asked is said before a cluster is started
    claim(options, task, files, out, known)
    left = [shard for name, shard in shards.items() if name not in known]
    if len(left) < len(shards):
        print(f"{len(shards) - len(left)} of {len(shards)} shards are there already.", file=sys.stderr)
    failed = sum(failed for name, (_, failed) in known.items() if name in shards)
    unreachable = 0
    for report in work(options, task, left):
        failed += report["failed"]
        unreachable += report["unreachable"]
        print_json(report) if options.json else print(f"{report['path']}: {report['n']} pictures")
    for file in [file for name, (file, _) in known.items() if name not in shards]:
        files.rm_file(file)  # its pictures are others now
    if unreachable:
        told = f"Pictures that could not be reached: {unreachable}. The same command asks for them again."
        print(told, file=sys.stderr)
    return 1 if failed or unreachable else 0


def ask_once(options: argparse.Namespace, task: str) -> None:
    """Builds the model here as the workers will, which also converts it once for all those of this machine."""
    from cvhub.inference.pool import build_predictor
    from cvhub.inference.segment import Segmenter

    predictor = build_predictor(options.model, options.runtime, options.precision, task)
    if isinstance(predictor, Segmenter):
        predictor.check_task(options.task or "semantic")


def finished(files: Any, out: str) -> dict[str, tuple[str, int]]:
    """The shards that --out holds: their files, and how many pictures of each failed."""
    files.invalidate_cache()
    listed = ((path, SHARD_FILE.fullmatch(path.rpartition("/")[2])) for path in files.ls(out, detail=False))
    return {found["shard"]: (path, int(found["failed"] or 0)) for path, found in listed if found}


# --- What there is to do ---


def list_items(address: str, without: str = "\0") -> Iterator[Item]:
    """Picture files, and the rows of parquet files, of a folder or file that fsspec reads. Hidden ones are left out,
    and those whose address begins with `without`."""
    files, root = opened_folder(address)
    try:
        found = files.find(root, detail=True)
    except Exception as error:  # each file system has its own
        raise CvhubError(f"{address} can't be listed: {reason_of(error)}.") from None
    if not found:
        raise CvhubError(f"{address} does not exist or is empty.")
    for path, facts in sorted(found.items()):
        place = chained(address, root, path)
        if place.startswith(without) or any(part.startswith(".") for part in path.removeprefix(root).split("/")):
            continue
        if path.endswith(".parquet"):
            yield from rows_of(place, version_of(facts))
        elif path == root or path.lower().endswith(SUFFIXES):
            yield Item(place, version=version_of(facts))


def version_of(facts: Mapping[str, Any]) -> str:
    return " ".join(str(facts[name]) for name in VERSIONS if name in facts)


def chained(address: str, root: str, path: str) -> str:
    """The address of a file found under another: `zip://a::x.zip` has `zip://a/b.png::x.zip`."""
    first, *others = address.split("::") if "://" in address else [address]
    below = path.removeprefix(root).strip("/")
    slash = "" if first.endswith("/") or not below else "/"
    return "::".join([f"{first}{slash}{below}", *others])


def rows_of(address: str, version: str) -> Iterator[Item]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with opened_file(address) as file:
            table = pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise CvhubError(f"{address} is no parquet file that can be read: {reason_of(error)}.") from None
    column = picture_column(table.schema_arrow, address)
    yield from (Item(address, column, row, version) for row in range(table.metadata.num_rows))


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
    """Of the pictures and their content."""
    told = "\n".join(f"{item} {item.version}" for item in shard)
    return hashlib.blake2b(told.encode(errors="surrogateescape"), digest_size=10).hexdigest()


def absolute(path: Path | str) -> str:
    return str(path.absolute()) if isinstance(path, Path) else path


def claim(options: argparse.Namespace, task: str, files: Any, out: str, known: Mapping[str, Any]) -> None:
    """Notes whose answers --out holds. Raises `CvhubError` where those it holds are another net's, or to another
    question, or about other paths."""
    from cvhub.commands.predict import TOP_K
    from cvhub.load import resolve

    folder = resolve(options.model)
    config = hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()[:16]
    facts = {"paths": options.paths, "model": options.model, "weights": weights_fingerprint(folder), "config": config}
    facts |= {"does": task, "task": options.task or "semantic", "top_k": options.top_k or TOP_K}
    facts |= {name: getattr(options, name) for name in SETTINGS}
    if options.precision == "int8":
        from cvhub.inference.quantisation import calibration_of

        facts["calibration"] = calibration_of(options.model)
    if known and files.exists(f"{out}/{MANIFEST}"):
        found = json.loads(files.cat_file(f"{out}/{MANIFEST}"))
        for name, value in facts.items():
            if found.get(name) != value:
                raise CvhubError(f"{options.out} holds answers of which {name} is {found.get(name)!r}, not {value!r}.")
    files.pipe_file(f"{out}/{MANIFEST}", json.dumps(facts, indent=2).encode())


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
        raise CvhubError("--engine ray needs Ray: pip install 'ray[data]' fsspec.") from None
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
        self.unreachable = 0
        rows = list(self.rows(shard))
        files, out = opened_folder(self.options.out)
        failed = sum("error" in row for row in rows)
        counted = f"-{failed}-failed" if failed else ""
        file = f"{out}/{name_of_shard(shard)}{counted}.parquet"
        if not self.unreachable:
            write_table(files, file, rows)
        return {"path": file, "n": len(rows), "failed": failed, "unreachable": self.unreachable}

    def rows(self, shard: list[Item]) -> Iterator[dict[str, Any]]:
        from cvhub.commands.predict import answers
        from cvhub.inference.segment import Segmenter

        if isinstance(self.predictor, Segmenter):
            return map(partial(self.masked, self.predictor), shard)
        return answers(self.predictor, self.options, shard, self.opened)

    def opened(self, item: Item) -> AbstractContextManager[Image.Image]:
        source = path_of(item) or io.BytesIO(self.content(item))
        return decoded(source, self.options.max_pixels)

    def content(self, item: Item) -> bytes:
        try:
            return content_of(item)
        except Unreachable:
            self.unreachable += 1
            raise

    def masked(self, segmenter: Any, item: Item) -> dict[str, Any]:
        """A picture's row, with its mask as the plain engine would write it."""
        from cvhub.inference.mask_folder import Task, write_masks

        with tempfile.TemporaryDirectory() as folder:
            picture, mask = path_of(item), Path(folder, "mask", "mask.png")
            try:
                if picture is None:
                    picture = Path(folder, item.address.partition("::")[0].rpartition("/")[2])
                    picture.write_bytes(self.content(item))
            except CvhubError as error:
                return {"path": str(item), "error": str(error)}
            task = self.options.task or "semantic"
            (found,) = write_masks(segmenter, [Task(picture, mask)], task, max_pixels=self.options.max_pixels)
            if found.error is not None:
                return {"path": str(item), "error": found.error}
            segments = [asdict(segment) for segment in found.segments]
            return {"path": str(item), "mask": mask.read_bytes(), "segments_info": segments}


# --- Files ---


def opened_folder(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it."""
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    if "://" not in address:  # in which `::` is a name like others
        return LocalFileSystem(), address
    try:
        return url_to_fs(address)
    except (ImportError, ValueError) as error:  # of S3 and others a package of their own
        raise CvhubError(f"{address} can't be opened: {reason_of(error)}.") from None


def opened_file(address: str) -> Any:
    """For a with block."""
    import fsspec

    return fsspec.open(address, "rb") if "://" in address else Path(address).open("rb")


def path_of(item: Item) -> Path | None:
    """Of a file of its own that any program opens."""
    return None if item.column or "://" in item.address else Path(item.address)


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
        raise Unreachable(f"{item} cannot be read: {reason_of(error)}.") from None


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
    for row in rows:  # names need not be in UTF-8
        row["path"] = row["path"].encode(errors="surrogateescape").decode(errors="replace")
    told = pa.Table.from_pylist(rows, pa.schema(list(kinds.items())))
    folder, _, name = path.rpartition("/")
    unfinished = f"{folder}/.{uuid.uuid4().hex}.{name}"
    files.makedirs(folder, exist_ok=True)
    with files.open(unfinished, "wb") as file:
        pq.write_table(told, file)
    files.mv(unfinished, path)
