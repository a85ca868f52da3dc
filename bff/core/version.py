"""Which version is this? The wheel, `bff --version` and the bill of materials take it from here."""

__version__ = "0.2.0"
