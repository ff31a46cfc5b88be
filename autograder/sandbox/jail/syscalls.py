"""The system calls a learner's process may make, with their numbers on x86_64 and aarch64.

`-` stands where a machine lacks a call. What is not named here is refused. The conditions on some of them
(`fcntl`, `clone`, `kill` ...) stand in `seccomp`. Numbers: the kernel's `unistd_64.h` and
`asm-generic/unistd.h`.
"""

from __future__ import annotations

from functools import cache

__all__ = ["ABSENT", "LAST", "MACHINES", "numbers"]

MACHINES = ("x86_64", "aarch64")
LAST = 462  # mseal: what is newer than this table is answered like `ABSENT`

CALLS = """
# open files
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69,
pwritev 296 70, preadv2 327 286, pwritev2 328 287, lseek 8 62, open 2 -, openat 257 56, creat 85 -,
close 3 57, close_range 436 436, dup 32 23, dup2 33 -, dup3 292 24, fcntl 72 25, ioctl 16 29, flock 73 32,
fsync 74 82, fdatasync 75 83, ftruncate 77 46, fallocate 285 47, fadvise64 221 223,
readahead 187 213, sendfile 40 71, copy_file_range 326 285
# the directory tree
stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, statfs 137 43, fstatfs 138 44,
access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents 78 -,
getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50, mkdir 83 -, mkdirat 258 34, rmdir 84 -,
unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276, link 86 -, linkat 265 37,
symlink 88 -, symlinkat 266 36, umask 95 166
# modes, dates, extended attributes
chmod 90 -, fchmod 91 52, fchmodat 268 53, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88,
getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12, flistxattr 196 13,
setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15,
fremovexattr 199 16
# memory
brk 12 214, mmap 9 222, munmap 11 215, mremap 25 216, mprotect 10 226, madvise 28 233, msync 26 227,
get_mempolicy 239 236, membarrier 324 283
# threads and the process itself
clone 56 220, exit 60 93, exit_group 231 94, futex 202 98, futex_waitv 449 449, set_robust_list 273 99,
set_tid_address 218 96, rseq 334 293, sched_yield 24 124, sched_getaffinity 204 123,
sched_getparam 143 121, sched_getscheduler 145 120, sched_get_priority_max 146 125,
sched_get_priority_min 147 126, getpriority 140 141, arch_prctl 158 -, restart_syscall 219 128,
prctl 157 167, prlimit64 302 261, getrlimit 97 163, setrlimit 160 164, getrusage 98 165
# signals
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136,
rt_sigsuspend 130 133, rt_sigtimedwait 128 137, sigaltstack 131 132, pause 34 -, alarm 37 -,
setitimer 38 103, getitimer 36 102, kill 62 129, tgkill 234 131, wait4 61 260, waitid 247 95
# clocks
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114,
gettimeofday 96 169, time 201 -, times 100 153
# waiting and talking
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20,
epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441, eventfd2 290 19, pipe 22 -,
pipe2 293 59, socketpair 53 199, sendto 44 206, recvfrom 45 207, sendmsg 46 211, recvmsg 47 212,
shutdown 48 210, getsockopt 55 209, getsockname 51 204, getpeername 52 205
# asking who and where one is
getpid 39 172, getppid 110 173, gettid 186 178, getuid 102 174, geteuid 107 175, getgid 104 176,
getegid 108 177, getresuid 118 148, getresgid 120 150, getgroups 115 158, getpgid 121 155, getpgrp 111 -,
getsid 124 156, getcpu 309 168, uname 63 160, sysinfo 99 179, getrandom 318 278, capget 125 90
# answered with "no such call", so that the C library falls back on an older one
clone3 435 435, openat2 437 437, fchmodat2 452 452
"""

# Newer ways to do what the table allows: with arguments behind a pointer, where a filter cannot look.
ABSENT = frozenset(("clone3", "openat2", "fchmodat2"))


@cache
def numbers(machine: str) -> dict[str, int]:
    """The number of each named call on `machine`; a call the machine lacks is left out."""
    column = 1 + MACHINES.index(machine)
    lines = [line for line in CALLS.splitlines() if not line.startswith("#")]
    entries = [entry.split() for line in lines for entry in line.split(",") if entry.strip()]
    return {entry[0]: int(entry[column]) for entry in entries if entry[column] != "-"}
