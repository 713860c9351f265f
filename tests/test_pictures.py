"""The pictures of README.md are what the scripts draw of the tables beside them."""

import importlib.util

import numpy as np
import pytest
from conftest import REPOSITORY
from matplotlib.image import imread

SPECIFICATION = importlib.util.spec_from_file_location("pictures", REPOSITORY / "docs/pictures.py")
pictures = importlib.util.module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(pictures)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_a_picture_is_what_its_tables_show(name, tmp_path):
    drawn, shown = imread(pictures.draw(name, tmp_path)), imread(REPOSITORY / f"docs/{name}.png")
    assert drawn.shape == shown.shape
    # Another release of matplotlib or of its fonts moves edges by a pixel; another number moves bars and lines.
    assert np.mean(np.abs(drawn - shown) > 0.1) < 0.01


def test_the_readme_shows_these_pictures_and_no_others():
    text = (REPOSITORY / "README.md").read_text()
    assert all(f"(docs/{name}.png)" in text for name in pictures.PICTURES)
    assert {path.stem for path in (REPOSITORY / "docs").glob("*.png")} == set(pictures.PICTURES)
