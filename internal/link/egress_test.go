//go:build linux

package link

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
)

// answers says whether an address answers a socket that is bound to a0.
func answers(t *testing.T, ns *netns.Namespace, to string) bool {
	t.Helper()
	var failed error
	must(t, ns.Do(func() error {
		failed = exec.Command("ping", "-c", "1", "-W", "0.2", "-I", "a0", to).Run()
		return nil
	}))
	return failed == nil
}

// What a link may not send to is dropped on it, also from a socket that is bound to
// it and so heeds no blackhole; all else goes on.
func TestBlockEgress(t *testing.T) {
	t.Parallel()
	near, h := open(t)
	far, other := open(t)
	must(t, h.AddPair(Pair{Name: "a0", PeerName: "b0"}))
	_, err := h.Move(mustName(t, h, "b0"), other, Change{Name: "b0", Up: new(true)})
	must(t, err)
	all := []string{"192.0.2.1", "192.0.2.9", "2001:db8::1", "2001:db8::9"}
	for _, addr := range []string{"192.0.2.1/24", "192.0.2.9/24", "2001:db8::1/64", "2001:db8::9/64"} {
		netnstest.Run(t, far, "ip", "addr", "add", addr, "dev", "b0", "nodad")
	}
	netnstest.Run(t, near, "ip", "addr", "add", "192.0.2.2/24", "dev", "a0")
	netnstest.Run(t, near, "ip", "addr", "add", "2001:db8::2/64", "dev", "a0", "nodad")
	netnstest.Run(t, near, "ip", "link", "set", "a0", "up")
	l := mustName(t, h, "a0")
	blocked := func(when string, want ...string) {
		t.Helper()
		for _, addr := range all {
			isWanted := strings.Contains(strings.Join(want, " ")+" ", addr+" ")
			if answers(t, near, addr) == isWanted {
				t.Errorf("%s: %s answers: %t, want %t", when, addr, isWanted, !isWanted)
			}
		}
	}
	for _, addr := range all { // neighbours are found in their own time
		netnstest.Run(t, near, "ping", "-c", "1", "-W", "5", addr)
	}
	blocked("at first")
	must(t, h.UnblockEgress(l)) // none is no error
	block := func(addrs ...string) Messages {
		t.Helper()
		var to []netip.Addr
		for _, a := range addrs {
			to = append(to, netip.MustParseAddr(a))
		}
		before := h.Messages()
		must(t, h.BlockEgress(l, to))
		after := h.Messages()
		return Messages{after.Reads - before.Reads, after.Dumps - before.Dumps, after.Writes - before.Writes}
	}
	if m := block("192.0.2.9", "2001:db8::9"); m != (Messages{0, 1, 2}) {
		t.Errorf("the first time took %+v", m)
	}
	blocked("one of each version", "192.0.2.9", "2001:db8::9")
	if m := block("192.0.2.9", "2001:db8::9"); m != (Messages{0, 1, 0}) {
		t.Errorf("the same again took %+v", m)
	}
	block("192.0.2.1", "192.0.2.9", "2001:db8::1")
	blocked("others", "192.0.2.1", "192.0.2.9", "2001:db8::1")
	must(t, h.UnblockEgress(l))
	blocked("taken off")
	block(all...)
	blocked("all", all...)
	back, err := h.Move(l, other, Change{Name: "a0"})
	must(t, err)
	if out := netnstest.Run(t, far, "tc", "qdisc", "show", "dev", "a0"); strings.Contains(out, "clsact") {
		t.Errorf("index %d has moved with: %s", back.Index, out)
	}
}
