"""The processes that a test has started, by their titles."""

import os

import psutil


def title_of(process: psutil.Process) -> str:
    """Its command; empty where it has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def below(pid: int | None = None, title: str = "") -> list[psutil.Process]:
    """Return the children of a process (of this one by default) whose title contains `title`."""
    started = psutil.Process(os.getpid() if pid is None else pid).children(recursive=True)
    return [process for process in started if title in title_of(process)]
