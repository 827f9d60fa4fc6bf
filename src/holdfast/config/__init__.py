"""Typed configuration: dataclasses to YAML or JSON and back, every value as annotated.

A *field* is a dataclass's; its *place* is its path in the file (``model.grid[2]``), which messages
name together with the file and line.
"""

from holdfast.config._convert import convert
from holdfast.config._yaml_config import YamlConfig

__all__ = ["YamlConfig", "convert"]
