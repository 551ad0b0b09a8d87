//go:build linux

// Package hotplug finds NICs that a cloud or a hypervisor plugs in, and tells
// when they arrive in the host namespace.
package hotplug

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// ErrNotFound means that no NIC has the MAC; ErrAmbiguous, that several have
// it and none is the master of the rest.
var (
	ErrNotFound  = errors.New("no NIC has this MAC")
	ErrAmbiguous = errors.New("several NICs have this MAC")
)

// Pick finds the NIC with the MAC among links. The permanent MAC decides,
// because anybody may set the other one; where the driver knows no permanent
// one, the other has to do. Bridges, VLANs and the like borrow the MAC of the
// NIC below them and are never meant.
//
// Where a NIC is the master of another with the same MAC, as on Azure, the
// master is meant: the kernel moves the traffic between them.
func Pick(links []link.Link, mac nic.MAC) (link.Link, error) {
	if mac.IsZero() {
		return link.Link{}, errors.New("find NIC by MAC: the recipe has no MAC")
	}
	var permanent, current []link.Link
	for _, l := range links {
		switch {
		case l.Kind != "" && l.Kind != link.KindVeth || l.Loopback:
		case l.PermMAC == mac:
			permanent = append(permanent, l)
		case l.PermMAC.IsZero() && l.MAC == mac:
			current = append(current, l)
		}
	}
	found := permanent
	if len(found) == 0 {
		found = current
	}
	return master(found, mac)
}

func master(found []link.Link, mac nic.MAC) (link.Link, error) {
	switch len(found) {
	case 0:
		return link.Link{}, ErrNotFound
	case 1:
		return found[0], nil
	}
	for _, m := range found {
		slaves := 0
		for _, l := range found {
			if l.Master == m.Index {
				slaves++
			}
		}
		if slaves == len(found)-1 {
			return m, nil
		}
	}
	names := make([]string, len(found))
	for i, l := range found {
		names[i] = l.Name
	}
	return link.Link{}, fmt.Errorf("%w: %s: %s", ErrAmbiguous, mac, strings.Join(names, ", "))
}
