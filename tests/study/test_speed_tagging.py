"""The speed of tagging is measured from the files on."""

from study.speed.tagging import tagging_speed


def test_every_way_of_tagging_is_measured_and_compared_with_the_bare_network(trained):
    model, data = trained
    table = tagging_speed(model, data, photos=20, batch_size=8, repeats=1)
    assert list(table) == ["what", "images_per_second", "ratio_to_bare"]
    ways = ["bare_forward", "tag", "tag_folder", "read_phone_photos", "tag_phone_photos"]
    assert table["what"].tolist() == ways and (table["images_per_second"] > 0).all()
    assert table["ratio_to_bare"].tolist() == (table["images_per_second"] / table["images_per_second"][0]).tolist()
