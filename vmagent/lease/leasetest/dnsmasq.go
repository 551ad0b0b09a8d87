//go:build linux

// Package leasetest makes a wire with a real DHCP server at its other end.
package leasetest

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/netns"
)

// Dnsmasq is a real server on lan0 of a namespace.
type Dnsmasq struct {
	// End stops it after what it has heard is in its lease file. It may be
	// called twice.
	End func()

	t      *testing.T
	cmd    *exec.Cmd
	leases string // its lease file
	done   chan struct{}

	mu    sync.Mutex
	lines []string      // guarded by mu, as is:
	more  chan struct{} // closes with the next line
}

// StartDnsmasq returns when the server hears requests; it ends with the test.
// The options say what it gives out.
func StartDnsmasq(t *testing.T, ns *netns.Namespace, options ...string) *Dnsmasq {
	t.Helper()
	d := &Dnsmasq{t: t, leases: filepath.Join(t.TempDir(), "leases"), done: make(chan struct{}), more: make(chan struct{})}
	args := append([]string{
		"--conf-file=/dev/null", "--keep-in-foreground", "--log-facility=-", "--pid-file=", "--user=root",
		"--port=0", "--no-resolv", "--no-hosts", "--interface=lan0", "--bind-interfaces", "--dhcp-authoritative",
		"--dhcp-leasefile=" + d.leases, "--log-dhcp",
	}, options...)
	d.cmd = exec.Command("dnsmasq", args...)
	log, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ns.Do(d.cmd.Start); err != nil {
		t.Fatalf("start dnsmasq: %v", err)
	}
	d.End = sync.OnceFunc(func() {
		d.cmd.Process.Signal(unix.SIGTERM)
		force := time.AfterFunc(5*time.Second, func() { d.cmd.Process.Kill() })
		<-d.done
		d.cmd.Wait() // its error is only that it was told to end
		force.Stop()
	})
	t.Cleanup(d.End)
	go d.read(log)
	d.Await("started, version", 1) // its sockets are bound before it says so
	return d
}

func (d *Dnsmasq) read(log io.Reader) {
	defer close(d.done)
	for scan := bufio.NewScanner(log); scan.Scan(); {
		d.mu.Lock()
		d.lines = append(d.lines, scan.Text())
		close(d.more)
		d.more = make(chan struct{})
		d.mu.Unlock()
	}
}

// Await returns when n lines of the log name what. The log comes a little after
// the answers.
func (d *Dnsmasq) Await(what string, n int) {
	d.t.Helper()
	late := time.After(time.Minute)
	for {
		d.mu.Lock()
		more := d.more
		d.mu.Unlock()
		if d.Count(what) >= n {
			return
		}
		select {
		case <-more:
		case <-d.done:
			d.t.Fatalf("dnsmasq ended without %d × %q", n, what)
		case <-late:
			d.t.Fatalf("dnsmasq did not say %q %d times in a minute", what, n)
		}
	}
}

// Count is how many lines of the log name what, such as "DHCPACK(".
func (d *Dnsmasq) Count(what string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, line := range d.lines {
		if strings.Contains(line, what) {
			n++
		}
	}
	return n
}

// Clients returns the lines of the lease file: expiry, MAC or IAID, address,
// host name, client id or DUID. The server writes it before it sends an ACK.
func (d *Dnsmasq) Clients() (list [][]string) {
	d.t.Helper()
	b, err := os.ReadFile(d.leases)
	if err != nil {
		d.t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if fields := strings.Fields(line); len(fields) == 5 {
			list = append(list, fields)
		}
	}
	return list
}
