"""The part of the Explore tab that takes a net apart: its tree, its costs, and what it makes of a picture."""

import logging
from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr
from gradio.events import Dependency

from cvhub.catalog import CATALOG, DEFAULT_MODEL, find_entry
from cvhub.errors import CvhubError
from cvhub.ui.answering import HUB_ID, open_picture
from cvhub.ui.explore import tree, walk
from cvhub.ui.explore.walk import SIDE
from cvhub.ui.frame import Frame, Seen
from cvhub.ui.messages import translated
from cvhub.ui.picture_input import PictureInput
from cvhub.ui.readout import message, waiting
from cvhub.ui.samples import SAMPLES, sample_file
from cvhub.ui.sharing import Door, Offer
from cvhub.ui.strings import Say, speaker
from cvhub.ui.turns import turn

log = logging.getLogger(__name__)

NAME = "architecture"
LARGEST = 2048
Update = dict[str, Any]


class ArchitecturePart:
    def __init__(self, frame: Frame, parts: gr.Tabs) -> None:
        self.frame = frame
        self.shown = gr.State(DEFAULT_MODEL)  # a name of the catalogue, or a config as JSON
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_choices()
                self.build_picture()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.build_results()
        frame.doors["explore"] = Door((), take_offer, (), (parts, self.model))

    def build_choices(self) -> None:
        add = self.frame.add
        self.model = add(gr.Dropdown, {"label": "model"}, choices=model_choices(), value=DEFAULT_MODEL, elem_id="model")
        with gr.Row(elem_id="size"):
            self.height, self.width = (
                add(
                    gr.Number,
                    {"label": f"input_{side}"},
                    value=SIDE,
                    precision=0,
                    minimum=1,
                    maximum=LARGEST,
                    step=1,
                    elem_id=side,
                )
                for side in ("height", "width")
            )
        with add(gr.Accordion, {"label": "config"}, open=False, elem_id="config-part"):
            self.config = add(
                gr.Textbox, {"label": "config_text", "info": "config_info"}, lines=12, max_lines=24, elem_id="config"
            )
            self.config_button = add(gr.Button, {"value": "config_show"}, size="sm", elem_id="show-config")

    def build_picture(self) -> None:
        add = self.frame.add
        self.sample = add(
            gr.Radio,
            {"label": "walk_sample", "choices": lambda say: [(say(f"sample_{one}"), one) for one in SAMPLES]},
            value=SAMPLES[0],
            elem_id="walk-samples",
            elem_classes="samples",
        )
        self.picture = add(
            PictureInput,
            {"label": "walk_picture", "placeholder": "picture_placeholder", "alt_text": "picture_alt"},
            value=sample_file(SAMPLES[0]),
            type="filepath",
            sources=["upload", "clipboard"],
            show_label=False,
            buttons=[],
            elem_id="walk-picture",
        )
        self.layer = add(
            gr.Dropdown, {"label": "walk_layers"}, choices=[], value=None, allow_custom_value=True, elem_id="layer"
        )

    def build_results(self) -> None:
        add = self.frame.add
        self.waiting = gr.HTML("", elem_classes="waiting")
        self.tree = gr.HTML(waiting(self.frame.say), apply_default_css=False, elem_id="tree")
        with gr.Row(elem_id="tree-out"):
            self.csv_button = add(gr.Button, {"value": "save_csv"}, size="sm", elem_id="save-layers-csv")
            self.json_button = add(gr.Button, {"value": "save_json"}, size="sm", elem_id="save-layers-json")
        self.outgoing = gr.Textbox(visible=False)
        self.walk = gr.HTML("", apply_default_css=False, elem_id="walk")

    def connect(self, seen: Seen) -> None:
        language = self.frame.language
        study = [self.shown, self.height, self.width, language]
        waiting: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": [self.waiting]}
        chosen = {"outputs": [self.shown, self.config, self.height, self.width], **waiting}

        def then_show(event: Dependency, name: str) -> None:
            quiet = {"api_visibility": "undocumented", **waiting}
            event.then(
                show_architecture, [seen.before, *study], [self.tree, self.layer], api_name=f"show_{name}", **quiet
            ).then(show_walk, walking, self.walk, api_name=f"walk_{name}", **quiet)

        walking = [seen.before, self.shown, self.picture, self.layer, self.height, self.width, language]
        then_show(
            seen.event.then(choose_model, self.model, api_name="open_model", api_visibility="undocumented", **chosen),
            "opened",
        )
        # "change", since another tab may have chosen it.
        then_show(self.model.change(choose_model, self.model, api_name="choose_model", **chosen), "model")
        then_show(
            self.config_button.click(lambda text: text, self.config, self.shown, api_visibility="private"), "config"
        )
        for name, side in (("height", self.height), ("width", self.width)):
            then_show(gr.on([side.submit, side.blur], None, None, None, js="() => {}"), name)
        then_show(language.change(None, None, None, js="() => {}"), "language")
        self.sample.input(sample_file, self.sample, self.picture, queue=False, api_visibility="private")
        gr.on(
            [self.picture.change, self.layer.input],
            show_walk,
            walking,
            self.walk,
            trigger_mode="always_last",
            api_name="walk",
            api_visibility="undocumented",
            **waiting,
        )
        for button, export, name, kind in (
            (self.csv_button, layers_csv, "cvhub-layers.csv", "text/csv"),
            (self.json_button, layers_json, "cvhub-layers.json", "application/json"),
        ):
            button.click(export, study[:-1], self.outgoing, show_progress="hidden").then(
                None, self.outgoing, None, js=f"(text) => cvhub.save(text, '{name}', '{kind}')"
            )
        gr.api(architecture_of, api_name="architecture")


