"""Every sentence that can reach the page as an error has its Chinese, and every Chinese its sentence."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import cvhub
from cvhub.convert.family import NoForeignForm
from cvhub.errors import CvhubError
from cvhub.inference.images import open_picture
from cvhub.load import resolve
from cvhub.ui.explore.architecture import show_architecture
from cvhub.ui.messages import MESSAGES, reason, translated

PACKAGE = Path(cvhub.__file__).parent
# What the page runs. What only commands do (deploying, exporting, evaluating, training) speaks English.
ROOMS = ("inference/*.py", "load.py", "convert/*.py", "hub/failures.py", "hub/download.py", "explain/**/*.py")
ROOMS += ("training/few_shot.py", "evaluation/truth.py", "ui/segment/*.py", "ui/distill/*.py", "training/archive.py")
ROOMS += ("ui/words/*.py",)
ROOMS += ("training/disk.py", "training/run.py", "training/trainer.py")
ROOMS += ("training/job*.py", "training/lesson.py", "training/teachers.py", "training/result.py")
ROOMS += ("evaluation/picture_rows.py", "evaluation/dataset.py", "limits.py", "loading.py", "json_file.py", "cache.py")
ROOMS += ("look.py", "hub/push.py", "hub/folder.py", "hub/complete.py", "hub/account.py", "ui/hub/*.py")
COMMANDS_ONLY = ("exporting.py", "mask_file.py", "mask_folder.py")
RAISED = ("CvhubError", "RuntimeUnavailable")


def trees() -> Iterator[tuple[Path, ast.AST]]:
    for pattern in (*ROOMS, "ui/answering.py"):
        for file in sorted(PACKAGE.glob(pattern)):
            if file.name not in COMMANDS_ONLY:
                yield file, ast.parse(file.read_text(encoding="utf-8"))


def template(node: ast.AST) -> str | None:
    """A string of the code with `{}` for each value in it; None for what is no string."""
    if isinstance(node, ast.Subscript):  # cut to a length
        return template(node.value)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)  # pyright: ignore
    return None


def raised() -> Iterator[tuple[str, str]]:
    """Where an error is made and the template of its sentence, and all templates of what the Hub's failures mean."""
    for file, tree in trees():
        for node in ast.walk(tree):
            called = node.func if isinstance(node, ast.Call) else None
            is_error = isinstance(called, ast.Name) and called.id in RAISED
            is_init = isinstance(called, ast.Attribute) and called.attr == "__init__" and file.name == "family.py"
            sentence = template(node.args[0]) if isinstance(node, ast.Call) and (is_error or is_init) else None
            if file.name == "failures.py" and isinstance(node, ast.JoinedStr):
                sentence = template(node)
            if sentence:
                yield f"{file.name}:{getattr(node, 'lineno', 0)}", sentence


def test_every_error_has_its_chinese() -> None:
    assert len(list(raised())) > 60
    assert [(where, sentence) for where, sentence in raised() if sentence not in MESSAGES] == []


def test_every_chinese_has_its_error() -> None:
    said = {template(node) for _, tree in trees() for node in ast.walk(tree)}
    assert [english for english in MESSAGES if english not in said] == []


@pytest.mark.parametrize("english", MESSAGES)
def test_chinese_has_the_same_values(english: str) -> None:
    chinese = MESSAGES[english]
    assert chinese.count("{}") == english.count("{}")
    assert english.endswith(".") == chinese.endswith("。")
    values = [f"value{i}" for i in range(english.count("{}"))]
    sentence = english.format(*values)
    assert translated(sentence, "en") == sentence
    assert translated(sentence, "zh") == chinese.format(*values)


def sentence_of(call: object, *arguments: object) -> str:
    with pytest.raises(CvhubError) as caught:
        call(*arguments)  # type: ignore[operator]
    return str(caught.value)


def test_real_errors_are_told_in_chinese(tmp_path: Path) -> None:
    missing = tmp_path / "没有.jpg"
    assert translated(sentence_of(open_picture, missing), "zh") == "没有.jpg 不存在。"
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    assert translated(sentence_of(open_picture, tmp_path / "cut.png"), "zh").startswith("cut.png 不是可读的图片")
    assert translated(sentence_of(resolve, "nothing"), "zh").startswith(
        "'nothing' 既不是目录中的名称（efficientnet_lite0"
    )
    assert translated(str(NoForeignForm("timm", "eps", 1e-12)), "zh") == "timm 无法表示 eps=1e-12。"
    Image.new("RGB", (8, 8)).save(tmp_path / "whole.png")
    assert open_picture(tmp_path / "whole.png").size == (8, 8)


def test_a_sentence_within_a_sentence_is_told_in_chinese_too() -> None:
    inner = "the pixels are 8x8, this network takes at least 32x32."
    assert translated(f"resnet can't take the picture: {inner}", "zh") == (
        "resnet 无法处理这张图片：像素为 8x8，此网络至少需要 32x32。"
    )
    why = "torch, since OpenVINO can't run this network: out of memory; fp32, as asked."
    assert reason(why, "zh") == "改用 torch，因为OpenVINO 无法运行此网络：out of memory；按要求使用 fp32。"


def test_the_explore_tab_tells_errors_in_its_language() -> None:
    shown, _ = show_architecture(True, "nonsense", 224, 224, "zh")
    assert "此处不认识架构 &#x27;nonsense&#x27;" in str(shown)
    shown, _ = show_architecture(True, "{", 224, 224, "en")
    assert "This is not JSON" in str(shown)


def test_what_nobody_foresaw_stays_as_it_is() -> None:
    assert translated("Something else broke.", "zh") == "Something else broke."
