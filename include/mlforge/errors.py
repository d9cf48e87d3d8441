"""The tree of errors.

    MLForgeError
    ├── TerminalError                 trying again changes nothing
    │   ├── SettingsError             a setting, a secret, a port or a directory of this installation
    │   ├── SpecError                 use_case.yaml or a file that it names
    │   ├── PartitionKeyError         a key that is no date, or outside the use case's schedule
    │   ├── SourceError               a source that cannot be read as declared
    │   │   └── EmptyPartitionError   a source that has no rows for the key
    │   ├── ContractError             data that breaks its contract beyond the policy
    │   ├── StaleAttemptError         a newer attempt has taken over the partition
    │   ├── FeatureError              a feature view that cannot be computed, joined or read
    │   ├── TrainingError             data or parameters that cannot give a model
    │   ├── PromotionError            a promotion that the ledger refuses
    │   ├── ServingError              a release that cannot be packaged, verified or rolled out
    │   ├── MonitoringError           a report that cannot be made
    │   ├── DataVersionError          a dataset version that cannot be made, found, compared or restored
    │   └── WalkForwardError          a walk through history that cannot go on
    └── RetryableError                the next attempt may succeed
        ├── ServiceUnavailableError   a service that does not answer
        └── PartitionNotReadyError    data that is late

Each message says what failed, where, on what evidence and what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MAX_EXAMPLES = 5


class MLForgeError(Exception):
    """What failed, where, on what evidence, and the next step.

    Args:
        what: One sentence that says what failed.
        where: Use case, stage, dataset, partition, column: whatever places it.
        evidence: Examples; the first five are shown with the count of all.
        hint: The next step for the person who reads it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        evidence: Iterable[object] = (),
        hint: str | None = None,
    ) -> None:
        self.what = what
        self.where = where
        self.evidence: Sequence[str] = tuple(str(item) for item in evidence)
        self.hint = hint
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.what if self.where is None else f"{self.where}: {self.what}"]
        if self.evidence:
            shown = "; ".join(self.evidence[:MAX_EXAMPLES])
            rest = len(self.evidence) - MAX_EXAMPLES
            parts.append(f"({shown}; and {rest} more)" if rest > 0 else f"({shown})")
        if self.hint:
            parts.append(f"→ {self.hint}")
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, tuple(self.evidence), self.hint)


def _rebuild(
    kind: type[MLForgeError], what: str, where: str | None, evidence: tuple[str, ...], hint: str | None
) -> MLForgeError:
    return kind(what, where=where, evidence=evidence, hint=hint)


class TerminalError(MLForgeError):
    """Trying again changes nothing: a person has to act."""


class RetryableError(MLForgeError):
    """The next attempt may succeed."""


class SettingsError(TerminalError):
    """A setting, a secret, a port or a directory of this installation is wrong."""


class SpecError(TerminalError):
    """A use case's description is wrong."""


class PartitionKeyError(TerminalError):
    """A partition key is no date, or outside the use case's schedule."""


class SourceError(TerminalError):
    """A source cannot be read as declared."""


class EmptyPartitionError(SourceError):
    """A source has no rows for the partition."""


class ContractError(TerminalError):
    """Data breaks its contract beyond what the policy allows."""


class StaleAttemptError(TerminalError):
    """A newer attempt has taken over the partition."""


class FeatureError(TerminalError):
    """A feature view cannot be computed, joined or read."""


class TrainingError(TerminalError):
    """Data or parameters cannot give a model."""


class PromotionError(TerminalError):
    """The release ledger refuses a promotion."""


class ServingError(TerminalError):
    """A release cannot be packaged, verified or rolled out."""


class MonitoringError(TerminalError):
    """A report cannot be made."""


class DataVersionError(TerminalError):
    """A dataset version cannot be made, found, compared or restored."""


class WalkForwardError(TerminalError):
    """A walk through history cannot go on."""


class ServiceUnavailableError(RetryableError):
    """A service does not answer."""


class PartitionNotReadyError(RetryableError):
    """Data that is expected has not come yet."""