def take_offer(offer: Offer) -> tuple[Update, Update]:
    """A net that another tab has found is the one to take apart."""
    return gr.update(selected=NAME), gr.update(choices=model_choices(offer.model), value=offer.model)


def model_choices(other: str = "") -> list[tuple[str, str]]:
    """(title, name) of each net of the catalogue, and of another that is named."""
    listed = [(entry.title, entry.name) for entry in CATALOG]
    return listed if not other or find_entry(other) else [*listed, (other, other)]


def title_of(text: str, say: Say) -> str:
    entry = find_entry(text)
    return entry.title if entry else say("config_title")


def choose_model(model: str) -> tuple[str, str, int, int]:
    """What is shown, its config as JSON, and the height and width that it is made for.

    A net of the Hub that the catalogue doesn't list is fetched for its config.
    """
    with turn():
        from cvhub.convert.named import read_config, write_config
        from cvhub.load import load_config

        on_hub = find_entry(model) is None and HUB_ID.fullmatch(model)
        config = load_config(model) if on_hub else read_config(model)
        text = write_config(config)
        return text if on_hub else model, text, *own_size(model, config)


def own_size(model: str, config: Any) -> tuple[int, int]:
    """Height and width that a row of the catalogue is made for, as far as is known without fetching anything."""
    from cvhub.load import is_at_hand, load_processor

    entry = find_entry(model)
    size = getattr(config, "image_size", None) or (entry and entry.config.get("image_size"))
    if size is None and entry and is_at_hand(entry):
        box = walk.square(load_processor(model)).crop_size
        return box["height"], box["width"]
    size = size or SIDE
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def sides(height: float | None, width: float | None, say: Say) -> tuple[int, int]:
    if not height or not width:
        raise CvhubError(say("size_missing", most=LARGEST))
    return int(height), int(width)


def studied(text: str, height: float | None, width: float | None, say: Say) -> tree.Study:
    return tree.study(text, *sides(height, width, say))


def show_architecture(
    opened: bool, shown: str, height: float | None, width: float | None, language: str
) -> tuple[str, Update]:
    """The tree of what is shown, and its layers that a picture can be walked through to."""
    say = speaker(language)
    if not opened:
        return waiting(say), gr.skip()
    title = f"<h2>{escape(title_of(shown, say))}</h2>"
    try:
        with turn():
            drawn = tree.tree_view(studied(shown, height, width, say), say)
            return title + drawn, layers_of(shown, *sides(height, width, say), say)
    except CvhubError as error:
        return title + message(escape(translated(str(error), language))), no_layers()
    except Exception as error:
        log.exception("an architecture could not be shown")
        return title + message(escape(say("architecture_failed", kind=type(error).__name__))), no_layers()


def layers_of(shown: str, height: int, width: int, say: Say) -> Update:
    try:
        walking = walk.find_walker(shown, height, width, say)
    except CvhubError:
        return no_layers()
    return gr.update(choices=walk.layer_choices(walking), value=walk.first_layer(walking), interactive=True)


def no_layers() -> Update:
    return gr.update(choices=[], value=None, interactive=False)


def show_walk(
    opened: bool,
    shown: str,
    picture: str | None,
    layer: str | None,
    height: float | None,
    width: float | None,
    language: str,
) -> str:
    """The picture's way through what is shown, or why there is none."""
    if not opened:
        return ""
    say = speaker(language)
    title = f"<h2>{escape(say('walk_title'))}</h2>"
    try:
        with turn():
            walking = walk.find_walker(shown, *sides(height, width, say), say)
        if picture is None:
            raise CvhubError(say("no_picture"))
        image = open_picture(picture)
        with turn():
            return title + walk.walk(walking, image, layer or "", say)
    except CvhubError as error:
        return f'{title}<p class="aside" role="status">{escape(translated(str(error), language))}</p>'
    except Exception as error:
        log.exception("a picture could not be walked through %s", shown[:80])
        return f'{title}<p class="aside" role="status">{escape(say("walk_failed", kind=type(error).__name__))}</p>'


def layers_csv(shown: str, height: float | None, width: float | None) -> str:
    """A row a layer, as CSV."""
    return exported(lambda: tree.as_csv(studied(shown, height, width, speaker("en"))))


def layers_json(shown: str, height: float | None, width: float | None) -> str:
    """All layers and their sums, as JSON."""
    return exported(lambda: tree.as_json(studied(shown, height, width, speaker("en")), shown))


def architecture_of(model: str, height: int = SIDE, width: int = SIDE) -> dict[str, Any]:
    """Says what a net costs, layer by layer, without its weights.

    Args:
        model: A name of the catalogue, which list_models gives, of an architecture, or a config as JSON.
        height: Of the picture that it is given, in pixels.
        width: Of the picture, in pixels.

    Returns:
        The sums and a row a layer: parameters, multiply-adds, memory, shapes, receptive field.
    """
    return exported(lambda: tree.as_data(studied(model, height, width, speaker("en")), model))


def exported(make: Callable[[], Any]) -> Any:
    """What a program asked for; what is wrong with that is told to it."""
    try:
        with turn():
            return make()
    except CvhubError as error:
        raise gr.Error(str(error), print_exception=False) from error
    except Exception as error:
        log.exception("an architecture could not be exported")
        failed = speaker("en")("architecture_failed", kind=type(error).__name__)
        raise gr.Error(failed, print_exception=False) from error


def warm_up() -> None:
    """Take the first net apart before it is asked for."""
    show_architecture(True, DEFAULT_MODEL, SIDE, SIDE, "en")
