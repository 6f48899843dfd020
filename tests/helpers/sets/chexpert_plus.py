"""CheXpert Plus: the table of 240401 with its unnamed first column, line breaks in cells, a report without findings."""

from sets import csv, picture

HEADER = (
    ",path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,report,section_narrative,"
    "section_clinical_history,section_history,section_comparison,section_technique,section_procedure_comments,"
    "section_findings,section_impression,section_end_of_impression,section_summary,section_accession_number,age,sex,race,"
    "ethnicity,interpreter_needed,insurance_type,recent_bmi,deceased,split"
)
PEOPLE = "68.0,Female,White,Non-Hispanic/Non-Latino,No,Medicare,,No,"


def row(number, patient, view, side, findings, impression, split):
    path = f"{split}/{patient}/study1/view{view}_{side.lower()}"
    report = f'"NARRATIVE:\nCHEST, {findings}\nIMPRESSION: {impression}"'
    cells = f'{report},"CHEST,",chest pain,,,,,"{findings}","{impression}",,,123'
    return f"{number},{path}.jpg,{path}.dcm,{side},AP,{patient},1,{cells},{PEOPLE}{split}"


def write(root):
    csv(
        root / "df_chexpert_plus_240401.csv",
        HEADER,
        row(0, "patient00001", 1, "Frontal", "\nLow lung volumes.\n  No effusion.", "\n1. No acute disease.", "train"),
        row(1, "patient00002", 1, "Frontal", "", "1. Stable cardiomegaly.", "train"),
        row(2, "patient00002", 2, "Lateral", "", "1. Stable cardiomegaly.", "train"),
        row(3, "patient64541", 1, "Frontal", "Clear lungs.", "Normal.", "valid"),
    )
    picture(root / "PNG/train/patient00001/study1/view1_frontal.png")
    picture(root / "PNG/train/patient00002/study1/view1_frontal.png")
    picture(root / "PNG/train/patient00002/study1/view2_lateral.png")
    picture(root / "PNG/valid/patient64541/study1/view1_frontal.png")
