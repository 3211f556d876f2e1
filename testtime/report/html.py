"""From the page's parts to one HTML file that needs no network.

The template escapes everything; figures and the problems' JSON are the only markup that enters it
ready made, and their writers escape too. A content security policy allows the page's own script by
its hash and no request at all, so that even an escape that failed would neither run nor call home.
Where the problems lie in files beside the page, the policy lets that script load them, and nobody
else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from testtime.report import embedded
from testtime.report.embedded import Browser
from testtime.report.svg import style_sheet

ONE_FILE = 3_000_000  # bytes; a larger page leaves its texts beside it
SCRIPTS = ("page.js", "figures.js", "problems.js", "differences.js")


def render(page: dict[str, Any], path: Path, browsers: Mapping[str, Browser], pairs: Any) -> Path:
    """Write the page whose parts these are; returns its path.

    browsers: key of a model -> its problems; pairs: of `differences.pairs`.
    """
    for old in path.parent.glob("data/*.js"):
        old.unlink()
    whole = _page(page, embedded.inside(browsers, pairs), "")
    if len(whole.encode()) > ONE_FILE:
        data = embedded.beside(browsers, pairs, path.parent)
        whole = _page(page, data, " 'strict-dynamic'")
    path.write_text(whole, encoding="utf-8")
    return path


def _page(page: dict[str, Any], data: str, loading: str) -> str:
    """The page as text. loading: what the policy adds so that its script may load others."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("testtime.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    script = '"use strict";\n' + "\n".join(map(_file, SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        css=markup(_file("page.css") + style_sheet()),
        data=markup(data),
        script=markup(script),
        script_src=markup(f"'sha256-{digest}'{loading}"),
        version=metadata.version("testtime"),
        **page,
    )


def _file(name: str) -> str:
    return resources.files("testtime.report").joinpath("page", name).read_text(encoding="utf-8")


def markup(text: str) -> Any:
    """Text that is markup already."""
    from markupsafe import Markup

    return Markup(text)
