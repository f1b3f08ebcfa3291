import pytest

from scow.gotemplate import Template, TemplateError


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{{json}}", "<json>: wrong number of args for json: want 1 got 0"),
        ("{{json . 1}}", "<json>: wrong number of args for json: want 1 got 2"),
        ("{{. | json 1}}", "<json>: wrong number of args for json: want 1 got 2"),
        ('{{join "a"}}', "<join>: wrong number of args for join: want 2 got 1"),
        ('{{pad "a"}}', "<pad>: wrong number of args for pad: want 3 got 1"),
        ("{{index}}", "<index>: wrong number of args for index: want at least 1 got 0"),
        ("{{printf}}", "<printf>: wrong number of args for printf: want at least 1 got 0"),
        ("{{and}}", "<and>: wrong number of args for and: want at least 1 got 0"),
        ("{{eq 1}}", "<eq 1>: error calling eq: missing argument for comparison"),
        ("{{lower 1}}", "<lower 1>: wrong type for value; expected string; got int64"),
        ("{{.Label}}", "<.Label>: wrong number of args for Label: want 1 got 0"),
    ],
)
def test_wrong_arguments_are_told_in_words_of_go(text, why):
    with pytest.raises(TemplateError) as caught:
        Template(text).render({"Label": lambda key: key}, "error")
    assert caught.value.message.endswith(why)
