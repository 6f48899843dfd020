"""DICOM to 8-bit pictures: packed files give the pixels of the plain one, LUTs and windows what the standard says."""

from __future__ import annotations

import base64
import io
import struct
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from radrl.errors import UserError
from radrl.images.copies import copy_image
from radrl.images.files import image_size, read_image

pydicom = pytest.importorskip("pydicom", reason="pip install 'radrl[dicom]'")
from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

PLAIN, BIG_ENDIAN, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"
RLE, JPEG, JPEG_12, LOSSLESS = "1.2.840.10008.1.2.5", *(f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 70))
LS, LS_LOSSY, J2K, J2K_LOSSY = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 81, 90, 91))
# smooth, so that lossy packing changes little; 64 rows of 40
FILM = (np.add.outer(np.arange(64) * 36, np.arange(40) * 36) + 200).astype(np.uint16)  # 12 bits


def dicom(
    pixels: np.ndarray = FILM, syntax: str = PLAIN, frame: bytes | None = None, stored: int = 12, **tags
) -> bytes:
    """Returns a DICOM file with these pixels, or with ``frame`` as its packed data, and tags that name a patient."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    data.PatientName, data.PatientBirthDate, data.StudyDate = "Doe^Jane", "19500101", "20200202"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = min(stored, data.BitsAllocated)
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = pixels.tobytes() if frame is None else encapsulate([frame])
    data["PixelData"].VR = "OW" if data.BitsAllocated == 16 else "OB"
    if frame is not None:
        data["PixelData"].is_undefined_length = True
    for key, value in tags.items():
        setattr(data, key, value)
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True, little_endian=syntax != BIG_ENDIAN, implicit_vr=False)
    return file.getvalue()


def packed(syntax: str, pixels: np.ndarray = FILM, **options) -> bytes:
    """Returns the file as pydicom packs it."""
    data = pydicom.dcmread(io.BytesIO(dicom(pixels)))
    data.compress(syntax, generate_instance_uid=False, **options)
    file = io.BytesIO()
    data.save_as(file)
    return file.getvalue()


def jpeg(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0)
    return file.getvalue()


@pytest.fixture
def read(tmp_path):
    """``read(file)`` returns the grey values of a DICOM file."""

    def read(data: bytes, name: str = "a.dcm") -> np.ndarray:
        (tmp_path / name).write_bytes(data)
        found = np.asarray(read_image(tmp_path, name))
        assert image_size(tmp_path, name) == found.shape[1::-1]
        assert found.shape[2] == 3
        return found[..., 0]

    return read


def scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) * 255.0 / (high - low), 0, 255)


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether grey values are the wanted ones, rounded either way at a half."""
    return found.shape == wanted.shape and bool(np.abs(found - wanted).max() <= 0.501)


@pytest.mark.parametrize("syntax", [RLE, LS, J2K])
def test_lossless_packing_gives_the_pixels_of_the_plain_file(read, syntax):
    plain = read(dicom())
    assert same(plain, scaled(FILM.astype(float), FILM.min(), FILM.max()))
    assert np.array_equal(read(packed(syntax)), plain)


@pytest.mark.parametrize(("syntax", "options"), [(LS_LOSSY, {"jls_error": 3}), (J2K_LOSSY, {"j2k_psnr": [70]})])
def test_lossy_packing_stays_near(read, syntax, options):
    assert np.abs(read(packed(syntax, **options)).astype(int) - read(dicom())).max() <= 2


def test_jpeg_baseline(read):
    grey = scaled(FILM.astype(float), FILM.min(), FILM.max()).astype(np.uint8)
    found = read(dicom(grey, JPEG, frame=jpeg(grey), stored=8))
    assert np.abs(found.astype(int) - grey).max() <= 3


