package proof

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A controller is what an agent needs of one, near or far.
type controller interface {
	Hello(ctx context.Context, node string, inv nic.Inventory) (nic.Node, error)
	Acquire(ctx context.Context, owner nic.Owner, name string, req nic.Request) (nic.Claim, error)
	Release(ctx context.Context, id nic.ClaimID, epoch uint64) error
	Report(ctx context.Context, node string, report nic.NodeReport) error
	Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error)
}

// An agent plays a node: it does what is wanted of it, at once and well.
type agent struct {
	node       string
	session    uint64
	containers []*container
	links      map[nic.ID]invariant.Link
	// plugged tells if the node has a card of the cloud; nil if cards do not move.
	plugged func(nic.ID) bool
}

// A container is one on a node; it wants one NIC.
type container struct {
	owner   nic.Owner
	req     nic.Request
	running bool
	gone    bool
}

func newAgent(node string) *agent {
	return &agent{node: node, links: map[nic.ID]invariant.Link{}}
}

// run starts a new container that asks for a NIC of the network.
func (a *agent) run(n int, req nic.Request) *container {
	c := &container{running: true, req: req, owner: nic.Owner{
		Node: a.node, Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", n), Interface: "eth0",
	}}
	c.req.Interface, c.req.DefaultRoute = "eth0", true
	a.containers = append(a.containers, c)
	return c
}

// work does all that is to be done on the node, once. An error is one of the
// controller's that an agent does not expect; what may have been lost on the
// way is tried again by the next work.
func (a *agent) work(ctx context.Context, c controller) error {
	if a.session == 0 {
		node, err := c.Hello(ctx, a.node, nic.Inventory{Boot: "b1"})
		if err != nil {
			return expected(err)
		}
		a.session = node.Session
	}
	for _, of := range a.containers {
		if of.running {
			if _, err := c.Acquire(ctx, of.owner, of.owner.Sandbox[60:], of.req); err != nil {
				return expected(err)
			}
		}
	}
	wanted, _, err := c.Wanted(ctx, a.node, a.session)
	if err != nil {
		return expected(err)
	}
	report := nic.NodeReport{Session: a.session}
	for _, w := range wanted {
		of := a.owner(w)
		if w.NIC != "" {
			report.NICs = append(report.NICs, a.ferry(w, of))
		}
		if w.Claim != "" && (of == nil || of.gone) {
			if err := c.Release(ctx, w.Claim, w.Epoch); err != nil {
				return expected(err)
			}
		}
	}
	if len(report.NICs) > 0 {
		if err := c.Report(ctx, a.node, report); err != nil {
			return expected(err)
		}
	}
	a.containers = slices.DeleteFunc(a.containers, func(of *container) bool {
		return of.gone && !slices.ContainsFunc(wanted, func(w nic.Wanted) bool { return w.Owner == of.owner })
	})
	return nil
}

func (a *agent) owner(w nic.Wanted) *container {
	for _, of := range a.containers {
		if of.owner == w.Owner {
			return of
		}
	}
	return nil
}

// ferry does with a NIC what is wanted, and says how it is then.
func (a *agent) ferry(w nic.Wanted, of *container) nic.Observed {
	o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, MAC: w.Device.MAC, State: nic.ObservedMade}
	link := invariant.Link{Name: w.NIC.LinkName("v"), MAC: w.Device.MAC, Kind: "veth"}
	if w.Device.Kind == nic.Ipvlan {
		link.Kind, link.Alias = string(nic.Ipvlan), string(w.NIC)
	}
	switch {
	case w.Gone:
		delete(a.links, w.NIC)
		o.State = nic.ObservedClean
		return o
	case a.plugged != nil && w.Device.Kind == nic.Found && !a.plugged(w.NIC): // told ahead of it
		delete(a.links, w.NIC)
		o.State, o.Running = nic.ObservedWaiting, of != nil && of.running
		return o
	case of != nil && of.running:
		o.State, o.Running = nic.ObservedIn, true
		link.Name, link.Namespace = "eth0", of.owner.Sandbox
	}
	a.links[w.NIC] = link
	return o
}

// expected lets errors pass that say no more than that the controller could
// not be reached or could not write.
func expected(err error) error {
	for _, bug := range []error{allocator.ErrStale, allocator.ErrInvalid, allocator.ErrRefused} {
		if errors.Is(err, bug) {
			return err
		}
	}
	if strings.Contains(err.Error(), "gave up after") {
		return err
	}
	return nil
}

// links are what all nodes' kernels show.
func links(agents []*agent) map[string]invariant.Node {
	nodes := map[string]invariant.Node{}
	for _, a := range agents {
		node := invariant.Node{Running: map[string]bool{}}
		for _, of := range a.containers {
			node.Running[of.owner.Sandbox] = of.running
		}
		for _, link := range a.links {
			node.Links = append(node.Links, link)
		}
		nodes[a.node] = node
	}
	return nodes
}

// latest are the cloud's NICs as they are, young ones too. It strikes no fault
// and is in no log.
func latest(cloud *fake.Provider) []nic.Seen { return cloud.World() }
