// SPDX-License-Identifier: Apache-2.0

/// The script that holds one sandbox.
///
/// It is nobody's child, so the sandbox outlives the server; everything it started dies with it. It holds the pipe
/// `alive` as descriptor 9, and by bubblewrap's `--sync-fd` the sandbox's first process does too, but no program inside.
/// Descriptor 8 is a pipe that says when the runtime begins; it closes when nothing is left that could begin. slirp4netns ends by itself when the pipe is let go.
enum LocalLauncher {
    /// Arguments: `run`, directory, network (`none`, `host`, `internet`, or `plain` for no sandbox), addresses not to be
    /// reached, control groups, socket, then the command.
    static let script = #"""
        set -u
        enter() {
            exec bwrap --args 3 --info-fd 4 --sync-fd 9 -- "$@" 3<"$directory/arguments" 4>"$directory/info"
        }
        if [ "$1" = networked ]; then
            directory=$2 addresses=$3
            shift 3
            echo >&7
            exec 7>&-
            read -r up <&5
            exec 5<&-
            if [ "$up" != 1 ]; then
                cat "$directory/network" 2>/dev/null
                echo "slirp4netns could not set up the network"
                exit 125
            fi
            for address in $addresses; do echo "route add unreachable $address"; done | ip -batch - || exit 125
            enter "$@"
        fi

        directory=$2 network=$3 addresses=$4 groups=$5 socket=$6
        shift 6
        exec 8<>"$directory/started" 9<>"$directory/alive" </dev/null >>"$directory/log" 2>&1
        cd /
        echo "$$" >"$directory/pid"
        child= started='trap "" PIPE; echo started >&8; exec 8>&-; trap - PIPE; exec "$@"'

        end() {
            init= runtime=
            while read -r name value rest; do
                if [ "$name" = '"child-pid":' ]; then init=${value%,}; fi
            done <"$directory/info"
            if [ -n "$init" ]; then read -r runtime rest <"/proc/$init/task/$init/children"; fi
            kill -TERM ${runtime:-$child}
        } 2>/dev/null
        trap end TERM

        join() {
            for group in $groups; do echo 0 >"$group/cgroup.procs" || exit 125; done
        }
        case $network in
        plain)
            (join; set -a; . "$directory/environment"; exec 9>&-; exec sh -c "$started" sh "$@") &
            child=$!
            ;;
        internet)
            # Opened for both directions, so that nobody waits for a reader or writer that may never come.
            exec 6<>"$directory/up"
            (
                join
                exec 5<"$directory/up" 6>&- 7>"$directory/made"
                exec unshare --user --map-root-user --net \
                    sh "$directory/launch" networked "$directory" "$addresses" sh -c "$started" sh "$@"
            ) &
            child=$!
            exec 8>&-
            read -r made <"$directory/made"
            slirp4netns --configure --mtu=65520 --disable-host-loopback --enable-sandbox --enable-seccomp \
                --ready-fd=6 --exit-fd=7 --userns-path="/proc/$child/ns/user" "$child" tap0 \
                6>&6 7<"$directory/alive" 9>&- >"$directory/network" 2>&1 &
            exec 6>&-
            ;;
        *)
            (join; enter sh -c "$started" sh "$@") &
            child=$!
            ;;
        esac
        exec 8>&-

        # A signal ends the wait, not the child.
        wait "$child"
        code=$?
        while kill -0 "$child" 2>/dev/null; do
            wait "$child"
            code=$?
        done
        for group in $groups; do
            for file in "$group/memory.events" "$group/memory.oom_control"; do
                [ -r "$file" ] || continue
                while read -r name value; do
                    if [ "$name" = oom_kill ] && [ "$value" != 0 ]; then code="$code oom"; fi
                done <"$file"
            done
        done
        rm -f -- "$socket"
        echo "$code" >"$directory/exit.new" && mv "$directory/exit.new" "$directory/exit"
        kill -KILL 0

        """#
}
