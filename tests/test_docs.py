"""What texts point to is there: links of the Markdown pages to files and headings, names in docstrings."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob(".github/**/*.md")])
SOURCE = ROOT / "src"
REFERENCE = re.compile(r"(?<![`\w])`([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?:\(\))?`(?!`)")


@cache
def _parsed(page: Path) -> tuple[set[str], list[str]]:
    """Returns the anchors of a page, and the targets of its links and pictures."""
    anchors: set[str] = set()
    links: list[str] = []
    tokens = MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))
    for before, token in zip([None, *tokens], tokens, strict=False):
        for piece in token.children or []:
            links += [str(piece.attrs[key]) for key in ("href", "src") if key in piece.attrs]
        if before is not None and before.type == "heading_open":
            text = "".join(piece.content for piece in token.children or [])
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")  # as GitHub makes them
            copies = sum(1 for known in anchors if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", known))
            anchors.add(f"{slug}-{copies}" if copies else slug)
    return anchors, links


def broken_links(page: Path) -> list[str]:
    """Returns the links of a page to files and headings that are not there."""
    broken = []
    for link in _parsed(page)[1]:
        if re.match(r"[a-z]+:", link):
            continue  # another site: no test asks the network
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _parsed(target)[0]):
            broken.append(link)
    return broken


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert not broken_links(page)


def test_a_broken_link_is_seen(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b`: c\n\n[a](#a-b-c) [b](#a-b) [c](page.md) [d](other.md) [e](https://example.org)\n")
    assert broken_links(page) == ["#a-b", "other.md"]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _bound(node: ast.stmt) -> list[str]:
    """Returns the names that a statement gives a value to."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


class Names:
    """All names of a source tree by their full path, as far as they can be read without importing it."""

    def __init__(self, source: Path) -> None:
        self.trees = {self._module(file, source): ast.parse(file.read_text("utf-8")) for file in source.rglob("*.py")}
        self.known: set[str] = set(self.trees)
        self.imported: dict[str, str] = {}  # module.alias: full path
        for module, tree in self.trees.items():
            self._collect(module, tree.body)
            for node in ast.walk(tree):
                if isinstance(node, ast.Import):
                    self.imported |= {f"{module}.{a.asname or a.name}": a.name for a in node.names}
                elif isinstance(node, ast.ImportFrom):
                    self.imported |= {f"{module}.{a.asname or a.name}": f"{node.module}.{a.name}" for a in node.names}

    @staticmethod
    def _module(file: Path, source: Path) -> str:
        return ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")

    def _collect(self, scope: str, body: list[ast.stmt]) -> None:
        for node in body:
            self.known |= {f"{scope}.{name}" for name in _bound(node)}
            if isinstance(node, ast.ClassDef):
                self._collect(f"{scope}.{node.name}", node.body)
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                        self.known.add(f"{scope}.{node.name}.{inner.attr}")
            elif isinstance(node, ast.If | ast.Try):
                self._collect(scope, node.body)

    def has(self, name: str, scopes: list[str]) -> bool:
        """Returns whether a name means something in one of the scopes. What another package holds is believed."""
        paths = [self._followed(f"{scope}.{name}") for scope in scopes]
        return self._followed(name) in self.known or any(
            path in self.known or not path.startswith("radrl.") for path in paths
        )

    def _followed(self, full: str) -> str:
        """Returns the full path of a name by where it was imported from."""
        parts = full.split(".")
        for k in range(len(parts), 1, -1):
            if target := self.imported.get(".".join(parts[:k])):
                return ".".join([target, *parts[k:]])
        return full

    def unknown(self) -> list[str]:
        """Returns ``module:line: name`` of each name in single backticks of a docstring that means nothing there."""
        return [
            f"{module}:{text.lineno}: `{name}`"
            for module, tree in self.trees.items()
            for text, scopes, local in self._texts(tree, [module], set())
            for name in REFERENCE.findall(text.value.value)
            if name not in local and not self.has(name, scopes)
        ]

    def _texts(self, node: ast.AST, scopes: list[str], local: set[str]):
        for child in ast.iter_child_nodes(node):
            if _is_text(child):
                packages = [scopes[-1].rsplit(".", k)[0] for k in range(1, scopes[-1].count(".") + 1)]
                yield child, [*scopes, *packages], local
            elif isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                arguments = {arg.arg for arg in ast.walk(child) if isinstance(arg, ast.arg)}
                yield from self._texts(child, [f"{scopes[0]}.{child.name}", *scopes], local | arguments)


@pytest.fixture(scope="module")
def known() -> Names:
    """The names of our own source."""
    return Names(SOURCE)


def test_names_in_docstrings_exist(known):
    assert not known.unknown()


def test_an_unknown_name_in_a_docstring_is_seen(tmp_path):
    (tmp_path / "radrl").mkdir()
    (tmp_path / "radrl" / "__init__.py").touch()
    (tmp_path / "radrl" / "a.py").write_text(
        '"""`f`, `C.x`, `C.y`, ``z``, `json.dumps`, `radrl.b`, `radrl.c`."""\nimport json\n\n\n'
        'class C:\n    x: int\n    """Not `z`."""\n\n\ndef f(q):\n    """`q` of `C`."""\n'
    )
    (tmp_path / "radrl" / "b.py").touch()
    assert Names(tmp_path).unknown() == ["radrl.a:1: `C.y`", "radrl.a:1: `radrl.c`", "radrl.a:7: `z`"]


def test_what_benchmarks_import_exists(known):
    missing = []
    for file in (ROOT / "benchmarks").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("radrl"):
                names = [alias.name for alias in node.names if not known.has(alias.name, [str(node.module)])]
                missing += [f"{file.name}:{node.lineno}: {node.module}.{name}" for name in names]
    assert not missing
