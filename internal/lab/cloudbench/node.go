//go:build linux

package cloudbench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// A node plays a machine with an agent: what is wanted of it, is so at once. It goes
// by the API as an agent does: it watches, reads what is wanted and reports.
type node struct {
	name    string
	api     *client.Client
	session uint64

	mu      sync.Mutex
	waiting map[string]chan handed // by container
	told    map[nic.ID]nic.Observed
	made    int // containers
}

// handed is when a container's NIC was handed to its node, ready to be ferried in.
type handed struct {
	nic nic.ID
	mac nic.MAC
	at  time.Time
}

// join has the controller know the node.
func join(ctx context.Context, name, controller string) (*node, error) {
	api, err := client.Open(client.Options{Addresses: []string{controller}})
	if err != nil {
		return nil, err
	}
	n := &node{name: name, api: api, waiting: map[string]chan handed{}, told: map[nic.ID]nic.Observed{}}
	known, err := api.Hello(ctx, name, nic.Inventory{Boot: "1", Kernel: "bench", Docker: "bench", AgentVersion: "bench"})
	if err != nil {
		api.Close()
		return nil, fmt.Errorf("node %s joins: %w", name, err)
	}
	n.session = known.Session
	return n, nil
}

// follow does what is wanted until ctx ends.
func (n *node) follow(ctx context.Context) error {
	revision, err := n.look(ctx)
	if err != nil {
		return err
	}
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	err = n.api.Watch(ctx, n.name, revision, func(uint64) {
		if _, err := n.look(ctx); err != nil && ctx.Err() == nil {
			failed = err
			cancel()
		}
	})
	return errors.Join(failed, err)
}

// look does what is wanted now, and says so.
func (n *node) look(ctx context.Context) (revision uint64, err error) {
	wanted, revision, err := n.api.Wanted(ctx, n.name, n.session)
	if err != nil {
		return 0, fmt.Errorf("node %s: %w", n.name, err)
	}
	if news := n.do(wanted, time.Now()); len(news) > 0 {
		if err := n.api.Report(ctx, n.name, nic.NodeReport{Session: n.session, NICs: news}); err != nil {
			return 0, fmt.Errorf("node %s: %w", n.name, err)
		}
	}
	return revision, nil
}

// do does what is wanted, and returns what is new of it.
func (n *node) do(wanted []nic.Wanted, now time.Time) (news []nic.Observed) {
	n.mu.Lock()
	defer n.mu.Unlock()
	still := map[nic.ID]bool{}
	for _, w := range wanted {
		if w.NIC == "" || w.Device.Kind == "" && !w.Gone {
			continue
		}
		still[w.NIC] = true
		o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, MAC: w.Device.MAC, State: nic.ObservedMade, At: now.UTC()}
		switch {
		case w.Gone:
			o.State = nic.ObservedClean
		case w.Owner.Sandbox != "":
			o.State, o.Running, o.Addrs = nic.ObservedIn, true, append([]netip.Prefix(nil), w.Layer3.Addrs...)
			if c := n.waiting[w.Owner.Sandbox]; c != nil {
				delete(n.waiting, w.Owner.Sandbox)
				c <- handed{w.NIC, w.Device.MAC, now}
			}
		}
		if last, ok := n.told[w.NIC]; !ok || !o.Repeats(last) {
			n.told[w.NIC] = o
			news = append(news, o)
		}
	}
	for id := range n.told {
		if !still[id] {
			delete(n.told, id)
		}
	}
	return news
}

// A begun is a container that has its NIC.
type begun struct {
	node  *node
	claim nic.Claim
	handed
	took time.Duration // from its asking to its node's having the NIC
}

// patience is how long a start may take at most: longer than any queue here.
const patience = 3 * time.Minute

// start starts a container that asks for a NIC of the network, and waits for that.
func (n *node) start(ctx context.Context, network string) (begun, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	come := make(chan handed, 1)
	n.mu.Lock()
	n.made++
	number := n.made
	owner := nic.Owner{Node: n.name, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", number), Interface: "eth0"}
	n.waiting[owner.Sandbox] = come
	n.mu.Unlock()
	begin := time.Now()
	claim, err := n.api.Acquire(ctx, owner, fmt.Sprintf("c%d", number), nic.Request{Interface: "eth0", Network: network, DefaultRoute: true})
	if err != nil {
		return begun{}, fmt.Errorf("container %d on %s asks: %w", number, n.name, err)
	}
	select {
	case h := <-come:
		return begun{n, claim, h, h.at.Sub(begin)}, nil
	case <-ctx.Done():
		now, err := n.api.Claim(context.WithoutCancel(ctx), claim.ID)
		return begun{}, errors.Join(fmt.Errorf("container %d on %s has no NIC after %s: its claim is %s: %v", number, n.name, time.Since(begin).Round(time.Second), now.Phase, now.Conditions), err)
	}
}

// end removes the container: its claim is given back.
func (b begun) end(ctx context.Context) error {
	backoff := retry.Backoff{First: 50 * time.Millisecond, Max: time.Second}
	for try := 0; ; try++ {
		err := b.node.api.Release(ctx, b.claim.ID, b.claim.Epoch)
		if err == nil || try == 5 {
			return err
		}
		if err := retry.Sleep(ctx, backoff.Next()); err != nil {
			return err
		}
	}
}
