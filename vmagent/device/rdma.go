//go:build linux

package device

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
)

// RDMA is what a maker needs of RDMA devices, which cards have beside their interfaces.
type RDMA interface {
	// AnyRDMA says whether the machine may have such devices. Else nothing more is asked,
	// which would have the kernel load what it does not need.
	AnyRDMA() bool
	// RDMADevice is the name of a PCI function's, which is in the host's namespace; empty
	// without one there.
	RDMADevice(pci string) (string, error)
	// Exclusive says whether each is in one network namespace alone.
	Exclusive(in *netns.Namespace) (bool, error)
	// Under are those in the namespace that have a port on the link.
	Under(in *netns.Namespace, index int) (names []string, err error)
	// MoveRDMA moves one to another namespace.
	MoveRDMA(name string, from, to *netns.Namespace) error
}

// UseRDMA gives the maker what moves RDMA devices, before its first use. Without it they
// stay where they are.
func (m *Maker) UseRDMA(r RDMA) { m.rdma = r }

// refuseSharedRDMA refuses a virtual function whose RDMA device all namespaces share: every
// container could drive it, past all that its PF was told.
func (m *Maker) refuseSharedRDMA(pci string) error {
	if m.rdma == nil || !m.rdma.AnyRDMA() {
		return nil
	}
	name, err := m.rdma.RDMADevice(pci)
	if err != nil || name == "" {
		return err
	}
	exclusive, err := m.rdma.Exclusive(m.host.Namespace())
	if err != nil {
		return err
	}
	if !exclusive {
		return fmt.Errorf("VF %s has the RDMA device %s, and on this node RDMA devices are in all network namespaces, so that every container might "+
			"drive it: have each in one alone, before any container runs (rdma system set netns exclusive; at boot: options ib_core netns_mode=0 "+
			"in /etc/modprobe.d), or keep the VFs' RDMA drivers from loading, such as mlx5_ib", pci, name)
	}
	return nil
}

// Follow brings the RDMA device of a virtual function that has come from the host's
// namespace to where it is. It may be called again.
func (m *Maker) Follow(ctx context.Context, d nic.Device, to *netns.Namespace) error {
	if m.rdma == nil || d.Kind != nic.SRIOV || ctx.Err() != nil || !m.rdma.AnyRDMA() {
		return ctx.Err()
	}
	name, err := m.rdma.RDMADevice(d.VF.PCI)
	if err != nil || name == "" {
		return err // it has none, or is there
	}
	return m.rdma.MoveRDMA(name, m.host.Namespace(), to)
}

// Precede brings home the RDMA device of a virtual function whose interface is l and about
// to leave the namespace. When a namespace dies the kernel does that.
func (m *Maker) Precede(ctx context.Context, d nic.Device, l link.Link, from *netns.Namespace) error {
	if m.rdma == nil || d.Kind != nic.SRIOV || ctx.Err() != nil || !m.rdma.AnyRDMA() {
		return ctx.Err()
	}
	if exclusive, err := m.rdma.Exclusive(m.host.Namespace()); err != nil || !exclusive {
		return nil // then none was ever moved
	}
	names, err := m.rdma.Under(from, l.Index)
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range names {
		faults = append(faults, m.rdma.MoveRDMA(name, from, m.host.Namespace()))
	}
	return errors.Join(faults...)
}
