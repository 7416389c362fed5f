"""Tests of the page in a real browser: gallery, controls, recording with a real mouse, and no foreign requests."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serve.api import PAGE, create_app
from serve.jobs import Job, SampleResult
from serve.settings import ServeConfig
from serve.tokens import read_tokens
from tests.serve.browser import Page, browser, needs_browser
from tests.serve.fakes import CHAMPION, FakeBackend
from tests.serve.servers import served
from trainables.data.readers.recordings import Recording, read_recordings

pytestmark = [needs_browser, pytest.mark.heavy]
TOKEN = "correct-horse-battery-staple"
HOSTILE = "<img src=x onerror=alert(1)> & \"quoted\", 'so'"
FIGURE = {"value": 0.0808, "low": -0.019, "high": 0.1426, "n": 334, "groups": 9}
CARD = {
    "id": CHAMPION,
    "weights_sha256": "a" * 64,
    "kind": "diffusion",
    "parameters": 1_210_880,
    "representation": "fixed_dt",
    "sequence_length": 64,
    "published": "2026-01-02T03:04:05+00:00",
    "evaluated_on": {"split": "validation", "n": 334, "groups": 9},
    "confidence": 0.9,
    "figures": {"val/auc_excess": FIGURE, "val/mmd": {**FIGURE, "value": None}, "val/new": FIGURE},
    "sampling": {"sampler": "dpmpp_2m", "steps": 20, "guidance": 1.0},
    "limits_of_use": ["It exists to harden detectors.", HOSTILE],
}
STEPS = 30  # of a movement of the backend below: half a second


@dataclass
class Backend:
    """Fake backend with complete cards and realistic movements: curved, with a bell-shaped speed."""

    fake: FakeBackend = field(default_factory=lambda: FakeBackend(scores=0.25))
    error: str = ""
    detector: bool = False
    scored: list[Recording] = field(default_factory=list)

    async def sample(self, job: Job) -> SampleResult:
        """Return samples of the fake backend with pixel steps."""
        result = await self.fake.sample(job)
        condition = result.condition.copy()
        condition[:, 0] = math.log(STEPS / 60)
        steps = np.stack([movement(job.seed, int(row)) for row in result.number])
        return replace(result, condition=condition, steps_px=steps)

    async def score(self, movements: Sequence[Recording]) -> list[float]:
        """Return the scores of the fake backend, and record the movements."""
        self.scored += movements
        return await self.fake.score(movements)

    async def describe(self) -> dict[str, Any]:
        """Return a description with every field."""
        swap = {"wanted": "", "error": self.error, "since": "2026-01-01T00:00:00+00:00"}
        detector = {"id": "0001-dddddddddddd", "limits_of_use": ["Never the sole basis."]} if self.detector else None
        return {"model": CARD, "swap": swap, "replicas": 2, "detector": detector, "detector_swap": swap}


def movement(seed: int, number: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return pixel steps [S, 2], longer in the middle, with zeros after the end."""
    rng = np.random.default_rng((seed, number))
    way = (1 - np.cos(np.linspace(0, math.pi, STEPS + 1))) / 2
    angle, bend, far = rng.uniform(0, 2 * math.pi), rng.uniform(-1.2, 1.2), rng.uniform(80, 900)
    turned = angle + bend * way
    path = np.stack([far * way * np.cos(turned), far * way * np.sin(turned)], axis=1)
    return np.diff(np.rint(path), axis=0, append=np.rint(path[-1:])).astype(np.int32)


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture
def url(backend: Backend, tmp_path: Path) -> Iterator[str]:
    with served(create_app(backend, ServeConfig(storage_path=str(tmp_path)), read_tokens("", {}))) as address:
        yield address


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture
def page(tab: Page) -> Iterator[Page]:
    """Return an empty tab; at the end of the test its console must be empty."""
    tab.open("about:blank")
    tab.requests.clear()
    tab.console.clear()
    tab.size(1100, 900)
    yield tab
    assert tab.console == []


def opened(page: Page, url: str, shown: int = 12) -> Page:
    page.open(url)
    page.wait(f"document.documentElement.dataset.shown === '{shown}' && document.querySelector('#card dl')")
    return page


def fill(page: Page, **values: object) -> None:
    for name, value in values.items():
        page.value(f"document.getElementById('{name}').value = '{value}'")


