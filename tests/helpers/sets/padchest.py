"""PadChest: lists of labels with stray spaces and repeats, an empty report, a lateral view, a folder written 0.0."""

from sets import csv, picture

HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,PhotometricInterpretation_DICOM,"
    "PixelRepresentation_DICOM,PixelAspectRatio_DICOM,SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,"
    "WindowWidth_DICOM,Rows_DICOM,Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,ExposureTime,"
    "RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,LabelsLocalizationsBySentence,labelCUIS,"
    "LocalizationsCUIS"
)


def row(number, image, folder, patient, projection, report, labels):
    middle = "Manual review of DICOM fields,No,CR,ImagingDynamicsCompanyLtd,MONOCHROME2,0,,0.2,12,,,2320,2828,,,,,"
    return (
        f"{number},{image},{folder},20140915,S{patient},{patient},1930.0,F,POSTEROANTERIOR,{projection},{middle},4765777,"
        f"{report},Physician,\"{labels}\",[],\"[['x'], ['loc basal']]\",[],[]"
    )


def write(root):
    csv(
        root / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv",
        HEADER,
        row(0, "2053_k6ga29.png", "0", "839860", "PA", "sin hallazgos patologicos edad paciente .", "['normal']"),
        row(1, "1383_s7pr9s.png", "0.0", "313572", "AP", "cambios pulmonar cronicos severos .",
            "['pulmonary fibrosis', ' chronic changes', 'pulmonary fibrosis', '']"),
        row(2, "2048_55h3pc.png", "14", "999", "L", "ver PA", "['exclude']"),
        row(3, "2048_66h3pc.png", "14", "999", "PA", "", "['unchanged']"),
    )  # fmt: skip
    for path in ("0/2053_k6ga29.png", "0/1383_s7pr9s.png", "14/2048_55h3pc.png", "14/2048_66h3pc.png"):
        picture(root / path)
