"""The Distill tab: what its numbers are, and in Chromium a comparison and a lesson that outlives its page."""

import functools
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import expect

from cvhub.errors import CvhubError
from cvhub.explain.heads import heads
from cvhub.load import labels_of, resolve
from cvhub.training.archive import unpack
from cvhub.training.distillation import Objective
from cvhub.training.jobs import Job, Jobs, Status, TeacherTask, TrainingTask
from cvhub.training.lesson import ALONE, DATA, SECONDS, STUDENTS, TAUGHT, Lesson, plan
from cvhub.ui.distill import handlers
from cvhub.ui.distill.choices import DEFAULT_TEACHERS, teacher_choices
from cvhub.ui.distill.lesson_readout import flips, progress
from cvhub.ui.distill.paying import pay
from cvhub.ui.strings import speaker, text
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM
from tests.loopback_hub import serving
from tests.test_jobs import wait_for
from tests.test_ui_segment_page import PHONE, fits, no_violation
from tests.tiny import TinyFamily

SAY = speaker("en")
NO_MODEL = "?models=tests"  # the Classify tab has nothing to load, and says so


# -- numbers


@pytest.mark.parametrize("loss", ["hard", "soft"])
@pytest.mark.parametrize("combination", ["fixed", "confidence", "agreement"])
def test_what_a_student_pays_is_what_training_would_ask(loss: str, combination: str) -> None:
    chance = np.random.default_rng(0)
    of_class, of_teacher, teachers = (3 * chance.normal(size=shape) for shape in ((6,), (6,), (2, 6)))
    labels, weight = torch.tensor([4]), 0.3
    terms = pay(
        of_class, of_teacher, teachers, 4, ["A", "B"], "abcdef",
        loss=loss, temperature=2.5, weight=weight, combination=combination, say=SAY,
    )  # fmt: skip
    each, heard = Objective(loss, 2.5, combination)(
        torch.from_numpy(of_teacher)[None], torch.from_numpy(teachers)[:, None], labels
    )
    cross_entropy = torch.nn.functional.cross_entropy(torch.from_numpy(of_class)[None], labels)
    expected = (1 - weight) * cross_entropy + weight * (each * heard).sum()
    assert sum(term.part for term in terms) == pytest.approx(float(expected), abs=1e-5)
    targets = ["abcdef"[said] for said in teachers.argmax(1)]
    said = [f": {target}" if loss == "hard" else "" for target in targets]
    assert [term.name for term in terms] == ["labels", f"teacher A{said[0]}", f"teacher B{said[1]}"]


def test_the_two_heads_are_the_nets() -> None:
    model, pixels = TinyFamily("deit").model(num_labels=4), torch.rand(1, 3, 32, 32)
    found = heads(model, pixels)
    with torch.no_grad():
        output = model(pixels)
    assert np.allclose((found.class_logits + found.distillation_logits) / 2, output.logits[0], atol=1e-6)
    assert found.class_attention.shape == found.distillation_attention.shape
    assert not np.array_equal(found.class_attention, found.distillation_attention)
    with pytest.raises(CvhubError, match="has no distillation head"):
        heads(TinyFamily("vit").model(), pixels)


def status(state: str = "running", rows: dict[str, Any] | None = None, **fields: Any) -> Status:
    about = {
        "teachers": ["digits_resnet", "digits_vit"],
        "seconds": 60,
        "loss": "soft",
        "temperature": 3,
        "weight": 0.4,
    }
    return Status(Job("x", [["alone", "taught"]], about, state, **fields), 2, rows or {})


def test_a_lesson_is_told_in_each_of_its_states() -> None:
    row = {"step": 9, "seconds": 12.0, "label_loss": 1.0, "distillation_loss": 2.0, "loss": 1.4}
    row |= {
        f"teacher_{n}_{what}": value for n in (1, 2) for what, value in (("loss", 2.0), ("weight", 0.5), ("part", 1.0))
    }
    rows = {"alone": [row | {"validation_accuracy": 0.5}], "taught": [row | {"validation_accuracy": 0.75}]}
    told = progress(status(rows=rows), SAY, "en")
    assert "Distilled 75.0 %, alone 50.0 % after 12 s." in told
    assert "teacher ViT (digits)" in told
    assert "<b>1.400</b>" in told  # 0.6 · 1 + 0.4 · (1 + 1)
    assert "place 2 in the queue" in progress(status("waiting"), SAY, "en")
    failed = progress(status("failed", error="There is no such run any more."), speaker("zh"), "zh")
    assert "训练已终止：" in failed


