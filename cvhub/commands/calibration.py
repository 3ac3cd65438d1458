"""`--calibrate`: pictures on which a model is made one in int8, before it is asked."""

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

log = logging.getLogger("cvhub")


def add_calibrate_option(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--calibrate", metavar="DATASET",
        help="of --precision int8: a Hub id or a folder, 300 of whose pictures tell how large the model's values get; "
        "needed once",
    )  # fmt: skip


def calibrate(options: argparse.Namespace, own: Sequence[Path] = ()) -> None:
    """As it is asked for; or where int8 is, and no calibration is known, on some of its `own` pictures."""
    if options.precision != "int8":
        if options.calibrate is not None:
            options.command.error("--calibrate is of --precision int8")
        return
    from cvhub.inference import quantisation
    from cvhub.inference.images import decoded, find_pictures
    from cvhub.load import resolve

    if options.calibrate is not None:
        from cvhub.evaluation.calibration import calibration_pictures

        pictures = calibration_pictures(options.calibrate, resolve(options.model))
        quantisation.calibrate(options.model, pictures, options.calibrate)
    elif own and quantisation.calibration_of(options.model) is None:
        paths = list(quantisation.spread(list(find_pictures(own))))
        count = quantisation.calibrate(options.model, [partial(decoded, path) for path in paths], str(own[0]))
        log.warning("int8 was calibrated on %d of the pictures themselves; --calibrate names others.", count)
