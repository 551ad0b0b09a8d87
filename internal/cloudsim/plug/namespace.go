//go:build linux

package plug

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// ErrNoMachine means that nobody has said which machine the instance is.
var ErrNoMachine = errors.New("no machine is known for the instance")

// NamespaceOptions say where cables end.
type NamespaceOptions struct {
	// Switch is the path of a network namespace, and Bridge the name of a bridge in
	// it, which carries all subnets; both required.
	Switch, Bridge string
	// MTU is that of cards and ports, in bytes; required.
	MTU int
}

// Namespaces are machines that are network namespaces. A card is one end of a cable,
// whose other end is a port of the switch: it goes with its port, also out of a
// container that it was given to. It is a cloudsim.TrunkPlugger.
type Namespaces struct {
	opts NamespaceOptions

	mu       sync.Mutex
	machines map[string]string // paths by instance
}

// NewNamespaces returns a back-end without machines.
func NewNamespaces(o NamespaceOptions) *Namespaces {
	return &Namespaces{opts: o, machines: map[string]string{}}
}

// Machine says that the instance is the network namespace at path, such as
// /proc/PID/ns/net; from now on, instead of any other.
func (n *Namespaces) Machine(instance, path string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.machines[instance] = path
}

// port and card are the names of a cable's ends.
func port(mac cloudsim.MAC) string { return "p" + hex.EncodeToString(mac[:]) }
func card(mac cloudsim.MAC) string { return "e" + hex.EncodeToString(mac[:]) }

// Plug implements cloudsim.Plugger. The card is down in its machine, as one is that
// nobody has configured yet.
func (n *Namespaces) Plug(_ context.Context, instance string, mac cloudsim.MAC) error {
	n.mu.Lock()
	path := n.machines[instance]
	n.mu.Unlock()
	if path == "" {
		return fmt.Errorf("plug %s into %s: %w", mac, instance, ErrNoMachine)
	}
	err := inside(n.opts.Switch, func(ports *link.Handle) error {
		return inside(path, func(machine *link.Handle) error { return n.cable(ports, machine, mac) })
	})
	if err != nil {
		return fmt.Errorf("plug %s into %s: %w", mac, instance, err)
	}
	return nil
}

// cable joins the switch and a machine, or leaves nothing.
func (n *Namespaces) cable(ports, machine *link.Handle, mac cloudsim.MAC) (err error) {
	bridge, err := ports.IndexOf(n.opts.Bridge)
	if err != nil {
		return err
	}
	err = ports.AddPair(link.Pair{Name: port(mac), PeerName: card(mac), PeerMAC: nic.MAC(mac), MTU: n.opts.MTU, Master: bridge})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, remove(ports, mac))
		}
	}()
	near, err := ports.ByName(port(mac))
	if err != nil {
		return err
	}
	if err := ports.Set(near, link.Change{Up: new(true)}); err != nil {
		return err
	}
	far, err := ports.ByName(card(mac))
	if err != nil {
		return err
	}
	_, err = ports.Move(far, machine, link.Change{Name: card(mac)})
	if errors.Is(err, link.ErrNotFound) {
		if _, here := ports.ByName(card(mac)); errors.Is(here, link.ErrNotFound) {
			err = nil // an agent there was so quick that it is in a container by now
		}
	}
	return err
}

// Unplug implements cloudsim.Plugger: the card is gone, wherever it was. What is not
// plugged in is no error.
func (n *Namespaces) Unplug(_ context.Context, instance string, mac cloudsim.MAC) error {
	if err := inside(n.opts.Switch, func(ports *link.Handle) error { return remove(ports, mac) }); err != nil {
		return fmt.Errorf("unplug %s from %s: %w", mac, instance, err)
	}
	return nil
}

// Join implements cloudsim.TrunkPlugger.
func (n *Namespaces) Join(_ context.Context, instance string, trunk cloudsim.MAC, vlan int, mac cloudsim.MAC) error {
	err := inside(n.opts.Switch, func(ports *link.Handle) error { return join(ports, instance, n.opts.Bridge, port(trunk), vlan, mac) })
	if err != nil {
		return fmt.Errorf("join %s to trunk %s of %s: %w", mac, trunk, instance, err)
	}
	return nil
}

// Leave implements cloudsim.TrunkPlugger.
func (n *Namespaces) Leave(_ context.Context, instance string, trunk cloudsim.MAC, vlan int, mac cloudsim.MAC) error {
	err := inside(n.opts.Switch, func(ports *link.Handle) error { return leave(ports, port(trunk), vlan, mac) })
	if err != nil {
		return fmt.Errorf("take %s from trunk %s of %s: %w", mac, trunk, instance, err)
	}
	return nil
}

func remove(ports *link.Handle, mac cloudsim.MAC) error {
	at, err := ports.ByName(port(mac))
	if errors.Is(err, link.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return ports.Delete(at)
}

// inside opens a handle in the namespace at path while do runs.
func inside(path string, do func(*link.Handle) error) error {
	ns, err := netns.Open(path)
	if err != nil {
		return err
	}
	h, err := link.Open(ns)
	if err != nil {
		return errors.Join(err, ns.Close())
	}
	err = do(h)
	h.Close()
	return errors.Join(err, ns.Close())
}

var _ cloudsim.TrunkPlugger = (*Namespaces)(nil)
