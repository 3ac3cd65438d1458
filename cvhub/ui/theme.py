"""How the page looks: Gradio's theme set quiet, the style sheet, and the script that runs when a page opens."""

from pathlib import Path

import gradio as gr

from cvhub.ui.palette import series_css
from cvhub.ui.pictures import thumbnails_css
from cvhub.ui.samples import SAMPLES, thumbnail
from cvhub.ui.segment import samples as segment_samples
from cvhub.ui.segment.drawing import ramp_css
from cvhub.ui.words import prompts as words_prompts

HERE = Path(__file__).parent
SHEETS = (
    *("page.css", "explore/explore.css", "distill/distill.css", "segment/segment.css", "overlap/overlap.css"),
    *("words/words.css", "hub/hub.css"),
)
ACCENT = gr.themes.Color(
    name="okabe-ito-blue",
    c50="#eef6fb",
    c100="#d6eaf5",
    c200="#aed5ec",
    c300="#85c1e6",
    c400="#56b4e9",
    c500="#0072b2",
    c600="#0072b2",
    c700="#005d92",
    c800="#004872",
    c900="#003452",
    c950="#00243a",
)


def theme() -> gr.themes.Base:
    """Flat, hairline borders, one accent; text at least 4.5 : 1 against its ground in both modes."""
    light_line, dark_line = "#dcdde1", "#34353b"
    return gr.themes.Base(
        primary_hue=ACCENT,
        neutral_hue=gr.themes.colors.zinc,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_sm,
        font=[gr.themes.LocalFont("IBM Plex Sans", (400, 700)), "system-ui", "Noto Sans SC", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        body_background_fill="#ffffff",
        body_background_fill_dark="#131316",
        body_text_color="#1b1b1f",
        body_text_color_dark="#ececf0",
        body_text_color_subdued="#5c5e66",
        body_text_color_subdued_dark="#a3a4ad",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#131316",
        background_fill_secondary="#f5f5f6",
        background_fill_secondary_dark="#1d1d21",
        border_color_primary=light_line,
        border_color_primary_dark=dark_line,
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_padding="0px",
        block_title_text_color="#5c5e66",
        block_title_text_color_dark="#a3a4ad",
        block_title_text_size="13px",
        block_title_text_weight="400",
        block_info_text_size="12px",
        block_info_text_color="#5c5e66",
        block_info_text_color_dark="#a3a4ad",
        layout_gap="18px",
        form_gap_width="0px",
        input_background_fill="#f5f5f6",
        input_background_fill_dark="#1d1d21",
        input_border_color=light_line,
        input_border_color_dark=dark_line,
        input_shadow="none",
        input_shadow_focus="none",
        input_placeholder_color="#5c5e66",
        input_placeholder_color_dark="#a3a4ad",
        slider_color="#0072b2",
        slider_color_dark="#56b4e9",
        color_accent="#0072b2",
        button_secondary_background_fill="#ffffff",
        button_secondary_background_fill_dark="#131316",
        button_secondary_background_fill_hover="#f5f5f6",
        button_secondary_background_fill_hover_dark="#1d1d21",
        button_secondary_border_color=light_line,
        button_secondary_border_color_dark=dark_line,
        button_border_width="1px",
        button_secondary_shadow="none",
        checkbox_label_background_fill="transparent",
        checkbox_label_background_fill_dark="transparent",
        checkbox_label_shadow="none",
    )


def css() -> str:
    """The style sheet, the palette, and the sample pictures as thumbnails of their radio buttons."""
    thumbnails = thumbnails_css(".samples", map(thumbnail, SAMPLES))
    thumbnails += thumbnails_css("#segment-samples", map(segment_samples.thumbnail, segment_samples.SAMPLES))
    thumbnails += thumbnails_css(".words-samples", map(thumbnail, words_prompts.SAMPLES))
    sheets = "".join((HERE / name).read_text("utf-8") for name in SHEETS)
    return series_css() + sheets + ramp_css() + thumbnails


def script() -> str:
    """Each file is a function; they run one after the other."""
    parts = "".join(f"({(HERE / name).read_text('utf-8').strip()})();" for name in ("page.js", "segment/segment.js"))
    return f"() => {{{parts}}}"
