package vmagent

import (
	"context"
	"errors"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// An Observer is told of what the agent does as it happens, for metrics. Its
// methods return at once and may be called by any number of goroutines.
type Observer interface {
	// Ferried: a step with a NIC has ended.
	Ferried(step string, took time.Duration, err error)
	// Resynced: all containers and NICs were looked at.
	Resynced()
	// AskFailed: a call to the controller has failed.
	AskFailed(ask string)
	// Leased: something has become of a DHCP lease.
	Leased(protocol, event string)
	// SetByHand: a field of a VF that a container has was set otherwise by somebody, and
	// was put right.
	SetByHand(field string)
	// MemberFailed: members of a bond have lost their links so many times more.
	MemberFailed(network string, times int)
	// LinkFailed: a single VF that a container has has lost its link.
	LinkFailed(network string)
}

// blind observes nothing.
type blind struct{}

func (blind) Ferried(string, time.Duration, error) {}
func (blind) Resynced()                            {}
func (blind) AskFailed(string)                     {}
func (blind) Leased(string, string)                {}
func (blind) SetByHand(string)                     {}
func (blind) MemberFailed(string, int)             {}
func (blind) LinkFailed(string)                    {}

// The steps with a NIC on its node.
const (
	stepProvide = "provide" // made, or found where it was plugged in
	stepEnter   = "enter"   // moved into the container, renamed and raised
	stepAddress = "address" // addresses, routes and names
	stepOut     = "out"     // out of the container, and wiped
)

// step does one step with a NIC and tells how long it took. Of a NIC that has been
// configured already it tells nothing: it is only looked at again.
func (a *Agent) step(p *plug, name string, do func() error) error {
	start := time.Now()
	err := do()
	if !p.done && !errors.Is(err, errNotYet) {
		a.opts.Observer.Ferried(name, time.Since(start), err)
	}
	return err
}

// An observed controller tells of each call that has failed.
type observed struct {
	Controller
	by Observer
}

func (o observed) tell(ctx context.Context, ask string, err error) {
	if err != nil && ctx.Err() == nil {
		o.by.AskFailed(ask)
	}
}

// Hello is the controller's.
func (o observed) Hello(ctx context.Context, node string, inv nic.Inventory) (nic.Node, error) {
	n, err := o.Controller.Hello(ctx, node, inv)
	o.tell(ctx, "hello", err)
	return n, err
}

// Acquire is the controller's.
func (o observed) Acquire(ctx context.Context, owner nic.Owner, container string, req nic.Request) (nic.Claim, error) {
	claim, err := o.Controller.Acquire(ctx, owner, container, req)
	o.tell(ctx, "acquire", err)
	return claim, err
}

// Release is the controller's.
func (o observed) Release(ctx context.Context, id nic.ClaimID, epoch uint64) error {
	err := o.Controller.Release(ctx, id, epoch)
	o.tell(ctx, "release", err)
	return err
}

// Report is the controller's.
func (o observed) Report(ctx context.Context, node string, report nic.NodeReport) error {
	err := o.Controller.Report(ctx, node, report)
	o.tell(ctx, "report", err)
	return err
}

// Wanted is the controller's.
func (o observed) Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error) {
	wanted, rev, err := o.Controller.Wanted(ctx, node, session)
	o.tell(ctx, "wanted", err)
	return wanted, rev, err
}

// Watch is the controller's.
func (o observed) Watch(ctx context.Context, node string, after uint64, changed func(uint64)) error {
	err := o.Controller.Watch(ctx, node, after, changed)
	o.tell(ctx, "watch", err)
	return err
}
