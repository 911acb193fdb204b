"""DeepFashion's three releases in small, written by hand in the official formats."""

import numpy as np

IMAGES = [f"img/{folder}/img_0000000{k}.jpg" for folder in ("Sheer_Blouse", "Lace_Cape") for k in (1, 2, 3)]
COARSE = {
    "Anno_coarse/list_category_cloth.txt": """4
category_name  category_type
Blazer         1
Cape           3
Jeans          2
Sundress       3
""",
    "Anno_coarse/list_attr_cloth.txt": """3
attribute_name               attribute_type
abstract chevron print       1
lace                         2
maxi                         3
""",
    "Anno_coarse/list_category_img.txt": "6\nimage_name   category_label\n"
    + "".join(f"{image}      {n}\n" for image, n in zip(IMAGES, (3, 3, 1, 1, 3, 3), strict=True)),
    "Anno_coarse/list_attr_img.txt": "6\nimage_name   attribute_labels\n"
    + "".join(
        f"{image}   {values}\n"
        for image, values in zip(
            IMAGES, (" 1 -1 -1", "-1 -1 -1", " 1  0  1", "-1  1 -1", " 0  0  0", "-1 -1  0"), strict=True
        )
    ),
    "Anno_coarse/list_bbox.txt": "6\nimage_name   x_1  y_1  x_2  y_2\n"
    + "".join(f"{image}   00{k} 002 020 03{k}\n" for k, image in enumerate(IMAGES)),
    "Eval/list_eval_partition.txt": "6\nimage_name   evaluation_status\n"
    + "".join(
        f"{image}   {part}\n"
        for image, part in zip(IMAGES, ("train", "val", "test", "train", "train", "test"), strict=True)
    ),
}
FINE = {
    "Anno_fine/train.txt": f"{IMAGES[0]}\n{IMAGES[1]}\n",
    "Anno_fine/train_attr.txt": f"1 {'0 ' * 24}1 \n{'0 ' * 26}\n",
    "Anno_fine/train_cate.txt": "3\n41\n",
    "Anno_fine/train_bbox.txt": "1 2 20 30\n1 2 20 31\n",
    "Anno_fine/val.txt": f"{IMAGES[2]}\n",
    "Anno_fine/val_attr.txt": "0 0 0 0 0 0 0 1 0 0 1 0 0 0 0 1 0 1 0 0 0 0 0 0 1 0\n",
    "Anno_fine/val_cate.txt": "3\n",
    "Anno_fine/val_bbox.txt": "001 002 020 030\n",
    "Anno_fine/test.txt": f"{IMAGES[4]}\n",
    "Anno_fine/test_attr.txt": "0 0 0 0 0 0 0 1 0 0 1 0 0 0 0 1 0 1 0 0 0 0 0 0 1 0\n",
    "Anno_fine/test_cate.txt": "50\n",
    "Anno_fine/test_bbox.txt": "001 002 020 030\n",
}
SHOP = [  # path, item, part, box
    *(
        (f"img/MEN/Denim/id_0000000{k}/01_{v}_front.jpg", f"id_0000000{k}", "train")
        for k in range(1, 8)
        for v in (1, 2)
    ),
    ("img/MEN/Denim/id_00000080/01_1_front.jpg", "id_00000080", "query"),
    ("img/MEN/Denim/id_00000080/01_2_side.jpg", "id_00000080", "gallery"),
    ("img/WOMEN/Graphic_Tees/id_00000081/02_1_front.jpg", "id_00000081", "query"),
    ("img/WOMEN/Graphic_Tees/id_00000082/02_1_front.jpg", "id_00000082", "gallery"),
]
INSHOP = {
    "Eval/list_eval_partition.txt": f"{len(SHOP)}\nimage_name item_id evaluation_status\n"
    + "".join(f"{image:<70} {item} {part}\n" for image, item, part in SHOP),
    "Anno/list_bbox_inshop.txt": f"{len(SHOP)}\nimage_name clothes_type pose_type x_1 y_1 x_2 y_2\n"
    + "".join(f"{image:<70} 2 1 00{k % 10} 001 020 030\n" for k, (image, _, _) in enumerate(SHOP)),
}


def picture(k: int) -> np.ndarray:
    """24 x 40 pixels with a gradient, so that a crop at another place differs."""
    y, x = np.mgrid[:40, :24]
    return np.stack([x * 10, y * 6, np.full_like(x, k * 30)], axis=2).astype(np.uint8)


def changed(files: dict[str, str], name: str, old: str, new: str) -> dict[str, str]:
    """The files with a fault in one of them."""
    assert old in files[name], "the test changes nothing"
    return {**files, name: files[name].replace(old, new)}
