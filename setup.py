"""Map the three folders of this repository to ``misstep.*``; all else stands in pyproject.toml.

Users' own projects have folders called ``harness``, ``contracts`` and ``chaos`` too, so ours are never installed
under those names. A static mapping in pyproject.toml would have to name every subpackage.
"""

from setuptools import find_packages, setup

FOLDERS = ("harness", "contracts", "chaos")

setup(
    package_dir={f"misstep.{folder}": folder for folder in FOLDERS},
    packages=[
        f"misstep.{package}"
        for folder in FOLDERS
        for package in (folder, *(f"{folder}.{inner}" for inner in find_packages(folder)))
    ],
    package_data={"*": ["py.typed", "*.toml", "*.json", "*.html", "*.j2"]},
)
