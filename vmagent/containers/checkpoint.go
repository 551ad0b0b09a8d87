//go:build linux

package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cannotFreeze is why there is no way even where docker checkpoint works. It does, and
// goes on elsewhere: of Docker 20.10.24 with CRIU 4.2 a container that counted went on
// counting on another engine. But what CRIU gives the processes is what the checkpoint
// says: with one bit of it changed, that container had CAP_SYS_ADMIN there. So what
// Create refuses (see perils) could not be refused any more. Besides, dockerd may hang
// if processes cannot be woken: nobody can say then that the container does not run, and
// such a move could not go back.
const cannotFreeze = "processes wake with the rights that the checkpoint says, so that a node that sends one could become root on the other, and nicferry cannot check it"

// noCheckpoint is why no checkpoint of a container is made or taken here: what docker
// checkpoint lacks first, if anything, as nobody should mend that in vain.
func (e *Engine) noCheckpoint(ctx context.Context, experimental bool) string {
	if lacks := e.lacksForCheckpoint(ctx, experimental); lacks != "" {
		return lacks + "; and even then, " + cannotFreeze
	}
	return cannotFreeze
}

// lacksForCheckpoint says what docker checkpoint lacks, most basic first; empty if
// there is nothing that can be seen.
func (e *Engine) lacksForCheckpoint(ctx context.Context, experimental bool) string {
	if !experimental {
		return `dockerd runs without "experimental": true`
	}
	root, path := e.pathOfDaemon(ctx)
	for _, dir := range filepath.SplitList(path) {
		criu := filepath.Join(root, dir, "criu")
		if st, err := os.Stat(criu); filepath.IsAbs(dir) && err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return checkCRIU(ctx, criu, path)
		}
	}
	return "criu is in no folder of dockerd's PATH, " + clip(path)
}

// usualPath is that of a service that systemd starts, such as Docker and containerd.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// pathOfDaemon returns where dockerd's programs are looked for, and the folder that is
// its root. Of one that is not root, that systemd listens for, or that cannot be seen
// from here, it is what is usual.
func (e *Engine) pathOfDaemon(ctx context.Context) (root, path string) {
	pid, err := daemonAt(ctx, e.docker.socket)
	if err != nil {
		return "/", usualPath
	}
	proc := fmt.Sprintf("/proc/%d/", pid)
	environ, err := os.ReadFile(proc + "environ")
	if err != nil {
		return "/", usualPath
	}
	for entry := range strings.SplitSeq(string(environ), "\x00") {
		if path, found := strings.CutPrefix(entry, "PATH="); found && path != "" {
			return proc + "root", path
		}
	}
	return proc + "root", usualPath
}

// daemonAt returns the process id of root's own daemon that listens at the socket.
func daemonAt(ctx context.Context, socket string) (int32, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) { peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	switch err := errors.Join(err, asked); {
	case err != nil:
		return 0, err
	case peer.Uid != 0 || peer.Pid <= 1: // its programs are not ours to run; systemd; another machine's ids
		return 0, errors.New("no process of root's that can be seen")
	}
	return peer.Pid, nil
}

// checkTime bounds criu check, which takes some tenths of a second.
const checkTime = 5 * time.Second

// checkCRIU returns what criu finds wrong with itself and the kernel; empty if nothing.
// The agent may do less than containerd, hence the words.
func checkCRIU(ctx context.Context, criu, path string) string {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, criu, "check")
	cmd.Env, cmd.WaitDelay = []string{"PATH=" + path}, time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return ""
	}
	return fmt.Sprintf("criu check, with the agent's rights, says: %s", fault(out, err))
}

// fault is the first error that criu tells, or else the last that it says.
func fault(out []byte, err error) string {
	last := err.Error()
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if strings.Contains(line, "Error") {
			return clip(line)
		}
		if line != "" {
			last = line
		}
	}
	return clip(last)
}
