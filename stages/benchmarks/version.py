"""Identity of the code of ``benchmarks``: raise VERSION when its results change."""

VERSION = 5
