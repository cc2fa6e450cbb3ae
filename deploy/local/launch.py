"""Becomes another program, as the last step of starting a child (see processes.py).

Run as a script: ``launch.py OWNER_PID UID GID -- PROGRAM ARGUMENT...`` (UID and GID may be ``-``). A script of its own
instead of subprocess's preexec_fn, which may deadlock in a process with threads; standard library only, so that it
starts in some milliseconds. Exits with 127 where the program cannot be started, with the reason on stderr.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    owner, uid, gid = arguments[:3]
    program = arguments[4:]
    # What a shell has ignored for its background jobs would stay ignored over exec: Kafka could then not be stopped.
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        import ctypes  # loaded as the starting user, who can read it

        prctl = ctypes.CDLL(None).prctl
    try:
        if uid != "-":
            os.setgroups([])
            os.setgid(int(gid))
            os.setuid(int(uid))
        if sys.platform == "linux":
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # after setuid, which clears it
            if os.getppid() != int(owner):
                return 127  # the owner ended before the line above
        os.execv(program[0], program)  # noqa: S606
    except OSError as error:
        print(f"cannot start {program[0]}: {error.strerror}", file=sys.stderr)
    return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
