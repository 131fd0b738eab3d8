"""From a model id to the provider that answers for it. Light: a provider's module is imported when used."""

from __future__ import annotations

import asyncio
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from workbench.errors import NameTakenError, UnknownModelError, did_you_mean
from workbench.providers.address import parse_address
from workbench.providers.base import Provider
from workbench.providers.weights import installed, path_of
from workbench.secret import Secret
from workbench.settings import Settings

__all__ = ["GROUP", "Registry", "Resolved", "check_endpoint"]

#: The entry-point group; each entry is ``create(settings, *, name, key) -> Provider``.
GROUP = "workbench.providers"

_BUILTIN = MappingProxyType(
    {
        "openrouter": "workbench.providers.openrouter:create",
        "local": "workbench.providers.local:create",
        "fake": "workbench.providers.fake:create",
    }
)
_ENDPOINTS = MappingProxyType(
    {
        "ollama": "http://127.0.0.1:11434/v1",
        "openai-direct": "https://api.openai.com/v1",
    }
)
#: Names that no endpoint may take: our providers, and the host that a stored key is meant for.
_RESERVED = frozenset({*_BUILTIN, "openai-direct"})
#: Vendors on OpenRouter: ``openai/gpt-4o`` must always mean the same model.
_VENDORS = frozenset({
    "ai21", "aion-labs", "alibaba", "allenai", "amazon", "anthracite-org", "anthropic", "arcee-ai", "baidu",
    "bytedance", "cognitivecomputations", "cohere", "deepseek", "google", "gryphe", "ibm-granite", "inception",
    "inflection", "liquid", "mancer", "meta", "meta-llama", "microsoft", "minimax", "mistral", "mistralai",
    "moonshotai", "morph", "neversleep", "nousresearch", "nvidia", "openai", "opengvlab", "perplexity", "qwen",
    "raifle", "relace", "sao10k", "stepfun-ai", "switchpoint", "tencent", "thedrummer", "tngtech", "undi95",
    "x-ai", "xai", "z-ai",
})  # fmt: skip
_NAME = re.compile(r"[a-z][a-z0-9-]*")

