"""What the model's side may answer with: ``ModelError``, and below it ``LimitReachedError``."""

from __future__ import annotations


class ModelError(Exception):
    """The model server answered with an error."""

    def __init__(self, message: str, *, status_code: int | None = None, code: str | None = None) -> None:
        super().__init__(f"the model answered {status_code or code}: {message}")
        self.status_code, self.code = status_code, code

    @property
    def worth_a_retry(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.status_code is not None and self.status_code >= 500


class LimitReachedError(ModelError):
    """The account's limit is used up until ``resets_in_s`` seconds from now."""

    def __init__(self, message: str, *, resets_in_s: float) -> None:
        super().__init__(message, status_code=429)
        self.resets_in_s = resets_in_s
