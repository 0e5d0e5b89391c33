"""Copies of this checkout with other plugins in `agents/`, and plugins as installed packages."""

import shutil
from pathlib import Path

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
TOY = HERE / "toy"
BROKEN = HERE / "broken"
_PACKAGES = ("posstream", "agents", "tables", "web")
_LEFT_OUT = shutil.ignore_patterns("__pycache__")


def copied_checkout(folder: Path, *plugins: Path) -> Path:
    """A checkout in `folder` to which each plugin was added as one folder in `agents/`."""
    for package in _PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=_LEFT_OUT)
    for plugin in plugins:
        shutil.copytree(plugin, folder / "agents" / plugin.name, ignore=_LEFT_OUT)
    return folder


def installed_package(folder: Path, plugin: Path) -> Path:
    """A folder for PYTHONPATH in which `plugin` is an installed package with an entry point."""
    module = f"somebodys_{plugin.name}"
    shutil.copytree(plugin, folder / module, ignore=_LEFT_OUT)
    metadata = folder / f"{module}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        f"[posstream.plugins]\n{plugin.name} = {module}:PLUGIN\n"
    )
    return folder
