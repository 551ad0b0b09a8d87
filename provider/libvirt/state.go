package libvirt

import (
	"context"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// judge is what a NIC's records and the domains say of it together. The domains
// say where it is, the records what was last wanted. h is known.
func judge(h ledgerlog.History, domains []virt.Domain) (nic.Seen, error) {
	seen := nic.Seen{NIC: h.ID, ProviderID: alias(h.ID), State: nic.StateAvailable, MAC: h.Spec.MAC, Addrs: h.Spec.Addrs}
	switch h.Last.Do {
	case ledgerlog.Erase:
		seen.State = nic.StateDeleting
		return seen, nil
	case "", ledgerlog.Attach, ledgerlog.Detach, ledgerlog.Left:
	default:
		return nic.Seen{}, h.Unreadable()
	}
	sites := find(domains, h.ID, h.Spec.MAC)
	s, plugged := placed(sites, h.Last)
	switch {
	case plugged:
		seen.Place, seen.MAC = place(h.Last, s.domain), s.card().MAC
		seen.State = plugState(h.Last, s)
	case underway(h.Last, domains):
		seen.State, seen.Place = nic.StateAttaching, h.Last.Place
	default:
		if name, mac := impostor(domains, h); name != "" {
			seen.State = nic.StateFailed
			seen.Reason = fmt.Sprintf("domain %s has a card with the alias %s and the MAC %s; take it out with virsh detach-device", name, alias(h.ID), mac)
		}
	}
	if len(sites) > 1 {
		seen.State = nic.StateFailed
		seen.Reason = "is plugged into several domains: " + list(sites)
	}
	if seen.State == nic.StateAttached || seen.State == nic.StateDetaching {
		seen.Device = recipe(h.Spec, seen.MAC)
		if s.live != nil {
			seen.Bus = s.live.Address
		}
	}
	if seen.State == nic.StateAvailable {
		seen.Place = nic.Place{}
	}
	return seen, nil
}

// plugState is the state of a NIC that a domain has.
func plugState(last ledgerlog.Step, s site) nic.State {
	switch {
	case last.Do == ledgerlog.Detach && at(last, s.domain):
		if !rereads {
			return nic.StateAvailable
		}
		return nic.StateDetaching // until the XML is rid of it, whatever the call has said
	case s.domain.State == virt.Off:
		return nic.StateAttached // it is there as soon as the domain is
	case s.live == nil, s.domain.State == virt.Paused:
		return nic.StateAttaching
	}
	return nic.StateAttached
}

// place is where the NIC is, in the words of who had it attached.
func place(last ledgerlog.Step, d virt.Domain) nic.Place {
	if at(last, d) {
		return last.Place
	}
	return nic.Place{Instance: nic.InstanceID(d.Name)}
}

// impostor finds a card with the NIC's alias that is not the NIC.
func impostor(domains []virt.Domain, h ledgerlog.History) (string, nic.MAC) {
	for _, d := range domains {
		for _, cards := range [][]virt.Interface{d.Live, d.Stored} {
			for _, c := range cards {
				if c.Alias == alias(h.ID) && c.MAC != h.Spec.MAC {
					return d.Name, c.MAC
				}
			}
		}
	}
	return "", nic.MAC{}
}

func list(sites []site) string {
	var names []string
	for _, s := range sites {
		names = append(names, s.String())
	}
	return strings.Join(names, ", ")
}

// Get implements provider.Provider. It mends nothing.
func (p *Provider) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	fail := p.failing("get", "")
	histories := map[nic.ID]*ledgerlog.History{}
	for _, id := range ids {
		if _, err := nic.ParseID(string(id)); err != nil {
			continue
		}
		h, err := p.log.Read(ctx, id)
		if err != nil {
			return nil, fail(err)
		}
		histories[id] = &h
	}
	got, err := p.judgeAll(ctx, histories, false)
	if err != nil {
		return nil, fail(err)
	}
	return got, nil
}

// stray is a card with an alias of ours and no record: another controller's, or
// one whose records were lost. It is told, and never touched.
func stray(id nic.ID, domains []virt.Domain) (nic.Seen, bool) {
	sites := find(domains, id, nic.MAC{})
	if len(sites) == 0 {
		return nic.Seen{}, false
	}
	return nic.Seen{
		NIC: id, ProviderID: alias(id), State: nic.StateFailed, MAC: sites[0].card().MAC,
		Place: nic.Place{Instance: nic.InstanceID(sites[0].domain.Name)},
		Reason: "is in " + list(sites) + " without a record of this controller, which leaves it alone; " +
			"if it is no other controller's, take it out with virsh detach-device-alias --alias " + alias(id),
	}, true
}

// List implements provider.Provider. It tells also of strays.
func (p *Provider) List(ctx context.Context) ([]nic.Seen, error) {
	fail := p.failing("list", "")
	histories, err := p.log.ReadAll(ctx)
	if err != nil {
		return nil, fail(err)
	}
	got, err := p.judgeAll(ctx, histories, true)
	if err != nil {
		return nil, fail(err)
	}
	all := make([]nic.Seen, 0, len(got))
	for _, seen := range got {
		all = append(all, seen)
	}
	return all, nil
}

// judgeAll looks at the domains once, and at cards without a record too if
// strays is set.
func (p *Provider) judgeAll(ctx context.Context, histories map[nic.ID]*ledgerlog.History, strays bool) (map[nic.ID]nic.Seen, error) {
	got := make(map[nic.ID]nic.Seen, len(histories))
	if len(histories) == 0 && !strays {
		return got, ctx.Err()
	}
	hv, err := p.conn.get(ctx)
	if err != nil {
		return nil, err
	}
	domains, err := p.domains(ctx, hv)
	if err != nil {
		return nil, err
	}
	if strays {
		for id := range cards(domains) {
			if histories[id] == nil {
				h, err := p.log.Read(ctx, id) // it may be younger than the list
				if err != nil {
					return nil, err
				}
				histories[id] = &h
			}
		}
	}
	for id, h := range histories {
		if !h.Known {
			if seen, there := stray(id, domains); there && strays {
				got[id] = seen
			}
			continue
		}
		seen, err := judge(*h, domains)
		if err != nil {
			return nil, err
		}
		got[id] = seen
	}
	return got, nil
}

// cards returns the NICs that the domains have by our alias.
func cards(domains []virt.Domain) map[nic.ID]bool {
	ids := map[nic.ID]bool{}
	for _, d := range domains {
		for _, list := range [][]virt.Interface{d.Live, d.Stored} {
			for _, c := range list {
				if id, ok := ours(c.Alias); ok {
					ids[id] = true
				}
			}
		}
	}
	return ids
}
