"""unpack_wheel.py WHEEL DIRECTORY: unpacks a wheel and keeps which files are programs (zipfile alone forgets it)."""

import os
import sys
import zipfile

wheel, into = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        if "/pginstall18/" in entry.filename:
            continue  # a second server in the wheel of 16
        path = archive.extract(entry, into)
        mode = entry.external_attr >> 16 & 0o777
        if mode and not entry.is_dir():
            os.chmod(path, mode | 0o644)
