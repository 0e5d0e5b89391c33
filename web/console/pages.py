"""Renders the pages of the console: template, security policy, and what the caller may see."""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from aiohttp import hdrs, web
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from jinja2.bccache import Bucket, BytecodeCache
from markupsafe import Markup

from posstream.domain.payment_card import mask_payment_cards
from posstream.domain.roles import Caller, Role
from posstream.domain.times import iso_utc
from web.access.guard import FORM_TOKEN, caller_of, form_token_of
from web.access.guessing import TOO_MANY_LOOKUPS
from web.access.reveals import Reveals
from web.console import numbers
from web.console.assets import Assets
from web.console.navigation import NavigationEntry

if TYPE_CHECKING:
    from web.console.part import TriedStep

#: The content security policy: everything from this host; inline only what carries the nonce.
_POLICY: Final = (
    "default-src 'none'; style-src 'self' 'nonce-{nonce}'; script-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What is around the contents of every page."""

    #: The pages that a caller may open.
    navigation: Callable[[Caller], Sequence[NavigationEntry]]
    #: What plugins tell above every page.
    banners: Callable[[Caller], Sequence[str]]
    assets: Assets
    card_guard: bool
    #: What plugins add to a page: takes the request, the page's name and what it is about.
    additions: "Callable[[web.Request, str, str], Awaitable[Sequence[str]]]"
    #: What plugins play in the basket of *Try it*.
    tried: "Callable[[], Sequence[TriedStep]]"


class _CompiledTemplates(BytecodeCache):
    """Keeps the code of templates in memory, by the keys that Jinja gives them."""

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
def _compiled_templates(templates: str | None, *, card_guard: bool) -> _CompiledTemplates:  # noqa: ARG001 - the key
    """The compiled templates of this process; two sets, because the card guard is compiled in."""
    return _CompiledTemplates()


class Pages:
    """The templates of the console, and those of one plugin."""

    def __init__(self, shell: Shell, templates: str | None = None) -> None:
        """Make one.

        Args:
            shell: around every page.
            templates: the package whose folder `templates` has the plugin's. A template of the
                plugin goes before one of the console's with the same name, on its own pages.
        """
        packages = ["web.console"] if templates is None else [templates, "web.console"]
        self._shell = shell
        self._templates = Environment(
            loader=ChoiceLoader([PackageLoader(package) for package in packages]),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            bytecode_cache=_compiled_templates(templates, card_guard=shell.card_guard),
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_without_cards if shell.card_guard else None,
        )
        self._templates.globals["asset"] = shell.assets.url
        self._templates.filters |= {
            "duration_ms": numbers.duration_ms,
            "percent": numbers.percent,
            "rate": numbers.rate,
            "whole": numbers.whole,
        }
        self._templates.filters |= {"time": _time, "clock": _clock, "moment": iso_utc}

    def share(self, **values: Any) -> None:
        """Give values to all of these templates, by name."""
        self._templates.globals |= values

    def render(
        self,
        request: web.Request,
        template: str,
        *,
        reveals: Reveals | None = None,
        status: int = 200,
        **values: Any,
    ) -> web.Response:
        """Render a page.

        Args:
            request: what is answered; its caller decides what the page offers.
            template: a file of `templates/`.
            reveals: what the page shows identifiers with; by default all are masked.
            status: the HTTP status.
            values: what the template uses.
        """
        caller = caller_of(request)
        nonce = secrets.token_urlsafe(16)
        text = self.addition(
            request,
            template,
            reveals=reveals,
            **values,
            nonce=nonce,
            path=request.path,
            query=request.query,
            navigation=self._shell.navigation(caller),
            banners=self._shell.banners(caller),
            caller=caller,
            form_token=form_token_of(request),
            form_token_name=FORM_TOKEN,
        )
        return web.Response(
            text=text,
            content_type="text/html",
            status=status,
            headers={
                "Content-Security-Policy": _POLICY.format(nonce=nonce),
                # With `no-referrer` a browser sends a form as from the origin "null" (Fetch).
                "Referrer-Policy": "same-origin",
            },
        )

    def addition(
        self, request: web.Request, template: str, *, reveals: Reveals | None = None, **values: Any
    ) -> Markup:
        """A part of a page for the caller of a request; the arguments are those of `render`."""
        caller = caller_of(request)
        shown = reveals or Reveals(caller, asked=False)
        text = self._templates.get_template(template).render(
            **values,
            may=lambda role: caller.may(Role[role]),
            show=shown.show,
            show_customer_id=shown.show_customer_id,
            in_full=shown.in_full,
        )
        shown.log(f"the page {template.removesuffix('.html')}")
        return Markup(text)  # noqa: S704 - escaped

    async def additions(self, request: web.Request, page: str, about: str = "") -> Sequence[Markup]:
        """What plugins add to a page: the HTML of each that adds something.

        Args:
            request: what is answered.
            page: its name, which plugins know (`PageAddition`).
            about: what it is about, such as a basket's id.
        """
        made = await self._shell.additions(request, page, about)
        return [Markup(html) for html in made if html]  # noqa: S704 - as `PageAddition` says

    @property
    def tried(self) -> "Sequence[TriedStep]":
        """What plugins play in the basket of *Try it*."""
        return self._shell.tried()

    def part(self, template: str, **values: Any) -> Markup:
        """A part of a page, which is the same for everybody: it can show no identifier."""
        return Markup(self._templates.get_template(template).render(**values))  # noqa: S704 - escaped

    def forbidden(self, request: web.Request, needed: Role) -> web.Response:
        """The page that says who may do this: 403."""
        return self.render(request, "forbidden.html", status=403, needed=needed.label)

    def missing(  # noqa: PLR0913 - what the page says
        self,
        request: web.Request,
        title: str,
        why: str,
        back: tuple[str, str],
        status: int = 404,
        *,
        awaited: bool = False,
    ) -> web.Response:
        """The page that says what is not there, and where to go.

        Args:
            request: what is answered.
            title: what is wrong.
            why: in a sentence.
            back: a path and its name.
            status: the HTTP status.
            awaited: whether it may be on its way; the page looks for it for ten seconds.
        """
        return self.render(
            request,
            "missing.html",
            status=status,
            title=title,
            why=why,
            back=back,
            awaited=awaited and request.method == hdrs.METH_GET,
        )

    def too_many_lookups(self, request: web.Request) -> web.Response:
        """The page for a key that has tried too many identifiers: 429."""
        answer = self.missing(
            request,
            "Too many look-ups",
            f"{TOO_MANY_LOOKUPS.capitalize()}.",
            ("/", "Overview"),
            429,
        )
        answer.headers[hdrs.RETRY_AFTER] = "60"
        return answer


def with_query(request: web.Request, path: str | None = None, **changes: str | None) -> str:
    """The address of the page with some parameters of its query changed.

    Args:
        request: of the page that is looked at.
        path: of another page with the same parameters, quoted.
        changes: parameters by name; None leaves one out.
    """
    kept = {name: value for name, value in request.query.items() if name not in changes}
    query = kept | {name: value for name, value in changes.items() if value is not None}
    here = request.rel_url.with_path(path, encoded=True) if path is not None else request.rel_url
    return str(here.with_query(query))


def reveals_of(request: web.Request) -> Reveals:
    """The `Reveals` of a page: in full if the URL asks for that and the role allows it."""
    return Reveals(caller_of(request), asked=request.query.get("reveal") == "1")


def sentence(text: str) -> str:
    """A text with a capital letter and a full stop; a name as `toy:` stays as it is."""
    first = text.partition(" ")[0]
    is_name = "_" in first or first.endswith(":")
    return f"{text}." if is_name else f"{text[:1].upper()}{text[1:]}."


def _without_cards(value: Any) -> Any:
    """Mask card numbers in a value that a template prints, such as typed text."""
    return mask_payment_cards(value) if type(value) is str else value


def _time(moment: datetime | None) -> str:
    """As people read it: `2026-01-31 08:15:30`, in UTC; the script shows the local time."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _clock(moment: datetime) -> str:
    """As `_time`, without the date."""
    return f"{moment.astimezone(UTC):%H:%M:%S}"
