"""A checkpoint of the visitor's own: where a tab asks for it, and what a visit keeps of it."""

import shutil
import tempfile
from pathlib import Path

import gradio as gr

from cvhub.errors import CvhubError
from cvhub.ui.answering import HUB_ID
from cvhub.ui.frame import Frame
from cvhub.ui.state import Session
from cvhub.ui.strings import Say


class CheckpointInput:
    """A Hub id, or files, and the button that adds them. `prefix` begins the elements' ids; `info` is the key of the
    string that says what may be named."""

    def __init__(self, frame: Frame, prefix: str, info: str) -> None:
        add = frame.add
        with add(gr.Accordion, {"label": "checkpoint"}, open=False, elem_id=f"{prefix}checkpoint"):
            self.hub_id = add(gr.Textbox, {"label": "hub_id", "info": info}, max_lines=1, elem_id=f"{prefix}hub-id")
            self.files = add(
                gr.File,
                {"label": "checkpoint_files"},
                file_count="multiple",
                file_types=[".safetensors", ".json"],
                height=140,
                elem_id=f"{prefix}checkpoint-files",
            )
            self.button = add(
                gr.Button,
                {"value": "add"},
                size="sm",
                elem_id=f"{prefix}add-checkpoint",
                elem_classes="add-checkpoint",
            )
            self.note = gr.HTML("", elem_id=f"{prefix}checkpoint-note", elem_classes="checkpoint-note")


def take_checkpoint(session: Session, hub_id: str, files: list[str] | None, say: Say) -> str:
    """The name under which the checkpoint is asked from now on: a Hub id, or that of a folder which the visit keeps.

    Raises CvhubError for both or neither, for what is no Hub id, and for other files than one .safetensors and its
    config.json.
    """
    hub_id = (hub_id or "").strip()
    if bool(hub_id) == bool(files):
        raise CvhubError(say("checkpoint_both"))
    return keep_upload(session, files or [], say) if files else checked_hub_id(hub_id, say)


def checked_hub_id(hub_id: str, say: Say) -> str:
    if not HUB_ID.fullmatch(hub_id):
        raise CvhubError(say("unknown_model", name=hub_id[:80]))
    return hub_id


def keep_upload(session: Session, uploads: list[str], say: Say) -> str:
    """Copy an uploaded checkpoint into a folder of this visit, laid out like a Hub repo; returns its name."""
    files = [Path(upload) for upload in uploads]
    weights = [file for file in files if file.suffix == ".safetensors"]
    processors = [file for file in files if file.name == "preprocessor_config.json"]
    configs = [file for file in files if file.suffix == ".json" and file not in processors]
    if len(weights) != 1 or len(configs) != 1 or len(files) != 2 + len(processors):
        raise CvhubError(say("checkpoint_both"))
    folder = Path(tempfile.mkdtemp(prefix="cvhub-checkpoint-"))
    shutil.copyfile(weights[0], folder / "model.safetensors")
    shutil.copyfile(configs[0], folder / "config.json")
    for processor in processors:
        shutil.copyfile(processor, folder / processor.name)
    name = session.new_name(weights[0].stem)
    session.checkpoints[name] = folder
    return name
