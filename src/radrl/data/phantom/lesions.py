"""How each finding changes the film, and the box around what it changes."""

from __future__ import annotations

import numpy as np

from radrl.data.phantom import anatomy
from radrl.data.phantom.anatomy import SIGN, Patient
from radrl.data.phantom.canvas import Canvas, cloud, grid
from radrl.data.phantom.findings import Part, Plan, Severity
from radrl.example import Box

_ROUND = np.linspace(0, 2 * np.pi, 28, endpoint=False)


class Scene:
    """What the findings do, as maps of shape (size, size) that the drawing applies."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas
        shape = (canvas.size, canvas.size)
        self.open = np.ones(shape, np.float32)  # share of the air that is left in the lung
        self.fluid = np.zeros(shape, np.float32)
        self.free_air = np.zeros(shape, np.float32)  # air of a pneumothorax
        self.vessels = np.ones(shape, np.float32)  # how strong the vessels are
        self.lines = np.zeros(shape, np.float32)  # attenuation of tubes, wires and pleural lines

    def dense(self, density: np.ndarray) -> None:
        """Takes a share ``density`` (0-1) of the air away."""
        self.open *= 1 - density


def add(scene: Scene, plan: Plan) -> tuple[Box, ...]:
    """Adds a finding to the scene; returns its boxes."""
    rng = np.random.default_rng(plan.seed)
    shapes = {
        "cardiomegaly": _heart,
        "pleural effusion": _fluid,
        "pneumothorax": _free_air,
        "consolidation": _consolidation,
        "atelectasis": _bands,
        "nodule": _round,
        "mass": _round,
        "edema": _haze,
        "endotracheal tube": _tracheal_tube,
        "central venous catheter": _catheter,
        "pacemaker": _pacemaker,
    }
    return tuple(shapes[plan.name](scene, plan, part, rng) for part in plan.parts)


def around(points: np.ndarray, label: str, least: float = 0.05) -> Box:
    """Returns the box around points (n, 2) in 0-1 of the film, cut at its edges, at least ``least`` wide and high."""
    low, high = points.min(0), points.max(0)
    pad = np.maximum(least - (high - low), 0) / 2
    low, high = np.clip(low - pad, 0, 1 - least), np.clip(high + pad, least, 1)
    x1, y1, x2, y2 = (round(float(v), 4) for v in (*low, *high))
    return Box(xyxy=(x1, y1, x2, y2), label=label)


def _box(layer: np.ndarray, label: str, share: float) -> Box:
    """Returns the box around the pixels of ``layer`` above ``share`` of its largest."""
    mask = layer > share * layer.max()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    corners = np.array([(columns[0], rows[0]), (columns[-1] + 1, rows[-1] + 1)]) / len(layer)
    return around(corners, label)


def _line_box(p: Patient, line: np.ndarray, label: str) -> Box:
    return around(p.pixels(line, 1), label)


def _heart(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    return _line_box(scene.canvas.p, anatomy.heart(scene.canvas.p), plan.name)


def _fluid(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """Fluid in the angle, higher at the chest wall than at the heart; ``size`` is its height at the wall."""
    canvas, p, sign = scene.canvas, scene.canvas.p, SIGN[part.side]
    bottom, w = p.angle[part.side], p.half_width
    top = bottom - part.size - 0.03
    low = top + 0.035 + 0.45 * part.size
    inner = 0.0 if part.size > 0.12 else 0.45 * w
    rim = [(1.1 * w, top - 0.02), (0.97 * w, top + 0.005), (0.80 * w, top + 0.05 + 0.1 * part.size), (0.5 * w, low)]
    if inner == 0.0:
        rim += [(0.25 * w, low + 0.012), (0.0, low + 0.015)]
    else:
        rim += [(inner, bottom)]
    edge = anatomy.smooth(np.array(rim))
    outline = np.concatenate((edge, [(inner, bottom + 0.06), (1.1 * w, bottom + 0.06)])) * (sign, 1)
    mask = canvas.fill([outline], 0.007) * canvas.lung[part.side]
    scene.dense(part.density * mask)
    scene.fluid = np.maximum(scene.fluid, mask)
    return _box(mask * canvas.seen[part.side], plan.name, 0.35)


def _free_air(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """The lung shrinks towards its base, most at the apex; beyond its edge there are no vessels."""
    canvas, p = scene.canvas, scene.canvas.p
    outline = canvas.outline[part.side]
    middle = np.array((SIGN[part.side] * 0.10, p.dome[part.side]))
    up = np.clip((p.angle[part.side] - 0.03 - outline[:, 1]) / (p.angle[part.side] - p.apex), 0, 1)
    keep = 1 - (1 - part.size) * up ** (0.25 + 1.2 * (part.size - 0.5) / 0.4)
    small = middle + keep[:, None] * (outline - middle)
    inside = canvas.fill([small])
    rim = canvas.seen[part.side] * (1 - inside)
    scene.free_air = np.maximum(scene.free_air, rim)
    scene.dense(0.9 * (1 - part.size) * inside * canvas.lung[part.side])
    pleura = np.concatenate((small, small[:1]))[None]
    scene.lines += 0.11 * canvas.bands(pleura, 0.010) * canvas.seen[part.side]
    return _box(rim, plan.name, 0.5)


def _consolidation(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """A cloud with ragged edges and a few air-filled bronchi."""
    canvas = scene.canvas
    size = canvas.size
    x, y = grid(size)
    cx, cy = canvas.p.pixels(np.array(part.at), 1)
    wide = part.size * canvas.p.scale * rng.uniform(0.95, 1.2)
    high = part.size * canvas.p.scale * rng.uniform(0.9, 1.15)
    d = np.sqrt(((x - cx) / wide) ** 2 + ((y - cy) / high) ** 2) + 0.13 * cloud(rng, 14, size)
    mask = np.clip((1.12 - d) / 0.35, 0, 1) * canvas.seen[part.side]
    texture = 1 - 0.16 * np.clip(cloud(rng, 30, size), 0, 1.5)
    scene.dense(part.density * mask * texture)
    return _box(mask, plan.name, 0.4)


def _round(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """A round shadow with a sharp edge; a mass is lobed."""
    canvas = scene.canvas
    lobes = 0.09 if plan.name == "mass" else 0.03
    r = 1 + lobes * sum(np.sin(k * _ROUND + rng.uniform(0, 6.3)) for k in (2, 3, 5))
    outline = np.array(part.at) + part.size * np.stack((r * np.cos(_ROUND), r * np.sin(_ROUND)), 1)
    mask = canvas.fill([outline], 0.005) * (canvas.lung[part.side] * 0.15 + canvas.seen[part.side] * 0.85)
    scene.dense(part.density * mask)
    scene.lines += (0.03 * part.density) * mask
    return _box(mask, plan.name, 0.4)


def _bands(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """Dense plates across the base, more and thicker with severity; ``size`` is half their length."""
    canvas, sign = scene.canvas, SIGN[part.side]
    counts: dict[Severity | None, int] = {"mild": 2, "moderate": 3, "severe": 4}
    count = counts[plan.severity]
    u = np.linspace(-1, 1, 8)
    lines = []
    for i in range(count):
        tilt = rng.uniform(-0.22, 0.05)
        y = part.at[1] + (i - (count - 1) / 2) * 0.034 + rng.uniform(-0.006, 0.006)
        x = part.at[0] + rng.uniform(-0.015, 0.015) + part.size * u * rng.uniform(0.85, 1)
        lines.append(np.stack((x, y + sign * tilt * part.size * u - 0.006 * (1 - u**2)), -1))
    thick = (0.010 + 0.012 * part.density) * np.sqrt(1.05 - u**2)[None]
    mask = canvas.bands(np.array(lines), thick, 0.003) * canvas.seen[part.side]
    scene.dense(part.density * mask)
    return _box(mask, plan.name, 0.4)


def _haze(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """Haze around the hilum, with vessels that stand out."""
    canvas, p = scene.canvas, scene.canvas.p
    x, y = grid(canvas.size)
    cx, cy = p.pixels(np.array(part.at), 1)
    d = ((x - cx) / (0.80 * part.size)) ** 2 + ((y - cy) / (1.25 * part.size)) ** 2
    mask = np.exp(-0.5 * d * d) * canvas.seen[part.side]
    scene.dense(part.density * mask * np.clip(0.85 + 0.28 * cloud(rng, 26, canvas.size), 0, 1.2))
    scene.vessels += (2.0 * part.density) * mask
    return _box(mask, plan.name, 0.3)


def _tracheal_tube(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    tip = scene.canvas.p.carina - 0.045 + 0.02 * part.at[1]
    line = anatomy.smooth(np.array([(0.012 * part.at[0], -0.1), (0.004, 0.06), (-0.003, tip - 0.05), (-0.003, tip)]))
    scene.lines += 0.24 * scene.canvas.bands(line[None], 0.0135)
    return _line_box(scene.canvas.p, line, plan.name)


def _catheter(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """From the neck or from below the clavicle to the superior vena cava; the left one crosses the midline."""
    p, sign = scene.canvas.p, SIGN[part.side]
    tip = (-0.048, p.hilum + 0.02 + 0.03 * part.at[1])
    cava = [(-0.048, p.hilum - 0.08), tip]
    a = p.apex
    if part.size < 0.5:
        start = [(sign * 0.115, -0.1), (sign * 0.10, a - 0.03), (sign * 0.075, a + 0.06)]
    else:
        start = [(sign * 0.33, a + 0.06), (sign * 0.24, a + 0.03), (sign * 0.13, a + 0.05)]
    if part.side == "left":
        start.append((0.02, a + 0.11))
    line = anatomy.smooth(np.array(start + cava))
    scene.lines += 0.24 * scene.canvas.bands(line[None], 0.012)
    return _line_box(p, line, plan.name)


def _pacemaker(scene: Scene, plan: Plan, part: Part, rng: np.random.Generator) -> Box:
    """A metal box below the clavicle and one or two wires to the right heart."""
    canvas, p, sign = scene.canvas, scene.canvas.p, SIGN[part.side]
    x, y = sign * (0.255 + 0.02 * part.at[0]), p.apex + 0.135 + 0.015 * part.at[1]
    square = (
        np.sign(np.cos(_ROUND)) * np.abs(np.cos(_ROUND)) ** 0.5,
        np.sign(np.sin(_ROUND)) * np.abs(np.sin(_ROUND)) ** 0.5,
    )
    case = np.stack(square, 1) * (0.042, 0.034) + (x, y)
    base = p.dome["left"]
    ends = [[(-0.075, base - 0.13), (-0.06, base - 0.09)], [(-0.02, base - 0.06), (0.085, base - 0.045)]]
    way = [(x - sign * 0.03, y - 0.03), (sign * 0.15, y - 0.055), (sign * 0.03 - 0.02, p.apex + 0.13)]
    lines = [anatomy.smooth(np.array([*way, (-0.045, p.hilum - 0.06), *end])) for end in ends]
    lines = lines[1:] if part.size < 0.5 else lines
    scene.lines += 0.5 * canvas.fill([case]) + 0.22 * canvas.bands(np.stack(lines), 0.0105)
    return _line_box(p, np.concatenate((case, *lines)), plan.name)
