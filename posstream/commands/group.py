"""The class of every group of commands: it names the nearest command to one that is not known."""

import click

from posstream.domain.near_names import did_you_mean


class CommandGroup(click.Group):
    """A group whose refusal of an unknown command suggests a known one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the arguments, as click does."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as why:
            if type(why) is click.UsageError:  # an option that is not known has its own hint
                why.message = why.message.rstrip(".") + self.hint(ctx, args[0])
            raise

    def hint(self, ctx: click.Context, given: str) -> str:
        """What may have been meant: the end of the sentence about an unknown command."""
        return did_you_mean(given, self.list_commands(ctx)) or "."
