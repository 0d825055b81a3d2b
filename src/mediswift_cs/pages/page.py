"""HTML from a template on the base page: one file that asks nobody for anything.

``templates/base.html.jinja`` has the head, with a content security policy that forbids every
request and script, and the style, light and dark; ``parts.html.jinja`` has macros for what pages
have in common. A page is a template of its own package that extends the base.
"""

import html

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


def render(package: str, template: str, **content: object) -> str:
    """Fill a template of ``package`` (its folder ``templates``) as an HTML page.

    Every text of ``content`` is escaped; only :class:`markupsafe.Markup`, which
    :mod:`mediswift_cs.pages.figures` gives, goes in as it is.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("mediswift_cs.pages")]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_escaped,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["grouped"] = _grouped
    page = environment.get_template(template).render(content)
    # JSON can say half a surrogate pair, which no file can hold.
    return page.encode("utf-8", "replace").decode("utf-8")


def short(number: float) -> str:
    """A number in four digits, such as 4.995 or 1.049e+11."""
    return f"{number:.4g}"


def _grouped(number: object) -> object:
    return f"{number:,}" if isinstance(number, int | float) else number


def _escaped(value: object) -> object:
    """Text with html.escape's names of quotes: jinja2's own may change with its version."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return Markup(html.escape(value))
