"""The files, modules and functions that the pages name exist; above all those of docs/architecture.md."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from test_rooms import ROOMS, imports

import radrl

SOURCE = Path(radrl.__file__).parent
HOME = Path(__file__).parents[1]
PAGES = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]
OTHERS = {  # files of other people's repositories, and files of the reader's own
    "create_section_files.py", "create_llava_dataset.py", "eval/run_offline_inference.py", "cal_report_metrics.py",
    "data_process/prepare_vlm_eval_data_v2.py", "my_rewards.py", "my_format.py", "my_preset.yaml", "my_protocol.yaml",
    "FILE.yaml", "clinic.py", "make_manifest.py", "model.yaml",
    "recipe.yaml", "chat_template.jinja", "tests/helpers/sets/NAME.py",
}  # fmt: skip
MADE = ("runs/", "OUT/", "FOLDER/", "out/")  # what commands write


def text_of(page: Path) -> str:
    """Returns a page without its fenced code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def places(name: str) -> list[Path]:
    """Returns the files that a path on a page may mean: from the repository, src, the package, or by its end."""
    first = [HOME / name, HOME / "src" / name, SOURCE / name]
    return [path for path in first if path.is_file()] or [
        path for folder in (SOURCE, HOME / "tests", HOME / "benchmarks") for path in folder.rglob(f"*/{name}")
    ]


@cache
def defined_in(file: Path) -> frozenset[str]:
    """Returns the names that a module defines at its top, and those of its classes' methods as ``Class.method``."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        targets = node.targets if isinstance(node, ast.Assign) else []
        targets = [node.target] if isinstance(node, ast.AnnAssign) else targets
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(names)


@cache
def names_in(file: Path) -> frozenset[str]:
    """Returns the names that can be imported from a module: defined, imported, or in ``__all__`` and imported late."""
    names = set(defined_in(file))
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names |= {part.value for part in ast.walk(node.value) if isinstance(part, ast.Constant)}
    return frozenset(names)


def module_of(dotted: str) -> tuple[Path, list[str]] | None:
    """Returns the file of the longest module that a dotted name begins with, and the rest of the name."""
    parts = dotted.split(".")[1:]
    for length in range(len(parts), -1, -1):
        folder = SOURCE.joinpath(*parts[:length])
        for file in (folder / "__init__.py", folder.with_suffix(".py")):
            if file.is_file():
                return file, parts[length:]
    return None


def unknown(text: str) -> list[str]:
    """Returns the names ``radrl.…`` in a text that are no module and nothing in one."""
    wrong = []
    for dotted in re.findall(r"\b(radrl(?:\.[A-Za-z_]\w*)+)", text):
        if dotted not in ("radrl.scorers", "radrl.readers"):  # these are groups of entry points
            found = module_of(dotted)
            if found is None or (found[1] and ".".join(found[1]) not in names_in(found[0])):
                wrong.append(dotted)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page):
    named = set(re.findall(r"(?<![\w/$.{*-])((?:[\w.-]+/)*[\w-]+\.(?:py|yaml|txt|jinja))\b(?![:\w])", text_of(page)))
    missing = {name for name in named - OTHERS if not name.startswith(MADE) and not places(name)}
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_functions_exist(page):
    wrong = []
    wrong += unknown(page.read_text(encoding="utf-8"))
    for module, imported in re.findall(r"^\s*from (radrl[\w.]*) import (.+)$", page.read_text(encoding="utf-8"), re.M):
        file, rest = module_of(module) or (None, [])
        if file is None or rest:
            wrong.append(module)
            continue
        for name in imported.split("#")[0].strip("() ").split(","):
            name = name.strip().split(" as ")[0]
            if name not in names_in(file) and module_of(f"{module}.{name}") == (file, [name]):
                wrong.append(f"{module}.{name}")
    assert not wrong


def test_what_has_moved_is_where_the_changelog_says():
    rows = re.findall(r"^\| (`radrl\..*) \| (.*) \|$", (HOME / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert len(rows) > 10
    assert unknown("\n".join(now if now != "as before" else before for before, now in rows)) == []


ARCHITECTURE = HOME / "docs/architecture.md"


def test_file_and_function_of_each_walk():
    wrong = []
    for file, name in re.findall(r"`([\w/]+\.py):([\w.]+)`", ARCHITECTURE.read_text(encoding="utf-8")):
        path = SOURCE / file
        if not path.is_file() or name not in defined_in(path):
            wrong.append(f"{file}:{name}")
    methods = re.findall(r"`(SharedPrefixGRPOTrainer\.\w+)`", ARCHITECTURE.read_text(encoding="utf-8"))
    wrong += [name for name in methods if name not in defined_in(SOURCE / "training/shared_prefix/trainer.py")]
    folders = re.findall(r"`(?:src/radrl/)?([a-z_]+/(?:[a-z_]+/)*)`", ARCHITECTURE.read_text(encoding="utf-8"))
    inner = {path.name for path in SOURCE.glob("*/*/")}
    wrong += [f for f in folders if not (SOURCE / f).is_dir() and f.rstrip("/") not in inner]
    assert not wrong


def test_a_room_imports_only_what_its_row_allows():
    wrong = []
    for room, allowed in re.findall(r"^\| `(\w+)` \|.*\| ([^|]*) \|$", ARCHITECTURE.read_text(encoding="utf-8"), re.M):
        if room not in ROOMS:
            continue
        named = set(re.findall(r"`(\w+)`", allowed))
        may = set(ROOMS[: ROOMS.index(room)]) - named if allowed.startswith("all above") else named
        files = [SOURCE / f"{room}.py"] if (SOURCE / f"{room}.py").is_file() else (SOURCE / room).rglob("*.py")
        for other in sorted({to for file in files for _, to, _ in imports(file, SOURCE)} - may - {room}):
            wrong.append(f"{room} imports {other}: add it to its row of the table, or do without")
    assert not wrong


def test_every_page_is_in_the_index():
    index = (HOME / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"(docs/{page.name})" not in index] == []
