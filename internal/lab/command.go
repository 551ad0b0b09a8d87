//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Command prepares a program to run inside the node. The program is killed
// when ctx ends. Its working directory is ours.
func (n *Node) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	wd, err := os.Getwd()
	if err != nil {
		wd = "/"
	}
	// nsenter forks to enter the process ids, and its end would not end the
	// program: hence the death signal.
	enter := []string{
		"--target", strconv.Itoa(n.holder.pid), "--mount", "--net", "--pid", "--wdns=" + wd, "--",
		"setpriv", "--pdeathsig", "KILL", "--", name,
	}
	cmd := outside(ctx, "nsenter", append(enter, args...)...)
	select {
	case <-n.holder.exited:
		cmd.Err = ErrClosed // never enter whoever has the process id now
	default:
	}
	return cmd
}

// Run runs a program inside the node and returns what it prints.
func (n *Node) Run(ctx context.Context, name string, args ...string) (string, error) {
	return output(n.Command(ctx, name, args...), name, args)
}

// outside prepares a program to run on the machine itself.
func outside(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, Lookup(name), args...)
	cmd.Env = environ()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's ctrl-C is for us alone
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// output runs cmd and returns its standard output. The error tells what was
// asked for, rather than how it was carried there, and what the program said.
func output(cmd *exec.Cmd, name string, args []string) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("run %s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}

// environ is ours, with plain English from the tools, with the directories of
// the superuser's tools, and without what would point Docker's CLI elsewhere.
func environ() []string {
	var env []string
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "DOCKER_") && !strings.HasPrefix(kv, "NOTIFY_SOCKET=") {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C", "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin:/usr/bin:/bin")
}
