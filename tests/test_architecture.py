"""The rules that keep the tree in shape."""

import importlib
import io
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]
PACKAGES = ["geo", "tracker", "storage", "api"]
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PAGES = sorted(path.relative_to(ROOT) for path in (ROOT / "api" / "web").rglob("*.*"))
TESTS = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / "tests" / package).rglob("test_*.py"))
LONGEST = 400  # lines

WITHOUT_TESTS = {
    "api/services.py": "a record of the parts, without behaviour",
}
WITHOUT_MODULE = {
    "tests/api/test_page.py": "the page in api/web, in a browser",
    "tests/api/test_sdk.py": "the client in api/web/sdk, in Node and in a browser",
}


def test_every_module_has_its_tests() -> None:
    modules = [path for path in MODULES if path.name != "__init__.py"]
    missing = {str(path) for path in modules if not (ROOT / _tests_of(path)).exists()}

    assert missing - set(WITHOUT_TESTS) == set()


def test_every_test_module_has_its_module() -> None:
    expected = {_tests_of(path) for path in MODULES}
    orphans = {str(path) for path in TESTS if path not in expected}

    assert orphans - set(WITHOUT_MODULE) == set()


@pytest.mark.parametrize("exception", [*WITHOUT_TESTS, *WITHOUT_MODULE])
def test_no_exception_is_outdated(exception: str) -> None:
    path = Path(exception)

    assert (ROOT / path).exists()
    assert path.parts[0] == "tests" or not (ROOT / _tests_of(path)).exists()


def _tests_of(module: Path) -> Path:
    name = module.stem.strip("_")
    return Path("tests", *module.parent.parts, f"test_{name}.py")


@pytest.mark.parametrize("path", [*MODULES, *PAGES], ids=str)
def test_a_file_fits_in_one_head(path: Path) -> None:
    assert len((ROOT / path).read_text("utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_lists_what_it_exports(package: str) -> None:
    module = importlib.import_module(package)
    own = {name for name, value in vars(module).items() if getattr(value, "__module__", "") == package}
    listed = getattr(module, "__all__", [])

    assert [name for name in listed if not hasattr(module, name)] == []
    assert {name for name in own if not name.startswith("_")} <= set(listed)


def test_imports_point_inwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT)
    report = io.StringIO()
    with redirect_stdout(report):
        status = lint_imports(config_filename="pyproject.toml", no_cache=True)

    assert status == 0, report.getvalue()
