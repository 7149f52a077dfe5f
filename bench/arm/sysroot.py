"""A Debian for 64-bit Arm in a folder, to run Python and wheels under QEMU's user emulation without a chroot.

One sysroot for each CPU: libraries read /proc/cpuinfo to choose kernels, and QEMU takes that file from the sysroot.
"""

from __future__ import annotations

import os
import shutil
import sys
import zipfile
from pathlib import Path

from edgec.hw.tools.process import run

SUITE, PYTHON = "bookworm", "3.11"
PACKAGES = "python3,libgomp1,libstdc++6"
PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_27_aarch64", "manylinux_2_28_aarch64")
BASE = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
V82 = f"{BASE} atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp ssbs"
# core: (part number of the main id register, features), as Linux shows them on boards with these cores; QEMU's `max`
# goes as a Neoverse N2, for a core with i8mm
CPUINFO = {
    "cortex-a53": ("0xd03", BASE),
    "cortex-a55": ("0xd05", V82.removesuffix(" ssbs")),
    "cortex-a72": ("0xd08", BASE),
    "cortex-a76": ("0xd0b", V82),
    "max": ("0xd49", f"{V82} i8mm bf16"),
}


def make_root(work: Path) -> Path:
    """The unpacked packages, once: about 70 MB to fetch, 300 MB unpacked. Needs root, debootstrap and dpkg."""
    final, scratch = work / "root", work / "root.part"
    if final.is_dir():
        return final
    shutil.rmtree(scratch, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    words = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase", f"--include={PACKAGES}", SUITE, scratch]
    run(words, timeout=1800, remedy="install it from your system (Debian: apt-get install debootstrap); run as root")
    for package in sorted((scratch / "var/cache/apt/archives").glob("*.deb")):
        run(["dpkg", "-x", package, scratch], timeout=300)
        package.unlink()
    os.replace(scratch, final)
    return final


def make_sysroot(work: Path, core: str) -> Path:
    """The sysroot of one core: hard links to the common root, and its own description of the CPU."""
    common = make_root(work)
    final, scratch = work / f"root-{core}", work / f"root-{core}.part"
    if final.is_dir():
        return final
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(common, scratch, symlinks=True, copy_function=os.link)
    part, features = CPUINFO[core]
    (scratch / "proc").mkdir(exist_ok=True)
    (scratch / "proc/cpuinfo").write_text(
        f"processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: {part}\nCPU revision\t: 0\n"
    )
    cpus = scratch / "sys/devices/system/cpu"
    cpus.mkdir(parents=True, exist_ok=True)
    for name in ("possible", "present", "online"):
        (cpus / name).write_text("0\n")
    os.replace(scratch, final)
    return final


def wheel(work: Path, requirement: str) -> Path:
    """The unpacked wheel of NAME==VERSION for the sysroot's Python."""
    final, scratch = work / "site" / requirement, work / "site" / f"{requirement}.part"
    if final.is_dir():
        return final
    shutil.rmtree(scratch, ignore_errors=True)
    files = work / "wheels" / requirement
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", *platforms]
    run([*words, "--python-version", PYTHON, "--dest", files, requirement], timeout=1800)
    (file,) = files.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(scratch)
    os.replace(scratch, final)
    return final
