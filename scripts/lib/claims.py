"""What is claimed of the product, what proves it, and what the proof must have come to: the rows of docs/EVIDENCE.md."""

from dataclasses import dataclass, field

# What the gateway is made of. A path that ends in / is a folder with all that is in it.
CORE = [".cargo/config.toml", "Cargo.lock", "fiscal/src/"]
GATEWAY = [*CORE, "src/", "a4/src/", "clock/src/", "drivers/src/", "meter/src/", "sync/agent/src/", "sync/wire/src/"]
OFFICE = [*CORE, "a4/src/", "clock/src/", "meter/src/", "sync/central/migrations/", "sync/central/src/", "sync/wire/src/"]
SANDBOX = ["sandbox/src/"]


@dataclass
class Need:
    """What a figure must come to. `amount`: less of it is a smaller proof, not a failed one."""

    what: str
    of: object
    least: float | None = None
    most: float | None = None
    amount: bool = False

    def held(self, figures):
        value = self.of(figures)
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


@dataclass
class Claim:
    """A row of the page. `evidence`: the name of the file below evidence/ that shows it; several claims may share one."""

    name: str
    text: str
    evidence: str
    command: str
    paths: list
    figures: object
    needs: list = field(default_factory=list)


def number(value):
    """A figure for a reader: 10,000, 0.25."""
    if isinstance(value, float) and value != int(value):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    return f"{int(value):,}"


def at(name):
    return lambda figures: figures[name]


def words(*pairs):
    """A cell from figures: `words(("kills", "kills"))` is "10,000 kills"."""
    return lambda figures: ", ".join(f"{number(figures[name])} {text}" for name, text in pairs)


def none_of(name, text):
    return Need(text, at(name), most=0)


def at_least(name, least, text):
    return Need(text, at(name), least=least, amount=True)


def total(rows, name):
    return lambda figures: sum(row[name] for row in figures[rows])


def least_of(rows, name):
    return lambda figures: min((row[name] for row in figures[rows]), default=0)


def fuzzed(figures):
    each = least_of("targets", "inputs")(figures)
    inputs = total("targets", "inputs")(figures)
    crashes = total("targets", "crashes")(figures)
    return f"{len(figures['targets'])} parsers, {number(inputs)} inputs, at least {number(each)} each, {number(crashes)} crashes"


def mutated(figures):
    """Of those that compile: one that hangs the tests is found."""
    parts = figures["parts"]
    tried = ", ".join(f"{part['name']} {number(part['killed'] + part['timeouts'])} of {number(part['mutants'] - part['unviable'])} mutants found" for part in parts)
    unexplained = sum(not survivor["reason"] for survivor in figures["survivors"])
    return f"{tried}, {number(total('parts', 'survived')(figures))} survived, {number(unexplained)} of them without a reason"


def soaked(figures):
    return f"{len(figures['hours'])} hours of a shop, {number(total('hours', 'receipts')(figures))} receipts, {len(figures['judgement'])} things that must stay flat, {number(grown(figures))} did not"


def grown(figures):
    """How many of the things that must stay flat did not, or went wrong. Where nothing was judged nothing is shown."""
    if not figures["judgement"]:
        raise ValueError("nothing was judged")
    wrong = sum(not verdict["is_held"] for verdict in figures["judgement"]) + len(figures["wrong"])
    return wrong or int(not figures["is_flat"])


def missed(figures):
    """How many demands of a measurement are missed. What was not measured is not held."""
    return sum(not demand_held(demand) for demand in figures["demands"])


def demand_held(demand):
    value = demand["is"]
    if value is None:
        return False
    return value <= demand["at_most"] if "at_most" in demand else value >= demand["at_least"]


def demands(figures):
    """The demands of a measurement, each with what it came to."""
    cells = []
    for demand in figures["demands"]:
        bound = f"at most {number(demand['at_most'])}" if "at_most" in demand else f"at least {number(demand['at_least'])}"
        value = "not measured" if demand["is"] is None else number(demand["is"])
        cells.append(f"`{demand['figure']}` {value} ({bound})")
    return ", ".join(cells)


def bench(name, text, paths):
    """A measurement: its demands are its own, docs/BENCHMARKS.md tells them."""
    return Claim(
        f"bench-{name}", text, f"bench-{name}", f"scripts/bench {name}", paths, demands, [Need("demands missed", missed, most=0)]
    )


CRASH = [*GATEWAY, *SANDBOX, "tests/it/crash.rs", "tests/it/crash/"]

