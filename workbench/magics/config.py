"""``%config Workbench``: what a person sets for this kernel."""

from __future__ import annotations

from traitlets import Float, Unicode
from traitlets.config import Configurable

__all__ = ["Workbench"]


class Workbench(Configurable):
    """Settings of the workbench in this kernel; the class's name is what people type."""

    model = Unicode("", help="Default model, such as 'local/smollm2' or 'openai/gpt-4o-mini'.").tag(
        config=True
    )
    project = Unicode("", help="Project to use.").tag(config=True)
    confirm_over = Float(1.0, help="USD that a plan may cost before it needs --yes.").tag(config=True)
