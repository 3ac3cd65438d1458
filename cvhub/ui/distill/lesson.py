"""The view "Train it here": a student alone and one with teachers learn side by side, while the visitor watches.

The run belongs to an unguessable name that the browser keeps: it survives a refresh, and a second tab may watch it.
"""

from typing import Any

import gradio as gr
from gradio.events import Dependency

from cvhub.training.lesson import DATA, SECONDS, STUDENTS
from cvhub.training.recipe import COMBINATIONS, LOSSES
from cvhub.ui.distill import handlers
from cvhub.ui.distill.choices import DEFAULT_TEACHERS, teacher_choices
from cvhub.ui.distill.controls import radio, slider
from cvhub.ui.frame import Frame

KEPT = "cvhub-lesson"  # in the browser's storage
SECRET = "cvhub"  # fixed, so that a server that was started anew reads it too: the name alone is the key
POLL_SECONDS = 1.5


class LessonPart:
    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.mine = gr.BrowserState("", storage_key=KEPT, secret=SECRET, render=False)
        self.visitor = gr.Textbox(visible=False)  # filled as a run is started: all tabs of a browser are one
        self.watched = gr.State("")  # the run that is shown: mine, or the one that a link names
        self.shown = gr.State("")  # what was drawn last, so that nothing is sent twice
        self.timer = gr.Timer(POLL_SECONDS, active=False)
        with gr.Row(elem_classes="thirds"):
            with gr.Column(scale=1, min_width=300, elem_classes="inputs"):
                self.build_choices()
                self.build_buttons()
            with gr.Column(scale=2, min_width=320, elem_classes="outputs"):
                self.view = gr.HTML(
                    handlers.nothing_yet(frame.say),
                    apply_default_css=False,
                    elem_id="lesson-view",
                    elem_classes="drawing",
                )

    def build_choices(self) -> None:
        add = self.frame.add
        self.data = radio(self.frame, "lesson", "data", DATA)
        self.archive = add(
            gr.File,
            {"label": "lesson_archive"},
            file_types=[".zip"],
            visible=False,
            height=110,
            elem_id="lesson-archive",
        )
        self.teachers = add(
            gr.Dropdown,
            {"label": "lesson_teachers", "info": "lesson_teachers_info"},
            choices=teacher_choices(DATA[0]),
            value=list(DEFAULT_TEACHERS[DATA[0]]),
            multiselect=True,
            max_choices=2,
            elem_id="lesson-teachers",
        )
        self.student = radio(self.frame, "lesson", "student", tuple(STUDENTS), "medium")
        self.loss = radio(self.frame, "lesson", "loss", LOSSES)
        self.temperature = slider(self.frame, "lesson", "temperature", 1, 10, 0.5, 3)
        self.weight = slider(
            self.frame, "lesson", "weight", 0.05, 0.95, 0.05, 0.5
        )  # a head that nobody trains would answer
        self.combination = radio(self.frame, "lesson", "combination", COMBINATIONS)
        low, high = SECONDS
        self.seconds = slider(self.frame, "lesson", "seconds", low, high, 10, 60)

    def build_buttons(self) -> None:
        add = self.frame.add
        with gr.Row(elem_classes="buttons"):
            self.start = add(gr.Button, {"value": "lesson_start"}, size="sm", variant="primary", elem_id="lesson-start")
            self.stop = add(gr.Button, {"value": "lesson_stop"}, size="sm", visible=False, elem_id="lesson-stop")
            self.resume = add(gr.Button, {"value": "lesson_resume"}, size="sm", visible=False, elem_id="lesson-resume")
        with gr.Row(elem_classes="buttons"):
            self.pack = add(gr.Button, {"value": "lesson_pack"}, size="sm", visible=False, elem_id="lesson-pack")
            self.link = add(gr.Button, {"value": "lesson_link"}, size="sm", visible=False, elem_id="lesson-link")
        self.download = add(
            gr.DownloadButton, {"label": "lesson_download"}, visible=False, size="sm", elem_id="lesson-download"
        )
        self.note = gr.HTML("", elem_id="lesson-note", elem_classes="checkpoint-note")

    @property
    def outputs(self) -> list[Any]:
        """What `handlers.Shown` fills."""
        buttons = [self.start, self.stop, self.resume, self.pack, self.link]
        return [self.view, self.shown, self.timer, *buttons]

    def connect(self, opened: Dependency) -> None:
        """`opened`: the event in which a page opens. To be called outside of the tabs."""
        self.mine.render()  # what lies in a tab that nobody has seen is not in the page, and would read nothing
        language, run = self.frame.language, [self.watched, self.mine, self.shown, self.frame.language]
        choices = [
            self.data, self.archive, self.teachers, self.student, self.loss, self.temperature, self.weight,
            self.combination, self.seconds,
        ]  # fmt: skip
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        opened.then(handlers.attach, [self.mine, language], [self.watched, *self.outputs], queue=False, **quiet)
        self.timer.tick(handlers.poll, run, self.outputs, queue=False, **quiet)
        language.change(handlers.show_again, run, self.outputs, queue=False, **quiet)
        self.data.change(handlers.choose_data, self.data, [self.archive, self.teachers], queue=False, **quiet)
        self.start.click(
            handlers.start,
            [self.visitor, self.mine, language, *choices],
            [self.mine, self.watched, self.note, self.download, *self.outputs],
            js="(nobody, ...asked) => [cvhub.visitor(), ...asked]",
            show_progress="minimal",
            show_progress_on=[self.note],
            api_visibility="private",
        )
        self.stop.click(handlers.stop, run, [self.note, *self.outputs], queue=False, **quiet)
        self.resume.click(handlers.resume, run, [self.note, *self.outputs], queue=False, **quiet)
        self.pack.click(
            handlers.pack,
            [self.watched, language],
            [self.note, self.download],
            show_progress="minimal",
            show_progress_on=[self.note],
            api_visibility="private",
        )
        self.link.click(handlers.link, language, self.note, queue=False, **quiet).then(
            None, self.watched, None, js='(run) => cvhub.copyLink(`run=${run}`, "#lesson-note")'
        )
