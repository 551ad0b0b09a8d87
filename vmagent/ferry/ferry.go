//go:build linux

// Package ferry carries a NIC into a container's namespace, addresses it there
// and brings it back clean.
package ferry

import (
	"errors"

	"github.com/nicferry/nicferry/internal/gate"
	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/vmagent/device"
)

// The kinds of error that callers act on.
var (
	// ErrHostNamespace: a container that shares the host's namespace cannot be
	// given a NIC, and a namespace that only looks like a container's must not.
	ErrHostNamespace = errors.New("target is the host namespace")
	// ErrNameTaken: another interface in the container has the wanted name.
	ErrNameTaken = errors.New("interface name is taken in the container")
	// ErrNotThere: the NIC is neither in the host namespace nor in the container.
	ErrNotThere = errors.New("NIC is not on the node")
	// ErrAddressTaken: somebody else on the wire has the IPv6 address.
	ErrAddressTaken = errors.New("address is in use on the network")
)

// A Ferry serves one host namespace, for any number of callers with different
// NICs. It holds one socket and no goroutine.
type Ferry struct {
	host   *link.Handle
	device *device.Maker
	// carriers limits who waits for a carrier: each holds a thread.
	carriers gate.Gate
	// ridden are the NICs that came home and may still be ridden on from other
	// namespaces.
	ridden ridden
}

// New opens a ferry that finds and remakes NICs by maker: the one that also
// makes them, because a maker guards its bridges against itself alone. host and
// maker must stay open until Close.
func New(host *netns.Namespace, maker *device.Maker) (*Ferry, error) {
	h, err := link.Open(host)
	if err != nil {
		return nil, err
	}
	return &Ferry{host: h, device: maker, carriers: gate.New(4)}, nil
}

// Close lets go of what New opened. NICs stay where they are.
func (f *Ferry) Close() error {
	f.host.Close()
	return nil
}
