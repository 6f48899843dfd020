"""The rooms of src/radrl and the arrows between them, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
from pathlib import Path

import radrl

SOURCE = Path(radrl.__file__).parent
ROOMS = [
    "errors",
    "label_names",
    "example",
    "choices",
    "boxes",
    "prompt",
    "recipe",
    "support",
    "images",
    "clinical",
    "answers",
    "manifest",
    "models",
    "data",
    "scoring",
    "evaluation",
    "training",
    "output",
    "commands",
]
DOOR = {"__init__", "__main__"}  # of the package itself


def imports(file: Path, source: Path) -> list[tuple[str, str, int]]:
    """Returns ``(room, room imported from, line)`` of each import of ours in a file."""
    room = file.relative_to(source).parts[0].removesuffix(".py")
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: a relative import; write its whole name"
            names = [f"radrl.{name.name}" for name in node.names] if node.module == "radrl" else [node.module or ""]
        elif isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        else:
            continue
        found += [(room, name.split(".")[1], node.lineno) for name in names if name.startswith("radrl.")]
    return [(a, b, line) for a, b, line in found if b != "__version__"]


def back(source: Path) -> list[str]:
    """Returns the arrows that point back, as text."""
    wrong = []
    for file in sorted(source.rglob("*.py")):
        if file.parent == source and file.stem in DOOR:
            continue
        for room, other, line in imports(file, source):
            assert {room, other} <= set(ROOMS), f"{file}:{line}: a room that docs/architecture.md does not name"
            if ROOMS.index(other) > ROOMS.index(room):
                wrong.append(f"{file.relative_to(source)}:{line}: {room} imports from {other}")
    return wrong


def test_no_arrow_points_back():
    assert back(SOURCE) == []


def test_a_planted_arrow_is_found(tmp_path):
    (tmp_path / "scoring").mkdir()
    (tmp_path / "scoring/planted.py").write_text("def f():\n    from radrl.training import sft\n")
    (tmp_path / "training").mkdir()
    (tmp_path / "training/planted.py").write_text("import radrl.output.tables\nfrom radrl import errors\n")
    assert back(tmp_path) == [
        "scoring/planted.py:2: scoring imports from training",
        "training/planted.py:1: training imports from output",
    ]


def test_the_page_names_every_room():
    page = (Path(__file__).parents[1] / "docs/architecture.md").read_text(encoding="utf-8")
    missing = [room for room in ROOMS if f"| `{room}" not in page]
    assert not missing
    there = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert there - DOOR - {"recipes"} == set(ROOMS)


def circles(source: Path) -> list[str]:
    """Returns the circles in which a module imports itself by way of others, as text. Every import of ours in a file
    counts, also within a function or under TYPE_CHECKING; not those of the package's own door, which leads to all."""
    files = {file.relative_to(source.parent).with_suffix(""): file for file in sorted(source.rglob("*.py"))}
    modules = {".".join(name.parts).removesuffix(".__init__"): file for name, file in files.items()}
    door = {source.name, *(f"{source.name}.{name}" for name in DOOR)}
    edges: dict[str, set[str]] = {name: set() for name in modules.keys() - door}
    for name in edges:
        for node in ast.walk(ast.parse(modules[name].read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                found = {f"{node.module}.{one.name}" for one in node.names}
                edges[name] |= {one if one in modules else node.module for one in found}
            elif isinstance(node, ast.Import):
                edges[name] |= {one.name for one in node.names}
        edges[name] &= edges.keys()
    seen: list[str] = []
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            seen.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in done:
            for other in sorted(edges[name]):
                walk(other, (*path, name))
            done.add(name)

    for name in sorted(edges):
        walk(name, ())
    return seen


def test_no_circle_of_modules():
    assert circles(SOURCE) == []


def test_a_planted_circle_is_found(tmp_path):
    room = tmp_path / "radrl/scoring"
    room.mkdir(parents=True)
    (room / "a.py").write_text("from radrl.scoring import b, c\nimport radrl.scoring.d\n")
    (room / "b.py").write_text("def f():\n    from radrl.scoring.a import g\n")
    (room / "c.py").write_text("if TYPE_CHECKING:\n    from radrl.scoring.a import G\n")
    (room / "d.py").write_text("from radrl.errors import UserError\n")
    (tmp_path / "radrl/__init__.py").write_text("from radrl.scoring import d\n")
    assert circles(tmp_path / "radrl") == [
        "radrl.scoring.a -> radrl.scoring.b -> radrl.scoring.a",
        "radrl.scoring.a -> radrl.scoring.c -> radrl.scoring.a",
    ]
