"""Where things are: the repository, and the two places in it that hold what its commands make (both ignored by git)."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CACHE = ROOT / ".cache"
DEMO = ROOT / ".demo"