CLAIMS = [
    Claim(
        "tests",
        "Everything that must hold in the small holds",
        "tests",
        "scripts/test",
        [*GATEWAY, *OFFICE, *SANDBOX, "tests/", "sync/central/tests/"],
        words(("tests", "tests"), ("failures", "failures")),
        [none_of("failures", "failures"), at_least("tests", 1, "tests")],
    ),
    Claim(
        "attacks",
        "What SECURITY.md says of attackers is tried at full size, and holds",
        "attack",
        "scripts/attack",
        [*GATEWAY, *OFFICE, *SANDBOX, "tests/it/attack.rs", "tests/it/attack/", "sync/central/tests/it/attack.rs"],
        words(
            ("tests", "attacks"),
            ("connections", "connections of floods"),
            ("connections_at_once", "at once"),
            ("answered_beside_floods", "sales answered beside them"),
            ("failed", "that got through"),
        ),
        [none_of("failed", "attacks that got through"), at_least("tests", 40, "attacks"), at_least("connections_at_once", 10_000, "connections at once")],
    ),
    Claim(
        "simulation",
        "No receipt is lost, doubled, skipped or renumbered, every day closes and every valid sale is accepted, whatever fails (simulated stores)",
        "simulation",
        "scripts/simulate --seeds 1000",
        [*GATEWAY, *SANDBOX, "simulation/src/"],
        words(
            ("seeds", "stores"),
            ("sales", "sales"),
            ("steps", "steps"),
            ("crashes", "crashes and power cuts"),
            ("failedSyncs", "failed syncs"),
            ("badPages", "bad pages"),
            ("badExchanges", "bad exchanges with FDMS"),
            ("failures", "failures"),
        ),
        [none_of("failures", "failures"), at_least("seeds", 1000, "stores")],
    ),
    Claim(
        "kills",
        "A gateway that is killed at any moment loses and doubles nothing",
        "crash",
        "scripts/crash",
        CRASH,
        words(("kills", "kills"), ("sales", "sales in all of this run"), ("failedSessions", "failed sessions")),
        [none_of("failedSessions", "failed sessions"), at_least("kills", 10_000, "kills")],
    ),
    Claim(
        "cuts",
        "A power cut loses and doubles nothing that was answered",
        "crash",
        "scripts/crash",
        CRASH,
        words(("cuts", "power cuts on a real ext4"), ("failedSessions", "failed sessions")),
        [none_of("failedSessions", "failed sessions"), at_least("cuts", 500, "power cuts")],
    ),
    Claim(
        "points",
        "Neither does an end between any two durable steps",
        "crash",
        "scripts/crash",
        CRASH,
        words(("points", "ends at named points"), ("failedSessions", "failed sessions")),
        [none_of("failedSessions", "failed sessions"), at_least("points", 1, "named points")],
    ),
    Claim(
        "month",
        "After a month of three tills with lost messages, outages and restarts FDMS holds what the ledger holds",
        "month",
        "scripts/month",
        [*GATEWAY, *SANDBOX, "tests/it/month.rs", "tests/it/support/"],
        words(
            ("receipts", "receipts"),
            ("days", "fiscal days"),
            ("outages", "outages"),
            ("restarts", "restarts"),
            ("lostRequests", "lost requests"),
            ("lostAnswers", "lost answers"),
            ("wrong", "things wrong"),
        ),
        [none_of("wrong", "things wrong"), at_least("receipts", 100_000, "receipts")],
    ),
    Claim(
        "hq-exactly-once",
        "Head office has each line of each store once, and carries each command out once",
        "hq-exactly-once",
        "scripts/hq-exactly-once",
        [*OFFICE, "sync/agent/src/", "sync/central/tests/it/sync/"],
        words(("stores", "stores"), ("events", "events"), ("strikes", "kills and restarts"), ("wrong", "things wrong")),
        [none_of("wrong", "things wrong"), at_least("events", 100_000, "events")],
    ),
    Claim(
        "fuzz",
        "No input brings a parser down",
        "fuzz",
        "scripts/fuzz",
        [*GATEWAY, "fuzz/src/"],
        fuzzed,
        [Need("crashes", total("targets", "crashes"), most=0), Need("inputs each", least_of("targets", "inputs"), least=10_000_000, amount=True)],
    ),
    Claim(
        "soak",
        "Nothing grows or slows down over a supermarket's days",
        "soak",
        "scripts/soak",
        [*GATEWAY, *SANDBOX],
        soaked,
        [Need("things that grew", grown, most=0), Need("hours", lambda figures: len(figures["hours"]), least=24, amount=True)],
    ),
    Claim(
        "mutants",
        "The tests find mistakes: defects put in by machine are seen",
        "mutants",
        "scripts/mutants",
        [*GATEWAY, *OFFICE, "tests/"],
        mutated,
        [Need("mutants", total("parts", "mutants"), least=1, amount=True)],
    ),
    Claim(
        "hq-load",
        "Head office takes what many stores send",
        "hq-load",
        "scripts/hq-load",
        [*OFFICE, "sync/central/examples/"],
        demands,
        [Need("demands missed", missed, most=0)],
    ),
    Claim(
        "install",
        "The packages install, upgrade, survive reboots and power cuts, and go, on a clean Debian",
        "install-test",
        "scripts/install-test",
        ["Cargo.toml", "packaging/", *GATEWAY],
        words(("held", "things held"), ("failures", "did not"), ("seconds", "s in a virtual machine")),
        [none_of("failures", "failures"), at_least("held", 50, "things that hold")],
    ),
    Claim(
        "package",
        "The packages are small, without test code, and the same byte for byte when they are built elsewhere",
        "package",
        "scripts/package --twice",
        ["Cargo.toml", "packaging/", *GATEWAY, *OFFICE, *SANDBOX],
        words(("fiscaldBytes", "bytes of fiscald"), ("hqBytes", "of fiscal-hq"), ("sandboxBytes", "of fdms-sandbox"), ("rebuilt", "built again elsewhere, the same")),
        [Need("bytes", at("fiscaldBytes"), most=12_000_000), at_least("rebuilt", 3, "packages built again")],
    ),
    bench("core", "The core costs little more than the hashes and signatures in it", CORE),
    bench("sale", "A sale costs little more than HTTP, a signature and a write to disk", GATEWAY),
    bench("footprint", "The gateway is small, idle at rest, and no slower with a million receipts", GATEWAY),
    bench("backup", "Backups hold no sale up", GATEWAY),
    bench("years", "Five years of receipts are ready at once", GATEWAY),
    bench("drain", "A backlog reaches FDMS as fast as its answers let it", [*GATEWAY, *SANDBOX]),
    bench("print", "A receipt is at the printer before the customer looks", [*GATEWAY, "drivers/vprinter/src/"]),
]
