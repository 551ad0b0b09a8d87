//go:build linux

package plug

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/link"
)

// errNoTrunkCard is of a machine that is off, or has lost the card.
var errNoTrunkCard = errors.New("the running machine has no such card")

var _ cloudsim.TrunkPlugger = (*Libvirt)(nil)

// Join implements cloudsim.TrunkPlugger, at the switch's side: a VLAN on the card is for
// the guest to make. It lasts as long as the card is there and the machine runs.
func (l *Libvirt) Join(ctx context.Context, instance string, trunk cloudsim.MAC, vlan int, mac cloudsim.MAC) error {
	tap, err := l.tap(ctx, instance, trunk)
	if err == nil {
		err = inside(l.host(), func(ports *link.Handle) error { return join(ports, instance, l.opts.Switch.Name, tap, vlan, mac) })
	}
	if err != nil {
		return fmt.Errorf("join %s to trunk %s of %s: %w", mac, trunk, instance, err)
	}
	return nil
}

// Leave implements cloudsim.TrunkPlugger. A card that is gone took its VLANs along.
func (l *Libvirt) Leave(ctx context.Context, instance string, trunk cloudsim.MAC, vlan int, mac cloudsim.MAC) error {
	tap, err := l.tap(ctx, instance, trunk)
	if err == nil || errors.Is(err, errNoTrunkCard) {
		err = inside(l.host(), func(ports *link.Handle) error { return leave(ports, tap, vlan, mac) })
	}
	if err != nil {
		return fmt.Errorf("take %s from trunk %s of %s: %w", mac, trunk, instance, err)
	}
	return nil
}

// host is where the hypervisor's end of cards is.
func (l *Libvirt) host() string { return cmp.Or(l.opts.Namespace, "/proc/self/ns/net") }

// tap is the device on the host that is a card's other end.
func (l *Libvirt) tap(ctx context.Context, instance string, mac cloudsim.MAC) (string, error) {
	domain, card, err := l.card(instance, mac)
	if err != nil {
		return "", err
	}
	d, err := l.look(ctx, domain)
	if err != nil {
		return "", err
	}
	for _, i := range d.Live {
		if i.Alias == card.Alias && i.Target != "" {
			return i.Target, nil
		}
	}
	return "", errNoTrunkCard
}

// clearMembers takes the members of an instance from its trunks, which root alone can have
// made.
func (l *Libvirt) clearMembers(instance string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	return inside(l.host(), func(ports *link.Handle) error { return leaveAll(ports, instance) })
}
