"""Runs the image and compose.yaml; called by scripts/drill-container in namespaces of its own, with its folder."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drills.container import compose, image

if __name__ == "__main__":
    image.drill()
    compose.drill(sys.argv[1])