def press(page: Page, button: str) -> None:
    page.value(f"document.getElementById('{button}').click()")


def text(page: Page, place: str = "") -> str:
    return str(page.value(f"document.getElementById('{place}').innerText" if place else "document.body.innerText"))


def target(page: Page) -> list[float]:
    """Return the centre of the target in the window, and its side."""
    found: list[float] = page.value(
        "(box => [box.left + box.width / 2, box.top + box.height / 2, box.width])"
        "(document.querySelector('.target').getBoundingClientRect())"
    )
    return found


def record(page: Page, targets: int) -> list[list[float]]:
    """Record movements with the real mouse; return the positions of the targets relative to the frame."""
    press(page, "start")
    left, top = page.value("(box => [box.left, box.top])(document.getElementById('stage').getBoundingClientRect())")
    x, y, stood = left + 5, top + 5, []
    for _ in range(targets):
        goal_x, goal_y, side = target(page)
        stood.append([goal_x - left - 1, goal_y - top - 1, side])
        for share in (1 - np.cos(np.linspace(0, math.pi, 25))) / 2:
            page.mouse("mouseMoved", x + (goal_x - x) * share, y + (goal_y - y) * share)
            time.sleep(0.012)
        page.click(goal_x, goal_y)
        x, y = goal_x, goal_y
    return stood


def test_the_gallery_is_animated_in_real_time(page: Page, url: str, backend: Backend, tmp_path: Path) -> None:
    opened(page, url)
    assert backend.fake.jobs[0].n == page.value("document.querySelectorAll('#movements canvas').length") == 12
    inked = (
        "[...document.querySelectorAll('#movements canvas')].map(canvas => canvas.getContext('2d')"
        ".getImageData(0, 0, canvas.width, canvas.height).data.some((value, i) => i % 4 === 3 && value > 0))"
    )
    page.wait("Number(document.documentElement.dataset.frames) > 5")
    assert page.value(inked) == [True] * 12
    seen = "movements.map(one => one.shown).join()"
    first = page.value(seen)
    page.wait(f"{seen} !== '{first}'")
    shown_at_ms = "[0, 250, 499, 501, 1399, 1401].map(now => { began = 0; frame(now); return movements[0].shown; })"
    assert page.value(shown_at_ms) == [0, 15, 29, STEPS, STEPS, 0]
    press(page, "play")
    assert page.value(seen) == ",".join([str(STEPS)] * 12)
    assert text(page, "movements").count("0.50 s") == 12


def test_the_page_sends_requests_to_its_own_origin_only(page: Page, url: str) -> None:
    opened(page, url)
    assert set(page.requests) == {f"{url}/", f"{url}/v1/samples", f"{url}/v1/model"}
    assert page.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'held')") == "held"
    assert any("Content Security Policy" in line for line in page.console)
    page.console.clear()


def test_the_controls_set_the_fields_of_the_request(page: Page, url: str, backend: Backend) -> None:
    opened(page, url)
    fill(page, n=5, seed=77, steps=3)
    page.value("document.getElementById('request').requestSubmit()")
    page.wait("document.documentElement.dataset.shown === '5'")
    job = backend.fake.jobs[-1]
    assert (job.n, job.seed, job.sampling.steps, job.pixels) == (5, 77, 3, True)
    assert text(page, "gallery-status") == "5 movements, seed 77."
    fill(page, n=65)
    page.value("document.getElementById('request').requestSubmit()")
    assert backend.fake.jobs[-1] is job


def test_an_error_is_shown_at_its_place_and_the_gallery_stays(page: Page, url: str, backend: Backend) -> None:
    opened(page, url)
    fill(page, steps=101)
    page.value("document.getElementById('request').requestSubmit()")
    page.wait("document.getElementById('gallery-status').classList.contains('wrong')")
    assert text(page, "gallery-status") == "expected `steps <= 100`, but got steps=101"
    assert page.value("document.querySelectorAll('#movements canvas').length") == 12
    assert [line for line in page.console if "422" not in line] == []
    page.console.clear()


