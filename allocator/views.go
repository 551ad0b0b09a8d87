package allocator

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Claims returns up to limit claims whose ids sort after the id after.
func (a *Allocator) Claims(ctx context.Context, after nic.ClaimID, limit int) ([]api.ClaimView, error) {
	claims, _, err := store.ListJSON[nic.Claim](ctx, a.opts.Store, claimPrefix, afterKey(claimPrefix, string(after)), limit)
	if err != nil {
		return nil, err
	}
	views := make([]api.ClaimView, len(claims))
	for i, c := range claims {
		if views[i], err = a.claimView(ctx, c.Value); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// Claim returns one claim, or ErrNotFound.
func (a *Allocator) Claim(ctx context.Context, id nic.ClaimID) (api.ClaimView, error) {
	claim, _, found, err := get[nic.Claim](a.reader(ctx), claimKey(id))
	if err != nil || !found {
		return api.ClaimView{}, orNotFound(err, "claim %s", id)
	}
	return a.claimView(ctx, claim)
}

func (a *Allocator) claimView(ctx context.Context, claim nic.Claim) (api.ClaimView, error) {
	observed, err := a.observed(ctx, claim.NIC)
	if err != nil {
		return api.ClaimView{}, err
	}
	doubts, err := a.doubts(a.reader(ctx), claim)
	if err != nil {
		return api.ClaimView{}, err
	}
	missing, err := a.publicTrouble(ctx, claim)
	claim.Conditions = append(append(slices.Clip(claim.Conditions), doubts...), missing...)
	if claim.Phase != nic.ClaimBound && claim.Phase != nic.ClaimReady {
		claim.Conditions = a.withOutages(claim.Conditions, a.networks[claim.Request.Network].Provider)
	}
	if err != nil {
		return api.ClaimView{}, err
	}
	if claim.NIC == "" {
		return api.ClaimView{Claim: claim, Observed: observed}, nil
	}
	n, _, _, err := get[nic.NIC](a.reader(ctx), nicKey(claim.NIC))
	if fell := a.fallenBack(claim, n); fell != nil {
		claim.Conditions = append(claim.Conditions, *fell)
	}
	return api.ClaimView{Claim: claim, Observed: observed, Steps: api.Waterfall(n.Steps)}, err
}

// NICs returns up to limit NICs whose ids sort after the id after.
func (a *Allocator) NICs(ctx context.Context, after nic.ID, limit int) ([]api.NICView, error) {
	nics, _, err := store.ListJSON[nic.NIC](ctx, a.opts.Store, nicPrefix, afterKey(nicPrefix, string(after)), limit)
	if err != nil {
		return nil, err
	}
	views := make([]api.NICView, len(nics))
	for i, n := range nics {
		if views[i], err = a.nicView(ctx, n.Value); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// NIC returns one NIC, or ErrNotFound.
func (a *Allocator) NIC(ctx context.Context, id nic.ID) (api.NICView, error) {
	n, _, found, err := get[nic.NIC](a.reader(ctx), nicKey(id))
	if err != nil || !found {
		return api.NICView{}, orNotFound(err, "NIC %s", id)
	}
	return a.nicView(ctx, n)
}

func (a *Allocator) nicView(ctx context.Context, n nic.NIC) (api.NICView, error) {
	observed, err := a.observed(ctx, n.ID)
	if !inUse(n) {
		n.Conditions = a.withOutages(n.Conditions, n.Provider)
	}
	return api.NICView{NIC: n, Observed: observed}, err
}

func (a *Allocator) observed(ctx context.Context, id nic.ID) (*nic.Observed, error) {
	if id == "" {
		return nil, nil
	}
	o, _, found, err := get[nic.Observed](a.reader(ctx), observedKey(id))
	if err != nil || !found {
		return nil, err
	}
	return &o, nil
}

// Nodes returns all nodes that have said hello, by name.
func (a *Allocator) Nodes(ctx context.Context) ([]nic.Node, error) {
	records, _, err := store.ListJSON[nic.Node](ctx, a.opts.Store, nodePrefix, "", 0)
	nodes := make([]nic.Node, len(records))
	for i, r := range records {
		nodes[i] = a.withLife(r.Value)
	}
	return nodes, err
}

// Node returns one node, or ErrNotFound.
func (a *Allocator) Node(ctx context.Context, name string) (nic.Node, error) {
	node, _, found, err := peek[nic.Node](a.reader(ctx), nodeKey(name))
	if err != nil || !found {
		return nic.Node{}, orNotFound(err, "node %q", name)
	}
	return a.withLife(node), nil
}

// Networks returns the config's networks, by name, and how full they are.
func (a *Allocator) Networks(ctx context.Context) ([]api.NetworkView, error) {
	held, err := a.heldByNetwork(ctx)
	if err != nil {
		return nil, err
	}
	var views []api.NetworkView
	for _, n := range a.networks {
		view := api.NetworkView{Network: n, Held: held[n.Name]}
		if view.Free, err = a.free(ctx, n); err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	slices.SortFunc(views, func(x, y api.NetworkView) int { return cmp.Compare(x.Name, y.Name) })
	return views, nil
}

// Network returns one network, or ErrNotFound.
func (a *Allocator) Network(ctx context.Context, name string) (api.NetworkView, error) {
	views, err := a.Networks(ctx)
	for _, v := range views {
		if v.Name == name {
			return v, err
		}
	}
	return api.NetworkView{}, orNotFound(err, "network %q", name)
}

func (a *Allocator) heldByNetwork(ctx context.Context) (map[string]int, error) {
	nics, _, err := store.ListJSON[nic.NIC](ctx, a.opts.Store, nicPrefix, "", 0)
	held := map[string]int{}
	for _, n := range nics {
		if n.Value.Holder != "" {
			held[n.Value.Network]++
		}
	}
	return held, err
}

// free counts the IPv4 addresses that a network can give now; nil where there
// are none to give at any time.
func (a *Allocator) free(ctx context.Context, n nic.Network) (*int, error) {
	spans := a.spans[spansOf{n.Name, false}]
	if len(spans) == 0 {
		return nil, nil
	}
	use, err := a.taken.use(ctx, a.opts.Store, n.Space, spans)
	free := int(use.Free())
	return &free, err
}

func afterKey(prefix, after string) string {
	if after == "" {
		return ""
	}
	return prefix + after
}

// orNotFound is err, or ErrNotFound for what was looked up.
func orNotFound(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrNotFound)
}
