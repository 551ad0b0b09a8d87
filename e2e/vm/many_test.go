//go:build linux

package vm

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/lab/promise"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// As many NICs as a guest of the lab can have, in so many containers.
const mostNICs, crowd = 64, 8

// manyTime bounds each step of the test with that many NICs in an emulated
// guest.
const manyTime = 6 * time.Minute

// A guest with 64 ports has 64 NICs, each in a container and answering for its
// address. There is no 65th, and all of them go.
func TestSixtyFourNICs(t *testing.T) {
	r := own(t, cluster.Options{Nodes: 1, Ports: mostNICs, MemoryMiB: 1536})
	n := r.node(1)
	begin := time.Now()
	var claims []api.ClaimView
	step := func(what string) { t.Logf("%5.1f s  %s", time.Since(begin).Seconds(), what) }
	for i := range crowd {
		network := []string{"fixed", "lab"}[i%2]
		labels := []string{"--label", "nicferry.network=" + network}
		for eth := 1; eth < mostNICs/crowd; eth++ {
			labels = append(labels, "--label", fmt.Sprintf("nicferry.nic.eth%d=network=%s", eth, network))
		}
		// One after another: an emulated guest that shares its processors and is told
		// of many cards at once takes longer to see the last than it is waited for.
		r.run(n, fmt.Sprintf("c%d", i), labels...)
		claims = r.allBound((i + 1) * mostNICs / crowd)
		step(fmt.Sprintf("%d NICs are bound", len(claims)))
	}

	macs, addrs := map[nic.MAC]bool{}, ""
	for _, c := range claims {
		macs[c.Identity.MAC] = true
	}
	for i := range crowd {
		addrs += r.docker(n, "exec", fmt.Sprintf("c%d", i), "sh", "-ec", `ip -4 -o addr show scope global | awk '{sub("/.*", "", $4); print $4}'`) + "\n"
	}
	if len(macs) != mostNICs || len(strings.Fields(addrs)) != mostNICs {
		t.Errorf("%d MACs and %d addresses are in use; want %d: %q", len(macs), len(strings.Fields(addrs)), mostNICs, addrs)
	}
	r.lan(append([]string{"sh", "-c", `for a; do ping -q -c 2 -i 0.2 -W 5 "$a" >/dev/null || { echo "$a does not answer" >&2; exit 1; }; done`, "sh"},
		strings.Fields(addrs)...)...)
	step("all addresses have answered a ping from outside")
	if live, stored := r.cards(n.Name); len(live) != mostNICs || len(stored) != mostNICs {
		t.Errorf("%s has %d cards live and %d stored; want %d", n.Name, len(live), len(stored), mostNICs)
	}
	r.docker(n, "create", "--network", "none", "--label", "nicferry.network=fixed", "--name", "late", imageName)
	if said := fmt.Sprint(r.claimed("late", nic.ClaimRefused).Conditions); !strings.Contains(said, "0 of 64 hot-plug slots free") {
		t.Errorf("a NIC too many is refused with %s", said)
	}
	ask := promise.Options{Config: filepath.Join(r.Host().Dir(), "nicferryd.yaml"), Cluster: r.Cluster}
	r.must(promise.Await(t.Context(), ask, promiseTime))

	r.must(r.clear(t.Context()))
	step("all containers are removed")
	r.until("all NICs to go", manyTime, r.leftovers)
	step("all NICs are gone")
	r.must(promise.Await(t.Context(), ask, promiseTime))
}

// allBound waits until there are so many claims, all bound.
func (r *rig) allBound(want int) (claims []api.ClaimView) {
	r.t.Helper()
	r.until(fmt.Sprintf("%d bound claims", want), manyTime, func(ctx context.Context) (err error) {
		if claims, err = list[api.ClaimView](ctx, r.Cluster, "claims"); err != nil {
			return err
		}
		bound := 0
		for _, c := range claims {
			if c.Phase == nic.ClaimBound {
				bound++
			} else if c.Phase == nic.ClaimRefused {
				err = fmt.Errorf("that of %s %s is refused: %v", c.Container, c.Request.Interface, c.Conditions)
			}
		}
		if bound != want {
			err = errors.Join(fmt.Errorf("%d of %d are bound", bound, len(claims)), err)
		}
		return err
	})
	return claims
}

// own brings up a lab for one test, which goes with it.
func own(t *testing.T, o cluster.Options) *rig {
	t.Helper()
	netnstest.RequireRoot(t)
	bin, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	o.Dir, o.Bin, o.Program, o.Out = filepath.Join(home, ownLab), bin, filepath.Join(bin, "nicferry-lab"), t.Output()
	c, err := cluster.Up(t.Context(), o)
	t.Cleanup(func() {
		var closed error
		if c != nil {
			closed = c.Close()
		}
		if err := errors.Join(closed, cluster.Down(context.WithoutCancel(t.Context()), o.Dir)); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{c, t}
	t.Cleanup(func() { // before the lab goes
		if t.Failed() {
			r.tellLogs(context.WithoutCancel(t.Context()))
		}
	})
	return r
}
