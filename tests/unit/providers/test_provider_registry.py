from __future__ import annotations

import subprocess
import sys

import pytest

from tests.servers import run
from workbench.errors import ConfigError, NameTakenError, UnknownModelError, WeightsError
from workbench.providers.fake import FakeProvider
from workbench.providers.registry import Registry, check_endpoint
from workbench.secret import Secret
from workbench.settings import Settings


@pytest.fixture
def settings(tmp_path):
    def make(**environ):
        return Settings.from_env({"WORKBENCH_HOME": str(tmp_path), **environ}, dotenv=tmp_path / "none")

    return make


@pytest.mark.parametrize(
    ("model_id", "provider", "model", "full"),
    [
        (
            "openrouter/openai/gpt-4o-mini",
            "openrouter",
            "openai/gpt-4o-mini",
            "openrouter/openai/gpt-4o-mini",
        ),
        ("openai/gpt-4o-mini", "openrouter", "openai/gpt-4o-mini", "openrouter/openai/gpt-4o-mini"),
        ("new-vendor/x:free", "openrouter", "new-vendor/x:free", "openrouter/new-vendor/x:free"),
        ("openrouter/auto", "openrouter", "openrouter/auto", "openrouter/openrouter/auto"),
        ("openrouter/openrouter/auto", "openrouter", "openrouter/auto", "openrouter/openrouter/auto"),
        (" fake/echo ", "fake", "echo", "fake/echo"),
        ("ollama/qwen2.5:7b", "ollama", "qwen2.5:7b", "ollama/qwen2.5:7b"),
        ("openai-direct/gpt-4o", "openai-direct", "gpt-4o", "openai-direct/gpt-4o"),
        ("lab/org/model", "lab", "org/model", "lab/org/model"),
        ("saved/m", "saved", "m", "saved/m"),
    ],
)
def test_a_model_id_leads_to_its_provider(settings, model_id, provider, model, full):
    registry = Registry(
        settings(WORKBENCH_ENDPOINT_LAB="https://lab.example.com/v1"),
        endpoints={"saved": "http://127.0.0.1:9/v1"},
    )
    found = registry.resolve(model_id)
    assert (found.provider.name, found.model, found.model_id) == (provider, model, full)
    assert registry.resolve(found.model_id).model == model
    run(registry.aclose())


def test_hosts_are_what_is_stored(settings):
    registry = Registry(settings())
    hosts = {name: registry.resolve(f"{name}/m").provider.host for name in ("ollama", "openai-direct")}
    assert hosts == {"ollama": "127.0.0.1:11434", "openai-direct": "api.openai.com"}
    assert registry.resolve("openai/x").provider.host == "openrouter.ai"
    assert registry.resolve("fake/echo").provider.host == "fake"


@pytest.mark.parametrize(
    ("model_id", "cure"),
    [
        ("smollm2", "local/<name>"),
        ("", "openrouter/<vendor>/<model>"),
        ("fake/", "fake/echo"),
        ("/x", "fake/echo"),
        ("fake/uper", "did you mean 'upper'"),
        ("opnrouter/openai/gpt-4o", "did you mean 'openrouter'"),
        ("ollma/llama3", "did you mean 'ollama'"),
    ],
)
def test_an_unknown_model_is_told_with_what_would_do(settings, model_id, cure):
    with pytest.raises(UnknownModelError) as caught:
        Registry(settings()).resolve(model_id)
    assert cure in caught.value.cure


def test_a_local_model_without_weights_is_refused_before_any_run(settings):
    with pytest.raises(WeightsError, match="workbench models fetch smollm2"):
        Registry(settings()).resolve("local/smollm2")
    with pytest.raises(WeightsError, match="did you mean 'smollm2'"):
        Registry(settings()).resolve("local/smolm2")
    with pytest.raises(WeightsError):
        Registry(settings()).resolve("local/../../etc/passwd")


def test_what_is_available_names_local_models_first_and_never_the_fake(settings, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "smollm2.gguf").touch()
    found = Registry(settings()).available()
    assert found == ["local/smollm2"]
    full = Registry(
        settings(OPENROUTER_API_KEY="k", WORKBENCH_ENDPOINT_LAB="https://lab.example.com"),
        key_for=lambda name: Secret("k") if name == "openai-direct" else None,
    )
    assert full.available() == ["local/smollm2", "lab/…", "openrouter/…", "openai-direct/…"]


