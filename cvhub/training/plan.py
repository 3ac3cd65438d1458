"""How long a run is: epochs and minutes become a number of steps, once, before the first."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cvhub.training.recipe import Recipe

# Of all steps: a warm-up that took the whole of a short run would leave no descent.
LONGEST_WARMUP = 0.2
LOGS_PER_EPOCH = 10


@dataclass(frozen=True)
class Plan:
    """A run in steps. `batch` is over all processes; `seconds_a_step` is None where nothing depended on it.

    A plan is made once, kept with the run, and followed: on a machine that grows slower the run takes longer, and the
    result is the same. So the learning rate always comes down to its end, and a resumed run is the run it was.
    """

    steps: int
    steps_per_epoch: int
    batch: int
    warmup: int
    log_every: int
    validate_every: int
    seconds_a_step: float | None = None

    @property
    def epochs(self) -> float:
        return self.steps / self.steps_per_epoch


def make_plan(recipe: Recipe, steps_per_epoch: int, batch: int, measure: Callable[[], float]) -> Plan:
    """`measure` gives the seconds of a step, its part of the validation included; it is called if minutes count."""
    budget, limits, seconds = recipe.budget, [], None
    if budget.epochs:
        limits.append(round(budget.epochs * steps_per_epoch))
    if budget.minutes:
        seconds = measure()
        limits.append(int(budget.minutes * 60 / seconds))
    steps = max(1, min(limits))
    return Plan(
        steps,
        steps_per_epoch,
        batch,
        warmup=min(round(recipe.optimiser.warmup_epochs * steps_per_epoch), int(LONGEST_WARMUP * steps)),
        log_every=max(1, steps_per_epoch // LOGS_PER_EPOCH),
        validate_every=validation_interval(recipe, steps_per_epoch),
        seconds_a_step=seconds,
    )


def validation_interval(recipe: Recipe, steps_per_epoch: int) -> int:
    """Steps from one validation to the next."""
    return max(1, round(recipe.budget.validate_every * steps_per_epoch))


def write_plan(plan: Plan, file: Path) -> None:
    made = file.with_suffix(".partial")
    made.write_text(json.dumps(asdict(plan), indent=2) + "\n", encoding="utf-8")
    made.replace(file)


def read_plan(file: Path) -> Plan:
    return Plan(**json.loads(file.read_text(encoding="utf-8")))
