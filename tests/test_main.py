"""The command line: what it takes, and what it says of a wrong command."""

import pytest

from fashionlib.__main__ import main


@pytest.mark.parametrize("arguments", [[], ["dowload"], ["download", "imagenet"]])
def test_a_wrong_command_is_told_the_right_ones(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2 and "usage: python -m fashionlib" in capsys.readouterr().err