def test_flips_are_those_that_one_names_rightly() -> None:
    images = [Image.new("L", (8, 8), 20 * i) for i in range(5)]
    targets, alone, taught = np.array([0, 1, 2, 0, 1]), np.array([0, 2, 2, 1, 0]), np.array([0, 1, 1, 0, 2])
    told = flips(["a", "b", "c"], images, targets, alone, taught, SAY)
    assert "Only the distilled one is right (2)" in told
    assert "Only the one alone is right (1)" in told
    assert [part.split("<")[0] for part in told.split("<span>")[1:]] == ["b, said c", "a, said b", "c, said b"]
    assert SAY("lesson_flips_none") in flips(["a", "b", "c"], images, targets, alone, alone, SAY)


# -- lessons


def test_teachers_that_know_the_classes_are_not_taught(tmp_path: Path) -> None:
    (students,) = plan(Lesson(teachers=("digits_resnet",)), tmp_path)
    assert [task.name for task in students] == [ALONE, TAUGHT]
    first, second = plan(Lesson(teachers=("digits_resnet", "eurosat_vgg")), tmp_path)
    assert isinstance(first[0], TeacherTask)
    assert first[0].model == "eurosat_vgg"
    taught = second[1]
    assert isinstance(taught, TrainingTask)
    assert taught.recipe.distillation.teachers == ("digits_resnet", str(tmp_path / "teacher_2"))


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("student", STUDENTS)
def test_both_students_are_the_same_but_for_the_teacher(data: str, student: str, tmp_path: Path) -> None:
    stages = plan(Lesson(data=data, teachers=DEFAULT_TEACHERS[data], student=student, classes=("a", "b")), tmp_path)
    alone, taught = stages[-1]
    assert isinstance(alone, TrainingTask)
    assert isinstance(taught, TrainingTask)
    fields = {name for name, value in taught.recipe.model.config.items() if alone.recipe.model.config[name] != value}
    assert fields == {"distillation"}
    for table in ("data", "picture", "augmentation", "optimiser", "budget", "seed"):
        assert getattr(alone.recipe, table) == getattr(taught.recipe, table)


def tiles(folder: Path) -> dict[str, bytes]:
    """EuroSAT's ten classes as files of a Hub repo: noise in parquet, with the names of the classes."""
    import datasets

    chance, names = np.random.default_rng(0), labels_of(resolve("eurosat_resnet"))
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    files = {}
    for split, count in (("train", 400), ("test", 20)):
        images = [Image.fromarray(chance.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(count)]
        table = datasets.Dataset.from_dict({"image": images, "label": [i % 10 for i in range(count)]}, features=kinds)
        table.to_parquet(folder / f"{split}.parquet")
        files[f"data/{split}-00000-of-00001.parquet"] = (folder / f"{split}.parquet").read_bytes()
    return files


def test_a_lesson_fetches_eurosat_from_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvhub.training.lesson.SECONDS", (1, 600))
    with serving() as hub:
        hub.add("datasets/timm/eurosat-rgb", tiles(tmp_path))
        for variable, value in hub.environment(tmp_path / "home").items():
            monkeypatch.setenv(variable, value)  # which the tasks' processes have from this one
        jobs = Jobs(tmp_path / "jobs")
        folder = jobs.new_folder()
        lesson = Lesson("eurosat", ("eurosat_vgg",), student="small", seconds=3)
        name = jobs.start(folder, plan(lesson, folder), {})
        status = wait_for(jobs, name, lambda status: status.job.state in ("finished", "failed"))
        jobs.close()
    assert status.job.state == "finished"
    assert any(request.endswith("train-00000-of-00001.parquet") for request in hub.requests)
    config = json.loads((folder / TAUGHT / "config.json").read_text())
    assert list(config["id2label"].values()) == labels_of(resolve("eurosat_resnet"))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"seconds": SECONDS[1] + 1}, "The budget is 601 seconds, expected 20 to 600."),
        ({"teachers": ()}, "There are 0 teachers, expected one or two."),
        ({"student": "huge"}, "student is 'huge', expected one of small, medium, large."),
    ],
)
def test_a_lesson_that_can_not_be_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CvhubError, match=sentence):
        Lesson(**fields)


