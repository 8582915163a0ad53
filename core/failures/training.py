"""Failures of base models, pictures, captions, numbers and runs."""

from __future__ import annotations

from core.failures.changes import (
    CHECK_PICTURES,
    CHOOSE_MODEL,
    CHOOSE_PICTURES,
    CONTINUE,
    DOWNLOAD_MODEL,
    EXACT,
    LOWER_RATE,
    OPEN_FOLDER,
    OTHER_NAME,
    OTHER_OUTPUT,
    RETRY,
)
from core.failures.entry import Failure, Fix, both, either, named, said

MODELS = (
    Failure(
        key="model_missing",
        title="The base model is missing",
        why="No base model is chosen, or it was moved, renamed or deleted since.",
        fixes=(CHOOSE_MODEL, DOWNLOAD_MODEL),
    ),
    Failure(
        key="model_is_lora",
        title="This is a LoRA",
        why="A LoRA only holds changes to a base model; training starts from the base model itself.",
        fixes=(CHOOSE_MODEL,),
    ),
    Failure(
        key="model_unsuited",
        title="Kiln cannot train this model",
        why="The file or folder is no base model, or one of a family or form that Kiln does not know.",
        fixes=(CHOOSE_MODEL, DOWNLOAD_MODEL),
    ),
    Failure(
        key="model_damaged",
        title="A model file is damaged",
        message="A model file is damaged or not complete.",
        why="A download or a copy broke off, or the disk has a fault.",
        remedy="Download the base model again, or choose another one.",
        fixes=(CHOOSE_MODEL, DOWNLOAD_MODEL),
        match=either(
            named("SafetensorError"),
            said(r"Error while deserializing header", r"MetadataIncompleteBuffer", r"HeaderTooLarge"),
        ),
    ),
    Failure(
        key="model_unsafe",
        title="The file wants to run a program",
        why="Old checkpoint files may ask whoever opens them to run anything; Kiln reads them without doing so.",
        fixes=(CHOOSE_MODEL, DOWNLOAD_MODEL),
    ),
    Failure(
        key="model_incomplete",
        title="A part of the base model is missing",
        why="A model folder has several parts, and not all of them were downloaded or copied.",
        fixes=(DOWNLOAD_MODEL, CHOOSE_MODEL),
    ),
    Failure(
        key="base_model_changed",
        title="The base model was replaced",
        why="A LoRA fits the model it is trained for. With another one the steps so far would be worth nothing.",
        fixes=(CHOOSE_MODEL, OTHER_NAME),
    ),
    Failure(
        key="tokenizer_missing",
        title="The tokenizer is missing",
        message="The base model has no tokenizer that can be read.",
        why="The tokenizer turns captions into numbers; its files are missing or damaged.",
        remedy="Download the base model again, with its tokenizer folder.",
        fixes=(DOWNLOAD_MODEL, CHOOSE_MODEL),
        match=said(r"can.t load (the )?tokenizer", r"unable to load vocabulary", r"instantiate the backend tokenizer"),
    ),
    Failure(
        key="not_offline",
        title="Something would have to be downloaded",
        message="A file of the base model is not on this machine.",
        why="A library looked for it on the internet, and Kiln downloads nothing unasked.",
        remedy="Download the base model again, with all of its files.",
        fixes=(DOWNLOAD_MODEL, CHOOSE_MODEL),
        match=either(
            named("OfflineModeIsEnabled", "LocalEntryNotFoundError"),
            said(r"couldn.t connect to .https?://huggingface", r"outgoing traffic has been disabled"),
        ),
    ),
    Failure(
        key="clock_wrong",
        title="The clock may be wrong",
        message="A secure connection was refused because of a date.",
        why="The clock of this machine is wrong, or the other side's certificate ran out.",
        remedy="Set the date and time of this machine, then try again.",
        fixes=(RETRY,),
        match=both(
            named("SSLError", "SSLCertVerificationError"),
            said(r"not yet valid", r"has expired"),
        ),
    ),
)

