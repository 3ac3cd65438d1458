"""Jobs: a queue that is fair, limits that hold, and runs that are stopped, resumed and watched."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageClassification

from cvhub.errors import CvhubError
from cvhub.training import jobs as module
from cvhub.training.data import load_pictures
from cvhub.training.job_task import LEAST_OF_A_CLASS, MOST_LEARNED, draw
from cvhub.training.jobs import Job, Jobs, Limits, Status, TeacherTask, TrainingTask
from cvhub.training.nets import picture_transform
from tests.test_training import CLASSES, tiny_recipe
from tests.test_training import data as data  # fixtures
from tests.test_training import finished as finished

PATIENCE = 120  # seconds


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Jobs]]:
    made: list[Jobs] = []

    def build(**limits: Any) -> Jobs:
        made.append(Jobs(tmp_path / "jobs", Limits(**limits)))
        return made[-1]

    yield build
    for jobs in made:
        jobs.close()


def wait_for(jobs: Jobs, name: str, fits: Callable[[Status], bool]) -> Status:
    end = time.monotonic() + PATIENCE
    while not fits(status := jobs.status(name, owner=True)):
        assert time.monotonic() < end, status
        assert status.job.state != "failed", status.job.error
        time.sleep(0.1)
    return status


def is_in(state: str) -> Callable[[Status], bool]:
    return lambda status: status.job.state == state


def long_run(data: Path, **tables: Any) -> TrainingTask:
    """Minutes of work, saved at each row of its curve."""
    budget = {"epochs": 20000, "save_minutes": 1e-6}
    return TrainingTask("alone", tiny_recipe(data, budget=budget, **tables))


def start(jobs: Jobs, *stages: Any) -> str:
    return jobs.start(jobs.new_folder(), stages, {})


def fake_tasks(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Tasks that run `script` in place of training."""
    monkeypatch.setattr(module, "TASK", ["-c", script])


def test_stages_follow_one_another(data: Path, make: Callable[..., Jobs]) -> None:
    """A teacher learns the classes first, then one student learns from it and one alone, side by side."""
    jobs = make()
    folder = jobs.new_folder()
    alone = tiny_recipe(data)
    taught = tiny_recipe(data, distillation={"teachers": [str(folder / "teacher")]})
    name = jobs.start(
        folder,
        [
            [TeacherTask("teacher", "eurosat_resnet", alone.data)],
            [TrainingTask("alone", alone), TrainingTask("taught", taught)],
        ],
        {"hello": 1},
    )
    status = wait_for(jobs, name, is_in("finished"))
    assert status.job.about == {"hello": 1}
    assert status.rows["alone"][-1]["step"] == status.rows["taught"][-1]["step"] == 8
    assert "teacher_1_loss" in status.rows["taught"][0]
    for task in ("teacher", "alone", "taught"):
        net = AutoModelForImageClassification.from_pretrained(folder / task)
        assert set(net.config.label2id) == set(CLASSES)
        answers = jobs.answers(name, task)
        assert answers is None if task == "teacher" else answers is not None and answers.shape == (12,)
    assert jobs.folder(name) == folder


@pytest.mark.parametrize("counts", [[4990, 5], [25] * 200, [3, 4], [5] * 1000])
def test_a_teacher_learns_each_class(counts: list[int]) -> None:
    targets = np.repeat(np.arange(len(counts)), counts)
    drawn = draw(targets)
    assert len(set(drawn.tolist())) == len(drawn)
    learned = np.bincount(targets[drawn], minlength=len(counts))
    assert learned.min() >= LEAST_OF_A_CLASS
    assert learned.sum() <= max(MOST_LEARNED, LEAST_OF_A_CLASS * len(counts)) + LEAST_OF_A_CLASS
    assert learned.sum() >= min(MOST_LEARNED, len(targets)) - 1


def test_a_stopped_run_goes_on_from_its_checkpoint(data: Path, make: Callable[..., Jobs]) -> None:
    jobs = make()
    name = start(jobs, [long_run(data)])
    wait_for(jobs, name, lambda status: len(status.rows.get("alone", [])) >= 2)
    jobs.stop(name)
    stopped = jobs.status(name)
    assert stopped.job.state == "stopped"
    assert not stopped.job.error
    before = stopped.rows["alone"][-1]["step"]
    jobs.resume(name)
    after = wait_for(jobs, name, lambda status: status.rows["alone"][-1]["step"] > before + 8).rows["alone"]
    steps = [row["step"] for row in after]
    assert steps == sorted(set(steps))  # no row is missing or there twice


