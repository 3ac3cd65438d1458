"""Answers about pictures: opening them, running a network on them, and keeping networks warm."""

import sys

# OpenVINO's converter tells Google what it converts, unless its telemetry is not installed; here it seems so.
sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]
