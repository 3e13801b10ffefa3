"""Outputs of the original TL-GAN and InterFaceGAN code, and their published files."""

from pathlib import Path

GOLDEN = Path(__file__).parents[2] / "golden" / "axes"
TLGAN = GOLDEN / "tlgan"
INTERFACEGAN = GOLDEN / "interfacegan"
