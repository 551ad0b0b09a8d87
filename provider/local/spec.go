package local

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// The MTUs that the kernel lets a veth or macvlan have; 0 leaves its own.
const (
	minMTU = 68
	maxMTU = 65535
)

// Place implements provider.Placer: it settles the node, and writes MAC and MTU
// into the recipe. A spec that no node could carry out is ErrInvalid.
func (p *Provider) Place(_ context.Context, spec nic.Spec, node nic.Node) (nic.Spec, error) {
	if err := check(spec); err != nil {
		return nic.Spec{}, p.failing("place", spec.NIC)(err)
	}
	spec.Node, spec.Device = node.Name, recipe(spec)
	return spec, nil
}

// recipe is what the node is told to make.
func recipe(spec nic.Spec) nic.Device {
	d := spec.Device
	d.MAC = spec.MAC
	d.MTU = cmp.Or(d.MTU, spec.MTU)
	return d
}

// check refuses a spec that no node could carry out, with every fault in it.
func check(spec nic.Spec) error {
	var faults nic.Faults
	if _, err := nic.ParseID(string(spec.NIC)); err != nil {
		faults.AddErr("nic", err)
	}
	d := spec.Device
	switch {
	case spec.MAC.IsZero():
		faults.Add("mac", "is missing: a NIC that the node makes is given its MAC")
	case spec.MAC[0]&1 == 1:
		faults.Add("mac", "%s is multicast: a NIC needs a unicast address", spec.MAC)
	case !d.MAC.IsZero() && d.MAC != spec.MAC:
		faults.Add("device.mac", "%s differs from the spec's %s", d.MAC, spec.MAC)
	}
	if d.MTU != 0 && spec.MTU != 0 && d.MTU != spec.MTU {
		faults.Add("device.mtu", "%d differs from the spec's %d", d.MTU, spec.MTU)
	}
	if mtu := cmp.Or(d.MTU, spec.MTU); mtu != 0 && (mtu < minMTU || mtu > maxMTU) {
		faults.Add("mtu", "%d: want %d to %d, or 0 for the kernel's", mtu, minMTU, maxMTU)
	}
	checkShape(&faults, d)
	if err := faults.Err(); err != nil {
		return &provider.Error{Kind: provider.ErrInvalid, Err: err}
	}
	return nil
}

func checkShape(faults *nic.Faults, d nic.Device) {
	b := d.Bridge
	switch d.Kind {
	case nic.Veth:
		faults.AddErr("device.bridge.name", nic.CheckInterfaceName(b.Name))
		for i, uplink := range b.Uplinks {
			faults.AddErr(fmt.Sprintf("device.bridge.uplinks[%d]", i), nic.CheckInterfaceName(uplink))
		}
		if len(b.Uplinks) > 0 && !b.Owned {
			faults.Add("device.bridge.uplinks", "are only for a bridge that is owned: this one must have its ports already")
		}
		if d.Parent != "" {
			faults.Add("device.parent", "%q is for macvlan; a veth has a bridge", d.Parent)
		}
	case nic.Macvlan:
		faults.AddErr("device.parent", nic.CheckInterfaceName(d.Parent))
		if b.Name != "" || b.Owned || len(b.Uplinks) > 0 {
			faults.Add("device.bridge", "%q is for veth; a macvlan has a parent", b.Name)
		}
	default:
		faults.Add("device.kind", "%q: a node can make %s or %s", d.Kind, nic.Veth, nic.Macvlan)
	}
}
