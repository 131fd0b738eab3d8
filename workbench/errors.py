"""The whole error tree.

Branches say what the caller should do; a message names the thing, then the cure. Driver and
network errors are wrapped once, at the border (``db`` and ``providers``), with ``__cause__`` kept.

::

    WorkbenchError
    ├── ConfigError                 change a setting, then try again
    │   ├── DatabaseUrlError            the URL is malformed, or belongs to a superuser or owner
    │   ├── NoModelError                no model was chosen and none can be guessed
    │   ├── UnknownModelError           the model id is not known here (did you mean …?)
    │   ├── WeightsError                local weights are missing or have the wrong hash
    │   └── KeyUnavailableError         a provider key is missing or cannot be decrypted
    ├── InputError                  change the call, then try again
    │   ├── OptionError                 a magic's or command's line does not parse
    │   ├── TemplateError               a template does not parse, or uses what is not allowed
    │   │   ├── UndefinedVariableError      a variable or column that the template needs is missing
    │   │   ├── VariableTypeError           a value is not of the type that its variable was declared as
    │   │   └── CompositionError            prompts that include each other in a circle, too deeply, or not at all
    │   ├── UnknownReferenceError       no such prompt, version, label, dataset, test or report
    │   ├── NameTakenError              a name is used already, or is not allowed
    │   ├── DataError                   a DataFrame or dataset cannot be used as it is
    │   ├── FileError                   a file is missing, too large, or not of the kind that is wanted
    │   ├── SchemaError                 what was given as the schema of an answer is none
    │   ├── AnalysisInputError          rows that no honest test can be computed from
    │   └── ParameterError              a report's parameter is unknown, of a wrong type, or a secret
    ├── DatabaseError               look at the server
    │   ├── ServerUnavailableError      nothing answers at the URL
    │   ├── EmbeddedServerError         the embedded server cannot start, and why
    │   ├── SchemaVersionError          the database is older or newer than the code
    │   ├── DiskFullError               no space left for the database
    │   ├── AccessDeniedError           the database refuses this login that row or table
    │   ├── AnswerKeptError             an answer is kept in a file until the database is back
    │   └── ConflictError               somebody else changed the same thing; try again
    ├── ProviderError               look at the provider; carries the tries and any partial text
    │   ├── AuthenticationError         401, 403: the key is wrong or may not do this
    │   ├── PaymentRequiredError        402: the account has no credit
    │   ├── RequestRejectedError        400, 404, 413, 422: the provider will not take the request
    │   │   └── ContextTooLongError         it is longer than what the model can read
    │   ├── RateLimitedError            429 after every retry
    │   ├── ProviderUnavailableError    connection, proxy, timeout or 5xx after every retry
    │   ├── BadResponseError            200, but not an answer (HTML, bad JSON, an error object)
    │   ├── IncompleteAnswerError       the answer stopped before its end
    │   └── SchemaMismatchError         the answer is not what its schema says
    ├── BudgetError                 the next call could exceed the budget
    ├── ConfirmationNeededError     the plan costs more than may be spent without asking
    ├── RunInterruptedError         stopped by the person; what was answered is stored
    └── ReportError                 a report's notebook failed; its path is kept
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.core.chat import Attempt, ChatResponse

__all__ = [
    "AccessDeniedError",
    "AnalysisInputError",
    "AnswerKeptError",
    "AuthenticationError",
    "BadResponseError",
    "BudgetError",
    "CompositionError",
    "ConfigError",
    "ConfirmationNeededError",
    "ConflictError",
    "ContextTooLongError",
    "DataError",
    "DatabaseError",
    "DatabaseUrlError",
    "DiskFullError",
    "EmbeddedServerError",
    "FileError",
    "IncompleteAnswerError",
    "InputError",
    "KeyUnavailableError",
    "NameTakenError",
    "NoModelError",
    "OptionError",
    "ParameterError",
    "PaymentRequiredError",
    "ProviderError",
    "ProviderUnavailableError",
    "RateLimitedError",
    "ReportError",
    "RequestRejectedError",
    "RunInterruptedError",
    "SchemaError",
    "SchemaMismatchError",
    "SchemaVersionError",
    "ServerUnavailableError",
    "TemplateError",
    "UndefinedVariableError",
    "UnknownModelError",
    "UnknownReferenceError",
    "VariableTypeError",
    "WeightsError",
    "WorkbenchError",
    "did_you_mean",
]


#: Characters of a model's answer that an error's text repeats.
_SHOWN_ANSWER = 1_000


class WorkbenchError(Exception):
    """Root of every error that the workbench raises on purpose.

    Args:
        message: names the thing that is wrong, in one sentence.
        cure: what to do about it; may be empty where the message already says so.

    """

    code = "error"

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}\n→ {self.cure}" if self.cure else self.message

    def _render_traceback_(self) -> list[str]:
        """Let IPython print the error as two clean lines instead of a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ConfigError(WorkbenchError):
    """Change a setting, then try again."""

    code = "config"


class DatabaseUrlError(ConfigError):
    """The database URL is malformed, or belongs to a superuser or owner."""


