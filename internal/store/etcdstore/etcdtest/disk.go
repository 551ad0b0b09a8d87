package etcdtest

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// SlowDisk has each of a member's writes to the disk take that much longer, until restore
// is called. The cluster must have been started with Sync. It needs strace.
func (c *Cluster) SlowDisk(i int, by time.Duration) (restore func()) {
	m := c.members[i]
	m.t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		m.t.Skip("needs strace; scripts/install-deps test does")
	}
	cmd := exec.Command("strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync",
		"-e", fmt.Sprintf("inject=fdatasync,fsync:delay_exit=%d", by.Microseconds()), "-p", fmt.Sprint(m.cmd.Process.Pid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	said, err := cmd.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatalf("start strace: %v", err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() && !strings.Contains(lines.Text(), "attached") {
	}
	if !strings.Contains(lines.Text(), "attached") {
		m.t.Fatalf("strace is not there: %q, %v", lines.Text(), cmd.Wait())
	}
	drained := make(chan struct{})
	go func() { defer close(drained); _, _ = io.Copy(io.Discard, said) }()
	over := false
	restore = func() {
		if over {
			return
		}
		over = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // it lets the member go on, and ends
		<-drained
		_ = cmd.Wait()
	}
	m.t.Cleanup(restore)
	return restore
}
