// Package etcdtest runs etcd's own servers for tests, and takes them from each other.
package etcdtest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ready is how long a cluster may take until it serves, on a busy machine.
const ready = 60 * time.Second

// Current is the program of the release that the client is of. It is built once.
func Current(t testing.TB) string {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find the module: %v", err)
	}
	cmd := exec.Command("go", "tool", "-modfile=tools/etcd/go.mod", "-n", "go.etcd.io/etcd/server/v3")
	cmd.Dir = strings.TrimSpace(string(root))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	path, err := cmd.Output()
	if err != nil {
		t.Fatalf("build etcd: %v\n%s", err, stderr.Bytes())
	}
	return strings.TrimSpace(string(path))
}

// Debian is the program of Debian's package; the test is skipped without it.
func Debian(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("Debian's etcd-server is not installed; scripts/install-deps test does")
	}
	return path
}

// Options of Start.
type Options struct {
	// Program is that of Current or Debian. Required.
	Program string
	// Members is how many there are; default 1.
	Members int
	// Flags are further ones, for each member.
	Flags []string
	// Scheme of the client's addresses; default http.
	Scheme string
	// Sync has each commit wait for the disk, as it should where that counts; otherwise
	// tests go without, which no failure that they make can tell.
	Sync bool
}

// A Cluster is some members that know each other. It ends with the test.
type Cluster struct {
	// Endpoints are the members' addresses for clients.
	Endpoints []string
	members   []*member
	peers     *peers
}

type member struct {
	t    testing.TB
	args []string
	log  string
	cmd  *exec.Cmd
	mu   sync.Mutex
}

// Start returns when all members serve.
func Start(t testing.TB, opts Options) *Cluster {
	t.Helper()
	opts.Members, opts.Scheme = max(1, opts.Members), orElse(opts.Scheme, "http")
	if !opts.Sync {
		opts.Flags = append(opts.Flags, unsafe(t, opts.Program)...)
	}
	dir := t.TempDir()
	c := &Cluster{peers: newPeers(t, opts.Members)}
	var initial []string
	for i, url := range c.peers.urls {
		initial = append(initial, fmt.Sprintf("m%d=%s", i, url))
	}
	var healths []string
	for i := range opts.Members {
		client, health := freeAddress(t), freeAddress(t)
		c.Endpoints = append(c.Endpoints, opts.Scheme+"://"+client)
		healths = append(healths, "http://"+health)
		name := fmt.Sprint("m", i)
		m := &member{t: t, log: filepath.Join(dir, name+".log"), args: append([]string{
			opts.Program, "--name", name, "--data-dir", filepath.Join(dir, name), "--logger", "zap",
			"--listen-client-urls", c.Endpoints[i], "--advertise-client-urls", c.Endpoints[i],
			"--listen-peer-urls", "http://" + c.peers.behind[i], "--initial-advertise-peer-urls", c.peers.urls[i],
			"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-token", dir, "--listen-metrics-urls", healths[i],
		}, opts.Flags...)}
		c.members = append(c.members, m)
		m.start()
		t.Cleanup(m.kill)
	}
	for i, url := range healths {
		c.members[i].await(url)
	}
	return c
}

// unsafe leaves out fsync where the program can.
func unsafe(t testing.TB, program string) []string {
	out, err := exec.Command(program, "--help").CombinedOutput()
	if err != nil {
		t.Fatalf("%s --help: %v", program, err)
	}
	if bytes.Contains(out, []byte("--unsafe-no-fsync")) {
		return []string{"--unsafe-no-fsync"}
	}
	return nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// freeAddress is one of loopback that nobody listens at.
func freeAddress(t testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func (m *member) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	log, err := os.OpenFile(m.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		m.t.Fatal(err)
	}
	defer log.Close()
	m.cmd = exec.Command(m.args[0], m.args[1:]...)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		m.t.Fatalf("start etcd: %v", err)
	}
}

func (m *member) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cmd != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
		m.cmd = nil
	}
}

func (m *member) await(url string) {
	m.t.Helper()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(ready); time.Now().Before(deadline); <-tick.C {
		resp, err := client.Get(url + "/health")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	log, _ := os.ReadFile(m.log)
	m.t.Fatalf("etcd does not serve after %s:\n%s", ready, log[max(0, len(log)-4000):])
}

// Kill ends a member as a crash does; Restart begins it again.
func (c *Cluster) Kill(i int) { c.members[i].kill() }

// Restart begins a member again that was killed.
func (c *Cluster) Restart(i int) { c.members[i].start() }

// Freeze stops a member, as a disk that hangs does: connections stay open.
func (c *Cluster) Freeze(i int) { c.signal(i, syscall.SIGSTOP) }

// Thaw lets it go on.
func (c *Cluster) Thaw(i int) { c.signal(i, syscall.SIGCONT) }

func (c *Cluster) signal(i int, sig os.Signal) {
	if err := c.members[i].cmd.Process.Signal(sig); err != nil {
		c.members[i].t.Errorf("signal member %d: %v", i, err)
	}
}

// Cut takes a member from all others, in both directions; its clients still reach it.
func (c *Cluster) Cut(i int) { c.peers.cut(i, true) }

// Mend ends that.
func (c *Cluster) Mend(i int) { c.peers.cut(i, false) }