def test_a_job_outlives_the_server(data: Path, make: Callable[..., Jobs]) -> None:
    """What waited or ran when the server ended has stopped, and goes on in the next one."""
    jobs = make()
    name = start(jobs, [TrainingTask("alone", tiny_recipe(data))])
    jobs.close()
    again = make()
    assert again.status(name).job.state == "stopped"
    again.resume(name)
    wait_for(again, name, is_in("finished"))


def test_the_queue_is_fair_and_short(data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight at once: one runs, seven know their places, and they come in their order."""
    fake_tasks(monkeypatch, "import time; time.sleep(600)")
    jobs = make(waiting=7)
    names = [start(jobs, [long_run(data)])]
    wait_for(jobs, names[0], is_in("running"))
    names += [start(jobs, [long_run(data)]) for _ in range(7)]
    assert [jobs.status(name).place for name in names] == [0, 1, 2, 3, 4, 5, 6, 7]
    with pytest.raises(CvhubError, match="7 runs are waiting already, which is the limit"):
        start(jobs, [long_run(data)])
    jobs.stop(names[2])  # who leaves the queue leaves no gap
    jobs.stop(names[0])
    wait_for(jobs, names[1], is_in("running"))
    assert [jobs.status(name).place for name in names] == [0, 0, 0, 1, 2, 3, 4, 5]


def test_limits_end_a_job_with_a_sentence(
    data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tasks(monkeypatch, "import time; time.sleep(600)")
    jobs = make(minutes=1e-3)
    name = start(jobs, [long_run(data)])
    assert failure(jobs, name) == "The run took more than 0.001 minutes, which is the limit."
    fake_tasks(monkeypatch, "x = bytearray(300_000_000); import time; time.sleep(600)")
    jobs = make(memory_mb=200)
    name = start(jobs, [long_run(data)])
    assert failure(jobs, name) == "The run took more than 200 MB, which is the limit."


def test_a_full_disk_fails_one_job_and_no_other(
    data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even its end can be written; the next one has its turn, and with room it goes on."""
    fake_tasks(monkeypatch, "import time; time.sleep(600)")
    jobs = make()
    first, second = jobs.new_folder(), jobs.new_folder()
    write = Jobs._write

    def full(self: Jobs, job: Job, folder: Path) -> None:
        if folder == first and job.state != "waiting":
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, job, folder)

    with monkeypatch.context() as patch:
        patch.setattr(Jobs, "_write", full)
        for folder in (first, second):
            jobs.start(folder, [[long_run(data)]], {})
        assert failure(jobs, first.name) == "The server can't run this: No space left on device."
        wait_for(jobs, second.name, is_in("running"))
    jobs.resume(first.name)
    assert jobs.status(first.name).place == 1


def test_a_job_that_can_not_be_written_is_not_queued(
    data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Jobs, "_write", full)
    with pytest.raises(CvhubError, match="The server can't run this: No space left on device"):
        start(jobs, [long_run(data)])
    assert not jobs._live


def test_two_tabs_continue_one_run(data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch) -> None:
    """The second asks while the first is about to, and the run is started once."""
    fake_tasks(monkeypatch, "import time; time.sleep(600)")
    monkeypatch.setattr(module, "TICK", 0.02)
    jobs = make()
    name = start(jobs, [long_run(data)])
    jobs.stop(name)
    launched: list[str] = []
    enqueue, launch = Jobs._enqueue, Jobs._launch
    another = threading.Thread(target=jobs.resume, args=(name,))

    def slowly(self: Jobs, job: Job, folder: Path) -> None:
        if another.ident is None:
            another.start()
            time.sleep(0.5)  # in which it would start the run, if it might
        enqueue(self, job, folder)

    def counted(self: Jobs, live: Any) -> None:
        launched.append(live.job.name)
        launch(self, live)

    monkeypatch.setattr(Jobs, "_enqueue", slowly)
    monkeypatch.setattr(Jobs, "_launch", counted)
    jobs.resume(name)
    another.join()
    wait_for(jobs, name, is_in("running"))
    time.sleep(0.2)
    assert launched == [name]


def failure(jobs: Jobs, name: str) -> str:
    end = time.monotonic() + PATIENCE
    while (job := jobs.status(name, owner=True).job).state != "failed":
        assert time.monotonic() < end
        time.sleep(0.1)
    return job.error