def zipped(file: Path, counts: dict[str, int], more: Sequence[str] = ()) -> Path:
    """Class folders of noise, and `more` files that are no pictures."""
    chance = np.random.default_rng(0)
    with zipfile.ZipFile(file, "w") as made:
        for label, count in counts.items():
            made.writestr(f"{label}/", b"")
            for number in range(count):
                path = file.with_name("picture.png")
                Image.fromarray(chance.integers(0, 256, (24, 24, 3), np.uint8)).save(path)
                made.write(path, f"{label}/{number}.png")
        for name in more:
            made.writestr(name, b"x")
    return file


def test_a_zip_becomes_class_folders(tmp_path: Path) -> None:
    strangers = ("__MACOSX/all/cats/0.png", "all/notes.txt")
    file = zipped(tmp_path / "a.zip", {"all/cats": 5, "all/dogs": 6}, strangers)
    assert unpack(file, tmp_path / "out") == {"cats": 5, "dogs": 6}
    assert len(list((tmp_path / "out" / "dogs").glob("*.png"))) == 6
    evil = tmp_path / "evil.zip"
    with zipfile.ZipFile(evil, "w") as made:
        for label in ("/up", "/etc", "../../away"):
            for number in range(5):
                made.writestr(f"{label}/{number}.png", b"x")
    unpack(evil, tmp_path / "inside" / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"a.zip", "evil.zip", "picture.png", "out", "inside"}


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ({"cats": 9}, "There are 1 classes, expected at least 2"),
        ({"cats": 9, "dogs": 4}, "The class 'dogs' has 4 pictures, expected at least 5"),
        ({"cats": 9, "dogs": 9, "birds": 0}, "The class 'birds' has no pictures"),
    ],
)
def test_a_zip_that_teaches_nothing_is_one_sentence(counts: dict[str, int], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(CvhubError, match=sentence):
        unpack(zipped(tmp_path / "a.zip", counts), tmp_path / "out")


def test_what_is_no_zip_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(CvhubError, match="This is no zip that can be read"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


# -- handlers


@pytest.fixture
def own_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jobs]:
    made = Jobs(tmp_path / "jobs")
    monkeypatch.setattr(handlers, "jobs", lambda: made)
    monkeypatch.setattr("cvhub.training.jobs.TASK", ["-c", "import time; time.sleep(600)"])
    yield made
    made.close()


def begin(mine: str = "", **choices: Any) -> tuple[Any, ...]:
    asked = {
        "data": "digits", "archive": None, "teachers": ["digits_resnet"], "student": "small", "loss": "hard",
        "temperature": 3, "weight": 0.5, "combination": "fixed", "seconds": 20,
    }  # fmt: skip
    return handlers.start(choices.pop("visitor", ""), mine, choices.pop("language", "en"), **(asked | choices))


def test_a_visitor_has_one_run_at_a_time(own_jobs: Jobs) -> None:
    """In whatever tab: one that was opened before the first start knows of no run."""
    name = begin(visitor="me")[0]
    assert own_jobs.status(name).job.about["teachers"] == ["digits_resnet"]
    for mine in (name, ""):
        kept, _, said, *_ = begin(mine, visitor="me")
        assert kept == mine
        assert "Your other run goes on" in said
    assert "你的另一次训练还在进行" in begin(visitor="me", language="zh")[2]
    other = begin(visitor="you")[0]
    assert other
    handlers.stop(name, name, "", "en")
    assert own_jobs.status(name).job.state == "stopped"
    next_one = begin(name, visitor="me")[0]
    assert next_one != name
    said = handlers.resume(name, name, "", "en")[0]
    assert "Your other run goes on" in said
    assert own_jobs.status(name).job.state == "stopped"
    assert len(list(own_jobs.root.glob("*"))) == 3


def test_programs_without_a_page_are_one_visitor(own_jobs: Jobs) -> None:
    assert begin()[0]
    assert "Your other run goes on" in begin()[2]


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"teachers": []}, "There are 0 teachers"),
        ({"teachers": ["/etc"]}, "/etc"),
        ({"teachers": ["eurosat_vgg"] * 3}, "There are 3 teachers"),
        ({"data": "own", "teachers": ["eurosat_vgg"]}, "Upload a zip"),
    ],
)
def test_a_bad_start_is_one_sentence_and_leaves_nothing(choices: dict[str, Any], sentence: str, own_jobs: Jobs) -> None:
    name, _, said, *_ = begin(**choices)
    assert name == ""
    assert sentence in said
    assert not list(own_jobs.root.glob("*"))


