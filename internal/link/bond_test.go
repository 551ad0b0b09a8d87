//go:build linux

package link

import (
	"errors"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// A bond over two veths. A kernel without bonds refuses in words; suite vm has one
// with them.
func TestBondIsReadAsItWasMade(t *testing.T) {
	t.Parallel()
	ns, h := open(t)
	for _, v := range []string{"0", "1"} {
		netnstest.Run(t, ns, "ip", "link", "add", "v"+v, "type", "veth", "peer", "name", "w"+v)
		netnstest.Run(t, ns, "ip", "link", "set", "w"+v, "up")
	}
	v0, v1 := mustName(t, h, "v0"), mustName(t, h, "v1")
	for mode := range bondModes {
		b := Bond{Name: "b0", MAC: macA, MTU: 1400, Mode: mode, Monitor: 50 * time.Millisecond}
		if mode == nic.BondActiveBackup {
			b.FollowMAC, b.Primary = true, v1.Index
		}
		err := h.AddBond(b)
		if errors.Is(err, ErrUnsupported) {
			t.Log("this kernel has no bonds")
			return
		}
		must(t, err)
		if err := h.AddBond(b); !errors.Is(err, ErrExists) {
			t.Errorf("a second one: got %v; want %v", err, ErrExists)
		}
		l := mustName(t, h, "b0")
		must(t, h.Set(v1, Change{MAC: macB, Master: new(l.Index)}))
		must(t, h.Set(v0, Change{MAC: macA, Master: new(l.Index)}))
		links, err := h.Links()
		must(t, err)
		var bond Link
		members := map[string]MemberState{}
		for _, l := range links {
			if l.Bond != nil {
				bond = l
			}
			if l.Member != nil {
				members[l.Name] = *l.Member
			}
		}
		want := BondState{Mode: mode, Monitor: b.Monitor, FollowMAC: b.FollowMAC, Primary: b.Primary}
		want.Active = bond.Bond.Active // once it is up
		if bond.MAC != macA && !b.FollowMAC || bond.MTU != 1400 || *bond.Bond != want {
			t.Errorf("mode %s: got %+v, %+v; want %+v", mode, bond, *bond.Bond, want)
		}
		if len(members) != 2 || members["v1"].PermMAC != macB || members["v0"].Failures != 0 {
			t.Errorf("mode %s: members are %+v", mode, members)
		}
		must(t, h.Delete(bond))
	}
	if err := h.AddBond(Bond{Name: "b0", Mode: "none", Monitor: time.Second}); err == nil {
		t.Error("a bond without a mode was made")
	}
}
