"""What the documents say is so."""

import re
from pathlib import Path

from typer.testing import CliRunner

from api.eta import app
from api.eta_runs import live_part, train
from scripts.reference import TARGET, reference
from tests.site import OFFICE, site
from tracker.channels import Viewer

runner = CliRunner()
ROOT = Path(__file__).parents[1]


def test_the_reference_is_what_the_code_says() -> None:
    assert TARGET.read_text("utf-8") == reference(), "run `make reference`"


async def test_every_metric_is_in_the_reference(sqlite_url: str) -> None:
    async with site(sqlite_url) as here:
        await here.drive("D1", [0.0], [0.0])
        exposed = await here.metrics()
    names = set(re.findall(r"^# TYPE (tracker_\w+)", exposed, re.MULTILINE))
    described = set(re.findall(r"^\| `(tracker_\w+)", TARGET.read_text("utf-8"), re.MULTILINE))
    assert names == described


async def test_every_question_of_the_history_page_is_answered(sqlite_url: str) -> None:
    page = (ROOT / "docs" / "history.md").read_text("utf-8")
    asked = re.findall(
        r'^    curl -H "Authorization: Bearer \$TOKEN" "\$TRACKER/api/v1/(.+?)"(?: -d \'(.+)\')?$', page, re.MULTILINE
    )
    assert len(asked) == page.count("    curl ") > 8
    async with site(sqlite_url) as here:
        await here.put(
            "geofences/depot",
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [121.5654, 25.033]}, "radius": 50},
        )
        await here.drive("D1", [0.0, 100.0], [-500.0, 500.0])
        for path, body in asked:
            answer = await here.ask(OFFICE, "POST" if body else "GET", path, content=body)
            assert answer.status_code == 200, (path, answer.text)
            assert "D1" in answer.text or '"stays":[]' in answer.text or '"trips":[' in answer.text, (path, answer.text)


async def test_the_page_of_arrival_times_tells_the_truth(sqlite_url: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "eta.md").read_text("utf-8")
    trips, model = tmp_path / "past.jsonl", tmp_path / "city.model"
    trips.write_text("\n".join(re.findall(r"^    ({.+})$", page, re.MULTILINE)))
    assert "learned from 2 trips" in train(trips, model, 8.0)
    async with site(sqlite_url) as here:
        answer = await here.ask(Viewer("A1", "admin", None, None), "PUT", "eta/model", content=live_part(model))
        assert answer.json()["trips"] == 2
        for path in re.findall(r'"\$TRACKER/api/v1/(.+?)"', page):
            assert (await here.ask(OFFICE, "GET", path)).status_code == 200
    options = set(re.findall(r" (--[\w-]+)", page))
    said = " ".join(runner.invoke(app, [command, "--help"]).output for command in ("train", "evaluate", "load"))
    assert {option for option in options if option not in said} == set()


def test_every_close_code_is_in_the_reference() -> None:
    used = set(re.findall(r"\b4[0-9]{3}\b", (ROOT / "api" / "protocol.py").read_text("utf-8"))) - {"4096"}
    assert used
    assert used <= set(re.findall(r"^\| (4\d{3}) ", TARGET.read_text("utf-8"), re.MULTILINE))


def test_links_in_the_documents_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_make_target_in_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"\bmake (\w+)", (ROOT / "README.md").read_text("utf-8")):
        assert re.search(rf"^[\w ]*\b{target}\b[\w ]*:", makefile, re.MULTILINE), target
