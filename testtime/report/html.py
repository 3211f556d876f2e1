"""From the page's parts to one HTML file that needs no network.

The template escapes everything; figures are the only markup that enters it ready made, and their
writer escapes too. A content security policy allows the page's own script by its hash and no
request at all, so that even an escape that failed would neither run nor call home.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from testtime.report.svg import style_sheet


def render(page: dict[str, Any], path: Path) -> Path:
    """Write the page whose parts these are; returns its path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("testtime.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    script = _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    whole = environment.get_template("page.html").render(
        css=markup(_file("page.css") + style_sheet()),
        script=markup(script),
        script_hash=f"sha256-{digest}",
        version=metadata.version("testtime"),
        **page,
    )
    path.write_text(whole, encoding="utf-8")
    return path


def _file(name: str) -> str:
    return resources.files("testtime.report").joinpath("page", name).read_text(encoding="utf-8")


def markup(text: str) -> Any:
    """Text that is markup already."""
    from markupsafe import Markup

    return Markup(text)
