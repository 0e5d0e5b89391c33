"""The scalar for JSON in text."""

from typing import Any

import graphene

from posstream.json_output import write_json


class JSONString(graphene.JSONString):  # graphene is untyped
    """JSON as a String. Numbers in what the directory wrote are as the directory wrote them."""

    @staticmethod
    def serialize(document: Any) -> str:
        """A document as text."""
        try:
            return str(graphene.JSONString.serialize(document))
        except TypeError:  # a number that Python's own library cannot write
            return write_json(document).decode()