def test_the_card_shows_metrics_with_their_intervals_and_a_failed_swap(page: Page, url: str, backend: Backend) -> None:
    backend.error = f"0002-bbbbbbbbbbbb: {HOSTILE}"
    card = text(opened(page, url), "card")
    for expected_text in (
        CHAMPION,
        "1,210,880",
        "90 % interval",
        "AUC excess",
        "0: as other users",
        "0.081",
        "[-0.019, 0.143]",
        "n = 334",
        "9 users",
        "val/new",
        "\N{EN DASH}",  # a value that is not known
    ):
        assert expected_text in card
    assert HOSTILE in card.split("\n")[0]
    assert "is still served" in card.split("\n")[0]
    assert CARD["limits_of_use"][1] in card  # type: ignore[index]
    assert page.value("document.querySelectorAll('#card img').length") == 0


def test_a_recording_is_saved_as_a_file_for_the_data_reader(page: Page, url: str, tmp_path: Path) -> None:
    """Use the real mouse; on a busy machine it may pause inside a movement, which splits it in two."""
    page.downloads(tmp_path)
    opened(page, url)
    page.value("document.getElementById('record').scrollIntoView()")
    fill(page, user='A, "B"')
    before = list(page.requests)
    stood = record(page, 4)
    page.key("Escape", 27)
    press(page, "save")
    found = read_recordings("table", _downloaded(tmp_path))
    assert all(address.startswith("blob:") for address in page.requests[len(before) :])
    assert found.read >= 4
    assert len(found.recordings) >= 1
    for one in found.recordings:
        assert one.user == 'page/A, "B"'
        assert min(math.dist(one.target, goal[:2]) for goal in stood) < 0.6  # type: ignore[arg-type]
        assert one.target_width_px in {side for *_, side in stood}


def test_a_saved_movement_equals_the_recorded_one(page: Page, url: str, tmp_path: Path) -> None:
    """Send events of known times: 31 of them, 16 ms apart, straight to each target, then the click."""
    page.downloads(tmp_path)
    opened(page, url)
    press(page, "start")
    ways: list[list[float]] = page.value(
        """(() => {
          let now = 0, x = 5, y = 7;
          const box = stage.getBoundingClientRect(), ways = [];
          const send = kind => {
            const event = new PointerEvent(kind, {button: 0, clientX: box.left + 1 + x, clientY: box.top + 1 + y});
            Object.defineProperty(event, "timeStamp", {value: recording.origin + now});
            stage.dispatchEvent(event);
          };
          for (let i = 0; i < 4; i++) {
            const goal = recording.target, from = [x, y];
            for (let k = 0; k <= 30; k++, now += 16) {
              x = from[0] + (goal.x - from[0]) * k / 30; y = from[1] + (goal.y - from[1]) * k / 30; send("pointermove");
            }
            send("pointerdown"); now += 16;
            ways.push([...from, goal.x, goal.y, goal.side]);
          }
          return ways;
        })()"""
    )
    press(page, "stop")
    press(page, "save")
    found = read_recordings("table", _downloaded(tmp_path))
    assert found.read == 4 == len(found.recordings)
    for one, (from_x, from_y, x, y, side) in zip(found.recordings, ways, strict=True):
        assert one.target == (x, y)
        assert one.target_width_px == side
        np.testing.assert_allclose(one.t_ms, 16.0 * np.arange(31), atol=0.01)
        np.testing.assert_allclose(one.x, np.linspace(from_x, x, 31), atol=0.01)
        np.testing.assert_allclose(one.y, np.linspace(from_y, y, 31), atol=0.01)


def _downloaded(folder: Path) -> Path:
    until = time.monotonic() + 60
    while not (found := list(folder.glob("*.csv"))):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found[0]


def test_nothing_is_recorded_before_start_or_after_stop(page: Page, url: str) -> None:
    opened(page, url)
    page.value("document.getElementById('record').scrollIntoView()")
    events = "kept.length + (recording?.rows.length ?? 0)"
    for at in range(5):
        page.mouse("mouseMoved", 300 + at, 500)
    assert page.value(events) == 0
    record(page, 1)
    press(page, "stop")
    recorded = page.value(events)
    assert recorded > 8
    for at in range(5):
        page.mouse("mouseMoved", 300 + at, 500)
    assert page.value(events) == recorded
    assert page.value("JSON.stringify([sessionStorage, localStorage, document.cookie])") == '[{},{},""]'
    press(page, "discard")
    assert page.value(events) == 0
    assert page.value("document.getElementById('save').disabled")


