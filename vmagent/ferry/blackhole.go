//go:build linux

package ferry

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/undo"
)

// metadataAddrs are where clouds tell an instance about itself, and hand out
// the keys of its role: AWS and most others, Aliyun, AWS by IPv6.
func metadataAddrs() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("169.254.169.254/32"),
		netip.MustParsePrefix("100.100.100.200/32"),
		netip.MustParsePrefix("fd00:ec2::254/128"),
	}
}

// settleMetadata blackholes the metadata addresses in a routing table of the
// container, or takes our blackholes out of it. That tells a program at once that
// nobody is there; what holds is guardMetadata.
func settleMetadata(inside *link.Handle, table int, allowed bool, u *undo.Stack) error {
	have, err := inside.Blackholes()
	if err != nil || !guarding {
		return err
	}
	have = slices.DeleteFunc(have, func(r link.Route) bool { return r.Table != table })
	for _, to := range metadataAddrs() {
		hole := link.Route{To: to, Table: table, Blackhole: true}
		there := slices.ContainsFunc(have, hole.Same)
		switch {
		case allowed && there:
			err = inside.DelRoute(link.Link{}, hole)
			u.Push("put back "+hole.String(), func() error { return dig(inside, hole) })
		case !allowed && !there:
			err = dig(inside, hole)
			u.Push("remove "+hole.String(), func() error { return inside.DelRoute(link.Link{}, hole) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settleFresh is settleMetadata for a container that most likely has no routes yet: it
// lists them only where it has.
func settleFresh(inside *link.Handle, allowed bool, u *undo.Stack) error {
	if allowed || !guarding {
		return settleMetadata(inside, mainTable, allowed, u)
	}
	for _, to := range metadataAddrs() {
		hole := link.Route{To: to, Table: mainTable, Blackhole: true}
		err := unlessWithoutIPv6(hole, inside.AddRoute(link.Link{}, hole))
		if errors.Is(err, link.ErrExists) {
			return settleMetadata(inside, mainTable, allowed, u)
		}
		if err != nil {
			return err
		}
		u.Push("remove "+hole.String(), func() error { return inside.DelRoute(link.Link{}, hole) })
	}
	return nil
}

// dig makes a blackhole. Without IPv6 in the kernel it needs none for IPv6.
func dig(inside *link.Handle, hole link.Route) error {
	return unlessWithoutIPv6(hole, inside.ReplaceRoute(link.Link{}, hole))
}

func unlessWithoutIPv6(hole link.Route, err error) error {
	if hole.To.Addr().Is6() && (errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)) {
		return nil
	}
	return err
}

// guardMetadata has the NIC send nothing to the metadata addresses, unless that is
// allowed. A blackhole alone stops nobody who binds a socket to the NIC, which needs
// no privilege since Linux 5.7: the kernel takes the address for on-link then, and
// a cloud answers there. It does not stop a container that may set up the network.
func guardMetadata(inside *link.Handle, l link.Link, allowed bool) error {
	if allowed || !guarding {
		return inside.UnblockEgress(l)
	}
	return guardedBy(inside.BlockEgress, l)
}

// guardArrived is guardMetadata for a NIC that has just arrived, with no filter.
func guardArrived(inside *link.Handle, l link.Link, allowed bool) error {
	if allowed || !guarding {
		return nil
	}
	return guardedBy(inside.BlockEgressAnew, l)
}

func guardedBy(block func(link.Link, []netip.Addr) error, l link.Link) error {
	var to []netip.Addr
	for _, p := range metadataAddrs() {
		to = append(to, p.Addr())
	}
	if err := block(l, to); err != nil {
		return fmt.Errorf("keep the container from the metadata service: give the node these kernel modules, "+
			"or let the network reach it (metadata: true): %w", err)
	}
	return nil
}

// guardInUse is guardMetadata for a NIC that is in its container already. One that
// is up and was brought in by an agent that knew of no guard stays without it until
// the container's next start: an agent's upgrade must not cost a container what it
// sends while the kernel makes the place for the filter.
func guardInUse(inside *link.Handle, l link.Link, allowed bool) error {
	if l.Up && !allowed {
		if has, err := inside.HasFilterPlace(l); err != nil || !has {
			return err
		}
	}
	return guardMetadata(inside, l, allowed)
}

// intoMetadata says whether a route is to nothing but a metadata address: it
// would take the place of the blackhole.
func intoMetadata(r link.Route) bool { return slices.Contains(metadataAddrs(), r.To) }
