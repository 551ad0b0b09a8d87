package sriov

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
	"github.com/nicferry/nicferry/sriov"
)

// fallBack settles what a container gets for which there is no VF, of which why is
// why: on the first card that will have it a link of the first kind that the card may
// carry. What another network is bound to have otherwise goes last. It errs with
// ErrExhausted where there is none.
func (p *Provider) fallBack(ctx context.Context, a ask, node string, pfs []sriov.PF, why error, keep bool) (nic.Spec, error) {
	if a.spec.Functions.UserSpace || a.set.VLAN.Tags() { // there is no card to drive, and no tag on the card itself
		return nic.Spec{}, exhausted(why)
	}
	for _, device := range p.links(a, node, pfs) {
		spec, err := p.settled(a, node, device)
		if err != nil {
			return nic.Spec{}, err
		}
		unlike, err := p.books.carry(ctx, spec, keep)
		if err != nil || unlike == nil {
			return spec, err
		}
		why = fmt.Errorf("%w; instead of one there is none either: %w", why, unlike)
	}
	return nic.Spec{}, exhausted(why)
}

// links are those that a container may get instead of a VF, the best first. One that
// its node could not make is none.
func (p *Provider) links(a ask, node string, pfs []sriov.PF) []nic.Device {
	var good, bad []nic.Device
	for _, parent := range parents(a, pfs) {
		for _, kind := range a.spec.Functions.Fallback {
			device := nic.Device{Kind: kind, Parent: parent.Name}
			if kind == nic.Ipvlan {
				device.MAC = parent.MAC
			}
			switch {
			case kind == nic.Ipvlan && parent.MAC.IsZero(), slices.Contains(a.spec.Failed, device.OnCard()):
			case p.bound.otherwise(a.spec.Network, node, parent, kind):
				bad = append(bad, device)
			default:
				good = append(good, device)
			}
		}
	}
	return append(good, bad...)
}

func exhausted(why error) error {
	return &provider.Error{Kind: provider.ErrExhausted, Scope: provider.ScopeNode, Err: why}
}

// parents are the cards that the container may get a link on: of those that it may have
// VFs of all that have a link, or else all. A port of the host's own bond or bridge
// carries no other link: what it hears is all that one's.
func parents(a ask, pfs []sriov.PF) []sriov.PF {
	var lit, dark []sriov.PF
	for _, pf := range pfs {
		may := func(side []sriov.Selector) bool {
			return slices.ContainsFunc(side, func(s sriov.Selector) bool { return s.Matches(pf) })
		}
		switch {
		case pf.Name == "" || pf.Master != "" || !slices.ContainsFunc(a.sides, may):
		case pf.Link.Carrier:
			lit = append(lit, pf)
		default:
			dark = append(dark, pf)
		}
	}
	if len(lit) > 0 {
		return lit
	}
	return dark
}

// An unlike link is on a card that is to carry one of another kind, and the kernel lets
// a card have macvlans or ipvlans, not both.
type unlike struct {
	card, network string
	wants, has    nic.DeviceKind
	by            nic.ID
}

// Error says what to do.
func (u unlike) Error() string {
	return fmt.Sprintf("no %s can be on %s, which carries %ss of network %s (%s): give networks that share a card one kind of fallback",
		u.wants, u.card, u.has, u.network, u.by)
}

func linkKey(node, card string) string { return linkRoot + node + "/" + card + "/" }

// carry notes that a settled NIC is a link on a card, unless the card carries links
// of another kind. With keep false it only looks.
func (b *books) carry(ctx context.Context, spec nic.Spec, keep bool) (*unlike, error) {
	if err := b.adopt(ctx); err != nil {
		return nil, err
	}
	d, prefix := spec.Device, linkKey(spec.Node, spec.Device.Parent)
	fresh := false
	if keep {
		var err error
		if fresh, err = b.noteLink(ctx, prefix+string(spec.NIC), spec); err != nil {
			return nil, err
		}
	}
	entries, err := b.read(ctx, prefix)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.nic == spec.NIC || e.Kind == d.Kind {
			continue
		}
		live, err := b.live(ctx, e) // which also clears what never came
		if err != nil {
			return nil, err
		}
		if !live {
			continue
		}
		if fresh { // else it may be settled that the NIC is there
			if err := b.ledger.Delete(ctx, prefix+string(spec.NIC)); err != nil {
				return nil, fmt.Errorf("clear ledger: %w", err)
			}
		}
		return &unlike{card: d.Parent, network: e.Network, wants: d.Kind, has: e.Kind, by: e.nic}, nil
	}
	return nil, nil
}

// adopt has the links that NICs are on record once in a controller's life: of those
// that a release made which kept none there is only what they were made as. Those that
// never came go.
func (b *books) adopt(ctx context.Context) error {
	done, err := b.adopting.Take(ctx, linkRoot)
	if err != nil {
		return err
	}
	defer done()
	if b.adopted {
		return nil
	}
	entries, err := b.read(ctx, linkRoot)
	if err != nil {
		return err
	}
	all, err := b.log.ReadAll(ctx)
	if err != nil {
		return fmt.Errorf("read ledger: %w", err)
	}
	noted := map[string]bool{}
	for _, e := range entries {
		h := all[e.nic]
		noted[e.key] = h != nil && h.Known && e.is(h.Spec)
		if noted[e.key] || time.Since(e.At) < neverCame && (h == nil || !h.Known) {
			continue
		}
		if err := b.ledger.Delete(ctx, e.key); err != nil {
			return fmt.Errorf("clear ledger: %w", err)
		}
	}
	for _, h := range all {
		key := linkKey(h.Spec.Node, h.Spec.Device.Parent) + string(h.ID)
		if !h.Known || h.Last.Do == ledgerlog.Erase || h.Spec.Device.Parent == "" || noted[key] {
			continue
		}
		if _, err := b.noteLink(ctx, key, h.Spec); err != nil {
			return err
		}
	}
	b.adopted = true
	return nil
}

// is says whether a NIC is on the card that the entry is of, as that kind of link.
func (e entry) is(spec nic.Spec) bool {
	return e.Kind == spec.Device.Kind && e.key == linkKey(spec.Node, spec.Device.Parent)+string(e.nic)
}

// noteLink writes a link's record, and says whether there was none of its kind.
func (b *books) noteLink(ctx context.Context, key string, spec nic.Spec) (fresh bool, err error) {
	value, err := json.Marshal(entry{At: time.Now(), Kind: spec.Device.Kind, Network: spec.Network})
	if err != nil {
		return false, fmt.Errorf("write record: %w", err)
	}
	b.remember(spec.NIC, key)
	now, fresh, err := b.ledger.Put(ctx, key, value)
	if err != nil || fresh {
		return fresh, wrap("write ledger", err)
	}
	var was entry
	if err := json.Unmarshal(now, &was); err == nil && was.Kind == spec.Device.Kind {
		return false, nil
	}
	// An attempt whose outcome was not stored chose another kind.
	if err := b.ledger.Delete(ctx, key); err != nil {
		return false, fmt.Errorf("clear ledger: %w", err)
	}
	_, fresh, err = b.ledger.Put(ctx, key, value)
	return fresh, wrap("write ledger", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