class NoModelError(ConfigError):
    """No model was chosen and none can be guessed."""


class UnknownModelError(ConfigError):
    """The model id is not known here."""


class WeightsError(ConfigError):
    """Local weights are missing or have the wrong hash."""


class KeyUnavailableError(ConfigError):
    """A provider key is missing or cannot be decrypted."""


class InputError(WorkbenchError):
    """Change the call, then try again."""

    code = "input"


class OptionError(InputError):
    """A magic's or command's line does not parse."""


class TemplateError(InputError):
    """A template does not parse, or uses what is not allowed."""

    code = "template"


class UndefinedVariableError(TemplateError):
    """A variable or column that the template needs is missing."""


class VariableTypeError(TemplateError):
    """A value is not of the type that its variable was declared as."""


class CompositionError(TemplateError):
    """Prompts that include each other in a circle, too deeply, or in a way that cannot be."""


class UnknownReferenceError(InputError):
    """No such prompt, version, label, dataset, test or report."""


class NameTakenError(InputError):
    """A name is used already, or is not allowed."""


class DataError(InputError):
    """A DataFrame or dataset cannot be used as it is."""


class FileError(InputError):
    """A file is missing, too large, or not of the kind that is wanted."""


class SchemaError(InputError):
    """What was given as the schema of an answer is none, or cannot be used."""


class AnalysisInputError(InputError):
    """Rows that no honest test can be computed from."""


class ParameterError(InputError):
    """A report's parameter is unknown, of a wrong type, or a secret."""


class DatabaseError(WorkbenchError):
    """Look at the server."""

    code = "database"


class ServerUnavailableError(DatabaseError):
    """Nothing answers at the URL."""


class EmbeddedServerError(DatabaseError):
    """The embedded server cannot start; the message says why."""


class SchemaVersionError(DatabaseError):
    """The database is older or newer than the code."""


class DiskFullError(DatabaseError):
    """No space is left for the database."""


class AccessDeniedError(DatabaseError):
    """The database refuses this login that row or table."""


class AnswerKeptError(DatabaseError):
    """The database cannot take an answer now; it is kept in a file, and stored at the next connection."""


class ConflictError(DatabaseError):
    """Somebody else changed the same thing at the same time."""


class ProviderError(WorkbenchError):
    """Look at the provider.

    Attributes:
        code: what is stored as ``executions.error_code``.
        http_status: the last status seen, or None when no answer came.
        attempts: every HTTP try, oldest first.
        partial_text: what had arrived before the failure; stored, never scored.
        response: what is known of the answer, when one had begun: usage and cost are stored although
            the call failed.

    """

    code = "provider"

    def __init__(
        self,
        message: str,
        *,
        cure: str = "",
        http_status: int | None = None,
        retry_after: float | None = None,
        attempts: Sequence[Attempt] = (),
        partial_text: str = "",
        response: ChatResponse | None = None,
    ) -> None:
        super().__init__(message, cure=cure)
        self.http_status = http_status
        self.retry_after = retry_after
        self.attempts = tuple(attempts)
        self.partial_text = partial_text
        self.response = response


class AuthenticationError(ProviderError):
    """401, 403: the key is wrong or may not do this."""

    code = "auth"


class PaymentRequiredError(ProviderError):
    """402: the account has no credit."""

    code = "payment"


class RequestRejectedError(ProviderError):
    """400, 404, 413, 422: the provider will not take the request."""

    code = "rejected"


class ContextTooLongError(RequestRejectedError):
    """The messages are longer than what the model can read; nothing is ever cut off to make them fit."""

    code = "context"


class RateLimitedError(ProviderError):
    """429 after every retry."""

    code = "rate_limit"


class ProviderUnavailableError(ProviderError):
    """Connection, proxy, timeout or 5xx after every retry."""

    code = "unavailable"


class BadResponseError(ProviderError):
    """200, but not an answer."""

    code = "bad_response"


class IncompleteAnswerError(ProviderError):
    """The answer stopped before its end; ``partial_text`` holds what came."""

    code = "incomplete"


class SchemaMismatchError(ProviderError):
    """The answer is not what its schema says; ``partial_text`` holds the answer as it came."""

    code = "schema"

    def __str__(self) -> str:
        """Return the message, the cure, and the answer: without it nobody could tell what went wrong."""
        shown = "".join(
            c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in self.partial_text
        )
        more = " …" if len(shown) > _SHOWN_ANSWER else ""
        return f"{super().__str__()}\nThe answer was: {shown[:_SHOWN_ANSWER]}{more}"


class BudgetError(WorkbenchError):
    """The next call could exceed the budget."""

    code = "budget"


class ConfirmationNeededError(WorkbenchError):
    """The plan costs more than may be spent without asking."""


class RunInterruptedError(WorkbenchError):
    """Stopped by the person; what was answered is stored."""

    code = "interrupted"


class ReportError(WorkbenchError):
    """A report's notebook failed; the message holds the path of what was written."""

    code = "report"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``"did you mean 'x'?"`` for the closest known name, else an empty string.

    >>> did_you_mean("clasify", ["classify", "tone"])
    "did you mean 'classify'?"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
