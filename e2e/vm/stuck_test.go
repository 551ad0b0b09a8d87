//go:build linux

package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// F42: the kernel of a guest holds its lock for links. The agent says so, waits
// in few threads whatever is asked of it meanwhile, and goes on by itself.
func TestF42_AStuckKernel(t *testing.T) {
	r := use(t)
	n := r.node(1)
	r.watched(n)
	r.run(n, "before", "--label", "nicferry.network=lab")
	before := r.eth0(n, "before")
	pid, threads := r.agentThreads(n)

	release := r.holdLinks(n)
	start := time.Now()
	stuck := make(chan error, 1)
	go func() { // this waits for the kernel as well
		_, err := n.Docker(t.Context(), "run", "-d", "--init", "--network", "none", "--name", "during", "--label", "nicferry.network=lab", imageName)
		stuck <- err
	}()
	r.until("the agent to say that the kernel is stuck", patience, func(ctx context.Context) error {
		return r.agentSays(ctx, n, "not well, and no restart would help")
	})
	if rest := 20*time.Second - time.Since(start); rest > 0 { // as long as F42 has it
		wait, done := context.WithTimeout(t.Context(), rest)
		<-wait.Done()
		done()
	}
	if _, now := r.agentThreads(n); now > threads+8 {
		t.Errorf("the agent has %d threads while the kernel is stuck, and had %d", now, threads)
	}
	release()
	r.must(<-stuck)
	r.until("the agent to say that the kernel answers", patience, func(ctx context.Context) error {
		return r.agentSays(ctx, n, "the kernel answers again")
	})
	r.pings(r.eth0(n, "during").Addr.Addr())
	r.pings(before.Addr.Addr())
	if now, _ := r.agentThreads(n); now != pid {
		t.Errorf("the agent was process %s and is %s", pid, now)
	}
}

// holdLinks has the guest's kernel hold its lock for links until release is
// called or the test ends.
func (r *rig) holdLinks(n *node) (release func()) {
	r.t.Helper()
	program := filepath.Join(r.t.TempDir(), "holdlinks")
	build := exec.Command("go", "build", "-o", program, "./holdlinks")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		r.t.Fatalf("build holdlinks: %v\n%s", err, out)
	}
	data, err := os.ReadFile(program)
	r.must(err)
	r.must(n.Put(r.t.Context(), "/run/holdlinks", 0o755, bytes.NewReader(data)))

	ctx, cancel := context.WithCancel(r.t.Context())
	r.t.Cleanup(cancel)
	read, write := io.Pipe()
	said := &monitor{}
	hold := n.Command(ctx, "/run/holdlinks")
	hold.Stdin, hold.Stdout, hold.Stderr = read, said, said
	r.must(hold.Start())
	ended := make(chan error, 1)
	go func() { ended <- hold.Wait() }()
	r.until("the kernel to hold its lock", patience, func(context.Context) error { return said.has("held") })
	return func() {
		r.t.Helper()
		r.must(write.Close())
		r.must(<-ended)
	}
}

// has says whether a text was written.
func (m *monitor) has(text string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !strings.Contains(m.text.String(), text) {
		return fmt.Errorf("it has said %q", m.text.String())
	}
	return nil
}

// watched starts the guest's agent anew, with a watchdog as systemd has one, and
// an empty log. Until it is started otherwise, it asks the kernel every 10 s.
func (r *rig) watched(n *node) {
	r.t.Helper()
	r.must(n.KillAgent(r.t.Context()))
	r.sh(n, ": >"+agentLog)
	_, err := n.Spawn(r.t.Context(), agentLog, "env", "WATCHDOG_USEC=20000000", "/opt/nicferry/nicferry-agent")
	r.must(err)
	r.until("the agent's session", patience, func(ctx context.Context) error { return r.agentSays(ctx, n, "session begun") })
}

// agentLog is where the agent of a guest logs.
const agentLog = "/var/log/nicferry-agent.log"

func (r *rig) agentSays(ctx context.Context, n *node, what string) error {
	log, err := n.Get(ctx, agentLog)
	if err == nil && !strings.Contains(string(log), what) {
		err = errors.New("its log has nothing of it")
	}
	return err
}

// agentThreads is the process id of the guest's agent, and how many threads it has.
func (r *rig) agentThreads(n *node) (pid string, threads int) {
	r.t.Helper()
	out := r.sh(n, "pid=$(pgrep -x nicferry-agent); echo $pid; ls /proc/$pid/task | wc -l")
	pid, count, _ := strings.Cut(out, "\n")
	threads, err := strconv.Atoi(count)
	r.must(err)
	return pid, threads
}
