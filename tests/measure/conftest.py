import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))  # small models made on the spot

DATA = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(scope="session")
def data():
    """The folder of public data beside the repository; tests that need it skip without."""
    if not DATA.is_dir():
        pytest.skip("the public data is not beside the repository")
    return DATA
