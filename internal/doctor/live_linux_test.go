package doctor

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// live is the real kernel of a namespace of the test's own.
func live(t *testing.T) (*netns.Namespace, *Live) {
	t.Helper()
	ns := netnstest.New(t)
	again, err := netns.Open(fmt.Sprintf("/proc/self/fd/%d", ns.FD()))
	if err != nil {
		t.Fatal(err)
	}
	l, err := openIn(again)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return ns, l
}

// F36: a NIC that was grabbed nevertheless is found and flushed; the machine's
// own, and nicferry's bridge, are not touched.
func TestF36_AGrabbedNICIsFoundAndFlushed(t *testing.T) {
	t.Parallel()
	ns, l := live(t)
	for _, line := range []string{
		"link add eth0 address 52:54:00:00:00:01 type veth peer name p0",
		"link add eth1 address e2:4e:00:00:00:01 type veth peer name p1",
		"link add nfbr0 address e2:4e:00:00:00:02 type bridge",
		"addr add 192.0.2.1/24 dev eth0", "addr add 192.0.2.2/24 dev eth1", "addr add 2001:db8::2/64 dev eth1", "addr add 192.0.2.3/24 dev nfbr0",
		"link set eth0 up", "link set p0 up", "link set eth1 up", "link set p1 up", "link set nfbr0 up",
	} {
		netnstest.Run(t, ns, "ip", strings.Fields(line)...)
	}
	m := newMachine(t, txtar.Parse([]byte(programs)))
	m.Kernel = l
	if text := render(Examine(t.Context(), m)); !strings.Contains(text, "FAIL grabbed: eth1 (e2:4e:00:00:00:01) was grabbed on this machine: it has 192.0.2.2/24, 2001:db8::2/64") {
		t.Fatalf("not found:\n%s", text)
	}
	did, err := Mend(t.Context(), m)
	if err != nil || !strings.Contains(strings.Join(did, "\n"), "took 2 addresses from eth1 and set it down") {
		t.Fatalf("mended: %q, %v", did, err)
	}
	addrs := netnstest.Run(t, ns, "ip", "-o", "addr")
	if strings.Contains(addrs, "eth1") || !strings.Contains(addrs, "192.0.2.1/24") || !strings.Contains(addrs, "192.0.2.3/24") {
		t.Errorf("left:\n%s", addrs)
	}
	if out := netnstest.Run(t, ns, "ip", "-o", "link", "show", "eth1"); strings.Contains(out, "UP") {
		t.Errorf("still up: %s", out)
	}
	if text := render(Examine(t.Context(), m)); !strings.Contains(text, "OK grabbed: 1 NICs") || !strings.Contains(text, "OK kernel:") {
		t.Errorf("after mending:\n%s", text)
	}
}

func TestKernelLog(t *testing.T) {
	t.Parallel()
	at, text := kmsg("6,339,5140900,-;unregister_netdevice: waiting for eth0 to become free. Usage count = 1\n SUBSYSTEM=net\n")
	if at.Microseconds() != 5140900 || text != "unregister_netdevice: waiting for eth0 to become free. Usage count = 1" {
		t.Errorf("%s, %q", at, text)
	}
	if at, text := kmsg("\xff"); at != 0 || text != "" {
		t.Errorf("of nonsense: %s, %q", at, text)
	}
}

// What the kernel of the machine that tests run on has is there, and what is tried
// leaves nothing.
func TestKernelsAbilities(t *testing.T) {
	t.Parallel()
	ns, l := live(t)
	before := netnstest.Run(t, ns, "ip", "-o", "link") + netnstest.Run(t, ns, "ip", "rule")
	for _, kind := range []string{"veth", "macvlan", filtering, policyRouting} {
		if err := l.CanMake(kind); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if err := l.CanMake("ipvlan"); err != nil && !errors.Is(err, link.ErrUnsupported) {
		t.Errorf("ipvlan: %v; want it, or %v", err, link.ErrUnsupported)
	}
	if after := netnstest.Run(t, ns, "ip", "-o", "link") + netnstest.Run(t, ns, "ip", "rule"); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}
