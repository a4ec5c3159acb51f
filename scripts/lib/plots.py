"""The pictures of docs/EVIDENCE.md: small SVG files without script, font or colour of the page they stand on.

Each picture is drawn of evidence alone, and says so where there is none. Lines and words are grey that is read on white and
on black; what is told by colour is told by a number as well.
"""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

from claims import demand_held, number

WIDTH, LEFT, RIGHT, TOP, ROW = 760, 250, 150, 44, 24
INK, FAINT, BAR, BAD, LINE = "#767676", "#76767655", "#3b82c4", "#d9480f", "#c026d3"
NONE = "not measured on any commit yet"
BENCHES = ["core", "sale", "footprint", "backup", "years", "drain", "print"]


@dataclass
class Bar:
    """A row: what it is, how long, what is written behind it."""

    label: str
    value: float
    note: str
    bad: bool = False


@dataclass
class Plot:
    """A picture: its file's name, its title, and the function that draws it of the evidence."""

    name: str
    title: str
    of: object

    def draw(self, kept):
        return self.of(self, kept) or empty(self.title)


def text(x, y, words, anchor="start", **more):
    attributes = "".join(f' {key.replace("_", "-")}="{value}"' for key, value in more.items())
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{attributes}>{escape(words)}</text>'


def line(x1, y1, x2, y2, colour=FAINT, dash=""):
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'


def picture(title, description, height, parts):
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-labelledby="title about" font-family="sans-serif" font-size="12" fill="{INK}">\n'
        f'<title id="title">{escape(title)}</title>\n<desc id="about">{escape(description)}</desc>\n'
        f'{text(8, 20, title, font_size=14, font_weight="bold")}\n{body}\n</svg>\n'
    )


def empty(title):
    return picture(title, NONE, 64, [text(8, 46, NONE)])


def steps(most):
    """Ticks from zero on, so that there are four to eight of them."""
    size = 10 ** math.floor(math.log10(most))
    size = next(size * part for part in (0.1, 0.2, 0.5, 1) if most / (size * part) <= 8)
    return [size * tick for tick in range(int(most / size + 1e-9) + 1)]


def decades(least, most):
    """Ticks of a logarithmic axis: 1, 10, 100."""
    return [10.0**power for power in range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)]


def bars(title, axis, rows, mark=None, mark_note="", logarithmic=False):
    """Bars from left to right, a line where the demand is, ticks below."""
    right, bottom = WIDTH - RIGHT, TOP + ROW * len(rows)
    values = [row.value for row in rows] + ([mark] if mark else [])
    if logarithmic:
        ticks = decades(min(value for value in values if value > 0), max(values))
        low, span = math.log10(ticks[0]), math.log10(ticks[-1] / ticks[0]) or 1

        def place(value):
            return LEFT + (math.log10(max(value, ticks[0])) - low) / span * (right - LEFT)
    else:
        most = max([*values, 1e-9]) * 1.05
        ticks = steps(most)

        def place(value):
            return LEFT + value / most * (right - LEFT)

    parts = []
    for tick in ticks:
        parts += [line(place(tick), TOP - 4, place(tick), bottom), text(place(tick), bottom + 16, number(float(tick)), "middle")]
    for at, row in enumerate(rows):
        y = TOP + ROW * at
        end = place(row.value)
        parts.append(text(LEFT - 8, y + 15, row.label, "end"))
        parts.append(f'<rect x="{LEFT}" y="{y + 4}" width="{max(end - LEFT, 1):.1f}" height="{ROW - 9}" fill="{BAD if row.bad else BAR}"/>')
        parts.append(text(right + 8, y + 15, row.note))
    if mark:
        parts += [line(place(mark), TOP - 8, place(mark), bottom + 2, LINE, "5 3"), text(place(mark), TOP - 11, mark_note, "middle", fill=LINE)]
    parts.append(text((LEFT + right) / 2, bottom + 34, axis, "middle"))
    described = "; ".join(f"{row.label}: {row.note}" for row in rows)
    return picture(title, f"{axis}. {described}", bottom + 44, parts)


