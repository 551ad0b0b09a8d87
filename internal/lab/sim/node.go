//go:build linux

package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A node is an agent that only speaks the API, with containers that come and go as it
// was drawn.
type node struct {
	run     *run
	number  int
	name    string
	session uint64

	mu     sync.Mutex
	claims map[nic.ClaimID]*held
}

// held is a claim of a container that runs.
type held struct {
	life  int
	in    bool // it has its NIC
	claim nic.Claim
}

func newNode(r *run, number int) *node {
	return &node{run: r, number: number, name: fmt.Sprintf("n%05d", number), claims: map[nic.ClaimID]*held{}}
}

// A step of a node is that a container is started or removed.
type step struct {
	at      time.Duration
	life    int
	removed bool
	claim   *nic.Claim
}

// plan draws when the node is there, and when each of its containers comes and goes.
func (n *node) plan() (arrives time.Duration, steps []step) {
	o := n.run.opts
	dice := rand.New(rand.NewPCG(o.Seed, uint64(n.number)))
	within := func(from, length time.Duration) time.Duration {
		return from + time.Duration(dice.Int64N(int64(length)))
	}
	arrives = within(0, o.Ramp/2)
	drain := o.Ramp + startsWithin + o.Steady
	add := func(life int, from, to time.Duration) {
		claim := &nic.Claim{}
		steps = append(steps, step{from, life, false, claim}, step{to, life, true, claim})
	}
	first := o.livesBefore(n.number)
	for i := range o.PerNode {
		start, end := within(arrives, o.Ramp-arrives), within(drain, o.Ramp)
		if i < o.replaced(n.number) {
			next := within(o.Ramp+startsWithin, o.Steady-startsWithin)
			add(first+o.PerNode+i, next+time.Second, end)
			end = next
		}
		add(first+i, start, end)
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return arrives, steps
}

// live is the node's whole life.
func (n *node) live(ctx context.Context, wg *sync.WaitGroup) error {
	arrives, steps := n.plan()
	if err := sleep(ctx, arrives); err != nil {
		return err
	}
	hello, err := n.run.alloc.Hello(ctx, n.name, nic.Inventory{Boot: "1"})
	if err != nil {
		return fmt.Errorf("node %s says hello: %w", n.name, err)
	}
	n.session = hello.Session
	wg.Go(func() {
		if err := n.watch(ctx); ctx.Err() == nil { // it ends with an error alone
			n.run.failed(fmt.Errorf("node %s watches: %w", n.name, err))
		}
	})
	for _, s := range steps {
		if err := sleep(ctx, time.Until(n.run.begin.Add(s.at))); err != nil {
			return err
		}
		do := n.start
		if s.removed {
			do = n.remove
		}
		if err := do(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) start(ctx context.Context, s step) error {
	network := coldNetwork
	warm := n.run.isWarm(s.life)
	if warm {
		network = warmNetwork
	}
	owner := nic.Owner{Node: n.name, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", s.life+1), Interface: "eth0"}
	n.mu.Lock() // the watch must not see the claim before it is noted here
	defer n.mu.Unlock()
	claim, err := n.run.alloc.Acquire(ctx, owner, fmt.Sprintf("c%d", s.life), nic.Request{Interface: "eth0", Network: network, DefaultRoute: true})
	if err != nil {
		return fmt.Errorf("node %s asks for container %d: %w", n.name, s.life, err)
	}
	*s.claim = claim
	n.claims[claim.ID] = &held{life: s.life, claim: claim}
	n.run.noted(claim.ID, s.life, warm)
	return nil
}

func (n *node) remove(ctx context.Context, s step) error {
	n.mu.Lock()
	delete(n.claims, s.claim.ID)
	n.mu.Unlock()
	if err := n.run.alloc.Release(ctx, s.claim.ID, s.claim.Epoch); err != nil {
		return fmt.Errorf("node %s gives claim %s back: %w", n.name, s.claim.ID, err)
	}
	n.run.ended(s.claim.ID, s.life)
	return nil
}

// watch carries out what is wanted of the node, at once, and says so.
func (n *node) watch(ctx context.Context) error {
	said := map[nic.ID]nic.Observed{}
	for after := uint64(0); ; {
		list, rev, err := n.run.alloc.Wanted(ctx, n.name, n.session)
		if err != nil {
			return err
		}
		var news []nic.Observed
		there := make(map[nic.ID]bool, len(list))
		for _, w := range list {
			if w.NIC == "" {
				continue
			}
			there[w.NIC] = true
			o := n.observe(w)
			if was, ok := said[w.NIC]; !ok || was.State != o.State || was.Claim != o.Claim || was.Turn != o.Turn || was.Epoch != o.Epoch {
				news = append(news, o)
				said[w.NIC] = o
			}
		}
		for id := range said {
			if !there[id] {
				delete(said, id)
			}
		}
		if len(news) > 0 {
			if err := n.run.alloc.Report(ctx, n.name, nic.NodeReport{Session: n.session, NICs: news}); err != nil {
				return err
			}
			n.bound(news)
		}
		after = rev
		waiting, cancel := context.WithTimeout(ctx, heartbeat)
		_, err = n.run.alloc.WaitChange(waiting, n.name, after)
		cancel()
		if err != nil && (ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded)) {
			return err
		}
	}
}

// observe is what the node says of a NIC once it has done what is wanted.
func (n *node) observe(w nic.Wanted) nic.Observed {
	o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, MAC: w.Device.MAC, State: nic.ObservedMade}
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.claims[w.Claim]
	switch {
	case w.Gone:
		o.State = nic.ObservedClean
	case h != nil:
		o.State, o.Running, o.Addrs = nic.ObservedIn, true, w.Layer3.Addrs
	}
	return o
}

// bound notes whose containers have their NICs by now.
func (n *node) bound(news []nic.Observed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range news {
		if h := n.claims[o.Claim]; h != nil && o.State == nic.ObservedIn && !h.in {
			h.in = true
			n.run.lives[h.life].bound = time.Since(n.run.begin)
			n.run.bound.Add(1)
		}
	}
}
