"""MIMIC-CXR-JPG 2.0.0 with reports: a study of two views, one without findings, one without a report, one set apart."""

import gzip

from sets import csv, picture

REPORT = """\
                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)
 
 INDICATION:  ___F with new onset ascites  // eval for infection
 
 TECHNIQUE:  Chest PA and lateral
 
 COMPARISON:  None.
 
 FINDINGS: 
 
 There is no focal consolidation, pleural effusion or pneumothorax.  Bilateral
 nodular opacities that most likely represent nipple shadows.
 
 IMPRESSION: 
 
 No acute cardiopulmonary process.
"""
WITHOUT_FINDINGS = """\
                                 FINAL REPORT
 CHEST, TWO VIEWS:
 
 REASON FOR EXAM:  Cough.
 
 IMPRESSION:  AP chest compared to ___:
 
 Mild pulmonary edema is new.
"""
ONE_PARAGRAPH = """\
                                 FINAL REPORT
 HISTORY:  Fall.
 
 Comparison is made with prior study.  The lungs are clear.
"""
LABELS = (
    "subject_id,study_id,Atelectasis,Cardiomegaly,Consolidation,Edema,Enlarged Cardiomediastinum,Fracture,Lung Lesion,"
    "Lung Opacity,No Finding,Pleural Effusion,Pleural Other,Pneumonia,Pneumothorax,Support Devices"
)
METADATA = (
    "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime,"
    "ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,PatientOrientationCodeSequence_CodeMeaning"
)
IMAGES = [  # dicom, subject, study, view, split
    ("02aa804e-bde0afdd", "10000032", "50414267", "PA", "train"),
    ("174413ec-4ec4c1f7", "10000032", "50414267", "LATERAL", "train"),
    ("2a2277a9-b0ded155", "10000032", "53189527", "AP", "train"),
    ("68b5c4b1-227d0485", "10000764", "57375967", "AP", "validate"),
    ("096052b7-d256dc40", "10000935", "50525523", "PA", "test"),
    ("3a3a3a3a-d256dc40", "10000935", "51178377", "", "test"),
    ("4b4b4b4b-d256dc40", "10000935", "55697293", "PA", "test"),
]


def write(root):
    def zipped(name, *rows):
        csv(root / name, *rows)
        (root / f"{name}.gz").write_bytes(gzip.compress((root / name).read_bytes(), mtime=0))
        (root / name).unlink()

    zipped(
        "mimic-cxr-2.0.0-metadata.csv",
        METADATA,
        *(f"{d},{p},{s},CHEST (PA AND LAT),{v},3056,2544,21800506,213014.531,x,y,Erect" for d, p, s, v, _ in IMAGES),
    )
    zipped(
        "mimic-cxr-2.0.0-split.csv",
        "dicom_id,study_id,subject_id,split",
        *(f"{d},{s},{p},{x}" for d, p, s, _, x in IMAGES),
    )
    zipped(
        "mimic-cxr-2.0.0-chexpert.csv",
        LABELS,
        "10000032,50414267,,,,,,,,,1.0,,,,,",
        "10000032,53189527,,-1.0,,1.0,,,,,,0.0,,,0.0,1.0",
    )
    for dicom, patient, study, _, _ in IMAGES:
        picture(root / f"files/p{patient[:2]}/p{patient}/s{study}/{dicom}.jpg")
    for patient, study, text in (
        ("10000032", "50414267", REPORT),
        ("10000032", "53189527", WITHOUT_FINDINGS),
        ("10000764", "57375967", ONE_PARAGRAPH),
        ("10000935", "50525523", REPORT),
    ):
        (root / f"files/p{patient[:2]}/p{patient}/s{study}.txt").write_text(text)
