"""Mistakes in what is on the disk."""

from tests.mutants.mistake import Mistake

LOG = ("tests/unit/storage/test_wal.py",)
RECORD = ("tests/unit/storage/test_last_signed.py",)
HANDED = ("tests/unit/storage/test_handed_over.py",)
LEVEL = ("tests/unit/storage/test_level.py",)
POWER_CUT = ("tests/unit/storage/test_power_cut.py",)

STORAGE = (
    Mistake(
        name="damage-in-the-middle-is-a-torn-tail",
        file="node/storage/wal.py",
        old="            if found is not None and found[0] > offset:",
        new="            if found is not None and found[0] < 0:",
        suite=LOG,
    ),
    Mistake(
        name="records-of-another-log-count",
        file="node/storage/wal.py",
        old="return zlib.crc32(payload, zlib.crc32(salt + struct.pack",
        new="return zlib.crc32(payload, zlib.crc32(struct.pack",
        suite=LOG,
    ),
    Mistake(
        name="a-torn-tail-stays",
        file="node/storage/wal.py",
        old="            os.ftruncate(self._descriptor, scan.end)",
        new="            pass",
        suite=LOG,
    ),
    Mistake(
        name="a-gap-before-a-tail-is-nothing",
        file="node/storage/wal.py",
        old="        if tail.offset > len(whole):",
        new="        if tail.offset < 0:",
        suite=HANDED,
    ),
    Mistake(
        name="the-record-goes-back",
        file="node/storage/last_signed.py",
        old="            if new.place <= last.place:",
        new="            if new.place == last.place:",
        suite=RECORD,
    ),
    Mistake(
        name="two-digests-at-one-place",
        file="node/storage/last_signed.py",
        old="            if new.place <= last.place:",
        new="            if new.place < last.place:",
        suite=RECORD,
    ),
    Mistake(
        name="the-only-copy-is-overwritten",
        file="node/storage/last_signed.py",
        old="if self._carried >= SLOTS - 1 or log.unsynced > MAX_TAIL_BYTES:",
        new="if log.unsynced > MAX_TAIL_BYTES:",
        suite=HANDED,
    ),
    Mistake(
        name="an-unsound-slot-is-read",
        file="node/storage/last_signed.py",
        old="    if CHECKSUM.unpack_from(raw, SLOT.size)[0] != zlib.crc32(data, zlib.crc32(body)):",
        new="    if CHECKSUM.unpack_from(raw, SLOT.size)[0] == 0:",
        suite=RECORD,
    ),
    Mistake(
        name="damaged-values-are-read",
        file="node/storage/level.py",
        old="self._database.get(key, verify_checksums=True)",
        new="self._database.get(key, verify_checksums=False)",
        suite=LEVEL,
    ),
    Mistake(
        name="a-full-disk-is-not-noticed",
        file="node/storage/level.py",
        old="                self._quota.take(size)\n",
        new="                pass\n",
        suite=("tests/unit/storage/test_quota.py",),
    ),
    Mistake(
        name="batches-are-not-synced",
        file="node/storage/level.py",
        old="self._database.write_batch(sync=sync)",
        new="self._database.write_batch(sync=False)",
        suite=LEVEL + POWER_CUT,
    ),
    Mistake(
        name="names-are-not-synced",
        file="node/storage/files.py",
        old="""        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
""",
        new="""        temporary.unlink(missing_ok=True)
        raise
""",
        suite=("tests/unit/test_durable_writes.py", *POWER_CUT),
    ),
    Mistake(
        name="what-is-replayed-is-not-synced",
        file="node/storage/wal.py",
        old="""        os.fsync(self._descriptor)
        sync_directory(self.path.parent)
        self._durable = self._end = scan.end""",
        new="""        self._durable = self._end = scan.end""",
        suite=POWER_CUT,
    ),
    Mistake(
        name="the-log-is-not-synced",
        file="node/storage/wal.py",
        old="            os.fdatasync(self._descriptor)\n",
        new="",
        suite=POWER_CUT,
    ),
)
