"""Keeps compiled templates in memory: each is compiled once in a process, for all environments."""

from functools import cache

from jinja2.bccache import Bucket, BytecodeCache


class CompiledTemplates(BytecodeCache):
    """The code of templates by the keys that Jinja gives them."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give the code of a template, if it is there and of the same source."""
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep the code of a template."""
        self._code[bucket.key] = bucket.bytecode_to_string()


@cache
def compiled_templates(templates: str | None, *, card_guard: bool) -> CompiledTemplates:  # noqa: ARG001 - the key
    """The code of this process, apart for either guard: the masking of cards is compiled in."""
    return CompiledTemplates()
