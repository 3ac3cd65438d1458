"""Your own classes, in the Classify tab: a few pictures of each teach a trained net a new head, in seconds."""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from cvhub.catalog import CATALOG
from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.classify import link
from cvhub.ui.classify.handlers import join_models
from cvhub.ui.frame import Frame
from cvhub.ui.messages import translated
from cvhub.ui.numerals import percent
from cvhub.ui.readout import note
from cvhub.ui.state import Session
from cvhub.ui.strings import Say, speaker

MAX_CLASSES = 6
FIRST_SHOWN = 2
MAX_PICTURES = 50  # of a class
LONGEST_NAME = 60  # characters of a class's name
ARCHIVE = "cvhub-own-classes"

log = logging.getLogger(__name__)

Update = dict[str, Any]
Learned = tuple[Session, Update, str, Update, Update]  # visit, models, sentence, mistaken pictures, download


@dataclass(frozen=True)
class Example:
    """A picture that a visitor says is of the class `target`."""

    image: Image.Image
    target: int


class OwnClasses:
    """The accordion. `connect` says what happens after the new model has joined the others."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        add = frame.add
        with add(gr.Accordion, {"label": "own_classes"}, open=False, elem_id="own-classes"):
            add(gr.HTML, {"value": "own_classes_how"}, apply_default_css=False, elem_classes="facts")
            self.base = add(
                gr.Dropdown,
                {"label": "own_base", "info": "own_base_info"},
                choices=[(entry.title, entry.name) for entry in CATALOG if entry.task == "image-classification"],
                value=link.DEFAULT_MODELS[0],
                elem_id="own-base",
            )
            self.shown = gr.State(FIRST_SHOWN)
            self.rows, self.names, self.files = [], [], []
            for number in range(1, MAX_CLASSES + 1):
                self.build_class(number)
            with gr.Row(elem_classes="buttons"):
                self.more = add(gr.Button, {"value": "own_more"}, size="sm", elem_id="own-more")
                self.learn_button = add(gr.Button, {"value": "own_learn"}, size="sm", elem_id="own-learn")
            self.note = gr.HTML("", elem_id="own-note")
            self.mistaken = add(
                gr.Gallery,
                {"label": "own_mistaken"},
                visible=False,
                columns=3,
                height="auto",
                buttons=[],
                elem_id="own-mistaken",
            )
            self.download = add(
                gr.DownloadButton, {"label": "own_download"}, visible=False, size="sm", elem_id="own-download"
            )

    def build_class(self, number: int) -> None:
        add = self.frame.add
        with gr.Column(visible=number <= FIRST_SHOWN, elem_classes="own-class") as row:
            name = add(
                gr.Textbox,
                {"label": lambda say: say("own_name", n=number)},
                max_lines=1,
                max_length=LONGEST_NAME,
                elem_id=f"own-name-{number}",
            )
            files = add(
                gr.File,
                {"label": lambda say: say("own_pictures", n=number)},
                file_count="multiple",
                file_types=["image"],
                height=110,
                elem_id=f"own-files-{number}",
            )
        self.rows.append(row)
        self.names.append(name)
        self.files.append(files)

    def connect(self, session: gr.State, models: gr.Dropdown, asking: dict[str, Any]) -> None:
        self.more.click(
            show_one_more,
            self.shown,
            [self.shown, self.more, *self.rows],
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )
        self.learn_button.click(
            learn,
            [session, self.base, models, self.frame.language, *self.names, *self.files],
            [session, models, self.note, self.mistaken, self.download],
            show_progress="minimal",
            show_progress_on=[self.note],
            api_name="learn_classes",
        ).then(**asking, api_name="answer_own_classes", api_visibility="undocumented")


def show_one_more(shown: int) -> tuple[Any, ...]:
    """Room for another class."""
    shown = min(shown + 1, MAX_CLASSES)
    return shown, gr.update(visible=shown < MAX_CLASSES), *(gr.update(visible=i < shown) for i in range(MAX_CLASSES))


def learn(session: Session, base: str, models: list[str], language: str, *names_and_files: Any) -> Learned:
    """Teach the net `base` the classes that `names_and_files` give: a name each, then a list of picture files each.

    The new model joins the visit's; what it gets wrong of the pictures, each left out in turn, is shown.
    """
    say = speaker(language)
    nothing = (gr.update(value=[], visible=False), gr.update(visible=False))
    try:
        labels, examples = read_examples(names_and_files, say)
        return teach(session, answering.locate(base, session, say), base, models or [], labels, examples, say)
    except CvhubError as error:
        return session, gr.skip(), note(translated(str(error), language)), *nothing
    except Exception as error:
        log.exception("own classes failed")
        return session, gr.skip(), note(say("unexpected", kind=type(error).__name__)), *nothing


def teach(
    session: Session,
    model: str,
    base: str,
    models: list[str],
    labels: list[str],
    examples: Sequence[Example],
    say: Say,
) -> Learned:
    from cvhub.training.few_shot import frozen_features, learn_classes, write_model

    classifier, _ = answering.load(model)
    features = frozen_features(classifier, [example.image for example in examples])
    learned = learn_classes(features, [example.target for example in examples], labels)
    name = session.new_name(", ".join(labels)[:LONGEST_NAME])
    folder = Path(tempfile.mkdtemp(prefix="cvhub-own-classes-"))
    write_model(folder, str(classifier.folder), learned, name, base)
    session.checkpoints[name] = folder
    wrong = [
        (
            examples[i].image,
            say("own_mistake", true=labels[examples[i].target], said=labels[learned.left_out[i]]),
        )
        for i in learned.mistaken
    ]
    right = len(examples) - len(wrong)
    said = say("own_learned", right=right, n=len(examples), percent=percent(learned.accuracy))
    update, joined = join_models(session, name, models, say)
    return (
        session,
        update,
        note(f"{said} {joined}"),
        gr.update(value=wrong, visible=bool(wrong)),
        gr.update(value=str(pack(folder)), visible=True),
    )


def pack(folder: Path) -> Path:
    """The folder as a zip file, kept in a folder within it, so that both go when the visit ends."""
    with tempfile.TemporaryDirectory() as elsewhere:
        archive = shutil.make_archive(str(Path(elsewhere) / ARCHIVE), "zip", folder)
        place = folder / "archive"  # what is pushed is a folder's files, not those of folders within
        place.mkdir()
        return Path(shutil.move(archive, place))


def read_examples(names_and_files: Sequence[Any], say: Say) -> tuple[list[str], list[Example]]:
    """The classes' names, and each picture with the number of its class. Rows left empty are no classes."""
    names, uploads = names_and_files[:MAX_CLASSES], names_and_files[MAX_CLASSES:]
    labels, examples = [], []
    for number, (name, files) in enumerate(zip(names, uploads, strict=True), 1):
        label = (name or "").strip()
        if not label and not files:
            continue
        if not label or not files:
            raise CvhubError(say("own_half", n=number))
        if label in labels:
            raise CvhubError(say("own_twice", name=label))
        if not 2 <= len(files) <= MAX_PICTURES:
            raise CvhubError(say("own_count", name=label, n=len(files), limit=MAX_PICTURES))
        examples += [Example(answering.open_picture(file).convert("RGB"), len(labels)) for file in files]
        labels.append(label)
    if len(labels) < 2:
        raise CvhubError(say("own_too_few", n=len(labels)))
    return labels, examples