@pytest.mark.parametrize("syntax", [LOSSLESS, "1.2.840.10008.1.2.4.57"])
def test_what_gdcm_unpacks(read, tmp_path, syntax):
    gdcm = pytest.importorskip("gdcm", reason="pip install python-gdcm")
    kind = "JPEGLosslessProcess14_1" if syntax == LOSSLESS else "JPEGLosslessProcess14"
    (tmp_path / "plain.dcm").write_bytes(dicom())
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(tmp_path / "plain.dcm"))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(tmp_path / "packed.dcm"))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    found = read((tmp_path / "packed.dcm").read_bytes())
    assert np.array_equal(found, read(dicom()))


def test_byte_order_and_a_missing_preamble(read):
    big = dicom(FILM.byteswap(), BIG_ENDIAN)
    assert np.array_equal(read(big), read(dicom()))
    data = pydicom.dcmread(io.BytesIO(dicom()))
    bare = io.BytesIO()
    pydicom.dcmwrite(bare, Dataset(data), implicit_vr=True, little_endian=True)
    assert bare.getvalue()[128:132] != b"DICM"
    assert np.array_equal(read(bare.getvalue()), read(dicom()))


def test_monochrome1_is_turned_round(read):
    assert np.array_equal(read(dicom(PhotometricInterpretation="MONOCHROME1")), 255 - read(dicom()))


