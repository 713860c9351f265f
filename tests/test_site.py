"""The documentation as a site: it is built without a warning, and shows everything without a network."""

import os
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY

TOOLS = REPOSITORY / ".docs-tools"
pytestmark = pytest.mark.skipif(
    not (TOOLS / ".ready").exists(), reason="no MkDocs, so the site is NOT built: `make docs` installs it"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """(folder of the site, what MkDocs said)."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    environment = os.environ | {"PYTHONPATH": str(TOOLS), "NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder, run.stderr


def test_it_is_built_without_a_warning(site):
    folder, said = site
    assert "WARNING" not in said and "which is excluded" not in said, said
    for name in ("index", "tutorial", "reference/configuration", "repository/config/README", "repository/README"):
        page = folder / f"{name}.html"
        assert page.exists() or page.with_name("index.html").exists(), name


def test_it_loads_nothing_from_elsewhere(site):
    folder, _ = site
    loaded = re.compile(r"<(?:script|link|img|iframe|source)[^>]*(?:src|href)=[\"']?(https?:)?//", re.IGNORECASE)
    pages = list(folder.rglob("*.html"))
    assert len(pages) > 30
    assert not [page.name for page in pages if loaded.search(page.read_text())]
    sheets = [page for page in folder.rglob("*.css") if re.search(r"url\(['\"]?(https?:)?//", page.read_text())]
    assert not sheets


def test_a_link_to_a_file_of_the_repository_leads_to_its_page(site):
    folder, _ = site
    page = (folder / "own_detector.html").read_text() + (folder / "captures.html").read_text()
    assert 'href="repository/scripts/rnnids/captures/layers.py.html"' in page
    listing = (folder / "repository/scripts/rnnids/captures/layers.py.html").read_text()
    assert "scripts/rnnids/captures/layers.py" in listing and "ETHERTYPE" in listing
