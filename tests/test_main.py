"""The command line: what it takes, and what it says of a wrong command."""

import pytest

from fashionlib.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["usage: python -m fashionlib", "tag", "download", "cite"]),
        (
            ["tag", "--help"],
            ["MODEL.pth PHOTOS", "--out", "--embeddings", "--report", "--overwrite", "--engine {local,ray}"],
        ),
        (["download", "--help"], ["{products,clothing}", "--data"]),
    ],
)
def test_help_names_every_command_and_option(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 0 and all(word in said for word in words)


@pytest.mark.parametrize("arguments", [[], ["dowload"], ["download", "imagenet"]])
def test_a_wrong_command_is_told_the_right_ones(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and "usage: python -m fashionlib" in capsys.readouterr().err