def curve(title, x_axis, y_axis, points, lines):
    """A line through points over a logarithmic axis from left to right; `lines`: level and words of lines beside it."""
    left, right, top, bottom = 90, WIDTH - 190, TOP, 260
    ticks = decades(points[0][0], points[-1][0])
    low, span = math.log10(ticks[0]), math.log10(ticks[-1] / ticks[0]) or 1
    most = max([y for _, y in points] + [level for level, _ in lines]) * 1.1

    def across(x):
        return left + (math.log10(x) - low) / span * (right - left)

    def up(y):
        return bottom - y / most * (bottom - top)

    parts = []
    for tick in ticks:
        parts += [line(across(tick), top, across(tick), bottom), text(across(tick), bottom + 16, number(tick), "middle")]
    for tick in steps(most):
        parts += [line(left, up(tick), right, up(tick)), text(left - 6, up(tick) + 4, number(float(tick)), "end")]
    for level, words in lines:
        parts += [line(left, up(level), right, up(level), LINE, "5 3"), text(right + 8, up(level) + 4, words, fill=LINE)]
    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{BAR}" stroke-width="2"/>')
    parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="4" fill="{BAR}"/>' for x, y in points]
    parts.append(text((left + right) / 2, bottom + 34, f"{y_axis}, over {x_axis}", "middle"))
    described = "; ".join(f"{number(y)} at {number(x)}" for x, y in points)
    return picture(title, f"{y_axis}, over {x_axis}: {described}", bottom + 44, parts)


def figures(kept, name):
    proof = kept.get(name)
    return proof["figures"] if proof else {}


def demands(plot, kept):
    """Every demand of every measurement: how much of what is allowed is used. Beyond one it is missed."""
    rows = []
    for name in [f"bench-{bench}" for bench in BENCHES] + ["hq-load"]:
        for demand in figures(kept, name).get("demands", []):
            value = demand["is"]
            if value is None:
                continue
            least = "at_least" in demand
            bound = demand["at_least" if least else "at_most"]
            used = (bound / value if value else math.inf) if least else (value / bound if bound else float(value > 0))
            note = f"{number(value)} ({'≥' if least else '≤'} {number(bound)})"
            label = f"{name.removeprefix('bench-')}: {demand['figure']}"
            rows.append(Bar(label, min(used, 2.0), note, not demand_held(demand)))
    return bars(plot.title, "share of what is allowed that is used (2: twice as much, or more)", rows, 1.0, "demand") if rows else None


def machine(plot, kept):
    """What is done a second, beside the most that the machine could do in the same run."""
    sale, drain, load = figures(kept, "bench-sale"), figures(kept, "bench-drain"), figures(kept, "hq-load")
    rows = []

    def share(label, value, best, unit):
        rows.append(Bar(label, value / best, f"{number(round(value))} of {number(round(best))} {unit}"))

    if sale:
        share("sales: of HTTP and signing alone", sale["receipts_per_s"], sale["bound_per_s"], "/s")
    if drain:
        rate = drain["one_till_per_s"]
        share("one till's backlog: of one a round trip", rate, rate / drain["one_till_of_bound"], "/s")
        rate = drain["many_tills_per_s"]
        share("ten tills': of ten times one till", rate, rate / drain["many_tills_of_one"], "/s")
    if load:
        share("head office: of COPY", load["events_per_s"], load["copy_rows_per_s"], "/s")
    return bars(plot.title, "share of the machine's best in the same run", rows, 1.0, "the machine's best") if rows else None


def core(plot, kept):
    """What the core takes, in the time of the library alone."""
    of = figures(kept, "bench-core")
    rows = []
    for key in of:
        if key.endswith("_floors"):
            name = key.removesuffix("_floors")
            rows.append(Bar(name.replace("_", " "), of[key], f"{number(round(of[key], 2))} × {number(round(of[f'{name}_floor_ns']))} ns"))
    axis = "in floors: the library alone with the same bytes (logarithmic)"
    return bars(plot.title, axis, rows, 1.0, "floor", logarithmic=True) if rows else None