def test_coalesced_events_are_recorded_one_by_one(page: Page, url: str) -> None:
    opened(page, url)
    press(page, "start")
    page.value(
        "stage.dispatchEvent(new PointerEvent('pointermove', {clientX: 9, clientY: 9, coalescedEvents: "
        "[7, 8, 9].map(x => new PointerEvent('pointermove', {clientX: x, clientY: x}))}))"
    )
    assert page.value("recording.rows.map(row => row.x + stage.getBoundingClientRect().left + 1)") == [7, 8, 9]


def test_a_recording_stops_after_the_last_target(page: Page, url: str) -> None:
    opened(page, url)
    page.value("document.getElementById('record').scrollIntoView()")
    press(page, "start")
    for _ in range(page.value("TARGETS")):
        x, y, _side = target(page)
        page.click(x, y)
    assert page.value("recording === null && kept.length > 0 && byTarget(kept).length === TARGETS")


def test_a_movement_is_scored_where_a_detector_is_published(page: Page, url: str, backend: Backend) -> None:
    backend.detector = True
    opened(page, url)
    page.value("document.getElementById('record').scrollIntoView()")
    record(page, 2)
    press(page, "stop")
    assert not backend.scored
    press(page, "score")
    page.wait("document.querySelectorAll('#scores tbody td:last-child').length === 2")
    page.wait("[...document.querySelectorAll('#scores tbody td:last-child')].every(cell => cell.innerText === '0.25')")
    assert len(backend.scored) == 2
    assert all(one.x[1] != one.x[0] or one.y[1] != one.y[0] for one in backend.scored)
    assert "Never the sole basis." in text(page, "detector")


def test_without_a_detector_scoring_is_disabled(page: Page, url: str) -> None:
    opened(page, url)
    page.value("document.getElementById('record').scrollIntoView()")
    record(page, 1)
    press(page, "stop")
    assert text(page, "detector") == "No detector is published: scoring is not available."
    assert page.value("document.getElementById('score').disabled")


def test_a_token_is_requested_and_stored_in_this_tab_only(page: Page, backend: Backend, tmp_path: Path) -> None:
    tokens = read_tokens("", {"HUMOUSE_TOKENS": TOKEN})
    with served(create_app(backend, ServeConfig(storage_path=str(tmp_path)), tokens)) as url:
        page.open(url)
        page.wait("!document.getElementById('access').hidden")
        assert not backend.fake.jobs
        fill(page, token=TOKEN)
        page.value("document.getElementById('access').requestSubmit()")
        page.wait("document.documentElement.dataset.shown === '12'")
    assert page.value("[JSON.stringify(localStorage), document.cookie, document.getElementById('token').value]") == [
        "{}",
        "",
        "",
    ]
    assert TOKEN not in str(page.value("document.documentElement.outerHTML + location.href"))
    assert [line for line in page.console if "401" not in line] == []
    page.console.clear()


def test_reduced_motion_stops_the_animation(page: Page, url: str) -> None:
    page.size(1100, 900, still=True)
    opened(page, url)
    assert page.value("document.documentElement.dataset.frames") is None
    assert page.value("movements.map(one => one.shown)") == [STEPS] * 12
    assert text(page, "play") == "Play"


@pytest.mark.parametrize(("width", "dark"), [(1100, False), (1100, True), (360, False), (360, True)])
def test_the_page_has_both_colour_schemes_and_fits_its_width(
    page: Page, url: str, tmp_path: Path, width: int, dark: bool
) -> None:
    page.size(width, 900, dark=dark)
    opened(page, url)
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    image = Image.open(page.picture(tmp_path / "page.png")).convert("L")
    counts = image.histogram()
    paper = max(range(256), key=counts.__getitem__)
    assert (paper < 40) == dark
    assert 0.6 < counts[paper] / sum(counts) < 0.99  # mostly background, and not background alone


def test_every_control_is_reachable_by_keyboard_and_has_a_name(page: Page, url: str) -> None:
    opened(page, url)
    name = "one.innerText || one.labels?.[0]?.textContent"
    assert page.value(f"[...document.querySelectorAll('input, button, a')].every(one => {name})")
    reached: list[str] = []
    for _ in range(12):
        page.key("Tab", 9)
        reached.append(str(page.value("document.activeElement.id || document.activeElement.hash")))
    assert {"n", "seed", "steps", "play", "user", "start", "#gallery", "#model", "#record"} <= set(reached)


def test_the_page_is_one_file_without_external_urls() -> None:
    page = PAGE.read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("<script") == page.count("<style") == 1
