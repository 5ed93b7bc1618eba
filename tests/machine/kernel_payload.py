#!/usr/bin/env python3
"""kernel_payload.py VMLINUZ VMLINUX OUT COMMAND...: a bzImage with the boot stub
of VMLINUZ, whose payload is VMLINUX as COMMAND compresses it: what the kernel's
build does (arch/x86/boot/compressed/Makefile), which appends the length to all
but gzip's."""
import struct
import subprocess
import sys

vmlinuz, vmlinux, out = (open(sys.argv[1], "rb").read(), open(sys.argv[2], "rb").read(),
                         sys.argv[3])
command = sys.argv[4:]
payload = subprocess.run(command, input=vmlinux, stdout=subprocess.PIPE, check=True).stdout
if command[0] != "gzip":
    payload += struct.pack("<I", len(vmlinux))
setup = (vmlinuz[0x1F1] + 1) * 512
start = setup + struct.unpack_from("<I", vmlinuz, 0x248)[0]
image = bytearray(vmlinuz[:start] + payload)
struct.pack_into("<I", image, 0x24C, len(payload))
open(out, "wb").write(image)
