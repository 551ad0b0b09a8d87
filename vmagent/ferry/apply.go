//go:build linux

package ferry

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// Apply makes the global addresses, routes and source rules of the link with
// the index exactly as wanted; link-local addresses and the routes that come
// with an address are left to the kernel, and so is what router advertisements
// give where the mode heeds them. A route to nothing but a metadata address is
// left out unless wanted. It sends nothing where nothing differs. An IPv6
// address that the kernel found to be another's is ErrAddressTaken.
func (f *Ferry) Apply(ctx context.Context, ns *netns.Namespace, index int, want nic.Layer3) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ns.ID() == f.host.Namespace().ID() {
		return fmt.Errorf("address link %d: %w", index, ErrHostNamespace)
	}
	h, err := link.Open(ns)
	if err != nil {
		return err
	}
	defer h.Close()
	l, err := h.NameOf(index)
	if err != nil {
		return err
	}
	if err := applyAddrs(h, l, want); err != nil {
		return err
	}
	if err := applyRoutes(h, l, want); err != nil {
		return err
	}
	return applyRules(h, l, want)
}

func applyAddrs(h *link.Handle, l link.Link, l3 nic.Layer3) error {
	want := l3.Addrs
	have, err := h.Addrs(l)
	if err != nil {
		return err
	}
	deleted := false
	for _, a := range have {
		if !a.Global || slices.Contains(want, a.Prefix) || a.Advertised && advertised(l3.IPv6Mode) {
			continue
		}
		if err := h.DelAddr(l, a.Prefix); err != nil {
			return err
		}
		deleted = true
	}
	if deleted { // an IPv4 address takes later ones of its subnet with it
		if have, err = h.Addrs(l); err != nil {
			return err
		}
	}
	for _, p := range want {
		at := slices.IndexFunc(have, func(a link.Addr) bool { return a.Prefix == p })
		if at < 0 {
			add := h.AddAddr
			if slices.Contains(l3.Own, p) {
				add = h.AddOwnAddr
			}
			if err := add(l, p); err != nil {
				return err
			}
		} else if have[at].Duplicate {
			return fmt.Errorf("%s on %q: %w", p, l.Name, ErrAddressTaken)
		}
	}
	return nil
}

func applyRoutes(h *link.Handle, l link.Link, l3 nic.Layer3) error {
	want, err := routesOf(l3)
	if err != nil {
		return err
	}
	table := sourceTable(l.Index)
	if l3.SourceRoutes {
		own, err := sourceRoutes(l3, table)
		if err != nil {
			return err
		}
		want = append(want, own...)
	}
	have, err := h.Routes(l)
	if err != nil {
		return err
	}
	for _, r := range have {
		others := r.Table != mainTable && r.Table != table
		if others || slices.ContainsFunc(want, r.Same) || isKernels(r, l3) {
			continue
		}
		if err := h.DelRoute(l, r); err != nil {
			return err
		}
	}
	for _, r := range want {
		if slices.ContainsFunc(have, r.Same) {
			continue
		}
		if err := h.ReplaceRoute(l, r); err != nil {
			return err
		}
	}
	return nil
}

// isKernels says whether a route is for the kernel to keep and to remove.
func isKernels(r link.Route, l3 nic.Layer3) bool {
	heeded := advertised(l3.IPv6Mode)
	switch {
	case r.Advertised:
		return heeded && (r.To.Bits() != 0 || l3.DefaultRoute)
	case !r.Kernel:
		return false
	case r.To.Addr().Is4() || heeded || r.To.Addr().IsLinkLocalUnicast() || r.To.Addr().IsMulticast():
		return true
	}
	// A prefix of an address; or one that was advertised while we heeded that.
	return slices.ContainsFunc(l3.Addrs, func(p netip.Prefix) bool { return p.Masked() == r.To })
}

// routesOf are the wanted routes in the order in which the kernel takes them:
// a next hop outside the NIC's own subnets is first made reachable.
func routesOf(want nic.Layer3) ([]link.Route, error) {
	asked := make([]link.Route, 0, len(want.Routes)+len(want.Gateways))
	for _, r := range want.Routes {
		asked = append(asked, link.Route{To: r.To.Masked(), Via: r.Via})
	}
	if want.DefaultRoute {
		for _, gw := range want.Gateways {
			asked = append(asked, link.Route{To: netip.PrefixFrom(unspecified(gw), 0), Via: gw})
		}
	}
	var onLink, via []link.Route
	for _, r := range asked {
		if !r.To.IsValid() || r.Via.IsValid() && r.Via.Is4() != r.To.Addr().Is4() {
			return nil, fmt.Errorf("route %s: wants a destination and a next hop of one family", r)
		}
		if !r.Via.IsValid() {
			onLink = append(onLink, r)
			continue
		}
		via = append(via, r)
		if !r.Via.IsLinkLocalUnicast() && !reaches(want.Addrs, r.Via) {
			onLink = append(onLink, link.Route{To: netip.PrefixFrom(r.Via, r.Via.BitLen())})
		}
	}
	var all []link.Route
	for _, r := range append(onLink, via...) {
		if intoMetadata(r) && !want.Metadata {
			continue
		}
		if !slices.ContainsFunc(all, r.Same) {
			all = append(all, r)
		}
	}
	return all, nil
}

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func reaches(own []netip.Prefix, hop netip.Addr) bool {
	return slices.ContainsFunc(own, func(p netip.Prefix) bool { return p.Contains(hop) })
}
