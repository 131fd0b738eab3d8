"""OpenRouter: many vendors behind one key, with prices and the cost of each call."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from workbench.core.chat import ChatRequest, ChatResponse, ModelInfo
from workbench.errors import KeyUnavailableError
from workbench.providers.answers import decimal, positive
from workbench.providers.base import OnText, Provider, Retry
from workbench.providers.openai_compatible import OpenAICompatible
from workbench.secret import Secret
from workbench.settings import Settings

__all__ = ["BASE_URL", "OpenRouter", "create"]

BASE_URL = "https://openrouter.ai/api/v1"

_KEY_CURE = "set OPENROUTER_API_KEY, or write it to .env"
_HEADERS = {"HTTP-Referer": "http://localhost", "X-OpenRouter-Title": "Prompt Workbench"}


class OpenRouter(OpenAICompatible):
    """OpenRouter, or a server that speaks as it does.

    Args:
        key: the account's key; :meth:`models` works without one.
        base_url: another server, for tests.
        retry: how patient a call is.

    """

    def __init__(self, *, key: Secret | None, base_url: str = BASE_URL, retry: Retry | None = None) -> None:
        super().__init__(
            name="openrouter",
            base_url=base_url,
            key=key,
            key_cure=_KEY_CURE,
            headers=_HEADERS,
            concurrency=16,
            retry=retry,
        )
        self._has_key = bool(key)

    async def chat(self, request: ChatRequest, *, on_text: OnText | None = None) -> ChatResponse:
        """Answer one request; raises KeyUnavailableError before anything is sent without a key."""
        if not self._has_key:
            raise KeyUnavailableError("there is no key for OpenRouter", cure=_KEY_CURE)
        return await super().chat(request, on_text=on_text)

    async def models(self) -> list[ModelInfo]:
        """Return every model with its limits and prices (USD per token)."""
        return [_model(record) for record in await self._records()]


def create(settings: Settings, *, name: str, key: Secret | None = None) -> Provider:
    """Make the provider (entry point); ``name`` is always ``openrouter``."""
    del settings, name
    return OpenRouter(key=key)


def _model(record: Mapping[str, Any]) -> ModelInfo:
    pricing, top = _mapping(record.get("pricing")), _mapping(record.get("top_provider"))
    return ModelInfo(
        model_id=f"openrouter/{record['id']}",
        name=str(record.get("name") or record["id"]),
        context_length=positive(record.get("context_length")),
        max_tokens=positive(top.get("max_completion_tokens")),
        price_prompt=decimal(pricing.get("prompt")),  # "-1" where the price depends on the route
        price_completion=decimal(pricing.get("completion")),
        price_cached=decimal(pricing.get("input_cache_read")),
        price_request=decimal(pricing.get("request")) or Decimal(0),
        raw=record,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
