package local

import (
	"context"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/made"
)

// Place implements provider.Placer: it settles the node, and writes MAC and MTU
// into the recipe. A spec that no node could carry out is ErrInvalid.
func (p *Provider) Place(_ context.Context, spec nic.Spec, node nic.Node) (nic.Spec, error) {
	if err := p.CheckPlaced(spec); err != nil {
		return nic.Spec{}, p.Failing("place", spec.NIC)(err)
	}
	spec.Node, spec.Device = node.Name, made.Recipe(spec)
	return spec, nil
}

// checkShape refuses what a node cannot make.
func checkShape(faults *nic.Faults, spec nic.Spec) {
	d := spec.Device
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
