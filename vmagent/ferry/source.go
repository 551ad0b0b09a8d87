//go:build linux

package ferry

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/undo"
	"github.com/nicferry/nicferry/nic"
)

// Where replies must leave by the NIC they came in on, each NIC has a routing
// table of its own, which a rule per address leads to. Its number is this and
// the link's index in the container: the same for as long as the NIC is there,
// for no two NICs the same, within the 32 bits that a table has for every
// index there can be, and far from what people and their tools number by hand.
const sourceTables = 1_570_000_000

// mainTable is where routes go by default.
const mainTable = 0

func sourceTable(index int) int { return sourceTables + index }

// sourceRoutes are the routes of the NIC's own table: its subnets, the default
// routes even where another NIC carries the container's, and all others.
func sourceRoutes(want nic.Layer3, table int) ([]link.Route, error) {
	own := want
	own.DefaultRoute = true
	rest, err := routesOf(own)
	if err != nil {
		return nil, err
	}
	var all []link.Route
	for _, p := range want.Addrs {
		if !p.IsSingleIP() {
			all = append(all, link.Route{To: p.Masked()})
		}
	}
	for _, r := range rest {
		if !slices.ContainsFunc(all, r.Same) {
			all = append(all, r)
		}
	}
	for i := range all {
		all[i].Table = table
	}
	return all, nil
}

// applyRules makes the rules that lead to the link's own table exactly as
// wanted, once its routes are. The table has blackholes of its own, because
// nobody who comes by a rule passes the main table's.
func applyRules(h *link.Handle, l link.Link, want nic.Layer3) error {
	all, err := h.Rules()
	if err != nil {
		return err
	}
	table := sourceTable(l.Index)
	have := slices.DeleteFunc(all, func(r link.Rule) bool { return r.Table != table })
	var wanted []link.Rule
	if want.SourceRoutes {
		for _, p := range want.Addrs {
			wanted = append(wanted, link.Rule{From: netip.PrefixFrom(p.Addr(), p.Addr().BitLen()), Table: table})
		}
	}
	if len(have) == 0 && len(wanted) == 0 {
		return nil
	}
	var kept undo.Stack
	if err := settleMetadata(h, table, want.Metadata || len(wanted) == 0, &kept); err != nil {
		return err
	}
	for _, r := range wanted {
		if !slices.Contains(have, r) {
			if err := h.AddRule(r); err != nil {
				return err
			}
		}
	}
	for _, r := range have {
		if !slices.Contains(wanted, r) {
			if err := h.DelRule(r); err != nil {
				return err
			}
		}
	}
	// Where two NICs are on one wire, each answers for its own addresses only:
	// the kernel asks the rules by which NIC it would reply.
	return swap(h.Namespace(), &kept, onOff(len(wanted) > 0), "ipv4", "conf", l.Name, "arp_filter")
}

// dropOrphans removes the rules and blackholes of NICs that have left the
// namespace: unlike routes, they outlive the link.
func dropOrphans(inside *link.Handle) error {
	rules, err := inside.Rules()
	if err != nil || len(rules) == 0 {
		return err // rules go last: without any there is nothing else
	}
	holes, err := inside.Blackholes()
	if err != nil {
		return err
	}
	orphan := func(table int) (bool, error) {
		if table < sourceTables {
			return false, nil
		}
		_, err := inside.ByIndex(table - sourceTables)
		if errors.Is(err, link.ErrNotFound) {
			return true, nil
		}
		return false, err
	}
	for _, r := range holes {
		gone, err := orphan(r.Table)
		if err == nil && gone {
			err = inside.DelRoute(link.Link{}, r)
		}
		if err != nil {
			return err
		}
	}
	for _, r := range rules {
		gone, err := orphan(r.Table)
		if err == nil && gone {
			err = inside.DelRule(r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
