"""What a run tells while it goes on, and how long it has taken."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TextIO

import numpy as np
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from cvhub.telling import TellingLine, duration
from cvhub.training.curves import METRICS, TIMES


class Progress(TrainerCallback):
    """epoch 3/30 · step 150/1680 · loss 0.4123 · validation 91.2 % · 7 min left

    `waited` gives the seconds that the run has waited for pictures.
    """

    def __init__(self, steps_per_epoch: int, waited: Callable[[], float], stream: TextIO | None = None):
        self.waited = waited
        self.told = TellingLine(stream)
        self.steps_per_epoch = steps_per_epoch
        self.loss: float | None = None
        self.metric: float | None = None
        self.first_step = 0
        self.started = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.first_step, self.started = state.global_step, time.monotonic()
        for logs in state.log_history:
            self._remember(logs)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._remember(logs or {})

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.told.due():
            self.told.show(self.line(state, time.monotonic() - self.started))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.told.end(self.line(state, time.monotonic() - self.started))

    def line(self, state: TrainerState, seconds: float) -> str:
        """`seconds` have passed since this process began at its first step."""
        step, steps = state.global_step, state.max_steps
        epochs = -(-steps // self.steps_per_epoch)
        parts = [f"epoch {min(epochs, (step - 1) // self.steps_per_epoch + 1)}/{epochs}", f"step {step}/{steps}"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f}")
        if self.metric is not None:
            parts.append(f"validation {100 * self.metric:.1f} %")
        if step > self.first_step:
            left = (steps - step) * seconds / (step - self.first_step)
            waited = f"{100 * self.waited() / max(seconds, 1e-9):.0f} % of it waiting for pictures"
            parts.append(f"{duration(left)} left" if step < steps else f"done in {duration(seconds)}, {waited}")
        return " · ".join(parts)

    def _remember(self, logs: Mapping[str, float]) -> None:
        self.loss = logs.get("loss", self.loss)
        for metric in METRICS:
            self.metric = logs.get(f"eval_{metric}", self.metric)


class Stopwatch:
    """What a run takes, in all its processes one after another: `before` is what the last one read.

    `seconds` are those of the clock; `cpu_seconds` those of every core of this process, whatever else the machine does.
    """

    def __init__(self, before: Mapping[str, float] | None = None):
        self.start = self._now() - np.array([before[name] if before else 0.0 for name in TIMES])

    def read(self) -> dict[str, float]:
        return {name: round(float(value), 2) for name, value in zip(TIMES, self._now() - self.start, strict=True)}

    @staticmethod
    def _now() -> np.ndarray:
        return np.array([time.monotonic(), time.process_time()])