def test_only_its_owner_may_stop_a_run(own_jobs: Jobs) -> None:
    """Who has the link looks on."""
    name = begin()[0]
    view, _, timer, _, stop, resume, pack, link = handlers.poll(name, "another", "", "en")
    assert timer["active"]
    assert link["visible"]
    assert not any(button["visible"] for button in (stop, resume, pack))
    handlers.stop(name, "another", "", "en")
    assert own_jobs.status(name).job.state in ("waiting", "running")
    assert view


def test_what_is_drawn_already_is_not_sent_again(own_jobs: Jobs) -> None:
    name = begin()[0]
    first = handlers.poll(name, name, "", "en")
    assert isinstance(first[0], str)
    again = handlers.poll(name, name, handlers.poll(name, name, first[1], "en")[1], "en")
    assert again[0]["__type__"] == "update"


def test_a_run_that_is_gone_is_said(own_jobs: Jobs) -> None:
    request = SimpleNamespace(query_params={"run": "no-such"})
    name, view, _, timer, *_ = handlers.attach("", "zh", request)  # pyright: ignore[reportArgumentType]
    assert name == "no-such"
    assert "该训练已不存在" in view
    assert not timer["active"]


def test_teachers_are_offered_by_what_they_know() -> None:
    names = [name for _, name in teacher_choices("digits")]
    assert names[:2] == ["digits_resnet", "digits_vit"]
    assert "digits_vit" not in {name for _, name in teacher_choices("own")}


# -- in Chromium


@pytest.fixture
def distill(open_page: Callable[..., Any]) -> Callable[..., Any]:
    def distill(language: str = "en", **options: Any) -> Any:
        page = open_page(f"{NO_MODEL}&lang={language}", wait=False, **options)
        page.get_by_role("tab", name=text("tab_distill", language)).click()
        return page

    return distill


