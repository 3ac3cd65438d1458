"""Asking models about a picture: where the page meets inference. Heavy imports wait for their first use."""

import logging
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from cvhub.cache import cache_in
from cvhub.errors import CvhubError
from cvhub.ui.pictures import SHOWN_BY_BROWSERS, heat_layer, seen_part
from cvhub.ui.readout import heat_label
from cvhub.ui.state import Answer, Facts, Heat, Session, View
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.inference.classify import Classification, Classifier

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
# Events that ask a net about one picture wait in one line, whatever they ask: with a line for each kind, those whose
# kind takes longest would wait several times as long as all others. Of many places, some wait for a download.
IN_LINE: dict[str, Any] = {"concurrency_id": "answers", "concurrency_limit": 16}
PATIENCE = 0.3  # seconds until models that still load are shown as loading

Key = tuple[str, str, str]  # MODEL, runtime, precision
_costs: dict[Key, Facts] = {}  # of the models that are loaded

log = logging.getLogger(__name__)


def locate(name: str, session: Session, say: Say) -> str:
    """The MODEL string behind a name that came from the browser. A folder of the server is never one."""
    from cvhub.catalog import find_entry

    if name in session.checkpoints:
        return str(session.checkpoints[name])
    if find_entry(name) or (HUB_ID.fullmatch(name) and not Path(name).exists()):
        return name
    raise CvhubError(say("unknown_model", name=name[:80]))


def title_of(name: str) -> str:
    from cvhub.catalog import find_entry

    entry = find_entry(name)
    return entry.title if entry else name


def load(model: str, runtime: str = "auto", precision: str = "auto") -> tuple["Classifier", Facts]:
    """A model ready to answer, and what it costs. It waits for no other model's download, once loaded for nobody.

    What is made of a visit's own folder, converted and compiled, is kept in it, and goes with it.
    """
    from cvhub.inference.pool import default_pool

    key = (model, runtime, precision)
    own = Path(model) if Path(model).is_absolute() else None
    with cache_in(own and own / "cache"):  # also for what the pool has dropped since, and builds anew
        classifier = default_pool().classifier(*key)
        facts = _costs.get(key) or prepare(key, classifier)
    if own and not (own / "config.json").exists():  # the visit ended meanwhile
        forget(model)
    return classifier, facts


def prepare(key: Key, classifier: "Classifier") -> Facts:
    """Warms a model up that has just been built, and counts what it costs: once, and while nothing else is built."""
    from cvhub.inference.pool import building

    with building:
        facts = _costs.get(key)
        if facts is None:
            classifier.predict([Image.new("RGB", (64, 64))])  # the first pass is slower than all others
            facts = _costs[key] = count(classifier.folder)
    return facts


def forget(model: str) -> None:
    """A MODEL that nobody will ask again; a visit's own folder is deleted."""
    from cvhub.inference.pool import default_pool

    default_pool().drop(model)
    for key in [key for key in _costs if key[0] == model]:
        del _costs[key]
    if Path(model).is_absolute():
        shutil.rmtree(model, ignore_errors=True)


def ask(answer: Answer, model: str, image: Image.Image, runtime: str, precision: str) -> Answer:
    """The answer with what one model says; a failure becomes a sentence, so that the others still answer."""
    try:
        classifier, facts = load(model, runtime, precision)
        (said,) = classifier.predict([image])
        return fill(answer, classifier, said, facts)
    except CvhubError as error:
        return replace(answer, error=str(error))
    except Exception as error:
        log.exception("%s failed", model)
        kind = type(error).__name__
        return replace(answer, error=f"This model failed unexpectedly ({kind}); the server's log has the details.")


def fill(answer: Answer, classifier: "Classifier", said: "Classification", facts: Facts) -> Answer:
    return replace(
        answer,
        labels=classifier.labels,
        logits=said.logits,
        features=said.features,
        milliseconds=said.milliseconds,
        runtime=classifier.runtime.name,
        precision=classifier.runtime.precision,
        reason=classifier.runtime.reason,
        facts=facts,
    )


def count(folder: Path) -> Facts:
    """What the model costs at the size of picture that it is shown."""
    from cvhub.explain.cost import measure_config
    from cvhub.models.pixels import PixelTransform

    transform = PixelTransform.from_folder(folder)
    size = transform.crop_size if transform.do_center_crop else transform.size
    cost = measure_config(folder, size["height"], size["width"])
    return Facts(cost.parameters, cost.multiply_adds, cost.memory_bytes)


def ask_missing(session: Session, image: Image.Image, say: Say) -> Iterator[None]:
    """Ask each model of the session that has not answered yet; yields whenever there is something new to show.

    A model that still loads holds up none that is loaded; nothing is shown as loading that takes no time.
    """
    for answer in list(session.answers.values()):
        if not answer.answered and answer.error is None:
            start_asking(answer, session, image, say)
    waiting = wait([answer.asking for answer in session.answers.values() if answer.asking], timeout=PATIENCE).not_done
    collect(session)
    while waiting:
        yield
        waiting = wait(waiting, return_when="FIRST_COMPLETED").not_done
        collect(session)


def collect(session: Session) -> None:
    """Take in the answers that have come: here, not in the threads that ask, so that a view sees them whole."""
    for model, answer in session.answers.items():
        if answer.asking is not None and answer.asking.done():
            session.answers[model] = replace(answer.asking.result(), asking=None)


def start_asking(answer: Answer, session: Session, image: Image.Image, say: Say) -> None:
    """Ask a model in a thread of its own, unless that is under way already."""
    if answer.asking is not None:
        return
    try:
        model = locate(answer.model, session, say)
    except CvhubError as error:
        answer.error = str(error)
        return
    thread = ThreadPoolExecutor(1, thread_name_prefix="ask")
    answer.asking = thread.submit(ask, answer, model, image, session.runtime, session.precision)
    thread.shutdown(wait=False)


def add_heats(session: Session, view: View, say: Say, image: Image.Image | None = None) -> None:
    """Work out the heat maps that the view asks for, where they are not there yet; from kept features, no forward.

    `image`: the session's picture, where it is open already.
    """
    wanted = [(answer, heat_label(answer, view)) for answer in session.answered()]
    missing = [
        (answer, answer.labels.index(label))
        for answer, label in wanted
        if label in answer.labels and answer.labels.index(label) not in answer.heats
    ]
    if not missing or session.picture is None:
        return
    image = image or open_picture(session.picture)
    for answer, index in missing:
        answer.heats = answer.heats | {index: find_heat(answer, index, image, session, say)}


def find_heat(answer: Answer, index: int, image: Image.Image, session: Session, say: Say) -> Heat:
    from cvhub.explain.cam import heat_map
    from cvhub.inference.classify import Classification

    classifier, _ = load(locate(answer.model, session, say), session.runtime, session.precision)
    assert answer.logits is not None
    said = Classification(answer.logits, answer.features, answer.milliseconds)
    heat = heat_map(classifier, image, said, index)
    exact = answer.features is not None and classifier.classifier_weight is not None
    return heat_layer(heat, seen_part(classifier.processor, image), exact)


def open_picture(path: str) -> Image.Image:
    """The picture at `path`, within the limits that inference sets; CvhubError where it can't be read."""
    from cvhub.inference import images

    return images.open_picture(Path(path))


def browser_shows(path: str) -> bool:
    """Whether browsers can draw this file themselves."""
    with Image.open(path) as opened:
        return opened.format in SHOWN_BY_BROWSERS and opened.mode != "CMYK"
