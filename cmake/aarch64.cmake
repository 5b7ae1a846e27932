# The toolchain for AArch64 on another Debian machine: g++-aarch64-linux-gnu, arm64 packages beside the
# machine's own, and qemu to run what was built (tools/arm_tests.sh sets all of it up).
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
