//go:build linux

package devicetest

import (
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
)

// RDMA is a kernel with an RDMA device beside each VF of Cards, called rdma0, rdma1, ….
type RDMA struct {
	// Shared: all namespaces have all devices.
	Shared bool
	// Refuse is what a move is refused with.
	Refuse error

	cards *Cards
	mu    sync.Mutex
	at    map[string]netns.ID // by name
}

// RDMA gives the cards' VFs RDMA devices, which are where the host is.
func (c *Cards) RDMA() *RDMA {
	r := &RDMA{cards: c, at: map[string]netns.ID{}}
	for i := range len(c.pcis) {
		r.at[rdmaName(i)] = c.host.Namespace().ID()
	}
	return r
}

func rdmaName(i int) string { return fmt.Sprintf("rdma%d", i) }

// Where is the namespace that a VF's device is in.
func (r *RDMA) Where(i int) netns.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.at[rdmaName(i)]
}

// AnyRDMA is device.RDMA's.
func (r *RDMA) AnyRDMA() bool { return true }

// RDMADevice is device.RDMA's.
func (r *RDMA) RDMADevice(pci string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range len(r.at) {
		if PCI(i) == pci && (r.Shared || r.at[rdmaName(i)] == r.cards.host.Namespace().ID()) {
			return rdmaName(i), nil
		}
	}
	return "", nil
}

// Exclusive is device.RDMA's.
func (r *RDMA) Exclusive(*netns.Namespace) (bool, error) { return !r.Shared, nil }

// Under is device.RDMA's.
func (r *RDMA) Under(in *netns.Namespace, index int) (names []string, err error) {
	h, err := link.Open(in)
	if err != nil {
		return nil, err
	}
	defer h.Close()
	l, err := h.ByIndex(index)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range len(r.at) {
		if r.cards.At(l) == PCI(i) && r.at[rdmaName(i)] == in.ID() {
			names = append(names, rdmaName(i))
		}
	}
	return names, nil
}

// MoveRDMA is device.RDMA's.
func (r *RDMA) MoveRDMA(name string, from, to *netns.Namespace) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Refuse != nil {
		return r.Refuse
	}
	if r.at[name] != from.ID() {
		return fmt.Errorf("%s is not in %s: %w", name, from.ID(), link.ErrNotFound)
	}
	r.at[name] = to.ID()
	return nil
}
