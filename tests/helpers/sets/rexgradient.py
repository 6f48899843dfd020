"""ReXGradient-160K: an object of studies by id, several films each, views in two spellings, no findings."""

import json

from sets import picture

FILM = "pA1/aB2/studies/1.2.3/series/4.5/instances/{}.png"


def study(patient, findings, impression, **films):
    said = {"Findings": findings, "Impression": impression, "Indication": " Cough.\n", "Comparison": None}
    paths = [f"../deid_png/{FILM.format(film)}" for film in films]
    return {"PatientID": patient, "PatientAge": "061Y", "PatientSex": "F", "ImagePath": paths,
            "ImageViewPosition": list(films.values()), **said}  # fmt: skip


def write(root):
    (root / "metadata").mkdir(parents=True, exist_ok=True)
    train = {
        "pA1_aB2_s1": study("pA1", "Clear lungs.\n No effusion.", "Normal.", one="PA", two="LATERAL"),
        "pA1_aB3_s2": study("pA1", None, "Stable.", one="POSTERO_ANTERIOR"),
    }
    (root / "metadata/train_metadata_view_position.json").write_text(json.dumps(train))
    test = {"pC3_aB2_s3": study("pC3", "Effusion.", "", two=None)}
    (root / "metadata/test_metadata_view_position.json").write_text(json.dumps(test))
    for film in ("one", "two"):
        picture(root / "deid_png" / FILM.format(film))
