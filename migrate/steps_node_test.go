//go:build linux

package migrate_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/tasks"
)

// A node is a machine with its engine, and its agent while that runs.
type node struct {
	*engine
	w    *world
	name string
	boot int
	mute atomic.Bool // the agent does nothing

	agent sync.Mutex // guards what follows
	end   context.CancelFunc
	over  chan struct{}
}

func (w *world) addNode(name string) {
	n := &node{w: w, name: name, boot: 1}
	n.engine = &engine{
		t: w.t, node: name, mu: &w.engines, seen: w.one,
		boxes: map[string]*box{}, volumes: map[string]string{}, owned: map[string]nic.MoveID{}, images: map[string]bool{},
		fault: func(task nic.Task, after bool) error { return w.fire(what{node: n, task: task, after: after}) },
	}
	w.engines.Lock() // others run already
	defer w.engines.Unlock()
	w.nodes[name] = n
}

// start starts the agent.
func (n *node) start() {
	n.agent.Lock()
	defer n.agent.Unlock()
	ctx, end := context.WithCancel(n.w.t.Context())
	over := make(chan struct{})
	n.end, n.over = end, over
	n.w.ended.Go(func() {
		defer close(over)
		n.run(ctx)
	})
}

// stop has it end, and does not wait.
func (n *node) stop() (over chan struct{}) {
	n.agent.Lock()
	defer n.agent.Unlock()
	n.end()
	return n.over
}

// kill ends the agent wherever it is, and has another started soon.
func (n *node) kill() {
	over := n.stop()
	n.w.ended.Go(func() {
		<-over
		time.Sleep(500 * time.Millisecond)
		if n.w.t.Context().Err() == nil {
			n.start()
		}
	})
}

// lose takes the machine's power.
func (n *node) lose() {
	n.stop()
	n.off()
	n.w.cloud.power(nic.InstanceID(n.name), true)
}

// back has the machine run again, with what comes up by itself.
func (n *node) back() {
	<-n.stop()
	n.boot++
	n.w.cloud.power(nic.InstanceID(n.name), false)
	n.on2()
	n.start()
}

// run is the agent.
func (n *node) run(ctx context.Context) {
	w := &wire{w: n.w, node: n.name, mute: &n.mute}
	inventory := nic.Inventory{Boot: string(rune('a' + n.boot)), Moves: true}
	for {
		var record nic.Node
		err := w.reach(ctx, func(ctx context.Context, c *controller) (err error) {
			record, err = c.alloc.Hello(ctx, n.name, inventory)
			return err
		})
		if err == nil {
			w.session = record.Session
			break
		}
		if !pause(ctx, 200*time.Millisecond) {
			return
		}
	}
	runner := tasks.New(tasks.Options{
		Node: n.name, Controller: w, Engine: n.engine, Moves: true, Superseded: superseded, Refused: refused, Log: slog.New(slog.DiscardHandler),
	})
	var parts sync.WaitGroup
	parts.Go(func() { runner.Run(ctx) })
	parts.Go(func() {
		for ctx.Err() == nil {
			if !n.mute.Load() {
				follow, stop := context.WithCancel(ctx)
				parts.Go(func() {
					for !n.mute.Load() && pause(follow, 50*time.Millisecond) {
						runner.Wake() // stands for the watch
					}
					stop()
				})
				_ = runner.Follow(follow, w.session)
				stop()
			}
			pause(ctx, 50*time.Millisecond)
		}
	})
	parts.Go(func() {
		for pause(ctx, 50*time.Millisecond) {
			if !n.mute.Load() {
				n.ferry(ctx, w)
			}
		}
	})
	parts.Wait()
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ferry does once what is wanted of the node's NICs, and reports.
func (n *node) ferry(ctx context.Context, w *wire) {
	err := w.reach(api.WithSession(ctx, w.session), func(ctx context.Context, c *controller) error {
		wanted, _, err := c.alloc.Wanted(ctx, n.name, w.session)
		if err != nil {
			return err
		}
		report := nic.NodeReport{Session: w.session}
		for _, want := range wanted {
			said, gone := n.said(ctx, want)
			if gone {
				err = errors.Join(err, c.alloc.Release(ctx, want.Claim, want.Epoch))
			} else if want.NIC != "" {
				report.NICs = append(report.NICs, said)
			}
		}
		return errors.Join(err, c.alloc.Report(ctx, n.name, report))
	})
	if err != nil && !errors.Is(err, errDown) && ctx.Err() == nil && !superseded(err) {
		n.t.Logf("%s: %v", n.name, err)
	}
}

// said is what the node says of one NIC; or that its container is gone.
func (n *node) said(ctx context.Context, want nic.Wanted) (said nic.Observed, gone bool) {
	n.mu.Lock()
	box := n.boxes[want.Owner.Sandbox]
	runs := box != nil && box.running
	n.mu.Unlock()
	said = nic.Observed{NIC: want.NIC, Claim: want.Claim, Epoch: want.Epoch, Turn: want.Turn, MAC: want.Device.MAC, Running: runs}
	if want.Gone {
		said.State = nic.ObservedClean
		return said, false
	}
	if want.Owner.Sandbox != "" && box == nil && want.Claim != "" {
		return said, true
	}
	said.State = nic.ObservedWaiting
	at, err := n.w.cloud.List(ctx)
	for _, seen := range at {
		if err != nil || seen.MAC != want.Device.MAC || seen.State != nic.StateAttached || string(seen.Place.Instance) != n.name {
			continue
		}
		if said.State = nic.ObservedMade; runs && want.Claim != "" {
			said.State, said.Addrs = nic.ObservedIn, want.Layer3.Addrs
			n.has(seen.NIC, said.Addrs)
		}
	}
	return said, false
}

// has wants addresses that are in a container to be on its NIC at the cloud, where
// they go alone.
func (n *node) has(id nic.ID, addrs []netip.Prefix) {
	for _, p := range addrs {
		if on := n.w.cloud.Holders(p.Addr()); n.w.byAddress && !slices.Equal(on, []nic.ID{id}) {
			n.t.Errorf("%s has %s in a container on %s, and the cloud on %v", n.name, p.Addr(), id, on)
		}
	}
}
