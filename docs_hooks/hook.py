"""What mkdocs calls: fills in what is made at each build; links and lists are as on GitHub."""

import re
from collections.abc import Callable
from pathlib import Path

import commands_reference
import links
import lists
import modules
import params_reference
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# In a page, as: <!-- made here: modules model -->
PLACE = re.compile(r"<!-- made here: (\w+)((?: [\w.]+)*) -->")
MAKERS: dict[str, Callable[..., str]] = {
    "commands": commands_reference.commands,
    "params": params_reference.params_keys,
    "modules": modules.modules,
}


def _source(uri: str) -> str:
    """The file of a page, from the top of the checkout."""
    at_top = {page: name for name, page in links.PAGES.items()}
    return at_top.get(uri, f"docs/{uri}")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages and files that do not lie in docs/."""
    for name, uri in links.PAGES.items():
        text = (links.ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, uri, content=text))
    kept: set[str] = set()
    for file in files.documentation_pages():
        links.with_links(file.content_string, _source(file.src_uri), file.src_uri, kept.add)
    for name in sorted(kept):
        path = str(Path(links.ROOT, name))
        files.append(File.generated(config, f"{links.FILES}/{name}", abs_src_path=path))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A page with its links within the site, and what is made at each build."""
    uri = page.file.src_uri
    text = links.with_links(lists.with_lists(markdown), _source(uri), uri, lambda _: None)
    return PLACE.sub(lambda match: MAKERS[match[1]](*match[2].split()), text)
