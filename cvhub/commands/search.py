"""`cvhub search`: the pictures of an index that are nearest to words or to a picture."""

import argparse
import logging
from pathlib import Path
from typing import Any

from cvhub.commands.command import add_command, positive, print_json
from cvhub.commands.index import named, where

TOP_K = 10
STATES = {"missing": "no longer there", "changed": "has changed since"}

log = logging.getLogger("cvhub")


def add(commands: Any) -> None:
    search = add_command(commands, "search", run, "find pictures by words or by a picture")
    search.add_argument("index", metavar="INDEX", type=Path, help="what `cvhub index` made, or the folder it indexed")
    search.add_argument("words", metavar="TEXT", nargs="*", help="what the pictures should show")
    search.add_argument("--image", type=Path, metavar="FILE", help="a picture that they should resemble, instead")
    search.add_argument("--top-k", type=positive, default=TOP_K, metavar="K", help=f"pictures to print ({TOP_K})")
    search.add_argument("--model", metavar="MODEL", help="the index's, where that is kept elsewhere by now")


def run(options: argparse.Namespace) -> int:
    from cvhub.inference.images import open_picture
    from cvhub.inference.picture_index import PictureIndex, embed_words, find_index, spell_emoji
    from cvhub.inference.zero_shot import ZeroShot

    if bool(options.words) == bool(options.image):
        options.command.error("either TEXT or --image FILE says what to look for")
    index = PictureIndex.load(find_index(options.index))
    image = options.image and open_picture(options.image)  # before the model is loaded
    net = ZeroShot(options.model or index.model)
    index.require_made_by(net)
    if not index.complete:
        log.warning("The index in %s is not complete: `cvhub index` goes on with it.", index.folder)
    words = " ".join(options.words).strip()
    wanted = net.embed_images([image])[0] if image else embed_words(net, words)
    if (spelled := spell_emoji(words)) != words:
        log.warning("An emoji is looked for by its name: %s.", spelled)
    for hit in index.search(wanted, options.top_k):
        told = where(index.origin, hit.place) | {"score": hit.score}
        told |= {} if hit.state == "same" else {hit.state: True}
        print_json(told) if options.json else print_hit(told)
    return 0


def print_hit(told: dict[str, Any]) -> None:
    states = [f"  ({text})" for state, text in STATES.items() if state in told]
    print(f"{told['score']:7.4f}  {named(told)}{''.join(states)}")
