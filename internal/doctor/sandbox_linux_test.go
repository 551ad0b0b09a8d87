package doctor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// sandboxScript is a machine's udev and systemd-networkd in namespaces of their
// own: with its rules, and with /etc and /run of ours. /sys is mounted anew
// because it shows the network of who mounted it. Until its input ends it turns
// lines into commands.
const sandboxScript = `set -e
mount -t tmpfs tmpfs /run
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /etc/systemd
mkdir -p /run/systemd/netif /etc/systemd/network
chown systemd-network /run/systemd/netif
mount --bind "$1/etc/udev" /etc/udev
mount --bind "$1/etc/systemd/network" /etc/systemd/network
/lib/systemd/systemd-udevd >"$1/udevd.log" 2>&1 &
while ! [ -S /run/udev/control ]; do sleep 0.02; done
echo ready
SYSTEMD_LOG_LEVEL=debug /lib/systemd/systemd-networkd 2>&1 &
exec sh`

// A sandbox is a bridge with a DHCP server, and a machine with udev and
// systemd-networkd.
type sandbox struct {
	lan, machine *netns.Namespace
	dir          string        // the machine's /etc and udev's log
	networkd     <-chan string // what systemd-networkd says
}

// newSandbox begins one, which goes with the test.
func newSandbox(t *testing.T, files map[string]string) *sandbox {
	t.Helper()
	s := &sandbox{lan: netnstest.New(t), machine: netnstest.New(t), dir: t.TempDir()}
	netnstest.Run(t, s.lan, "ip", "link", "add", "br0", "type", "bridge")
	netnstest.Run(t, s.lan, "ip", "addr", "add", "10.9.0.1/16", "dev", "br0")
	netnstest.Run(t, s.lan, "ip", "link", "set", "br0", "up")
	s.start(t, s.lan, "dnsmasq", "--keep-in-foreground", "--user=root", "--group=root", "--conf-file=/dev/null", "--port=0", "--no-ping",
		"--interface=br0", "--bind-interfaces", "--dhcp-range=10.9.1.1,10.9.9.9,10m", "--leasefile-ro", "--log-facility=-", "--pid-file=")
	for path, text := range files {
		path = filepath.Join(s.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"etc/udev/rules.d", "etc/systemd/network"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(s.dir, 0o755); err != nil { // networkd gives up being root
		t.Fatal(err)
	}
	s.networkd = s.start(t, s.machine, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", sandboxScript, "sh", s.dir)
	if line := next(t, s.networkd, 20*time.Second); line != "ready" {
		t.Fatalf("machine does not start: %q\n%s", line, s.log("udevd.log"))
	}
	return s
}

// start runs a program in ns for as long as the test lasts, and returns the
// lines that it prints.
func (s *sandbox) start(t *testing.T, ns *netns.Namespace, name string, args ...string) <-chan string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := ns.Do(cmd.Start); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	lines := make(chan string, 100_000)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(lines)
		for sc := bufio.NewScanner(r); sc.Scan(); {
			lines <- sc.Text()
		}
		io.Copy(io.Discard, r)
	})
	t.Cleanup(func() {
		stdin.Close()
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		cmd.Wait()
		w.Close()
		wg.Wait()
	})
	return lines
}

// next waits for a line.
func next(t *testing.T, lines <-chan string, limit time.Duration) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	select {
	case line := <-lines:
		return line
	case <-ctx.Done():
		t.Fatalf("no line within %s", limit)
		return ""
	}
}

func (s *sandbox) log(name string) string {
	text, _ := os.ReadFile(filepath.Join(s.dir, name))
	return string(text)
}

// plug gives the machine NICs with the MACs, named eth1 and on, wired to the LAN.
func (s *sandbox) plug(t *testing.T, first int, macs ...string) {
	t.Helper()
	var batch strings.Builder
	for i, mac := range macs {
		n := first + i
		fmt.Fprintf(&batch, "link add p%d master br0 up type veth peer name eth%d address %s netns machine\n", n, n, mac)
	}
	pid := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), s.machine.FD())
	text := strings.ReplaceAll(batch.String(), "netns machine", "netns "+pid)
	file := filepath.Join(t.TempDir(), "batch")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, s.lan, "ip", "-batch", file)
}

// mended are the files that Mend would write on this machine.
func mended(t *testing.T) map[string]string {
	t.Helper()
	drops, err := tree("/").dropIns()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, d := range drops {
		files[d.path] = string(d.text)
	}
	if len(files) != 4 {
		t.Fatalf("%d drop-ins for this machine's systemd, %d; want 4", len(files), tree("/").systemd())
	}
	return files
}
