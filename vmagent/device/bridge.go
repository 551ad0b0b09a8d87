//go:build linux

package device

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// bridgeAlias marks a bridge as ours to remove.
const bridgeAlias = "nicferry:bridge"

// newBridgeMAC draws the MAC of an owned bridge. Its first half tells a bridge
// of ours that lacks the alias yet from one of somebody else's.
func newBridgeMAC() nic.MAC {
	mac := nic.NewMAC()
	copy(mac[:], []byte{0x02, 'n', 'f'})
	return mac
}

// ensureBridge returns the recipe's bridge, and makes it if we own it. The
// caller holds the lock.
func (m *Maker) ensureBridge(b nic.Bridge) (link.Link, error) {
	bridge, err := m.host.ByName(b.Name)
	if errors.Is(err, link.ErrNotFound) {
		if !b.Owned {
			return link.Link{}, fmt.Errorf(
				"bridge %q does not exist: make it, or let the network own its bridge so that nicferry makes it", b.Name)
		}
		bridge, err = m.makeBridge(b.Name)
	}
	if err != nil {
		return link.Link{}, err
	}
	if bridge.Kind != link.KindBridge {
		return link.Link{}, fmt.Errorf("interface %q is no Linux bridge (kind %q)", b.Name, bridge.Kind)
	}
	if !b.Owned {
		return bridge, nil
	}
	if bridge.Alias != bridgeAlias && !halfMade(bridge) {
		return link.Link{}, fmt.Errorf("bridge %q %w: take another name, or let the network use it without owning it",
			b.Name, ErrForeign)
	}
	return bridge, m.finishBridge(b, bridge)
}

func (m *Maker) makeBridge(name string) (link.Link, error) {
	if err := m.host.AddBridge(name, newBridgeMAC()); err != nil && !errors.Is(err, link.ErrExists) {
		return link.Link{}, err
	}
	return m.host.ByName(name)
}

// halfMade says whether it is a bridge of ours from a moment before a crash.
func halfMade(bridge link.Link) bool {
	ours := newBridgeMAC()
	return bridge.Alias == "" && !bridge.Up && [3]byte(bridge.MAC[:3]) == [3]byte(ours[:3])
}

// finishBridge marks the bridge, takes in the uplinks and sets it up, as far
// as that is not done.
func (m *Maker) finishBridge(b nic.Bridge, bridge link.Link) error {
	if bridge.Alias != bridgeAlias {
		// The bridge is a switch: the host has no address there unless an
		// operator gives it one.
		if err := m.host.Set(bridge, link.Change{Alias: new(bridgeAlias), NoIPv6Auto: true}); err != nil {
			return err
		}
	}
	for _, name := range b.Uplinks {
		if err := m.addUplink(name, bridge); err != nil {
			return fmt.Errorf("take uplink %q into bridge %q: %w", name, b.Name, err)
		}
	}
	if bridge.Up {
		return nil
	}
	err := m.host.Namespace().SetSysctl("0", "ipv6", "conf", b.Name, "accept_ra")
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a kernel without IPv6
		return fmt.Errorf("keep bridge %q from router advertisements: %w", b.Name, err)
	}
	return m.host.Set(bridge, link.Change{Up: new(true)})
}

func (m *Maker) addUplink(name string, bridge link.Link) error {
	up, err := m.host.ByName(name)
	if err != nil {
		return err
	}
	switch up.Master {
	case bridge.Index:
		return nil
	case 0:
	default:
		return fmt.Errorf("it is a port of %s already", m.nameOf(up.Master))
	}
	addrs, err := m.host.Addrs(up)
	if err != nil {
		return err
	}
	for _, a := range addrs {
		if a.Global {
			return fmt.Errorf("it has the address %s, which would stop working: "+
				"take an interface without addresses, or a bridge of your own", a.Prefix)
		}
	}
	return m.host.Set(up, link.Change{Master: new(bridge.Index), Up: new(true)})
}

// nameOf is the name of a link, for people.
func (m *Maker) nameOf(index int) string {
	l, err := m.host.ByIndex(index)
	if err != nil {
		return fmt.Sprintf("interface %d", index)
	}
	return strconv.Quote(l.Name)
}

// dropBridge removes a bridge of ours that has no port left but its uplinks,
// which it lets go.
func (m *Maker) dropBridge(b nic.Bridge) error {
	if !b.Owned {
		return nil
	}
	m.shared.Lock()
	defer m.shared.Unlock()
	links, err := m.host.Links()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(links, func(l link.Link) bool {
		return l.Name == b.Name && l.Kind == link.KindBridge && (l.Alias == bridgeAlias || halfMade(l))
	})
	if at < 0 {
		return nil
	}
	var uplinks []link.Link
	for _, l := range links {
		if l.Master != links[at].Index {
			continue
		}
		if !slices.Contains(b.Uplinks, l.Name) {
			return nil // another NIC, or a port that somebody added
		}
		uplinks = append(uplinks, l)
	}
	for _, l := range uplinks {
		if err := m.host.Set(l, link.Change{Master: new(0)}); err != nil && !errors.Is(err, link.ErrNotFound) {
			return fmt.Errorf("release uplink %q from bridge %q: %w", l.Name, b.Name, err)
		}
	}
	return m.host.Delete(links[at])
}
