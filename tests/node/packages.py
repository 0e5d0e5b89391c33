"""Packages from npm, installed into a folder of the test; Node.js runs a script beside them."""

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_SECONDS = 120
SCRIPT_SECONDS = 120


def installed(folder: Path, *packages: str) -> Path:
    """The folder with the packages in it; where that cannot be had, the test is given up."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            give_up(f"{tool} is not on this machine")
    options = ("--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--loglevel=error")
    try:
        ended = subprocess.run(
            ["npm", "install", *options, "--prefix", str(folder), *packages],
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        give_up(f"npm did not install {' '.join(packages)} within {INSTALL_SECONDS} s")
    if ended.returncode != 0:
        give_up(f"npm cannot install {' '.join(packages)}: {ended.stderr.strip()[-500:]}")
    return folder


def give_up(reason: str) -> None:
    """Skip for this reason, or fail for it where everything should be there."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


async def run(folder: Path, script: str, *arguments: str) -> str:
    """What an ES module prints that runs beside the packages; it must end well."""
    file = folder / "script.mjs"
    file.write_text(script)
    process = await asyncio.create_subprocess_exec(
        "node",
        str(file),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SCRIPT_SECONDS):
            printed, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complained.decode()
    return printed.decode()
