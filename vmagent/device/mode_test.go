//go:build linux

package device

import (
	"bufio"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// Seats have one mode, as docs/security.md says: a container that may set up networks
// switches it for the others, unless it is in a user namespace of its own.
func TestSeatsOfOneNICHaveOneMode(t *testing.T) {
	t.Parallel()
	host, m := newMaker(t)
	first, d := seat(nic.NewMAC())
	second, _ := seat(d.MAC)
	third, _ := seat(d.MAC)
	plug(t, host, d.MAC)
	if err := m.Ensure(t.Context(), first, d); errors.Is(err, link.ErrUnsupported) {
		t.Log("this kernel has no ipvlan")
		return
	}
	must(t, m.Ensure(t.Context(), second, d))
	must(t, m.Ensure(t.Context(), third, d))
	mode := func() string {
		t.Helper()
		_, rest, _ := strings.Cut(netnstest.Run(t, host, "ip", "-d", "link", "show", "dev", second.LinkName("nt")), "ipvlan  mode ")
		word, _, _ := strings.Cut(rest, " ")
		return word
	}
	process := exec.Command("unshare", "--user", "--map-root-user", "--net", "sh", "-c", "echo there; exec sleep 60")
	said, err := process.StdoutPipe()
	must(t, err)
	must(t, process.Start())
	t.Cleanup(func() {
		_ = process.Process.Kill() // its end is the test's
		_ = process.Wait()
	})
	if _, err := bufio.NewReader(said).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	ns, err := netns.Open(fmt.Sprintf("/proc/%d/ns/net", process.Process.Pid))
	must(t, err)
	defer ns.Close()
	for id, into := range map[nic.ID]*netns.Namespace{first: container(t), third: ns} {
		h, err := link.Open(into)
		must(t, err)
		defer h.Close()
		_, err = m.host.Move(byName(t, m, id.LinkName("nt")), h, link.Change{Name: "eth0", Up: new(true)})
		must(t, err)
		if id == first {
			netnstest.Run(t, into, "ip", "link", "set", "eth0", "type", "ipvlan", "mode", "l3")
			if got := mode(); got != "l3" {
				t.Errorf("one switched the mode to l3, and another's is %q: docs/security.md says that it follows", got)
			}
			netnstest.Run(t, into, "ip", "link", "set", "eth0", "type", "ipvlan", "mode", "l2")
		}
	}
	out, err := exec.Command("nsenter", "--target", fmt.Sprint(process.Process.Pid), "--user", "--net",
		"ip", "link", "set", "eth0", "type", "ipvlan", "mode", "l3").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "not permitted") {
		t.Errorf("from a user namespace: %v, %s; want that it is not permitted", err, out)
	}
	if got := mode(); got != "l2" {
		t.Errorf("in the end the mode is %q, want l2", got)
	}
}
