"""The code in CONTRIBUTING.md is that of the example files, which tests run."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_each_example_is_part_of_the_file_that_it_names() -> None:
    blocks = re.findall(
        r"```python\n# (\S+)\n(.*?)```", (REPOSITORY / "CONTRIBUTING.md").read_text(), re.DOTALL
    )

    assert len(blocks) == 3
    for path, code in blocks:
        assert code in (REPOSITORY / path).read_text(), path
