"""Serves the documentation of this version, so that a link to the runbook leads somewhere by default."""

import functools
import html
import itertools
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from string import Template

from markdown_it import MarkdownIt
from markdown_it.token import Token
from starlette.requests import HTTPConnection
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

import ops_pipeline
from ops_pipeline.orchestration.webserver.refusal import Refusal

PREFIX = "/docs"
FIRST_PAGE = f"{PREFIX}/index.md"
_PACKAGE = Path(ops_pipeline.__file__).parent
FOLDERS = (_PACKAGE / "docs", _PACKAGE.parent / "docs")
"""Where the pages are: in the package that is installed, or beside it in a checkout."""
LONGEST_SHOWN = 200
PAGE = Template(Path(__file__).with_name("documentation.html").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Documentation:
    """Answers /docs: pages as HTML, pictures as they are."""

    folder: Path

    def answer(self, request: HTTPConnection) -> Response:
        """The page or picture. Raises Refusal for another method, and for what is not there."""
        method, path = request.scope["method"], request.scope["path"]
        if method not in {"GET", "HEAD"}:
            raise Refusal(405, f"Method not allowed: {method}. Allowed: GET, HEAD", {"Allow": "GET, HEAD"})
        if path in {PREFIX, f"{PREFIX}/"}:
            return RedirectResponse(FIRST_PAGE, 307)
        if (file := self._find(path.removeprefix(f"{PREFIX}/"))) is None:
            shown = path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}…"
            raise Refusal(404, f"{shown} is not a page of the documentation; it begins at {FIRST_PAGE}")
        return _page(file) if file.suffix == ".md" else FileResponse(file)

    def _find(self, name: str) -> Path | None:
        try:
            file = (self.folder / name).resolve()
            found = file.is_relative_to(self.folder.resolve()) and file.is_file()
        except (OSError, ValueError):  # what no file can be called: too long, or with a NUL
            return None
        return file if found else None


def find() -> Documentation:
    """The documentation of the code that runs."""
    return Documentation(next((folder for folder in FOLDERS if folder.is_dir()), FOLDERS[0]))


def is_documentation(path: str) -> bool:
    """Whether it is the path of a page or picture."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def _page(file: Path) -> Response:
    title, body = _rendered(file)
    nonce = secrets.token_urlsafe(16)
    policy = f"default-src 'none'; img-src 'self'; style-src 'nonce-{nonce}'; frame-ancestors 'none'"
    shown = PAGE.substitute(nonce=nonce, title=html.escape(title), body=body)
    return HTMLResponse(shown, headers={"Content-Security-Policy": f"{policy}; base-uri 'none'"})


@functools.cache
def _rendered(file: Path) -> tuple[str, str]:
    """The title and text of a page. Anyone may ask for it, and it stays the same while the process runs."""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(file.read_text(encoding="utf-8"))
    title = _give_anchors(tokens) or file.stem
    return title, markdown.renderer.render(tokens, markdown.options, {})


def _give_anchors(tokens: list[Token]) -> str | None:
    """Gives each heading the id that code hosts give it; returns the first heading."""
    first: str | None = None
    for opening, inline in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(part.content for part in inline.children or ())
            opening.attrSet("id", re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
            first = first or text
    return first
