"""Images in: DICOM, PNG, JPEG and TIFF to 8 bit, and how large a model sees them."""
