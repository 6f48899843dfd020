"""PMC-VQA: both versions, letters before the options, an empty option, two that are the same, a line break."""

from sets import csv, picture

ONE = "Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D,Answer_label"
TWO = "index,Figure_path,Caption,Question,Choice A,Choice B,Choice C,Choice D,Answer,split"


def write(root):
    options = "A:Diffuse uptake pattern, B:Focal uptake pattern , C:No uptake pattern,D:Cannot determine"
    csv(
        root / "train.csv",
        ONE,
        f"PMC1064097_F1.jpg,What is the uptake pattern in the breast?,Focal uptake pattern,{options},B",
        'PMC1_F2.jpg,"What does it\nshow, if anything?",A mass,A:A mass,B:,C:Nothing,D:A cyst,A',
        "PMC1_F2.jpg,Which stain?,PAS,A:PAS,B:H&E,C:PAS,D:None,A",
    )
    csv(root / "test.csv", ONE, f"PMC1_F2.jpg,Which pattern?,Diffuse uptake pattern,{options},A")
    csv(root / "test_clean.csv", ONE, f"PMC1_F2.jpg,Which pattern?,Diffuse uptake pattern,{options},A")
    csv(root / "train_2.csv", TWO, f'0,PMC2_Fig1_3.jpg,"A caption, long",Which pattern?,{options},D,train')
    csv(root / "test_2.csv", TWO, f"1,PMC2_Fig1_3.jpg,A caption,Which pattern?,{options},A,test")
    for file in ("images/PMC1064097_F1.jpg", "images/PMC1_F2.jpg", "images_2/figures/PMC2_Fig1_3.jpg"):
        picture(root / file)
