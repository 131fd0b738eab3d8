"""Models: which one answers, what it costs, where its weights are."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.core.chat import ModelInfo
from workbench.core.guides import ModelGuide
from workbench.core.pricing import FREE, Price
from workbench.core.versions import PromptVersion
from workbench.db.engine import Session
from workbench.db.queries import accounts, models
from workbench.errors import NoModelError
from workbench.providers import weights
from workbench.providers.base import Provider
from workbench.providers.registry import Registry, check_endpoint
from workbench.services import guides, limits

if TYPE_CHECKING:
    import pandas as pd

    from workbench.services.workbench import Workbench

__all__ = ["ChosenModel", "Models"]

#: Providers whose calls cost nothing.
_FREE = frozenset({"local", "fake"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ChosenModel:
    """A model that is ready to be called.

    Attributes:
        provider: who answers.
        local_id: the id that the provider itself uses.
        model_id: the full id.
        config_id: its row in ``model_configs``.
        price: USD per token, or None when nobody said.

    """

    provider: Provider
    local_id: str
    model_id: str
    config_id: uuid.UUID
    price: Price | None


class Models:
    """The models that this person can call: ``wb.models``."""

    def __init__(self, workbench: Workbench) -> None:
        self._wb = workbench
        self._chosen: dict[str, ChosenModel] = {}
        self._registry: Registry | None = None

    @property
    def registry(self) -> Registry:
        """The providers; made at the first use."""
        if self._registry is None:
            self._registry = Registry(self._wb.config, endpoints=self._endpoints())
        return self._registry

    def choose(self, explicit: str | None = None, version: PromptVersion | None = None) -> ChosenModel:
        """Return the model to call: the explicit one, else the version's, else the default, else the only one.

        Raises:
            NoModelError: none was chosen and none can be guessed.
            UnknownModelError: the id means nothing here.

        """
        wanted = explicit or (version.settings.get("model") if version else None) or self._wb.default_model
        if isinstance(wanted, list | tuple):
            wanted = wanted[0]
        if not wanted:
            available = self.registry.available()
            if len(available) != 1:
                ready = f"ready are {', '.join(available)}" if available else "none is configured"
                raise NoModelError(
                    f"no model was chosen; {ready}",
                    cure="name one with -m or model=, or set WORKBENCH_MODEL; fake/echo answers by script, to try things"
                    " out; a small real one comes with: workbench models fetch smollm2; workbench models list",
                )
            wanted = available[0]
        return self._chosen.get(wanted) or self._resolve(wanted)

    def by_id(self, config_id: uuid.UUID) -> str:
        """Return the full id of a model's row."""
        with self._wb.database.session() as session:
            return models.id_of(session, config_id)

    def list(self) -> list[str]:
        """Return the ids that can be called now, the fake ones among them, and those that were used before."""
        with self._wb.database.session() as session:
            known = models.known_ids(session)
        fake = self.registry.fake()
        return [*sorted({*self.registry.available(), *known} - {*fake}), *fake]

    def frame(self) -> pd.DataFrame:
        """Return what ``list`` names, a row each, with what is known of it.

        Returns:
            Columns ``model family context_length max_tokens price_prompt price_completion settings``: tokens, USD
            per token, and options to begin with. ``<provider>/…`` stands for whatever that provider offers; those
            of the family ``fake`` answer by script.

        Example:
            >>> wb.models.frame().query("family == 'claude'")  # doctest: +SKIP

        """
        return guides.frame(self._wb.database, self.list())

    def guide(self, model_id: str) -> ModelGuide:
        """Return how to write for a model: advice of its family, options to begin with, limits and price.

        Args:
            model_id: an id as it is called (``openai/gpt-4o-mini``, ``local/smollm2``), or a family's name.

        Raises:
            UnknownModelError: nobody answers for that id, and no family is known for it.

        Example:
            >>> print(wb.models.guide("anthropic/claude-sonnet-4"))  # doctest: +SKIP

        """
        found = guides.guide(
            self._wb.database, model_id, resolve=lambda wanted: self.registry.resolve(wanted).model_id
        )
        self._wb.last = found
        return found

    def fetch(self, name: str = "smollm2", progress: Callable[[str], None] | None = None) -> str:
        """Download the weights of a local model, checked by their hash; return its model id."""
        weights.fetch(name, self._wb.config.home, progress)
        self._registry = None
        return f"local/{name}"

    def sync(self, provider: str = "openrouter") -> pd.DataFrame:
        """Ask a provider for its models, and store prices and limits; return what it said."""
        import pandas as pd

        resolved = self.registry.resolve(f"{provider}/any")
        found = self._wb.bridge.run(resolved.provider.models())
        with self._wb.database.session() as session:
            for info in found:
                self._store(session, info)
        self._chosen.clear()
        columns = ["model", "name", "context_length", "price_prompt", "price_completion"]
        return pd.DataFrame(
            [[i.model_id, i.name, i.context_length, i.price_prompt, i.price_completion] for i in found],
            columns=columns,
        )

    def endpoint(self, name: str, url: str) -> None:
        """Name an OpenAI-compatible server; its models are then ``<name>/<model>``.

        Raises:
            NameTakenError: the name is a provider's or a vendor's.

        """
        check_endpoint(name, url)
        with self._wb.database.session() as session:
            accounts.set_setting(session, self._wb.database.user_id, ["endpoints", name], url)
        self._registry = None
        self._chosen.clear()

    def limit(
        self,
        name: str,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        concurrency: int | None = None,
    ) -> limits.Limit:
        """Limit how fast a provider or a model is called, by all your processes on this database together.

        A limit that is not named stays as it is. Where a provider and one of its models have limits, both hold.

        Args:
            name: ``openrouter`` for all of a provider, ``openrouter/openai/gpt-4o`` for one model.
            rpm: calls a minute; up to ten seconds' worth may be made at once.
            tpm: tokens a minute, of prompts and answers.
            concurrency: calls in flight.

        Raises:
            InputError: a limit is no number above 0, or none is given.
            UnknownModelError: nobody answers under that name.

        Example:
            >>> print(wb.models.limit("openrouter/openai/gpt-4o", rpm=60, tpm=100_000))  # doctest: +SKIP
            openrouter/openai/gpt-4o: at most 60 calls a minute, 100,000 tokens a minute

        """
        return limits.set_(self._wb.database, self.registry, name, rpm=rpm, tpm=tpm, concurrency=concurrency)

    def limits(self) -> pd.DataFrame:
        """Return your limits and how they stand.

        Returns:
            Columns ``name rpm tpm concurrency in_flight pace blocked_s``. ``pace`` is the part of the rate that is
            used: 429s lower it, two minutes without one bring it back to 1. ``blocked_s`` are the seconds for which
            the provider refuses calls. A row without limits only remembers refusals.

        """
        return limits.frame(self._wb.database)

    def unlimit(self, name: str) -> str:
        """Remove the limits of a provider or a model, and what is remembered of its refusals; return its full name.

        Raises:
            UnknownReferenceError: it has no limit.

        """
        return limits.remove(self._wb.database, self.registry, name)

    def close(self) -> None:
        """End local servers and connections."""
        if self._registry is not None:
            self._wb.bridge.run(self._registry.aclose())
            self._registry = None

    def _resolve(self, wanted: str) -> ChosenModel:
        resolved = self.registry.resolve(wanted)
        info = ModelInfo(model_id=resolved.model_id, name=resolved.model)
        with self._wb.database.session() as session:
            config_id = models.register(session, info, resolved.provider.name)
            found = models.price_of(session, config_id)
        price = Price(prompt=found[0], completion=found[1]) if found else None
        chosen = ChosenModel(
            provider=resolved.provider,
            local_id=resolved.model,
            model_id=resolved.model_id,
            config_id=config_id,
            price=FREE if resolved.provider.name in _FREE else price,
        )
        self._chosen[wanted] = chosen
        return chosen

    def _store(self, session: Session, info: ModelInfo) -> None:
        config_id = models.register(session, info, info.model_id.split("/")[0])
        if info.price_prompt is not None and info.price_completion is not None:
            models.store_price(
                session,
                self._wb.database.user_id,
                config_id,
                prompt=info.price_prompt,
                completion=info.price_completion,
                source=info.model_id.split("/")[0],
            )

    def _endpoints(self) -> Mapping[str, str]:
        with self._wb.database.session() as session:
            stored = accounts.settings(session, self._wb.database.user_id).get("endpoints", {})
        return {**stored, **self._wb.config.endpoints}
