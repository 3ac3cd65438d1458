"""One step of distillation: ours with the teacher asked and with its answers stored, beside timm's task and a plain
Trainer that holds the teacher."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import nets
from benchmarks.machine import cpus
from benchmarks.nets import MOBILENET, RESNET, Net
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.steps import STEPS, Step, time_steps

BATCH, SIDE, CLASSES = 8, 224, 1000
TEMPERATURE = 3.0
VIT = next(net for net in nets.FAMILIES if net.title == "ViT-S/16")
PAIRS = ((MOBILENET, RESNET), (VIT, RESNET))  # student, teacher
ALONE, STORED, ASKED, TASK, TRAINER = "student alone", "answers stored", "teacher asked", "timm's task", "plain Trainer"


def run(settings: Settings) -> Report:
    report = Report(
        "Distillation step",
        f"Milliseconds of a step of soft distillation, batch {BATCH}, {SIDE} px: the student's forward and backward "
        f"pass, the teacher's answer, AdamW. Ours is that of `cvhub train`, {cpus()} threads; the peers are "
        "`timm.task.LogitDistillationTask` and transformers' Trainer with the teacher in `compute_loss`, both in plain "
        f"float32 with timm's nets. Each in a process of its own; median of {STEPS} steps a turn. The second table is "
        "what the processes hold afterwards, libraries and student included.",
    )
    names = (ALONE, STORED, ASKED, TASK, TRAINER)
    table = Table(["student ← teacher", *names, "stored ÷ alone", "timm's task ÷ asked", "plain Trainer ÷ asked"])
    memory = Table(["student ← teacher, MB", *names])
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        processes = {name: stack.enter_context(ProcessPoolExecutor(1, spawn)) for name in names}
        for student, teacher in PAIRS:
            folder = nets.cvhub_folder(teacher, settings.work)
            makers: dict[str, Any] = {name: partial(our_step, student, folder, name) for name in (ALONE, STORED, ASKED)}
            makers |= {TASK: partial(task_step, student, teacher), TRAINER: partial(trainer_step, student, teacher)}
            times = time_steps(processes, makers, settings.rounds)
            ratios = (times[STORED] / times[ALONE], times[TASK] / times[ASKED], times[TRAINER] / times[ASKED])
            cells = [f"{1e3 * times[name]:.0f}" for name in names] + [f"{ratio:.2f}" for ratio in ratios]
            table.rows.append([f"{student.title} ← {teacher.title}", *cells])
            held = [f"{processes[name].submit(megabytes).result():.0f}" for name in names]
            memory.rows.append([f"{student.title} ← {teacher.title}", *held])
    report.tables += [table, memory]
    return report


def megabytes() -> float:
    """Resident, of this process."""
    import psutil

    return psutil.Process().memory_info().rss / 1e6


def noise() -> tuple[Any, Any]:
    import torch

    return torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(CLASSES, (BATCH,))


def our_step(student: Net, teacher: Path, kind: str) -> Step:
    """What `DistillationTrainer` does in a step, without its log.

    Stored answers are noise, which costs as much to read: as in a second run no teacher is built.
    """
    import tempfile
    from types import SimpleNamespace

    import numpy as np
    import torch

    from cvhub.inference.torch_runtime import has_native_bf16
    from cvhub.load import labels_of, load_processor
    from cvhub.training.answers import StoredAnswers
    from cvhub.training.distillation import Objective
    from cvhub.training.machine import prepare_machine
    from cvhub.training.recipe import Recipe
    from cvhub.training.teachers import Teacher
    from cvhub.training.trainer import make_optimizer, memory_format

    prepare_machine()
    recipe, (pixels, targets) = Recipe(), noise()
    model = nets.cvhub_model(student).train().to(memory_format=memory_format(recipe))
    optimizer, objective = make_optimizer(model, recipe), Objective("soft", TEMPERATURE)
    pixels = pixels.to(memory_format=memory_format(recipe))
    rows, labels = np.arange(BATCH), labels_of(teacher)
    answer: Any = None
    if kind == ASKED:
        answer = Teacher(str(teacher), labels, load_processor(str(teacher))).answer
    elif kind == STORED:
        noisy: Any = SimpleNamespace(columns=labels, answer=lambda pixels: torch.randn(len(pixels), len(labels)))
        answer = partial(StoredAnswers(Path(tempfile.mkdtemp()), noisy, BATCH, {}), 0, rows)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=has_native_bf16()):
            output = model(pixel_values=pixels, labels=targets)
            loss = output.loss
            if answer is not None:
                each, heard = objective(output.logits, answer(pixels)[None], targets)
                loss = 0.5 * loss + 0.5 * (each * heard).sum(-1).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def task_step(student: Net, teacher: Net) -> Step:
    import torch
    from timm.task import LogitDistillationTask
    from torch import nn

    pixels, targets = noise()
    model = nets.build_peer(student).train()
    task = LogitDistillationTask(
        model,
        nets.build_peer(teacher),
        nn.CrossEntropyLoss(),
        task_loss_weight=0.5,
        temperature=TEMPERATURE,
        device=torch.device("cpu"),
        verbose=False,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)

    def step() -> None:
        task(pixels, targets)["loss"].backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def trainer_step(student: Net, teacher: Net) -> Step:
    import tempfile

    import torch
    from torch.nn import functional as F
    from transformers import Trainer, TrainingArguments

    pixels, targets = noise()
    frozen = nets.build_peer(teacher).eval()

    class Plain(Trainer):
        def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            logits = model(inputs["pixels"])
            with torch.no_grad():
                answers = frozen(inputs["pixels"])
            log_p, log_q = (F.log_softmax(z / TEMPERATURE, dim=-1) for z in (logits, answers))
            soft = TEMPERATURE**2 * F.kl_div(log_p, log_q, reduction="batchmean", log_target=True)
            return 0.5 * F.cross_entropy(logits, inputs["labels"]) + 0.5 * soft

    settings = TrainingArguments(tempfile.mkdtemp(), use_cpu=True, report_to=[], disable_tqdm=True)
    model = nets.build_peer(student).train()
    trainer = Plain(model, settings)
    trainer.current_gradient_accumulation_steps = 1  # which `train` would say
    optimizer: Any = trainer.create_optimizer()

    def step() -> None:
        trainer.training_step(model, {"pixels": pixels, "labels": targets})
        optimizer.step()
        optimizer.zero_grad()

    return step
