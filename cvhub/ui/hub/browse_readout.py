"""What is known of a model, as HTML. Pure functions; whatever comes from outside is escaped."""

import json
import re
from html import escape
from typing import Any

from cvhub import catalog
from cvhub.catalog import Entry, find_entry
from cvhub.errors import CvhubError
from cvhub.load import is_at_hand
from cvhub.look import Look
from cvhub.ui import numerals
from cvhub.ui.charts import definitions
from cvhub.ui.messages import translated
from cvhub.ui.readout import message
from cvhub.ui.strings import Say

# What the list can be narrowed down to → the tasks that belong to it.
KINDS: dict[str, tuple[str, ...]] = {
    "all": (),
    "classify": ("image-classification",),
    "segment": ("semantic-segmentation", "panoptic-segmentation"),
    "words": ("zero-shot-image-classification", "image-text-to-text", "visual-question-answering"),
}
MOST_FILES = 40  # of a repo that are listed
LONGEST_CONFIG = 20_000  # characters
LONGEST_METADATA = 20_000  # characters: YAML of a megabyte takes several seconds
MOST_LISTED = 20  # values of a field of it
BYTES = 4  # of a parameter as the Hub has it
HEADING = re.compile(r"^(#{1,4})(?= )")
# Each begins with what it has no second time, so that no text takes long.
PICTURE = re.compile(r"!\[[^\[\]]*\]\([^()]*\)|<img\b[^<>]*>", re.IGNORECASE)
METADATA = re.compile(r"---[ \t]*\n(.*?)^---[ \t]*$", re.DOTALL | re.MULTILINE)
LIBRARIES = {"cvhub": "cvhub", "timm": "timm", "smp": "segmentation_models_pytorch"}
LIBRARIES |= {"transformers": "transformers", "open_clip": "open_clip"}


def model_list(kind: str, chosen: str, say: Say) -> str:
    """The rows of the catalogue, each a button; those that need no network say so."""
    tasks = KINDS.get(kind, ())
    rows = [entry for entry in catalog.CATALOG if not tasks or entry.task in tasks]
    items = "".join(f"<li>{row(entry, entry.name == chosen, say)}</li>" for entry in rows)
    label = escape(say("hub_list", n=len(rows)))
    return f'<p class="facts">{label}</p><ul class="models" aria-label="{label}">{items}</ul>'


def row(entry: Entry, chosen: bool, say: Say) -> str:
    facts = [entry.family, numerals.count(entry.parameters), entry.dataset]
    at_hand = say("hub_at_hand") if is_at_hand(entry) else size_of(BYTES * entry.parameters)
    return (
        f'<button type="button" data-class="{escape(entry.name)}" aria-pressed="{"true" if chosen else "false"}">'
        f'<span class="name">{escape(entry.title)}</span><span class="state">{escape(at_hand)}</span>'
        f'<span class="known">{escape(" · ".join(facts))}</span></button>'
    )


def model_head(look: Look, language: str, say: Say) -> str:
    """Title, the sentence on whose layout this is, and a table of facts."""
    entry = find_entry(look.model)
    head = titled(entry.title if entry else look.model, sentence(look, language, say))
    try:
        return head + facts(look, entry, card_fields(look.card), say)
    except CvhubError as error:
        return head + facts(look, entry, {}, say) + message(escape(translated(str(error), language)))


def titled(title: str, sentence: str) -> str:
    """A model's name, and a sentence about it, which is HTML."""
    return f'<h2 class="model-title">{escape(title)}</h2>{message(sentence)}'


def model_parts(look: Look, say: Say) -> str:
    """The files beside the config."""
    return f'<div class="model-parts">{file_table(look.files, say)}{config(look, say)}</div>'


def sentence(look: Look, language: str, say: Say) -> str:
    """Whether and how it can be used here. HTML."""
    if look.problem:
        return escape(say("hub_unknown", reason=translated(look.problem, language)))
    library, architecture = LIBRARIES[look.library], look.architecture
    return escape(say("hub_own" if look.is_own else "hub_foreign", library=library, architecture=architecture))


