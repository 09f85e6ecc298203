"""What a run folder keeps of the command line: Hydra's three files, written when a run begins and not before.

Hydra itself writes them before a job has looked at its folder: a refused command would relabel a finished run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

OVERRIDES = ".hydra/overrides.yaml"
HYDRA = ".hydra/hydra.yaml"


def hydra_record(hydra_config: Any) -> dict[str, str]:
    """Texts by path in the run folder.

    Args:
        hydra_config: Hydra's own settings of the job.
    """
    return {
        HYDRA: OmegaConf.to_yaml(OmegaConf.create({"hydra": OmegaConf.to_container(hydra_config)})),
        OVERRIDES: overrides_record(hydra_config.overrides.task),
    }


def overrides_record(overrides: Sequence[str]) -> str:
    """The text of ``overrides.yaml``."""
    return OmegaConf.to_yaml(OmegaConf.create(list(overrides)))