def test_the_environments_key_wins_and_stored_keys_are_asked_for_by_name(settings):
    asked = []

    def key_for(name):
        asked.append(name)
        return Secret("stored")

    registry = Registry(settings(OPENROUTER_API_KEY="k"), key_for=key_for)
    registry.resolve("openai/x")
    registry.resolve("ollama/x")
    registry.resolve("fake/echo")
    assert asked == ["ollama"]


def test_a_provider_is_kept_until_its_key_changes(settings):
    keys = [None]
    registry = Registry(settings(), key_for=lambda _: keys[-1])
    first = registry.resolve("openai/x").provider
    assert registry.resolve("openai/y").provider is first
    keys.append(Secret("new"))
    assert registry.resolve("openai/x").provider is not first
    run(registry.aclose())


def test_ready_made_providers_win(settings):
    fake = FakeProvider(script=lambda _: "scripted")
    registry = Registry(settings(), providers={"fake": fake, "mine": fake})
    assert registry.resolve("fake/whatever").provider is fake
    assert registry.resolve("mine/x").provider is fake


@pytest.mark.parametrize(
    "name", ["openai", "anthropic", "openrouter", "local", "fake", "openai-direct", "Lab", "a/b", "", "1x"]
)
def test_an_endpoint_may_not_take_a_name_that_means_something_else(settings, name):
    with pytest.raises(NameTakenError) as caught:
        check_endpoint(name, "https://lab.example.com/v1")
    assert caught.value.cure


def test_a_bad_endpoint_hurts_only_who_uses_it(settings):
    registry = Registry(
        settings(
            WORKBENCH_ENDPOINT_OPENAI="https://evil.example.com",
            WORKBENCH_ENDPOINT_LAB="http://lab.example.com",
        )
    )
    with pytest.raises(NameTakenError):
        registry.resolve("openai/gpt-4o")
    with pytest.raises(ConfigError, match="unencrypted"):
        registry.resolve("lab/m")
    assert registry.resolve("anthropic/claude").provider.name == "openrouter"


PLUGIN = """
class Mine:
    host, concurrency = "mine.example", 3
    def __init__(self, name, key): self.name, self.key = name, key
    async def chat(self, request, *, on_text=None): raise NotImplementedError
    async def models(self): return []
    async def aclose(self): pass
def create(settings, *, name, key=None): return Mine(name, key)
def broken(settings, *, name, key=None): raise RuntimeError("no such shard")
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    (tmp_path / "their_plugin.py").write_text(PLUGIN)
    info = tmp_path / "their_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[workbench.providers]\ntheirs = their_plugin:create\nbroken = their_plugin:broken\n"
        "gone = no_such_module:create\nfake = their_plugin:create\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_another_packages_provider_is_found_but_cannot_replace_ours(settings, plugin):
    registry = Registry(settings(), key_for=Secret)
    found = registry.resolve("theirs/some/model")
    assert (found.provider.host, found.model, found.provider.key) == (
        "mine.example",
        "some/model",
        Secret("theirs"),
    )
    assert isinstance(registry.resolve("fake/echo").provider, FakeProvider)
    assert "theirs/…" in registry.available()
    run(registry.aclose())


@pytest.mark.parametrize(("name", "cause"), [("broken", "no such shard"), ("gone", "no_such_module")])
def test_a_broken_plugin_gives_one_warning_with_package_and_cause(settings, plugin, name, cause):
    registry = Registry(settings())
    with (
        pytest.warns(UserWarning, match=f"their-package.*{cause}") as warned,
        pytest.raises(UnknownModelError),
    ):
        registry.resolve(f"{name}/m")
    assert len(warned) == 1
    assert f"{name}/…" not in registry.available()
    assert registry.resolve("theirs/m").provider.name == "theirs"


def test_the_registry_imports_no_http_client_until_one_is_needed():
    code = (
        "import sys; from workbench.providers.registry import Registry; from workbench.settings import Settings\n"
        "registry = Registry(Settings.from_env({'HOME': '/nonexistent'})); registry.available()\n"
        "registry.resolve('fake/echo'); assert 'aiohttp' not in sys.modules\n"
        "registry.resolve('openai/x'); assert 'aiohttp' in sys.modules and 'xllamacpp' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