def latency(plot, kept):
    """How long somebody waits, from the floor to the longest."""
    rows = []
    sale, printed, backup, years = (figures(kept, f"bench-{name}") for name in ("sale", "print", "backup", "years"))

    def row(label, of, figure, per_ms=1):
        value = of.get(figure)
        if value is not None:
            rows.append(Bar(label, value / per_ms, f"{number(round(value / per_ms, 2))} ms"))

    row("sale: floor", sale, "single_floor_us", 1000)
    row("sale: median", sale, "single_p50_us", 1000)
    row("sale: 99th percentile", sale, "single_p99_us", 1000)
    for which, name in (("sale to printer", "api"), ("old POS to printer", "captured")):
        for figure, word in (("p50", "median"), ("p99", "99th percentile"), ("max", "longest")):
            row(f"{which}: {word}", printed, f"{name}_{figure}_ms")
    row("what backups add to the longest sale", backup, "added_max_ms")
    row("look-up in five years: median, from disk", years, "look_up_first_p50_ms")
    rows = [bar for bar in rows if bar.value > 0]
    return bars(plot.title, "ms (logarithmic)", rows, logarithmic=True) if rows else None


def histogram(plot, kept):
    """How many sales on one connection took how long: columns over a logarithmic axis."""
    of = figures(kept, "bench-sale")
    buckets = [(bucket["up_to_us"] / 1000, bucket["sales"]) for bucket in of.get("single_histogram", [])]
    if not buckets:
        return None
    left, right, top, bottom = 60, WIDTH - 30, TOP + 16, 240
    all_sales, most = sum(sales for _, sales in buckets), max(sales for _, sales in buckets)
    first, last = of["single_floor_us"] / 1000 / 1.2, buckets[-1][0] * 1.05
    low = math.log(min(first, buckets[0][0] / 1.2))
    span = math.log(last) - low

    def across(ms):
        return left + (math.log(ms) - low) / span * (right - left)

    parts = [line(left, bottom, right, bottom)]
    for power in range(-3, 5):
        for ms in (10.0**power, 2 * 10.0**power, 5 * 10.0**power):
            if left <= across(ms) <= right:
                parts += [line(across(ms), top, across(ms), bottom), text(across(ms), bottom + 16, number(ms), "middle")]
    for up_to, sales in buckets:
        begin, tall = across(up_to / 1.125), sales / most * (bottom - top)
        # What is rare is seen all the same.
        tall = max(tall, 1.5) if sales else 0
        parts.append(f'<rect x="{begin:.1f}" y="{bottom - tall:.1f}" width="{max(across(up_to) - begin - 1, 1):.1f}" height="{tall:.1f}" fill="{BAR}"/>')
    marks = [("floor", "single_floor_us"), ("median", "single_p50_us"), ("99 %", "single_p99_us")]
    for at, (words, figure) in enumerate(marks):
        x = across(of[figure] / 1000)
        parts += [line(x, top - 4, x, bottom, LINE, "5 3"), text(x, TOP - 8 + 12 * (at % 2), words, "middle", fill=LINE)]
    parts.append(text((left + right) / 2, bottom + 34, f"ms that a sale took on one connection (logarithmic); {number(all_sales)} sales", "middle"))
    told = ", ".join(f"{words} {number(round(of[figure] / 1000, 3))} ms" for words, figure in marks)
    return picture(plot.title, f"{number(all_sales)} sales on one connection: {told}", bottom + 44, parts)


def ingest(plot, kept):
    """Head office's events a second as its tables grow."""
    of = figures(kept, "hq-load")
    points = sorted((point["rows"], point["events_per_s"]) for point in of.get("grown", []))
    points = [(rows, rate) for rows, rate in points if rows > 0]
    if not points:
        return None
    lines = [(demand["at_least"], "demand") for demand in of["demands"] if demand["figure"] == "events_per_s"]
    lines.append((of["copy_rows_per_s"], "COPY, empty tables"))
    return curve(plot.title, "rows in the tables", "events a second", points, lines)


PLOTS = [
    Plot("demands", "Every demand, and how much of it is used", demands),
    Plot("machine", "Against the machine's best", machine),
    Plot("core", "What the core costs", core),
    Plot("latency", "How long somebody waits", latency),
    Plot("histogram", "How long a sale takes", histogram),
    Plot("ingest", "Head office as its tables grow", ingest),
]
