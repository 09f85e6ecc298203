"""The page as text: a template that escapes all it is given, under a policy that lets nothing run or be fetched."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources

import jinja2

from selfalign.reports.html.contents import Report
from selfalign.reports.html.strata import DEPTHS
from selfalign.reports.html.tables import BAR

_POLICY = "default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def page(report: Report, command: str, version: str) -> str:
    """The page of a report.

    Args:
        report: what it shows.
        command: that makes it.
        version: of this package.
    """
    style = _own("report.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    text = _template().render(
        report=report,
        command=command,
        style=style,
        policy=_POLICY.format(digest=digest),
        version=version,
        depths=DEPTHS,
        bar=BAR,
    )
    return text.strip() + "\n"


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_own("report.html"))


def _own(name: str) -> str:
    return (resources.files("selfalign.reports.html") / name).read_text(encoding="utf-8")
