"""transformers' Trainer with what a recipe adds: timm's optimisers and moving average, saving that survives a kill."""

import itertools
import shutil
import time
from copy import deepcopy
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn

import torch
import torch.distributed
from safetensors.torch import save_file
from timm.optim import create_optimizer_v2, get_optimizer_class
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer import TRAINER_STATE_NAME

from cvhub.cache import publish
from cvhub.errors import CvhubError, one_line
from cvhub.inference.torch_runtime import best_device, has_native_bf16
from cvhub.models.pixels import PixelTransform
from cvhub.training.batches import Loader, borrowed_chance
from cvhub.training.curves import curve, write_curve
from cvhub.training.disk import writing
from cvhub.training.judging import Judge
from cvhub.training.plan import Plan, validation_interval
from cvhub.training.progress import Stopwatch
from cvhub.training.recipe import Recipe

CHECKPOINT = "checkpoint-"
WEIGHTS = "weights.pt"
BATCH = "not-a-number.safetensors"  # whose loss, or gradient, was none
# A run of minutes is planned by the median of so many steps, after a few that find their memory and kernels.
WARM_UP_STEPS, MEASURED_STEPS = 3, 8
# All rows of the curves are written anew, which takes the longer the more there are: at most this share of the time.
CURVES_SHARE = 0.02
# timm's advice for runs that are not very long: the average of step n spans about n^(3/4) steps at first.
EMA_WARMUP_POWER = 0.75


