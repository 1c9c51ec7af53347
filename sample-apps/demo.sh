#!/bin/sh
# What minidock does, in a minute: builds, runs and measures a small app in a store of its own, which is removed at
# the end. Needs no network: the base image is made of programs of this machine. Run it with `make demo`.
set -eu

apps=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/minidock-demo.XXXXXX")
export MINIDOCK_ROOT="$work/store"

clean_up() {
    status=$?
    trap - EXIT INT TERM
    minidock system reset -f >/dev/null || status=1
    rm -rf "$work" || status=1
    if [ "$status" -eq 0 ]; then
        say "Cleaned up: the demo's store is gone."
    else
        printf '\n*** The demo failed (exit code %s). Its store was removed.\n' "$status" >&2
    fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() {
    printf '\n=== %s\n' "$*"
}

# Shows a command of minidock, then what it prints; progress, which goes to stderr, in its place between the results.
show() {
    printf '\n$ minidock'
    for word in "$@"; do
        case $word in
            *[!A-Za-z0-9_./:=@%+,-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\n'
    minidock "$@" 2>&1
}

# Returns 0 if a process can be run in an image here, 1 if this machine has no way to isolate one.
can_run() {
    reason=$(minidock run --rm host-base sh -c : 2>&1) && return 0
    status=$?
    [ "$status" -eq 125 ] && return 1
    printf '%s\n' "$reason" >&2
    exit "$status"
}

cp -R "$apps/hello" "$work/hello"
cd "$work"

say "A base image from programs of this machine, with the libraries they load. Nothing is downloaded."
show image from-host -t host-base sh ls cat cp mv rm mkdir chmod env

if can_run; then
    dockerfile=hello/Dockerfile
else
    say "No process can be isolated on this machine, so the app is built without its RUN steps and is not run:"
    printf '%s\n' "$reason"
    dockerfile=hello/Dockerfile.copy-only
fi

say "The first build runs every step."
show build --progress=plain -t hello -f "$dockerfile" hello

say "The second build finds every step in the cache, although all files have new times."
find hello -exec touch {} +
show build --progress=plain -t hello -f "$dockerfile" hello

say "One file changes. Steps before its COPY stay cached, and each step that is built again says why."
echo 'This file was edited after the first build.' > hello/message.txt
show build --progress=plain -t hello:edited -f "$dockerfile" hello

say "Where the bytes of the image come from: one line for each instruction, newest first."
show history hello:edited

say "Images, and what they share. A layer that two images have is on the disk once."
show image ls
show system df -v

if [ "$dockerfile" = hello/Dockerfile ]; then
    say "Both images greet; each with the file that it was built with."
    show run --rm hello reader
    show run --rm -e GREETING=Welcome hello:edited reader

    say "A container changes files: only its own view of them."
    show run --name scribbler --entrypoint /bin/sh hello -c 'echo scribble > /opt/hello/notes.txt; rm /opt/hello/message.txt; echo new > /tmp/new'
    show diff scribbler
    say "The image is as it was."
    show run --rm --entrypoint cat hello /opt/hello/notes.txt
    show rm scribbler
fi
