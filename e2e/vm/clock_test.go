//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/nic"
)

const day = 24 * time.Hour

// F66: somebody sets the clock of a guest by days, forward and back, while
// containers use their NICs. None of them notices, no lease is asked for before
// it is due, and NICs still come and go.
func TestF66_TheClockOfAGuestIsSet(t *testing.T) {
	r := use(t)
	n := r.node(1)
	set := r.clock(n)
	r.run(n, "leased", "--label", "nicferry.network=lab")
	r.run(n, "fixed", "--label", "nicferry.network=fixed")
	cards := map[string]card{"leased": r.eth0(n, "leased"), "fixed": r.eth0(n, "fixed")}
	said, begin := r.dhcp(cards["leased"].MAC), time.Now()
	was, logged := r.held("leased", "fixed"), r.controllerLog()

	over, stop := context.WithCancel(t.Context())
	var pings errgroup.Group
	for name, c := range cards {
		pings.Go(func() error { return r.pingsUntil(over, name, c.Addr.Addr()) })
	}
	for i, by := range []time.Duration{5 * day, -5 * day, 0} {
		set(by)
		// The agent still works: a NIC comes, and goes.
		late := fmt.Sprintf("late%d", i)
		r.create(n, late, "fixed")
		r.docker(n, "rm", "-f", late)
		r.until("the NIC of "+late+" to go", patience, func(ctx context.Context) error {
			nics, err := list[api.NICView](ctx, r.Cluster, "nics")
			if err == nil && len(nics) > len(cards) {
				err = fmt.Errorf("there are %d NICs", len(nics))
			}
			return err
		})
		if live, stored := r.cards(n.Name); len(live) != len(cards) || len(stored) != len(cards) {
			t.Errorf("with the clock set by %s %s has live %+v and stored %+v", by, n.Name, live, stored)
		}
		if now := r.held("leased", "fixed"); !reflect.DeepEqual(now, was) {
			t.Errorf("with the clock set by %s the claims and NICs are\n%+v\nand were\n%+v", by, now, was)
		}
	}
	stop()
	r.must(pings.Wait())
	for name, c := range cards {
		if now := r.eth0(n, name); now != c {
			t.Errorf("%s has %+v, and had %+v", name, now, c)
		}
	}
	if due := int(time.Since(begin) / renewal); said("DHCPREQUEST") > due || said("DHCPDISCOVER", "DHCPDECLINE", "DHCPRELEASE") > 0 {
		t.Errorf("of the lease, with %d renewals due, the server heard:\n%s", due, strings.Join(r.lease(cards["leased"].MAC), "\n"))
	}
	if found, err := r.audit(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("the audit finds %+v, %v", found, err)
	}
	if n := strings.Count(logged(), `"NIC deleted"`); n != 3 {
		t.Errorf("%d NICs were deleted; want 3, which are those of late:\n%s", n, logged())
	}
}

// renewal is how long after it was given a lease of the lab is due for the first
// renewal, less what the agent may be early.
const renewal = 55 * time.Second

// clock returns what sets the guest's clock so far from what is right, and sets
// it right when the test ends.
func (r *rig) clock(n *cluster.Node) func(time.Duration) {
	r.t.Helper()
	const since = `read up rest </proc/uptime; awk -v "now=$(date +%s.%N)" -v "up=$up" 'BEGIN {printf "%.2f", now - up}'`
	boot, err := strconv.ParseFloat(r.sh(n, since), 64)
	r.must(err)
	set := func(ctx context.Context, by time.Duration) error {
		const script = `read up rest </proc/uptime; date -s "@$(awk -v "boot=$1" -v "up=$up" 'BEGIN {printf "%.2f", boot + up}')"`
		return n.Command(ctx, "sh", "-ec", script, "sh", strconv.FormatFloat(boot+by.Seconds(), 'f', 2, 64)).Run()
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.t.Context()), patience)
		defer cancel()
		if err := set(ctx, 0); err != nil {
			r.t.Errorf("set the clock of %s right: %v", n.Name, err)
		}
	})
	return func(by time.Duration) {
		r.t.Helper()
		r.must(set(r.t.Context(), by))
		// By the guest's own clocks: those of one that was frozen stood still.
		now, err := strconv.ParseFloat(r.sh(n, since), 64)
		r.must(err)
		if off := now - boot - by.Seconds(); math.Abs(off) > 60 {
			r.t.Fatalf("the clock of %s is %.0f s off from what it was set to", n.Name, off)
		}
	}
}

// held are the claims of the containers with their NICs.
func (r *rig) held(containers ...string) map[string]any {
	r.t.Helper()
	all := map[string]any{}
	claims, err := list[api.ClaimView](r.t.Context(), r.Cluster, "claims")
	r.must(err)
	nics, err := list[api.NICView](r.t.Context(), r.Cluster, "nics")
	r.must(err)
	for _, c := range claims {
		if !slices.Contains(containers, c.Container) {
			continue
		}
		all[c.Container] = c.Claim
		for _, n := range nics {
			if n.ID == c.NIC {
				all[c.Container+"'s NIC"] = struct {
					ID     nic.ID
					Phase  nic.Phase
					Holder nic.ClaimID
					Since  time.Time
					Seen   nic.Seen
				}{n.ID, n.Phase, n.Holder, n.Since, n.Seen}
			}
		}
	}
	return all
}

// onLAN prepares a program to run beside the router, outside of all guests.
func (r *rig) onLAN(ctx context.Context, name string, args ...string) *exec.Cmd {
	return r.Host().Command(ctx, "ip", append([]string{"netns", "exec", cluster.LAN, name}, args...)...)
}

// pingsUntil pings from outside of all guests until over, and errs if a ping was
// lost.
func (r *rig) pingsUntil(over context.Context, name string, addr netip.Addr) error {
	for over.Err() == nil {
		got, err := lab.PingFrom(r.t.Context(), r.onLAN, addr, 100*time.Millisecond, 2*time.Second, 5*time.Second)
		if err == nil && got.Lost > 0 {
			err = errors.New(got.String())
		}
		if err != nil {
			return fmt.Errorf("ping %s: %w", name, err)
		}
	}
	return nil
}

// lease is what the LAN's DHCP server has logged of a MAC.
func (r *rig) lease(mac string) []string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.Host().Dir(), "log", "dnsmasq.log"))
	r.must(err)
	lines := strings.Split(string(text), "\n")
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.Contains(line, mac) })
}

// dhcp counts the messages of some kinds that the DHCP server hears of a MAC
// from now on.
func (r *rig) dhcp(mac string) func(kinds ...string) int {
	r.t.Helper()
	before := len(r.lease(mac))
	return func(kinds ...string) (count int) {
		r.t.Helper()
		for _, line := range r.lease(mac)[before:] {
			if slices.ContainsFunc(kinds, func(kind string) bool { return strings.Contains(line, kind+"(") }) {
				count++
			}
		}
		return count
	}
}