#: What importing and calling somebody else's code raises when it is broken.
_PLUGIN_ERRORS = (
    ImportError,
    AttributeError,
    SyntaxError,
    NameError,
    TypeError,
    ValueError,
    LookupError,
    OSError,
    RuntimeError,
)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A model and who answers for it.

    Attributes:
        provider: the provider.
        model: the id that the provider itself uses.
        model_id: our full id, ``<provider>/<model>``.

    """

    provider: Provider
    model: str
    model_id: str


def check_endpoint(name: str, url: str, *, private: bool = False) -> None:
    """Check the name and base URL of an OpenAI-compatible server before they are saved.

    Raises:
        NameTakenError: the name is ours, a vendor's, or malformed.
        ConfigError: the URL is refused.

    """
    if name in _RESERVED or name in _VENDORS:
        raise NameTakenError(
            f"an endpoint cannot be named {name!r}: that name has a meaning of its own",
            cure=f"choose another, such as 'my-{name}'",
        )
    if not _NAME.fullmatch(name):
        raise NameTakenError(
            f"an endpoint cannot be named {name!r}", cure="use lower-case letters, digits and dashes"
        )
    parse_address(url, private=private)


class Registry:
    """Finds and keeps the providers of one process.

    Args:
        settings: keys and endpoints of the environment.
        key_for: gives a person's stored key for a provider's name; asked where the environment has none.
        endpoints: saved servers, name → base URL; the environment's win.
        private: names of endpoints that may live in a private network.
        providers: ready-made providers by name, which win over everything.

    >>> registry = Registry(Settings.from_env())
    >>> registry.resolve("fake/echo").model_id
    'fake/echo'
    """

    def __init__(
        self,
        settings: Settings,
        *,
        key_for: Callable[[str], Secret | None] | None = None,
        endpoints: Mapping[str, str] = MappingProxyType({}),
        private: frozenset[str] = frozenset(),
        providers: Mapping[str, Provider] = MappingProxyType({}),
    ) -> None:
        self._settings = settings
        self._key_for = key_for
        self._endpoints = {**endpoints, **settings.endpoints}
        self._private = private
        self._ready = dict(providers)
        self._made: dict[str, tuple[Secret | None, Provider]] = {}
        self._retired: list[Provider] = []
        self._plugins: dict[str, EntryPoint] | None = None

    def resolve(self, model_id: str) -> Resolved:
        """Find who answers for a model id.

        ``openrouter/<id>``; a bare ``vendor/model`` is OpenRouter's; ``local/<name>``;
        ``fake/<script>``; ``<endpoint>/<model>``. Nothing is asked of the network.

        Raises:
            UnknownModelError: nobody answers for it.
            WeightsError: a local model's weights are not here.
            NameTakenError: an endpoint has a name that it must not have.
            ConfigError: an endpoint's URL is refused.

        """
        name, model = self._split(model_id.strip())
        if name not in self._ready:
            self._check(name, model)
        return Resolved(self._provider(name), model, f"{name}/{model}")

    def available(self) -> list[str]:
        """Return what can be used now without asking the network, most private first.

        Local models by their full id; ``<provider>/…`` stands for whatever a configured provider
        offers. The fake and servers that nobody configured are left out.
        """
        local = [f"local/{name}" for name in installed(self._settings.home)]
        keyed = [name for name in ("openrouter", "openai-direct") if self._key(name)]
        return local + [f"{name}/…" for name in (*sorted(self._endpoints), *keyed, *sorted(self._others()))]

    def names(self) -> list[str]:
        """Return the names of all providers: the first part of each model's full id."""
        return sorted({*_BUILTIN, *_ENDPOINTS, *self._endpoints, *self._others(), *self._ready})

    def fake(self) -> list[str]:
        """Return the models that answer by script: always there, and never guessed where none was chosen."""
        from workbench.providers.fake import SCRIPTS

        return [f"fake/{name}" for name in SCRIPTS]

    async def aclose(self) -> None:
        """Close every provider that was made here or handed in."""
        made = [provider for _, provider in self._made.values()]
        open_ones = [*made, *self._retired, *self._ready.values()]
        self._made.clear()
        self._retired.clear()
        await asyncio.gather(*(provider.aclose() for provider in open_ones))

    def _split(self, model_id: str) -> tuple[str, str]:
        head, _, rest = model_id.partition("/")
        if not head or not rest:
            raise UnknownModelError(f"{model_id!r} is not a model id", cure=self._hint(model_id))
        if head == "openrouter":  # its own models have no vendor: openrouter/auto
            return head, rest if "/" in rest else model_id
        if head in self._ready or head in self._endpoints or head in _BUILTIN or head in _ENDPOINTS:
            return head, rest
        if head in _VENDORS:
            return "openrouter", model_id
        if head in self._others():
            return head, rest
        near = did_you_mean(head, [*_BUILTIN, *_ENDPOINTS, *self._endpoints, *self._others()])
        if near:
            cure = f"{near} For OpenRouter's vendor {head}, write openrouter/{model_id}"
            raise UnknownModelError(f"no provider is named {head!r}", cure=cure)
        return "openrouter", model_id

    def _hint(self, text: str) -> str:
        known = [*self.available(), "openrouter/<vendor>/<model>", "local/<name>", "fake/echo"]
        return (
            did_you_mean(text, [name.rpartition("/")[2] for name in known])
            or f"write one of: {', '.join(known)}"
        )

    def _check(self, name: str, model: str) -> None:
        """Refuse what cannot work before a run is planned with it."""
        if name in self._endpoints:
            check_endpoint(name, self._endpoints[name], private=name in self._private)
        elif name == "local":
            path_of(model, self._settings.home)
        elif name == "fake":
            from workbench.providers.fake import SCRIPTS

            if model not in SCRIPTS:
                cure = did_you_mean(model, SCRIPTS) or f"known: {', '.join(SCRIPTS)}"
                raise UnknownModelError(f"there is no model fake/{model}", cure=cure)

    def _provider(self, name: str) -> Provider:
        if name in self._ready:
            return self._ready[name]
        key = self._key(name)
        kept = self._made.get(name)
        if kept is not None and kept[0] == key:
            return kept[1]
        if kept is not None:  # the key was changed: calls in flight finish with the old one
            self._retired.append(kept[1])
        provider = self._make(name, key)
        self._made[name] = (key, provider)
        return provider

    def _make(self, name: str, key: Secret | None) -> Provider:
        url = self._endpoints.get(name) or _ENDPOINTS.get(name)
        if url is None:
            return self._create(name, key)
        from workbench.providers.openai_compatible import OpenAICompatible

        variable = f"WORKBENCH_ENDPOINT_{name.upper().replace('-', '_')}_KEY"
        cure = f"set {variable}, or write it to .env"
        return OpenAICompatible(
            name=name, base_url=url, key=key, key_cure=cure, private=name in self._private
        )

    def _create(self, name: str, key: Secret | None) -> Provider:
        if name in _BUILTIN:
            entry = EntryPoint(name, _BUILTIN[name], GROUP)
            provider: Provider = entry.load()(self._settings, name=name, key=key)
            return provider
        entry = self._others()[name]
        try:
            provider = entry.load()(self._settings, name=name, key=key)
        except _PLUGIN_ERRORS as error:
            package = entry.dist.name if entry.dist else entry.value
            cause = f"{type(error).__name__}: {error}"
            warnings.warn(f"the provider {name!r} of the package {package} is broken: {cause}", stacklevel=2)
            del self._others()[name]
            raise UnknownModelError(
                f"the provider {name!r} of the package {package} cannot be loaded",
                cure=f"update or remove {package}",
            ) from error
        return provider

    def _others(self) -> dict[str, EntryPoint]:
        """Return the providers that other packages bring, by name; ours cannot be replaced."""
        if self._plugins is None:
            found = entry_points(group=GROUP)
            self._plugins = {entry.name: entry for entry in found if entry.name not in _BUILTIN}
        return self._plugins

    def _key(self, name: str) -> Secret | None:
        settings = self._settings
        key = settings.openrouter_key if name == "openrouter" else settings.endpoint_keys.get(name)
        if key is None and self._key_for is not None and name not in {"local", "fake"}:
            return self._key_for(name)
        return key
