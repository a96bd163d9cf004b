"""Reports and pages in a browser: at any width and in both themes they can be read and used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.window import Window, lacking
from end_to_end.workplace import Workplace
from made_up import NAUGHTY, Maker, cell, seeds_over_models, show
from storm_evaluation.evaluation import Evaluation
from storm_evaluation.sample import Sample

pytestmark = pytest.mark.skipif(bool(lacking()), reason=f"needs {lacking()}")
WINDOWS = [(1400, "light"), (390, "dark")]
SLOW = pytest.param("ablation", marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def window() -> Iterator[Window]:
    with Window() as shown:
        yield shown


@pytest.fixture(scope="module")
def report(smoked: Workplace) -> Path:
    """The report of a finished run with every kind of stage."""
    return smoked.folder / "outputs/latest/report.html"


@pytest.fixture(scope="module")
def look(smoked: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of what every stage of the run read and wrote."""
    file = tmp_path_factory.mktemp("look") / "look.html"
    smoked.run("look", "--page", str(file))
    return file


@pytest.fixture(scope="module")
def sweep(smoked: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a sweep of merges."""
    place = Workplace(tmp_path_factory.mktemp("sweep"))
    models = (smoked.folder / "outputs/latest" / name for name in ("base_model", "partner"))
    paths = map("{}.path={}".format, ("base_model", "partner"), models)
    place.run("-m", "recipe=merge", *paths, "merger.t=0.2,0.5,0.8")
    return place.folder / "outputs/latest/report.html"


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a sweep of models of several sizes, with three seeds each."""
    made = Maker(tmp_path_factory.mktemp("seeds"))
    show(seeds_over_models(made))
    return made.folder / "run/report.html"


@pytest.fixture(scope="module")
def ablation(smoked: Workplace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of an ablation."""
    place = Workplace(tmp_path_factory.mktemp("ablation"))
    without = [f"ablation.controls.{name}=null" for name in ("curation", "spectrum", "slerp")]
    store = f"store.path={smoked.folder}/outputs/store"
    place.run("ablate", "recipe=smoke", *without, "seed=0,1", store)
    return place.folder / "outputs/latest/report.html"


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose first stage failed."""
    place = Workplace(tmp_path_factory.mktemp("failed"))
    words = ("recipe=storm_own", "targets=[dataset]", "dataset=dataset_command")
    place.run(*words, "dataset.line='python -c 1/0 {out}'", code=1)
    return place.folder / "outputs/latest/report.html"


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a sweep over values that nobody chose for a page, one of which failed."""
    make = Maker(tmp_path_factory.mktemp("odd"))
    values = [
        NAUGHTY,
        "=cmd|' /C calc'!A0",
        "x" * 300,
        "数据集" * 9,
        "m" * 20,
        "line\nbreak",
        "null",
    ]
    cells = []
    for number, value in enumerate(values):
        failed = number == 1
        stage = make.stage(
            "evaluator",
            "Evaluation",
            settings={"number": number},
            metrics={} if failed else {"mean_score": math.nan if number == 2 else number / 10},
            main_metric="mean_score",
            measured_on={"mean_score": "rows"},
            status="failed" if failed else "made",
            error=NAUGHTY if failed else "",
        )
        cells.append(cell(stage, overrides=("recipe=storm", f"dataset.path={value}")))
    show(make.run(*cells))
    return make.folder / "run/report.html"


@pytest.mark.parametrize(("width", "theme"), WINDOWS)
@pytest.mark.parametrize("page", ["report", "look", "sweep", "seeds", "odd", "failed", SLOW])
def test_a_page_fits_is_legible_and_accessible_and_asks_for_nothing(
    window: Window, page: str, width: int, theme: str, request: pytest.FixtureRequest
) -> None:
    window.open(request.getfixturevalue(page), width, theme)
    assert window.faults() == []


@pytest.mark.parametrize("page", ["report", "sweep"])
def test_a_printed_page_is_light_and_fits_the_paper(
    window: Window, page: str, request: pytest.FixtureRequest
) -> None:
    window.open(request.getfixturevalue(page), 720, "dark", "print")
    assert [fault for fault in window.faults() if fault.startswith("page is")] == []
    assert window.script("return getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("page", ["report", "look", "seeds"])
def test_every_control_is_reached_by_keyboard_and_shows_it(
    window: Window, page: str, width: int, request: pytest.FixtureRequest
) -> None:
    window.open(request.getfixturevalue(page), width)
    assert window.unreached() == []


def test_a_table_is_sorted_by_keyboard(window: Window, report: Path) -> None:
    window.open(report)
    column = (
        "[...document.querySelectorAll('.stages tbody tr')].map((row) => row.cells[3].innerText)"
    )
    head = "document.querySelectorAll('.stages thead th')[3]"
    window.script(f"{head}.querySelector('button').focus()")
    times = window.script(f"return {column}")
    window.press("Enter")
    assert window.script(f"return {head}.ariaSort") == "ascending"
    shortest_first = window.script(f"return {column}")
    window.press("Enter")
    assert window.script(f"return {head}.ariaSort") == "descending"
    assert sorted(times) == sorted(shortest_first)
    assert shortest_first == sorted(times, key=seconds)
    assert window.script(f"return {column}") != shortest_first


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run whose three models answered two tasks."""
    make = Maker(tmp_path_factory.mktemp("asked"))
    answers = {"base": (0, 0, 1), "tuned": (1, 0, 0), "merged": (1, 1, 1)}
    stages = []
    for model, scores in answers.items():
        stage = make.stage("evaluator", "Evaluation", {}, element=model, inputs={"model": model})
        samples = [
            Sample(
                task=task,
                document=f"d{number}",
                score=score,
                prompt=f"{task} {number} {'long' * 100} {NAUGHTY}",
                prediction=f"{model} on {number}",
                target="right",
            )
            for task in ("sums", "names")
            for number, score in enumerate(scores)
        ]
        metrics = dict.fromkeys(("sums", "names"), ("acc", True))
        Evaluation(Path(stage.directory)).write(metrics, samples, {}, "")
        stages.append(stage)
    record = make.run(cell(*stages))
    show(record)
    return record.directory / "report.html"


SHOWN = (
    "return [...document.querySelectorAll('.entry:not([hidden]) summary')].map(e => e.innerText)"
)
CHOOSE = """
const field = document.querySelector(`.browser [name=${arguments[0]}]`);
field.value = arguments[1];
field.dispatchEvent(new Event("input", { bubbles: true }));
return document.querySelector(".browser output").innerText;
"""


@pytest.mark.parametrize(("width", "theme"), WINDOWS)
def test_questions_are_filtered_by_task_model_and_words(
    window: Window, asked: Path, width: int, theme: str
) -> None:
    window.open(asked, width, theme)
    assert window.faults() == []
    assert window.unreached() == []
    assert len(window.script(SHOWN)) == 6
    assert window.script(CHOOSE, "group", "names") == "3 of 6 shown"
    assert window.script(CHOOSE, "higher", "0") == "1 of 6 shown"  # base
    assert window.script(CHOOSE, "lower", "1") == "1 of 6 shown"  # tuned
    assert window.script(SHOWN) == ["6 · names: base 1, tuned 0, merged 1"]
    assert window.script(CHOOSE, "lower", "2") == "0 of 6 shown"  # merged
    for field in ("group", "higher", "lower"):
        window.script(CHOOSE, field, "")
    assert window.script(CHOOSE, "words", "SUMS 2") == "1 of 6 shown"


def seconds(text: str) -> float:
    """Return a duration as a report shows it, without what is not known first."""
    words = text.split()
    units = {"s": 1, "min": 60, "h": 3600}
    known = zip(words[::2], words[1::2], strict=True)
    return sum(float(count) * units[unit] for count, unit in known) if words else float("inf")


OUTSIDE = """
const frame = document.documentElement.getBoundingClientRect();
const out = ({ left, right, bottom }) =>
  left < frame.left - 2 || right > frame.right + 2 || bottom > frame.bottom + 2;
const texts = [...document.querySelectorAll("text")];
return document.documentElement.tagName !== "svg" ? ["no picture"]
  : texts.filter((e) => out(e.getBoundingClientRect())).map((e) => e.textContent);
"""


@pytest.mark.parametrize("page", ["report", "seeds"])
def test_figures_beside_a_page_are_whole_pictures_of_their_own_and_its_links_lead_to_files(
    window: Window, page: str, request: pytest.FixtureRequest
) -> None:
    file: Path = request.getfixturevalue(page)
    window.open(file)
    links = window.script(
        "return [...document.querySelectorAll('.files a')].map((a) => a.getAttribute('href'))"
    )
    beside = sorted(path for path in (file.parent / "report.files").iterdir())
    assert sorted(file.parent / link for link in links) == beside
    pictures = [path for path in beside if path.suffix == ".svg"]
    assert len(pictures) > 3
    for picture in pictures:
        window.open(picture, 1400, "dark")
        assert window.script(OUTSIDE) == [], picture.name


def test_what_is_not_dominated_is_told_apart_without_colour(window: Window, seeds: Path) -> None:
    window.open(seeds, 390)
    section = "document.getElementById('Score%20against%20size%20and%20cost')"
    drawn = f"[...{section}.querySelectorAll('.at-narrow [role=img]')]"
    shapes = window.script(
        f"return {drawn}.map((e) => [e.querySelectorAll('path.bar').length, "
        "e.querySelectorAll('circle.hollow').length, e.ariaLabel])"
    )
    assert [shape[:2] for shape in shapes] == [[2, 1], [3, 0]]
    assert all(label.count(", dominated") == hollow for _, hollow, label in shapes)
    cells = f"[...{section}.querySelectorAll('tbody tr')].map((row) => row.cells[5].innerText)"
    assert window.script(f"return {cells}") == ["◆ not dominated"] * 2 + ["○ dominated by 2"]


def test_what_is_folded_opens_by_keyboard(window: Window, report: Path) -> None:
    window.open(report)
    window.script("document.querySelector('summary').focus()")
    for shown in (False, True):
        window.press(" ")
        assert window.script("return document.querySelector('details').open") is shown


SVG = "<svg role=img aria-label=x"
FAULTS = {
    "<div style='width:3000px'>wide</div>": "page is 3",
    "<p style='color:#aaa'>faint</p>": "color-contrast",
    "<button></button>": "button-name",
    "<a href='#nowhere'>x</a>": "link to nowhere",
    "<h6>deep</h6>": "heading-order",
    "<script>1</script>": "Content Security Policy",
    f"{SVG} viewBox='0 0 99 9' width=20><text y=8>x</text></svg>": "small",
    f"{SVG} width=40 height=20><text y=15>too long a text</text></svg>": "cut",
    f"{SVG} width=40 height=20><text y=15 style='fill:#bbb'>x</text></svg>": "faint",
}


@pytest.mark.parametrize(("html", "word"), FAULTS.items(), ids=FAULTS.values())
def test_a_fault_is_found(window: Window, look: Path, tmp_path: Path, html: str, word: str) -> None:
    window.open(broken(look, tmp_path, "<main>", f"<main>{html}"))
    assert [fault for fault in window.faults() if word in fault]


def test_a_request_is_found(window: Window, look: Path, tmp_path: Path) -> None:
    policy, image = "default-src 'none'", "<img alt=x src='http://127.0.0.1:9/x.png'>"
    file = broken(look, tmp_path, policy, "default-src *")
    window.open(broken(file, tmp_path, "<main>", f"<main>{image}").with_name("broken.html"))
    assert "asked for http://127.0.0.1:9/x.png" in window.faults()


def test_a_control_that_is_not_reached_or_does_not_show_it_is_found(
    window: Window, look: Path, tmp_path: Path
) -> None:
    out_of_reach = "<main><button tabindex=-1>x</button>"
    window.open(broken(look, tmp_path, "<main>", out_of_reach))
    assert window.unreached() == ["not reached: BUTTON x"]
    window.open(broken(look, tmp_path, "</style>", ":focus { outline: 0 !important }</style>"))
    assert window.unreached()[0].startswith("without outline: A ")


def broken(file: Path, folder: Path, good: str, bad: str) -> Path:
    """Return a copy of a page in which one text was replaced."""
    html = file.read_text(encoding="utf-8")
    assert good in html
    copy = folder / "broken.html"
    copy.write_text(html.replace(good, bad, 1), encoding="utf-8")
    return copy