PICTURES = (
    Failure(
        key="pictures_missing",
        title="The picture folder is missing",
        why="It was moved, renamed or deleted, or its drive is not there.",
        fixes=(CHOOSE_PICTURES, RETRY),
    ),
    Failure(
        key="no_pictures",
        title="There are no pictures",
        why="The folder is empty, its pictures are in sub-folders, or of a kind that Kiln cannot read.",
        fixes=(CHOOSE_PICTURES, CHECK_PICTURES),
    ),
    Failure(
        key="pictures_damaged",
        title="No picture can be used",
        why="Copies or downloads broke off, or the files are something else than their names say.",
        fixes=(CHECK_PICTURES, CHOOSE_PICTURES),
    ),
    Failure(
        key="picture_too_large",
        title="A picture is too large",
        message="A picture has more pixels than can be opened safely.",
        why="Small files can unfold to pictures that fill all memory.",
        remedy="Make it smaller with a picture program; 4,000 pixels along the longer side are plenty.",
        fixes=(CHECK_PICTURES,),
        match=named("DecompressionBombError"),
    ),
    Failure(
        key="picture_damaged",
        title="A picture is damaged",
        message="A picture is damaged and does not open.",
        why="A copy or download broke off, or the file is something else than its name says.",
        remedy="Look at the pictures on the Dataset page, and mend or leave out those that are marked.",
        fixes=(CHECK_PICTURES,),
        match=either(
            named("UnidentifiedImageError"),
            said(r"image file is truncated", r"broken data stream", r"cannot identify image file"),
        ),
    ),
    Failure(
        key="picture_changed",
        title="A picture was changed meanwhile",
        why="Another program saved it while Kiln was working with it.",
        fixes=(RETRY,),
    ),
    Failure(
        key="caption_encoding",
        title="A caption is not in UTF-8",
        message="A text file is not in UTF-8.",
        why="It was saved by a program that uses an older code for letters, such as GBK.",
        remedy="Save it as UTF-8; the Dataset page marks such captions and can convert them.",
        fixes=(CHECK_PICTURES,),
        match=named("UnicodeDecodeError"),
    ),
    Failure(
        key="text_too_long",
        title="A caption is too long",
        message="A caption is longer than the text encoder can read.",
        why="Text encoders read a fixed number of tokens at once, most often 77.",
        remedy="Shorten the longest captions, or raise the caption length.",
        fixes=(Fix("Read 225 tokens", {"model.max_tokens": 225}), CHECK_PICTURES),
        match=said(
            r"sequence length must be less than max_position_embeddings",
            r"indices sequence length is longer than the specified maximum",
        ),
    ),
)

NUMBERS = (
    Failure(
        key="not_a_number",
        title="The training ran out of control",
        why="The updates were too large for the number format: the learning rate is too high for these pictures, or "
        "half precision is too coarse for this model.",
        fixes=(LOWER_RATE, EXACT, CONTINUE),
    ),
    Failure(
        key="file_overflow",
        title="The weights do not fit into the file",
        why="fp16 ends at 65504, and a weight of this LoRA is larger; the state of the run has it in full.",
        fixes=(Fix("Save in fp32", {"output.precision": "fp32"}), CONTINUE),
    ),
)

RUNS = (
    Failure(
        key="damaged_state",
        title="The saved state is damaged",
        why="The disk was full or failed while it was written, or another program changed it.",
        fixes=(OTHER_NAME, OPEN_FOLDER),
    ),
    Failure(
        key="no_such_state",
        title="There is no such state",
        why="Only the newest states and those of some epochs are kept, so that the disk does not fill up.",
        fixes=(CONTINUE, OPEN_FOLDER),
    ),
    Failure(
        key="run_locked",
        title="The run is still going on",
        why="A window, a command line or a left-over process is at work on this run; two at once would spoil it.",
        fixes=(RETRY, OTHER_NAME),
    ),
    Failure(
        key="name_taken",
        title="The name is taken",
        why="Nothing that a run left is overwritten.",
        fixes=(OTHER_NAME, CONTINUE),
    ),
    Failure(
        key="settings_changed",
        title="The settings do not fit the saved state",
        why="Some settings decide what the steps so far are worth; with others it would be another run.",
        fixes=(Fix("Continue with the settings of the run", action="continue"), OTHER_NAME),
    ),
    Failure(
        key="no_output",
        title="No output folder is chosen",
        why="The LoRA file and the run's folder need a place.",
        fixes=(OTHER_OUTPUT,),
    ),
)

ENTRIES = MODELS + PICTURES + NUMBERS + RUNS
