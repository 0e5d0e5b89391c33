from posstream.adapters.directory_http import _decode


def test_an_answer_nested_too_deep_to_be_published_is_no_json() -> None:
    deep = b'{"customer_id": "C", "x": ' + b"[" * 400 + b"]" * 400 + b"}"
    assert _decode(deep) == (None, False)


def test_an_ordinary_answer_is_decoded() -> None:
    assert _decode(b'{"customer_id": "C"}') == ({"customer_id": "C"}, True)