def test_a_run_whose_owner_left_ends(data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tasks(monkeypatch, "import time; time.sleep(600)")
    jobs = make(away_minutes=0.02)
    name = start(jobs, [long_run(data)])
    end = time.monotonic() + 3
    while time.monotonic() < end:
        assert jobs.status(name, owner=True).job.state in ("waiting", "running")
        time.sleep(0.1)
    time.sleep(0.1)
    while jobs.status(name).job.state != "stopped":  # who only looks on does not keep it
        assert time.monotonic() < end + PATIENCE
        time.sleep(0.1)


def test_old_jobs_are_forgotten(data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tasks(monkeypatch, "")
    jobs = make(kept_minutes=0)
    first = start(jobs, [long_run(data)])
    wait_until_gone(jobs, first)
    with pytest.raises(CvhubError, match="There is no such run any more"):
        jobs.status(first)


def wait_until_gone(jobs: Jobs, name: str) -> None:
    end = time.monotonic() + PATIENCE
    while (jobs.root / name).exists():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["", "..", "../jobs", "no-such-run", "/etc"])
def test_no_other_folder_is_a_job(name: str, make: Callable[..., Jobs]) -> None:
    with pytest.raises(CvhubError, match="There is no such run any more"):
        make().status(name)


def test_what_went_wrong_is_said(data: Path, finished: Path, make: Callable[..., Jobs]) -> None:
    jobs = make()
    recipe = tiny_recipe(data, distillation={"teachers": ["eurosat_resnet"]})
    name = start(jobs, [TrainingTask("taught", recipe)])
    assert failure(jobs, name).startswith(
        "teacher eurosat_resnet: 3 of the data set's 3 classes are none of the model's"
    )


@pytest.mark.fault
def test_a_killed_task_is_no_riddle(data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tasks(monkeypatch, "import time; time.sleep(600)")
    jobs = make()
    name = start(jobs, [long_run(data)])
    wait_for(jobs, name, is_in("running"))
    (process,) = jobs._live[name].processes.values()
    os.kill(process.pid, signal.SIGKILL)
    assert failure(jobs, name) == "The run was ended from outside (exit code -9)."


def test_a_failure_does_not_tell_where_the_server_keeps_its_runs(
    data: Path, make: Callable[..., Jobs], tmp_path: Path
) -> None:
    recipe = tiny_recipe(data, optimiser={"name": "sgd", "lr": 1e30}, budget={"epochs": 20})
    jobs = make()
    told = failure(jobs, start(jobs, [TrainingTask("alone", recipe)]))
    assert "The batch is in alone" in told
    assert str(tmp_path) not in told


def test_a_failure_that_found_no_room_for_its_word_is_said(
    data: Path, make: Callable[..., Jobs], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tasks(monkeypatch, "import sys; open(f'{sys.argv[1]}/{sys.argv[2]}.error', 'w'); sys.exit(1)")
    jobs = make()
    assert failure(jobs, start(jobs, [long_run(data)])) == "The run was ended from outside (exit code 1)."


@pytest.mark.fault
def test_a_task_ends_with_its_server(data: Path, tmp_path: Path) -> None:
    """Killed so that it could stop nothing itself."""
    file = tmp_path / "server.py"
    recipe = long_run(data).recipe.as_toml()
    file.write_text(
        "import sys, time, tomllib\nfrom pathlib import Path\n"
        "from cvhub.training.jobs import Jobs, TrainingTask\nfrom cvhub.training.recipe_file import read_recipe\n"
        f"jobs = Jobs(Path({str(tmp_path / 'jobs')!r}))\n"
        f"task = TrainingTask('alone', read_recipe(tomllib.loads({recipe!r})))\n"
        "name = jobs.start(jobs.new_folder(), [[task]], {})\n"
        "while not jobs.status(name, owner=True).rows: time.sleep(0.1)\n"
        "print(next(iter(jobs._live[name].processes.values())).pid, flush=True)\ntime.sleep(600)\n"
    )
    root = Path(__file__).parents[1]
    server = subprocess.Popen(
        [sys.executable, str(file)], stdout=subprocess.PIPE, cwd=root, env=os.environ | {"PYTHONPATH": str(root)}
    )
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    server.kill()
    server.wait()
    end = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_answers_are_those_of_the_net(data: Path, make: Callable[..., Jobs]) -> None:
    jobs = make()
    recipe = tiny_recipe(data, result={"dtype": "float32"})
    name = start(jobs, [TrainingTask("alone", recipe)])
    wait_for(jobs, name, is_in("finished"))
    pictures = load_pictures(recipe.data, "RGB").held_out
    assert pictures is not None
    net = AutoModelForImageClassification.from_pretrained(jobs.folder(name) / "alone", dtype="float32").eval()
    with torch.no_grad():
        found = net(torch.from_numpy(picture_transform(recipe)(list(pictures)))).logits.argmax(-1)
    answers = jobs.answers(name, "alone")
    assert answers is not None
    assert np.array_equal(answers, found)
