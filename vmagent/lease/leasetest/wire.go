//go:build linux

package leasetest

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A Wire is a server's namespace and a container's, joined by a veth pair:
// lan0 there, nic0 here.
type Wire struct{ Server, Client *netns.Namespace }

// NewWire makes a wire that goes with the test. nic0 has the MAC, lan0 the
// address.
func NewWire(t *testing.T, mac nic.MAC, addr string) Wire {
	t.Helper()
	w := Wire{netnstest.New(t), netnstest.New(t)}
	IP(t, w.Server, "link add lan0 type veth peer name nic0 netns "+Path(w.Client),
		"addr add "+addr+" dev lan0", "link set lan0 up")
	IP(t, w.Client, "link set nic0 address "+mac.String(), "link set nic0 up")
	AwaitRunning(t, w.Server, "lan0")
	return w
}

// AwaitRunning returns when the kernel has seen the other end's carrier, some
// moments after it: until then it drops what is sent here without a word.
func AwaitRunning(t *testing.T, ns *netns.Namespace, name string) {
	t.Helper()
	for late := time.Now().Add(time.Minute); time.Now().Before(late); time.Sleep(time.Millisecond) {
		if Interfaces(t, ns)[name].Flags&net.FlagRunning != 0 {
			return
		}
	}
	t.Fatalf("%s has no carrier after a minute", name)
}

// IP runs commands of ip inside ns, in one process.
func IP(t *testing.T, ns *netns.Namespace, lines ...string) {
	t.Helper()
	file := t.TempDir() + "/batch"
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, ns, "ip", "-batch", file)
}

// Path names the namespace to commands that run elsewhere.
func Path(ns *netns.Namespace) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.FD()) }

// Interfaces are the namespace's, by name.
func Interfaces(t *testing.T, ns *netns.Namespace) map[string]net.Interface {
	t.Helper()
	var list []net.Interface
	err := ns.Do(func() (err error) {
		list, err = net.Interfaces()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]net.Interface{}
	for _, i := range list {
		byName[i.Name] = i
	}
	return byName
}
