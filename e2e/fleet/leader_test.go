//go:build linux

package fleet

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/nic"
)

// The controller that leads is killed while containers start on real engines: the
// other one takes over, and all come up with a NIC each and no more.
func TestLeaderKilledWhileContainersStart(t *testing.T) {
	t.Parallel()
	r := start(t, 2)
	c := r.startCrowd()
	r.do(c.leader.Kill(t.Context()))
	r.takenOver(c)
	c.wait()
	r.soon("all to be bound", func(ctx context.Context) error { return r.bound(ctx, c.number) })
	r.allHaveTheirOwn(c)
	r.leaveNothing()
	r.keepsItsPromises()
}

// The controller that leads is frozen while containers start, and woken when another
// leads: what it was asked before it woke, and what it was at, is refused.
func TestLeaderFrozenWhileContainersStart(t *testing.T) {
	t.Parallel()
	r := start(t, 2)
	c := r.startCrowd()
	r.do(c.leader.Freeze())
	r.takenOver(c)
	// It has the request before it is woken: the kernel takes it for it.
	late := nic.Owner{Node: r.Agents[0].Name, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", 1), Interface: "eth0"}
	asked := make(chan error, 1)
	go func() { _, err := acquire(t.Context(), late, c.leader); asked <- err }()
	c.wait()
	r.soon("all to be bound", func(ctx context.Context) error { return r.bound(ctx, c.number) })
	ends := len(c.leader.Ends())
	r.do(c.leader.Thaw())
	if err := <-asked; err == nil {
		t.Error("the one that was frozen has taken a request after it was woken")
	}
	r.soon("the frozen one to end", func(context.Context) error {
		all := c.leader.Ends()
		if len(all) == ends {
			return errors.New("it runs")
		}
		if exit, ok := errors.AsType[*exec.ExitError](all[ends]); !ok || exit.ExitCode() != 1 {
			return fmt.Errorf("it ended with %v, want exit code 1", all[ends])
		}
		return nil
	})
	if log := c.leader.Log(); !strings.Contains(log, "term is over, another one leads") {
		t.Errorf("the frozen one does not say why it ends:\n%s", log)
	}
	r.soon("it to stand by again", func(ctx context.Context) error {
		if err := c.leader.Works(ctx); err == nil || !strings.Contains(err.Error(), "stands by") {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	r.allHaveTheirOwn(c)
	release, err := acquire(t.Context(), late, r.Candidates...) // what was refused is taken there
	r.do(err)
	r.do(release())
	r.leaveNothing()
	r.keepsItsPromises()
}

// acquire asks the controllers for a claim, for as long as a call takes.
func acquire(ctx context.Context, owner nic.Owner, candidates ...*fleet.Candidate) (release func() error, err error) {
	var addresses []string
	for _, c := range candidates {
		addresses = append(addresses, "unix://"+c.Socket())
	}
	api, err := client.Open(client.Options{Addresses: addresses, Retries: len(candidates) - 2})
	if err != nil {
		return nil, err
	}
	defer api.Close()
	claim, err := api.Acquire(ctx, owner, "late", nic.Request{Interface: "eth0", Network: "fixed", DefaultRoute: true})
	return func() error { return api.Release(ctx, claim.ID, claim.Epoch) }, err
}

// A crowd is containers that are being started on all machines at once.
type crowd struct {
	number int // of containers
	leader *fleet.Candidate
	struck time.Time
	wait   func()
}

// startCrowd begins to start containers and returns when some have their NICs, and
// others do not run yet.
func (r *rig) startCrowd() *crowd {
	r.t.Helper()
	each := 6
	if long() {
		each = 25
	}
	c := &crowd{number: each * len(r.Agents)}
	var err error
	c.leader, err = r.Leader(r.t.Context())
	r.do(err)
	var starts sync.WaitGroup
	for _, a := range r.Agents {
		starts.Go(func() {
			for i := range each {
				if err := a.RunContainer(r.t.Context(), fmt.Sprintf("%s-c%d", a.Name, i), "nicferry.network=fixed"); err != nil {
					r.t.Error(err)
				}
			}
		})
	}
	c.wait = starts.Wait
	r.t.Cleanup(starts.Wait)
	r.soon("some to be bound", func(ctx context.Context) error { return r.bound(ctx, c.number/6) })
	c.struck = time.Now()
	return c
}

// takenOver waits until another one leads.
func (r *rig) takenOver(c *crowd) {
	r.t.Helper()
	r.soon("another to lead", func(ctx context.Context) error {
		now, err := r.Leader(ctx)
		if err == nil && now == c.leader {
			err = errors.New("the same leads")
		}
		return err
	})
	r.t.Logf("another one leads after %s", time.Since(c.struck).Round(10*time.Millisecond))
}

// allHaveTheirOwn demands that each container has a card and an address that no other
// has, that there is no NIC besides, and that the audit finds nothing.
func (r *rig) allHaveTheirOwn(c *crowd) {
	r.t.Helper()
	has := map[string]string{}
	for _, a := range r.Agents {
		cards, err := r.cards(a)
		r.do(err)
		for name, card := range cards {
			for _, what := range strings.Fields(card) {
				if other := has[what]; other != "" {
					r.t.Errorf("%s and %s both have %s", name, other, what)
				}
				has[what] = name
			}
		}
	}
	if len(has) != 2*c.number {
		r.t.Errorf("%d MACs and addresses for %d containers: %v", len(has), c.number, has)
	}
	out, err := r.CLI(r.t.Context(), "get", "nics", "-o", "name")
	r.do(err)
	if n := len(strings.Fields(out)); n != c.number {
		r.t.Errorf("%d NICs for %d containers:\n%s", n, c.number, out)
	}
	r.soon("the audit to find nothing", func(ctx context.Context) error {
		_, err := r.CLI(ctx, "audit")
		return err
	})
	r.keepsItsPromises()
}