def facts(look: Look, entry: Entry | None, card: dict[str, Any], say: Say) -> str:
    told = {
        "hub_fact_repo": link(look.repo),
        "hub_fact_does": escape(", ".join(say(f"hub_task_{task.replace('-', '_')}") for task in look.tasks)),
        "hub_fact_parameters": numerals.count(look.parameters) if look.parameters else "",
        "hub_fact_data": escape(entry.dataset if entry else listed(card.get("datasets"))),
        "hub_fact_licence": escape(entry.licence if entry else listed(card.get("license"))),
        "hub_fact_measured": escape(measured(entry)),
        "hub_fact_gated": escape(say("hub_gated")) if look.gated else "",
    }
    return definitions({say(key): value for key, value in told.items() if value})


def link(repo: str) -> str:
    if not repo:
        return ""
    from huggingface_hub import constants

    address = f"{constants.ENDPOINT}/{repo}"
    return f'<a href="{escape(address)}" target="_blank" rel="noopener noreferrer">{escape(repo)}</a>'


def measured(entry: Entry | None) -> str:
    """The values of the catalogue, such as "accuracy 0.973"."""
    return ", ".join(f"{name} {value:.4g}" for name, value in entry.metrics.items()) if entry else ""


def listed(value: Any) -> str:
    """A field of a card's metadata, which anybody may have written."""
    values = value[:MOST_LISTED] if isinstance(value, list) else [value]
    return ", ".join(each for each in values if isinstance(each, str) and each)[:200]


def file_table(sizes: dict[str, int], say: Say) -> str:
    """A row a file, and their sum."""
    shown = list(sizes.items())[:MOST_FILES]
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{size_of(size)}</td></tr>' for name, size in shown)
    total = say("hub_files_total", n=len(sizes), size=size_of(sum(sizes.values())))
    if len(sizes) > MOST_FILES:
        total += " " + say("hub_files_more", n=len(sizes) - MOST_FILES)
    heads = f'<tr><th scope="col">{escape(say("hub_file"))}</th><th scope="col">{escape(say("hub_size"))}</th></tr>'
    table = f'<table class="model-files"><thead>{heads}</thead><tbody>{rows}</tbody></table>'
    return f'<section><h3>{escape(say("hub_files"))}</h3><p class="facts">{escape(total)}</p>{table}</section>'


def size_of(size: int) -> str:
    return f"{numerals.count(size)}B" if size >= 1e3 else f"{size} B"


def config(look: Look, say: Say) -> str:
    """The config as JSON, without the names of the classes, which may be thousands."""
    if not look.config:
        return ""
    shown = {name: value for name, value in look.config.items() if name not in ("id2label", "label2id", "label_names")}
    text = json.dumps(shown, indent=2, ensure_ascii=False)
    if len(text) > LONGEST_CONFIG:
        text = text[:LONGEST_CONFIG] + " …"
    label = escape(say("hub_config"))
    return (
        f'<section><h3>{label}</h3><pre tabindex="0" role="region" aria-label="{label}">{escape(text)}</pre></section>'
    )


def card_fields(card: str) -> dict[str, Any]:
    """The metadata on top of a card, all its values as text; {} where there is none. Raises `CvhubError` about what
    can't be read."""
    import yaml

    head = METADATA.match(card)
    if head is None:
        return {}
    if len(head[1]) > LONGEST_METADATA:
        raise CvhubError(f"The card's metadata has {len(head[1])} characters, the limit is {LONGEST_METADATA}.")
    try:
        fields = yaml.load(head[1], yaml.BaseLoader)  # makes nothing but texts, lists and dicts
    except (yaml.YAMLError, RecursionError) as error:
        raise CvhubError(f"The card's metadata can't be read as YAML ({type(error).__name__}).") from None
    return fields if isinstance(fields, dict) else {}


def card_text(card: str) -> str:
    """The card as Markdown for the page: without its metadata, its headings two levels below the page's own.

    Pictures are left out: they would be fetched from wherever the card says.
    """
    if head := METADATA.match(card):
        card = card[head.end() :]
    card = PICTURE.sub("", card)
    lines, fenced = [], False
    for line in card.strip().splitlines():
        fenced ^= line.startswith("```")
        lines.append(line if fenced else HEADING.sub(r"\1##", line))
    return "\n".join(lines)
