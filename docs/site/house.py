"""Measures what the project costs those who keep it, and writes the page: `python -m docs.site.house [JUNIT.xml]`.

What a dependency takes on disk and at its import, the longest functions, and, of a report that `pytest --junitxml` has
written, how long each file of tests takes. The page stays as it is until the command is given again.
"""

import ast
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from docs.site.table import table

ROOT = Path(__file__).parents[2]
ROUNDS = 3
MOST = 15  # rows of what could be listed without end
IMPORT = "import time; start = time.process_time(); import {}; print(time.process_time() - start)"
# Language → the page's head, and of each section its title, a sentence, and the names of its columns.
WORDS = {
    "en": (
        "# What it costs to keep\n\nWritten by `python -m docs.site.house` on {day}, Python {python}.",
        (
            "Dependencies",
            "Of `requirements.txt`. Megabytes of a package's own files; milliseconds of one processor to import it in "
            f"a fresh interpreter, with all that it imports in turn; the median of {ROUNDS}.",
            ("package", "version", "MB", "import, ms"),
        ),
        ("Longest functions", "Of `cvhub`, docstrings included.", ("function", "lines")),
        ("Tests", "Seconds a file, as `pytest --junitxml` counts them.", ("file", "tests", "seconds")),
    ),
    "zh": (
        "# 维护的代价\n\n由 `python -m docs.site.house` 于 {day} 写出，Python {python}。",
        (
            "依赖",
            "来自 `requirements.txt`。MB 为该包自身文件的大小；毫秒为在新解释器中导入它所用的单处理器时间，"
            f"包括它再导入的一切，取 {ROUNDS} 次的中位数。",
            ("包", "版本", "MB", "导入，毫秒"),
        ),
        ("最长的函数", "`cvhub` 中的函数，含文档字符串。", ("函数", "行数")),
        ("测试", "每个文件的秒数，由 `pytest --junitxml` 统计。", ("文件", "测试数", "秒")),
    ),
}


def main(arguments: list[str]) -> None:
    measured = [list(dependencies()), longest_functions(ROOT / "cvhub")]
    measured += [seconds_of_files(Path(report)) for report in arguments]
    for language, (head, *sections) in WORDS.items():
        parts = [head.format(day=date.today(), python=platform.python_version())]
        for (title, sentence, columns), rows in zip(sections, measured, strict=False):
            numbers = len(columns) - (2 if columns[1] in ("version", "版本") else 1)
            parts += [f"## {title}", sentence, table(columns, rows, numbers=numbers)]
        (ROOT / "docs" / "site" / language / "house.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def dependencies() -> Iterator[list[str]]:
    """A row each, the largest first."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    names = [Requirement(line).name for line in lines if line and not line.startswith("#")]
    sizes = {name: sum(f.locate().stat().st_size for f in files_of(name)) / 1e6 for name in names}
    for name in sorted(names, key=lambda name: -sizes[name]):
        yield [name, distribution(name).version, f"{sizes[name]:.1f}", f"{1000 * seconds_to_import(name):,.0f}"]


def files_of(name: str) -> list:
    return [file for file in distribution(name).files or () if Path(str(file.locate())).is_file()]


def seconds_to_import(name: str) -> float:
    wanted = canonicalize_name(name)
    found = [module for module, names in packages_distributions().items() if wanted in map(canonicalize_name, names)]
    public = (module for module in found if module.isidentifier() and module[0] != "_")
    command = [sys.executable, "-c", IMPORT.format(min(public, key=len))]  # torch brings torchgen too
    run = (subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(ROUNDS))
    return median(float(said.split()[-1]) for said in run)


def longest_functions(folder: Path) -> list[list[str]]:
    found = []
    for file in folder.rglob("*.py"):
        place = file.relative_to(folder.parent).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append(((node.end_lineno or 0) - node.lineno + 1, f"`{place}` `{node.name}`"))
    return [[name, str(lines)] for lines, name in sorted(found, key=lambda one: (-one[0], one[1]))[:MOST]]


def seconds_of_files(report: Path) -> list[list[str]]:
    """A row a file of tests, the slowest first."""
    seconds: defaultdict[str, float] = defaultdict(float)
    tests = Counter[str]()
    for case in ElementTree.parse(report).iter("testcase"):
        file = case.get("classname", "").replace(".", "/") + ".py"
        seconds[file] += float(case.get("time", 0))
        tests[file] += 1
    return [
        [f"`{file}`", str(tests[file]), f"{took:,.0f}"]
        for file, took in sorted(seconds.items(), key=lambda one: -one[1])
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
