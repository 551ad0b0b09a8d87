//go:build linux

package device

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/net/bpf"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// ErrUnguardable: the NIC is in a container, and was made without the place for a
// filter. To make one now would cost what the container is sent meanwhile.
var ErrUnguardable = errors.New("port was made without a place for a filter")

// A Guarded is how Guard found the NIC's port.
type Guarded struct {
	Port int // the index of the link that is the port
	// Was is the program that was there; nil for none.
	Was []bpf.RawInstruction
}

// Guard has the switch take of a veth only what the program lets through; nil is
// everything. It looks at what is there, and changes nothing where nothing differs. The
// filter goes with the port. NICs of other kinds have none that is ours: it does nothing.
func (m *Maker) Guard(ctx context.Context, id nic.ID, d nic.Device, program []bpf.RawInstruction) (Guarded, error) {
	if err := check(ctx, id, d); err != nil || d.Kind != nic.Veth {
		return Guarded{}, err
	}
	end, found, err := m.hostEnd(id, d)
	if err == nil && !found {
		err = link.ErrNotFound
	}
	if err != nil {
		return Guarded{}, fmt.Errorf("guard the port of %s: %w", id, err)
	}
	was, err := m.host.IngressFilter(end)
	if err == nil && !slices.Equal(was, program) {
		err = m.setGuard(end, was, program)
	}
	if err != nil {
		return Guarded{}, fmt.Errorf("guard the port of %s: %w", id, err)
	}
	return Guarded{Port: end.Index, Was: was}, nil
}

func (m *Maker) setGuard(end link.Link, was, program []bpf.RawInstruction) error {
	if program == nil {
		return m.host.UnfilterIngress(end)
	}
	if was == nil && end.ParentNSID != link.SameNamespace {
		if placed, err := m.host.HasFilterPlace(end); err != nil || !placed {
			return cmp.Or(err, ErrUnguardable)
		}
	}
	return m.host.FilterIngress(end, program)
}
