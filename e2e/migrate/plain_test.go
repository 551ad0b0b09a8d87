//go:build linux

package migrate

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// A container moves, with its NIC's MAC and addresses, its volume and what it has
// written, to the other machine and back. After each move nothing brings it back
// where it was: not its engine's restart, and not its machine's.
func TestThereAndBack(t *testing.T) {
	r := newRig(t)
	for _, network := range []string{"both", "lab"} {
		t.Run(network, func(t *testing.T) {
			s := r.scene(t, network, []string{"--volume", "%s:/data"}, "sh", "-c", writes)
			c := &harmed{scene: s}
			for _, way := range []struct{ from, to *fleet.Agent }{{r.vm1, r.vm2}, {r.vm2, r.vm1}} {
				s.do(s.migrate(way.to, "--volumes", "copy", "--layer", "copy", "--wait", "10s"))
				s.settled(way.to)
				c.whole(way.to)
				s.do(way.from.Machine.Engine.Kill(t.Context()))
				s.do(way.from.Machine.Engine.Start(t.Context()))
				s.settled(way.to)
				s.powerOff(way.from)
				s.powerOn(way.from)
				s.settled(way.to)
				s.clean(way.from)
				_, err := way.from.Docker(t.Context(), "volume", "rm", "-f", s.name)
				s.do(err)
			}
			for _, g := range s.peer.gaps(50 * time.Millisecond) {
				t.Logf("the peer heard nothing for %s", g)
			}
			t.Logf("frames: %s", s.stays())
		})
	}
}

// clean waits until the machine has no container, NIC or task of the scene any more.
func (s *scene) clean(a *fleet.Agent) {
	s.t.Helper()
	s.do(fleet.Until(s.t.Context(), s.name+" to be gone from "+a.Name, func() error {
		out, err := a.Docker(s.t.Context(), "ps", "-aq", "--filter", "name="+s.name)
		if err == nil && strings.TrimSpace(out) != "" {
			err = errors.New("there is container " + out)
		}
		if err != nil {
			return err
		}
		out, err = a.Machine.Run(s.t.Context(), "ip", "-br", "link")
		if err == nil && strings.Contains(out, s.mac.String()) {
			err = fmt.Errorf("there is %s", out)
		}
		return err
	}))
}

// stays are from where frames of the NIC came, in order.
func (s *scene) stays() string {
	var b strings.Builder
	var last time.Time
	for _, stay := range s.frames.of(s.mac) {
		if !last.IsZero() {
			fmt.Fprintf(&b, " %d ms ", stay.first.Sub(last).Milliseconds())
		}
		last = stay.last
		fmt.Fprintf(&b, "[%d from %s]", stay.frames, stay.port)
	}
	return b.String()
}

// P6: a container with two NICs, of two networks, one of them by DHCP, moves with
// both, and its image goes along where the other machine has none.
func TestP6_TwoNICsAndTheImage(t *testing.T) {
	r := newRig(t)
	s := r.scene(t, "both", []string{"--label", "nicferry.nic.eth1=network=lab"})
	r.forgetImage(t)
	had := s.inside(r.vm1)
	s.do(s.migrate(r.vm2))
	s.settled(r.vm2)
	if has := s.inside(r.vm2); has != had {
		t.Errorf("moved, it has\n%s\nand had\n%s", has, had)
	}
	s.clean(r.vm1)
}

// sourceRule is a rule that has what comes from an address look into a table of its
// NIC's own, whose number is the kernel's choice.
var sourceRule = regexp.MustCompile(`(?m)^(\d+:\tfrom \S+ lookup) \d+ *\n`)

// inside are the NICs, the addresses and the routes in the container, once it has
// all; and which addresses have a table of their own, in whatever order they came.
func (s *scene) inside(a *fleet.Agent) (out string) {
	s.t.Helper()
	s.do(fleet.Until(s.t.Context(), "two NICs with addresses", func() (err error) {
		out, err = a.Docker(s.t.Context(), "exec", s.name, "sh", "-c", "for i in eth0 eth1; do cat /sys/class/net/$i/address; ip -o addr show dev $i scope global | cut -d' ' -f2-7; done; ip route; ip rule; cat /etc/resolv.conf")
		if err == nil && strings.Count(out, "inet ") != 2 {
			err = errors.New(out)
		}
		return err
	}))
	rules := sourceRule.FindAllString(out, -1)
	for i, rule := range rules {
		rules[i] = sourceRule.ReplaceAllString(rule, "$1 its own\n")
	}
	slices.Sort(rules)
	return sourceRule.ReplaceAllString(out, "") + strings.Join(rules, "")
}