@pytest.mark.browser
class TestInChromium:
    pytestmark = NEEDS_CHROMIUM

    def test_a_comparison_follows_its_choices(self, distill) -> None:
        page = distill()
        page.locator("#compare-view table").wait_for(timeout=FIRST_ANSWER)
        assert page.locator("#compare-view .compared").first.locator(".card").count() == 3
        expect(page.locator("#compare-view .compared").last.locator(".card")).to_have_count(2)  # the two heads
        before = page.locator("#compare-view tbody b").last.text_content()
        page.locator("#compare-weight input[type=number]").fill("0")
        page.locator("#compare-weight input[type=number]").press("Enter")
        expect(page.locator("#compare-view tbody b").last).not_to_have_text(str(before))
        values = page.locator("#compare-view tbody").last.locator("tr:not(.group)").all_inner_texts()
        assert len(values) == 3  # labels, a teacher, their sum
        no_violation(page)

    def test_a_lesson_survives_a_refresh_and_its_student_loads(
        self, distill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Started, left, reattached in another tab too, finished, downloaded, and asked in a fresh process."""
        jobs = Jobs(tmp_path / "jobs")
        monkeypatch.setattr(handlers, "jobs", functools.cache(lambda: jobs))

        def lesson(page: Any) -> None:
            page.get_by_role("tab", name=text("tab_distill", "en")).click()
            page.get_by_role("tab", name=text("part_lesson", "en")).click()

        page = distill()
        lesson(page)
        page.locator("#lesson-student label").first.click()
        page.locator("#lesson-seconds input[type=number]").fill("20")
        page.locator("#lesson-seconds input[type=number]").press("Enter")
        page.locator("#lesson-start").click()
        page.locator("#lesson-stop").wait_for(timeout=FIRST_ANSWER)
        page.reload()
        lesson(page)
        page.locator("#lesson-stop").wait_for(timeout=FIRST_ANSWER)
        with page.expect_navigation(timeout=FIRST_ANSWER):  # Gradio's own, once the connection is back
            page.context.set_offline(True)
            page.wait_for_timeout(3000)
            page.context.set_offline(False)
        lesson(page)
        second = page.context.new_page()
        second.goto(page.url)
        lesson(second)
        second.locator("#lesson-link").wait_for(timeout=FIRST_ANSWER)  # it has come to an end, or can be watched
        second.close()
        expect(page.locator("#lesson-view .summary")).to_contain_text("Finished", timeout=FIRST_ANSWER)
        expect(page.locator("#lesson-view .summary strong")).to_contain_text("Distilled")
        page.wait_for_timeout(1000)  # colours change gradually
        no_violation(page)
        page.locator("#theme-switch").click()
        page.wait_for_timeout(1000)  # colours change gradually
        no_violation(page)
        page.locator("#lesson-pack").click()
        page.locator("#lesson-download").wait_for(timeout=FIRST_ANSWER)
        with page.expect_download() as waited:
            page.locator("#lesson-download").click()
        waited.value.save_as(tmp_path / "student.zip")
        with zipfile.ZipFile(tmp_path / "student.zip") as archive:
            archive.extractall(tmp_path / "student")
        script = (
            "import json, sys; sys.modules['cvhub'] = None\n"
            "from transformers import AutoModel, AutoModelForImageClassification\n"
            "for auto in (AutoModel, AutoModelForImageClassification):\n"
            f"    model = auto.from_pretrained({str(tmp_path / 'student')!r}, trust_remote_code=True)\n"
            "    print(json.dumps([type(model).__name__, model.config.distillation, len(model.config.id2label)]))"
        )
        said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True)
        loaded = [json.loads(line) for line in said.stdout.splitlines()[-2:]]
        assert loaded == [["CvDeiTModel", "head", 10], ["CvDeiTForImageClassification", "head", 10]]
        jobs.close()

    def test_two_tabs_of_a_browser_start_one_run(self, distill, own_jobs: Jobs) -> None:
        """Also where both were opened before."""
        first = distill()
        second = first.context.new_page()
        second.goto(first.url)
        for page in (first, second):
            page.get_by_role("tab", name=text("tab_distill", "en")).click()
            page.get_by_role("tab", name=text("part_lesson", "en")).click()
            page.locator("#lesson-start").wait_for()
        first.locator("#lesson-start").click()
        first.locator("#lesson-stop").wait_for(timeout=FIRST_ANSWER)
        second.locator("#lesson-start").click()
        expect(second.locator("#lesson-note")).to_contain_text("Your other run goes on", timeout=FIRST_ANSWER)
        assert len(list(own_jobs.root.glob("*"))) == 1
        second.close()

    def test_a_point_of_the_results_leads_to_its_card(self, distill) -> None:
        page = distill()
        page.get_by_role("tab", name=text("part_results", "en")).click()
        page.locator("#results-drawing .mark").last.click()
        last = page.locator("#results-drawing details").last
        expect(last).to_be_focused()
        expect(last.locator("pre")).to_be_visible()
        expect(last.locator("dl")).to_contain_text("cvhub predict eurosat_swin PICTURE")
        no_violation(page)

    def test_it_fits_a_phone_in_chinese(self, distill) -> None:
        page = distill("zh", **PHONE)
        page.locator("#compare-view table").wait_for(timeout=FIRST_ANSWER)
        fits(page)
        no_violation(page)
        page.get_by_role("tab", name=text("part_lesson", "zh")).click()
        expect(page.locator("#lesson-start")).to_have_text(text("lesson_start", "zh"))
        fits(page)
        no_violation(page)
        page.get_by_role("tab", name=text("part_results", "zh")).click()
        page.locator("#results-drawing h2, #results-drawing .summary").first.wait_for()
        fits(page)
        no_violation(page)
        page.locator("#theme-switch").click()
        page.wait_for_timeout(1000)  # colours change gradually
        no_violation(page)