@pytest.mark.parametrize("dtype", [np.int16, np.int8])
def test_signed_pixels(read, dtype):
    pixels = (FILM.astype(int) // (1 if dtype == np.int16 else 32) - (1900 if dtype == np.int16 else 60)).astype(dtype)
    tags = {"WindowCenter": "0", "WindowWidth": "100", "VOILUTFunction": "LINEAR_EXACT"}
    assert same(read(dicom(pixels, **tags)), scaled(pixels.astype(float), -50, 50))


def test_unused_bits_are_no_part_of_a_pixel(read):
    assert np.array_equal(read(dicom(FILM | 0x8000)), read(dicom()))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_are_those_of_the_standard(read, function):
    found = read(dicom(WindowCenter=["1500", "40"], WindowWidth=["1000", "80"], VOILUTFunction=function))
    x, c, w = FILM.astype(float), 1500, 1000  # the formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3, 0 to 255
    wanted = {
        "LINEAR": np.select(
            [x <= c - 0.5 - (w - 1) / 2, x > c - 0.5 + (w - 1) / 2], [0, 255], ((x - (c - 0.5)) / (w - 1) + 0.5) * 255
        ),
        "LINEAR_EXACT": np.select([x <= c - w / 2, x > c + w / 2], [0, 255], ((x - c) / w + 0.5) * 255),
        "SIGMOID": 255 / (1 + np.exp(-4 * (x - c) / w)),
    }[function]
    assert same(found, wanted)


def test_the_window_is_meant_for_rescaled_values(read):
    tags = {"RescaleSlope": "2", "RescaleIntercept": "-1000", "VOILUTFunction": "LINEAR_EXACT"}
    found = read(dicom(WindowCenter="2000", WindowWidth="1000", **tags))
    assert same(found, scaled(FILM * 2.0 - 1000, 1500, 2500))


def test_lookup_tables(read):
    def table(values, bits: int) -> Sequence:
        item = Dataset()
        item.LUTDescriptor = [len(values), 0, bits]
        item.LUTData = [int(v) for v in values]
        item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
        return Sequence([item])

    falling = np.arange(4095, -1, -1)
    tags = {"WindowCenter": "1", "WindowWidth": "2"}  # the table goes first
    assert same(read(dicom(VOILUTSequence=table(falling, 12), **tags)), scaled(4095.0 - FILM, 0, 4095))
    modality = table(falling, 12)
    modality[0].ModalityLUTType = "US"
    tags = {"WindowCenter": "2048", "WindowWidth": "4096", "VOILUTFunction": "LINEAR_EXACT"}
    assert same(read(dicom(ModalityLUTSequence=modality, **tags)), scaled(4095.0 - FILM, 0, 4096))


def test_a_table_of_12_bits_that_says_16_is_scaled_by_its_own_largest_value(read):
    """As Agfa CR writes: the descriptor says 16 bits, the entries need 12; by 65,535 the film would be black."""
    item = Dataset()
    item.LUTDescriptor = [4096, 0, 16]
    item.LUTData = [int(v) for v in np.arange(4096)]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    assert same(read(dicom(VOILUTSequence=Sequence([item]))), scaled(FILM.astype(float), 0, 4095))


def test_presentation_lut_shape_inverse_is_turned_round_once(read):
    plain = read(dicom())
    assert np.array_equal(read(dicom(PresentationLUTShape="INVERSE")), 255 - plain)
    both = dicom(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE")  # as the standard pairs them
    assert np.array_equal(read(both), 255 - plain)
    assert np.array_equal(read(dicom(PresentationLUTShape="IDENTITY")), plain)


# 16 x 8 pixels of FILM, made with OpenJPH 0.26 (imagecodecs): nobody here packs High-Throughput JPEG 2000
HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAIAAAAEAAAAAAAAAAAAAAACAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQ"
    "kJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAGkAAf+TwAAmgfwFB3QAAMAAEwCQ/gIHdADAABPAABKARo3+AYt0"
    "AEYBj3QAwAAVMAAEwCAQCPQKcQJ1AKCggEC0AMAAK2AAFUCGYRiGYRi6enpwgncARsMw/vQQgey2AP/Z"
)


def test_high_throughput_jpeg_2000(read):
    film = FILM[:16, :8].copy()
    packed_film = dicom(film, syntax="1.2.840.10008.1.2.4.201", frame=HTJ2K, stored=16)
    assert np.array_equal(read(packed_film), read(dicom(film, stored=16), "b.dcm"))


def test_what_contradicts_itself_is_told(tmp_path):
    unsigned = pydicom.dcmread(io.BytesIO(packed(J2K)))
    unsigned.PixelRepresentation = 1
    unsigned.save_as(tmp_path / "sign.dcm")
    (tmp_path / "bits.dcm").write_bytes(dicom(FILM | 0x8000))
    (tmp_path / "fine.dcm").write_bytes(packed(J2K))
    said: dict[str, list[str]] = {"sign": [], "bits": [], "fine": []}
    for name, notes in said.items():
        read_image(tmp_path, f"{name}.dcm", notes)
    assert said["fine"] == []
    assert said["sign"] == ["its JPEG 2000 data are unsigned, its tag says signed; read as signed, look at it"]
    assert said["bits"] == ["100% of its pixels have bits beyond BitsStored (12), which are left out"]


def test_without_a_window_the_range_is_that_of_the_film_not_of_its_surround(read):
    film = FILM.copy()
    film[:3] = 4095
    tagged = read(dicom(film, PixelPaddingValue=4095))
    assert same(tagged[3:], scaled(film[3:].astype(float), film[3:].min(), film[3:].max()))
    eight = np.array([[10, 20], [30, 200]], dtype=np.uint8)  # 8 bits without a window are shown as they are
    assert np.array_equal(read(dicom(eight, stored=8)), eight)


def test_colour_is_read_and_grey_stays_grey(read, tmp_path):
    colour = np.zeros((6, 5, 3), np.uint8)
    colour[..., 0], colour[..., 2] = 200, 40
    (tmp_path / "c.dcm").write_bytes(dicom(colour, stored=8, PhotometricInterpretation="RGB"))
    assert np.array_equal(np.asarray(read_image(tmp_path, "c.dcm")), colour)
    (tmp_path / "g.dcm").write_bytes(dicom())
    for name, mode in (("c", "RGB"), ("g", "L")):
        copy_image(tmp_path, f"{name}.dcm", tmp_path / "out", f"{name}.png")
        assert Image.open(tmp_path / f"out/{name}.png").mode == mode


def test_no_tag_reaches_a_copy(tmp_path):
    (tmp_path / "a.dcm").write_bytes(dicom())
    assert copy_image(tmp_path, "a.dcm", tmp_path / "out", "deep/a.png", max_pixels=640) == ((40, 64), (20, 32))
    written = (tmp_path / "out/deep/a.png").read_bytes()
    assert b"Doe" not in written
    names = []
    at = 8
    while at < len(written):
        (length,) = struct.unpack(">I", written[at : at + 4])
        names.append(written[at + 4 : at + 8])
        at += 12 + length
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"}


@pytest.mark.filterwarnings("ignore")
def test_what_is_no_radiograph_is_refused_in_one_line(tmp_path, refusal):
    cases = {
        "2 frames": dicom(np.stack([FILM, FILM]).reshape(128, 40), Rows=64, NumberOfFrames="2"),
        "MONOCHROME3": dicom(PhotometricInterpretation="MONOCHROME3"),
        "Rows is missing": dicom(Rows=None),
        "more than 100000000": dicom(Rows=20_000, Columns=20_000),
        "32 bits": dicom(FILM.astype(np.uint32), BitsStored=32),
        "width 0": dicom(WindowCenter="1", WindowWidth="0"),
        "CUBIC": dicom(WindowCenter="1", WindowWidth="9", VOILUTFunction="CUBIC"),
        "the DICOM tags (40, 64)": packed(J2K).replace(struct.pack(">2I", 40, 64), struct.pack(">2I", 40_000, 40_000)),
        "not a readable": dicom()[:-900],
        "JPEG of 12 bits": dicom(FILM, JPEG_12, frame=b"abcd"),
        "'1.2.3.4' is not read": dicom(syntax="1.2.3.4", frame=b"abcd"),
    }
    for wanted, data in cases.items():
        (tmp_path / "a.dcm").write_bytes(data)
        assert wanted in refusal(read_image, tmp_path, "a.dcm")
    (tmp_path / "a.dcm").write_bytes(dicom(syntax=DEFLATED))
    assert "a deflated DICOM file is not read" in refusal(read_image, tmp_path, "a.dcm")


def test_a_missing_package_is_named_with_the_command(tmp_path, refusal, monkeypatch):
    (tmp_path / "a.dcm").write_bytes(packed(J2K))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    assert "pip install 'radrl[dicom]'" in refusal(read_image, tmp_path, "a.dcm")


def test_the_published_dicoms_have_dark_air_and_bright_bone(shared_data):
    root = shared_data / "dicom"
    if not root.is_dir():
        pytest.skip(f"no DICOM at {root}")
    # air beside the neck, lung, and the spine behind the heart or below the diaphragm, as rows and columns in 1/100
    places = {
        "rsna_monochrome2.dcm": {"air": (2, 8, 1, 15), "lung": (30, 40, 22, 32), "bone": (60, 80, 48, 54)},
        "rg1_monochrome1_j2k_15bit.dcm": {"air": (3, 7, 1, 7), "lung": (14, 17, 62, 66), "bone": (60, 80, 46, 51)},
    }
    for name, where in places.items():
        film = np.asarray(read_image(root, name))[..., 0]
        h, w = film.shape
        mean = {
            k: film[a * h // 100 : b * h // 100, c * w // 100 : d * w // 100].mean()
            for k, (a, b, c, d) in where.items()
        }
        assert mean["air"] + 30 < mean["lung"] < mean["bone"] - 30, (name, mean)


WHOLE = [dicom(FILM[:12, :10].copy()), packed(RLE, FILM[:12, :10].copy()), packed(J2K), packed(LS)]
WHOLE.append(dicom(np.zeros((16, 16), np.uint8), JPEG, frame=jpeg(np.zeros((16, 16), np.uint8)), stored=8))


@pytest.mark.filterwarnings("ignore")  # pydicom tells of values that break the standard
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    whole=st.sampled_from(WHOLE),
    flips=st.lists(st.tuples(st.integers(0, 4000), st.integers(1, 255)), min_size=0, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 3000)),
)
def test_damaged_files_are_a_picture_or_one_line(tmp_path, whole, flips, cut):
    data = bytearray(whole)
    for place, change in flips:
        data[place % len(data)] ^= change
    (tmp_path / "a.dcm").write_bytes(bytes(data)[:cut])
    for read in (read_image, image_size):
        said = ""
        try:
            read(tmp_path, "a.dcm")
        except UserError as error:
            said = str(error)
        assert said.isprintable()  # whatever the tags hold
