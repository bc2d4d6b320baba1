"""Images in a folder or in a zip file, which look alike to what reads them."""

from collections.abc import Iterator
from pathlib import Path

from lightning_gans.datamodules.decoding import Source
from lightning_gans.datamodules.labels import archive, archived_names, image_names
from lightning_gans.datamodules.pixel_cache import fingerprint_of_files


class ImageFiles:
    """The images of a folder or of a zip file, in the order of their names.

    A zip file is never unpacked, and each reading opens it anew, so that threads and processes do not share a place.

    Args:
        path: The folder or zip file.
    """

    def __init__(self, path: str):
        self.path = Path(path).resolve()
        self.is_archive = self.path.is_file()
        self.names = archived_names(self.path) if self.is_archive else image_names(self.path)

    @property
    def fingerprint(self) -> str:
        """The name of their state, from sizes and times of files alone."""
        if self.is_archive:
            return fingerprint_of_files(self.path.parent, [self.path.name])
        return fingerprint_of_files(self.path, self.names)

    def sources(self) -> Iterator[Source]:
        """Yields what each image is decoded from."""
        if self.is_archive:
            with archive(self.path) as members:
                yield from ((str(self.path / name), members.read(name)) for name in self.names)
        else:
            yield from ((str(self.path / name), self.path / name) for name in self.names)

    def text(self, name: str) -> str | None:
        """Returns what a file beside the images holds; None if there is none."""
        if self.is_archive:
            with archive(self.path) as members:
                return members.read(name).decode() if name in members.namelist() else None
        file = self.path / name
        return file.read_text("utf-8") if file.is_file() else None