class RecipeTrainer(Trainer):
    """Runs one recipe on one process or several. `judge` has what is held out; `work` holds the checkpoints."""

    model: Any  # a classifier or a segmenter of ours

    def __init__(
        self,
        model: Any,
        args: TrainingArguments,
        recipe: Recipe,
        loader: Loader,
        judge: Judge | None,
        transform: PixelTransform,
        work: Path,
    ):
        super().__init__(model=model, args=args, callbacks=[Pace(self)])
        self.remove_callback(PrinterCallback)
        del model.config.use_cache  # which Trainer sets for language models, and which would be saved
        self.recipe = recipe
        self.loader = loader
        self.judge = judge
        self.transform = transform
        self.work = work
        self.ema = None
        if recipe.optimiser.ema:
            decay = recipe.optimiser.ema
            self.ema = ModelEmaV3(model, decay, use_warmup=True, warmup_power=EMA_WARMUP_POWER)
        self.plan: Plan | None = None
        self.curves: Path | None = None
        self.curves_due = 0.0  # when they are written again
        self.stopwatch = Stopwatch()
        self.seconds_waited = 0.0  # for data
        self.batch: dict[str, Any] = {}  # of this step
        self.terms: list[dict[str, Tensor]] = []  # of the steps since the last row of the curves
        self.head_only = recipe.model.train == "head"
        if self.head_only:
            model.base_model.requires_grad_(False)

    # -- what is trained, and by what

    @property
    def result(self) -> Any:
        """The net that is validated and saved: the average of the weights, where there is one."""
        return self.ema.module if self.ema else self.model

    def follow(self, plan: Plan, curves: Path) -> None:
        """Sets the number of steps and what follows from it; `curves` is the file of the curves."""
        self.plan, self.curves = plan, curves
        self.args.max_steps = plan.steps
        self.args.warmup_steps = plan.warmup

    def get_train_dataloader(self) -> Loader:  # it knows this process's part: nothing is left to accelerate
        return self.loader

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = make_optimizer(model or self.model, self.recipe)
        return self.optimizer

    def compute_loss(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if self.head_only:  # a frozen body's normalisation has no business with the batch
            self.model.base_model.eval()
        loss, terms = self.loss_and_terms(model, inputs)
        self.batch = inputs
        if not loss.isfinite():
            self._keep_batch(f"The loss is no number any more at step {self.state.global_step + 1}")
        self.terms.append(terms)
        return loss

    def _keep_batch(self, what: str) -> NoReturn:
        """The batch that ends the run outlives it; the checkpoints are from before."""
        file = self.work / BATCH
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in self.batch.items()}, file)
        raise CvhubError(
            f"{what}: a lower optimiser.lr or an optimiser.clip such as 1.0 may help. The batch is in {file}."
        )

    def loss_and_terms(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """What a batch costs, and the terms that this is made of, scalars by name, where there are several."""
        return model(**inputs).loss, {}

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        return 0  # Trainer would count the parameters anew in each step

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> tuple[list, Any]:
        start = time.perf_counter()
        samples = super().get_batch_samples(*args, **kwargs)
        self.seconds_waited += time.perf_counter() - start
        return samples

    # -- validation

    @torch.no_grad()
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """What the net that would be saved now is worth on what is held out."""
        assert self.judge is not None
        net, world = self.result.eval(), self.args.world_size
        if world > 1:
            for buffer in net.buffers():  # BatchNorm's statistics are each process's own
                torch.distributed.broadcast(buffer, 0)
        batch = self.args.per_device_train_batch_size
        sums = torch.zeros(self.judge.terms, dtype=torch.float64, device=self.args.device)
        for start in range(self.args.process_index * batch, len(self.judge), world * batch):
            sums += self._judge(net, range(start, min(start + batch, len(self.judge))))
        metrics = self.judge.metrics(self.accelerator.reduce(sums, "sum"))  # pyright: ignore[reportArgumentType]
        self.log(metrics)
        return metrics

    def _judge(self, net: nn.Module, indices: range) -> Tensor:
        assert self.judge is not None
        with self.accelerator.autocast():
            return self.judge.judge(net, indices, self.args.device, memory_format(self.recipe))

    # -- time

    def seconds_a_step(self) -> float:
        """Measured on a copy, with its part of the validation; the run itself doesn't notice."""
        net: Any = deepcopy(self.model).train()
        if self.head_only:
            net.base_model.eval()
        optimizer = make_optimizer(net, self.recipe)
        batches, times = itertools.chain.from_iterable(itertools.repeat(self.loader)), []
        with borrowed_chance():
            for _ in range(WARM_UP_STEPS + MEASURED_STEPS):
                start = time.perf_counter()
                inputs = self._prepare_inputs(next(batches))
                with self.accelerator.autocast():
                    loss, _ = self.loss_and_terms(net, inputs)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
                times.append(time.perf_counter() - start)
        seconds = sorted(times[WARM_UP_STEPS:])[MEASURED_STEPS // 2] + self._validation_seconds(net)
        everyones: Any = self.accelerator.gather(torch.tensor([seconds], device=self.args.device))
        return float(everyones.max())

    @torch.no_grad()
    def _validation_seconds(self, net: nn.Module) -> float:
        """A step's part of them."""
        if self.judge is None:
            return 0.0
        some = range(min(self.args.per_device_train_batch_size, len(self.judge)))
        start = time.perf_counter()
        self._judge(net.eval(), some)
        whole = (time.perf_counter() - start) * len(self.judge) / len(some) / self.args.world_size
        return whole / validation_interval(self.recipe, len(self.loader))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            logs = logs | self._mean_terms()
        super().log(logs | self.stopwatch.read(), start_time)
        if self.is_world_process_zero() and self.curves is not None:
            self._write_curves(self.curves)

    def _write_curves(self, file: Path) -> None:
        """For whoever looks on; the result has them whole."""
        assert self.plan is not None
        start = time.monotonic()
        if start < self.curves_due and self.state.global_step < self.plan.steps:
            return
        with writing(f"The curve of step {self.state.global_step}"):
            write_curve(curve(self.state.log_history), file)
        end = time.monotonic()
        self.curves_due = end + (end - start) / CURVES_SHARE

    def _mean_terms(self) -> dict[str, float]:
        """Over the steps since they were last asked for, and all processes."""
        steps, self.terms = self.terms, []
        if not steps or not steps[0]:
            return {}
        means = torch.stack([torch.stack([step[name].float() for step in steps]).mean() for name in steps[0]])
        reduced: Any = self.accelerator.reduce(means, "mean")
        return dict(zip(steps[0], reduced.tolist(), strict=True))

    # -- checkpoints: a folder appears whole or not at all

    def last_checkpoint(self) -> Path | None:
        return last_checkpoint(self.work)

    def run_on(self) -> None:
        """From the last checkpoint, or from the start, to the end of the plan."""
        assert self.plan is not None
        checkpoint = self.last_checkpoint()
        if checkpoint is None:
            self.train()
        elif checkpoint.name == f"{CHECKPOINT}{self.plan.steps}":  # Trainer would make one step more
            self._load_from_checkpoint(str(checkpoint))
            self.state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        else:
            self.train(resume_from_checkpoint=str(checkpoint))

    def _get_output_dir(self, trial: Any) -> str:
        """Where Trainer writes a checkpoint, until it is whole."""
        return str(self.work / "partial")

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if not all(bool(weight.isfinite().all()) for weight in self.model.parameters()):  # a gradient was none
            self._keep_batch(f"The weights are no numbers any more after step {self.state.global_step}")
        partial = Path(self._get_output_dir(trial))
        if self.args.should_save:
            shutil.rmtree(partial, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        try:
            with writing(f"The checkpoint of step {self.state.global_step}"):
                super()._save_checkpoint(model, trial)
        except CvhubError:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        self.accelerator.wait_for_everyone()
        if self.args.should_save:
            older = list(self.work.glob(f"{CHECKPOINT}*"))
            name = f"{CHECKPOINT}{self.state.global_step}"
            publish(partial / name, self.work / name)
            for folder in older:
                shutil.rmtree(folder)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        assert output_dir is not None
        if self.args.should_save:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            weights = {"model": self.model.state_dict()} | ({"ema": self.ema.module.state_dict()} if self.ema else {})
            torch.save(weights, Path(output_dir) / WEIGHTS)
            self.model.config.save_pretrained(output_dir)  # with it the weights are a model, whatever the data were

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        weights = torch.load(Path(resume_from_checkpoint) / WEIGHTS, map_location="cpu", weights_only=True)
        self.model.load_state_dict(weights["model"])
        if self.ema:
            self.ema.module.load_state_dict(weights["ema"])


def last_checkpoint(work: Path) -> Path | None:
    """Of a run whose checkpoints lie in `work`."""
    found = work.glob(f"{CHECKPOINT}*")
    return max(found, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The steps that had been made."""
    return int(checkpoint.name.removeprefix(CHECKPOINT))


class Pace(TrainerCallback):
    """When to average, log, validate and save.

    It saves where it logs, so that the resumed run's curves have the rows that an uninterrupted run's have.
    """

    def __init__(self, trainer: RecipeTrainer):
        self.trainer = trainer
        self.saved = time.monotonic()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        trainer = self.trainer
        trainer.stopwatch = Stopwatch(state.log_history[-1] if state.log_history else None)
        trainer.seconds_waited = 0.0
        self.saved = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        trainer, step = self.trainer, state.global_step
        plan = trainer.plan
        assert plan is not None
        if trainer.ema:
            trainer.ema.update(trainer.model, step)
        last = step >= plan.steps
        if trainer.judge is not None and (last or step % plan.validate_every == 0):
            control.should_evaluate = True
        if last or control.should_evaluate or step % plan.log_every == 0:
            control.should_log = True
            control.should_save = last or self._is_due()

    def _is_due(self) -> bool:
        """As the first process says, since all save together."""
        due = time.monotonic() - self.saved >= 60 * self.trainer.recipe.budget.save_minutes
        if self.trainer.args.world_size > 1:
            told = torch.tensor(int(due), device=self.trainer.args.device)
            torch.distributed.broadcast(told, 0)
            due = bool(told)
        if due:
            self.saved = time.monotonic()
        return due


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """timm's, with weight decay on matrices and kernels only; fused where torch has it so: a step reads and writes the
    weights once, and not once for each term of its formula."""
    optimiser = recipe.optimiser
    try:
        kind = get_optimizer_class(optimiser.name, bind_defaults=False)
    except ValueError:
        raise CvhubError(f"optimiser.name is {optimiser.name!r}, which timm doesn't know.") from None
    fused: dict[str, Any] = {"fused": True} if "fused" in signature(kind).parameters else {}
    try:
        return create_optimizer_v2(
            model,
            opt=optimiser.name,
            lr=optimiser.lr,
            weight_decay=optimiser.weight_decay,
            momentum=optimiser.momentum,
            **fused,
        )
    except ValueError as error:
        raise CvhubError(f"The optimiser {optimiser.name!r} refuses its numbers: {one_line(error)}.") from None


def training_arguments(recipe: Recipe, folder: Path) -> TrainingArguments:
    """Trainer's settings, but for those that depend on the number of pictures. It starts the other processes' group."""
    device = best_device()
    precision, native = recipe.compute.precision, has_native_bf16(device)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=1,
        learning_rate=recipe.optimiser.lr,
        lr_scheduler_type="cosine_warmup_with_min_lr",
        lr_scheduler_kwargs={"min_lr_rate": recipe.optimiser.lr_end},
        max_grad_norm=recipe.optimiser.clip,
        bf16=precision == "bf16" or (precision == "auto" and native),
        seed=recipe.seed,
        use_cpu=device == "cpu",
        torch_compile=recipe.compute.compile,
        ddp_find_unused_parameters=False,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        eval_strategy="no",
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
    )


def memory_format(recipe: Recipe) -> torch.memory_format:
    return torch.channels_last if recipe.compute.channels_last else torch.contiguous_format
