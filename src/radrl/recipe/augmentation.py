"""Random changes to training pictures, as a recipe asks for them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from radrl.recipe.yaml_file import Number

Share = Annotated[Number, Field(ge=0, le=1)]


class Augment(BaseModel):
    """Random changes to training images; all off by default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    shift: Share = 0.0
    """Largest shift, as a share of the image's side."""
    scale: Annotated[Number, Field(ge=0, lt=1)] = 0.0
    """Largest change of size: the factor is drawn from 1 - scale to 1 + scale."""
    flip: Share = 0.0
    """Probability of a left-right mirror image, which also swaps what is left and right in a film."""
    contrast: Share = 0.0
    """Largest change of contrast, as a share."""
    brightness: Share = 0.0
    """Largest change of brightness, as a share of the grey range."""
